//! The native op classes, made from the table when the module is loaded.
//!
//! Each is an immutable subtype of TensorOp or TensorTupleOp that inherits everything; its
//! constructor arguments are the op's parameters.

use crate::op::{PyOp, PyTensorOp, PyTensorTupleOp};
use needle_core::ops::{self, OpDef};
use pyo3::PyTypeInfo;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;
use std::ffi::{CString, c_int, c_uint, c_void};

static CLASSES: PyOnceLock<Vec<Py<PyType>>> = PyOnceLock::new();

/// The op whose own class this is.
pub fn exact_op(cls: &Bound<'_, PyType>) -> Option<&'static OpDef> {
    let classes = CLASSES.get(cls.py())?;
    let i = classes.iter().position(|class| class.is(cls))?;
    Some(ops::ALL[i])
}

/// The op whose class is among the bases of this one.
pub fn inherited_op(cls: &Bound<'_, PyType>) -> Option<&'static OpDef> {
    cls.mro()
        .iter()
        .find_map(|base| exact_op(base.cast::<PyType>().ok()?))
}

/// Whether a class of the user's has an `__init__` or a `__new__` that comes before needle's.
pub fn has_own_constructor(cls: &Bound<'_, PyType>) -> PyResult<bool> {
    let py = cls.py();
    let ours = [
        PyOp::type_object(py),
        PyTensorOp::type_object(py),
        PyTensorTupleOp::type_object(py),
    ];
    for class in cls.mro() {
        if ours.iter().any(|own| own.is(&class)) {
            break;
        }
        let own = class.getattr("__dict__")?;
        if own.contains("__init__")? || own.contains("__new__")? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The class of an op.
pub fn class_of<'py>(py: Python<'py>, op: &'static OpDef) -> PyResult<Bound<'py, PyType>> {
    let i = ops::ALL.iter().position(|other| std::ptr::eq(*other, op));
    match (i, CLASSES.get(py)) {
        (Some(i), Some(classes)) => Ok(classes[i].bind(py).clone()),
        _ => Err(pyo3::exceptions::PyRuntimeError::new_err(
            "the op table is not loaded",
        )),
    }
}

/// The constructor's parameters as Python writes them: `axes=None, keepdims=False`.
pub fn signature(op: &OpDef) -> String {
    let parts: Vec<String> = op
        .params
        .iter()
        .map(|param| match param.default {
            Some(default) => format!("{}={default}", param.name),
            None => param.name.to_owned(),
        })
        .collect();
    parts.join(", ")
}

/// Makes all classes and adds them to the module.
pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let classes = CLASSES.get_or_try_init(py, || {
        ops::ALL
            .iter()
            .map(|op| make(module, op).map(Bound::unbind))
            .collect::<PyResult<_>>()
    })?;
    for (class, op) in classes.iter().zip(ops::ALL) {
        module.add(op.class, class)?;
    }
    Ok(())
}

fn make<'py>(module: &Bound<'py, PyModule>, op: &OpDef) -> PyResult<Bound<'py, PyType>> {
    let py = module.py();
    let base = if op.has_many_outputs() {
        PyTensorTupleOp::type_object(py)
    } else {
        PyTensorOp::type_object(py)
    };
    let name = CString::new(format!("needle.{}", op.class))?;
    let doc = CString::new(format!("{}({})\n--\n\n{}", op.class, signature(op), op.doc))?;
    let mut slots = [
        ffi::PyType_Slot {
            slot: ffi::Py_tp_doc,
            pfunc: doc.as_ptr() as *mut c_void,
        },
        ffi::PyType_Slot {
            slot: 0,
            pfunc: std::ptr::null_mut(),
        },
    ];
    let flags = ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_BASETYPE | ffi::Py_TPFLAGS_IMMUTABLETYPE;
    let mut spec = ffi::PyType_Spec {
        name: name.as_ptr(),
        // 0: as the base, to which nothing is added.
        basicsize: 0 as c_int,
        itemsize: 0,
        flags: flags as c_uint,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: name, doc and slots outlive the call; since 3.11 CPython copies name and doc. It
    // gives a new reference, or null and an exception.
    let object = unsafe {
        let made = ffi::PyType_FromModuleAndSpec(module.as_ptr(), &raw mut spec, base.as_ptr());
        Bound::from_owned_ptr_or_err(py, made)?
    };
    Ok(object.cast_into::<PyType>()?)
}
