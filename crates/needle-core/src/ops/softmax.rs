//! The softmax family: fused forward, backward in the algebra.

use super::attrs::REDUCTION_PARAMS;
use super::reduction::{axes_of, reduced_type, site_axes, spread};
use super::{
    Attr, Attrs, Derivative, Domain, Expr, Inputs, Needs, OpDef, Param, ParamKind, Run, Sample,
    Site, Tangent, TypeRef, slopes,
};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernels::cast::cast;
use crate::kernels::softmax;
use crate::shape::{self, TensorType};

/// The ops of this file.
pub(super) const OPS: &[&OpDef] = &[&LOGSUMEXP, &SOFTMAX, &LOG_SOFTMAX];

const A: Inputs = Inputs::Named(&["a"]);
pub(super) const AXIS: &[Param] = &[Param::optional("axis", ParamKind::Int, "-1")];

/// Log of a sum of exponentials.
pub static LOGSUMEXP: OpDef = OpDef {
    name: "logsumexp",
    class: "LogSumExp",
    numpy: &[],
    doc: "`log(sum(exp(a)))` over `axes`: `None` for all, an integer or several.\n\nStable: the maximum is taken out first. Reduced axes go away, or stay with length 1 with `keepdims`; integers give floats. The gradient is the softmax over the axes, and 0 where all elements are -inf. Raises AxisError for an axis that `a` does not have or that is named twice, ValueError where a reduced axis is empty.",
    inputs: A,
    params: REDUCTION_PARAMS,
    run: Run::One {
        infer: |attrs, t| {
            let ty = reduced_type("logsumexp", attrs, t, t[0].dtype.to_float())?;
            let axes = axes_of("logsumexp", attrs, t[0].shape.len())?;
            if axes.iter().any(|&axis| t[0].shape[axis] == 0) {
                return Err(Error::Value(format!(
                    "logsumexp: no elements along the reduced axes of {}",
                    shape::display(t[0].shape)
                )));
            }
            Ok(ty)
        },
        forward: |attrs, x, ty| {
            let axes = axes_of("logsumexp", attrs, x[0].ndim())?;
            softmax::logsumexp(&cast(x[0], ty.dtype)?, &axes, attrs.flag(1))
        },
    },
    derivative: Derivative::Rule {
        needs: Needs::X0.and(Needs::Y),
        vjp: |s, g, _| Some(spread(s, g[0]?).chain(shares(s))),
        jvp: Tangent::Rule(|s, t| {
            let sum = t[0]?.chain(shares(s)).sum(&site_axes(s), true);
            Some(sum.reshape(&s.y().shape()))
        }),
    },
    samples: &[
        Sample::with(
            || Attrs::of([Attr::None, Attr::Bool(false)]),
            &[(&[2, 3], Domain::Real)],
        ),
        Sample::with(
            || Attrs::of([Attr::Ints([1].into()), Attr::Bool(false)]),
            &[(&[2, 3, 2], Domain::Real)],
        ),
        Sample::with(
            || Attrs::of([Attr::Ints([0, -1].into()), Attr::Bool(true)]),
            &[(&[2, 3, 2], Domain::Real)],
        ),
    ],
};

/// The softmax over the reduced axes. The result of a log-sum-exp is rounded, which
/// scales all exponentials by one factor: dividing by their sum takes it out again. Of a row of
/// -inf, whose result does not depend on any element, all shares are 0.
fn shares<'a>(s: &Site<'a>) -> Expr<'a> {
    let y = s.y();
    let (lowest, smallest) = match y.dtype() {
        DType::F32 => (f64::from(f32::MIN), f64::from(f32::MIN_POSITIVE)),
        _ => (f64::MIN, f64::MIN_POSITIVE),
    };
    let powers = (s.x(0) - spread(s, y.maximum(y.constant(lowest)))).exp();
    // It is 0, or far above this: at least one over the number of elements.
    let sum = powers.sum(&site_axes(s), true);
    powers / sum.maximum(sum.constant(smallest))
}

