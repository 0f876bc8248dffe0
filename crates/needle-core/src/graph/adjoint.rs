//! One node of the reverse sweep: from the adjoints of its outputs to those of its inputs.
//!
//! What no rule should have to do is done here, once: the chain product of elementwise
//! ops, un-broadcasting, and the cast to the dtype of the input.

use super::mode::{Mode, current_mode, with_mode};
use super::node::{Operation, Types};
use super::tape::{Slot, Tape};
use super::tensor::Tensor;
use super::{compute, foreign};
use crate::error::{Error, Result};
use crate::ops::algebra::{Expr, Id, Site};
use crate::ops::{Derivative, Inputs};
use crate::shape::display;
use smallvec::SmallVec;

/// An operation with what surrounds it, on a tape.
pub(super) struct Place {
    pub operation: Operation,
    pub inputs: SmallVec<[Id; 4]>,
    pub output: Id,
}

/// Whether and when the adjoint of an input is computed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    No,
    Now,
    /// It is recorded, and computed when somebody reads it.
    Later,
}

/// One adjoint for each output; `None` where nothing flows.
pub(super) type Adjoints = SmallVec<[Option<Tensor>; 1]>;

/// Hands the adjoint of each wanted input that gets one to `give`, and clears the tape.
pub(super) fn pull_back(
    tape: &Tape,
    place: &Place,
    adjoints: Adjoints,
    wanted: &[Wanted],
    give: impl FnMut(usize, Tensor) -> Result<()>,
) -> Result<()> {
    let result = match &place.operation {
        Operation::Native(op, attrs) => {
            let site = Site {
                algebra: tape,
                attrs,
                inputs: &place.inputs,
                outputs: &[place.output],
            };
            pull_native(tape, &op.derivative, &site, adjoints, wanted, give)
        }
        Operation::Foreign(op) => foreign::pull_back(tape, &**op, place, adjoints, wanted, give),
    };
    tape.clear();
    result
}

fn pull_native(
    tape: &Tape,
    derivative: &Derivative,
    site: &Site,
    adjoints: Adjoints,
    wanted: &[Wanted],
    mut give: impl FnMut(usize, Tensor) -> Result<()>,
) -> Result<()> {
    let g: SmallVec<[Option<Expr>; 1]> = adjoints
        .into_iter()
        .map(|g| g.map(|g| tape.expr(g)))
        .collect();
    let elements = |g: &Expr| g.shape().iter().product::<usize>();
    let is_large = g.iter().flatten().any(|g| elements(g) >= LARGE);
    let one = |i: usize| {
        let adjoint = rule(derivative, site, &g, i)?;
        if tape.same_type(adjoint.id(), site.inputs[i]) {
            return Some(adjoint.id());
        }
        Some(fit(adjoint, site.x(i)).id())
    };
    let mut results: SmallVec<[Option<Id>; 4]> = SmallVec::new();
    for (i, wanted) in wanted.iter().enumerate() {
        results.push(match wanted {
            Wanted::No => None,
            Wanted::Now => one(i),
            Wanted::Later => with_mode(
                Mode {
                    lazy: Some(true),
                    ..current_mode()
                },
                || one(i),
            ),
        });
    }
    let take = |i: usize, id: Id| {
        // An adjoint moves, unless another input gets it too.
        let again = results[i + 1..].contains(&Some(id));
        tape.take(id, again)
    };
    let there = |(i, id): (usize, &Option<Id>)| Some((i, (*id)?));
    let mut there = results.iter().enumerate().filter_map(there);
    if !is_large {
        return there.try_for_each(|(i, id)| give(i, take(i, id)?));
    }
    // What the rule had besides goes before sums of adjoints are made.
    let taken = there.map(|(i, id)| Ok((i, take(i, id)?)));
    let taken = taken.collect::<Result<SmallVec<[(usize, Tensor); 4]>>>()?;
    tape.clear();
    taken
        .into_iter()
        .try_for_each(|(i, adjoint)| give(i, adjoint))
}

/// Elements from which an adjoint that is kept a moment longer shows in the peak of memory.
const LARGE: usize = 1 << 16;

