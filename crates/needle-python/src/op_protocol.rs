//! What ops written in Python owe needle: how their methods are called, what these return, and
//! errors that say which of both went wrong.

use crate::coerce;
use crate::errors::OrRaise;
use crate::tuple::PyTensorTuple;
use crate::user_code::{self, instead_of_type_error, is_exception, shown, type_name};
use crate::value::PyValue;
use needle_core::shape::TensorType;
use needle_core::{Array, Tensor};
use numpy::{PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyBufferError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyIterator, PyList, PyTuple};
use std::fmt::Write;

/// The positional parameters of a method, without `self`.
struct Parameters {
    names: Vec<String>,
    /// How many of them have no default.
    required: usize,
    /// Whether there is `*args`.
    variadic: bool,
}

impl Parameters {
    /// `None` where Python cannot tell, or where a parameter by name alone has no default.
    fn of(method: &Bound<'_, PyAny>) -> PyResult<Option<Self>> {
        let py = method.py();
        let inspect = py.import("inspect")?;
        let signature = inspect.getattr("signature")?;
        let signature = match user_code::call(&signature, &PyTuple::new(py, [method])?) {
            Ok(signature) => signature,
            Err(error) if is_exception(&error, py) => return Ok(None),
            Err(error) => return Err(error),
        };
        let empty = inspect.getattr("Parameter")?.getattr("empty")?;
        let mut found = Self {
            names: Vec::new(),
            required: 0,
            variadic: false,
        };
        for parameter in signature
            .getattr("parameters")?
            .call_method0("values")?
            .try_iter()?
        {
            let parameter = parameter?;
            let is_required = parameter.getattr("default")?.is(&empty);
            // In the order of `inspect._ParameterKind`: positional-only, either way, `*args`,
            // by name alone, `**kwargs`.
            match parameter.getattr("kind")?.extract::<u8>()? {
                0 | 1 => {
                    found.names.push(parameter.getattr("name")?.extract()?);
                    found.required += usize::from(is_required);
                }
                2 => found.variadic = true,
                3 if is_required => return Ok(None),
                _ => {}
            }
        }
        Ok(Some(found))
    }

    fn take(&self, count: usize) -> bool {
        self.required <= count && (self.variadic || count <= self.names.len())
    }

    /// `2 inputs (a, b)`, `1 or 2 inputs (a, b)`, `at least 1 input (a)`.
    fn shown(&self, noun: &str) -> String {
        let (least, most) = (self.required, self.names.len());
        let mut text = match self.variadic {
            true => format!("at least {}", crate::arguments::count(least, noun)),
            false if least == most => crate::arguments::count(most, noun),
            false => format!("{least} to {}", crate::arguments::count(most, noun)),
        };
        if !self.names.is_empty() {
            let _ = write!(text, " ({})", self.names.join(", "));
        }
        text
    }
}

/// How messages call input `i` of an op: by its place, and by the name that `compute` has for it.
pub fn input_name(op: &Bound<'_, PyAny>, i: usize) -> PyResult<String> {
    let parameters = Parameters::of(&op.getattr("compute")?)?;
    let name = parameters.and_then(|found| found.names.into_iter().nth(i));
    Ok(match name {
        Some(name) => format!("input {i} ({name})"),
        None => format!("input {i}"),
    })
}

/// What a method of an op raised, or an error that says more: where the method cannot be called like
/// this, and where it writes into what it was given.
pub fn explained(op: &Bound<'_, PyAny>, method: &str, given: usize, error: PyErr) -> PyErr {
    let py = op.py();
    // Only a call that has not begun leaves no traceback.
    let told = if error.is_instance_of::<PyTypeError>(py) && error.traceback(py).is_none() {
        wrong_count(op, method, given)
    } else if method == "compute" {
        read_only(op, &error)
    } else {
        return error;
    };
    told.map_or_else(|raised| raised, |told| told.unwrap_or(error))
}

