//! The one error type of the core: what was expected, what came, and in which op.
//!
//! Messages are lower case, start with the op, carry no full stop, and may end in a
//! second line `hint: ...`. The embedder maps each variant to one exception class.

use crate::dtype::DType;
use std::any::Any;
use std::fmt;

/// Result of everything in the core that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, by the kind of mistake; the texts name the op and the shapes.
pub enum Error {
    /// Shapes that do not fit together or do not suit the op.
    Shape(String),
    /// A dtype that the op does not take.
    DType(String),
    /// An axis outside of the array's dimensions, or named twice.
    Axis(String),
    /// An index outside of the array.
    Index(String),
    /// A value that the op cannot take, such as a negative integer power.
    Value(String),
    /// An integer constant that its dtype cannot hold.
    Overflow(String),
    /// A derivative that cannot be had: nothing recorded, or recorded data replaced since.
    Grad(String),
    /// Storage that the machine cannot give.
    Memory(String),
    /// An error of the embedder (a Python exception, say), handed through untouched.
    Foreign(Box<dyn Any + Send>),
}

impl Error {
    /// A [`Error::Shape`] in the house form `op: what`.
    pub fn shape(op: &str, what: impl fmt::Display) -> Self {
        Self::Shape(format!("{op}: {what}"))
    }

    /// A [`Error::DType`] in the house form `op: what`.
    pub fn dtype(op: &str, what: impl fmt::Display) -> Self {
        Self::DType(format!("{op}: {what}"))
    }

    /// A [`Error::DType`] for an op that is not defined for a dtype.
    #[cold]
    pub fn undefined(op: &str, dtype: DType) -> Self {
        Self::dtype(op, format_args!("not defined for {dtype}"))
    }

    /// A [`Error::Axis`] for an axis that an array of `ndim` dimensions does not have.
    pub fn axis(op: &str, axis: isize, ndim: usize) -> Self {
        Self::Axis(format!(
            "{op}: axis {axis} is out of bounds for array of dimension {ndim}"
        ))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape(text)
            | Self::DType(text)
            | Self::Axis(text)
            | Self::Index(text)
            | Self::Value(text)
            | Self::Overflow(text)
            | Self::Grad(text)
            | Self::Memory(text) => f.write_str(text),
            Self::Foreign(_) => f.write_str("an error of the embedding program"),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Shape(_) => "Shape",
            Self::DType(_) => "DType",
            Self::Axis(_) => "Axis",
            Self::Index(_) => "Index",
            Self::Value(_) => "Value",
            Self::Overflow(_) => "Overflow",
            Self::Grad(_) => "Grad",
            Self::Memory(_) => "Memory",
            Self::Foreign(_) => "Foreign",
        };
        write!(f, "{kind}({self})")
    }
}

impl std::error::Error for Error {}