/// What the derivative of an op gives for input `i`.
pub(super) fn rule<'a>(
    derivative: &Derivative,
    site: &Site<'a>,
    g: &[Option<Expr<'a>>],
    i: usize,
) -> Option<Expr<'a>> {
    match derivative {
        Derivative::None => None,
        Derivative::Elementwise(partials) => partials[i].times(site, g[0]?),
        Derivative::Rule { vjp, .. } => vjp(site, g, i),
    }
}

/// Sums an adjoint over what was broadcast, and casts it to a float input's dtype.
pub(super) fn fit<'a>(adjoint: Expr<'a>, input: Expr<'a>) -> Expr<'a> {
    let dtype = input.dtype();
    let adjoint = adjoint.sum_to(&input.shape());
    if dtype.is_float() {
        adjoint.cast(dtype)
    } else {
        adjoint
    }
}

/// The adjoints of all inputs of a node by the rule of `operation`: what `Op.gradient` of
/// an embedder calls directly.
pub fn vjp_at(
    operation: &Operation,
    adjoints: &[Option<Tensor>],
    node: &Tensor,
) -> Result<Vec<Option<Tensor>>> {
    let inputs: SmallVec<[Tensor; 4]> = node.inputs().into();
    if inputs.is_empty() {
        return Err(Error::Grad(format!(
            "{}: the node has no inputs: nothing was recorded for it\nhint: one of the operands must require a gradient",
            operation.name()
        )));
    }
    check_made_by(operation, &inputs, adjoints.len(), node)?;
    check_adjoints(&operation.name(), adjoints, node)?;
    let tape = Tape::default();
    let wanted: SmallVec<[Wanted; 4]> = SmallVec::from_elem(Wanted::Now, inputs.len());
    let mut results = vec![None; inputs.len()];
    let push = |tensor| tape.push(Slot::Owned(tensor));
    let place = Place {
        operation: operation.clone(),
        inputs: inputs.into_iter().map(push).collect(),
        output: push(node.clone()),
    };
    let adjoints = adjoints.iter().cloned().collect();
    pull_back(&tape, &place, adjoints, &wanted, |i, adjoint| {
        results[i] = Some(adjoint);
        Ok(())
    })?;
    Ok(results)
}

/// Refuses adjoints of other shapes than the results of `node`: rules would repeat them.
pub fn check_adjoints(op: &str, adjoints: &[Option<Tensor>], node: &Tensor) -> Result<()> {
    let types = node.types()?;
    let results = match &types {
        Types::One(result) => std::slice::from_ref(result),
        Types::Many(results) => results,
        Types::Unknown => &[],
    };
    for (adjoint, result) in adjoints.iter().zip(results) {
        if let Some(adjoint) = adjoint
            && let Types::One(given) = adjoint.types()?
            && given.shape != result.shape
        {
            return Err(Error::Shape(format!(
                "{op}: out_grad has shape {}, expected {}, the shape of the result",
                display(&given.shape),
                display(&result.shape)
            )));
        }
    }
    Ok(())
}

/// Refuses a node that the operation cannot have made: its rule would read what is not
/// there.
fn check_made_by(
    operation: &Operation,
    inputs: &[Tensor],
    adjoints: usize,
    node: &Tensor,
) -> Result<()> {
    let wrong = || {
        let name = operation.name();
        Error::Grad(format!("{name}: the node was not made by this op"))
    };
    if let Operation::Native(op, _) = operation
        && let Inputs::Named(names) = op.inputs
        && names.len() != inputs.len()
    {
        return Err(wrong());
    }
    let types = inputs
        .iter()
        .map(Tensor::types)
        .collect::<Result<Vec<_>>>()?;
    let expected = compute::infer(operation, &types).map_err(|_| wrong())?;
    let given = node.types()?;
    let outputs = match &given {
        Types::Many(types) => types.len(),
        _ => 1,
    };
    if (expected != Types::Unknown && expected != given) || outputs != adjoints {
        return Err(wrong());
    }
    Ok(())
}
