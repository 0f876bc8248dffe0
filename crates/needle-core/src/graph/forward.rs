//! Forward mode: tangents pushed along the recorded graph, oldest node first.

use super::node::{NodeId, Operation, Types};
use super::tape::{Slot, Tape};
use super::tensor::Tensor;
use super::topology::topological_order;
use super::{arena, versions};
use crate::error::{Error, Result};
use crate::ops::algebra::{Expr, Id, Site, sum_of};
use crate::ops::{Attrs, Derivative, OpDef, Partial, Run, Tangent, tuple};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// The tangents of `outputs` when each input moves along its tangent; `None` where an
/// output does not depend on any input.
pub fn jvp(outputs: &[&Tensor], inputs: &[(&Tensor, &Tensor)]) -> Result<Vec<Option<Tensor>>> {
    let mut moved: FxHashMap<NodeId, Tensor> = FxHashMap::default();
    for (input, tangent) in inputs {
        moved.insert(input.promote(), (*tangent).clone());
    }
    let tape = Tape::default();
    // The order holds every node until the end.
    for node in topological_order(outputs)? {
        let output = node.promote();
        if moved.contains_key(&output) {
            continue;
        }
        let Some(step) = Step::at(output, &moved)? else {
            continue;
        };
        let tangent = step.push(&tape, &moved);
        tape.clear();
        if let Some(tangent) = tangent? {
            moved.insert(output, tangent);
        }
    }
    let of = |output: &&Tensor| moved.get(&output.promote()).cloned();
    Ok(outputs.iter().map(of).collect())
}

/// What is known of a node that moves.
struct Step {
    operation: Operation,
    inputs: SmallVec<[NodeId; 2]>,
    output: NodeId,
    /// How many parts it has, if it is a tuple.
    parts: Option<usize>,
}

impl Step {
    /// `None` for a node that does not move.
    fn at(output: NodeId, moved: &FxHashMap<NodeId, Tensor>) -> Result<Option<Self>> {
        let arena = arena::lock();
        let node = arena.node(output);
        let inputs: SmallVec<[NodeId; 2]> = node.inputs.iter().map(|edge| edge.id).collect();
        let moves = inputs.iter().any(|input| moved.contains_key(input));
        let (true, Some(operation)) = (moves, node.operation.clone()) else {
            return Ok(None);
        };
        versions::check(&arena, node)?;
        let parts = match node.types() {
            Types::Many(types) => Some(types.len()),
            _ => None,
        };
        Ok(Some(Self {
            operation,
            inputs,
            output,
            parts,
        }))
    }

    fn push(&self, tape: &Tape, moved: &FxHashMap<NodeId, Tensor>) -> Result<Option<Tensor>> {
        let Operation::Native(op, attrs) = &self.operation else {
            return Err(not_of_the_table(&self.operation.name()));
        };
        let id = |node: &NodeId| tape.push(Slot::Node(*node));
        let inputs: SmallVec<[Id; 4]> = self.inputs.iter().map(id).collect();
        let outputs = [id(&self.output)];
        let site = Site {
            algebra: tape,
            attrs,
            inputs: &inputs,
            outputs: &outputs,
        };
        let tangent = |input: &NodeId| Some(tape.expr(moved.get(input)?.clone()));
        let t: SmallVec<[Option<Expr>; 2]> = self.inputs.iter().map(tangent).collect();
        let result = rule(op, &site, &t, self.parts);
        result.map(|tangent| tape.tensor(tangent.id())).transpose()
    }
}

/// What forward mode says of an op of the embedder's.
#[cold]
pub(super) fn not_of_the_table(op: &str) -> Error {
    Error::Grad(format!(
        "{op}: forward mode is not defined for ops that are not of the table"
    ))
}

/// The tangent of an elementwise op, before it is broadcast to the shape of the output.
pub(super) fn elementwise<'a>(
    partials: &[Partial],
    site: &Site<'a>,
    t: &[Option<Expr<'a>>],
) -> Option<Expr<'a>> {
    let terms = partials
        .iter()
        .zip(t)
        .map(|(partial, t)| partial.times(site, (*t)?));
    sum_of(terms)
}

/// The tangent of the output from those of the inputs; `parts` of it, if it is a tuple.
pub(super) fn rule<'a>(
    op: &'static OpDef,
    site: &Site<'a>,
    t: &[Option<Expr<'a>>],
    parts: Option<usize>,
) -> Option<Expr<'a>> {
    let apply = |op: &'static OpDef, attrs: &Attrs, inputs: &[Id]| {
        Expr::new(site.algebra, site.algebra.apply(op, attrs.clone(), inputs))
    };
    match &op.derivative {
        Derivative::None => None,
        Derivative::Elementwise(partials) => {
            Some(elementwise(partials, site, t)?.broadcast_to(&site.y().shape()))
        }
        Derivative::Rule {
            jvp: Tangent::Linear,
            ..
        } if matches!(op.run, Run::Project) => Some(apply(op, site.attrs, &[t[0]?.id()])),
        Derivative::Rule {
            jvp: Tangent::Linear | Tangent::LinearAlong(_),
            ..
        } => {
            let inputs: Vec<Id> = t
                .iter()
                .enumerate()
                .map(|(i, t)| t.unwrap_or_else(|| site.x(i).full_like(0.0)).id())
                .collect();
            Some(apply(op, site.attrs, &inputs))
        }
        Derivative::Rule {
            jvp: Tangent::Multilinear,
            ..
        } => sum_of(t.iter().enumerate().map(|(i, t)| {
            let mut inputs = site.inputs.to_vec();
            inputs[i] = (*t)?.id();
            Some(apply(op, site.attrs, &inputs))
        })),
        Derivative::Rule {
            jvp: Tangent::Rule(rule),
            ..
        } => {
            let tangent = rule(site, t)?;
            // A rule of an op with several outputs gives one tangent for all of them.
            Some(match parts {
                Some(parts) => {
                    let copies = vec![tangent.id(); parts];
                    apply(&tuple::MAKE_TUPLE, &Attrs::none(), &copies)
                }
                None => tangent,
            })
        }
    }
}
