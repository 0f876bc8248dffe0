//! The handle: what a user holds of a value, with or without a node.
//!
//! A tensor that takes part in nothing recorded has no node: the handle holds its array,
//! and using it never touches the arena. The first recorded operation that reads it gives
//! it a node, so that every handle stands for at most one node for life.

use super::arena::{self, release_after};
use super::node::{NodeId, Operation, Types, Value};
use super::realise::{self, Access};
use crate::array::Array;
use crate::error::{Error, Result};
use crate::shape::TensorType;
use parking_lot::{Mutex, MutexGuard};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// A value with or without history.
pub struct Tensor {
    /// The packed id of the node, 0 while there is none.
    node: AtomicU64,
    pub(super) local: Mutex<Option<Local>>,
    /// The embedder's word, for the node to come.
    pub(super) embedder: AtomicUsize,
}

/// What a handle without a node holds itself.
#[derive(Clone)]
pub(super) struct Local {
    pub value: Value,
    pub requires_grad: bool,
}

/// What an operation sees of an input, taken in one moment.
pub(super) struct Seen {
    pub node: Option<NodeId>,
    pub value: Option<Value>,
    /// Only where there is no value.
    pub types: Option<Types>,
    pub requires_grad: bool,
}

/// The value of a handle without a node, locked.
pub(super) struct LocalGuard<'a>(MutexGuard<'a, Option<Local>>);

impl LocalGuard<'_> {
    pub fn value(&self) -> Option<&Value> {
        self.0.as_ref().map(|local| &local.value)
    }

    pub fn requires_grad(&self) -> bool {
        self.0.as_ref().is_some_and(|local| local.requires_grad)
    }
}

impl Tensor {
    /// A leaf.
    pub fn leaf(array: Array, requires_grad: bool) -> Self {
        Self::from_value(Value::One(array), requires_grad)
    }

    pub(super) fn from_value(value: Value, requires_grad: bool) -> Self {
        Self {
            node: AtomicU64::new(0),
            local: Mutex::new(Some(Local {
                value,
                requires_grad,
            })),
            embedder: AtomicUsize::new(0),
        }
    }

    /// A value without gradient, for an object of the embedder.
    pub(super) fn from_value_bound(value: Value, embedder: usize) -> Self {
        let mut tensor = Self::from_value(value, false);
        *tensor.embedder.get_mut() = embedder;
        tensor
    }

    /// Takes over one handle that the caller has counted on the node.
    pub(super) fn adopt(id: NodeId) -> Self {
        Self::adopt_bound(id, 0)
    }

    /// [`Self::adopt`] for a node that was made with an embedder's word.
    #[inline]
    pub(super) fn adopt_bound(id: NodeId, embedder: usize) -> Self {
        Self {
            node: AtomicU64::new(id.pack()),
            local: Mutex::new(None),
            embedder: AtomicUsize::new(embedder),
        }
    }

    /// Another handle on a live node, with the arena locked by the caller.
    pub(super) fn adopt_more(arena: &mut arena::Arena, id: NodeId) -> Self {
        arena.node_mut(id).handles += 1;
        Self::adopt(id)
    }

    /// Another handle on a live node.
    pub(super) fn hold(id: NodeId) -> Self {
        Self::adopt_more(&mut arena::lock(), id)
    }

    /// Shape and dtype of a live node.
    pub(super) fn type_of(id: NodeId) -> Result<TensorType> {
        let known = arena::lock().node(id).tensor_type();
        match known {
            Some(ty) => Ok(ty),
            None => Self::hold(id).ty(),
        }
    }

    /// The node, if there is one.
    #[inline]
    pub fn node_id(&self) -> Option<NodeId> {
        NodeId::unpack(self.node.load(Ordering::Acquire))
    }

