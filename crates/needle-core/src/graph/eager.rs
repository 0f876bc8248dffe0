//! What an eager operation reads of its inputs, and the short way for small ones: read,
//! computed and recorded in one moment.

use super::arena::{self, Arena};
use super::mode::Mode;
use super::node::{Edge, NodeId, Operation, Value};
use super::record::{Source, insert_difference, insert_difference_from, negates_exactly};
use super::tensor::{LocalGuard, Seen, Tensor};
use crate::array::Array;
use crate::error::Result;
use crate::kernels::elementwise::SUBTRACT;
use crate::ops::{Attrs, Constant, Forward, Infer, Needs, OpDef, TypeRef, arithmetic};
use crate::shape;
use smallvec::SmallVec;

/// Elements, of each input and of the result, up to which an op is run under the arena's
/// lock: most ops on so few take less time than giving the lock back and taking it again, and
/// the longest, a product of 32 x 32 matrices, takes about a microsecond.
const SMALL: usize = 1024;

/// A list with a place for each operand of most ops.
type PerInput<T> = SmallVec<[T; 3]>;

/// The result of an op of the table on small inputs whose values are there, or `None`, and the
/// attributes left as they are, where it is anything else.
#[inline]
pub(super) fn apply_small(
    op: &'static OpDef,
    attrs: &mut Attrs,
    inputs: &[impl Source],
    mode: Mode,
    embedder: usize,
) -> Option<Result<Tensor>> {
    let (infer, forward) = op.one()?;
    let compute = |attrs: &Attrs, arrays: &[&Array], types: &[TypeRef]| {
        compute_small(op, infer, forward, attrs, arrays, types)
    };
    let record = |arena: &mut Arena, attrs: &mut Attrs, ids: &[NodeId], array: Array| {
        let mut saves = Needs::NOTHING;
        if !mode.transient || mode.keeps {
            for (i, id) in ids.iter().enumerate() {
                if arena.node(*id).may_need_gradient() {
                    saves = saves.and(op.needs(i));
                }
            }
        }
        arena.insert_on(ids.iter().copied(), saves, |node| {
            node.operation = Some(Operation::Native(op, attrs.take()));
            node.requires_grad = true;
            node.transient = mode.transient;
            node.embedder = embedder;
            node.value = Some(Value::One(array));
        })
    };
    let plain = mode.no_grad || !op.is_differentiable();
    at_once(attrs, inputs, plain, embedder, compute, record)
}

/// `a - b` for small arrays whose values are there: see [`super::record::subtract`].
#[inline]
pub(super) fn subtract_small(a: &Tensor, b: &Tensor, mode: Mode) -> Option<Result<Tensor>> {
    let (infer, forward) = arithmetic::SUBTRACT.one()?;
    let compute = |attrs: &Attrs, arrays: &[&Array], types: &[TypeRef]| {
        negates_exactly(types[0].dtype, types[1].dtype)
            .then(|| compute_small(&arithmetic::SUBTRACT, infer, forward, attrs, arrays, types))
            .flatten()
    };
    let record = |arena: &mut Arena, _: &mut Attrs, ids: &[NodeId], array: Array| {
        insert_difference(arena, [ids[0], ids[1]], mode, Value::One(array))
    };
    at_once(
        &mut Attrs::none(),
        &[a, b],
        mode.no_grad,
        0,
        compute,
        record,
    )
}

/// `c - b` for a small array of floats whose value is there, and stays of its dtype: see
/// [`super::record::subtract_from`].
#[inline]
pub(super) fn subtract_from_small(
    constant: Constant,
    b: &Tensor,
    mode: Mode,
) -> Option<Result<Tensor>> {
    let compute = |_: &Attrs, arrays: &[&Array], types: &[TypeRef]| {
        let dtype = constant.promote("subtract", types[0].dtype);
        let stays = dtype.is_ok_and(|dtype| dtype == types[0].dtype && dtype.is_float());
        stays.then(|| SUBTRACT.from(constant.value, arrays[0]))
    };
    let record = |arena: &mut Arena, _: &mut Attrs, ids: &[NodeId], array: Array| {
        insert_difference_from(arena, constant, ids[0], mode, Value::One(array))
    };
    at_once(&mut Attrs::none(), &[b], mode.no_grad, 0, compute, record)
}

