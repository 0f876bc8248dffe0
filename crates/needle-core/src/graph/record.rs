//! Recording: from an operation on tensors to a result, with a node where one is needed.

use super::arena::{self, Arena};
use super::compute;
use super::eager::{Gathered, apply_small, gather, subtract_from_small, subtract_small};
use super::mode::{Mode, current_mode};
use super::node::{Edge, Node, NodeId, Operation, Types, Value};
use super::tensor::{Seen, Tensor};
use crate::dtype::DType;
use crate::error::Result;
use crate::ops::{Attrs, Constant, Needs, OpDef, arithmetic};
use smallvec::SmallVec;
use std::sync::Arc;

use super::node::ForeignOp;

/// What an operation can be applied to.
pub(super) trait Source {
    /// The node, if there is one.
    fn node_id(&self) -> Option<NodeId>;
    /// The handle; where there is none, there is a node, which the caller keeps alive.
    fn tensor(&self) -> Option<&Tensor>;
}

impl Source for &Tensor {
    #[inline]
    fn node_id(&self) -> Option<NodeId> {
        Tensor::node_id(self)
    }

    #[inline]
    fn tensor(&self) -> Option<&Tensor> {
        Some(self)
    }
}

/// The result of an op of the table. DTypeError for another number of operands than it has.
pub fn apply(op: &'static OpDef, attrs: Attrs, inputs: &[&Tensor]) -> Result<Tensor> {
    op.check_count(inputs.len())?;
    apply_native(op, attrs, inputs, 0)
}

/// [`apply`] to handles or nodes.
pub(super) fn apply_to(op: &'static OpDef, attrs: Attrs, inputs: &[impl Source]) -> Result<Tensor> {
    apply_native(op, attrs, inputs, 0)
}

/// [`apply`], for an object of the embedder that will hold the result.
pub fn apply_bound(
    op: &'static OpDef,
    attrs: Attrs,
    inputs: &[&Tensor],
    embedder: usize,
) -> Result<Tensor> {
    apply_native(op, attrs, inputs, embedder)
}

/// The result of an op of the embedder.
pub fn apply_foreign(op: Arc<dyn ForeignOp>, inputs: &[&Tensor]) -> Result<Tensor> {
    apply_any(Operation::Foreign(op), inputs, current_mode(), 0)
}

#[inline]
fn apply_native(
    op: &'static OpDef,
    mut attrs: Attrs,
    inputs: &[impl Source],
    embedder: usize,
) -> Result<Tensor> {
    let mode = current_mode();
    if !mode.is_lazy()
        && let Some(result) = apply_small(op, &mut attrs, inputs, mode, embedder)
    {
        return result;
    }
    apply_any(Operation::Native(op, attrs), inputs, mode, embedder)
}

/// Any operation, in any mode.
fn apply_any(
    operation: Operation,
    inputs: &[impl Source],
    mode: Mode,
    embedder: usize,
) -> Result<Tensor> {
    let held: SmallVec<[Option<Tensor>; 2]> = inputs
        .iter()
        .map(|input| match input.tensor() {
            Some(_) => None,
            None => input.node_id().map(Tensor::hold),
        })
        .collect();
    let inputs: SmallVec<[&Tensor; 4]> = inputs
        .iter()
        .zip(&held)
        .filter_map(|(input, held)| input.tensor().or(held.as_ref()))
        .collect();
    if mode.is_lazy() {
        record_lazily(operation, &inputs, mode, embedder)
    } else {
        apply_large(operation, &inputs, mode, embedder)
    }
}

/// Reads the inputs, computes without any lock, and records.
fn apply_large(
    operation: Operation,
    inputs: &[&Tensor],
    mode: Mode,
    embedder: usize,
) -> Result<Tensor> {
    let Gathered {
        values,
        edges,
        requires_grad,
    } = gather(inputs)?;
    let value = compute::compute(&operation, &values)?;
    drop(values);
    if mode.no_grad || !requires_grad || !operation.is_differentiable() {
        return Ok(Tensor::from_value_bound(value, embedder));
    }
    // Edges of the moment in which the values were read: data that is replaced meanwhile
    // shows as a newer version.
    let edges = if edges.len() == inputs.len() {
        edges
    } else {
        edges_to(inputs)
    };
    Ok(record_value(
        &mut arena::lock(),
        operation,
        edges,
        mode,
        embedder,
        value,
    ))
}

