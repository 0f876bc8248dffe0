//! The reverse sweep: what it returns, again and again, and of any order.

use crate::common::{
    Tensor, add, array, assert_close, backward, call, data, error, exp, gradient, in_both_modes,
    mul, no_grad, of, scale, sum, values, var, without_leak,
};
use needle_core::graph;
use needle_core::ops::comparison;
use needle_core::{Array, DType, Error};

#[test]
fn the_same_input_twice() {
    in_both_modes(|| {
        let x = var(&[3.0]);
        assert_eq!(values(&gradient(&mul(&x, &x), &x)), [6.0]);
        let doubled = gradient(&add(&x, &x), &x);
        assert_eq!(values(&doubled), [2.0]);
        assert!(!doubled.requires_grad(), "it depends on nothing");
    });
}

#[test]
fn a_diamond() {
    in_both_modes(|| {
        let x = var(&[0.5]);
        let shared = exp(&x);
        let y = mul(&add(&shared, &x), &shared);
        let e = 0.5_f64.exp();
        let found = values(&gradient(&y, &x))[0];
        assert!((found - (2.0 * e * e + e + 0.5 * e)).abs() < 1e-14);
    });
}

#[test]
fn what_was_stretched_is_summed() {
    in_both_modes(|| {
        let column = Tensor::leaf(array(&[1.0, 2.0], &[2, 1]), true);
        let row = var(&[1.0, 10.0, 100.0]);
        let scalar = Tensor::leaf(array(&[2.0], &[]), true);
        let gradients = backward(&mul(&mul(&column, &row), &scalar));
        let (a, b, c) = (&column, &row, &scalar);
        for (x, expected) in [
            (a, &[222.0, 222.0][..]),
            (b, &[6.0, 6.0, 6.0][..]),
            (c, &[333.0][..]),
        ] {
            let gradient = of(&gradients, x).unwrap();
            assert_eq!(gradient.ty().unwrap(), x.ty().unwrap());
            assert_eq!(values(&gradient), expected);
        }
    });
}

#[test]
fn backward_again_gives_the_same() {
    in_both_modes(|| {
        let x = var(&[0.3, 0.7]);
        let inner = mul(&exp(&x), &x);
        let y = sum(&mul(&inner, &inner));
        drop(inner);
        let first = values(&gradient(&y, &x));
        let second = values(&gradient(&y, &x));
        let third = values(&gradient(&y, &x));
        assert_eq!(first, second);
        assert_eq!(first, third);
        let e = 0.3_f64.exp();
        assert!((first[0] - 2.0 * e * e * 0.3 * 1.3).abs() < 1e-14);
    });
}

#[test]
fn gradients_of_gradients() {
    in_both_modes(|| {
        let x = var(&[2.0]);
        let mut y = mul(&mul(&x, &x), &mul(&x, &x));
        for expected in [32.0, 48.0, 48.0, 24.0] {
            y = gradient(&y, &x);
            assert_eq!(values(&y), [expected]);
        }
    });
}

#[test]
fn all_that_is_held_gets_a_gradient_and_nothing_else() {
    in_both_modes(|| {
        let (x, untouched) = (var(&[1.0]), var(&[1.0]));
        let held = scale(&x, 3.0);
        let y = sum(&scale(&scale(&held, 5.0), 7.0));
        let gradients = backward(&y);
        assert_eq!(gradients.len(), 3);
        assert_eq!(values(&of(&gradients, &y).unwrap()), [1.0]);
        assert_eq!(values(&of(&gradients, &held).unwrap()), [35.0]);
        assert_eq!(values(&of(&gradients, &x).unwrap()), [105.0]);
        assert!(of(&gradients, &untouched).is_none());
    });
}

#[test]
fn seeds() {
    in_both_modes(|| {
        let x = var(&[1.0, 2.0]);
        let y = scale(&x, 3.0);
        let by = |seed: Tensor| graph::backward(&y, Some(seed));
        let gradients = by(data(&[10.0, 100.0])).unwrap();
        assert_eq!(values(&of(&gradients, &x).unwrap()), [30.0, 300.0]);

        let text = error(by(Tensor::leaf(array(&[1.0], &[]), false)));
        assert_eq!(
            text,
            "Shape(backward: out_grad has shape (), expected (2,))"
        );
        assert!(matches!(by(data(&[1.0; 3])), Err(Error::Shape(_))));

        // A seed of another dtype is cast; one with history is differentiated through.
        let small = Tensor::leaf(Array::from_slice(&[1.0_f32, 2.0], &[2]).unwrap(), false);
        let gradient = of(&by(small).unwrap(), &x).unwrap();
        assert_eq!(gradient.ty().unwrap().dtype, DType::F64);
        let seed = var(&[1.0, 1.0]);
        let gradient = of(&by(exp(&seed)).unwrap(), &x).unwrap();
        let by_seed = of(&backward(&gradient), &seed).unwrap();
        assert_close(&values(&by_seed), &[3.0 * 1.0_f64.exp(); 2]);
    });
}

#[test]
fn adjoints_take_the_dtype_of_their_input() {
    in_both_modes(|| {
        let small = Tensor::leaf(Array::from_slice(&[1.5_f32, 2.0], &[2]).unwrap(), true);
        let wide = var(&[1.0, 3.0]);
        let y = mul(&small, &wide);
        assert_eq!(y.ty().unwrap().dtype, DType::F64);
        let gradients = backward(&y);
        let gradient = of(&gradients, &small).unwrap();
        assert_eq!(gradient.ty().unwrap().dtype, DType::F32);
        assert_eq!(values(&gradient), [1.0, 3.0]);
        assert_eq!(values(&of(&gradients, &wide).unwrap()), [1.5, 2.0]);
    });
}

#[test]
fn what_needs_no_gradient_is_not_recorded() {
    without_leak(|| {
        let (a, b) = (data(&[1.0]), data(&[2.0]));
        let before = graph::live_nodes();
        let c = exp(&mul(&a, &b));
        assert_eq!(graph::live_nodes(), before, "no node");
        assert!(c.is_leaf() && c.inputs().is_empty() && c.node_id().is_none());
        let text = error(graph::backward(&c, None));
        assert!(
            text.starts_with("Grad(backward: the tensor does not require a gradient"),
            "{text}"
        );

        let x = var(&[1.0]);
        let silent = no_grad(|| exp(&x));
        assert!(!silent.requires_grad() && silent.is_leaf());
        let compared = call(&comparison::GREATER, &[&x, &a]);
        assert!(!compared.requires_grad() && compared.is_leaf());
        assert!(!exp(&x).detach().unwrap().requires_grad());
        assert!(exp(&x).requires_grad());
    });
}

#[test]
fn requires_grad_can_be_set_on_leaves() {
    without_leak(|| {
        let x = data(&[2.0]);
        x.set_requires_grad(true).unwrap();
        let y = mul(&x, &x);
        assert_eq!(values(&gradient(&y, &x)), [4.0]);
        let text = error(y.set_requires_grad(false));
        assert!(
            text.contains("only a leaf can stop requiring a gradient"),
            "{text}"
        );
        x.set_requires_grad(false).unwrap();
        assert!(!mul(&x, &x).requires_grad());
    });
}
