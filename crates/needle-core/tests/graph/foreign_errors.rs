//! Errors of the embedder's ops pass through unchanged and leave the graph usable.

use crate::common::spy::{OnPurpose, Quirk, Spy};
use crate::common::{
    Tensor, add, array, assert_close, data, error, exp, gradient, in_both_modes, lazily, mul,
    values, var, without_leak,
};
use needle_core::{Error, Result, graph};
use std::sync::atomic::Ordering;

/// The payload of an embedder's error.
fn payload<T>(result: Result<T>) -> OnPurpose {
    match result {
        Err(Error::Foreign(payload)) => *payload.downcast().expect("our own error"),
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("no error"),
    }
}

#[test]
fn in_forward() {
    in_both_modes(|| {
        let spy = Spy::new(Quirk::None);
        let x = var(&[3.0]);
        let before = exp(&x);
        spy.forward_failures.store(1, Ordering::SeqCst);
        let result = spy.try_call(&x).and_then(|y| y.array());
        assert_eq!(payload(result), OnPurpose("forward"));
        // Both the op and the rest of the graph work as if nothing had been.
        assert_close(&values(&gradient(&before, &x)), &[3.0_f64.exp()]);
        assert_eq!(values(&gradient(&spy.call(&x), &x)), [6.0]);
    });
}

#[test]
fn in_forward_of_a_waiting_node_which_is_tried_again() {
    without_leak(|| {
        lazily(|| {
            let spy = Spy::new(Quirk::None);
            let x = var(&[3.0]);
            let inner = exp(&x);
            let y = add(&mul(&spy.call(&x), &inner), &x);
            spy.forward_failures.store(2, Ordering::SeqCst);
            for _ in 0..2 {
                assert_eq!(payload(y.array()), OnPurpose("forward"));
                assert!(!y.is_realised());
            }
            assert_close(&values(&y), &[9.0 * 3.0_f64.exp() + 3.0]);
            assert_eq!(spy.calls().0, 3);
            // A value that was computed before the failure is not lost.
            assert!(inner.is_realised());
        });
    });
}

#[test]
fn in_forward_within_a_sweep() {
    without_leak(|| {
        lazily(|| {
            let spy = Spy::new(Quirk::None);
            let x = var(&[3.0]);
            let y = mul(&spy.call(&x), &x);
            let lazy_gradient = gradient(&y, &x);
            spy.forward_failures.store(1, Ordering::SeqCst);
            assert_eq!(payload(lazy_gradient.array()), OnPurpose("forward"));
            assert_eq!(values(&lazy_gradient), [27.0]);
        });
    });
}

#[test]
fn in_the_rule() {
    in_both_modes(|| {
        let spy = Spy::new(Quirk::None);
        let x = var(&[3.0]);
        let y = mul(&spy.call(&exp(&x)), &x);
        spy.vjp_failures.store(1, Ordering::SeqCst);
        assert_eq!(payload(graph::backward(&y, None)), OnPurpose("vjp"));
        let e = 3.0_f64.exp();
        let found = values(&gradient(&y, &x))[0];
        assert!((found / (e * e + 3.0 * 2.0 * e * e) - 1.0).abs() < 1e-14);
        assert_eq!(spy.calls(), (1, 2));
    });
}

#[test]
fn a_rule_that_returns_the_wrong_thing() {
    in_both_modes(|| {
        let matrix = Tensor::leaf(array(&[0.5; 6], &[2, 3]), true);
        let result = |quirk| error(graph::backward(&Spy::new(quirk).call(&matrix), None));
        let text = "Grad(spy: gradient returned 2 values for 1 input\n";
        assert!(result(Quirk::TwoAdjoints).starts_with(text));
        // Shapes that no broadcast to the output gives, and shapes that would have to be repeated.
        for (shape, shown) in [
            (&[5][..], "(5,)"),
            (&[3], "(3,)"),
            (&[1, 3], "(1, 3)"),
            (&[], "()"),
            (&[7, 2, 3], "(7, 2, 3)"),
        ] {
            let text = format!(
                "Shape(spy: gradient for input 0 has shape {shown}, but the input has shape (2, 3)\n"
            );
            assert!(result(Quirk::Adjoint(shape)).starts_with(&text));
        }
    });
}

#[test]
fn forward_mode_says_that_it_cannot() {
    in_both_modes(|| {
        let x = var(&[3.0]);
        let y = Spy::new(Quirk::None).call(&x);
        let text = error(graph::jvp(&[&y], &[(&x, &data(&[1.0]))]));
        assert_eq!(
            text,
            "Grad(spy: forward mode is not defined for ops that are not of the table)"
        );
        // A graph in which nothing that moves meets the op is no matter.
        let other = var(&[2.0]);
        let z = mul(&y, &other);
        let tangent = graph::jvp(&[&z], &[(&other, &data(&[1.0]))]).unwrap();
        assert_eq!(values(tangent[0].as_ref().unwrap()), [9.0]);
    });
}
