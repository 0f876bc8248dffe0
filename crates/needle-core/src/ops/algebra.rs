//! The algebra in which derivative rules are written.
//!
//! A rule sees opaque values and combines them with ops of the table. Who implements
//! [`Algebra`] decides what that means: the graph records (so that derivatives can be
//! differentiated again), forward mode pushes tangents. Operations do not return errors:
//! the first one is kept by the implementation, which reports it when the rule is done.

use super::{Attr, Attrs, Constant, OpDef};
use super::{
    arithmetic, comparison, elementary, extrema, indexing, joining, linalg, power, reduction,
    shaping,
};
use crate::array::{Array, Index};
use crate::dtype::{DType, Scalar};
use crate::error::Error;
use crate::shape::{self, Dims, TensorType};
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A value of an algebra.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Id(pub u32);

/// Something that can apply ops to values.
pub trait Algebra {
    /// The result of an op on values.
    fn apply(&self, op: &'static OpDef, attrs: Attrs, inputs: &[Id]) -> Id;
    /// A value that depends on nothing.
    fn constant(&self, value: Array) -> Id;
    /// Shape and dtype of a value.
    fn ty(&self, id: Id) -> TensorType;
    /// Keeps an error for when the rule is done; returns a value to go on with.
    fn fail(&self, error: Error) -> Id;
}

/// Where a rule stands: the op's attributes, inputs and output.
pub struct Site<'a> {
    /// The algebra to work in.
    pub algebra: &'a dyn Algebra,
    /// The attributes of the op.
    pub attrs: &'a Attrs,
    /// The inputs.
    pub inputs: &'a [Id],
    /// The outputs.
    pub outputs: &'a [Id],
}

impl<'a> Site<'a> {
    /// Input `i`. Its value may be read only if the op's `needs` say so; shape and dtype
    /// always.
    pub fn x(&self, i: usize) -> Expr<'a> {
        Expr {
            algebra: self.algebra,
            id: self.inputs[i],
        }
    }

    /// The output.
    pub fn y(&self) -> Expr<'a> {
        Expr {
            algebra: self.algebra,
            id: self.outputs[0],
        }
    }
}

/// A value of an algebra with the operators of arithmetic.
#[derive(Clone, Copy)]
pub struct Expr<'a> {
    algebra: &'a dyn Algebra,
    id: Id,
}

impl<'a> Expr<'a> {
    /// A value of `algebra`.
    pub fn new(algebra: &'a dyn Algebra, id: Id) -> Self {
        Self { algebra, id }
    }

    /// The value.
    pub fn id(self) -> Id {
        self.id
    }

    /// Its shape.
    pub fn shape(self) -> Dims {
        self.algebra.ty(self.id).shape
    }

    /// Its dtype.
    pub fn dtype(self) -> DType {
        self.algebra.ty(self.id).dtype
    }

    /// An op with attributes on this value alone.
    pub fn apply(self, op: &'static OpDef, attrs: Attrs) -> Self {
        let id = self.algebra.apply(op, attrs, &[self.id]);
        Self { id, ..self }
    }

    /// An op with attributes on this value and another.
    pub fn with(self, op: &'static OpDef, attrs: Attrs, other: Self) -> Self {
        let id = self.algebra.apply(op, attrs, &[self.id, other.id]);
        Self { id, ..self }
    }

    fn and(self, op: &'static OpDef, other: Self) -> Self {
        self.with(op, Attrs::none(), other)
    }

    /// A constant without dimensions, of this value's dtype.
    pub fn constant(self, value: f64) -> Self {
        self.constant_of(value, self.dtype())
    }

    fn constant_of(self, value: f64, dtype: DType) -> Self {
        let id = match Array::scalar(Scalar::Float(value), dtype) {
            Ok(array) => self.algebra.constant(array),
            Err(error) => self.algebra.fail(error),
        };
        Self { id, ..self }
    }

    /// One number everywhere, in this value's shape and dtype, without memory for each.
    pub fn full_like(self, value: f64) -> Self {
        self.constant(value).broadcast_to(&self.shape())
    }

    /// The chain product: 0 where either factor is exactly 0, else the product.
    pub fn chain(self, other: Self) -> Self {
        self.and(&arithmetic::CHAIN_PRODUCT, other)
    }

    /// The chain product with a plain number.
    pub fn chain_scalar(self, constant: Constant) -> Self {
        let value = constant.value.to_f64();
        if value == 1.0 && constant.dtype.is_none() {
            self
        } else if value.is_finite() && value != 0.0 {
            self.mul_scalar(constant)
        } else {
            self.chain(self.constant(value))
        }
    }

    /// The product with a plain number.
    pub fn mul_scalar(self, constant: Constant) -> Self {
        self.apply(&arithmetic::MUL_SCALAR, Attrs::scalar(constant))
    }

    /// The sum with a plain number.
    pub fn add_scalar(self, constant: Constant) -> Self {
        self.apply(&arithmetic::ADD_SCALAR, Attrs::scalar(constant))
    }

    /// This value to the power of another.
    pub fn power(self, exponent: Self) -> Self {
        self.and(&power::POWER, exponent)
    }

    /// This value to the power of a plain number.
    pub fn power_scalar(self, exponent: Constant) -> Self {
        self.apply(&power::POWER_SCALAR, Attrs::scalar(exponent))
    }

    /// 1 / x.
    pub fn reciprocal(self) -> Self {
        self.constant_of(1.0, self.dtype().to_float()) / self
    }

    /// The larger of two.
    pub fn maximum(self, other: Self) -> Self {
        self.and(&extrema::MAXIMUM, other)
    }

    /// e to the power of x.
    pub fn exp(self) -> Self {
        self.apply(&elementary::EXP, Attrs::none())
    }

