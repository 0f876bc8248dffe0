//! Adjoints behind common functions in one pass, where the algebra would take several.
//!
//! Each is an op like any other, with a derivative of its own, so that derivatives of any
//! order follow; the rules of the functions use them.

use super::algebra::sum_of;
use super::arithmetic::same_dtype;
use super::elementary::half;
use super::softmax::{AXIS, along_axis, total};
use super::{
    Attr, Attrs, Constant, Derivative, Domain, Expr, Inputs, Needs, OpDef, Run, Sample, Site,
    Tangent, TypeRef,
};
use crate::error::Result;
use crate::kernels::cast::cast;
use crate::kernels::elementwise::{self, Function};
use crate::kernels::{math, softmax};
use crate::shape::{self, TensorType};

const GY: Inputs = Inputs::Named(&["g", "y"]);
const READS: Needs = Needs::X0.and(Needs::X1);

/// Rows: adjoints behind functions of one operand, `g` times the derivative at the argument `a`:
/// of the value it would be computed without the digits that the value has lost where it saturates.
/// Name, class, function, the product of an adjoint and the derivative of the derivative, and
/// documentation. The list of the family is made of them.
macro_rules! slopes {
    ($ops:ident: $($(#[$doc:meta])* $item:ident, $name:literal, $class:literal, $function:expr,
     $second:expr, $formula:literal;)*) => {
        $(
            $(#[$doc])*
            pub static $item: OpDef = OpDef {
                name: $name,
                class: $class,
                numpy: &[],
                doc: concat!(
                    $formula,
                    ", 0 wherever a factor is 0.\n\nShapes broadcast as in NumPy; the dtype is the promoted one, integers give floats. Raises ShapeError where the shapes do not fit."
                ),
                inputs: Inputs::Named(&["g", "a"]),
                params: &[],
                run: crate::ops::elementwise! {
                    infer: |_, t| {
                        let ty = same_dtype($name, t)?;
                        Ok(TensorType {
                            dtype: ty.dtype.to_float(),
                            ..ty
                        })
                    },
                    function: |_| Function::Zip($function),
                },
                derivative: Derivative::Rule {
                    needs: READS,
                    vjp: |s, h, i| Some(slope_term(s, h[0]?, i, &$item, $second)),
                    jvp: Tangent::Rule(|s, t| {
                        sum_of([0, 1].map(|i| t[i].map(|t| slope_term(s, t, i, &$item, $second))))
                    }),
                },
                samples: &[
                    Sample::plain(&[(&[2, 3], Domain::Real), (&[2, 3], Domain::Real)]),
                    Sample::plain(&[(&[3], Domain::Real), (&[2, 1], Domain::Real)]),
                ],
            };
        )*
        /// The ops of these rows.
        pub(super) const $ops: &[&OpDef] = &[$(&$item),*];
    };
}

/// The chain product of an adjoint or tangent and the derivative of `op` by input `i`.
fn slope_term<'a>(
    s: &Site<'a>,
    h: Expr<'a>,
    i: usize,
    op: &'static OpDef,
    second: fn(Expr<'a>, Expr<'a>) -> Expr<'a>,
) -> Expr<'a> {
    let (g, a) = (s.x(0), s.x(1));
    if i == 0 {
        h.with(op, Attrs::none(), a)
    } else {
        // In floats: integers would wrap.
        second(h.chain(g), a.cast(a.dtype().to_float()))
    }
}

