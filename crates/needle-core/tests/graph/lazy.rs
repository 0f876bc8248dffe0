//! Lazy mode: the same results, later.

use crate::common::{
    Tensor, add, array, assert_close, call, call_with, data, eagerly, error, exp, gradient,
    in_both_modes, lazily, mul, no_grad, of, scale, set, sum, values, var, without_leak,
};
use needle_core::graph;
use needle_core::ops::{Attrs, Constant, arithmetic, elementary, linalg, power, softmax};

/// A little network with everything in it.
fn loss_and_gradients() -> Vec<Vec<f64>> {
    let w = Tensor::leaf(array(&[0.1, -0.2, 0.3, 0.4, 0.5, -0.6], &[2, 3]), true);
    let x = Tensor::leaf(array(&[1.0, 2.0, -3.0, 4.0], &[2, 2]), false);
    let hidden = call(&elementary::RELU, &[&call(&linalg::MATMUL, &[&x, &w])]);
    let minus_one = Attrs::one(needle_core::ops::Attr::Int(-1));
    let softened = call_with(&softmax::LOG_SOFTMAX, minus_one, &[&hidden]);
    let loss = sum(&mul(&softened, &exp(&hidden)));
    let gradients = graph::backward(&loss, None).unwrap();
    let mut result = vec![values(&loss)];
    for tensor in [&w, &x, &hidden, &softened] {
        result.push(values(&of(&gradients, tensor).unwrap()));
    }
    result
}

#[test]
fn results_are_those_of_eager_mode() {
    without_leak(|| {
        assert_eq!(lazily(loss_and_gradients), eagerly(loss_and_gradients));
    });
}

#[test]
fn types_cost_nothing() {
    without_leak(|| {
        lazily(|| {
            let x = Tensor::leaf(array(&[1.0, 2.0], &[2, 1]), true);
            let y = add(&exp(&x), &data(&[1.0, 2.0, 3.0]));
            let ty = y.ty().unwrap();
            assert_eq!(ty.shape.as_slice(), [2, 3]);
            assert!(!y.is_realised() && !y.inputs()[0].is_realised());
            assert_eq!(values(&y).len(), 6);
            assert!(y.is_realised());
        });
    });
}

#[test]
fn mistakes_show_when_they_are_made() {
    without_leak(|| {
        lazily(|| {
            let (a, b) = (var(&[1.0, 2.0]), var(&[1.0, 2.0, 3.0]));
            let text = error(graph::apply(
                &arithmetic::ADD,
                Attrs::none(),
                &[&a, &exp(&b)],
            ));
            assert_eq!(
                text,
                "Shape(add: shapes (2,) and (3,) do not broadcast together)"
            );
        });
    });
}

#[test]
fn it_reads_what_was_there_when_it_was_recorded() {
    without_leak(|| {
        lazily(|| {
            let (x, w) = (data(&[1.0]), var(&[2.0]));
            let y = mul(&mul(&x, &w), &w);
            set(&x, &[100.0]);
            set(&w, &[100.0]);
            let z = mul(&x, &w);
            assert_eq!(values(&y), [4.0]);
            assert_eq!(values(&z), [10_000.0]);
            drop(y.inputs());
        });
    });
}

/// `loss.backward(); opt.step(); loss.numpy()` gives the old loss and the old gradient.
#[test]
fn a_step_before_anything_is_read() {
    without_leak(|| {
        lazily(|| {
            let (x, w) = (data(&[3.0]), var(&[2.0]));
            let loss = sum(&mul(&exp(&mul(&x, &w)), &w));
            let gradients = graph::backward(&loss, None).unwrap();
            let step = no_grad(|| scale(&of(&gradients, &w).unwrap(), -0.5));
            set(&w, &[-1.0]);
            set(&x, &[-1.0]);
            let e = 6.0_f64.exp();
            assert_close(&values(&loss), &[2.0 * e]);
            assert!((values(&step)[0] / (-0.5 * (e + 6.0 * e)) - 1.0).abs() < 1e-14);
            assert!((values(&of(&gradients, &x).unwrap())[0] / (4.0 * e) - 1.0).abs() < 1e-14);
        });
    });
}