    /// The handle's own value, if it has no node and nobody else is at it.
    #[inline]
    pub(super) fn try_local(&self) -> Option<LocalGuard<'_>> {
        self.local.try_lock().map(LocalGuard)
    }

    /// The node, made now if there was none.
    pub(super) fn promote(&self) -> NodeId {
        if let Some(id) = self.node_id() {
            return id;
        }
        let mut local = LocalGuard(self.local.lock());
        self.promote_with(&mut arena::lock(), &mut local)
    }

    /// [`Self::promote`] with both locks held by the caller.
    pub(super) fn promote_with(
        &self,
        arena: &mut arena::Arena,
        local: &mut LocalGuard<'_>,
    ) -> NodeId {
        let Some(Local {
            value,
            requires_grad,
        }) = local.0.take()
        else {
            // Another thread was faster, or the handle never had a value (which no
            // constructor allows).
            return self
                .node_id()
                .unwrap_or_else(|| unreachable!("a handle has a value or a node"));
        };
        let embedder = self.embedder.load(Ordering::Relaxed);
        let id = arena.insert(|node| {
            node.value = Some(value);
            node.requires_grad = requires_grad;
            node.embedder = embedder;
        });
        self.node.store(id.pack(), Ordering::Release);
        id
    }

    /// Runs `local` on the handle's own data or `node` on its node.
    #[inline]
    fn read<R>(
        &self,
        on_local: impl FnOnce(&mut Local) -> R,
        on_node: impl FnOnce(&mut arena::Arena, NodeId) -> R,
    ) -> R {
        if self.node_id().is_none() {
            let mut local = self.local.lock();
            if let Some(local) = local.as_mut() {
                return on_local(local);
            }
        }
        let id = self.promote();
        on_node(&mut arena::lock(), id)
    }

    /// What an operation needs to know of this input.
    #[inline]
    pub(super) fn see(&self) -> Seen {
        self.read(
            |local| Seen {
                node: None,
                value: Some(local.value.clone()),
                types: None,
                requires_grad: local.requires_grad,
            },
            |arena, id| {
                let node = arena.node(id);
                Seen {
                    node: Some(id),
                    value: node.value.clone(),
                    types: node.value.is_none().then(|| node.types.clone()),
                    requires_grad: node.requires_grad,
                }
            },
        )
    }

    /// The value, computed now if it has not been.
    pub fn value(&self) -> Result<Value> {
        loop {
            match self.see() {
                Seen {
                    value: Some(value), ..
                } => return Ok(value),
                Seen { node: Some(id), .. } => {
                    if let Some(value) = realise::realise(&[id], Access::Values)?.pop() {
                        return Ok(value);
                    }
                }
                Seen { .. } => unreachable!("a handle has a value or a node"),
            }
        }
    }

    /// The array, computed now if it has not been.
    pub fn array(&self) -> Result<Array> {
        match self.value()? {
            Value::One(array) => Ok(array),
            Value::Many(_) => Err(Error::DType(
                "expected a tensor, got a tuple of tensors".to_owned(),
            )),
        }
    }

    /// Whether the value is there without computing.
    pub fn is_realised(&self) -> bool {
        self.read(|_| true, |arena, id| arena.node(id).value.is_some())
    }

    /// Types of the outputs; computes only what an embedder's op without type rule needs.
    pub fn types(&self) -> Result<Types> {
        let types = self.read(
            |local| local.value.types(),
            |arena, id| arena.node(id).types(),
        );
        match types {
            Types::Unknown => Ok(self.value()?.types()),
            known => Ok(known),
        }
    }

    /// How many tensors this stands for; computes the value where that is not known without it.
    pub fn outputs(&self) -> Result<usize> {
        let known = self.read(
            |local| Some(local.value.arrays().len()),
            |arena, id| arena.node(id).outputs(),
        );
        known.map_or_else(|| Ok(self.value()?.arrays().len()), Ok)
    }

    /// Whether the value is a tuple; computes nothing.
    pub fn is_tuple(&self) -> bool {
        self.read(
            |local| matches!(local.value, Value::Many(_)),
            |arena, id| {
                let node = arena.node(id);
                match (&node.value, &node.operation) {
                    (Some(value), _) => matches!(value, Value::Many(_)),
                    (None, Some(operation)) => operation.is_tuple(),
                    (None, None) => matches!(node.types, Types::Many(_)),
                }
            },
        )
    }

    /// Shape and dtype.
    pub fn ty(&self) -> Result<TensorType> {
        let known = self.read(
            |local| local.value.tensor_type(),
            |arena, id| arena.node(id).tensor_type(),
        );
        if let Some(ty) = known {
            return Ok(ty);
        }
        match self.types()? {
            Types::One(ty) => Ok(ty),
            _ => Err(Error::DType(
                "expected a tensor, got a tuple of tensors".to_owned(),
            )),
        }
    }

    /// Whether gradients flow to or through this tensor.
    pub fn requires_grad(&self) -> bool {
        self.read(
            |local| local.requires_grad,
            |arena, id| arena.node(id).requires_grad,
        )
    }

    /// Makes a leaf need a gradient or not; on a result of an op only `true` is allowed.
    pub fn set_requires_grad(&self, requires_grad: bool) -> Result<()> {
        self.read(
            |local| {
                local.requires_grad = requires_grad;
                Ok(())
            },
            |arena, id| {
                let node = arena.node_mut(id);
                if node.operation.is_some() && !requires_grad {
                    return Err(Error::Grad(
                        "requires_grad: only a leaf can stop requiring a gradient\nhint: use detach(); a step is w.data = w - lr * w.grad, else w keeps the graph of all steps before"
                            .to_owned(),
                    ));
                }
                node.requires_grad = requires_grad;
                Ok(())
            },
        )
    }

    /// Puts another value in the place of this one; what was recorded keeps what it read.
    pub fn set_value(&self, value: Value) {
        if self.node_id().is_none() {
            let mut local = self.local.lock();
            if let Some(own) = local.as_mut() {
                let old = std::mem::replace(&mut own.value, value);
                // Memory that was lent may run code of the embedder when it goes.
                drop(local);
                drop(old);
                return;
            }
        }
        let id = self.promote();
        release_after(|arena, garbage, _| {
            let node = arena.node_mut(id);
            if node.types() != value.types() {
                node.type_version = node.version + 1;
            }
            garbage.value(node.value.replace(value));
            node.version += 1;
            node.replaced = node.operation.is_some();
            arena.unhold(id, garbage);
        });
    }

    /// A leaf that shares this value and does not require a gradient.
    pub fn detach(&self) -> Result<Self> {
        Ok(Self::from_value(self.value()?, false))
    }

    /// What made this value: `None` for a leaf.
    pub fn operation(&self) -> Option<Operation> {
        self.node_id()
            .and_then(|id| arena::lock().node(id).operation.clone())
    }

    /// Whether nothing made this value.
    pub fn is_leaf(&self) -> bool {
        self.node_id()
            .is_none_or(|id| arena::lock().node(id).operation.is_none())
    }

    /// Whether a sweep made this: a gradient, or something on the way to one. What a user computed is
    /// none, whatever it serves as later.
    pub fn is_gradient(&self) -> bool {
        self.node_id()
            .is_some_and(|id| arena::lock().node(id).transient)
    }

    /// Handles on the inputs.
    pub fn inputs(&self) -> Vec<Self> {
        let Some(id) = self.node_id() else {
            return Vec::new();
        };
        let mut arena = arena::lock();
        let inputs = arena.node(id).inputs.clone();
        inputs
            .iter()
            .map(|edge| Self::adopt_more(&mut arena, edge.id))
            .collect()
    }

    /// A handle on input `i`.
    pub fn input(&self, i: usize) -> Option<Self> {
        let id = self.node_id()?;
        let mut arena = arena::lock();
        let input = arena.node(id).inputs.get(i)?.id;
        Some(Self::adopt_more(&mut arena, input))
    }

    /// Ties the embedder's object to this handle, and to its node now or later.
    pub fn set_embedder(&self, word: usize) {
        self.embedder.store(word, Ordering::Relaxed);
        if let Some(id) = self.node_id() {
            arena::lock().set_embedder(id, word);
        }
    }

    /// The embedder's word of the node.
    pub fn embedder(&self) -> usize {
        match self.node_id() {
            Some(id) => arena::lock().node(id).embedder,
            None => self.embedder.load(Ordering::Relaxed),
        }
    }
}