pub(super) fn along_axis(op: &str, attrs: &Attrs, types: &[TypeRef]) -> Result<TensorType> {
    shape::normalize_axis(op, attrs.int(0), types[0].shape.len())?;
    Ok(TensorType::new(types[0].shape, types[0].dtype.to_float()))
}

fn axis_of(s: &Site) -> [usize; 1] {
    let ndim = s.x(0).shape().len();
    [shape::normalize_axis("", s.attrs.int(0), ndim).unwrap_or(0)]
}

/// The sum along the axis of the op, with the axis kept.
pub(super) fn total<'a>(s: &Site<'a>, value: Expr<'a>) -> Expr<'a> {
    value.sum(&axis_of(s), true)
}

/// `h - sum(p h)` for shares `p` that sum to 1. What rounding leaves of the mean in the first
/// difference, which counts where one share is near 1, the second takes out.
pub(super) fn centred<'a>(
    h: Expr<'a>,
    p: Expr<'a>,
    total: impl Fn(Expr<'a>) -> Expr<'a>,
) -> Expr<'a> {
    let once = h - total(h.chain(p));
    once - total(once.chain(p))
}

const SAMPLES: &[Sample] = &[
    Sample::with(|| Attrs::one(Attr::Int(-1)), &[(&[2, 3], Domain::Real)]),
    Sample::with(|| Attrs::one(Attr::Int(0)), &[(&[3, 2, 2], Domain::Real)]),
];

/// Softmax.
pub static SOFTMAX: OpDef = OpDef {
    name: "softmax",
    class: "Softmax",
    numpy: &[],
    doc: "`exp(a) / sum(exp(a))` along `axis`.\n\nStable: the maximum is taken out first. NaN where all elements are -inf, or one is inf. Shape of `a`; integers give floats. Raises AxisError for an axis that `a` does not have.",
    inputs: A,
    params: AXIS,
    run: Run::One {
        infer: |attrs, t| along_axis("softmax", attrs, t),
        forward: |attrs, x, ty| {
            let axis = shape::normalize_axis("softmax", attrs.int(0), x[0].ndim())?;
            softmax::softmax(&cast(x[0], ty.dtype)?, axis)
        },
    },
    derivative: Derivative::Rule {
        needs: Needs::Y,
        vjp: |s, g, _| Some(g[0]?.with(&slopes::SOFTMAX_GRADIENT, s.attrs.clone(), s.y())),
        // The Jacobian is symmetric.
        jvp: Tangent::Rule(|s, t| {
            Some(t[0]?.with(&slopes::SOFTMAX_GRADIENT, s.attrs.clone(), s.y()))
        }),
    },
    samples: SAMPLES,
};

/// Logarithm of the softmax.
pub static LOG_SOFTMAX: OpDef = OpDef {
    name: "log_softmax",
    class: "LogSoftmax",
    numpy: &[],
    doc: "`a - logsumexp(a)` along `axis`: the logarithm of the softmax.\n\nStable: the maximum is taken out first, and a share near 1 keeps the digits of its logarithm. NaN as in `softmax`. Shape of `a`; integers give floats. Raises AxisError for an axis that `a` does not have.",
    inputs: A,
    params: AXIS,
    run: Run::One {
        infer: |attrs, t| along_axis("log_softmax", attrs, t),
        forward: |attrs, x, ty| {
            let axis = shape::normalize_axis("log_softmax", attrs.int(0), x[0].ndim())?;
            softmax::log_softmax(&cast(x[0], ty.dtype)?, axis)
        },
    },
    derivative: Derivative::Rule {
        needs: Needs::Y,
        vjp: |s, g, _| Some(g[0]?.with(&slopes::LOG_SOFTMAX_GRADIENT, s.attrs.clone(), s.y())),
        jvp: Tangent::Rule(|s, t| Some(centred(t[0]?, s.y().exp(), |x| total(s, x)))),
    },
    samples: SAMPLES,
};