fn wrong_count(op: &Bound<'_, PyAny>, method: &str, given: usize) -> PyResult<Option<PyErr>> {
    let name = type_name(op);
    let Some(takes) = Parameters::of(&op.getattr(method)?)? else {
        return Ok(None);
    };
    if takes.take(given) {
        return Ok(None);
    }
    let text = if method == "gradient" {
        let takes = takes.shown("argument");
        format!(
            "{name}: gradient takes {takes}, and is called with the adjoint of the result and the result\nhint: define gradient(self, out_grad, node)"
        )
    } else {
        let hint = if takes.names.is_empty() {
            format!("define {method}(self, a), with a parameter for each input")
        } else {
            let most = given.clamp(takes.required, takes.names.len());
            format!("call the op as op({})", takes.names[..most].join(", "))
        };
        let takes = takes.shown("input");
        format!("{name}: {method} takes {takes}, got {given}\nhint: {hint}")
    };
    Ok(Some(PyTypeError::new_err(text)))
}

/// NumPy's refusal to write into an input.
fn read_only(op: &Bound<'_, PyAny>, error: &PyErr) -> PyResult<Option<PyErr>> {
    let py = op.py();
    let class = error.get_type(py);
    let is_plain = class.is(py.get_type::<PyValueError>())
        || class.is(py.get_type::<PyTypeError>())
        || class.is(py.get_type::<PyBufferError>());
    if !is_plain {
        return Ok(None);
    }
    let text = shown(error.value(py))?;
    if !text.ends_with("is read-only")
        && !text.ends_with("read-only memory")
        && !text.contains("WRITEABLE flag")
    {
        return Ok(None);
    }
    let text = format!(
        "{}: compute: {text}\nhint: the inputs of compute are read-only, since other tensors share their memory; write `x = x.copy()` before x is changed in place",
        type_name(op)
    );
    let told = PyErr::from_value(class.call1((text,))?);
    told.set_cause(py, Some(error.clone_ref(py)));
    Ok(Some(told))
}

/// An error about a value, with what the value is before its text.
fn named(py: Python<'_>, what: &str, error: PyErr) -> PyErr {
    if !(error.is_instance_of::<PyTypeError>(py) || error.is_instance_of::<PyValueError>(py)) {
        return error;
    }
    let text = match shown(error.value(py)) {
        Ok(text) => format!("{what}: {text}"),
        Err(raised) => return raised,
    };
    match error.get_type(py).call1((text,)) {
        Ok(named) => PyErr::from_value(named),
        Err(_) => error,
    }
}

/// Whether a list has arrays in it, at any depth: what NumPy would stack.
fn has_arrays(list: &Bound<'_, PyList>) -> bool {
    let mut stack = vec![(list.clone(), 0)];
    while let Some((list, depth)) = stack.pop() {
        for item in list.iter() {
            if item.cast::<PyUntypedArray>().is_ok() || item.is_instance_of::<PyValue>() {
                return true;
            }
            // NumPy has at most 64 dimensions: deeper lists (one that contains itself) it refuses.
            if depth < 64
                && let Ok(inner) = item.cast_into::<PyList>()
            {
                stack.push((inner, depth + 1));
            }
        }
    }
    false
}

fn check_returned(op: &str, result: &Bound<'_, PyAny>, expected: &str) -> PyResult<()> {
    if result.is_none() {
        return Err(PyTypeError::new_err(format!(
            "{op}: compute returned None, expected {expected}\nhint: end it with `return` and the result"
        )));
    }
    Ok(())
}

/// The one result of `compute`.
pub fn result(op: &str, result: Bound<'_, PyAny>) -> PyResult<Array> {
    check_returned(op, &result, "an array")?;
    let several = if let Ok(tuple) = result.cast::<PyTuple>() {
        Some(format!("a tuple of {}", tuple.len()))
    } else if let Ok(list) = result.cast::<PyList>() {
        has_arrays(list).then(|| format!("a list of {}", list.len()))
    } else {
        let is_tuple = result.is_instance_of::<PyTensorTuple>();
        is_tuple.then(|| "a TensorTuple".to_owned())
    };
    if let Some(several) = several {
        return Err(PyTypeError::new_err(format!(
            "{op}: compute returned {several}, expected one array\nhint: an op with several results derives from TensorTupleOp; one array is made of several by numpy.stack"
        )));
    }
    adopt(&format!("{op}: compute"), result)
}