/// The first sweep has released the interior values: what is recorded on them holds their
/// inputs, so that it can still be computed after a step.
#[test]
fn a_step_after_a_second_backward_that_nobody_has_read() {
    without_leak(|| {
        let x = var(&[2.0]);
        let y = eagerly(|| mul(&mul(&mul(&x, &x), &x), &x));
        drop(eagerly(|| graph::backward(&y, None)).unwrap());
        let first = lazily(|| gradient(&y, &x));
        let old = x.array().unwrap();
        set(&x, &[-100.0]);
        assert_eq!(values(&first), [32.0]);
        drop((first, y));
        assert!(old.storage().is_private(1), "nothing holds it any more");
    });
}

#[test]
fn a_result_without_gradient_becomes_a_leaf() {
    without_leak(|| {
        lazily(|| {
            let x = data(&[1.0]);
            let before = graph::live_nodes();
            let y = scale(&exp(&x), 2.0);
            assert!(!y.is_leaf() && !y.requires_grad());
            assert!(graph::live_nodes() > before);
            assert_close(&values(&y), &[2.0 * 1.0_f64.exp()]);
            assert!(y.is_leaf() && y.inputs().is_empty());
            // y, and x, which the first operation has made a node.
            assert!(graph::live_nodes() <= before + 2);
            // As a leaf it can require a gradient and not.
            y.set_requires_grad(true).unwrap();
            assert_eq!(values(&gradient(&mul(&y, &data(&[4.0])), &y)), [4.0]);
            y.set_requires_grad(false).unwrap();
        });
    });
}

#[test]
fn no_grad_holds_in_lazy_mode() {
    without_leak(|| {
        lazily(|| {
            let x = var(&[1.0]);
            let y = no_grad(|| exp(&x));
            assert!(!y.requires_grad());
            let z = mul(&x, &y);
            assert_close(&values(&gradient(&z, &x)), &[1.0_f64.exp()]);
        });
    });
}

#[test]
fn modes_mix_in_one_graph() {
    in_both_modes(|| {
        let x = var(&[0.5]);
        let a = lazily(|| exp(&x));
        let b = eagerly(|| mul(&a, &x));
        assert!(b.is_realised());
        let c = lazily(|| add(&b, &a));
        let e = 0.5_f64.exp();
        assert_close(&values(&eagerly(|| gradient(&c, &x))), &[e * 0.5 + e + e]);
        assert_close(&values(&lazily(|| gradient(&c, &x))), &[e * 0.5 + e + e]);
    });
}

#[test]
fn the_mode_is_restored_after_a_panic() {
    without_leak(|| {
        let before = graph::current_mode();
        let result = std::panic::catch_unwind(|| lazily(|| panic!("on purpose")));
        assert!(result.is_err());
        assert_eq!(graph::current_mode(), before);
    });
}

#[test]
fn the_process_has_a_mode_too() {
    without_leak(|| {
        let x = data(&[1.0]);
        graph::set_lazy_default(true);
        let y = exp(&x);
        let eager = eagerly(|| exp(&x));
        graph::set_lazy_default(false);
        assert!(!y.is_realised() && eager.is_realised());
        assert!(exp(&x).is_realised());
    });
}

#[test]
fn a_failure_can_be_tried_again() {
    without_leak(|| {
        lazily(|| {
            // Values decide about this error, so it comes when they are computed.
            let base = Tensor::leaf(
                needle_core::Array::from_slice(&[2_i64], &[1]).unwrap(),
                false,
            );
            let exponent = Tensor::leaf(
                needle_core::Array::from_slice(&[-1_i64], &[1]).unwrap(),
                false,
            );
            let y = call(&power::POWER, &[&base, &exponent]);
            for _ in 0..2 {
                let text = error(y.array());
                assert!(
                    text.starts_with("Value(power: integers to negative"),
                    "{text}"
                );
                assert!(!y.is_realised());
            }
            let shifted = call_with(
                &arithmetic::ADD_SCALAR,
                Attrs::scalar(Constant::int(1)),
                &[&exponent],
            );
            assert_eq!(values(&shifted), [0.0]);
        });
    });
}
