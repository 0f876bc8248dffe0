//! Functions of elements as values: what a row of the op table names.

use super::drive;
use crate::array::Array;
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use std::fmt;

/// Picoseconds for an element of a function that waits for memory.
pub(crate) const CHEAP: usize = 150;

/// Writes a function of `n` elements that lie side by side.
///
/// # Safety
/// There are `n` elements to be read and room for as many at `out`, both aligned for the types of
/// the row, and nobody else sees `out`.
pub(crate) type MapRow = unsafe fn(x: *const u8, out: *mut u8, n: usize);

/// Writes a function of two operands, `count` rows of `n` elements. The steps of an operand are
/// those from row to row and within a row, in elements; within a row they are 1 for both, or,
/// where the function says that it repeats, for one of them 0. The rows of the result lie side by side.
///
/// # Safety
/// As [`MapRow`], for `count` rows of `n` elements by such steps.
pub(crate) type ZipRows = unsafe fn(
    a: *const u8,
    steps_a: [isize; 2],
    b: *const u8,
    steps_b: [isize; 2],
    out: *mut u8,
    n: usize,
    count: usize,
);

/// A row function, and the dtype it reads and writes: integers that a function has no rows for
/// are computed in 64 bits, where the result has the same low bits.
#[derive(Clone, Copy)]
pub(crate) struct Compiled<F> {
    pub(crate) run: F,
    pub(crate) dtype: DType,
}

/// What a function is compiled to for each dtype, in their order; `None` where it is not defined.
pub(crate) type Table<F> = [Option<Compiled<F>>; DType::ALL.len()];

/// A function of one element, which keeps the dtype.
pub struct Map {
    pub(crate) name: &'static str,
    /// Picoseconds for an element, roughly: what decides about threads.
    pub(crate) cost: usize,
    pub(crate) row: Table<MapRow>,
}

/// A function of two elements of one dtype.
pub struct Zip {
    pub(crate) name: &'static str,
    /// See [`Map`].
    pub(crate) cost: usize,
    pub(crate) rows: Table<ZipRows>,
    /// Whether rows take a step of 0.
    pub(crate) repeats: bool,
    /// Whether the result is a truth value; else it has the dtype of the operands.
    pub(crate) is_truth: bool,
    /// The same for floats with some number on the right, where that is less work.
    pub(crate) as_map: Option<fn(f64) -> Option<&'static Map>>,
}

/// A function of the elements of one operand or of two, which broadcast together.
#[derive(Clone, Copy)]
pub enum Function {
    /// Of one.
    Map(&'static Map),
    /// Of two.
    Zip(&'static Zip),
    /// Of one, with a number on the right.
    With(&'static Zip, Scalar),
}

impl Function {
    /// How many operands it has.
    pub(crate) fn arity(self) -> usize {
        match self {
            Self::Map(_) | Self::With(..) => 1,
            Self::Zip(_) => 2,
        }
    }

    /// The values, computed in `dtype`.
    // Where the function is known, so is the way.
    #[inline]
    pub fn run(self, x: &[&Array], dtype: DType) -> Result<Array> {
        match self {
            Self::Map(f) => drive::map(f, x[0], dtype),
            Self::Zip(f) => drive::zip(f, x[0], x[1], dtype),
            Self::With(f, number) => drive::zip_with(f, x[0], number, dtype),
        }
    }
}

impl Map {
    /// What computes in a dtype; an error where the function is not defined.
    #[inline]
    pub(crate) fn compiled(&self, dtype: DType) -> Result<&Compiled<MapRow>> {
        self.row[dtype as usize]
            .as_ref()
            .ok_or_else(|| undefined(self.name, dtype))
    }

    /// The name of the static.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The function of each element.
    pub fn of(&'static self, x: &Array) -> Result<Array> {
        drive::map(self, x, x.dtype())
    }
}

impl Zip {
    /// As [`Map::compiled`].
    #[inline]
    pub(crate) fn compiled(&self, dtype: DType) -> Result<&Compiled<ZipRows>> {
        self.rows[dtype as usize]
            .as_ref()
            .ok_or_else(|| undefined(self.name, dtype))
    }

    /// The name of the static.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Which operands rows read where they are, from their steps within a row: elements side by
    /// side, or one that is repeated while the other is not.
    pub(crate) fn reads(&self, [a, b]: [isize; 2]) -> [bool; 2] {
        let read = |own, other| own == 1 || (own == 0 && self.repeats && other != 0);
        [read(a, b), read(b, a)]
    }

    /// The function of each pair of elements, which broadcast together.
    pub fn of(&'static self, a: &Array, b: &Array) -> Result<Array> {
        drive::zip(self, a, b, a.dtype())
    }

    /// The function of each element and one number, which takes the array's dtype.
    pub fn with(&'static self, a: &Array, b: Scalar) -> Result<Array> {
        drive::zip_with(self, a, b, a.dtype())
    }

    /// The function of one number, which takes the array's dtype, and each element.
    pub fn from(&'static self, a: Scalar, b: &Array) -> Result<Array> {
        drive::zip_from(self, a, b)
    }
}

#[cold]
fn undefined(name: &str, dtype: DType) -> Error {
    Error::undefined(&name.to_lowercase(), dtype)
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Debug for Zip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
