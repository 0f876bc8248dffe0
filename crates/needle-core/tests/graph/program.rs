//! Programs: what the sweeps find, in the structure at hand, from the values as they are.

use crate::common::{
    add, array, assert_close, backward, call, call_with, data, error, exp, in_both_modes, item,
    mul, of, reshape, scale, set, sum, values, var,
};
use needle_core::ops::{Attr, Attrs, Constant, arithmetic, joining, linalg};
use needle_core::{Tensor, graph};

/// The gradients of a program, after a comparison with those of the sweep.
#[track_caller]
fn gradients(root: &Tensor, leaves: &[&Tensor]) -> Vec<Option<Vec<f64>>> {
    let found = graph::gradients(root, None, leaves).unwrap();
    let found = found.expect("there is no op of the embedder's");
    let swept = backward(root);
    for (leaf, found) in leaves.iter().zip(&found) {
        match (found, of(&swept, leaf)) {
            (Some(found), Some(swept)) => assert_close(&values(found), &values(&swept)),
            (None, None) => {}
            (found, _) => panic!("found {}, unlike the sweep", found.is_some()),
        }
    }
    let numbers = |found: Option<Tensor>| found.as_ref().map(values);
    found.into_iter().map(numbers).collect()
}

/// Broadcasts, a tuple of which one part is not used, a product of matrices, a leaf used twice.
fn mixed(x: &Tensor, row: &Tensor, matrix: &Tensor) -> Tensor {
    let scaled = exp(&mul(x, row));
    let product = call(&linalg::MATMUL, &[&scaled, matrix]);
    let parts = call_with(
        &joining::SPLIT,
        Attrs::one(Attr::Int(0)),
        &[&add(&product, x)],
    );
    sum(&mul(&item(&parts, 1), &add(&item(&parts, 1), row)))
}

#[test]
fn many_points_of_one_structure() {
    in_both_modes(|| {
        for shift in [0.0, 0.5, -1.0] {
            let x = Tensor::leaf(array(&[shift, 0.2, -0.4, 1.0], &[2, 2]), true);
            let row = var(&[0.3, shift]);
            let matrix = Tensor::leaf(array(&[1.0, shift, 2.0, -0.5], &[2, 2]), true);
            let y = mixed(&x, &row, &matrix);
            let found = gradients(&y, &[&x, &row, &matrix, &var(&[1.0])]);
            assert!(found[..3].iter().all(Option::is_some));
            assert!(found[3].is_none(), "nothing depends on it");
        }
    });
}

#[test]
fn another_constant_is_another_structure() {
    in_both_modes(|| {
        for factor in [2.0, 3.0, 2.0] {
            let x = var(&[1.0, 2.0]);
            let found = gradients(&sum(&scale(&mul(&x, &x), factor)), &[&x]);
            assert_eq!(found[0].as_deref(), Some(&[2.0 * factor, 4.0 * factor][..]));
        }
    });
}

#[test]
fn zero_has_a_sign_and_nan_is_itself() {
    in_both_modes(|| {
        for divisor in [0.0, -0.0, f64::NAN, f64::NAN] {
            let x = var(&[1.0]);
            let attrs = Attrs::scalar(Constant::float(divisor));
            let y = call_with(&arithmetic::DIVIDE_SCALAR, attrs, &[&x]);
            let found = graph::gradients(&y, None, &[&x]).unwrap().unwrap();
            let found = values(found[0].as_ref().unwrap())[0];
            assert_eq!(found.to_bits(), (1.0 / divisor).to_bits());
        }
    });
}

#[test]
fn data_is_read_anew() {
    in_both_modes(|| {
        for number in [2.0, -3.0] {
            let (x, weights) = (var(&[1.0, 2.0]), data(&[number, 1.0]));
            let found = gradients(&sum(&mul(&mul(&x, &x), &weights)), &[&x]);
            assert_eq!(found[0].as_deref(), Some(&[2.0 * number, 4.0][..]));
        }
    });
}

#[test]
fn another_shape_is_another_structure() {
    in_both_modes(|| {
        for n in [2, 3, 2] {
            let x = var(&vec![1.5; n]);
            let found = gradients(&sum(&mul(&x, &x)), &[&x]);
            assert_eq!(found[0], Some(vec![3.0; n]));
        }
    });
}

#[test]
fn more_structures_than_are_kept() {
    in_both_modes(|| {
        for _ in 0..2 {
            for depth in 1..20 {
                let x = var(&[1.001]);
                let mut y = scale(&x, 1.0);
                for _ in 0..depth {
                    y = mul(&y, &x);
                }
                let found = gradients(&y, &[&x])[0].clone().unwrap();
                let power = f64::from(depth) + 1.0;
                assert!((found[0] - power * 1.001_f64.powf(power - 1.0)).abs() < 1e-12);
            }
        }
    });
}

#[test]
fn values_that_were_released_are_computed_again() {
    in_both_modes(|| {
        let x = var(&[0.5, 0.25]);
        let y = sum(&exp(&exp(&mul(&x, &x))));
        let first = gradients(&y, &[&x]);
        assert_eq!(gradients(&y, &[&x]), first);
    });
}

