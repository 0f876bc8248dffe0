//! Basic indices: from Python's keys to the core's and back.

use crate::buffer;
use crate::dtype;
use crate::errors::OrRaise;
use crate::user_code::{self, is_exception, type_name};
use crate::value::PyValue;
use needle_core::array::{Index, Slice};
use needle_core::dtype::Kind;
use needle_core::graph::Types;
use numpy::{PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyIndexError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyEllipsis, PyFloat, PyList, PySlice, PyTuple};

/// The entries of a key for an array of `shape`.
pub fn parse(key: &Bound<'_, PyAny>, shape: &[usize]) -> PyResult<Vec<Index>> {
    let keys: Vec<Bound<'_, PyAny>> = match key.cast::<PyTuple>() {
        Ok(tuple) => tuple.iter().collect(),
        Err(_) => vec![key.clone()],
    };
    let is_ellipsis = |key: &Bound<'_, PyAny>| key.is_instance_of::<PyEllipsis>();
    let used = keys
        .iter()
        .filter(|key| !key.is_none() && !is_ellipsis(key))
        .count();
    if used > shape.len() {
        return Err(PyIndexError::new_err(format!(
            "getitem: too many indices: {used} for shape {}",
            needle_core::shape::display(shape)
        )));
    }
    if keys.iter().filter(|key| is_ellipsis(key)).count() > 1 {
        return Err(PyIndexError::new_err(
            "getitem: an index can only have one `...`",
        ));
    }
    let mut entries = Vec::with_capacity(shape.len());
    let mut axis = 0;
    for key in &keys {
        if key.is_none() {
            entries.push(Index::NewAxis);
        } else if is_ellipsis(key) {
            for &n in &shape[axis..axis + shape.len() - used] {
                entries.push(Index::Range(Slice {
                    start: 0,
                    step: 1,
                    len: n,
                }));
            }
            axis += shape.len() - used;
        } else if let Ok(slice) = key.cast::<PySlice>() {
            let found = slice.indices(shape[axis] as isize)?;
            entries.push(Index::Range(Slice {
                start: found.start,
                step: found.step,
                len: found.slicelength,
            }));
            axis += 1;
        } else {
            entries.push(Index::At(integer(key, axis)?));
            axis += 1;
        }
    }
    Ok(entries)
}

/// A position. Bool is refused, because NumPy means a mask by it.
fn integer(key: &Bound<'_, PyAny>, axis: usize) -> PyResult<isize> {
    if !key.is_instance_of::<PyBool>() {
        match user_code::index(key) {
            Ok(index) => {
                let far = || PyIndexError::new_err("getitem: index is out of any bounds");
                return index.extract().map_err(|_| far());
            }
            Err(error) if !error.is_instance_of::<PyTypeError>(key.py()) => return Err(error),
            // NumPy arrays have `__index__`, and refuse unless they are a single integer.
            Err(_) => {}
        }
    }
    let hint = hint(key, axis)?.map_or_else(String::new, |hint| format!("\nhint: {hint}"));
    Err(PyTypeError::new_err(format!(
        "getitem: expected integers, slices, `...` or None, got {}{hint}",
        type_name(key)
    )))
}

/// What to write instead of a key for `axis` that NumPy would take.
fn hint(key: &Bound<'_, PyAny>, axis: usize) -> PyResult<Option<String>> {
    let (kind, is_single) = if let Ok(value) = key.cast::<PyValue>() {
        let Types::One(ty) = value.get().tensor()?.types().or_raise()? else {
            return Ok(None);
        };
        (ty.dtype.kind(), ty.shape.is_empty())
    } else if key.is_instance_of::<PyBool>() {
        (Kind::Bool, true)
    } else if key.is_instance_of::<PyFloat>() {
        (Kind::Float, true)
    } else if key.is_instance_of::<PyList>() || key.cast::<PyUntypedArray>().is_ok() {
        let array = match buffer::asarray(key) {
            Ok(array) => array,
            Err(error) if is_exception(&error, key.py()) => return Ok(None),
            Err(error) => return Err(error),
        };
        match dtype::from_descr(&array.dtype()) {
            Some(_) if array.is_empty() => (Kind::Signed, false),
            Some(dtype) => (dtype.kind(), array.ndim() == 0),
            None => return Ok(None),
        }
    } else {
        return Ok(None);
    };
    Ok(Some(match kind {
        Kind::Bool => format!(
            "needle.where(mask, t, 0) keeps the shape of t; needle.take(t, numpy.flatnonzero(mask), axis={axis}) picks by a mask of one axis"
        ),
        Kind::Float => "positions are integers: write int(i), or indices.astype('int64')".into(),
        Kind::Signed | Kind::Unsigned if is_single => {
            "write t[int(i)] for the integer in a tensor".into()
        }
        Kind::Signed | Kind::Unsigned => format!(
            "needle.take(t, indices, axis={axis}) gives what is at several positions along an axis"
        ),
    }))
}

/// The key that an index came from.
pub fn to_object<'py>(py: Python<'py>, entries: &[Index]) -> PyResult<Bound<'py, PyTuple>> {
    let keys = entries
        .iter()
        .map(|entry| match *entry {
            Index::At(i) => Ok(i.into_pyobject(py)?.into_any()),
            Index::NewAxis => Ok(py.None().into_bound(py)),
            Index::Range(slice) => {
                // An empty range may stand anywhere. A step over the only element may be as long as
                // it likes.
                let start = if slice.len == 0 { 0 } else { slice.start };
                let way = slice.step.saturating_mul(slice.len as isize);
                let stop = start.saturating_add(way);
                // A range that runs backwards over index 0 has no other end than None.
                let range = py.import("builtins")?.getattr("slice")?;
                if stop < 0 {
                    range.call1((start, py.None(), slice.step))
                } else {
                    range.call1((start, stop, slice.step))
                }
            }
        })
        .collect::<PyResult<Vec<_>>>()?;
    PyTuple::new(py, keys)
}
