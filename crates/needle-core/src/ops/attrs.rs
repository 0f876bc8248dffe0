//! Attributes of ops: what is fixed when an op is made, as plain data.

use crate::array::Index;
use crate::dtype::{DType, Kind, Scalar};
use crate::error::{Error, Result};
use smallvec::SmallVec;
use std::sync::Arc;

/// A constant operand: a number, and its dtype where it has one of its own. A plain Python
/// number has none: it adapts to the tensor it meets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Constant {
    /// The number.
    pub value: Scalar,
    /// Its dtype, `None` for a plain number.
    pub dtype: Option<DType>,
}

impl Constant {
    /// A plain real number.
    pub const fn float(value: f64) -> Self {
        Self {
            value: Scalar::Float(value),
            dtype: None,
        }
    }

    /// A plain integer.
    pub const fn int(value: i64) -> Self {
        Self {
            value: Scalar::Int(value),
            dtype: None,
        }
    }

    /// Whether it is the other to the last bit: 0 is not -0, and NaN is itself.
    fn is(&self, other: &Self) -> bool {
        let value = match (self.value, other.value) {
            (Scalar::Float(a), Scalar::Float(b)) => a.to_bits() == b.to_bits(),
            (a, b) => a == b,
        };
        value && self.dtype == other.dtype
    }

    /// The dtype of an operation of a tensor of `dtype` with this constant, by NumPy 2's
    /// rules (NEP 50).
    #[inline]
    pub fn promote(&self, op: &str, dtype: DType) -> Result<DType> {
        if let Some(own) = self.dtype {
            return Ok(dtype.promote(own));
        }
        match self.value {
            Scalar::Float(_) | Scalar::Huge(_) if dtype.is_float() => Ok(dtype),
            Scalar::Float(_) => Ok(DType::F64),
            Scalar::Int(value) => {
                let result = if dtype == DType::Bool {
                    DType::I64
                } else {
                    dtype
                };
                check_fits(op, value, result)?;
                Ok(result)
            }
            Scalar::UInt(_) if dtype.is_float() || dtype == DType::U64 => Ok(dtype),
            Scalar::UInt(value) => Err(out_of_bounds(op, value, dtype)),
            Scalar::Huge(value) => Err(out_of_bounds(op, value, dtype)),
            Scalar::Bool(_) => Ok(dtype),
        }
    }
}

/// Refuses an integer that the dtype cannot hold, as NumPy does.
fn check_fits(op: &str, value: i64, dtype: DType) -> Result<()> {
    let bits = 8 * dtype.size() as u32;
    let fits = match dtype.kind() {
        Kind::Float | Kind::Bool => true,
        Kind::Signed => bits == 64 || (-(1i64 << (bits - 1))..1i64 << (bits - 1)).contains(&value),
        Kind::Unsigned => value >= 0 && (bits == 64 || value < 1i64 << bits),
    };
    if fits {
        Ok(())
    } else {
        Err(out_of_bounds(op, value, dtype))
    }
}

fn out_of_bounds(op: &str, value: impl std::fmt::Display, dtype: DType) -> Error {
    Error::Overflow(format!(
        "{op}: Python integer {value} out of bounds for {dtype}"
    ))
}

/// One attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attr {
    /// Left out: all axes, say.
    None,
    /// A flag.
    Bool(bool),
    /// An axis or a position.
    Int(isize),
    /// A constant operand.
    Scalar(Constant),
    /// Axes or a shape.
    Ints(Arc<[isize]>),
    /// An element type.
    DType(DType),
    /// A basic index.
    Index(Arc<[Index]>),
}

/// The attributes of one op, in the order of its [`Param`]s; cheap to clone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attrs(List);

/// Most ops have no attribute or one.
#[derive(Clone, Debug, Default, PartialEq)]
enum List {
    #[default]
    Empty,
    One(Attr),
    Many(Arc<[Attr]>),
}

impl Attrs {
    /// No attributes.
    #[inline]
    pub const fn none() -> Self {
        Self(List::Empty)
    }

    /// One constant.
    #[inline]
    pub const fn scalar(constant: Constant) -> Self {
        Self::one(Attr::Scalar(constant))
    }

    /// A single attribute.
    #[inline]
    pub const fn one(attr: Attr) -> Self {
        Self(List::One(attr))
    }

    /// Moves the attributes out. Nothing but the tag is moved where there are none: a wide copy
    /// of what was just written in narrow pieces stalls the processor.
    #[inline]
    pub fn take(&mut self) -> Self {
        match self.0 {
            List::Empty => Self(List::Empty),
            _ => std::mem::take(self),
        }
    }

    /// Several attributes.
    pub fn of(attrs: impl IntoIterator<Item = Attr>) -> Self {
        let list: SmallVec<[Attr; 4]> = attrs.into_iter().collect();
        Self(match list.as_slice() {
            [] => List::Empty,
            [one] => List::One(one.clone()),
            many => List::Many(many.into()),
        })
    }

    /// All of them, in order.
    #[inline]
    pub fn all(&self) -> &[Attr] {
        match &self.0 {
            List::Empty => &[],
            List::One(attr) => std::slice::from_ref(attr),
            List::Many(attrs) => attrs,
        }
    }

