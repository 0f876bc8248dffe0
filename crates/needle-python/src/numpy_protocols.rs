//! NumPy's protocols, and the ways out of the graph.
//!
//! A ufunc or function of NumPy that meets a tensor comes here. It runs as the op that answers to its
//! name, is refused, or runs on values where no gradient is lost: `needle/_numpy.py` decides. Operators
//! with an array on the left, which come as ufuncs, take a short path to the tensor's operator.
//!
//! Who converts a tensor without saying so (`numpy.asarray`, `float`) gets its value, and a warning
//! where a gradient would have flowed.

use crate::op::apply_native;
use crate::operators::by_operator;
use crate::tensor::PyTensor;
use crate::user_code;
use crate::value::{PyValue, wrap};
use needle_core::graph::{Types, current_mode};
use needle_core::ops::{self, Attrs, OpDef};
use numpy::PyArrayDescr;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyTuple};

/// A ufunc, and the op that answers to it. The object is kept, so its address stays its own.
struct Ufunc {
    object: Py<PyAny>,
    op: &'static OpDef,
}

/// The op that answers to a ufunc.
fn op_of(ufunc: &Bound<'_, PyAny>) -> PyResult<Option<&'static OpDef>> {
    static UFUNCS: PyOnceLock<Vec<Ufunc>> = PyOnceLock::new();
    let py = ufunc.py();
    let known = UFUNCS.get_or_try_init(py, || {
        let numpy = py.import("numpy")?;
        let class = numpy.getattr("ufunc")?;
        let mut found = Vec::new();
        for (name, op) in names() {
            if let Some(object) = numpy.getattr_opt(name)?
                && object.is_instance(&class)?
            {
                let object = object.unbind();
                found.push(Ufunc { object, op });
            }
        }
        PyResult::Ok(found)
    })?;
    let found = known.iter().find(|known| known.object.is(ufunc));
    Ok(found.map(|known| known.op))
}

fn names() -> impl Iterator<Item = (&'static str, &'static OpDef)> {
    let of = |op: &'static OpDef| op.numpy.iter().map(move |&name| (name, op));
    ops::ALL.iter().flat_map(move |&op| of(op))
}

/// The names in NumPy that ops answer to, each with the name of the op.
#[pyfunction]
pub fn numpy_names(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let found = PyDict::new(py);
    for (name, op) in names() {
        found.set_item(name, op.name)?;
    }
    Ok(found)
}

/// Calls a function of `needle/_numpy.py`. It runs NumPy's functions and the user's filters of warnings,
/// so it may end as the user's own code does.
fn helper<'py>(
    py: Python<'py>,
    name: &str,
    args: &Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyAny>> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let module = MODULE.get_or_try_init(py, || py.import("needle._numpy").map(Bound::unbind))?;
    let function = module.bind(py).getattr(name)?;
    user_code::call(&function, args)
}

/// Whether a gradient flows through what is computed from the tensor now. Of integers, which carry
/// one too, that is said only where `whole` asks for them.
fn is_watched(value: &PyValue, whole: bool) -> PyResult<bool> {
    let tensor = value.tensor()?;
    if !tensor.requires_grad() || current_mode().no_grad {
        return Ok(false);
    }
    Ok(match tensor.types() {
        Ok(Types::One(ty)) => ty.dtype.is_float() || whole && ty.dtype != needle_core::DType::Bool,
        _ => true,
    })
}

/// Says, where a gradient is lost, that somebody takes the value of a tensor without having said so.
pub fn announce(slf: &Bound<'_, PyTensor>) -> PyResult<()> {
    if !is_watched(slf.as_super().get(), false)? {
        return Ok(());
    }
    helper(slf.py(), "announce", &PyTuple::empty(slf.py())).map(drop)
}

/// Whether `copy.copy` was called by a library that is installed.
pub fn is_copied_by_library(py: Python<'_>) -> PyResult<bool> {
    helper(py, "is_copied_by_library", &PyTuple::empty(py))?.is_truthy()
}

/// Whether a gradient flows through what is computed from `tensor` now: not in `no_grad`, and not
/// where it is bool.
#[pyfunction]
pub fn is_recorded(tensor: &Bound<'_, PyValue>) -> PyResult<bool> {
    is_watched(tensor.get(), true)
}

/// Above what pandas' classes say of themselves (1000 to 4000), and NumPy's (0 to 15).
const PRIORITY: i32 = 5000;

#[pymethods]
impl PyTensor {
    /// pandas leaves operators to what says a number above its own, NumPy's other classes likewise.
    #[classattr]
    #[allow(non_upper_case_globals)]
    const __pandas_priority__: i32 = PRIORITY;
    #[classattr]
    #[allow(non_upper_case_globals)]
    const __array_priority__: i32 = PRIORITY;

    /// NumPy's protocol: the read-only view, or a copy where dtype or `copy` ask for one. Warns with
    /// GraphCutWarning where a gradient would have flowed through the tensor.
    #[pyo3(signature = (dtype=None, copy=None))]
    fn __array__<'py>(
        slf: &Bound<'py, Self>,
        dtype: Option<&Bound<'py, PyAny>>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        announce(slf)?;
        let array = Self::numpy(slf)?.into_any();
        let py = slf.py();
        let differs = match dtype {
            Some(dtype) => {
                let descr = PyArrayDescr::new(py, dtype)?;
                !array.getattr("dtype")?.eq(descr)?
            }
            None => false,
        };
        if differs && copy == Some(false) {
            return Err(PyValueError::new_err(
                "__array__: a change of dtype needs a copy, and copy=False forbids one",
            ));
        }
        match dtype {
            Some(dtype) if differs => {
                user_code::call_method(&array, "astype", &(dtype,).into_pyobject(py)?)
            }
            _ if copy == Some(true) => user_code::call_method(&array, "copy", &PyTuple::empty(py)),
            _ => Ok(array),
        }
    }

    #[pyo3(signature = (**kwargs))]
    fn __dlpack__<'py>(
        slf: &Bound<'py, Self>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        announce(slf)?;
        Self::numpy(slf)?
            .into_any()
            .call_method("__dlpack__", (), kwargs)
    }

    fn __dlpack_device__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::numpy(slf)?
            .into_any()
            .call_method0("__dlpack_device__")
    }

    /// NumPy's protocol for ufuncs: the op that answers to the name. A ufunc without an op runs on
    /// values where no gradient is lost, else TypeError.
    #[pyo3(signature = (ufunc, method, *inputs, **kwargs))]
    fn __array_ufunc__<'py>(
        slf: &Bound<'py, Self>,
        ufunc: &Bound<'py, PyAny>,
        method: &Bound<'py, PyString>,
        inputs: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if kwargs.is_none()
            && method == "__call__"
            && let Some(op) = op_of(ufunc)?
        {
            if let Ok((left, right)) = inputs.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>()
                && let Some(result) = by_operator(op, &left, &right)
            {
                return result;
            }
            let inputs: Vec<_> = inputs.iter().collect();
            return wrap(py, apply_native(op, Attrs::none(), &inputs)?);
        }
        let args = (ufunc, method, inputs, kwargs).into_pyobject(py)?;
        helper(py, "array_ufunc", &args)
    }

    /// NumPy's protocol for its other functions, by the same rule.
    fn __array_function__<'py>(
        slf: &Bound<'py, Self>,
        func: &Bound<'py, PyAny>,
        types: &Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
        kwargs: &Bound<'py, PyDict>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        helper(
            py,
            "array_function",
            &(func, types, args, kwargs).into_pyobject(py)?,
        )
    }
}
