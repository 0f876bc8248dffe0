//! Forward mode: tangents pushed along the recorded graph, oldest node first.
//!
//! Several directions go through an elementwise op at once, stacked along a new first axis:
//! its factors then are computed once for all of them, and broadcasting does the rest. Ops
//! that look at shapes take one direction after the other.

use super::node::{NodeId, Operation, Types};
use super::tape::{Slot, Tape, lost};
use super::tensor::Tensor;
use super::topology::topological_order;
use super::{arena, versions};
use crate::array::Index;
use crate::error::{Error, Result};
use crate::ops::algebra::{Algebra, Expr, Id, Site, sum_of};
use crate::ops::{Attrs, Derivative, OpDef, Partial, Run, Tangent, tuple};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// The tangents of `outputs` when each input moves along its tangent; `None` where an
/// output does not depend on any input.
pub fn jvp(outputs: &[&Tensor], inputs: &[(&Tensor, &Tensor)]) -> Result<Vec<Option<Tensor>>> {
    let mut all = FxHashMap::default();
    for (input, tangent) in inputs {
        all.insert(input.promote(), Tangents::Each(vec![(*tangent).clone()]));
    }
    let tape = Tape::default();
    let each = |tangents: Tangents| tangents.each(&tape, 1)?.pop().ok_or_else(lost);
    let found = push_all(&tape, outputs, all, 1)?;
    found.into_iter().map(|t| t.map(each).transpose()).collect()
}

/// [`jvp`] along `count` directions: the tangents of an input, and of an output, are stacked
/// along a new first axis.
pub fn jvp_stacked(
    outputs: &[&Tensor],
    inputs: &[(&Tensor, &Tensor)],
    count: usize,
) -> Result<Vec<Option<Tensor>>> {
    let mut all = FxHashMap::default();
    for (input, tangents) in inputs {
        all.insert(input.promote(), Tangents::Stacked((*tangents).clone()));
    }
    let tape = Tape::default();
    let found = push_all(&tape, outputs, all, count)?;
    let stacked = |tangents: Tangents| tangents.stacked(&tape);
    found
        .into_iter()
        .map(|t| t.map(stacked).transpose())
        .collect()
}

/// How one value moves along all directions.
#[derive(Clone)]
enum Tangents {
    Stacked(Tensor),
    Each(Vec<Tensor>),
}

impl Tangents {
    fn stacked(&self, tape: &Tape) -> Result<Tensor> {
        match self {
            Self::Stacked(tensor) => Ok(tensor.clone()),
            Self::Each(each) => {
                let parts: Vec<Expr> = each.iter().map(|t| tape.expr(t.clone())).collect();
                let stack = Expr::stack(&parts, 0).map(Expr::id);
                tape.tensor(stack.ok_or_else(lost)?)
            }
        }
    }

    fn each(self, tape: &Tape, count: usize) -> Result<Vec<Tensor>> {
        match self {
            Self::Each(each) => Ok(each),
            Self::Stacked(tensor) => {
                let all = tape.expr(tensor);
                let part = |i: usize| tape.tensor(all.index(&[Index::At(i as isize)]).id());
                (0..count).map(part).collect()
            }
        }
    }
}

/// What is known of a node that moves.
struct Step {
    operation: Operation,
    inputs: SmallVec<[NodeId; 2]>,
    output: NodeId,
}

/// The same on a tape.
struct StepIds {
    inputs: SmallVec<[Id; 4]>,
    outputs: [Id; 1],
}

impl Step {
    fn push(&self, tape: &Tape) -> StepIds {
        let push = |node: &NodeId| tape.push(Slot::Node(*node));
        StepIds {
            inputs: self.inputs.iter().map(push).collect(),
            outputs: [push(&self.output)],
        }
    }
}

impl StepIds {
    fn site<'a>(&'a self, tape: &'a Tape, attrs: &'a Attrs) -> Site<'a> {
        Site {
            algebra: tape,
            attrs,
            inputs: &self.inputs,
            outputs: &self.outputs,
        }
    }
}

