//! The larger and the smaller of two operands.

use super::arithmetic::{AB, same_dtype};
use super::{Derivative, Domain, Needs, OpDef, Partial, Sample};
use crate::kernels::elementwise::{self, Function};

/// The ops of this file.
pub(super) const OPS: &[&OpDef] = &[&MAXIMUM, &MINIMUM];

/// 1 where `s.x(i)` is strictly beyond the other in the direction of `first`, 1/2 at ties.
fn winner<'a>(high: super::Expr<'a>, low: super::Expr<'a>) -> super::Expr<'a> {
    let one = high.constant(1.0).cast(high.dtype().to_float());
    let tie = high.equal(low).select(one.constant(0.5), one.constant(0.0));
    high.greater(low).select(one, tie)
}

const EXTREMA: &[Sample] = &[
    Sample::plain(&[(&[2, 3], Domain::Distinct), (&[2, 3], Domain::Real)]),
    Sample::plain(&[(&[2, 1], Domain::Distinct), (&[3], Domain::Real)]),
];

/// Larger of two.
pub static MAXIMUM: OpDef = OpDef {
    name: "maximum",
    class: "Maximum",
    numpy: &["maximum"],
    doc: "Elementwise larger of `a` and `b`; NaN where either is NaN.\n\nShapes broadcast; the dtype is the promoted one. At ties the derivative is 1/2 for each. Raises ShapeError where the shapes do not fit.",
    inputs: AB,
    params: &[],
    run: crate::ops::elementwise! {
        infer: |_, t| same_dtype("maximum", t),
        function: |_| Function::Zip(&elementwise::MAXIMUM),
    },
    derivative: Derivative::Elementwise(&[
        Partial::Of(Needs::X0.and(Needs::X1), |s| winner(s.x(0), s.x(1))),
        Partial::Of(Needs::X0.and(Needs::X1), |s| winner(s.x(1), s.x(0))),
    ]),
    samples: EXTREMA,
};

/// Smaller of two.
pub static MINIMUM: OpDef = OpDef {
    name: "minimum",
    class: "Minimum",
    numpy: &["minimum"],
    doc: "Elementwise smaller of `a` and `b`; NaN where either is NaN.\n\nShapes broadcast; the dtype is the promoted one. At ties the derivative is 1/2 for each. Raises ShapeError where the shapes do not fit.",
    inputs: AB,
    params: &[],
    run: crate::ops::elementwise! {
        infer: |_, t| same_dtype("minimum", t),
        function: |_| Function::Zip(&elementwise::MINIMUM),
    },
    derivative: Derivative::Elementwise(&[
        Partial::Of(Needs::X0.and(Needs::X1), |s| winner(s.x(1), s.x(0))),
        Partial::Of(Needs::X0.and(Needs::X1), |s| winner(s.x(0), s.x(1))),
    ]),
    samples: EXTREMA,
};
