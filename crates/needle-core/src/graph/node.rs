//! Nodes: plain data about one recorded operation.

use super::tensor::Tensor;
use crate::array::Array;
use crate::error::Result;
use crate::ops::TypeRef;
use crate::ops::{Attrs, Needs, OpDef};
use crate::shape::{self, TensorType};
use smallvec::SmallVec;
use std::any::Any;
use std::sync::Arc;

/// Where a node stands in the arena, and which of the nodes that stood there it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NodeId {
    pub(super) index: u32,
    pub(super) generation: u32,
}

impl NodeId {
    /// One word; never 0, because generations start at 1.
    pub(super) fn pack(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    pub(super) fn unpack(word: u64) -> Option<Self> {
        (word != 0).then_some(Self {
            index: word as u32,
            generation: (word >> 32) as u32,
        })
    }
}

/// An op that the embedder defines. Methods may run its code, so the core calls them
/// without any lock.
pub trait ForeignOp: Send + Sync {
    /// The name for messages.
    fn name(&self) -> String;
    /// How messages call input `i`.
    fn input_name(&self, i: usize) -> Result<String> {
        Ok(format!("input {i}"))
    }
    /// Whether the op gives a tuple.
    fn is_tuple(&self) -> bool;
    /// Types of the results, or `None` where only running it tells.
    fn infer(&self, inputs: &[TensorType]) -> Result<Option<TensorType>>;
    /// Values of the results.
    fn forward(&self, inputs: &[Value]) -> Result<Value>;
    /// One adjoint per input, from the adjoints of the outputs and the node itself.
    fn vjp(&self, adjoints: Vec<Option<Tensor>>, node: Tensor) -> Result<Vec<Option<Tensor>>>;
    /// The embedder's own object.
    fn as_any(&self) -> &dyn Any;
}

/// What made a node.
#[derive(Clone)]
pub enum Operation {
    /// An op of the table.
    Native(&'static OpDef, Attrs),
    /// An op of the embedder.
    Foreign(Arc<dyn ForeignOp>),
}

impl Operation {
    /// The name for messages.
    pub fn name(&self) -> String {
        match self {
            Self::Native(op, _) => op.name.to_owned(),
            Self::Foreign(op) => op.name(),
        }
    }

    /// Whether the result is a tuple.
    pub fn is_tuple(&self) -> bool {
        match self {
            Self::Native(op, _) => op.has_many_outputs(),
            Self::Foreign(op) => op.is_tuple(),
        }
    }

    pub(super) fn is_differentiable(&self) -> bool {
        match self {
            Self::Native(op, _) => op.is_differentiable(),
            Self::Foreign(_) => true,
        }
    }
}

/// The value of a node: one array, or several for a tuple.
#[derive(Clone)]
pub enum Value {
    /// One output.
    One(Array),
    /// Several outputs.
    Many(Arc<[Array]>),
}

impl Value {
    /// The outputs.
    pub fn arrays(&self) -> &[Array] {
        match self {
            Self::One(array) => std::slice::from_ref(array),
            Self::Many(arrays) => arrays,
        }
    }

    /// The types of the outputs.
    pub fn types(&self) -> Types {
        let of = |array: &Array| TensorType::new(array.shape(), array.dtype());
        match self {
            Self::One(array) => Types::One(of(array)),
            Self::Many(arrays) => Types::Many(arrays.iter().map(of).collect()),
        }
    }

    /// Shape and dtype of a single output.
    #[inline]
    pub(super) fn tensor_type(&self) -> Option<TensorType> {
        match self {
            Self::One(array) => Some(TensorType::new(array.shape(), array.dtype())),
            Self::Many(_) => None,
        }
    }

    pub(super) fn is_small(&self) -> bool {
        self.arrays().iter().all(|array| array.size() <= SMALL)
    }

    pub(super) fn is_exported(&self) -> bool {
        self.arrays()
            .iter()
            .any(|array| array.storage().is_exported())
    }