/// Computes and records under one lock: `compute` gets the values, `record` the nodes.
///
/// Nothing is moved that need not be: the node is written where it stays. Nobody waits long for
/// the lock meanwhile: the kernels of the table run no code of the embedder's, and [`SMALL`]
/// bounds their work.
#[allow(clippy::inline_always)] // What both callers hand over is known where they stand.
#[inline(always)]
fn at_once(
    attrs: &mut Attrs,
    inputs: &[impl Source],
    plain: bool,
    embedder: usize,
    compute: impl FnOnce(&Attrs, &[&Array], &[TypeRef]) -> Option<Result<Array>>,
    record: impl FnOnce(&mut Arena, &mut Attrs, &[NodeId], Array) -> NodeId,
) -> Option<Result<Tensor>> {
    // A handle's own lock comes before the arena's, and two threads may come with the same
    // handles in another order: nobody waits here.
    let mut ids: PerInput<Option<NodeId>> = SmallVec::new();
    let mut locals: PerInput<Option<LocalGuard<'_>>> = SmallVec::new();
    let mut needs_arena = false;
    for input in inputs {
        let id = input.node_id();
        needs_arena |= id.is_some();
        let local = match id {
            Some(_) => None,
            None => match input.tensor().and_then(Tensor::try_local) {
                Some(guard) => Some(guard),
                None => return None,
            },
        };
        ids.push(id);
        locals.push(local);
    }
    let mut arena = needs_arena.then(arena::lock);
    let mut requires_grad = false;
    let computed = {
        let mut arrays: PerInput<&Array> = SmallVec::new();
        let mut types: PerInput<TypeRef> = SmallVec::new();
        for (id, local) in ids.iter().zip(&locals) {
            let value = match (id, local, &arena) {
                (Some(id), _, Some(arena)) => {
                    let node = arena.node(*id);
                    requires_grad |= node.requires_grad;
                    node.value.as_ref()
                }
                (_, Some(local), _) => {
                    requires_grad |= local.requires_grad();
                    local.value()
                }
                _ => None,
            };
            let Some(Value::One(array)) = value else {
                break;
            };
            if array.size() > SMALL {
                break;
            }
            arrays.push(array);
            types.push(TypeRef {
                shape: array.shape(),
                dtype: array.dtype(),
            });
        }
        if arrays.len() < inputs.len() {
            None
        } else {
            compute(attrs, &arrays, &types)
        }
    };
    let array = match computed? {
        Err(error) => return Some(Err(error)),
        Ok(array) => array,
    };
    if plain || !requires_grad {
        drop(arena);
        let value = Value::One(array);
        return Some(Ok(Tensor::from_value_bound(value, embedder)));
    }
    let arena = arena.get_or_insert_with(arena::lock);
    let mut nodes: PerInput<NodeId> = SmallVec::new();
    for ((id, local), input) in ids.iter().zip(&mut locals).zip(inputs) {
        nodes.extend(match (id, local, input.tensor()) {
            (None, Some(local), Some(tensor)) => Some(tensor.promote_with(arena, local)),
            (id, ..) => *id,
        });
    }
    let id = record(arena, attrs, &nodes, array);
    Some(Ok(Tensor::adopt_bound(id, embedder)))
}

/// The result, or `None` where it is not small.
#[inline]
fn compute_small(
    op: &OpDef,
    infer: Infer,
    forward: Forward,
    attrs: &Attrs,
    arrays: &[&Array],
    types: &[TypeRef],
) -> Option<Result<Array>> {
    // As `OpDef::infer_one`, whose count is needed here.
    let ty = match infer(attrs, types) {
        Ok(ty) => ty,
        Err(error) => return Some(Err(error)),
    };
    let size = match shape::check(op.name, &ty.shape) {
        Ok(size) => size,
        Err(error) => return Some(Err(error)),
    };
    (size <= SMALL).then(|| forward(attrs, arrays, &ty))
}

/// The inputs of an eager operation, as they were in one moment.
pub(super) struct Gathered {
    pub values: SmallVec<[Value; 2]>,
    /// One for each input, or fewer where some input had no node or no value.
    pub edges: SmallVec<[Edge; 2]>,
    pub requires_grad: bool,
}

/// What an eager operation needs of its inputs, with one lock where all are there.
pub(super) fn gather(tensors: &[&Tensor]) -> Result<Gathered> {
    let mut gathered = Gathered {
        values: SmallVec::new(),
        edges: SmallVec::new(),
        requires_grad: false,
    };
    let mut arena: Option<std::sync::MutexGuard<'static, Arena>> = None;
    for tensor in tensors {
        if let Some(id) = tensor.node_id() {
            let node = arena.get_or_insert_with(arena::lock).node(id);
            gathered.requires_grad |= node.requires_grad;
            if let Some(value) = &node.value {
                gathered.values.push(value.clone());
                gathered.edges.push(Edge {
                    id,
                    version: node.version,
                });
                continue;
            }
        }
        // Other locks are taken, and values computed, without the arena's. The edge is
        // left to the recording, which gives the tensor a node if it has none.
        arena = None;
        let Seen {
            value,
            requires_grad,
            ..
        } = tensor.see();
        gathered.requires_grad |= requires_grad;
        gathered.values.push(match value {
            Some(value) => value,
            None => tensor.value()?,
        });
    }
    Ok(gathered)
}
