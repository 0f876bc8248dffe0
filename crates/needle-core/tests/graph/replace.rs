//! Replaced values (`.data =`): never a silently wrong gradient.

use crate::common::{
    add, assert_close, backward, call, data, eagerly, error, exp, gradient, in_both_modes, lazily,
    mul, of, scale, set, sum, values, var, without_leak,
};
use needle_core::graph::{self, Value};
use needle_core::ops::elementary;
use needle_core::{Array, Error};

#[test]
fn a_rule_that_needs_the_old_value_is_an_error() {
    in_both_modes(|| {
        let x = var(&[2.0]);
        let y = mul(&x, &x);
        set(&x, &[3.0]);
        let result = graph::backward(&y, None);
        assert!(matches!(result, Err(Error::Grad(_))));
        let text = error(result);
        assert!(
            text.starts_with("Grad(multiply: its gradient needs input 0"),
            "{text}"
        );
        assert_eq!(values(&y), [4.0], "what was recorded keeps what it read");
        // The graph is usable.
        assert_eq!(values(&gradient(&mul(&x, &x), &x)), [6.0]);
    });
}

#[test]
fn a_rule_that_does_not_need_it_works() {
    in_both_modes(|| {
        let x = var(&[2.0]);
        // exp reads its own result, a sum and a scaling read nothing.
        let y = sum(&scale(&exp(&x), 3.0));
        if !graph::current_mode().is_lazy() {
            set(&x, &[5.0]);
            assert_close(&values(&gradient(&y, &x)), &[3.0 * 2.0_f64.exp()]);
        }
        let z = add(&x, &scale(&x, 2.0));
        set(&x, &[7.0]);
        assert_eq!(values(&gradient(&z, &x)), [3.0]);
    });
}

#[test]
fn only_the_rules_that_run_count() {
    without_leak(|| {
        eagerly(|| {
            let x = var(&[2.0]);
            // By x the factor is read, and only by the factor x is: nobody holds that.
            let y = mul(&x, &data(&[5.0]));
            set(&x, &[3.0]);
            assert_eq!(values(&gradient(&y, &x)), [5.0]);
        });
    });
}

#[test]
fn a_leaf_that_requires_a_gradient_late() {
    without_leak(|| {
        lazily(|| {
            let (x, c) = (var(&[2.0]), data(&[3.0]));
            // Recorded as the result of an op without gradient: nothing is saved for it.
            let late = exp(&c);
            let y = mul(&x, &late);
            y.array().unwrap();
            late.set_requires_grad(true).unwrap();
            set(&x, &[100.0]);
            let text = error(graph::backward(&y, None));
            assert!(
                text.starts_with("Grad(multiply: its gradient needs input 0"),
                "{text}"
            );
        });
    });
}

#[test]
fn a_replaced_result() {
    without_leak(|| {
        eagerly(|| {
            let x = var(&[2.0]);
            let inner = exp(&x);
            let before = mul(&inner, &inner);
            set(&inner, &[10.0]);
            let after = scale(&inner, 3.0);
            assert_eq!(values(&after), [30.0]);
            let text = error(graph::backward(&before, None));
            assert!(
                text.starts_with("Grad(multiply: its gradient needs input 0"),
                "{text}"
            );
            // The rule of exp would read its result, which is another one now.
            let text = error(graph::backward(&after, None));
            assert!(
                text.starts_with("Grad(exp: its gradient needs its result"),
                "{text}"
            );
            // One that reads its input only is not concerned.
            let sine = call(&elementary::SIN, &[&x]);
            set(&sine, &[9.0]);
            assert_eq!(
                values(&gradient(&scale(&sine, 2.0), &x)),
                [2.0 * 2.0_f64.cos()]
            );
        });
    });
}

/// Computing it again would give what it was before.
#[test]
fn a_replaced_result_stays_without_its_handle() {
    without_leak(|| {
        eagerly(|| {
            let x = var(&[2.0]);
            let inner = scale(&x, 3.0);
            set(&inner, &[10.0]);
            let y = scale(&inner, 5.0);
            drop(inner);
            assert_eq!(values(&gradient(&y, &x)), [15.0]);
            assert_eq!(values(&y.inputs()[0]), [10.0]);
        });
    });
}

#[test]
fn a_dropped_value_cannot_come_back_from_a_replaced_leaf() {
    without_leak(|| {
        eagerly(|| {
            let x = var(&[2.0]);
            // The result of the scaling goes with its handle, before the leaf is replaced.
            let y = exp(&scale(&x, 3.0));
            set(&x, &[5.0]);
            let scaled = y.inputs().remove(0);
            let text = error(scaled.array());
            assert!(
                text.starts_with("Grad(mul_scalar: its value was released"),
                "{text}"
            );
            assert_close(&values(&gradient(&y, &x)), &[3.0 * 6.0_f64.exp()]);
        });
    });
}

#[test]
fn a_second_backward_after_a_step() {
    without_leak(|| {
        eagerly(|| {
            let x = var(&[2.0]);
            let y = exp(&scale(&x, 3.0));
            drop(backward(&y));
            set(&x, &[5.0]);
            // y is held, so its value is there still, and nothing else is read.
            assert_close(&values(&gradient(&y, &x)), &[3.0 * 6.0_f64.exp()]);
            let z = sum(&y);
            drop(y);
            // Now it is gone, and cannot be had again.
            let text = error(graph::backward(&z, None));
            assert!(text.contains("was replaced"), "{text}");
            assert_close(&values(&z), &[6.0_f64.exp()]);
        });
    });
}

#[test]
fn gradients_already_made_do_not_move() {
    in_both_modes(|| {
        let x = var(&[2.0]);
        let first = gradient(&mul(&x, &x), &x);
        set(&x, &[50.0]);
        assert_eq!(values(&first), [4.0]);
    });
}

#[test]
fn the_storage_is_rebound_not_written() {
    in_both_modes(|| {
        let x = data(&[1.0, 2.0]);
        let old = x.array().unwrap();
        set(&x, &[3.0, 4.0]);
        assert_eq!(old.to_f64_vec(), [1.0, 2.0]);
        assert!(old.storage().is_private(1));
        // Another shape and dtype are the embedder's to refuse.
        x.set_value(Value::One(Array::from_slice(&[1_i32], &[1]).unwrap()));
        assert_eq!(x.ty().unwrap().shape.as_slice(), [1]);
        let y = var(&[1.0]);
        drop(exp(&y));
        y.set_value(Value::One(Array::from_slice(&[1.0, 2.0], &[2]).unwrap()));
        assert_eq!(y.ty().unwrap().shape.as_slice(), [2]);
        assert_eq!(values(&of(&backward(&exp(&y)), &y).unwrap()).len(), 2);
    });
}
