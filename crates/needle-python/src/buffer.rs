//! Arrays in and out of NumPy without copies where that is safe.
//!
//! Out: a NumPy array on our memory whose base is a small [`Buffer`] object; it keeps the
//! memory, and no graph, alive. In: storage that keeps the NumPy array alive. This is the
//! one file that speaks NumPy's C API.

use crate::coerce;
use crate::dtype;
use crate::errors::OrRaise;
use crate::user_code::{self, shown, type_name};
use needle_core::array::{Export, Storage};
use needle_core::dtype::Scalar;
use needle_core::shape::Dims;
use needle_core::{Array, dispatch};
use numpy::npyffi::{
    self, NPY_ARRAY_C_CONTIGUOUS, NPY_ARRAY_OWNDATA, NPY_ARRAY_WRITEABLE, PY_ARRAY_API, npy_intp,
};
use numpy::{PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyTuple, PyType};
use std::ffi::c_int;

/// Keeps exported memory alive: the base of NumPy arrays on it.
#[pyclass(frozen, module = "needle._core")]
pub struct Buffer {
    export: Export,
}

/// Who may write through a NumPy array on our memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nobody: the array is a snapshot.
    ReadOnly,
    /// The user, where the memory allows it.
    Alias,
    /// This file alone: the array never reaches a user.
    Internal,
}

/// A NumPy array on the memory of an array.
pub fn to_numpy<'py>(
    py: Python<'py>,
    array: &Array,
    access: Access,
) -> PyResult<Bound<'py, PyUntypedArray>> {
    let itemsize = array.dtype().size() as isize;
    let own_strides = array.strides();
    let mut shape: Vec<npy_intp> = array.shape().iter().map(|&n| n as npy_intp).collect();
    // They wrap only where NumPy refuses the shape, which it looks at first.
    let in_bytes = |&stride: &isize| stride.wrapping_mul(itemsize);
    let mut strides: Vec<npy_intp> = own_strides.iter().map(in_bytes).collect();
    let repeats = array
        .shape()
        .iter()
        .zip(&own_strides)
        .any(|(&n, &s)| n > 1 && s == 0);
    let writable = access != Access::ReadOnly && !array.storage().is_readonly() && !repeats;
    let flags = if writable { NPY_ARRAY_WRITEABLE } else { 0 };
    let data = dispatch!(array.dtype(), T => array.ptr_mut::<T>().cast());
    let export = if access == Access::Internal {
        array.storage().export_unseen()
    } else {
        array.storage().export()
    };
    let base = Bound::new(py, Buffer { export })?;
    let descr = dtype::to_numpy(py, array.dtype())?;
    // SAFETY: shape and strides are the array's, which stay within its storage; base keeps that.
    // Both calls take over descr and base, also where they fail.
    unsafe {
        let object = PY_ARRAY_API.PyArray_NewFromDescr(
            py,
            npyffi::get_type_object(py, npyffi::NpyTypes::PyArray_Type),
            descr.into_dtype_ptr(),
            shape.len() as c_int,
            shape.as_mut_ptr(),
            strides.as_mut_ptr(),
            data,
            flags,
            std::ptr::null_mut(),
        );
        let result = Bound::from_owned_ptr_or_err(py, object)?;
        if PY_ARRAY_API.PyArray_SetBaseObject(py, object.cast(), base.into_any().into_ptr()) < 0 {
            return Err(PyErr::fetch(py));
        }
        Ok(result.cast_into::<PyUntypedArray>()?)
    }
}

/// The dtype of a NumPy array, or the error that names it.
fn dtype_of(array: &Bound<'_, PyUntypedArray>) -> PyResult<needle_core::DType> {
    let descr = array.dtype();
    dtype::from_descr(&descr).ok_or_else(|| dtype::unsupported(&descr))
}

/// Elements from which NumPy lets other threads run while it copies; the end of the interpreter may
/// stop the thread then, as in the user's code.
const MANY: usize = 256;

