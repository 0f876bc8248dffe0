//! Activation functions beyond the rectifier, the logistic function and tanh.

use super::elementary::{real, unary};
use super::{
    Attrs, Constant, Derivative, Domain, Expr, Inputs, Needs, OpDef, Param, ParamKind, Partial,
    Sample, Site, TypeRef, elementary, slopes,
};
use crate::error::Result;
use crate::kernels::elementwise::{self, Function};
use crate::kernels::math;
use crate::shape::TensorType;

unary! { UNARY:
    /// Softplus.
    SOFTPLUS, "softplus", "Softplus", [], &math::SOFTPLUS, real, Real,
    Partial::Of(Needs::X0, |s| s.x(0).apply(&elementary::SIGMOID, Attrs::none())),
    "Elementwise `log(1 + exp(a))`, without overflow: a smooth rectifier.\n\nShape of `a`; integers give floats. The derivative is `sigmoid(a)`.";
    /// Gaussian error linear unit.
    GELU, "gelu", "GELU", [], &math::GELU, real, Real,
    Partial::Fused(&slopes::GELU_GRADIENT),
    "Elementwise `a F(a)` with the distribution function `F` of the standard normal distribution, `F(a) = (1 + erf(a / sqrt(2))) / 2` (Hendrycks and Gimpel 2016, the exact form).\n\nShape of `a`; integers give floats; 0 at -inf.";
    /// Sigmoid linear unit.
    SILU, "silu", "SiLU", [], &math::SILU, real, Real,
    Partial::Fused(&slopes::SILU_GRADIENT),
    "Elementwise `a sigmoid(a)`, also known as swish (Hendrycks and Gimpel 2016; Ramachandran, Zoph and Le 2017).\n\nShape of `a`; integers give floats; 0 at -inf.";
}

/// Those with a parameter.
pub(super) const OPS: &[&OpDef] = &[&LEAKY_RELU];

fn slope(attrs: &Attrs) -> f64 {
    attrs.constant(0).value.to_f64()
}

/// Leaky rectifier.
pub static LEAKY_RELU: OpDef = OpDef {
    name: "leaky_relu",
    class: "LeakyReLU",
    numpy: &[],
    doc: "Elementwise `a` above 0, else `slope * a`; NaN for NaN (Maas, Hannun and Ng 2013).\n\nShape of `a`; integers give floats. The derivative is 1 above 0 and `slope` elsewhere, `slope` at 0 included.",
    inputs: Inputs::Named(&["a"]),
    params: &[Param::optional("slope", ParamKind::Scalar, "0.01")],
    run: crate::ops::elementwise! {
        infer: |_: &Attrs, types: &[TypeRef]| -> Result<TensorType> { Ok(real(types)) },
        function: |attrs| Function::With(&elementwise::LEAKY_RELU, attrs.constant(0).value),
    },
    derivative: Derivative::Elementwise(&[Partial::Of(Needs::X0, leaky_slope)]),
    samples: &[
        Sample::with(
            || Attrs::scalar(Constant::float(0.125)),
            &[(&[2, 3], Domain::Nonzero)],
        ),
        Sample::with(
            || Attrs::scalar(Constant::float(-0.5)),
            &[(&[], Domain::Nonzero)],
        ),
    ],
};

fn leaky_slope<'a>(s: &Site<'a>) -> Expr<'a> {
    let (x, y) = (s.x(0), s.y());
    x.greater(x.constant(0.0))
        .select(y.constant(1.0), y.constant(slope(s.attrs)))
}
