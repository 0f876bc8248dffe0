//! The module-level functions and the methods of `Tensor`, made from the op table.
//!
//! One C function serves all module-level functions: CPython hands it the object that the
//! function was made with, a module object with one more word, the op's place in the
//! table. (A module as `self` makes the functions look and pickle like those of any
//! extension module.) Methods carry no such word, so each op has its own instance of a
//! generic function. This file speaks the C API for that reason.

use crate::call::{Given, call};
use crate::classes::signature;
use crate::tensor::PyTensor;
use needle_core::ops::{self, Inputs, OpDef, Param, tuple};
use pyo3::PyTypeInfo;
use pyo3::exceptions::PySystemError;
use pyo3::ffi;
use pyo3::prelude::*;
use std::ffi::{CString, c_uint};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicIsize, Ordering};

/// Where the op's place stands in a carrier object.
static PLACE: AtomicIsize = AtomicIsize::new(0);

type Fast = unsafe extern "C" fn(
    *mut ffi::PyObject,
    *const *mut ffi::PyObject,
    ffi::Py_ssize_t,
    *mut ffi::PyObject,
) -> *mut ffi::PyObject;

/// Runs `body`, turning errors and panics into Python exceptions.
fn guard(body: impl FnOnce(Python<'_>) -> PyResult<Py<PyAny>>) -> *mut ffi::PyObject {
    let run = || {
        attached(|py| match body(py) {
            Ok(object) => object.into_ptr(),
            Err(error) => {
                error.restore(py);
                std::ptr::null_mut()
            }
        })
    };
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
        attached(|py| PySystemError::new_err("needle: internal error").restore(py));
        std::ptr::null_mut()
    })
}

/// Runs `body` in a function that CPython calls.
fn attached<R>(body: impl FnOnce(Python<'_>) -> R) -> R {
    let mut body = Some(body);
    let mut result = Python::try_attach(|py| body.take().map(|body| body(py))).flatten();
    if let Some(body) = body {
        // At the end of the interpreter PyO3 attaches no more, but finalisers still call.
        // SAFETY: CPython holds the GIL when it calls a function.
        result = Some(body(unsafe { Python::assume_attached() }));
    }
    match result {
        Some(result) => result,
        None => unreachable!("one of both has run it"),
    }
}

/// Where a carrier keeps its op's place in the table.
///
/// # Safety
/// `carrier` is an object of the carrier type.
#[allow(clippy::cast_ptr_alignment)] // The word follows the fields of a pointer-aligned object.
unsafe fn place_of(carrier: *mut ffi::PyObject) -> *mut usize {
    // SAFETY: `carrier_type` has set the offset and made the type with room for one word there, as
    // much aligned as the pointers before it.
    unsafe {
        carrier
            .cast::<u8>()
            .offset(PLACE.load(Ordering::Relaxed))
            .cast()
    }
}

/// A function of the module.
///
/// # Safety
/// Called by CPython as `METH_FASTCALL | METH_KEYWORDS`, with the GIL, and made by [`add_to`].
unsafe extern "C" fn function(
    carrier: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargs: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: `add_to` made this function with a carrier; `__self__` is read-only, the type final,
    // and the class of its objects cannot be changed.
    let place = unsafe { place_of(carrier).read() };
    guard(|py| {
        // SAFETY: CPython's vectorcall keeps args and names alive until we return, also while
        // `__index__` runs.
        let given = unsafe { Given::new(py, None, args, nargs as usize, names) };
        call(py, ops::ALL[place], &given).map(Bound::unbind)
    })
}

/// A method of tensors.
///
/// # Safety
/// Called by CPython as `METH_FASTCALL | METH_KEYWORDS`, with the GIL, through a descriptor of
/// [`add_methods`].
unsafe extern "C" fn method<const OP: usize>(
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargs: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    guard(|py| {
        // SAFETY: CPython's vectorcall keeps args, names and slf alive until we return, also while
        // `__index__` runs; the descriptor has checked that slf is a Tensor.
        let given = unsafe { Given::new(py, Some(slf), args, nargs as usize, names) };
        call(py, ops::ALL[OP], &given).map(Bound::unbind)
    })
}

/// `name(operands, parameters)`, as `inspect.signature` reads it.
fn text_signature(op: &OpDef, first: &str) -> String {
    let mut parts = vec![first.to_owned()];
    match &op.inputs {
        Inputs::Named(names) => parts.extend(names.iter().map(|&name| name.to_owned())),
        Inputs::Many(name) if std::ptr::eq(op, &raw const tuple::MAKE_TUPLE) => {
            parts.push(format!("*{name}"));
        }
        Inputs::Many(name) => parts.push((*name).to_owned()),
    }
    if !op.params.is_empty() {
        parts.push(signature(op));
    }
    if std::ptr::eq(op, &raw const tuple::TUPLE_GET_ITEM) {
        parts.push("*, fold_const=True".to_owned());
    }
    format!("({})\n--\n\n{}", parts.join(", "), op.doc)
}

fn definition(name: &str, text: &str, function: Fast) -> PyResult<*mut ffi::PyMethodDef> {
    // Leaked: CPython keeps the definition as long as the function, which is for good.
    let name = CString::new(name)?;
    let doc = CString::new(format!("{}{text}", name.to_string_lossy()))?;
    Ok(Box::into_raw(Box::new(ffi::PyMethodDef {
        ml_name: name.into_raw(),
        ml_meth: ffi::PyMethodDefPointer {
            PyCFunctionFastWithKeywords: function,
        },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: doc.into_raw(),
    })))
}

/// A subtype of the module type with room for one word.
fn carrier_type(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: the base is a static type of CPython, ready since Python runs; the word lies behind
    // its fields. Spec and slots outlive the call, and the name is a constant. The call gives a new
    // reference, or null and an exception.
    unsafe {
        let base = &raw mut ffi::PyModule_Type;
        let size = (*base).tp_basicsize;
        PLACE.store(size, Ordering::Relaxed);
        let mut slots = [ffi::PyType_Slot {
            slot: 0,
            pfunc: std::ptr::null_mut(),
        }];
        let mut spec = ffi::PyType_Spec {
            name: c"needle._core.module".as_ptr(),
            basicsize: (size + size_of::<usize>() as isize) as i32,
            itemsize: 0,
            flags: ffi::Py_TPFLAGS_DEFAULT as c_uint,
            slots: slots.as_mut_ptr(),
        };
        let made = ffi::PyType_FromSpecWithBases(&raw mut spec, base.cast());
        Bound::from_owned_ptr_or_err(py, made)
    }
}

/// Adds a function for each op to the module.
pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let carrier = carrier_type(py)?;
    for (place, op) in ops::ALL.iter().enumerate() {
        let holder = carrier.call1(("needle",))?;
        let def = definition(op.name, &text_signature(op, "$module"), function)?;
        let name = "needle".into_pyobject(py)?;
        // SAFETY: the holder was just made of the carrier type, with room for the place; the
        // definition was leaked. The call gives a new reference, or null and an exception.
        let object = unsafe {
            place_of(holder.as_ptr()).write(place);
            let made = ffi::PyCFunction_NewEx(def, holder.as_ptr(), name.as_ptr());
            Bound::from_owned_ptr_or_err(py, made)?
        };
        module.add(op.name, object)?;
    }
    Ok(())
}