/// A fresh array with the values of a NumPy array, whatever its strides and byte order.
pub fn copy_in(
    array: &Bound<'_, PyUntypedArray>,
    dtype: Option<needle_core::DType>,
) -> PyResult<Array> {
    let py = array.py();
    let own = dtype_of(array)?;
    let result = Array::empty(dtype.unwrap_or(own), array.shape()).or_raise()?;
    if result.dtype() == own && copied_plainly(array, &result) {
        return Ok(result);
    }
    let view = to_numpy(py, &result, Access::Internal)?;
    if array.len() >= MANY {
        user_code::call_method(
            &view,
            "__setitem__",
            &(py.Ellipsis(), array).into_pyobject(py)?,
        )?;
        return Ok(result);
    }
    // SAFETY: both are live NumPy arrays and the target is writable. Making the view may have run
    // finalisers that reshaped the source: NumPy compares the shapes again.
    let status =
        unsafe { PY_ARRAY_API.PyArray_CopyInto(py, view.as_ptr().cast(), array.as_ptr().cast()) };
    if status < 0 {
        return Err(PyErr::fetch(py));
    }
    drop(view);
    Ok(result)
}

/// Bytes up to which a copy is over before another thread could make use of the time.
const FEW: usize = 1 << 16;

/// Copies few elements that lie as ours do, without NumPy; whether it did. The shapes and dtypes are
/// equal.
fn copied_plainly(array: &Bound<'_, PyUntypedArray>, result: &Array) -> bool {
    let bytes = array.len() * result.dtype().size();
    if bytes > FEW || array.dtype().is_native_byteorder() == Some(false) {
        return false;
    }
    // SAFETY: a live ndarray, GIL held; nothing of Python runs until the bytes are copied.
    let (data, flags) = unsafe {
        let fields = array.as_array_ptr();
        ((*fields).data.cast::<u8>(), (*fields).flags)
    };
    if flags & NPY_ARRAY_C_CONTIGUOUS == 0 {
        return false;
    }
    // SAFETY: the elements of a contiguous array are these bytes, at any alignment. The result was
    // just made with as many, which nobody else knows.
    unsafe {
        let target = dispatch!(result.dtype(), T => result.ptr_mut::<T>().cast::<u8>());
        std::ptr::copy_nonoverlapping(data, target, bytes);
    }
    true
}

/// An array on the memory of a NumPy array, or a copy where the layout does not allow one
/// (negative strides, foreign byte order, misaligned elements).
pub fn alias_in(array: &Bound<'_, PyUntypedArray>) -> PyResult<Array> {
    let dtype = dtype_of(array)?;
    let size = dtype.size();
    let fits = array
        .strides()
        .iter()
        .all(|&s| s >= 0 && s % size as isize == 0);
    let native = array.dtype().is_native_byteorder() != Some(false);
    // SAFETY: a live ndarray, GIL held; no Python runs from here until `owner` holds it.
    let (data, flags) = unsafe {
        let fields = array.as_array_ptr();
        ((*fields).data.cast::<u8>(), (*fields).flags)
    };
    if !fits || !native || !(data as usize).is_multiple_of(size) {
        return copy_in(array, None);
    }
    let shape: Dims = array.shape().iter().copied().collect();
    let strides: Vec<isize> = array.strides().iter().map(|&s| s / size as isize).collect();
    let extent: isize = shape
        .iter()
        .zip(&strides)
        .map(|(&n, &s)| (n.max(1) as isize - 1) * s)
        .sum();
    let bytes = if array.is_empty() {
        0
    } else {
        (extent as usize + 1) * size
    };
    let readonly = flags & NPY_ARRAY_WRITEABLE == 0;
    // Memory that came from us is not lent to us: `t.cached_data -= 1` again and again would make a
    // chain of owners.
    let own = origin(array).filter(|own| {
        let start = (data as usize).checked_sub(own.data() as usize);
        start.is_some_and(|start| start.is_multiple_of(size) && start + bytes <= own.bytes())
    });
    // SAFETY: no Python that changes the array has run since its fields were read. No stride is
    // negative, so all elements lie in these bytes; strides are whole elements, data is aligned. Our
    // own memory is kept by its storage. NumPy keeps its own while the array lives, unless the user
    // breaks that by `resize(refcheck=False)` or `__setstate__`, as for NumPy's own views.
    unsafe {
        let (storage, offset) = match &own {
            Some(own) if !readonly || own.is_readonly() => {
                let offset = data.offset_from(own.data()) as usize / size;
                (own.clone(), offset)
            }
            Some(own) => (own.lend(data, bytes), 0),
            None => {
                let owner = Box::new(array.clone().unbind());
                (Storage::lent(data, bytes, readonly, owner), 0)
            }
        };
        Ok(Array::from_parts(storage, offset, shape, &strides, dtype))
    }
}

