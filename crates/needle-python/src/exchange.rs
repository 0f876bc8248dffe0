//! Tensors from other libraries' memory, and from a pickle.

use crate::buffer;
use crate::coerce;
use crate::tensor::PyTensor;
use crate::value::PyValue;
use needle_core::Tensor;
use numpy::PyUntypedArray;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyType;

/// What unpickling calls: an object of `cls` on a copy of the data, without its `__init__`.
#[pyfunction]
pub fn _rebuild<'py>(
    cls: &Bound<'py, PyType>,
    data: &Bound<'py, PyAny>,
    requires_grad: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let object = cls.call_method1("__new__", (cls,))?;
    let value = object.cast::<PyValue>()?;
    PyValue::fill(
        value,
        Tensor::leaf(coerce::copy(data, None)?, requires_grad),
    )?;
    Ok(object)
}

/// A tensor on the memory of a NumPy array, without a copy. Writes through the array are
/// seen by the tensor; a read-only array gives a read-only tensor. Negative strides,
/// foreign byte order and misaligned elements are copied.
///
/// Raises TypeError for anything but an array, DTypeError for a dtype needle does not have.
#[pyfunction]
#[pyo3(signature = (a, *, requires_grad=false))]
pub fn from_numpy<'py>(
    a: &Bound<'py, PyAny>,
    requires_grad: bool,
) -> PyResult<Bound<'py, PyTensor>> {
    let Ok(array) = a.cast::<PyUntypedArray>() else {
        return Err(PyTypeError::new_err(format!(
            "from_numpy: expected numpy.ndarray, got {}",
            a.get_type().name()?
        )));
    };
    PyTensor::create(
        a.py(),
        Tensor::leaf(buffer::alias_in(array)?, requires_grad),
    )
}

/// A tensor on the memory of an array of another library, by the DLPack protocol.
///
/// Raises DTypeError for a dtype needle does not have.
#[pyfunction]
pub fn from_dlpack<'py>(x: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyTensor>> {
    let array = x.py().import("numpy")?.call_method1("from_dlpack", (x,))?;
    from_numpy(&array, false)
}