/// Whether an op is also a method of tensors: one operand and parameters that stand alone.
fn is_method(op: &OpDef) -> bool {
    op.name == "matmul"
        || (matches!(op.inputs, Inputs::Named(["a"])) && op.params.iter().all(Param::stands_alone))
}

/// The name of the method, where it differs.
fn method_name(op: &OpDef) -> &'static str {
    if op.name == "summation" {
        "sum"
    } else {
        op.name
    }
}

macro_rules! methods {
    ($($i:literal)*) => { [$(method::<$i>,)*] };
}

/// Instances of the generic method, one for each place in the table.
const METHODS: &[Fast] = &methods!(
    0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
    32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60
    61 62 63 64 65 66 67 68 69 70 71 72 73 74 75 76 77 78 79 80 81 82 83 84 85 86 87 88 89
    90 91 92 93 94 95 96 97 98 99 100 101 102 103 104 105 106 107 108 109 110 111 112 113
    114 115 116 117 118 119 120 121 122 123 124 125 126 127
);
const _: () = assert!(METHODS.len() >= 128);

/// Adds the methods to `Tensor`.
pub fn add_methods(py: Python<'_>) -> PyResult<()> {
    let class = PyTensor::type_object(py);
    for (op, &function) in ops::ALL.iter().zip(METHODS) {
        if !is_method(op) {
            continue;
        }
        let text = text_signature(op, "$self").replacen("$self, a", "$self", 1);
        let def = definition(method_name(op), &text, function)?;
        // SAFETY: the class lives, and the definition was leaked. The call gives a new reference,
        // or null and an exception.
        let descr = unsafe {
            let made = ffi::PyDescr_NewMethod(class.as_type_ptr(), def);
            Bound::from_owned_ptr_or_err(py, made)?
        };
        class.setattr(method_name(op), descr)?;
    }
    Ok(())
}
