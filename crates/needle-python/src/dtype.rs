//! Between the core's dtypes and NumPy's.

use crate::errors::DTypeError;
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

/// The refusal of a dtype, naming what there is.
pub fn unsupported(what: impl std::fmt::Display) -> PyErr {
    let names: Vec<&str> = DType::ALL.iter().map(|dtype| dtype.name()).collect();
    DTypeError::new_err(format!(
        "dtype {what} is not supported\nhint: needle has {}",
        names.join(", ")
    ))
}

/// An object as text, also where its own `__str__` raises.
pub fn shown(object: &Bound<'_, PyAny>) -> String {
    match (object.str(), object.get_type().name()) {
        (Ok(text), _) => text.to_string(),
        (Err(_), Ok(name)) => format!("<{name}>"),
        (Err(_), Err(_)) => "<object>".to_owned(),
    }
}

/// What a user gave as `dtype=`: a string, a NumPy dtype or a type object.
pub fn extract(object: &Bound<'_, PyAny>) -> PyResult<DType> {
    let descr = match object.cast::<PyArrayDescr>() {
        Ok(descr) => descr.clone(),
        Err(_) => PyArrayDescr::new(object.py(), object).map_err(|_| unsupported(shown(object)))?,
    };
    from_descr(&descr).ok_or_else(|| unsupported(descr))
}
