//! From the core's errors to Python exceptions, in one place.

use needle_core::Error;
use pyo3::exceptions::{PyIndexError, PyMemoryError, PyOverflowError, PyValueError};
use pyo3::prelude::*;

pyo3::import_exception!(needle.errors, ShapeError);
pyo3::import_exception!(needle.errors, DTypeError);
pyo3::import_exception!(needle.errors, AxisError);
pyo3::import_exception!(needle.errors, GradError);

/// A core error on its way to Python. It exists because neither type is ours.
pub struct Raised(pub PyErr);

impl From<Error> for Raised {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        Self(match error {
            Error::Shape(_) => ShapeError::new_err(text),
            Error::DType(_) => DTypeError::new_err(text),
            Error::Axis(_) => AxisError::new_err(text),
            Error::Index(_) => PyIndexError::new_err(text),
            Error::Value(_) => PyValueError::new_err(text),
            Error::Overflow(_) => PyOverflowError::new_err(text),
            Error::Grad(_) => GradError::new_err(text),
            Error::Memory(_) => PyMemoryError::new_err(text),
            Error::Foreign(inner) => match inner.downcast::<PyErr>() {
                Ok(error) => *error,
                Err(_) => GradError::new_err(text),
            },
        })
    }
}

impl From<PyErr> for Raised {
    fn from(error: PyErr) -> Self {
        Self(error)
    }
}

impl From<Raised> for PyErr {
    fn from(raised: Raised) -> Self {
        raised.0
    }
}

/// Brings a core result into Python's.
pub trait OrRaise<T> {
    /// The value, or the exception that the error means.
    fn or_raise(self) -> PyResult<T>;
}

impl<T> OrRaise<T> for needle_core::Result<T> {
    #[inline]
    fn or_raise(self) -> PyResult<T> {
        self.map_err(|error| Raised::from(error).0)
    }
}

/// A Python exception on its way through the core, untouched.
pub fn carried(error: PyErr) -> Error {
    Error::Foreign(Box::new(error))
}
