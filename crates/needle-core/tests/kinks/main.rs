//! What derivatives are where there are none: one row for each convention at a kink, in
//! reverse and in forward mode, eagerly and lazily.

#[path = "../common/mod.rs"]
mod common;
mod rows;

use common::{
    Tensor, add, array, backward, call, call_with, data, eagerly, gradient, in_both_modes, mul, of,
    sum, values, var, without_leak,
};
use needle_core::ops::{Attr, Attrs, arithmetic, comparison, elementary, reduction};
use needle_core::{Array, graph};
use rows::ROWS;

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

#[test]
fn reverse_mode_keeps_the_conventions() {
    in_both_modes(|| {
        for (name, f, x, y, by_x, by_y) in ROWS {
            let (x, y) = (var(x), var(y));
            let gradients = backward(&f(&x, &y));
            for (variable, expected) in [(&x, by_x), (&y, by_y)] {
                let found = of(&gradients, variable).map_or_else(|| vec![0.0; 2], |g| values(&g));
                assert_eq!(found, expected, "{name}");
            }
        }
    });
}

#[test]
fn forward_mode_keeps_the_conventions() {
    in_both_modes(|| {
        for (name, f, x, y, by_x, by_y) in ROWS {
            let (x, y) = (var(x), var(y));
            let result = sum(&f(&x, &y));
            for (variable, expected) in [(&x, by_x), (&y, by_y)] {
                for (i, &expected) in expected.iter().enumerate() {
                    let mut unit = [0.0; 2];
                    unit[i] = 1.0;
                    let tangent = graph::jvp(&[&result], &[(variable, &data(&unit))]).unwrap();
                    let found = tangent[0].as_ref().map_or(0.0, |t| values(t)[0]);
                    assert_eq!(found, expected, "{name}, element {i}");
                }
            }
        }
    });
}

#[test]
fn several_ties_share_equally() {
    in_both_modes(|| {
        let x = Tensor::leaf(array(&[2.0, 1.0, 2.0, 5.0, 2.0, 5.0], &[2, 3]), true);
        let by_row = Attrs::of([Attr::Ints([1].into()), Attr::Bool(false)]);
        let gradient = gradient(&call_with(&reduction::MAX, by_row, &[&x]), &x);
        assert_eq!(values(&gradient), [0.5, 0.0, 0.5, 0.5, 0.0, 0.5]);
    });
}

#[test]
fn the_second_derivative_of_relu_and_abs_is_zero() {
    without_leak(|| {
        let x = var(&[-1.0, 0.0, 2.0]);
        let y = add(
            &call(&elementary::RELU, &[&x]),
            &call(&elementary::ABS, &[&x]),
        );
        let first = gradient(&mul(&y, &x), &x);
        // y + x y' twice differentiated is 2 y' off the kinks, and so by convention at 0.
        assert_eq!(values(&gradient(&first, &x)), [-2.0, 0.0, 4.0]);
    });
}

#[test]
fn forward_arithmetic_stays_ieee() {
    without_leak(|| {
        let product = eagerly(|| mul(&data(&[0.0, 0.0]), &data(&[INF, NAN])));
        assert!(values(&product).iter().all(|v| v.is_nan()));
        let chain = call(
            &arithmetic::CHAIN_PRODUCT,
            &[&data(&[0.0, INF]), &data(&[NAN, 0.0])],
        );
        assert_eq!(values(&chain), [0.0, 0.0]);
    });
}

#[test]
fn a_bool_mask_selects() {
    in_both_modes(|| {
        let x = var(&[INF, 2.0]);
        let mask = Tensor::leaf(
            Array::from_slice(&[false.into(), needle_core::dtype::Bool(7)], &[2]).unwrap(),
            false,
        );
        let y = call(&comparison::WHERE, &[&mask, &mul(&x, &x), &data(&[1.0])]);
        assert_eq!(values(&y), [1.0, 4.0]);
        assert_eq!(values(&gradient(&y, &x)), [0.0, 4.0]);
    });
}
