//! Recording: from an operation on tensors to a result, with a node where one is needed.

use super::arena::{self, NewNode};
use super::compute;
use super::mode::{Mode, current_mode};
use super::node::{Edge, Operation, Types, Value};
use super::tensor::{Seen, Tensor};
use crate::dtype::DType;
use crate::error::Result;
use crate::ops::{Attrs, Needs, OpDef, arithmetic};
use smallvec::SmallVec;
use std::sync::Arc;

use super::node::ForeignOp;

/// The result of an op of the table.
pub fn apply(op: &'static OpDef, attrs: Attrs, inputs: &[&Tensor]) -> Result<Tensor> {
    apply_operation(Operation::Native(op, attrs), inputs)
}

/// The result of an op of the embedder.
pub fn apply_foreign(op: Arc<dyn ForeignOp>, inputs: &[&Tensor]) -> Result<Tensor> {
    apply_operation(Operation::Foreign(op), inputs)
}

fn apply_operation(operation: Operation, inputs: &[&Tensor]) -> Result<Tensor> {
    let mode = current_mode();
    let mut seen: SmallVec<[Seen; 2]> = inputs.iter().map(|input| input.see()).collect();
    let records = !mode.no_grad
        && operation.is_differentiable()
        && seen.iter().any(|seen| seen.requires_grad);
    if mode.is_lazy() {
        return record_lazily(operation, inputs, &seen, records, mode);
    }
    let mut values: SmallVec<[Value; 2]> = SmallVec::new();
    for (input, seen) in inputs.iter().zip(&mut seen) {
        values.push(match seen.value.take() {
            Some(value) => value,
            None => input.value()?,
        });
    }
    let value = compute::compute(&operation, &values)?;
    if !records {
        return Ok(Tensor::from_value(value, false));
    }
    drop(values);
    let types = value.types();
    Ok(insert(operation, inputs, types, Some(value), None, mode))
}

/// A node for a result that is (or, with `pins`, is not) computed.
fn insert(
    operation: Operation,
    inputs: &[&Tensor],
    types: Types,
    value: Option<Value>,
    pins: Option<Box<[Option<Value>]>>,
    mode: Mode,
) -> Tensor {
    let ids: SmallVec<[_; 2]> = inputs.iter().map(|input| input.promote()).collect();
    let mut arena = arena::lock();
    let inputs = ids
        .iter()
        .map(|&id| Edge { id, version: arena.node(id).version })
        .collect();
    let requires_grad = !mode.no_grad
        && operation.is_differentiable()
        && ids.iter().any(|&id| arena.node(id).requires_grad);
    let saves = if requires_grad && !mode.transient {
        saves_of(&arena, &operation, &ids)
    } else {
        Needs::NOTHING
    };
    let id = arena.insert(NewNode {
        operation: Some(operation),
        inputs,
        types,
        value,
        pins,
        requires_grad,
        transient: mode.transient,
        saves,
        embedder: 0,
    });
    Tensor::adopt(id)
}

/// What the rules for the inputs that can get a gradient will read.
pub(super) fn saves_of(
    arena: &arena::Arena,
    operation: &Operation,
    inputs: &[super::NodeId],
) -> Needs {
    match operation {
        Operation::Foreign(_) => Needs::ALL,
        Operation::Native(op, _) => {
            let mut needs = Needs::NOTHING;
            for (i, &id) in inputs.iter().enumerate() {
                let node = arena.node(id);
                if node.requires_grad || node.operation.is_none() {
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
    seen: &[Seen],
    records: bool,
    mode: Mode,
) -> Result<Tensor> {
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
        let known = inputs.iter().map(|input| input.types()).collect::<Result<Vec<_>>>()?;
        compute::infer(&operation, &known)?
    } else {
        compute::infer(&operation, &types)?
    };
    let pins = seen.iter().map(|seen| seen.value.clone()).collect();
    let mode = Mode { no_grad: !records, ..mode };
    Ok(insert(operation, inputs, types, None, Some(pins), mode))
}

/// `a - b`: the nodes `Negate(b)` and `EWiseAdd(a, .)`, but one subtraction. The negation
/// is computed only if somebody reads it; without gradient there is one op.
pub fn subtract(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let mode = current_mode();
    let requires_grad = a.requires_grad() || b.requires_grad();
    let plain = !mode.is_lazy() && (mode.no_grad || !requires_grad);
    if plain || !negates_exactly(a, b)? {
        return apply(&arithmetic::SUBTRACT, Attrs::none(), &[a, b]);
    }
    if mode.is_lazy() {
        let negated = apply(&arithmetic::NEGATE, Attrs::none(), &[b])?;
        return apply(&arithmetic::ADD, Attrs::none(), &[a, &negated]);
    }
    let operation = Operation::Native(&arithmetic::SUBTRACT, Attrs::none());
    let value = compute::compute(&operation, &[a.value()?, b.value()?])?;
    // Without pins it counts as computed and released, not as waiting.
    let negate = Operation::Native(&arithmetic::NEGATE, Attrs::none());
    let negated = insert(negate, &[b], b.types()?, None, None, mode);
    let add = Operation::Native(&arithmetic::ADD, Attrs::none());
    let types = value.types();
    Ok(insert(add, &[a, &negated], types, Some(value), None, mode))
}

/// Whether `-b` in the dtype of `b` is what the difference subtracts: an integer may wrap
/// before it is widened, and bool has no negative.
fn negates_exactly(a: &Tensor, b: &Tensor) -> Result<bool> {
    let (Types::One(a), Types::One(b)) = (a.types()?, b.types()?) else { return Ok(false) };
    let wraps = a.dtype.promote(b.dtype) != b.dtype || b.dtype == DType::Bool;
    Ok(b.dtype.is_float() || !wraps)
}
