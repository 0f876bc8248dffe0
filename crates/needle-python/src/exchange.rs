//! Tensors from other libraries' memory, into a pickle and out of it.

use crate::buffer::Access;
use crate::coerce;
use crate::numpy_protocols;
use crate::tensor::{PyTensor, handle, view};
use crate::user_code::type_name;
use crate::value::PyValue;
use needle_core::Tensor;
use numpy::PyUntypedArray;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

/// What unpickling calls, and with what.
pub fn reduce<'py>(slf: &Bound<'py, PyTensor>) -> PyResult<Bound<'py, PyTuple>> {
    let py = slf.py();
    let tensor = handle(slf)?;
    let leaf = tensor.is_leaf();
    if !leaf && tensor.requires_grad() {
        if numpy_protocols::is_copied_by_library(py)? {
            // It is plotted, say, and wants the values: a conversion like any other.
            numpy_protocols::announce(slf)?;
        } else if !tensor.is_gradient() {
            return Err(PyRuntimeError::new_err(
                "only leaves and gradients can be pickled or copied: this tensor is the result of an op, whose history would be lost\nhint: use detach()",
            ));
        }
    }
    let requires_grad = leaf && tensor.requires_grad();
    let rebuild = py.import("needle._core")?.getattr("_rebuild")?;
    let copy = view(py, tensor, Access::ReadOnly)?
        .into_any()
        .call_method0("copy")?;
    let arguments = (slf.get_type(), copy, requires_grad);
    let state = match slf.as_any().getattr("__dict__") {
        Ok(state) => state,
        Err(_) => py.None().into_bound(py),
    };
    PyTuple::new(
        py,
        [rebuild, arguments.into_pyobject(py)?.into_any(), state],
    )
}

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
/// foreign byte order and misaligned elements are copied. The array keeps its memory as for a
/// view of NumPy's: `resize(refcheck=False)` takes it away from both.
///
/// Raises TypeError for anything but an array, DTypeError for a dtype needle does not have.
#[pyfunction]
#[pyo3(signature = (a, *, requires_grad=false))]
pub fn from_numpy<'py>(
    a: &Bound<'py, PyAny>,
    requires_grad: bool,
) -> PyResult<Bound<'py, PyTensor>> {
    if a.cast::<PyUntypedArray>().is_err() {
        return Err(PyTypeError::new_err(format!(
            "from_numpy: expected numpy.ndarray, got {}",
            type_name(a)
        )));
    }
    PyTensor::create(a.py(), Tensor::leaf(coerce::share(a)?, requires_grad))
}

/// A tensor on the memory of an array of another library, by the DLPack protocol: writes
/// through either are seen by the other. It requires no gradient; read-only memory gives a
/// read-only tensor. What `from_numpy` copies is copied here.
///
/// Raises TypeError for an object without `__dlpack__`, DTypeError for a dtype needle does not
/// have, BufferError for memory that the CPU cannot reach.
#[pyfunction]
pub fn from_dlpack<'py>(x: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyTensor>> {
    // No detour through a capsule, which would hide whose memory it is.
    if let Ok(tensor) = x.cast::<PyTensor>() {
        numpy_protocols::announce(tensor)?;
        return from_numpy(PyTensor::numpy(tensor)?.as_any(), false);
    }
    if x.cast::<PyUntypedArray>().is_ok() {
        return from_numpy(x, false);
    }
    if !x.hasattr("__dlpack__")? {
        return Err(PyTypeError::new_err(format!(
            "from_dlpack: expected an array with __dlpack__, got {}",
            type_name(x)
        )));
    }
    let array = x.py().import("numpy")?.call_method1("from_dlpack", (x,))?;
    from_numpy(&array, false)
}
