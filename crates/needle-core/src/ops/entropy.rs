//! Cross-entropy, the loss of a softmax: fused forward and fused backward.

use super::algebra::sum_of;
use super::{
    Attr, Attrs, Constant, Derivative, Domain, Expr, Inputs, Needs, OpDef, Run, Sample, Site,
    Tangent, TypeRef, softmax,
};
use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernels::cast::cast;
use crate::kernels::{entropy, gather};
use crate::shape::{self, TensorType};
use entropy::Target;

/// The ops of this file.
pub(super) const OPS: &[&OpDef] = &[&CROSS_ENTROPY, &CROSS_ENTROPY_GRADIENT];

/// Rows of logits, and shares of the same shape or a label for each row.
fn rows(op: &str, types: &[TypeRef]) -> Result<TensorType> {
    let (logits, target) = (types[0], types[1]);
    let Some((&classes, rows)) = logits.shape.split_last().filter(|(n, _)| **n > 0) else {
        return Err(Error::shape(
            op,
            format_args!(
                "expected a last axis with elements, got shape {}",
                shape::display(logits.shape)
            ),
        ));
    };
    let mut dtype = logits.dtype.to_float();
    if target.shape == logits.shape {
        dtype = dtype.promote(target.dtype.to_float());
    } else if target.shape != rows {
        return Err(Error::shape(
            op,
            format_args!(
                "expected a target of shape {} (shares of {classes} classes) or {} (labels), got {}",
                shape::display(logits.shape),
                shape::display(rows),
                shape::display(target.shape)
            ),
        ));
    }
    Ok(TensorType::new(logits.shape, dtype))
}

/// Runs a kernel with what `target` means for these logits.
fn with_target(
    op: &str,
    logits: &Array,
    target: &Array,
    dtype: DType,
    run: impl FnOnce(&Array, Target) -> Result<Array>,
) -> Result<Array> {
    let logits = cast(logits, dtype)?;
    if target.ndim() == logits.ndim() {
        return run(&logits, Target::Shares(&cast(target, dtype)?));
    }
    run(
        &logits,
        Target::Labels(&gather::whole_numbers(op, "label", target)?),
    )
}

fn is_labelled(logits: Expr, target: Expr) -> bool {
    target.shape().len() < logits.shape().len()
}

/// Mean cross-entropy.
pub static CROSS_ENTROPY: OpDef = OpDef {
    name: "cross_entropy",
    class: "CrossEntropy",
    numpy: &[],
    doc: "The mean over all rows of the last axis of `-sum(target * log_softmax(logits))`.\n\n`target` holds probabilities, one-hot rows for instance, in the shape of `logits`; or, with one dimension less, the number of the class of each row, in any dtype. The result has no dimensions; integers give floats. Raises ShapeError where the shapes do not fit or there is no last axis with elements, IndexError for a number that is no class, ValueError for one that is not whole.",
    inputs: Inputs::Named(&["logits", "target"]),
    params: &[],
    run: Run::One {
        infer: |_, t| {
            let ty = rows("cross_entropy", t)?;
            Ok(TensorType::new(&[], ty.dtype))
        },
        forward: |_, x, ty| {
            with_target(
                "cross_entropy",
                x[0],
                x[1],
                ty.dtype,
                entropy::cross_entropy,
            )
        },
    },
    derivative: Derivative::Rule {
        needs: Needs::X0.and(Needs::X1),
        vjp: |s, g, i| entropy_slope(s, g[0]?, i),
        jvp: Tangent::Rule(|s, t| {
            let term = |i: usize| {
                let (t, slope) = (t[i]?, entropy_slope(s, s.y().constant(1.0), i)?);
                Some(t.chain(slope).sum(&all_axes(slope), false))
            };
            sum_of([term(0), term(1)])
        }),
    },
    samples: &[
        Sample::plain(&[(&[2, 3], Domain::Real), (&[2, 3], Domain::Positive)]),
        Sample::plain(&[(&[4], Domain::Real), (&[4], Domain::Real)]),
        Sample::plain(&[(&[2, 2, 3], Domain::Real), (&[2, 2], Domain::Index)]),
    ],
};

/// Labels have no derivative.
fn entropy_slope<'a>(s: &Site<'a>, g: Expr<'a>, i: usize) -> Option<Expr<'a>> {
    let (x, t) = (s.x(0), s.x(1));
    if i == 0 {
        return Some(gradient(s, g, x, t));
    }
    (!is_labelled(x, t)).then(|| {
        -g.chain(x.apply(&softmax::LOG_SOFTMAX, last_axis()))
            .mul_scalar(per_row(x))
    })
}

