//! Between the core's dtypes and NumPy's.

use crate::errors::DTypeError;
use crate::user_code::{is_exception, shown};
use needle_core::DType;
use needle_core::dtype::Kind;
use numpy::{PyArrayDescr, PyArrayDescrMethods};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// NumPy's dtype object, made once each.
pub fn to_numpy(py: Python<'_>, dtype: DType) -> PyResult<Bound<'_, PyArrayDescr>> {
    static DESCRS: [PyOnceLock<Py<PyArrayDescr>>; DType::ALL.len()] =
        [const { PyOnceLock::new() }; DType::ALL.len()];
    DESCRS[dtype as usize]
        .get_or_try_init(py, || Ok(PyArrayDescr::new(py, dtype.name())?.unbind()))
        .map(|descr| descr.bind(py).clone())
}

/// The dtype of a NumPy descriptor; `None` where needle has none such.
pub fn from_descr(descr: &Bound<'_, PyArrayDescr>) -> Option<DType> {
    let kind = match descr.kind() {
        b'b' => Kind::Bool,
        b'i' => Kind::Signed,
        b'u' => Kind::Unsigned,
        b'f' => Kind::Float,
        _ => return None,
    };
    DType::ALL
        .iter()
        .copied()
        .find(|dtype| dtype.kind() == kind && dtype.size() == descr.itemsize())
}

/// The refusal of a dtype, naming what there is; or what showing it raised.
pub fn unsupported(what: &Bound<'_, PyAny>) -> PyErr {
    let what = match shown(what) {
        Ok(what) => what,
        Err(error) => return error,
    };
    let names: Vec<&str> = DType::ALL.iter().map(|dtype| dtype.name()).collect();
    DTypeError::new_err(format!(
        "dtype {what} is not supported\nhint: needle has {}",
        names.join(", ")
    ))
}

/// What a user gave as `dtype=`: a string, a NumPy dtype or a type object.
pub fn extract(object: &Bound<'_, PyAny>) -> PyResult<DType> {
    let descr = match object.cast::<PyArrayDescr>() {
        Ok(descr) => descr.clone(),
        Err(_) => match PyArrayDescr::new(object.py(), object) {
            Ok(descr) => descr,
            Err(error) if is_exception(&error, object.py()) => return Err(unsupported(object)),
            Err(error) => return Err(error),
        },
    };
    from_descr(&descr).ok_or_else(|| unsupported(&descr))
}