#[test]
fn replaced_data_is_an_error() {
    in_both_modes(|| {
        let (x, w) = (var(&[1.0]), var(&[2.0]));
        let y = mul(&x, &w);
        y.array().unwrap();
        assert!(graph::gradients(&y, None, &[&x]).unwrap().is_some());
        set(&w, &[5.0]);
        let text = error(graph::gradients(&y, None, &[&x]));
        assert!(
            text.contains("multiply: its gradient needs input 1"),
            "{text}"
        );
        let text = error(graph::tangents(
            &[&y],
            &[(&x, &reshape(&data(&[1.0]), &[1, 1]))],
            1,
        ));
        assert!(
            text.contains("multiply: its gradient needs input 1"),
            "{text}"
        );
    });
}

#[test]
fn what_does_not_depend_on_the_leaf_may_have_changed() {
    in_both_modes(|| {
        for early in [true, false] {
            let (w, x) = (var(&[3.0]), var(&[2.0]));
            let first = early.then(|| exp(&x));
            let square = mul(&w, &w);
            square.array().unwrap();
            set(&w, &[5.0]);
            let y = mul(&x, &square);
            let found = graph::gradients(&y, None, &[&x]).unwrap().unwrap();
            assert_eq!(values(found[0].as_ref().unwrap()), [9.0]);
            let direction = reshape(&data(&[1.0]), &[1, 1]);
            let found = graph::tangents(&[&y], &[(&x, &direction)], 1).unwrap();
            assert_eq!(values(found[0].as_ref().unwrap()), [9.0]);
            let text = error(graph::gradients(&y, None, &[&w]));
            assert!(text.contains("its gradient needs input"), "{text}");
            drop(first);
        }
    });
}

#[test]
fn results_are_nobody_elses() {
    in_both_modes(|| {
        let place = || {
            let x = var(&[1.0, 2.0]);
            let found = graph::gradients(&scale(&x, 2.0), None, &[&x])
                .unwrap()
                .unwrap();
            found[0].as_ref().unwrap().array().unwrap()
        };
        let (first, second) = (place(), place());
        assert_eq!(first.to_f64_vec(), [2.0, 2.0]);
        assert_ne!(first.ptr::<f64>(), second.ptr::<f64>());
    });
}

#[test]
fn a_seed_weights_the_results() {
    in_both_modes(|| {
        let x = var(&[1.0, 2.0, 3.0]);
        let y = mul(&x, &x);
        let seed = data(&[1.0, 0.0, -1.0]);
        let found = graph::gradients(&y, Some(seed), &[&x]).unwrap().unwrap();
        assert_eq!(values(found[0].as_ref().unwrap()), [2.0, 0.0, -6.0]);
        let text = error(graph::gradients(&y, Some(data(&[1.0])), &[&x]));
        assert!(
            text.contains("out_grad has shape (1,), expected (3,)"),
            "{text}"
        );
    });
}

#[test]
fn the_root_may_be_the_leaf_and_may_need_nothing() {
    in_both_modes(|| {
        let x = var(&[1.0, 2.0]);
        let found = graph::gradients(&x, None, &[&x]).unwrap().unwrap();
        assert_eq!(values(found[0].as_ref().unwrap()), [1.0, 1.0]);
        let (a, b) = (data(&[1.0]), var(&[1.0]));
        let found = graph::gradients(&exp(&a), None, &[&b]).unwrap().unwrap();
        assert!(found[0].is_none());
    });
}

#[test]
fn tangents_are_those_of_jvp() {
    in_both_modes(|| {
        for shift in [0.1, -0.7] {
            let x = Tensor::leaf(array(&[shift, 0.2, -0.4, 1.0], &[2, 2]), true);
            let row = var(&[0.3, shift]);
            let matrix = Tensor::leaf(array(&[1.0, shift, 2.0, -0.5], &[2, 2]), true);
            let outputs = [&mixed(&x, &row, &matrix), &exp(&row), &exp(&matrix)];
            let along = [1.0, -0.5, 2.0];
            let moves: Vec<f64> = along.iter().flat_map(|a| [a * 0.3, -a]).collect();
            let stacked = reshape(&data(&moves), &[3, 2]);
            let found = graph::tangents(&outputs, &[(&row, &stacked)], 3).unwrap();
            assert!(found[2].is_none(), "it does not move");
            for (output, found) in outputs.iter().zip(&found).take(2) {
                let all = values(found.as_ref().unwrap());
                for (part, a) in all.chunks(all.len() / 3).zip(along) {
                    let direction = data(&[a * 0.3, -a]);
                    let one = graph::jvp(&[*output], &[(&row, &direction)]).unwrap();
                    assert_close(part, &values(one[0].as_ref().unwrap()));
                }
            }
        }
    });
}

#[test]
fn small_and_large_arrays_alike() {
    // Beyond some hundred elements, each function is a step of its own.
    for n in [1, 7, 512, 513, 3000] {
        in_both_modes(|| {
            let numbers: Vec<f64> = (0..n).map(|i| f64::from(i) / 1000.0 + 0.1).collect();
            let (x, scalar) = (var(&numbers), Tensor::leaf(array(&[0.7], &[]), true));
            let quotient = call(
                &arithmetic::DIVIDE,
                &[&exp(&mul(&x, &scalar)), &add(&x, &scalar)],
            );
            let found = gradients(&sum(&mul(&quotient, &quotient)), &[&x, &scalar]);
            assert!(found.iter().all(Option::is_some));
        });
    }
}
