//! Pending gradients: those of held leaves that require none. They are fixed by the sweep,
//! and computed when they are first read.

use crate::common::{
    add, assert_close, backward, call, data, eagerly, exp, gradient, in_both_modes, mul, of, scale,
    set, sum, values, var, without_leak,
};
use needle_core::graph;
use needle_core::ops::linalg;
use needle_core::{Array, Tensor};

#[test]
fn it_is_computed_only_when_read() {
    in_both_modes(|| {
        let (x, w) = (data(&[1.0, 2.0]), var(&[3.0, 4.0]));
        let loss = sum(&mul(&exp(&x), &mul(&x, &w)));
        let gradients = backward(&loss);
        let pending = of(&gradients, &x).expect("x is held");
        assert!(!pending.is_realised());
        // Shape and dtype are known without computing.
        assert_eq!(pending.ty().unwrap(), x.ty().unwrap());
        assert!(!pending.is_realised());
        // exp(x) was computed without gradient: a leaf of its own, which nobody holds.
        assert_close(
            &values(&pending),
            &[3.0 * 1.0_f64.exp(), 4.0 * 2.0_f64.exp()],
        );
        assert!(pending.is_realised());
    });
}

#[test]
fn the_gradient_that_is_required_is_not_delayed() {
    without_leak(|| {
        eagerly(|| {
            let (x, w) = (data(&[1.0]), var(&[3.0]));
            let gradients = backward(&mul(&x, &w));
            assert!(of(&gradients, &w).unwrap().is_realised());
        });
    });
}

#[test]
fn later_values_do_not_change_it() {
    in_both_modes(|| {
        let (x, w) = (data(&[1.0, 2.0]), var(&[3.0, 4.0]));
        let inner = mul(&x, &w);
        let loss = sum(&mul(&inner, &inner));
        drop(inner);
        let gradients = backward(&loss);
        let pending = of(&gradients, &x).unwrap();
        drop(gradients);
        set(&x, &[100.0, 100.0]);
        set(&w, &[-5.0, -5.0]);
        // Another forward and backward on the new values.
        let again = gradient(&sum(&mul(&x, &w)), &x);
        drop(loss);
        assert_eq!(values(&pending), [2.0 * 9.0, 2.0 * 2.0 * 16.0]);
        assert_eq!(values(&again), [-5.0, -5.0]);
    });
}

#[test]
fn uses_are_summed() {
    in_both_modes(|| {
        let (x, w) = (data(&[5.0]), var(&[2.0]));
        let loss = add(&mul(&x, &w), &mul(&mul(&x, &w), &x));
        // w x + w x^2, where the last x is a factor of something that needs a gradient.
        let pending = of(&backward(&loss), &x).unwrap();
        assert!(!pending.is_realised());
        assert_eq!(values(&pending), [2.0 + 2.0 * 2.0 * 5.0]);
    });
}

#[test]
fn what_nobody_holds_gets_none() {
    in_both_modes(|| {
        let w = var(&[2.0]);
        let loss = mul(&data(&[5.0]), &w);
        let gradients = backward(&loss);
        assert_eq!(gradients.len(), 2, "w and the loss");
    });
}

#[test]
fn it_goes_with_its_handle() {
    in_both_modes(|| {
        let (x, w) = (data(&[1.0]), var(&[2.0]));
        let before = graph::live_nodes();
        let loss = mul(&exp(&w), &x);
        let gradients = backward(&loss);
        drop(loss);
        assert!(graph::live_nodes() > before);
        drop(gradients);
        // x and w have become nodes of their own.
        assert!(graph::live_nodes() <= before + 2);
    });
}

#[test]
fn it_can_be_differentiated() {
    in_both_modes(|| {
        let (x, w) = (data(&[3.0]), var(&[2.0]));
        let pending = of(&backward(&mul(&mul(&w, &w), &x)), &x).unwrap();
        assert_eq!(values(&gradient(&pending, &w)), [4.0]);
    });
}

#[test]
fn its_memory_is_that_of_the_sweep() {
    without_leak(|| {
        eagerly(|| {
            let (x, w) = (data(&[1.0]), var(&[2.0]));
            let pending = of(&backward(&mul(&x, &w)), &x).unwrap();
            let old = w.array().unwrap();
            set(&w, &[7.0]);
            assert!(!old.storage().is_private(1), "pinned");
            assert_eq!(values(&pending), [2.0]);
            assert!(old.storage().is_private(1), "let go when it was computed");
        });
    });
}

/// The posts' loop: weights without `requires_grad` that are differentiated all the same.
#[test]
fn the_posts_loop_trains() {
    in_both_modes(|| {
        let matrix = |v: &[f64], shape: &[usize]| Array::from_slice(v, shape).unwrap();
        let x = Tensor::leaf(matrix(&[1.0, 0.0, 0.0, 1.0, 1.0, 1.0], &[3, 2]), true);
        let y = Tensor::leaf(matrix(&[2.0, -1.0, 1.0], &[3, 1]), false);
        let mut w = Tensor::leaf(matrix(&[0.0, 0.0], &[2, 1]), false);
        for _ in 0..200 {
            let error = add(&call(&linalg::MATMUL, &[&x, &w]), &scale(&y, -1.0));
            let loss = sum(&mul(&error, &error));
            let gradients = backward(&loss);
            let step = scale(&of(&gradients, &w).unwrap(), -0.1);
            w = add(&w, &step).detach().unwrap();
            assert!(!w.requires_grad());
        }
        let w = values(&w);
        assert!(
            (w[0] - 2.0).abs() < 1e-6 && (w[1] + 1.0).abs() < 1e-6,
            "{w:?}"
        );
    });
}