/// A node for a result that was computed.
#[inline]
pub(super) fn record_value(
    arena: &mut Arena,
    operation: Operation,
    edges: SmallVec<[Edge; 2]>,
    mode: Mode,
    embedder: usize,
    value: Value,
) -> Tensor {
    insert(arena, operation, edges, mode, embedder, |node| {
        node.value = Some(value);
    })
}

/// Edges to tensors as they are now; a tensor without a node gets one.
fn edges_to(inputs: &[&Tensor]) -> SmallVec<[Edge; 2]> {
    let ids: SmallVec<[NodeId; 2]> = inputs.iter().map(|input| input.promote()).collect();
    let arena = arena::lock();
    ids.iter()
        .map(|&id| Edge {
            id,
            version: arena.node(id).version,
        })
        .collect()
}

/// A node for a result; `fill` gives it a value, or what stands for one.
#[inline]
fn insert(
    arena: &mut Arena,
    operation: Operation,
    edges: SmallVec<[Edge; 2]>,
    mode: Mode,
    embedder: usize,
    fill: impl FnOnce(&mut Node),
) -> Tensor {
    let requires_grad = !mode.no_grad
        && operation.is_differentiable()
        && edges.iter().any(|edge| arena.node(edge.id).requires_grad);
    let reads = if requires_grad && (!mode.transient || mode.keeps) {
        saves_of(arena, &operation, &edges)
    } else {
        Needs::NOTHING
    };
    let id = arena.insert(|node| {
        node.operation = Some(operation);
        node.inputs = edges;
        node.requires_grad = requires_grad;
        node.transient = mode.transient;
        if !mode.transient {
            node.saves = reads;
        }
        node.embedder = embedder;
        fill(node);
    });
    if mode.transient && !reads.is_nothing() && arena.reads_small(id, reads) {
        arena.save(id, reads);
    }
    Tensor::adopt_bound(id, embedder)
}

/// What the rules for the inputs that can get a gradient will read.
pub(super) fn saves_of(arena: &Arena, operation: &Operation, inputs: &[Edge]) -> Needs {
    match operation {
        Operation::Foreign(_) => Needs::ALL,
        Operation::Native(op, _) => {
            let mut needs = Needs::NOTHING;
            for (i, edge) in inputs.iter().enumerate() {
                let node = arena.node(edge.id);
                if node.may_need_gradient() {
                    needs = needs.and(op.needs(i));
                }
            }
            needs
        }
    }
}

fn record_lazily(
    operation: Operation,
    inputs: &[&Tensor],
    mode: Mode,
    embedder: usize,
) -> Result<Tensor> {
    let seen: SmallVec<[Seen; 2]> = inputs.iter().map(|input| input.see()).collect();
    let types = seen
        .iter()
        .map(|seen| match (&seen.value, &seen.types) {
            (Some(value), _) => value.types(),
            (None, Some(types)) => types.clone(),
            (None, None) => Types::Unknown,
        })
        .collect::<SmallVec<[Types; 2]>>();
    let types = if types.contains(&Types::Unknown) {
        // An embedder's op without a type rule: its type is known once it has run.
        let known = inputs
            .iter()
            .map(|input| input.types())
            .collect::<Result<Vec<_>>>()?;
        compute::infer(&operation, &known)?
    } else {
        compute::infer(&operation, &types)?
    };
    if seen.iter().any(|seen| seen.value.is_none()) {
        let mut arena = arena::lock();
        for id in inputs.iter().filter_map(Source::node_id) {
            arena.pin_released(id);
        }
    }
    // In a long lazy chain no input has a value yet, and nothing needs pinning.
    let pins = seen
        .iter()
        .any(|seen| seen.value.is_some())
        .then(|| seen.into_iter().map(|seen| seen.value).collect());
    let edges = edges_to(inputs);
    Ok(insert(
        &mut arena::lock(),
        operation,
        edges,
        mode,
        embedder,
        |node| {
            node.types = types;
            node.pins = pins;
            node.holds_inputs = true;
        },
    ))
}

