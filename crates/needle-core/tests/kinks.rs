//! What derivatives are where there are none: one row for each convention at a kink, in
//! reverse and in forward mode, eagerly and lazily.

mod common;

use common::{
    Tensor, add, array, backward, call, call_with, data, eagerly, exp, gradient, in_both_modes,
    mul, of, sum, values, var, without_leak,
};
use needle_core::ops::{Attr, Attrs, Constant, arithmetic, comparison, elementary, reduction};
use needle_core::{Array, graph};

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

/// Gradients of the sum of `f(x, y)` by `x` and by `y`.
type Row = (
    &'static str,
    fn(&Tensor, &Tensor) -> Tensor,
    [f64; 2],
    [f64; 2],
    [f64; 2],
    [f64; 2],
);

fn power(x: &Tensor, exponent: Constant) -> Tensor {
    call_with(&arithmetic::POWER_SCALAR, Attrs::scalar(exponent), &[x])
}

fn whole(keepdims: bool) -> Attrs {
    Attrs::of([Attr::None, Attr::Bool(keepdims)])
}

/// `where(y > 0, f(x), 0)`.
fn masked(y: &Tensor, value: &Tensor) -> Tensor {
    let (condition, zero) = (
        call(&comparison::GREATER, &[y, &data(&[0.0])]),
        data(&[0.0]),
    );
    call(&comparison::WHERE, &[&condition, value, &zero])
}

const ROWS: &[Row] = &[
    (
        "relu",
        |x, _| call(&elementary::RELU, &[x]),
        [0.0, -0.0],
        [0.0; 2],
        [0.0; 2],
        [0.0; 2],
    ),
    (
        "abs",
        |x, _| call(&elementary::ABS, &[x]),
        [0.0, -0.0],
        [0.0; 2],
        [0.0; 2],
        [0.0; 2],
    ),
    (
        "sign",
        |x, _| call(&elementary::SIGN, &[x]),
        [0.0, 2.0],
        [0.0; 2],
        [0.0; 2],
        [0.0; 2],
    ),
    (
        "maximum",
        |x, y| call(&arithmetic::MAXIMUM, &[x, y]),
        [1.0, 2.0],
        [1.0, 1.0],
        [0.5, 1.0],
        [0.5, 0.0],
    ),
    (
        "minimum",
        |x, y| call(&arithmetic::MINIMUM, &[x, y]),
        [1.0, 2.0],
        [1.0, 1.0],
        [0.5, 0.0],
        [0.5, 1.0],
    ),
    (
        "max",
        |x, _| call_with(&reduction::MAX, whole(false), &[x]),
        [3.0, 3.0],
        [0.0; 2],
        [0.5, 0.5],
        [0.0; 2],
    ),
    (
        "min with keepdims",
        |x, _| call_with(&reduction::MIN, whole(true), &[x]),
        [3.0, 3.0],
        [0.0; 2],
        [0.5, 0.5],
        [0.0; 2],
    ),
    (
        "x ** 0",
        |x, _| power(x, Constant::int(0)),
        [0.0, 2.0],
        [0.0; 2],
        [0.0; 2],
        [0.0; 2],
    ),
    (
        "x ** 1",
        |x, _| power(x, Constant::float(1.0)),
        [0.0, 2.0],
        [0.0; 2],
        [1.0; 2],
        [0.0; 2],
    ),
    (
        "x ** 2",
        |x, _| power(x, Constant::float(2.0)),
        [0.0, 2.0],
        [0.0; 2],
        [0.0, 4.0],
        [0.0; 2],
    ),
    (
        "x ** y",
        |x, y| call(&arithmetic::POWER, &[x, y]),
        [0.0, 0.0],
        [0.0, 3.0],
        [0.0, 0.0],
        [0.0, 0.0],
    ),
    (
        "0 ** -1 by the exponent",
        |x, y| call(&arithmetic::POWER, &[&x.detach().unwrap(), y]),
        [0.0, 1.0],
        [-1.0, 5.0],
        [0.0, 0.0],
        [0.0, 0.0],
    ),
    (
        "norm at 0",
        |x, _| call(&elementary::SQRT, &[&sum(&mul(x, x))]),
        [0.0, 0.0],
        [0.0; 2],
        [0.0, 0.0],
        [0.0; 2],
    ),
    (
        "norm by x ** 2",
        |x, _| call(&elementary::SQRT, &[&sum(&power(x, Constant::int(2)))]),
        [0.0, 0.0],
        [0.0; 2],
        [0.0, 0.0],
        [0.0; 2],
    ),
    (
        "sqrt with a zero adjoint",
        |x, y| masked(y, &call(&elementary::SQRT, &[x])),
        [0.0, 4.0],
        [-1.0, 1.0],
        [0.0, 0.25],
        [0.0; 2],
    ),
    (
        "log of 0 in the unused branch",
        |x, y| masked(y, &call(&elementary::LOG, &[x])),
        [0.0, 4.0],
        [-1.0, 1.0],
        [0.0, 0.25],
        [0.0; 2],
    ),
    (
        "infinity and NaN in the unused branch",
        |x, y| masked(y, &mul(&exp(&exp(x)), &call(&elementary::LOG, &[x]))),
        [1000.0, -1.0],
        [-1.0, -1.0],
        [0.0, 0.0],
        [0.0; 2],
    ),
    (
        "division by 0 in the unused branch",
        |x, y| masked(y, &call(&arithmetic::DIVIDE, &[y, x])),
        [0.0, 2.0],
        [0.0, 1.0],
        [0.0, -0.25],
        [0.0, 0.5],
    ),
];

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