fn push_all(
    tape: &Tape,
    outputs: &[&Tensor],
    mut moved: FxHashMap<NodeId, Tangents>,
    count: usize,
) -> Result<Vec<Option<Tangents>>> {
    // The order holds every node until the end.
    for node in topological_order(outputs)? {
        let output = node.promote();
        if moved.contains_key(&output) {
            continue;
        }
        let step = {
            let arena = arena::lock();
            let node = arena.node(output);
            let inputs: SmallVec<[NodeId; 2]> = node.inputs.iter().map(|edge| edge.id).collect();
            let moves = inputs.iter().any(|input| moved.contains_key(input));
            let (true, Some(operation)) = (moves, node.operation.clone()) else {
                continue;
            };
            versions::check(&arena, node)?;
            Step {
                operation,
                inputs,
                output,
            }
        };
        let tangents = push_forward(tape, &step, &moved, count);
        tape.clear();
        if let Some(tangents) = tangents? {
            moved.insert(output, tangents);
        }
    }
    let of = |output: &&Tensor| moved.get(&output.promote()).cloned();
    Ok(outputs.iter().map(of).collect())
}

fn push_forward(
    tape: &Tape,
    step: &Step,
    moved: &FxHashMap<NodeId, Tangents>,
    count: usize,
) -> Result<Option<Tangents>> {
    let Operation::Native(op, attrs) = &step.operation else {
        return Err(Error::Grad(format!(
            "{}: forward mode is not defined for ops that are not of the table",
            step.operation.name()
        )));
    };
    let tangents: SmallVec<[Option<&Tangents>; 2]> =
        step.inputs.iter().map(|input| moved.get(input)).collect();
    if let (Derivative::Elementwise(partials), 2..) = (&op.derivative, count) {
        let mut t: SmallVec<[Option<Expr>; 2]> = SmallVec::new();
        for tangents in tangents {
            let stacked = tangents.map(|tangents| tangents.stacked(tape));
            t.push(stacked.transpose()?.map(|stacked| tape.expr(stacked)));
        }
        let ids = step.push(tape);
        let site = ids.site(tape, attrs);
        let mut shape = site.y().shape();
        for t in t.iter_mut().flatten() {
            *t = aligned(*t, shape.len());
        }
        shape.insert(0, count);
        let result = elementwise(partials, &site, &t).map(|t| t.broadcast_to(&shape));
        return Ok(taken(tape, result)?.map(Tangents::Stacked));
    }
    let mut each: SmallVec<[Option<Vec<Tensor>>; 2]> = SmallVec::new();
    for tangents in tangents {
        let tangents = tangents.cloned().map(|tangents| tangents.each(tape, count));
        each.push(tangents.transpose()?);
    }
    let mut results = Vec::with_capacity(count);
    for i in 0..count {
        let of = |each: &Vec<Tensor>| tape.expr(each[i].clone());
        let t: SmallVec<[Option<Expr>; 2]> = each.iter().map(|e| e.as_ref().map(of)).collect();
        let ids = step.push(tape);
        let result = rule(tape, op, attrs, &ids.site(tape, attrs), &t);
        // Whether something flows depends on the op and on who moves, not on the direction.
        let Some(result) = taken(tape, result)? else {
            return Ok(None);
        };
        results.push(result);
    }
    Ok(Some(Tangents::Each(results)))
}

fn taken(tape: &Tape, result: Option<Expr>) -> Result<Option<Tensor>> {
    result.map(|tangent| tape.tensor(tangent.id())).transpose()
}

/// Stacked tangents of a value that is broadcast to `ndim` dimensions: the directions stay in
/// front.
fn aligned(stacked: Expr<'_>, ndim: usize) -> Expr<'_> {
    let own = stacked.shape();
    if own.len() == ndim + 1 {
        return stacked;
    }
    let mut shape = own.clone();
    shape.insert_many(1, std::iter::repeat_n(1, ndim + 1 - own.len()));
    stacked.reshape(&shape)
}

fn elementwise<'a>(
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
            Some(elementwise(partials, site, t)?.broadcast_to(&site.y().shape()))
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
        } => sum_of(t.iter().enumerate().map(|(i, t)| {
            let mut inputs = site.inputs.to_vec();
            inputs[i] = (*t)?.id();
            Some(apply(&inputs))
        })),
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
