//! Ops of the embedder: in one graph with native ones, and computed once.

use crate::common::spy::{Quirk, Spy};
use crate::common::{
    Tensor, add, array, assert_close, backward, eagerly, exp, gradient, in_both_modes, item,
    lazily, mul, of, scale, sum, values, var, without_leak,
};
use needle_core::graph::{Operation, Types, current_mode, with_mode};

#[test]
fn it_mixes_with_native_ops_and_differentiates_twice() {
    in_both_modes(|| {
        let spy = Spy::new(Quirk::None);
        let x = var(&[2.0]);
        let y = mul(&spy.call(&scale(&x, 3.0)), &x);
        let mut derivative = y;
        for expected in [9.0 * 3.0 * 4.0, 9.0 * 6.0 * 2.0, 9.0 * 6.0] {
            derivative = gradient(&derivative, &x);
            assert_eq!(values(&derivative), [expected]);
        }
    });
}

#[test]
fn it_is_computed_once() {
    in_both_modes(|| {
        let spy = Spy::new(Quirk::None);
        let x = var(&[2.0]);
        // Neither rule reads the value of the op; it is kept all the same.
        let y = add(&spy.call(&scale(&x, 3.0)), &x);
        assert_eq!(values(&y), [38.0]);
        assert_eq!(values(&gradient(&y, &x)), [37.0]);
        assert_eq!(values(&gradient(&y, &x)), [37.0]);
        let square = y.inputs().remove(0);
        assert!(square.is_realised());
        assert_eq!(values(&square), [36.0]);
        assert_eq!(spy.calls(), (1, 2));
    });
}

#[test]
fn it_is_computed_once_where_only_the_gradient_is_read() {
    without_leak(|| {
        lazily(|| {
            let spy = Spy::new(Quirk::None);
            let x = var(&[2.0]);
            let y = sum(&exp(&spy.call(&x)));
            let first = gradient(&y, &x);
            assert_close(&values(&first), &[4.0 * 4.0_f64.exp()]);
            assert_close(&values(&y), &[4.0_f64.exp()]);
            assert_eq!(spy.calls(), (1, 1));
        });
    });
}

/// What a sweep records saves nothing for rules to come, but this is no cache.
#[test]
fn it_is_computed_once_even_in_a_sweep() {
    without_leak(|| {
        let mut mode = current_mode();
        (mode.lazy, mode.transient) = (Some(true), true);
        with_mode(mode, || {
            let spy = Spy::new(Quirk::None);
            let x = var(&[2.0]);
            let y = add(&spy.call(&x), &x);
            assert_eq!(values(&y), [6.0]);
            assert_eq!(values(&y.inputs()[0]), [4.0]);
            assert_eq!(spy.calls().0, 1);
        });
    });
}

#[test]
fn its_inputs_are_kept_until_its_rule_has_run() {
    without_leak(|| {
        eagerly(|| {
            let spy = Spy::new(Quirk::None);
            let x = var(&[2.0]);
            let inner = scale(&x, 3.0);
            let kept = inner.array().unwrap();
            let y = spy.call(&inner);
            drop(inner);
            assert!(!kept.storage().is_private(1));
            assert_eq!(values(&gradient(&y, &x)), [36.0]);
            assert!(kept.storage().is_private(1));
        });
    });
}

#[test]
fn a_lazy_one_with_a_type_rule_waits() {
    without_leak(|| {
        lazily(|| {
            let spy = Spy::new(Quirk::None);
            let y = exp(&spy.call(&var(&[2.0, 3.0])));
            assert_eq!(y.ty().unwrap().shape.as_slice(), [2]);
            assert_eq!(spy.calls(), (0, 0));
            y.array().unwrap();
            assert_eq!(spy.calls(), (1, 0));
        });
    });
}

#[test]
fn a_lazy_one_without_a_type_rule_runs_when_its_type_is_asked_for() {
    without_leak(|| {
        lazily(|| {
            let spy = Spy::new(Quirk::NoTypeRule);
            let square = spy.call(&var(&[2.0, 3.0]));
            assert_eq!(spy.calls().0, 0);
            let y = exp(&square);
            assert_eq!(spy.calls().0, 1, "exp has to know");
            assert_eq!(y.ty().unwrap().shape.as_slice(), [2]);
            assert!(!y.is_realised());
            assert_eq!(values(&square), [4.0, 9.0]);
            assert_eq!(spy.calls().0, 1);
        });
    });
}

#[test]
fn a_tuple() {
    in_both_modes(|| {
        let spy = Spy::new(Quirk::Tuple);
        let x = var(&[3.0]);
        let both = spy.call(&x);
        assert!(matches!(both.operation(), Some(Operation::Foreign(_))));
        let (plain, square) = (item(&both, 0), item(&both, 1));
        assert_eq!(values(&gradient(&mul(&plain, &square), &x)), [27.0]);
        assert_eq!(values(&gradient(&square, &x)), [6.0]);
        assert_eq!(values(&gradient(&plain, &x)), [1.0]);
        assert!(matches!(both.types().unwrap(), Types::Many(types) if types.len() == 2));
        assert_eq!(spy.calls(), (1, 3));
    });
}

#[test]
fn what_it_returns_is_fitted() {
    in_both_modes(|| {
        let matrix = Tensor::leaf(array(&[0.5; 6], &[2, 3]), true);
        // Axes that a broadcast to the output has put in front are summed, none means none.
        let spy = Spy::new(Quirk::Adjoint(&[1, 2, 3]));
        let gradient = gradient(&spy.call(&matrix), &matrix);
        assert_eq!(gradient.ty().unwrap(), matrix.ty().unwrap());
        assert_eq!(values(&gradient), [1.0; 6]);
        let silent = Spy::new(Quirk::NoAdjoint).call(&matrix);
        assert!(of(&backward(&silent), &matrix).is_none());
    });
}

#[test]
fn its_gradient_runs_in_the_sweep_for_a_pending_leaf() {
    in_both_modes(|| {
        let spy = Spy::new(Quirk::None);
        let (x, w) = (crate::common::data(&[2.0]), var(&[5.0]));
        let y = spy.call(&mul(&x, &w));
        let pending = of(&backward(&y), &x).unwrap();
        assert_eq!(spy.calls().1, 1);
        assert!(!pending.is_realised());
        assert_eq!(values(&pending), [2.0 * 10.0 * 5.0]);
        assert_eq!(values(&y), [100.0]);
        assert_eq!(spy.calls(), (1, 1));
    });
}
