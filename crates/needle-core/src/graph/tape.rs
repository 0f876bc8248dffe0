//! The graph as an algebra: rules that work here record what they do.

use super::node::Types;
use super::record;
use super::tensor::Tensor;
use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::ops::algebra::{Algebra, Expr, Id};
use crate::ops::{Attrs, OpDef};
use crate::shape::{Dims, TensorType};
use smallvec::SmallVec;
use std::cell::RefCell;

/// The values of one rule, and its first error.
#[derive(Default)]
pub(super) struct Tape {
    values: RefCell<Vec<Tensor>>,
    error: RefCell<Option<Error>>,
}

/// What operations give once one of them has failed.
const FAILED: Id = Id(u32::MAX);

impl Tape {
    /// Brings a tensor into the algebra.
    pub fn push(&self, tensor: Tensor) -> Id {
        let mut values = self.values.borrow_mut();
        values.push(tensor);
        Id(values.len() as u32 - 1)
    }

    /// The same as an expression.
    pub fn expr(&self, tensor: Tensor) -> Expr<'_> {
        Expr::new(self, self.push(tensor))
    }

    /// A value as a tensor again, unless something failed on the way.
    pub fn tensor(&self, id: Id) -> Result<Tensor> {
        if let Some(error) = self.error.borrow_mut().take() {
            return Err(error);
        }
        Ok(self.values.borrow()[id.0 as usize].clone())
    }

    /// Forgets all values.
    pub fn clear(&self) {
        // Dropping a tensor may run code of the embedder; let nothing be borrowed then.
        let values = std::mem::take(&mut *self.values.borrow_mut());
        drop(values);
        self.error.borrow_mut().take();
    }

    fn ty(&self, id: Id) -> TensorType {
        let unknown = || TensorType::new(&[], DType::F64);
        if id == FAILED {
            return unknown();
        }
        let types = self.values.borrow()[id.0 as usize].types();
        match types {
            Ok(Types::One(ty)) => ty,
            Ok(_) => unknown(),
            Err(error) => {
                self.fail(error);
                unknown()
            }
        }
    }
}

impl Algebra for Tape {
    fn apply(&self, op: &'static OpDef, attrs: Attrs, inputs: &[Id]) -> Id {
        if self.error.borrow().is_some() || inputs.contains(&FAILED) {
            return FAILED;
        }
        let result = {
            let values = self.values.borrow();
            let inputs: SmallVec<[&Tensor; 4]> =
                inputs.iter().map(|id| &values[id.0 as usize]).collect();
            record::apply(op, attrs, &inputs)
        };
        match result {
            Ok(tensor) => self.push(tensor),
            Err(error) => self.fail(error),
        }
    }

    fn constant(&self, value: Array) -> Id {
        self.push(Tensor::leaf(value, false))
    }

    fn shape(&self, id: Id) -> Dims {
        self.ty(id).shape
    }

    fn dtype(&self, id: Id) -> DType {
        self.ty(id).dtype
    }

    fn fail(&self, error: Error) -> Id {
        self.error.borrow_mut().get_or_insert(error);
        FAILED
    }
}