    /// Whether dropping it may run code of the embedder.
    pub(super) fn is_lent(&self) -> bool {
        self.arrays().iter().any(|array| array.storage().is_lent())
    }
}

/// The types of a node's outputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Types {
    /// An embedder's op that has not run yet.
    #[default]
    Unknown,
    /// One output.
    One(TensorType),
    /// Several outputs.
    Many(Arc<[TensorType]>),
}

impl Types {
    /// How many elements all outputs have; none where that is not known yet.
    pub fn elements(&self) -> usize {
        let size = |ty: &TensorType| shape::size(&ty.shape).unwrap_or(usize::MAX);
        match self {
            Self::Unknown => 0,
            Self::One(ty) => size(ty),
            Self::Many(types) => types.iter().map(size).fold(0, usize::saturating_add),
        }
    }
}

/// From a node to one of its inputs.
#[derive(Clone, Copy)]
pub(super) struct Edge {
    pub id: NodeId,
    /// The version of the input's value when the edge was made.
    pub version: u32,
}

#[allow(clippy::struct_excessive_bools)] // Independent facts; flags in a word would hide them.
/// One node. Three counts say what is still needed of it: `handles` and `edges` keep the
/// node, `handles` and `saved` keep its value.
pub(super) struct Node {
    pub generation: u32,
    /// Handles of users: tensors.
    pub handles: u32,
    /// Edges of consumers, and guards of running realisations.
    pub edges: u32,
    /// Rules to come, and unrealised consumers, that will read the value.
    pub saved: u32,
    /// Rises whenever the value is replaced.
    pub version: u32,
    /// The version that brought the present shape and dtype.
    pub type_version: u32,
    pub requires_grad: bool,
    /// Made by a sweep.
    pub transient: bool,
    /// The value was replaced by hand: recomputing would give another one.
    pub replaced: bool,
    /// What this node has saved of its inputs (and itself) for its own rule.
    pub saves: Needs,
    /// Whether all inputs are saved because this node is recorded but not computed.
    pub holds_inputs: bool,
    /// Where the node stands in the sweep that visited it last, and which sweep that was.
    pub place: u32,
    pub sweep: u64,
    /// Creation order, a topological order.
    pub sequence: u64,
    /// `None` for a leaf.
    pub operation: Option<Operation>,
    pub inputs: SmallVec<[Edge; 2]>,
    /// The type of the value while there is none; see [`Node::types`].
    pub types: Types,
    pub value: Option<Value>,
    /// The values of inputs as they were when this node was recorded, while it is not
    /// computed yet.
    pub pins: Option<Box<[Option<Value>]>>,
    /// One opaque word for the embedder: its object on this node.
    pub embedder: usize,
}

/// Elements up to which a value is small: keeping it costs little, and computing it again is
/// mostly overhead.
const SMALL: usize = 1 << 14;

impl Node {
    /// Whether the value is small, or would be if it was there.
    pub fn is_small(&self) -> bool {
        match (&self.value, self.type_ref()) {
            (Some(value), _) => value.is_small(),
            (None, Some(ty)) => shape::size(ty.shape).is_some_and(|size| size <= SMALL),
            (None, None) => false,
        }
    }

    /// The types of the outputs, as far as they are known.
    pub fn types(&self) -> Types {
        match &self.value {
            Some(value) => value.types(),
            None => self.types.clone(),
        }
    }

    /// The number of outputs, as far as it is known.
    pub fn outputs(&self) -> Option<usize> {
        match (&self.value, &self.types) {
            (Some(value), _) => Some(value.arrays().len()),
            (None, Types::Many(types)) => Some(types.len()),
            (None, Types::One(_)) => Some(1),
            (None, Types::Unknown) => None,
        }
    }

    /// Shape and dtype of a single output, as far as they are known.
    #[inline]
    pub fn tensor_type(&self) -> Option<TensorType> {
        match (&self.value, &self.types) {
            (Some(value), _) => value.tensor_type(),
            (None, Types::One(ty)) => Some(ty.clone()),
            _ => None,
        }
    }

    /// The same without a copy.
    #[inline]
    pub fn type_ref(&self) -> Option<TypeRef<'_>> {
        match (&self.value, &self.types) {
            (Some(Value::One(array)), _) => Some(TypeRef {
                shape: array.shape(),
                dtype: array.dtype(),
            }),
            (None, Types::One(ty)) => Some(TypeRef {
                shape: &ty.shape,
                dtype: ty.dtype,
            }),
            _ => None,
        }
    }

    /// Whether a gradient may be asked for: a leaf can be told so later.
    #[inline]
    pub fn may_need_gradient(&self) -> bool {
        self.requires_grad || self.operation.is_none()
    }

    /// Whether the value may go: nobody will read it, and it can be had again.
    pub fn can_drop_value(&self) -> bool {
        self.handles == 0
            && self.saved == 0
            && !self.replaced
            && matches!(self.operation, Some(Operation::Native(..)))
            && self
                .value
                .as_ref()
                .is_some_and(|value| !value.is_exported())
    }
}
