//! The table: functions, points, and the gradients by convention.

use crate::common::{Tensor, call, call_with, data, exp, mul, sum};
use needle_core::ops::{
    Attr, Attrs, Constant, arithmetic, comparison, elementary, extrema, power, reduction,
};

/// Name, function, the values of `x` and `y`, and the gradients of the sum
/// of `f(x, y)` by `x` and by `y`.
pub type Row = (
    &'static str,
    fn(&Tensor, &Tensor) -> Tensor,
    [f64; 2],
    [f64; 2],
    [f64; 2],
    [f64; 2],
);

fn power(x: &Tensor, exponent: Constant) -> Tensor {
    call_with(&power::POWER_SCALAR, Attrs::scalar(exponent), &[x])
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

pub const ROWS: &[Row] = &[
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
        |x, y| call(&extrema::MAXIMUM, &[x, y]),
        [1.0, 2.0],
        [1.0, 1.0],
        [0.5, 1.0],
        [0.5, 0.0],
    ),
    (
        "minimum",
        |x, y| call(&extrema::MINIMUM, &[x, y]),
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
        |x, y| call(&power::POWER, &[x, y]),
        [0.0, 0.0],
        [0.0, 3.0],
        [0.0, 0.0],
        [0.0, 0.0],
    ),
    (
        "0 ** -1 by the exponent",
        |x, y| call(&power::POWER, &[&x.detach().unwrap(), y]),
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
