//! The loss of a logit: cross-entropy with a sigmoid, whose tails would cancel in any form that is
//! made of the sigmoid or of one softplus.

use super::arithmetic::same_dtype;
use super::{Attrs, Derivative, Domain, Inputs, Needs, OpDef, Partial, Sample, TypeRef, slopes};
use crate::error::Result;
use crate::kernels::elementwise::Function;
use crate::kernels::math;
use crate::shape::TensorType;

/// The ops of this file.
pub(super) const OPS: &[&OpDef] = &[&LOGISTIC_LOSS, &LOGISTIC_RESIDUAL];

const OPERANDS: Inputs = Inputs::Named(&["logits", "target"]);
const SAMPLES: &[Sample] = &[
    Sample::plain(&[(&[2, 3], Domain::Real), (&[2, 3], Domain::Real)]),
    Sample::plain(&[(&[2, 1], Domain::Real), (&[3], Domain::Positive)]),
];

/// The promoted dtype, as a float.
fn real(op: &str, types: &[TypeRef]) -> Result<TensorType> {
    let ty = same_dtype(op, types)?;
    Ok(TensorType {
        dtype: ty.dtype.to_float(),
        ..ty
    })
}

/// Binary cross-entropy of a logit.
pub static LOGISTIC_LOSS: OpDef = OpDef {
    name: "logistic_loss",
    class: "LogisticLoss",
    numpy: &[],
    doc: "Elementwise `target softplus(-logits) + (1 - target) softplus(logits)`: the cross-entropy `-t log(p) - (1 - t) log(1 - p)` of `p = sigmoid(logits)` and targets `t`, without cancellation in either tail.\n\nShapes broadcast as in NumPy; the dtype is the promoted one, integers give floats. At an infinite logit it is 0 where the target is the matching 0 or 1, else infinite. The derivatives are `sigmoid(logits) - target` and `-logits`. Raises ShapeError where the shapes do not fit.",
    inputs: OPERANDS,
    params: &[],
    run: crate::ops::elementwise! {
        infer: |_, t| real("logistic_loss", t),
        function: |_| Function::Zip(&math::LOGISTIC_LOSS),
    },
    derivative: Derivative::Elementwise(&[
        Partial::Of(Needs::X0.and(Needs::X1), |s| {
            s.x(0).with(&LOGISTIC_RESIDUAL, Attrs::none(), s.x(1))
        }),
        Partial::Of(Needs::X0, |s| -s.x(0).cast(s.y().dtype())),
    ]),
    samples: SAMPLES,
};

/// What a sigmoid is off.
pub static LOGISTIC_RESIDUAL: OpDef = OpDef {
    name: "logistic_residual",
    class: "LogisticResidual",
    numpy: &[],
    doc: "Elementwise `sigmoid(logits) - target`, as `(1 - target) sigmoid(logits) - target sigmoid(-logits)`: small without cancellation where the target is 0 or 1. It is the derivative of `logistic_loss`.\n\nShapes broadcast as in NumPy; the dtype is the promoted one, integers give floats. Raises ShapeError where the shapes do not fit.",
    inputs: OPERANDS,
    params: &[],
    run: crate::ops::elementwise! {
        infer: |_, t| real("logistic_residual", t),
        function: |_| Function::Zip(&math::LOGISTIC_RESIDUAL),
    },
    derivative: Derivative::Elementwise(&[
        Partial::Fused(&slopes::SIGMOID_GRADIENT),
        Partial::MinusOne,
    ]),
    samples: SAMPLES,
};
