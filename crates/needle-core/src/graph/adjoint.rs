//! One node of the reverse sweep: from the adjoints of its outputs to those of its inputs.
//!
//! What no rule should have to do is done here, once: the chain product of elementwise
//! ops, un-broadcasting, and the cast to the dtype of the input.

use super::node::{Operation, Types};
use super::tape::Tape;
use super::tensor::Tensor;
use crate::error::{Error, Result};
use crate::ops::algebra::{Expr, Id, Site};
use crate::ops::{Attrs, Derivative, OpDef, Partial};
use crate::shape::{broadcasts_to, display};
use smallvec::SmallVec;

/// An operation with handles on what surrounds it.
pub(super) struct Place<'a> {
    pub operation: &'a Operation,
    pub inputs: &'a [Tensor],
    pub output: &'a Tensor,
}

/// The adjoints of the wanted inputs; `None` where nothing flows.
pub(super) fn pull_back(
    tape: &Tape,
    place: &Place,
    adjoints: &[Option<Tensor>],
    wanted: impl Fn(usize) -> bool,
) -> Result<Vec<Option<Tensor>>> {
    match place.operation {
        Operation::Native(op, attrs) => {
            let result = pull_back_native(tape, op, attrs, place, adjoints, wanted);
            tape.clear();
            result
        }
        Operation::Foreign(op) => {
            let given = op.vjp(adjoints.to_vec(), place.output.clone())?;
            if given.len() != place.inputs.len() {
                return Err(Error::Grad(format!(
                    "{}: gradient returned {} values for {} inputs",
                    op.name(),
                    given.len(),
                    place.inputs.len()
                )));
            }
            given
                .into_iter()
                .enumerate()
                .map(|(i, adjoint)| match adjoint {
                    Some(adjoint) if wanted(i) => {
                        fit_foreign(tape, &op.name(), adjoint, &place.inputs[i]).map(Some)
                    }
                    _ => Ok(None),
                })
                .collect()
        }
    }
}

fn pull_back_native(
    tape: &Tape,
    op: &OpDef,
    attrs: &Attrs,
    place: &Place,
    adjoints: &[Option<Tensor>],
    wanted: impl Fn(usize) -> bool,
) -> Result<Vec<Option<Tensor>>> {
    let inputs: SmallVec<[Id; 4]> = place.inputs.iter().map(|x| tape.push(x.clone())).collect();
    let output = [tape.push(place.output.clone())];
    let g: SmallVec<[Option<Expr>; 2]> = adjoints
        .iter()
        .map(|g| g.as_ref().map(|g| tape.expr(g.clone())))
        .collect();
    let site = Site {
        algebra: tape,
        attrs,
        inputs: &inputs,
        outputs: &output,
    };
    let one = |i: usize| {
        if !wanted(i) {
            return Ok(None);
        }
        let Some(adjoint) = rule(&op.derivative, &site, &g, i) else {
            return Ok(None);
        };
        tape.tensor(fit(adjoint, site.x(i)).id()).map(Some)
    };
    (0..inputs.len()).map(one).collect()
}

fn rule<'a>(
    derivative: &Derivative,
    site: &Site<'a>,
    g: &[Option<Expr<'a>>],
    i: usize,
) -> Option<Expr<'a>> {
    match derivative {
        Derivative::None => None,
        Derivative::Elementwise(partials) => match &partials[i] {
            Partial::Zero => None,
            Partial::One => g[0],
            Partial::MinusOne => Some(-g[0]?),
            Partial::Of(_, derivative) => Some(g[0]?.chain(derivative(site))),
        },
        Derivative::Rule { vjp, .. } => vjp(site, g, i),
    }
}

/// Sums an adjoint over what was broadcast, and casts it to a float input's dtype.
fn fit<'a>(adjoint: Expr<'a>, input: Expr<'a>) -> Expr<'a> {
    let dtype = input.dtype();
    let adjoint = adjoint.sum_to(&input.shape());
    if dtype.is_float() {
        adjoint.cast(dtype)
    } else {
        adjoint
    }
}

/// [`fit`] for what an embedder's rule returned, which may have any shape.
fn fit_foreign(tape: &Tape, op: &str, adjoint: Tensor, input: &Tensor) -> Result<Tensor> {
    let (given, expected) = (adjoint.types()?, input.types()?);
    if given == expected {
        return Ok(adjoint);
    }
    let (Types::One(given), Types::One(expected)) = (given, expected) else {
        return Ok(adjoint);
    };
    let shrinks = broadcasts_to(&expected.shape, &given.shape);
    if !shrinks && !broadcasts_to(&given.shape, &expected.shape) {
        return Err(Error::Shape(format!(
            "{op}: gradient has shape {}, but the input has shape {}",
            display(&given.shape),
            display(&expected.shape)
        )));
    }
    let (g, x) = (tape.expr(adjoint), tape.expr(input.clone()));
    let g = if shrinks {
        g
    } else {
        g.broadcast_to(&expected.shape)
    };
    let result = tape.tensor(fit(g, x).id());
    tape.clear();
    result
}

/// The adjoints of all inputs of a node by the rule of `operation`: what `Op.gradient` of
/// an embedder calls directly.
pub fn vjp_at(
    operation: &Operation,
    adjoints: &[Option<Tensor>],
    node: &Tensor,
) -> Result<Vec<Option<Tensor>>> {
    let inputs: Vec<Tensor> = node.inputs().into_iter().map(|(input, _)| input).collect();
    if inputs.is_empty() {
        return Err(Error::Grad(format!(
            "{}: the node has no inputs: nothing was recorded for it\nhint: one of the operands must require a gradient",
            operation.name()
        )));
    }
    let place = Place {
        operation,
        inputs: &inputs,
        output: node,
    };
    pull_back(&Tape::default(), &place, adjoints, |_| true)
}
