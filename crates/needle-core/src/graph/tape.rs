//! The graph as an algebra: rules that work here record what they do.

use super::arena;
use super::node::NodeId;
use super::record::{self, Source};
use super::tensor::Tensor;
use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::ops::algebra::{Algebra, Expr, Id};
use crate::ops::{Attrs, OpDef};
use crate::shape::TensorType;
use smallvec::SmallVec;
use std::cell::RefCell;

/// A value on a tape.
pub(super) enum Slot {
    /// A handle of its own.
    Owned(Tensor),
    /// A node that whoever made the tape keeps alive: no handle is counted for it.
    Node(NodeId),
    /// Moved out.
    Gone,
}

impl Slot {
    /// A handle on the value.
    pub fn handle(&self) -> Option<Tensor> {
        match self {
            Self::Owned(tensor) => Some(tensor.clone()),
            Self::Node(id) => Some(Tensor::hold(*id)),
            Self::Gone => None,
        }
    }
}

impl Source for &Slot {
    #[inline]
    fn node_id(&self) -> Option<NodeId> {
        match self {
            Slot::Owned(tensor) => tensor.node_id(),
            Slot::Node(id) => Some(*id),
            Slot::Gone => None,
        }
    }

    #[inline]
    fn tensor(&self) -> Option<&Tensor> {
        match self {
            Slot::Owned(tensor) => Some(tensor),
            _ => None,
        }
    }
}

/// The values of one rule, and its first error.
#[derive(Default)]
pub(super) struct Tape {
    values: RefCell<Vec<Slot>>,
    error: RefCell<Option<Error>>,
}

/// What operations give once one of them has failed.
pub(super) const FAILED: Id = Id(u32::MAX);

impl Tape {
    /// Brings a value into the algebra.
    #[inline]
    pub fn push(&self, slot: Slot) -> Id {
        let mut values = self.values.borrow_mut();
        values.push(slot);
        Id(values.len() as u32 - 1)
    }

    /// A tensor as an expression.
    pub fn expr(&self, tensor: Tensor) -> Expr<'_> {
        Expr::new(self, self.push(Slot::Owned(tensor)))
    }

    /// A value as a tensor again, unless something failed on the way.
    pub fn tensor(&self, id: Id) -> Result<Tensor> {
        self.check()?;
        let values = self.values.borrow();
        values
            .get(id.0 as usize)
            .and_then(Slot::handle)
            .ok_or_else(lost)
    }

    /// A value as a tensor again, moved out unless it is wanted `again`.
    pub fn take(&self, id: Id, again: bool) -> Result<Tensor> {
        self.check()?;
        let mut values = self.values.borrow_mut();
        let place = values.get_mut(id.0 as usize).ok_or_else(lost)?;
        match place {
            Slot::Owned(_) if !again => match std::mem::replace(place, Slot::Gone) {
                Slot::Owned(tensor) => Ok(tensor),
                _ => Err(lost()),
            },
            _ => place.handle().ok_or_else(lost),
        }
    }

    fn check(&self) -> Result<()> {
        self.error.borrow_mut().take().map_or(Ok(()), Err)
    }

    /// Forgets all values.
    pub fn clear(&self) {
        let mut values = self.values.borrow_mut();
        let counted = |slot: &Slot| matches!(slot, Slot::Owned(t) if t.node_id().is_some());
        if values.iter().any(counted) {
            Tensor::release(values.drain(..).filter_map(|slot| match slot {
                Slot::Owned(tensor) => Some(tensor),
                _ => None,
            }));
        } else {
            values.clear();
        }
        self.error.borrow_mut().take();
    }

    /// Whether two values have one shape and dtype.
    pub fn same_type(&self, a: Id, b: Id) -> bool {
        if a == b || a == FAILED || b == FAILED {
            return a == b;
        }
        // Nodes are compared where they are, under one lock.
        let values = self.values.borrow();
        let id = |id: Id| values.get(id.0 as usize).and_then(|slot| slot.node_id());
        if let (Some(a), Some(b)) = (id(a), id(b)) {
            let arena = arena::lock();
            let types = (arena.node(a).type_ref(), arena.node(b).type_ref());
            if let (Some(a), Some(b)) = types {
                return a.dtype == b.dtype && a.shape == b.shape;
            }
        }
        drop(values);
        self.ty(a) == self.ty(b)
    }
}

/// A rule that outlives its tape: no rule of the table can.
pub(super) fn lost() -> Error {
    Error::Grad("a derivative rule used a value that is gone".to_owned())
}

impl Algebra for Tape {
    fn apply(&self, op: &'static OpDef, attrs: Attrs, inputs: &[Id]) -> Id {
        if self.error.borrow().is_some() || inputs.contains(&FAILED) {
            return FAILED;
        }
        let result = {
            let values = self.values.borrow();
            let mut slots: SmallVec<[&Slot; 4]> = SmallVec::new();
            for id in inputs {
                match &values[id.0 as usize] {
                    Slot::Gone => return self.fail(lost()),
                    slot => slots.push(slot),
                }
            }
            record::apply_to(op, attrs, &slots)
        };
        match result {
            Ok(tensor) => self.push(Slot::Owned(tensor)),
            Err(error) => self.fail(error),
        }
    }

    fn constant(&self, value: Array) -> Id {
        self.push(Slot::Owned(Tensor::leaf(value, false)))
    }

    fn ty(&self, id: Id) -> TensorType {
        let ty = match self.values.borrow().get(id.0 as usize) {
            Some(Slot::Owned(tensor)) => tensor.ty(),
            Some(Slot::Node(id)) => Tensor::type_of(*id),
            _ if id == FAILED => return TensorType::new(&[], DType::F64),
            _ => Err(lost()),
        };
        ty.unwrap_or_else(|error| {
            self.fail(error);
            TensorType::new(&[], DType::F64)
        })
    }

    fn fail(&self, error: Error) -> Id {
        self.error.borrow_mut().get_or_insert(error);
        FAILED
    }
}