fn gradient<'a>(s: &Site<'a>, g: Expr<'a>, x: Expr<'a>, t: Expr<'a>) -> Expr<'a> {
    let ids = [g.id(), x.id(), t.id()];
    let id = s
        .algebra
        .apply(&CROSS_ENTROPY_GRADIENT, Attrs::none(), &ids);
    Expr::new(s.algebra, id)
}

fn all_axes(x: Expr) -> Vec<usize> {
    (0..x.shape().len()).collect()
}

fn last_axis() -> Attrs {
    Attrs::one(Attr::Int(-1))
}

/// One over the number of rows.
fn per_row(x: Expr) -> Constant {
    let shape = x.shape();
    let count: usize = shape[..shape.len() - 1].iter().product();
    Constant::float(1.0 / count as f64)
}

/// Adjoint behind a mean cross-entropy.
pub static CROSS_ENTROPY_GRADIENT: OpDef = OpDef {
    name: "cross_entropy_gradient",
    class: "CrossEntropyGradient",
    numpy: &[],
    doc: "`g (sum(target) softmax(logits) - target) / rows`: the adjoint of the logits behind `cross_entropy`.\n\n`g` has no dimensions, `logits` and `target` are as in `cross_entropy`; labels stand for rows of zeros with a one. Integers give floats. Raises ShapeError where the shapes do not fit, IndexError for a number that is no class, ValueError for one that is not whole.",
    inputs: Inputs::Named(&["g", "logits", "target"]),
    params: &[],
    run: Run::One {
        infer: |_, t| {
            if !t[0].shape.is_empty() {
                return Err(Error::shape(
                    "cross_entropy_gradient",
                    format_args!("g has shape {}, expected ()", shape::display(t[0].shape)),
                ));
            }
            let mut ty = rows("cross_entropy_gradient", &t[1..])?;
            ty.dtype = ty.dtype.promote(t[0].dtype.to_float());
            Ok(ty)
        },
        forward: |_, x, ty| {
            let g = cast(x[0], ty.dtype)?;
            with_target("cross_entropy_gradient", x[1], x[2], ty.dtype, |x, t| {
                entropy::cross_entropy_gradient(&g, x, t)
            })
        },
    },
    derivative: Derivative::Rule {
        needs: Needs::X0.and(Needs::X1).and(Needs::X2),
        vjp: |s, h, i| {
            let (h, x) = (h[0]?, s.x(1));
            match i {
                0 => {
                    let slope = slope_by_g(s);
                    Some(h.chain(slope).sum(&all_axes(slope), false))
                }
                1 => Some(term_of_logits(s, h)),
                _ => {
                    let share = x.apply(&softmax::SOFTMAX, last_axis());
                    let g = s.x(0).mul_scalar(per_row(x));
                    (!is_labelled(x, s.x(2))).then(|| (-softmax::centred(h, share, total)).chain(g))
                }
            }
        },
        jvp: Tangent::Rule(|s, d| {
            let x = s.x(1);
            sum_of([
                d[0].map(|d| slope_by_g(s).chain(d)),
                d[1].map(|d| term_of_logits(s, d)),
                d[2].filter(|_| !is_labelled(x, s.x(2))).map(|d| {
                    let log = x.apply(&softmax::LOG_SOFTMAX, last_axis());
                    let g = s.x(0).mul_scalar(per_row(x));
                    let moved = d.with(&super::slopes::LOG_SOFTMAX_GRADIENT, last_axis(), log);
                    (-moved).chain(g)
                }),
            ])
        }),
    },
    samples: &[
        Sample::plain(&[
            (&[], Domain::Real),
            (&[2, 3], Domain::Real),
            (&[2, 3], Domain::Positive),
        ]),
        Sample::plain(&[
            (&[], Domain::Real),
            (&[2, 3], Domain::Real),
            (&[2], Domain::Index),
        ]),
    ],
};

/// The sum over the last axis, kept.
fn total(x: Expr) -> Expr {
    let last = x.shape().len() - 1;
    x.sum(&[last], true)
}

/// The op is linear in `g`.
fn slope_by_g<'a>(s: &Site<'a>) -> Expr<'a> {
    gradient(s, s.x(0).constant(1.0), s.x(1), s.x(2))
}

/// What an adjoint or a tangent becomes by the logits: the Jacobian is symmetric.
fn term_of_logits<'a>(s: &Site<'a>, h: Expr<'a>) -> Expr<'a> {
    let (x, t) = (s.x(1), s.x(2));
    let share = x.apply(&softmax::SOFTMAX, last_axis());
    let g = s.x(0).mul_scalar(per_row(x));
    let moved = h.with(&super::slopes::SOFTMAX_GRADIENT, last_axis(), share);
    let moved = if is_labelled(x, t) {
        moved
    } else {
        // A row that does not count may have no shares.
        moved.chain(total(t))
    };
    moved.chain(g)
}