/// The results of `compute` of an op with several.
pub fn results(op: &str, result: Bound<'_, PyAny>) -> PyResult<Vec<Array>> {
    check_returned(op, &result, "a tuple of arrays")?;
    let are_several = result.is_instance_of::<PyTuple>()
        || result.is_instance_of::<PyList>()
        || result.is_instance_of::<PyTensorTuple>()
        || result.cast::<PyIterator>().is_ok();
    if !are_several {
        let given = match result.cast::<PyUntypedArray>() {
            Ok(array) => format!(
                "one array of shape {}",
                needle_core::shape::display(array.shape())
            ),
            Err(_) => type_name(&result),
        };
        return Err(PyTypeError::new_err(format!(
            "{op}: compute returned {given}, expected a tuple of arrays\nhint: an op with one result derives from TensorOp; a tuple of one is `(result,)`"
        )));
    }
    let items = user_code::collect(&result)?;
    drop(result);
    let items = items.into_iter().enumerate();
    items
        .map(|(i, item)| adopt(&format!("{op}: compute: result {i}"), item))
        .collect()
}

/// A result of `compute` as an array.
fn adopt(what: &str, result: Bound<'_, PyAny>) -> PyResult<Array> {
    let py = result.py();
    if result.is_none() {
        return Err(PyTypeError::new_err(format!(
            "{what}: expected an array, got None"
        )));
    }
    if let Ok(value) = result.cast::<PyValue>() {
        return value.get().tensor()?.array().or_raise();
    }
    crate::buffer::adopt(result).map_err(|error| named(py, what, error))
}

/// What `infer` returned: a shape and a dtype.
pub fn inferred(op: &str, result: &Bound<'_, PyAny>) -> PyResult<TensorType> {
    let py = result.py();
    let what = format!("{op}: infer");
    let pair: PyResult<(Bound<'_, PyAny>, Bound<'_, PyAny>)> = result.extract();
    let (shape, dtype) = pair.map_err(|error| {
        instead_of_type_error(error, py, || {
            let given = type_name(result);
            PyTypeError::new_err(format!(
                "{what} returned {given}, expected a pair (shape, dtype)"
            ))
        })
    })?;
    let lengths = user_code::collect(&shape).and_then(|shape| {
        let lengths = shape.iter().map(PyAnyMethods::extract::<usize>);
        lengths.collect::<PyResult<_>>()
    });
    Ok(TensorType {
        shape: lengths.map_err(|error| named(py, &format!("{what}: shape"), error))?,
        dtype: crate::dtype::extract(&dtype).map_err(|error| named(py, &what, error))?,
    })
}

/// What `gradient` returned, one item for each input.
pub fn items(result: Bound<'_, PyAny>) -> PyResult<Vec<Bound<'_, PyAny>>> {
    if result.is_instance_of::<PyTuple>() || result.is_instance_of::<PyList>() {
        user_code::collect(&result)
    } else {
        Ok(vec![result])
    }
}

/// Those items as tensors; plain numbers and arrays are constants.
pub fn tensors(op: &Bound<'_, PyAny>, items: &[Bound<'_, PyAny>]) -> PyResult<Vec<Option<Tensor>>> {
    let one = |(i, item): (usize, &Bound<'_, PyAny>)| {
        if item.is_none() {
            return Ok(None);
        }
        let tensor = coerce::input(item, None).and_then(|input| Ok(input.tensor()?.clone()));
        tensor.map(Some).map_err(|error| {
            let what = match input_name(op, i) {
                Ok(input) => format!("{}: gradient for {input}", type_name(op)),
                Err(raised) => return raised,
            };
            named(item.py(), &what, error)
        })
    };
    items.iter().enumerate().map(one).collect()
}