/// The memory that an array was made on, where that is ours.
fn origin(array: &Bound<'_, PyUntypedArray>) -> Option<Storage> {
    let mut at = array.as_any().clone();
    while let Ok(array) = at.cast_exact::<PyUntypedArray>() {
        // SAFETY: a live ndarray, GIL held; its base is null or an object that it keeps, and
        // nothing of Python runs before we hold that too.
        at = unsafe {
            let base = (*array.as_array_ptr()).base;
            Bound::from_borrowed_ptr_or_opt(array.py(), base)?
        };
    }
    let buffer = at.cast::<Buffer>().ok()?;
    Some(buffer.get().export.storage().clone())
}

/// What a Python op returned, as an array: adopted where nobody else can see it.
#[allow(clippy::needless_pass_by_value)] // Owning it is what makes the count below meaningful.
pub fn adopt(object: Bound<'_, PyAny>) -> PyResult<Array> {
    let array = asarray(&object)?;
    // An array that came through `asarray` unchanged is referred to by `object` as well.
    let expected = if array.as_ptr() == object.as_ptr() {
        2
    } else {
        1
    };
    let is_plain = array.cast_exact::<PyUntypedArray>().is_ok();
    // SAFETY: live object, GIL held. Views, buffers and DLPack capsules count as references, weak
    // ones are looked for: nobody else can reach it.
    let is_alone = unsafe {
        let fields = array.as_array_ptr();
        (*fields).flags & NPY_ARRAY_OWNDATA != 0
            && (*fields).base.is_null()
            && (*fields).weakreflist.is_null()
            && pyo3::ffi::Py_REFCNT(array.as_ptr()) == expected
    };
    let fresh = is_plain && is_alone;
    if fresh {
        alias_in(&array)
    } else {
        copy_in(&array, None)
    }
}

/// Refuses an array with masked elements: needle would take their values for valid ones.
fn refuse_masked(array: &Bound<'_, PyUntypedArray>) -> PyResult<()> {
    static MASKED: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let masked = MASKED.import(array.py(), "numpy.ma", "MaskedArray")?;
    if array.is_instance(masked)? && array.getattr("mask")?.call_method0("any")?.is_truthy()? {
        return Err(PyTypeError::new_err(
            "expected numbers, got an array with masked elements\nhint: say what they count as, by array.filled(0)",
        ));
    }
    Ok(())
}

/// `numpy.asarray(object)`, refusing what has no numeric dtype.
pub fn asarray<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyUntypedArray>> {
    static ASARRAY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = object.py();
    if let Ok(array) = object.cast::<PyUntypedArray>() {
        if !array.as_any().is_exact_instance_of::<PyUntypedArray>() {
            refuse_masked(array)?;
        }
        return Ok(array.clone());
    }
    let asarray = ASARRAY.get_or_try_init(py, || {
        PyResult::Ok(py.import("numpy")?.getattr("asarray")?.unbind())
    })?;
    // Not through the C API: this may run the object's `__array__`.
    let array = user_code::call(asarray.bind(py), &PyTuple::new(py, [object])?)?;
    let array = array.cast_into::<PyUntypedArray>()?;
    if matches!(array.dtype().kind(), b'O' | b'U' | b'S') {
        let what = match array.dtype().kind() {
            b'O' => odd(&array, object)?,
            _ => format!("an array of dtype {}", shown(&array.dtype())?),
        };
        return Err(PyTypeError::new_err(format!(
            "expected numbers, got {what}"
        )));
    }
    Ok(array)
}

/// What in an object NumPy could make no number of, for a message.
fn odd(array: &Bound<'_, PyUntypedArray>, object: &Bound<'_, PyAny>) -> PyResult<String> {
    for item in user_code::iterate(&array.getattr("flat")?)? {
        let item = item?;
        match coerce::number(&item) {
            Ok(Some(number)) if matches!(number.value, Scalar::Huge(_)) => {
                return Ok("an integer out of the range of 64-bit integers\nhint: make it a float, as in float(2**70)".to_owned());
            }
            Ok(Some(_)) => {}
            _ if item.is(object) => {}
            _ if item.is_none() => return Ok(format!("None in a {}", type_name(object))),
            _ => return Ok(format!("{} in a {}", type_name(&item), type_name(object))),
        }
    }
    Ok(type_name(object))
}