    /// Whether these are the others, constants to the last bit.
    #[inline]
    pub fn are(&self, others: &Self) -> bool {
        let (own, others) = (self.all(), others.all());
        let same = |(a, b): (&Attr, &Attr)| match (a, b) {
            (Attr::Scalar(a), Attr::Scalar(b)) => a.is(b),
            (a, b) => a == b,
        };
        own.len() == others.len() && own.iter().zip(others).all(same)
    }

    /// The constant at position `i`. The parameters of the op say that it is one.
    #[inline]
    pub fn constant(&self, i: usize) -> Constant {
        match self.all().get(i) {
            Some(Attr::Scalar(constant)) => *constant,
            _ => Constant::float(f64::NAN),
        }
    }

    /// The integers at position `i`, `None` where they were left out.
    pub fn ints(&self, i: usize) -> Option<&[isize]> {
        match self.all().get(i) {
            Some(Attr::Ints(values)) => Some(values),
            Some(Attr::Int(value)) => Some(std::slice::from_ref(value)),
            _ => None,
        }
    }

    /// The integer at position `i`.
    pub fn int(&self, i: usize) -> isize {
        match self.all().get(i) {
            Some(Attr::Int(value)) => *value,
            _ => 0,
        }
    }

    /// The flag at position `i`.
    pub fn flag(&self, i: usize) -> bool {
        matches!(self.all().get(i), Some(Attr::Bool(true)))
    }

    /// The dtype at position `i`.
    pub fn dtype(&self, i: usize) -> DType {
        match self.all().get(i) {
            Some(Attr::DType(dtype)) => *dtype,
            _ => DType::F64,
        }
    }

    /// The basic index at position `i`.
    pub fn basic_index(&self, i: usize) -> &[Index] {
        match self.all().get(i) {
            Some(Attr::Index(index)) => index,
            _ => &[],
        }
    }
}

/// What an attribute is, for whoever turns arguments into attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamKind {
    /// A number, or an array-like that becomes an operand.
    Scalar,
    /// `None`, an integer or several integers.
    Axes,
    /// One integer.
    Int,
    /// Several integers (or one).
    Shape,
    /// A flag.
    Bool,
    /// A dtype.
    DType,
    /// A basic index.
    Index,
}

/// One parameter of an op's constructor.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    /// Its name, the readable attribute of op objects.
    pub name: &'static str,
    /// What it takes.
    pub kind: ParamKind,
    /// What it is when left out, as Python writes it; `None` where it must be given.
    pub default: Option<&'static str>,
}

impl Param {
    /// A parameter that must be given.
    pub const fn required(name: &'static str, kind: ParamKind) -> Self {
        Self {
            name,
            kind,
            default: None,
        }
    }

    /// A parameter with a default: `None`, `False`, an integer, or a number for a scalar.
    pub const fn optional(name: &'static str, kind: ParamKind, default: &'static str) -> Self {
        Self {
            name,
            kind,
            default: Some(default),
        }
    }

    /// Whether its arguments mean the same for every operand: a number may turn out to be
    /// an operand itself, and an index is relative to a shape.
    pub const fn stands_alone(&self) -> bool {
        !matches!(self.kind, ParamKind::Scalar | ParamKind::Index)
    }

    /// The attribute that stands for leaving it out.
    pub fn default_attr(&self) -> Option<Attr> {
        self.default.map(|text| match (self.kind, text) {
            (_, "None") => Attr::None,
            (ParamKind::Bool, _) => Attr::Bool(text == "True"),
            (ParamKind::Scalar, _) => {
                Attr::Scalar(Constant::float(text.parse().unwrap_or(f64::NAN)))
            }
            _ => text.parse().map_or(Attr::None, Attr::Int),
        })
    }
}

/// `axes=None, keepdims=False`: the parameters of every reduction.
pub const REDUCTION_PARAMS: &[Param] = &[
    Param::optional("axes", ParamKind::Axes, "None"),
    Param::optional("keepdims", ParamKind::Bool, "False"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_numbers_adapt_and_typed_ones_promote() {
        let typed = Constant {
            value: Scalar::Float(2.0),
            dtype: Some(DType::F64),
        };
        assert_eq!(typed.promote("add", DType::F32).unwrap(), DType::F64);
        assert_eq!(
            Constant::float(2.0).promote("add", DType::F32).unwrap(),
            DType::F32
        );
        assert_eq!(
            Constant::float(2.0).promote("add", DType::I32).unwrap(),
            DType::F64
        );
        assert_eq!(
            Constant::int(2).promote("add", DType::I8).unwrap(),
            DType::I8
        );
        assert_eq!(
            Constant::int(2).promote("add", DType::Bool).unwrap(),
            DType::I64
        );
        let error = Constant::int(300).promote("add", DType::I8).unwrap_err();
        assert_eq!(
            error.to_string(),
            "add: Python integer 300 out of bounds for int8"
        );
        assert!(Constant::int(-1).promote("add", DType::U64).is_err());
    }
}
