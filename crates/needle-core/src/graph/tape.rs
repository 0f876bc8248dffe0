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
    values: RefCell<Vec<Option<Tensor>>>,
    error: RefCell<Option<Error>>,
}

/// What operations give once one of them has failed.
const FAILED: Id = Id(u32::MAX);

impl Tape {
    /// Brings a tensor into the algebra.
    pub fn push(&self, tensor: Tensor) -> Id {
        let mut values = self.values.borrow_mut();
        values.push(Some(tensor));
        Id(values.len() as u32 - 1)
    }

    /// The same as an expression.
    pub fn expr(&self, tensor: Tensor) -> Expr<'_> {
        Expr::new(self, self.push(tensor))
    }

    /// A value as a tensor again, unless something failed on the way.
    pub fn tensor(&self, id: Id) -> Result<Tensor> {
        self.check()?;
        let values = self.values.borrow();
        values
            .get(id.0 as usize)
            .cloned()
            .flatten()
            .ok_or_else(lost)
    }

    /// Values as tensors again, moved out where nothing else is on this tape.
    pub fn take<const N: usize>(&self, ids: &[Option<Id>]) -> Result<SmallVec<[Option<Tensor>; N]>>
    where
        [Option<Tensor>; N]: smallvec::Array<Item = Option<Tensor>>,
    {
        self.check()?;
        let mut values = self.values.borrow_mut();
        let mut taken = SmallVec::new();
        for (i, id) in ids.iter().enumerate() {
            let Some(id) = id else {
                taken.push(None);
                continue;
            };
            let place = values.get_mut(id.0 as usize).ok_or_else(lost)?;
            let again = ids[i + 1..].contains(&Some(*id));
            let tensor = if again { place.clone() } else { place.take() };
            taken.push(Some(tensor.ok_or_else(lost)?));
        }
        Ok(taken)
    }

    fn check(&self) -> Result<()> {
        self.error.borrow_mut().take().map_or(Ok(()), Err)
    }

    /// Forgets all values.
    pub fn clear(&self) {
        Tensor::release(self.values.borrow_mut().drain(..).flatten());
        self.error.borrow_mut().take();
    }

    /// Whether two values have one shape and dtype.
    pub fn same_type(&self, a: Id, b: Id) -> bool {
        a != FAILED && b != FAILED && self.ty(a) == self.ty(b)
    }

    fn ty(&self, id: Id) -> TensorType {
        let unknown = || TensorType::new(&[], DType::F64);
        if id == FAILED {
            return unknown();
        }
        let types = match self.values.borrow().get(id.0 as usize) {
            Some(Some(tensor)) => tensor.types(),
            _ => Err(lost()),
        };
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

/// A rule that outlives its tape: no rule of the table can.
fn lost() -> Error {
    Error::Grad("a derivative rule used a value that is gone".to_owned())
}

impl Algebra for Tape {
    fn apply(&self, op: &'static OpDef, attrs: Attrs, inputs: &[Id]) -> Id {
        if self.error.borrow().is_some() || inputs.contains(&FAILED) {
            return FAILED;
        }
        let result = {
            let values = self.values.borrow();
            let mut tensors: SmallVec<[&Tensor; 4]> = SmallVec::new();
            for id in inputs {
                match &values[id.0 as usize] {
                    Some(tensor) => tensors.push(tensor),
                    None => return self.fail(lost()),
                }
            }
            record::apply(op, attrs, &tensors)
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