    /// Natural logarithm.
    pub fn log(self) -> Self {
        self.apply(&elementary::LOG, Attrs::none())
    }

    /// Hyperbolic tangent.
    pub fn tanh(self) -> Self {
        self.apply(&elementary::TANH, Attrs::none())
    }

    /// -1, 0 or 1.
    pub fn sign(self) -> Self {
        self.apply(&elementary::SIGN, Attrs::none())
    }

    /// Sine.
    pub fn sin(self) -> Self {
        self.apply(&elementary::SIN, Attrs::none())
    }

    /// Cosine.
    pub fn cos(self) -> Self {
        self.apply(&elementary::COS, Attrs::none())
    }

    /// Whether each element equals the other's.
    pub fn equal(self, other: Self) -> Self {
        self.and(&comparison::EQUAL, other)
    }

    /// Whether each element is greater than the other's.
    pub fn greater(self, other: Self) -> Self {
        self.and(&comparison::GREATER, other)
    }

    /// `yes` where this (bool) value is true, else `no`.
    pub fn select(self, yes: Self, no: Self) -> Self {
        let inputs = [self.id, yes.id, no.id];
        let id = self
            .algebra
            .apply(&comparison::WHERE, Attrs::none(), &inputs);
        Self { id, ..self }
    }

    /// The sum over `axes`.
    pub fn sum(self, axes: &[usize], keepdims: bool) -> Self {
        let attrs = Attrs::of([ints(axes), Attr::Bool(keepdims)]);
        self.apply(&reduction::SUMMATION, attrs)
    }

    /// The sum that undoes a broadcast from `shape`.
    pub fn sum_to(self, target: &[usize]) -> Self {
        let own = self.shape();
        if own.as_slice() == target {
            return self;
        }
        let axes = shape::broadcast_axes(target, &own);
        if axes.is_empty() {
            return self.reshape(target);
        }
        let summed = self.sum(&axes, false);
        if own.len() == axes.len() + target.len() {
            return summed;
        }
        summed.reshape(target)
    }

    /// Repeats axes of length 1 and adds leading ones.
    pub fn broadcast_to(self, target: &[usize]) -> Self {
        if self.shape().as_slice() == target {
            return self;
        }
        self.apply(&shaping::BROADCAST_TO, Attrs::one(ints(target)))
    }

    /// The same elements under another shape.
    pub fn reshape(self, target: &[usize]) -> Self {
        if self.shape().as_slice() == target {
            return self;
        }
        self.apply(&shaping::RESHAPE, Attrs::one(ints(target)))
    }

    /// Puts axes of length 1 back that a reduction of `full` over `axes` took away, and
    /// repeats them.
    pub fn spread(self, full: &[usize], axes: &[usize]) -> Self {
        // Broadcasting puts leading axes back by itself.
        if axes.iter().copied().eq(0..axes.len()) && self.shape().as_slice() == &full[axes.len()..]
        {
            return self.broadcast_to(full);
        }
        self.reshape(&shape::reduced(full, axes, true))
            .broadcast_to(full)
    }

    /// Dimensions in another order.
    pub fn permute(self, axes: &[usize]) -> Self {
        self.apply(&shaping::PERMUTE, Attrs::one(ints(axes)))
    }

    /// The last two axes swapped.
    pub fn matrix_transpose(self) -> Self {
        self.apply(&shaping::TRANSPOSE, Attrs::one(Attr::None))
    }

    /// The matrix product.
    pub fn matmul(self, other: Self) -> Self {
        self.and(&linalg::MATMUL, other)
    }

    /// The same values in another dtype.
    pub fn cast(self, dtype: DType) -> Self {
        if self.dtype() == dtype {
            return self;
        }
        self.apply(&shaping::ASTYPE, Attrs::one(Attr::DType(dtype)))
    }

    /// The part at a basic index.
    pub fn index(self, index: &[Index]) -> Self {
        self.apply(&indexing::GETITEM, Attrs::one(Attr::Index(index.into())))
    }

    /// Zeros of `shape` with this value at a basic index.
    pub fn put(self, shape: &[usize], index: &[Index]) -> Self {
        let attrs = Attrs::of([ints(shape), Attr::Index(index.into())]);
        self.apply(&indexing::PUT, attrs)
    }

    /// Values of one shape along a new axis.
    pub fn stack(parts: &[Self], axis: usize) -> Option<Self> {
        let first = *parts.first()?;
        let ids: Vec<Id> = parts.iter().map(|p| p.id).collect();
        let attrs = Attrs::one(Attr::Int(axis as isize));
        let id = first.algebra.apply(&joining::STACK, attrs, &ids);
        Some(Self { id, ..first })
    }
}

/// The sum of the terms that are there: what flows to a value along several ways.
pub fn sum_of<'a>(terms: impl IntoIterator<Item = Option<Expr<'a>>>) -> Option<Expr<'a>> {
    terms.into_iter().flatten().reduce(|a, b| a + b)
}

/// Indices as an attribute.
pub fn ints(values: &[usize]) -> Attr {
    Attr::Ints(values.iter().map(|&v| v as isize).collect())
}

impl Add for Expr<'_> {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        self.and(&arithmetic::ADD, other)
    }
}

impl Sub for Expr<'_> {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self.and(&arithmetic::SUBTRACT, other)
    }
}

impl Mul for Expr<'_> {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        self.and(&arithmetic::MULTIPLY, other)
    }
}

impl Div for Expr<'_> {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        self.and(&arithmetic::DIVIDE, other)
    }
}

impl Neg for Expr<'_> {
    type Output = Self;
    fn neg(self) -> Self {
        self.apply(&arithmetic::NEGATE, Attrs::none())
    }
}