slopes! { SLOPES:
    /// Adjoint behind a hyperbolic tangent.
    TANH_GRADIENT, "tanh_gradient", "TanhGradient", &math::TANH_SLOPE,
    |c, a| c.with(&TANH_CURVATURE, Attrs::none(), a),
    "Elementwise `g (1 - tanh(a)^2)`: the adjoint behind `tanh(a)`";
    /// Adjoint behind a logistic function.
    SIGMOID_GRADIENT, "sigmoid_gradient", "SigmoidGradient", &math::SIGMOID_SLOPE,
    |c, a| c.with(&SIGMOID_CURVATURE, Attrs::none(), a),
    "Elementwise `g s (1 - s)` with `s = sigmoid(a)`: the adjoint behind `sigmoid(a)`";
    /// Second derivative of a hyperbolic tangent.
    TANH_CURVATURE, "tanh_curvature", "TanhCurvature", &math::TANH_CURVATURE,
    |c, a| c.with(&TANH_THIRD, Attrs::none(), a),
    "Elementwise `-2 g tanh(a) (1 - tanh(a)^2)`: `g` times the second derivative of `tanh(a)`";
    /// Second derivative of a logistic function.
    SIGMOID_CURVATURE, "sigmoid_curvature", "SigmoidCurvature", &math::SIGMOID_CURVATURE,
    |c, a| c.with(&SIGMOID_THIRD, Attrs::none(), a),
    "Elementwise `g s (1 - s) (1 - 2 s)` with `s = sigmoid(a)`: `g` times the second derivative of `sigmoid(a)`";
    /// Third derivative of a hyperbolic tangent.
    TANH_THIRD, "tanh_third", "TanhThird", &math::TANH_THIRD,
    // -2 t (1 - t^2) (12 t^2 - 8)
    |c, a| c.chain(of_square(a.tanh(), 12, -8)).with(&TANH_CURVATURE, Attrs::none(), a),
    "Elementwise `g (1 - t^2) (6 t^2 - 2)` with `t = tanh(a)`: `g` times the third derivative of `tanh(a)`";
    /// Third derivative of a logistic function.
    SIGMOID_THIRD, "sigmoid_third", "SigmoidThird", &math::SIGMOID_THIRD,
    // s (1 - s) (1 - 2 s) (3 t^2 - 2) with t = tanh(a / 2)
    |c, a| c.chain(of_square(half(a).tanh(), 3, -2)).with(&SIGMOID_CURVATURE, Attrs::none(), a),
    "Elementwise `g s (1 - s) (1 - 6 s (1 - s))` with `s = sigmoid(a)`: `g` times the third derivative of `sigmoid(a)`";
    /// Adjoint behind an error function.
    ERF_GRADIENT, "erf_gradient", "ErfGradient", &math::ERF_SLOPE,
    |c, a| c.chain(a.mul_scalar(Constant::int(-2))).with(&ERF_GRADIENT, Attrs::none(), a),
    "Elementwise `g 2 / sqrt(pi) exp(-a^2)`: the adjoint behind `erf(a)`";
    /// Adjoint behind a normal distribution function.
    NORMAL_GRADIENT, "normal_gradient", "NormalGradient", &math::NORMAL_DENSITY,
    |c, a| c.chain(-a).with(&NORMAL_GRADIENT, Attrs::none(), a),
    "Elementwise `g exp(-a^2 / 2) / sqrt(2 pi)`: the adjoint behind the distribution function of the standard normal distribution";
    /// Adjoint behind a Gaussian error linear unit.
    GELU_GRADIENT, "gelu_gradient", "GeluGradient", &math::GELU_SLOPE,
    |c, a| c.chain(two_less(a * a)).with(&NORMAL_GRADIENT, Attrs::none(), a),
    "Elementwise `g (F(a) + a f(a))` with the normal distribution function `F` and density `f`: the adjoint behind `gelu(a)`";
    /// Adjoint behind a sigmoid linear unit.
    SILU_GRADIENT, "silu_gradient", "SiluGradient", &math::SILU_SLOPE,
    // s (1 - s) (2 + a (1 - 2 s)), where 1 - 2 s is -tanh(a / 2).
    |c, a| c.chain(two_less(a * half(a).tanh())).with(&SIGMOID_GRADIENT, Attrs::none(), a),
    "Elementwise `g s (1 + a (1 - s))` with `s = sigmoid(a)`: the adjoint behind `silu(a)`";
}

/// The others.
pub(super) const OPS: &[&OpDef] = &[&RELU_GRADIENT, &SOFTMAX_GRADIENT, &LOG_SOFTMAX_GRADIENT];

/// `factor x^2 + offset`.
fn of_square(x: Expr, factor: i64, offset: i64) -> Expr {
    (x * x)
        .mul_scalar(Constant::int(factor))
        .add_scalar(Constant::int(offset))
}

/// `2 - x`.
fn two_less(x: Expr) -> Expr {
    (-x).add_scalar(Constant::int(2))
}

/// Adjoint behind a rectifier.
pub static RELU_GRADIENT: OpDef = OpDef {
    name: "relu_gradient",
    class: "ReluGradient",
    numpy: &[],
    doc: "Elementwise `g` where `y` is above 0, else 0: the adjoint behind `relu(y)`.\n\nShapes broadcast as in NumPy; the dtype is the promoted one. The derivative by `y` is 0. Raises ShapeError where the shapes do not fit.",
    inputs: GY,
    params: &[],
    run: crate::ops::elementwise! {
        infer: |_, t| same_dtype("relu_gradient", t),
        function: |_| Function::Zip(&elementwise::RELU_GRADIENT),
    },
    derivative: Derivative::Rule {
        needs: Needs::X1,
        vjp: |s, h, i| match i {
            0 => Some(h[0]?.with(&RELU_GRADIENT, Attrs::none(), s.x(1))),
            _ => None,
        },
        jvp: Tangent::Rule(|s, t| Some(t[0]?.with(&RELU_GRADIENT, Attrs::none(), s.x(1)))),
    },
    samples: &[
        Sample::plain(&[(&[2, 3], Domain::Real), (&[2, 3], Domain::Nonzero)]),
        Sample::plain(&[(&[3], Domain::Real), (&[2, 1], Domain::Nonzero)]),
    ],
};

