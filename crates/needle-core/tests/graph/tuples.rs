//! Ops with several outputs: one adjoint for each, and none made for those without.

use crate::common::{
    add, array, assert_close, backward, call, call_with, data, error, exp, gradient, in_both_modes,
    item, mul, of, scale, sum, values, var, width,
};
use needle_core::ops::{Attr, Attrs, Constant, arithmetic, joining, tuple};
use needle_core::{Tensor, graph};

fn split(x: &Tensor, axis: isize) -> Tensor {
    call_with(&joining::SPLIT, Attrs::one(Attr::Int(axis)), &[x])
}

fn stack(parts: &[&Tensor]) -> Tensor {
    call_with(&joining::STACK, Attrs::one(Attr::Int(0)), parts)
}

fn matrix() -> Tensor {
    Tensor::leaf(array(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 3]), true)
}

#[test]
fn missing_parts_are_zero() {
    in_both_modes(|| {
        let x = matrix();
        let parts = split(&x, 1);
        assert_eq!(width(&parts), 3);
        let second = item(&parts, 1);
        assert_eq!(values(&second), [2.0, 5.0]);
        let gradient = gradient(&mul(&second, &second), &x);
        assert_eq!(values(&gradient), [0.0, 4.0, 0.0, 0.0, 10.0, 0.0]);
    });
}

#[test]
fn one_part_twice_and_another_once() {
    in_both_modes(|| {
        let x = matrix();
        let parts = split(&x, 0);
        let (a, again, b) = (item(&parts, 0), item(&parts, -2), item(&parts, 1));
        let y = add(&mul(&a, &again), &scale(&b, 7.0));
        let gradients = backward(&y);
        assert_eq!(
            values(&of(&gradients, &x).unwrap()),
            [2.0, 4.0, 6.0, 7.0, 7.0, 7.0]
        );
        assert_eq!(values(&of(&gradients, &a).unwrap()), [1.0, 2.0, 3.0]);
        assert!(
            of(&gradients, &parts).is_none(),
            "a tuple has no gradient of one tensor"
        );
    });
}

#[test]
fn a_tuple_that_is_held_gets_no_gradient_even_with_one_part() {
    in_both_modes(|| {
        let x = var(&[2.0]);
        let tuple = call(&tuple::MAKE_TUPLE, &[&x]);
        let gradients = backward(&exp(&item(&tuple, 0)));
        assert!(of(&gradients, &tuple).is_none());
        assert!(of(&gradients, &x).is_some());
    });
}

#[test]
fn there_and_back() {
    in_both_modes(|| {
        let x = matrix();
        let parts = split(&x, 0);
        let swapped = stack(&[&item(&parts, 1), &item(&parts, 0)]);
        drop(parts);
        assert_eq!(values(&swapped), [4.0, 5.0, 6.0, 1.0, 2.0, 3.0]);
        let weights = Tensor::leaf(array(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 3]), false);
        let first = gradient(&mul(&mul(&swapped, &swapped), &weights), &x);
        assert_eq!(values(&first), [8.0, 20.0, 36.0, 8.0, 20.0, 36.0]);
        let second = gradient(&sum(&first), &x);
        assert_eq!(values(&second), [8.0, 10.0, 12.0, 2.0, 4.0, 6.0]);
    });
}

#[test]
fn parts_of_different_types() {
    in_both_modes(|| {
        let (a, b) = (var(&[1.0, 2.0]), matrix());
        let tuple = call(&tuple::MAKE_TUPLE, &[&exp(&a), &b]);
        assert_eq!(item(&tuple, 1).ty().unwrap().shape.as_slice(), [2, 3]);
        let gradients = backward(&scale(&item(&tuple, 1), 3.0));
        assert_eq!(values(&of(&gradients, &b).unwrap()), [3.0; 6]);
        assert!(of(&gradients, &a).is_none(), "nothing flowed");
        let found = values(&gradient(&item(&tuple, 0), &a));
        assert_close(&found, &[1.0_f64.exp(), 2.0_f64.exp()]);
    });
}

#[test]
fn fused_sums() {
    in_both_modes(|| {
        let x = var(&[1.0]);
        let constants = [1.5, -2.0].map(|c| Attr::Scalar(Constant::float(c)));
        let both = call_with(&tuple::FUSED_ADD_SCALARS, Attrs::of(constants), &[&x]);
        let (a, b) = (item(&both, 0), item(&both, 1));
        assert_eq!((values(&a), values(&b)), (vec![2.5], vec![-1.0]));
        assert_eq!(values(&gradient(&mul(&a, &b), &x)), [1.5]);
        assert_eq!(values(&gradient(&b, &x)), [1.0]);
        let tangent = graph::jvp(&[&a, &b], &[(&x, &data(&[10.0]))]).unwrap();
        assert!(
            tangent
                .iter()
                .all(|t| values(t.as_ref().unwrap()) == [10.0])
        );
    });
}

#[test]
fn mistakes() {
    in_both_modes(|| {
        let x = matrix();
        let parts = split(&x, 0);
        let pick = |tensor: &Tensor, i| {
            error(graph::apply(
                &tuple::TUPLE_GET_ITEM,
                Attrs::one(Attr::Int(i)),
                &[tensor],
            ))
        };
        let text = "Index(tuple_get_item: index 2 is out of range for a tuple of 2)";
        assert_eq!(pick(&parts, 2), text);
        assert!(pick(&parts, -3).contains("index -3 is out of range"));
        assert_eq!(
            pick(&x, 0),
            "DType(tuple_get_item: expected a tuple of tensors)"
        );
        let sum = graph::apply(&arithmetic::ADD, Attrs::none(), &[&parts, &x]);
        assert_eq!(
            error(sum),
            "DType(add: expected a tensor, got a tuple of tensors)"
        );
        assert_eq!(
            error(parts.ty()),
            "DType(expected a tensor, got a tuple of tensors)"
        );
        assert!(parts.array().is_err() && graph::backward(&parts, None).is_err());
    });
}

#[test]
fn forward_mode_through_tuples() {
    in_both_modes(|| {
        let (a, b) = (var(&[1.0]), var(&[2.0]));
        let tuple = call(&tuple::MAKE_TUPLE, &[&mul(&a, &a), &b]);
        let y = add(&item(&tuple, 0), &item(&tuple, 1));
        let tangent = graph::jvp(&[&y], &[(&a, &data(&[10.0]))]).unwrap();
        assert_eq!(values(tangent[0].as_ref().unwrap()), [20.0]);
    });
}
