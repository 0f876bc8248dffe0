//! Elementary functions of one operand: a row each, with the derivative written once.

use super::{
    Attrs, Constant, Derivative, Domain, Expr, Inputs, Needs, OpDef, Partial, Sample, Site,
    TypeRef, slopes,
};
use crate::error::Result;
use crate::kernels::elementwise::{self, Function};
use crate::kernels::math;
use crate::shape::TensorType;

/// Real-valued functions work in float.
pub(super) fn real(types: &[TypeRef]) -> TensorType {
    TensorType::new(types[0].shape, types[0].dtype.to_float())
}

/// Piecewise linear functions keep the dtype.
fn kept(types: &[TypeRef]) -> TensorType {
    TensorType::new(types[0].shape, types[0].dtype)
}

/// Rows: name, class, names in NumPy, function, result type, domain of the samples, derivative,
/// documentation. The list of the family is made of them.
macro_rules! unary {
    ($ops:ident: $($(#[$doc:meta])* $item:ident, $name:literal, $class:literal, $numpy:expr,
     $function:expr, $infer:expr, $domain:ident, $partial:expr, $text:literal;)*) => {
        $(
            $(#[$doc])*
            pub static $item: OpDef = OpDef {
                name: $name,
                class: $class,
                numpy: &$numpy,
                doc: $text,
                inputs: Inputs::Named(&["a"]),
                params: &[],
                run: crate::ops::elementwise! {
                    infer: |_: &Attrs, types: &[TypeRef]| -> Result<TensorType> {
                        Ok($infer(types))
                    },
                    function: |_| Function::Map($function),
                },
                derivative: Derivative::Elementwise(&[$partial]),
                samples: &[
                    Sample::plain(&[(&[2, 3], Domain::$domain)]),
                    Sample::plain(&[(&[], Domain::$domain)]),
                ],
            };
        )*
        /// The ops of these rows.
        pub(super) const $ops: &[&OpDef] = &[$(&$item),*];
    };
}

pub(super) use unary;

unary! { OPS:
    /// Absolute value.
    ABS, "abs", "Abs", ["absolute"], &elementwise::ABS, kept, Nonzero,
    Partial::Of(Needs::X0, |s| s.x(0).sign()),
    "Elementwise absolute value.\n\nShape and dtype of `a`. The derivative is the sign, 0 at 0.";
    /// Sign.
    SIGN, "sign", "Sign", ["sign"], &elementwise::SIGN, kept, Nonzero,
    Partial::Of(Needs::NOTHING, |s| s.x(0).full_like(0.0)),
    "Elementwise sign: -1, 0 or 1; NaN for NaN.\n\nShape and dtype of `a`. The derivative is 0 everywhere.";
    /// Square root.
    SQRT, "sqrt", "Sqrt", ["sqrt"], &math::SQRT, real, Positive,
    Partial::Of(Needs::Y, |s| half(s.y().reciprocal())),
    "Elementwise square root; NaN below 0.\n\nShape of `a`; integers give floats. The derivative is `1 / (2 sqrt(a))`, infinite at 0: a zero adjoint there gives 0.";
    /// Exponential.
    EXP, "exp", "Exp", ["exp"], &math::EXP, real, Real,
    Partial::Of(Needs::Y, exponential_derivative),
    "Elementwise exponential.\n\nShape of `a`; integers give floats. The derivative is the value itself.";
    /// Natural logarithm.
    LOG, "log", "Log", ["log"], &math::LOG, real, Positive,
    Partial::Of(Needs::X0, |s| s.x(0).reciprocal()),
    "Elementwise natural logarithm; -inf at 0, NaN below.\n\nShape of `a`; integers give floats. The derivative is `1 / a`.";
    /// Natural logarithm of 1 more.
    LOG1P, "log1p", "Log1p", ["log1p"], &math::LOG1P, real, Positive,
    Partial::Of(Needs::X0, |s| real_input(s).add_scalar(Constant::int(1)).reciprocal()),
    "Elementwise natural logarithm of `1 + a`, to the last digits for small `a`; -inf at -1, NaN below.\n\nShape of `a`; integers give floats. The derivative is `1 / (1 + a)`.";
    /// Sine.
    SIN, "sin", "Sin", ["sin"], &math::SIN, real, Real,
    Partial::Of(Needs::X0, |s| s.x(0).cos()),
    "Elementwise sine of angles in radians.\n\nShape of `a`; integers give floats.";
    /// Cosine.
    COS, "cos", "Cos", ["cos"], &math::COS, real, Real,
    Partial::Of(Needs::X0, |s| -s.x(0).sin()),
    "Elementwise cosine of angles in radians.\n\nShape of `a`; integers give floats.";
    /// Hyperbolic tangent.
    TANH, "tanh", "Tanh", ["tanh"], &math::TANH, real, Real,
    Partial::Fused(&slopes::TANH_GRADIENT),
    "Elementwise hyperbolic tangent.\n\nShape of `a`; integers give floats. The derivative is `1 - tanh(a)^2`, without cancellation at either end.";
    /// Logistic function.
    SIGMOID, "sigmoid", "Sigmoid", [], &math::SIGMOID, real, Real,
    Partial::Fused(&slopes::SIGMOID_GRADIENT),
    "Elementwise logistic function `1 / (1 + exp(-a))`, without overflow at either end.\n\nShape of `a`; integers give floats. The derivative is `sigmoid(a) sigmoid(-a)`.";
    /// Rectifier.
    RELU, "relu", "ReLU", [], &elementwise::RELU, kept, Nonzero,
    Partial::Fused(&slopes::RELU_GRADIENT),
    "Elementwise `max(a, 0)`; NaN for NaN.\n\nShape and dtype of `a`. The derivative is 1 above 0 and 0 elsewhere, 0 at 0 included; the second derivative is 0.";
    /// Error function.
    ERF, "erf", "Erf", [], &math::ERF, real, Real,
    Partial::Fused(&slopes::ERF_GRADIENT),
    "Elementwise error function, `2 / sqrt(pi)` times the integral of `exp(-t^2)` from 0 to `a`.\n\nShape of `a`; integers give floats. The derivative is `2 / sqrt(pi) exp(-a^2)`.";
}

/// `x / 2`.
pub(super) fn half(x: Expr) -> Expr {
    x.mul_scalar(Constant::float(0.5))
}

/// The input in floats, for arithmetic in which integers would wrap.
fn real_input<'a>(s: &Site<'a>) -> Expr<'a> {
    s.x(0).cast(s.x(0).dtype().to_float())
}

/// The exponential is its own derivative. (`Site::y` itself is not general enough in its
/// lifetime for the table.)
fn exponential_derivative<'a>(s: &Site<'a>) -> Expr<'a> {
    s.y()
}
