//! An algebra whose rules write down what to do: the steps of a program.

use super::super::compute;
use super::super::node::{Operation, Types, Value};
use super::super::tape::FAILED;
use super::Program;
use super::assemble::assemble;
use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::ops::algebra::{Algebra, Expr, Id};
use crate::ops::{Attrs, OpDef};
use crate::shape::TensorType;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::cell::{Cell, RefCell};

/// Elements up to which what depends on constants alone is computed once, and kept.
const FOLDED: usize = 64;

/// Writes down the ops that rules apply, each op on the same values once.
#[derive(Default)]
pub(super) struct Writer {
    values: RefCell<Vec<Written>>,
    known: RefCell<ByInputs>,
    numbers: RefCell<FxHashMap<(DType, u64), Id>>,
    nodes: RefCell<FxHashMap<u32, Id>>,
    arguments: Cell<u32>,
    error: RefCell<Option<Error>>,
}

/// What was written, by op and inputs: the attributes are compared.
type ByInputs = FxHashMap<(usize, Operands), SmallVec<[Id; 1]>>;
pub(super) type Operands = SmallVec<[Id; 3]>;

/// A value of the program to be, and its types.
pub(super) struct Written {
    pub source: Source,
    pub types: Types,
}

/// Where a value comes from.
pub(super) enum Source {
    /// A node of the graph.
    Node(u32),
    /// An argument of the program.
    Argument(u32),
    Constant(Value),
    Op(&'static OpDef, Attrs, Operands),
}

impl Writer {
    fn push(&self, source: Source, types: Types) -> Id {
        let mut values = self.values.borrow_mut();
        values.push(Written { source, types });
        Id(values.len() as u32 - 1)
    }

    /// The value of a node of the graph.
    pub fn node(&self, number: u32, types: &Types) -> Id {
        let known = self.nodes.borrow().get(&number).copied();
        known.unwrap_or_else(|| {
            let id = self.push(Source::Node(number), types.clone());
            self.nodes.borrow_mut().insert(number, id);
            id
        })
    }

    /// The next argument of the program.
    pub fn argument(&self, ty: TensorType) -> Id {
        let number = self.arguments.replace(self.arguments.get() + 1);
        self.push(Source::Argument(number), Types::One(ty))
    }

    /// A value as an expression.
    pub fn expr(&self, id: Id) -> Expr<'_> {
        Expr::new(self, id)
    }

    /// The types of a value.
    fn types(&self, id: Id) -> Types {
        match self.values.borrow().get(id.0 as usize) {
            Some(written) => written.types.clone(),
            None => Types::One(TensorType::new(&[], DType::F64)),
        }
    }

    /// What the op gives if it depends on constants alone, and on few.
    fn folded(&self, op: &Operation, inputs: &[Id], types: &Types) -> Result<Option<Value>> {
        if types.elements() > FOLDED {
            return Ok(None);
        }
        let values = self.values.borrow();
        let constant = |id: &Id| match &values[id.0 as usize].source {
            Source::Constant(value) => Some(value.clone()),
            _ => None,
        };
        let constants: Option<SmallVec<[Value; 3]>> = inputs.iter().map(constant).collect();
        constants.map(|all| compute::compute(op, &all)).transpose()
    }

    fn write(&self, op: &'static OpDef, attrs: Attrs, inputs: &[Id]) -> Result<Id> {
        let operands = Operands::from_slice(inputs);
        let key = (std::ptr::from_ref(op) as usize, operands.clone());
        let same = |id: &&Id| match &self.values.borrow()[id.0 as usize].source {
            Source::Op(_, own, _) => own.are(&attrs),
            _ => false,
        };
        if let Some(known) = self.known.borrow().get(&key)
            && let Some(id) = known.iter().find(same)
        {
            return Ok(*id);
        }
        let types: SmallVec<[Types; 3]> = inputs.iter().map(|id| self.types(*id)).collect();
        let operation = Operation::Native(op, attrs.clone());
        let types = compute::infer(&operation, &types)?;
        if let Some(value) = self.folded(&operation, inputs, &types)? {
            return Ok(self.push(Source::Constant(value), types));
        }
        let id = self.push(Source::Op(op, attrs, operands), types);
        self.known.borrow_mut().entry(key).or_default().push(id);
        Ok(id)
    }

    /// The program that computes `results`, or the first error of the rules.
    pub fn finish(self, results: &[Option<Id>]) -> Result<Program> {
        if let Some(error) = self.error.into_inner() {
            return Err(error);
        }
        let arguments = self.arguments.get() as usize;
        Ok(assemble(&self.values.into_inner(), arguments, results))
    }
}

impl Algebra for Writer {
    fn apply(&self, op: &'static OpDef, attrs: Attrs, inputs: &[Id]) -> Id {
        if self.error.borrow().is_some() || inputs.contains(&FAILED) {
            return FAILED;
        }
        let written = self.write(op, attrs, inputs);
        written.unwrap_or_else(|error| self.fail(error))
    }

    fn constant(&self, value: Array) -> Id {
        let types = Types::One(TensorType::new(value.shape(), value.dtype()));
        // Integers beyond 2^53 are not told apart as floats.
        let is_number = value.ndim() == 0 && value.dtype().is_float();
        let key = is_number.then(|| (value.dtype(), value.to_f64_vec()[0].to_bits()));
        if let Some(known) = key.and_then(|key| self.numbers.borrow().get(&key).copied()) {
            return known;
        }
        let id = self.push(Source::Constant(Value::One(value)), types);
        if let Some(key) = key {
            self.numbers.borrow_mut().insert(key, id);
        }
        id
    }

    fn ty(&self, id: Id) -> TensorType {
        match self.types(id) {
            Types::One(ty) => ty,
            _ => TensorType::new(&[], DType::F64),
        }
    }

    fn fail(&self, error: Error) -> Id {
        self.error.borrow_mut().get_or_insert(error);
        FAILED
    }
}
