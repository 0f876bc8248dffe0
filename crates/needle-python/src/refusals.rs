//! What a tensor refuses that arrays of other libraries do, and what to write instead.

use crate::tensor::PyTensor;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

#[pymethods]
impl PyTensor {
    fn __setitem__(
        _slf: &Bound<'_, Self>,
        _key: &Bound<'_, PyAny>,
        _value: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "setitem: a tensor is not changed in place, since others may be computed from it\nhint: needle.where(mask, value, t) gives a new tensor; t.cached_data[key] = value writes into the data, and no gradient knows of it",
        ))
    }

    fn __delitem__(_slf: &Bound<'_, Self>, _key: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "delitem: a tensor keeps its elements\nhint: needle.concat((t[:i], t[i + 1:])) leaves one out",
        ))
    }
}
