//! Calls of the user's code, and what it raises.
//!
//! Whatever a user wrote may run anything: it replaces data, drops tensors, raises, calls needle
//! again, or does not come back because the interpreter ends. What was read before such a call is
//! stale after it.

use crate::tensor::PyTensor;
use pyo3::Borrowed;
use pyo3::exceptions::{PyException, PyMemoryError, PyRecursionError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyInt, PyString, PyTuple};
use std::cell::Cell;
use std::ffi::c_int;
use std::ops::Deref;

/// Stops its thread for good when it is dropped.
///
/// When the interpreter ends, CPython before 3.14 makes a daemon thread that asks for the GIL leave
/// by `pthread_exit`, which unwinds its stack. Unwinding through Rust aborts the process, so the
/// thread stops at the first Rust frame instead and goes when the process does; CPython 3.14 does
/// the same itself, and PyO3 where it takes the GIL back.
struct Stop;

impl Drop for Stop {
    fn drop(&mut self) {
        loop {
            std::thread::park();
        }
    }
}

/// Runs `body`, which calls Python through [`may_unwind`].
fn stopping<R>(body: impl FnOnce() -> R) -> R {
    let stop = Stop;
    let result = body();
    std::mem::forget(stop);
    result
}

/// A function of the C API by a type that says that it may unwind. The declaration says that it does
/// not, so the compiler must not see what is called: it would leave [`Stop`] out.
macro_rules! may_unwind {
    ($function:path, ($($argument:ty),*)) => {{
        type Plain = unsafe extern "C" fn($($argument),*) -> *mut ffi::PyObject;
        type Unwinding = unsafe extern "C-unwind" fn($($argument),*) -> *mut ffi::PyObject;
        // SAFETY: the two types differ in the unwinding alone, which is what the function may do.
        std::hint::black_box(unsafe { std::mem::transmute::<Plain, Unwinding>($function) })
    }};
}

/// `callable(*args)`, for code that the user may have written. RecursionError where calls of it are
/// nested too deep: each of them has frames of Rust on the stack.
pub fn call<'py>(
    callable: &Bound<'py, PyAny>,
    args: &Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyAny>> {
    let _level = Level::enter(callable.py())?;
    call_here(callable, args)
}

/// [`call`] on a level that was entered.
fn call_here<'py>(
    callable: &Bound<'py, PyAny>,
    args: &Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyAny>> {
    type Object = *mut ffi::PyObject;
    let py = callable.py();
    let function = may_unwind!(ffi::PyObject_Call, (Object, Object, Object));
    let (callable, args) = (callable.as_ptr(), args.as_ptr());
    // SAFETY: the GIL is held, and both objects live during the call, which returns a new reference,
    // or null and an exception.
    unsafe {
        let result = stopping(|| function(callable, args, std::ptr::null_mut()));
        Bound::from_owned_ptr_or_err(py, result)
    }
}

/// [`call`] of a method.
pub fn call_method<'py>(
    object: &Bound<'py, PyAny>,
    name: &str,
    args: &Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyAny>> {
    // The attribute may be code of the user's, too.
    let _level = Level::enter(object.py())?;
    call_here(&object.getattr(name)?, args)
}

/// `str(object)`.
pub fn text<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyString>> {
    let py = object.py();
    let text = call(&py.get_type::<PyString>(), &PyTuple::new(py, [object])?)?;
    Ok(text.cast_into()?)
}

/// `bool(object)`.
pub fn truth(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    if let Ok(known) = object.cast::<PyBool>() {
        return Ok(known.is_true());
    }
    let py = object.py();
    call(&py.get_type::<PyBool>(), &PyTuple::new(py, [object])?)?.is_truthy()
}

/// `operator.index(object)`: an integer of any size. TypeError for what is none.
pub fn index<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyInt>> {
    if let Ok(known) = object.cast_exact::<PyInt>() {
        return Ok(known.clone());
    }
    let none = || PyTypeError::new_err("expected an integer");
    if !object.hasattr("__index__")? {
        return Err(none());
    }
    let index = call_method(object, "__index__", &PyTuple::empty(object.py()))?;
    index.cast_into::<PyInt>().map_err(|_| none())
}

thread_local! {
    static DEPTH: Cell<c_int> = const { Cell::new(0) };
}

/// The share of Python's recursion limit that nested calls of ours may reach: one takes as much stack
/// as several calls of Python functions from C, and CPython 3.12 and 3.13 count no more than those.
const SHARE: c_int = 5;
/// And never more, whatever the limit: so many fit on the stack of a small thread.
const DEEPEST: c_int = 200;

/// One more call of the user's code on this thread's stack.
struct Level;

