//! The machine: instruction set and threads, as Python sets and sees them.

use needle_core::kernels::{isa, threads};
use pyo3::exceptions::{PyRuntimeWarning, PyValueError};
use pyo3::prelude::*;
use std::ffi::CString;

/// How many threads a kernel may use.
#[pyfunction]
pub fn get_num_threads() -> usize {
    threads::num_threads()
}

/// Sets how many threads a kernel may use, 1 to 256; results do not depend on it.
///
/// Raises ValueError for any other number.
#[pyfunction]
pub fn set_num_threads(n: usize) -> PyResult<()> {
    if !(1..=threads::MOST).contains(&n) {
        return Err(PyValueError::new_err(format!(
            "set_num_threads: expected an integer from 1 to {}, got {n}",
            threads::MOST
        )));
    }
    threads::set_num_threads(n);
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