/// The type of an adjoint along an axis: both operands have one shape.
fn pair(op: &str, attrs: &Attrs, types: &[TypeRef]) -> Result<TensorType> {
    shape::check_same(op, types[0].shape, types[1].shape)?;
    let mut ty = along_axis(op, attrs, types)?;
    ty.dtype = ty.dtype.promote(types[1].dtype.to_float());
    Ok(ty)
}

const SAMPLES: &[Sample] = &[
    Sample::with(
        || Attrs::one(Attr::Int(-1)),
        &[(&[2, 3], Domain::Real), (&[2, 3], Domain::Real)],
    ),
    Sample::with(
        || Attrs::one(Attr::Int(0)),
        &[(&[3, 2, 2], Domain::Real), (&[3, 2, 2], Domain::Real)],
    ),
];

/// Both operands in the dtype of the result: products of integers would wrap.
fn in_floats<'a>(s: &Site<'a>) -> (Expr<'a>, Expr<'a>) {
    let dtype = s.y().dtype();
    (s.x(0).cast(dtype), s.x(1).cast(dtype))
}

/// Adjoint behind a softmax.
pub static SOFTMAX_GRADIENT: OpDef = OpDef {
    name: "softmax_gradient",
    class: "SoftmaxGradient",
    numpy: &[],
    doc: "`y (g - sum(g y))` along `axis`: the adjoint behind `y = softmax(a)`.\n\n`g` and `y` have one shape; integers give floats. Raises ShapeError where the shapes differ, AxisError for an axis that they do not have.",
    inputs: GY,
    params: AXIS,
    run: Run::One {
        infer: |attrs, t| pair("softmax_gradient", attrs, t),
        forward: |attrs, x, ty| {
            let axis = shape::normalize_axis("softmax_gradient", attrs.int(0), x[1].ndim())?;
            let (g, y) = (cast(x[0], ty.dtype)?, cast(x[1], ty.dtype)?);
            softmax::softmax_gradient(&g, &y, axis)
        },
    },
    derivative: Derivative::Rule {
        needs: READS,
        vjp: |s, h, i| {
            let (h, (g, y)) = (h[0]?, in_floats(s));
            // For a given y the Jacobian by g is symmetric.
            Some(match i {
                0 => h.with(&SOFTMAX_GRADIENT, s.attrs.clone(), y),
                _ => h.chain(g - total(s, g.chain(y))) - g.chain(total(s, h.chain(y))),
            })
        },
        jvp: Tangent::Rule(|s, t| {
            let (g, y) = in_floats(s);
            let by_g = t[0].map(|t| t.with(&SOFTMAX_GRADIENT, s.attrs.clone(), y));
            let by_y =
                t[1].map(|t| t.chain(g - total(s, g.chain(y))) - y.chain(total(s, g.chain(t))));
            sum_of([by_g, by_y])
        }),
    },
    samples: SAMPLES,
};

/// Adjoint behind the logarithm of a softmax.
pub static LOG_SOFTMAX_GRADIENT: OpDef = OpDef {
    name: "log_softmax_gradient",
    class: "LogSoftmaxGradient",
    numpy: &[],
    doc: "`g - exp(y) sum(g)` along `axis`: the adjoint behind `y = log_softmax(a)`.\n\n`g` and `y` have one shape; integers give floats. Raises ShapeError where the shapes differ, AxisError for an axis that they do not have.",
    inputs: GY,
    params: AXIS,
    run: Run::One {
        infer: |attrs, t| pair("log_softmax_gradient", attrs, t),
        forward: |attrs, x, ty| {
            let axis = shape::normalize_axis("log_softmax_gradient", attrs.int(0), x[1].ndim())?;
            let (g, y) = (cast(x[0], ty.dtype)?, cast(x[1], ty.dtype)?);
            softmax::log_softmax_gradient(&g, &y, axis)
        },
    },
    derivative: Derivative::Rule {
        needs: READS,
        vjp: |s, h, i| {
            let (h, (g, y)) = (h[0]?, in_floats(s));
            let share = h.chain(y.exp());
            Some(match i {
                0 => h - total(s, share),
                _ => -share.chain(total(s, g)),
            })
        },
        jvp: Tangent::Rule(|s, t| {
            let (g, y) = in_floats(s);
            let by_g = t[0].map(|t| t.with(&LOG_SOFTMAX_GRADIENT, s.attrs.clone(), y));
            let by_y = t[1].map(|t| -t.chain(y.exp()).chain(total(s, g)));
            sum_of([by_g, by_y])
        }),
    },
    samples: SAMPLES,
};
