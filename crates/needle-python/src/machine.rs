//! The machine: instruction set and threads, as Python sets and sees them.

use needle_core::kernels::{isa, threads};
use pyo3::exceptions::{PyOverflowError, PyRuntimeWarning, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBool;
use std::ffi::CString;

/// How many threads a kernel may use.
#[pyfunction]
pub fn get_num_threads() -> usize {
    threads::num_threads()
}

/// Sets how many threads a kernel may use, 1 to 256; results do not depend on it.
///
/// Raises ValueError for any other integer, TypeError for what is none.
#[pyfunction]
pub fn set_num_threads(n: &Bound<'_, PyAny>) -> PyResult<()> {
    let given = match n.extract::<usize>() {
        _ if n.is_instance_of::<PyBool>() => {
            return Err(PyTypeError::new_err(
                "set_num_threads: expected an integer, got bool",
            ));
        }
        Err(error) if !error.is_instance_of::<PyOverflowError>(n.py()) => return Err(error),
        given => given.ok().filter(|n| (1..=threads::MOST).contains(n)),
    };
    let Some(given) = given else {
        return Err(PyValueError::new_err(format!(
            "set_num_threads: expected an integer from 1 to {}, got {n}",
            threads::MOST
        )));
    };
    threads::set_num_threads(given);
    Ok(())
}

/// The instruction set in use: scalar, avx2 or avx512.
#[pyfunction]
pub fn get_isa() -> &'static str {
    isa::active().name()
}

/// Warns of settings in the environment that mean nothing here.
pub fn warn_of_settings(py: Python<'_>) -> PyResult<()> {
    let category = py.get_type::<PyRuntimeWarning>();
    for warning in [isa::warning(), threads::warning()].into_iter().flatten() {
        PyErr::warn(py, &category, &CString::new(warning)?, 1)?;
    }
    Ok(())
}