impl Level {
    fn enter(py: Python<'_>) -> PyResult<Self> {
        // SAFETY: the GIL is held.
        let limit = unsafe { ffi::Py_GetRecursionLimit() };
        if DEPTH.get() >= DEEPEST.min(limit / SHARE) {
            return Err(PyRecursionError::new_err(
                "maximum recursion depth exceeded: ops written in Python call each other",
            ));
        }
        // SAFETY: the GIL is held, and the text is a constant; an exception is set where the result
        // is not 0.
        if unsafe { ffi::Py_EnterRecursiveCall(c" in an op written in Python".as_ptr()) } != 0 {
            return Err(PyErr::fetch(py));
        }
        DEPTH.set(DEPTH.get() + 1);
        Ok(Self)
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
        // SAFETY: `enter` has counted one up on this thread, as `call` has the level on its stack;
        // the GIL is held again.
        unsafe { ffi::Py_LeaveRecursiveCall() };
    }
}

/// The name of an object's class. Unlike `str()` of it, this runs no code, signal handlers neither:
/// what those raise would be lost.
pub fn type_name(object: &Bound<'_, PyAny>) -> String {
    let name = object.get_type().name();
    name.map_or_else(
        |_| "object".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// An object as text, also where its own `__str__` raises an error.
pub fn shown(object: &Bound<'_, PyAny>) -> PyResult<String> {
    match text(object) {
        Ok(text) => Ok(text.to_string_lossy().into_owned()),
        Err(error) if is_exception(&error, object.py()) => Ok(format!("<{}>", type_name(object))),
        Err(error) => Err(error),
    }
}

/// Whether what was raised is an error. KeyboardInterrupt and SystemExit are none: whoever answers an
/// error by another passes them on.
pub fn is_exception(error: &PyErr, py: Python<'_>) -> bool {
    error.is_instance_of::<PyException>(py)
}

/// `instead` of a TypeError; anything else that the user's code raised, KeyboardInterrupt above
/// all, is passed on.
pub fn instead_of_type_error(
    error: PyErr,
    py: Python<'_>,
    instead: impl FnOnce() -> PyErr,
) -> PyErr {
    if error.is_instance_of::<PyTypeError>(py) {
        instead()
    } else {
        error
    }
}

/// What an iterable gives, one after the other.
pub struct Items<'py>(Bound<'py, PyAny>);

/// `iter(iterable)`.
pub fn iterate<'py>(iterable: &Bound<'py, PyAny>) -> PyResult<Items<'py>> {
    let py = iterable.py();
    let _level = Level::enter(py)?;
    let iter = may_unwind!(ffi::PyObject_GetIter, (*mut ffi::PyObject));
    // SAFETY: the GIL is held, and the object lives; the result is a new reference, or null and an
    // exception.
    unsafe {
        let iterator = stopping(|| iter(iterable.as_ptr()));
        Bound::from_owned_ptr_or_err(py, iterator).map(Items)
    }
}

impl<'py> Iterator for Items<'py> {
    type Item = PyResult<Bound<'py, PyAny>>;

    fn next(&mut self) -> Option<Self::Item> {
        let py = self.0.py();
        let _level = match Level::enter(py) {
            Ok(level) => level,
            Err(error) => return Some(Err(error)),
        };
        let next = may_unwind!(ffi::PyIter_Next, (*mut ffi::PyObject));
        // SAFETY: the GIL is held, and the iterator lives; the result is a new reference, or null with
        // or without an exception.
        let item = unsafe {
            let item = stopping(|| next(self.0.as_ptr()));
            Bound::from_owned_ptr_or_opt(py, item)
        };
        match item {
            Some(item) => Some(Ok(item)),
            None => PyErr::take(py).map(Err),
        }
    }
}

/// All that an iterable gives, which may never end: MemoryError instead of an abort.
pub fn collect<'py>(iterable: &Bound<'py, PyAny>) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let mut items = Vec::new();
    for item in iterate(iterable)? {
        items.try_reserve(1).map_err(|_| {
            PyMemoryError::new_err(format!("no memory for more than {} values", items.len()))
        })?;
        items.push(item?);
    }
    Ok(items)
}

/// Tensors as an argument, in any iterable. What its `__len__` says is not asked: a list made by
/// that could be as long as memory.
pub struct Tensors<'py>(Vec<Bound<'py, PyTensor>>);

impl<'py> FromPyObject<'_, 'py> for Tensors<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let items = collect(&object)?.into_iter();
        let tensors = items.map(|item| Ok(item.cast_into::<PyTensor>()?));
        Ok(Self(tensors.collect::<PyResult<_>>()?))
    }
}

impl<'py> Deref for Tensors<'py> {
    type Target = [Bound<'py, PyTensor>];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}
