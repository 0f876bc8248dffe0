//! Forward mode: tangents pushed along the recorded graph, oldest node first.

use super::node::{NodeId, Operation, Types};
use super::tape::{Slot, Tape};
use super::tensor::Tensor;
use super::topology::topological_order;
use super::{arena, versions};
use crate::error::{Error, Result};
use crate::ops::algebra::{Algebra, Expr, Id, Site};
use crate::ops::{Attrs, Derivative, OpDef, Run, Tangent, tuple};
use rustc_hash::FxHashMap;

/// The tangents of `outputs` when each input moves along its tangent; `None` where an
/// output does not depend on any input.
pub fn jvp(outputs: &[&Tensor], inputs: &[(&Tensor, &Tensor)]) -> Result<Vec<Option<Tensor>>> {
    let mut tangents: FxHashMap<NodeId, Tensor> = FxHashMap::default();
    for (input, tangent) in inputs {
        tangents.insert(input.promote(), (*tangent).clone());
    }
    let tape = Tape::default();
    for node in topological_order(outputs)? {
        let id = node.promote();
        if tangents.contains_key(&id) {
            continue;
        }
        let Some(operation) = node.operation() else {
            continue;
        };
        let parents: Vec<Tensor> = node.inputs();
        let moved: Vec<Option<Tensor>> = parents
            .iter()
            .map(|p| tangents.get(&p.promote()).cloned())
            .collect();
        if moved.iter().all(Option::is_none) {
            continue;
        }
        let arena = arena::lock();
        versions::check(&arena, arena.node(id))?;
        drop(arena);
        if let Some(tangent) = push_forward(&tape, &operation, &parents, &node, &moved)? {
            tangents.insert(id, tangent);
        }
    }
    Ok(outputs
        .iter()
        .map(|output| tangents.get(&output.promote()).cloned())
        .collect())
}

fn push_forward(
    tape: &Tape,
    operation: &Operation,
    inputs: &[Tensor],
    output: &Tensor,
    tangents: &[Option<Tensor>],
) -> Result<Option<Tensor>> {
    let Operation::Native(op, attrs) = operation else {
        return Err(Error::Grad(format!(
            "{}: forward mode is not defined for ops that are not of the table",
            operation.name()
        )));
    };
    let ids: Vec<Id> = inputs
        .iter()
        .map(|x| tape.push(Slot::Owned(x.clone())))
        .collect();
    let outputs = [tape.push(Slot::Owned(output.clone()))];
    let site = Site {
        algebra: tape,
        attrs,
        inputs: &ids,
        outputs: &outputs,
    };
    let t: Vec<Option<Expr>> = tangents
        .iter()
        .map(|t| t.as_ref().map(|t| tape.expr(t.clone())))
        .collect();
    let result = rule(tape, op, attrs, &site, &t);
    let tensor = result.map(|tangent| tape.tensor(tangent.id())).transpose();
    tape.clear();
    tensor
}

fn rule<'a>(
    tape: &'a Tape,
    op: &'static OpDef,
    attrs: &Attrs,
    site: &Site<'a>,
    t: &[Option<Expr<'a>>],
) -> Option<Expr<'a>> {
    let apply = |inputs: &[Id]| Expr::new(tape, tape.apply(op, attrs.clone(), inputs));
    match &op.derivative {
        Derivative::None => None,
        Derivative::Elementwise(partials) => {
            let mut sum: Option<Expr> = None;
            for (partial, t) in partials.iter().zip(t) {
                let Some(t) = *t else { continue };
                let Some(term) = partial.times(site, t) else {
                    continue;
                };
                sum = Some(sum.map_or(term, |sum| sum + term));
            }
            Some(sum?.broadcast_to(&site.y().shape()))
        }
        Derivative::Rule {
            jvp: Tangent::Linear,
            ..
        } if matches!(op.run, Run::Project) => Some(apply(&[t[0]?.id()])),
        Derivative::Rule {
            jvp: Tangent::Linear,
            ..
        } => {
            let inputs: Vec<Id> = t
                .iter()
                .enumerate()
                .map(|(i, t)| t.unwrap_or_else(|| site.x(i).full_like(0.0)).id())
                .collect();
            Some(apply(&inputs))
        }
        Derivative::Rule {
            jvp: Tangent::Multilinear,
            ..
        } => {
            let mut sum: Option<Expr> = None;
            for (i, t) in t.iter().enumerate() {
                let Some(t) = *t else { continue };
                let mut inputs = site.inputs.to_vec();
                inputs[i] = t.id();
                let term = apply(&inputs);
                sum = Some(sum.map_or(term, |sum| sum + term));
            }
            sum
        }
        Derivative::Rule {
            jvp: Tangent::Rule(rule),
            ..
        } => {
            let tangent = rule(site, t)?;
            // A rule of an op with several outputs gives one tangent for all of them.
            match tape.tensor(site.y().id()).and_then(|y| y.types()) {
                Ok(Types::Many(types)) => {
                    let copies = vec![tangent.id(); types.len()];
                    Some(Expr::new(
                        tape,
                        tape.apply(&tuple::MAKE_TUPLE, Attrs::none(), &copies),
                    ))
                }
                _ => Some(tangent),
            }
        }
    }
}