/// `a - b`: the nodes `Negate(b)` and `EWiseAdd(a, .)`, but one subtraction. The negation
/// is computed only if somebody reads it; without gradient there is one op.
pub fn subtract(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let mode = current_mode();
    if !mode.is_lazy()
        && let Some(result) = subtract_small(a, b, mode)
    {
        return result;
    }
    let requires_grad = a.requires_grad() || b.requires_grad();
    let plain = !mode.is_lazy() && (mode.no_grad || !requires_grad);
    let exact = match (a.types()?, b.types()?) {
        (Types::One(a), Types::One(b)) => negates_exactly(a.dtype, b.dtype),
        _ => false,
    };
    if plain || !exact {
        return apply(&arithmetic::SUBTRACT, Attrs::none(), &[a, b]);
    }
    if mode.is_lazy() {
        let negated = apply(&arithmetic::NEGATE, Attrs::none(), &[b])?;
        return apply(&arithmetic::ADD, Attrs::none(), &[a, &negated]);
    }
    let operation = Operation::Native(&arithmetic::SUBTRACT, Attrs::none());
    let value = compute::compute(&operation, &[a.value()?, b.value()?])?;
    let ids = [a.promote(), b.promote()];
    let id = insert_difference(&mut arena::lock(), ids, mode, value);
    Ok(Tensor::adopt(id))
}

/// The two nodes of a difference whose value is there; the negation counts as computed and
/// released, not as waiting.
pub(super) fn insert_difference(
    arena: &mut Arena,
    [a, b]: [NodeId; 2],
    mode: Mode,
    value: Value,
) -> NodeId {
    let negated = insert_negation(arena, b, mode);
    let add = Operation::Native(&arithmetic::ADD, Attrs::none());
    insert_sum(arena, add, [a, negated], negated, mode, value)
}

/// `c - b` for a tensor of floats: the nodes `Negate(b)` and `AddScalar(., c)`, but one
/// subtraction, as in [`subtract`]; to the last bit, the difference is that sum.
pub fn subtract_from(constant: Constant, b: &Tensor) -> Result<Tensor> {
    let mode = current_mode();
    if !mode.is_lazy()
        && let Some(result) = subtract_from_small(constant, b, mode)
    {
        return result;
    }
    let negated = apply(&arithmetic::NEGATE, Attrs::none(), &[b])?;
    apply(
        &arithmetic::ADD_SCALAR,
        Attrs::scalar(constant),
        &[&negated],
    )
}

/// The two nodes of a difference from a number whose value is there.
pub(super) fn insert_difference_from(
    arena: &mut Arena,
    constant: Constant,
    b: NodeId,
    mode: Mode,
    value: Value,
) -> NodeId {
    let negated = insert_negation(arena, b, mode);
    let add = Operation::Native(&arithmetic::ADD_SCALAR, Attrs::scalar(constant));
    insert_sum(arena, add, [negated], negated, mode, value)
}

/// A negation that counts as computed and released.
fn insert_negation(arena: &mut Arena, b: NodeId, mode: Mode) -> NodeId {
    let (requires_grad, types) = (arena.node(b).requires_grad, arena.node(b).types());
    arena.insert_on([b].into_iter(), Needs::NOTHING, |node| {
        node.operation = Some(Operation::Native(&arithmetic::NEGATE, Attrs::none()));
        node.requires_grad = requires_grad;
        node.transient = mode.transient;
        node.types = types;
    })
}

fn insert_sum<const N: usize>(
    arena: &mut Arena,
    operation: Operation,
    terms: [NodeId; N],
    negated: NodeId,
    mode: Mode,
    value: Value,
) -> NodeId {
    let id = arena.insert_on(terms.into_iter(), Needs::NOTHING, |node| {
        node.operation = Some(operation);
        node.requires_grad = true;
        node.transient = mode.transient;
        node.value = Some(value);
    });
    // Nobody but the sum has it.
    arena.node_mut(negated).handles = 0;
    id
}

/// Whether `-b` in the dtype of `b` is what a difference `a - b` subtracts: an integer may
/// wrap before it is widened, and bool has no negative.
pub(super) fn negates_exactly(a: DType, b: DType) -> bool {
    let wraps = a.promote(b) != b || b == DType::Bool;
    b.is_float() || !wraps
}
