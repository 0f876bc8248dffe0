//! Arguments of ops: from Python objects to attributes and back, by the table's parameters.

use crate::coerce;
use crate::dtype;
use crate::index;
use needle_core::dtype::Scalar;
use needle_core::ops::{Attr, Attrs, OpDef, Param, ParamKind};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyString, PyTuple};
use smallvec::{SmallVec, smallvec};
use std::sync::Arc;

/// Attributes that are ready, on their way through a constructor: how the op object of a
/// node is made.
#[pyclass(frozen, module = "needle._core")]
pub struct Prepared(Attrs);

impl Prepared {
    /// As a Python object.
    pub fn wrap(py: Python<'_>, attrs: Attrs) -> PyResult<Bound<'_, Self>> {
        Bound::new(py, Self(attrs))
    }
}

/// The attributes that the arguments of a constructor mean.
pub fn from_constructor(
    op: &'static OpDef,
    args: &Bound<'_, PyTuple>,
    kwargs: Option<&Bound<'_, PyDict>>,
) -> PyResult<Attrs> {
    if let Ok(first) = args.get_item(0)
        && let Ok(prepared) = first.cast::<Prepared>()
    {
        return Ok(prepared.get().0.clone());
    }
    let args: Vec<Bound<'_, PyAny>> = args.iter().collect();
    let mut named = Named::new();
    for (key, value) in kwargs.into_iter().flatten() {
        named.push((key.cast_into()?, value));
    }
    parse(op, &args, &named, None)
}

/// Arguments by name.
pub type Named<'py> = SmallVec<[(Bound<'py, PyString>, Bound<'py, PyAny>); 2]>;

/// The attributes that positional and named arguments mean. An index is relative to
/// `shape`, or to the op's own shape parameter.
pub fn parse(
    op: &'static OpDef,
    args: &[Bound<'_, PyAny>],
    named: &Named<'_>,
    shape: Option<&[usize]>,
) -> PyResult<Attrs> {
    // `reshape(2, 3)`: several integers for the one parameter that takes several.
    if let [param] = op.params
        && matches!(param.kind, ParamKind::Shape | ParamKind::Axes)
        && args.len() > 1
    {
        let ints = args
            .iter()
            .map(|arg| integer(op, param, arg))
            .collect::<PyResult<Arc<_>>>()?;
        return Ok(Attrs::one(Attr::Ints(ints)));
    }
    if args.len() > op.params.len() {
        return Err(PyTypeError::new_err(format!(
            "{}: expected at most {} parameters, got {}",
            op.name,
            op.params.len(),
            args.len()
        )));
    }
    let mut attrs: SmallVec<[Option<Attr>; 2]> = smallvec![None; op.params.len()];
    for (i, arg) in args.iter().enumerate() {
        attrs[i] = Some(attribute(op, i, arg, &attrs, shape)?);
    }
    for (name, value) in named {
        let name = name.to_str()?;
        if is_ignored(name, value) {
            continue;
        }
        // `np.var(t)` calls `t.var(axis=None, ..., ddof=0)`.
        let is_alias = |param: &Param| {
            matches!(
                (name, param.name),
                ("axis", "axes") | ("ddof", "correction")
            )
        };
        let found = op
            .params
            .iter()
            .position(|param| param.name == name || is_alias(param));
        let Some(i) = found else {
            return Err(PyTypeError::new_err(format!(
                "{}: unexpected keyword argument '{name}'",
                op.name
            )));
        };
        if attrs[i].is_some() {
            return Err(PyTypeError::new_err(format!(
                "{}: got multiple values for argument '{name}'",
                op.name
            )));
        }
        attrs[i] = Some(attribute(op, i, value, &attrs, shape)?);
    }
    let mut filled: SmallVec<[Attr; 2]> = SmallVec::new();
    for (attr, param) in attrs.into_iter().zip(op.params) {
        filled.push(attr.or_else(|| param.default_attr()).ok_or_else(|| {
            PyTypeError::new_err(format!("{}: missing argument '{}'", op.name, param.name))
        })?);
    }
    Ok(Attrs::of(filled))
}

/// The shape among the attributes that are known so far.
fn own_shape(attrs: &[Option<Attr>]) -> Option<Vec<usize>> {
    attrs.iter().find_map(|attr| match attr {
        Some(Attr::Ints(lengths)) => lengths
            .iter()
            .map(|&n| usize::try_from(n).ok())
            .collect::<Option<Vec<_>>>(),
        _ => None,
    })
}

/// `1 input`, `2 inputs`.
pub fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// NumPy passes `out=None` and `dtype=None` along when `np.sum(t)` calls `t.sum`.
fn is_ignored(name: &str, value: &Bound<'_, PyAny>) -> bool {
    matches!(name, "out" | "dtype") && value.is_none()
}

fn wrong(op: &OpDef, param: &Param, expected: &str, value: &Bound<'_, PyAny>) -> PyErr {
    let name = value
        .get_type()
        .name()
        .map_or_else(|_| String::new(), |name| name.to_string());
    PyTypeError::new_err(format!(
        "{}: {} expects {expected}, got {name}",
        op.name, param.name
    ))
}

fn integer(op: &OpDef, param: &Param, value: &Bound<'_, PyAny>) -> PyResult<isize> {
    if value.is_instance_of::<PyBool>() {
        return Err(wrong(op, param, "an integer", value));
    }
    value
        .extract::<isize>()
        .map_err(|_| wrong(op, param, "an integer", value))
}

/// Parameter `i`; `known` are the attributes so far.
fn attribute(
    op: &'static OpDef,
    i: usize,
    value: &Bound<'_, PyAny>,
    known: &[Option<Attr>],
    shape: Option<&[usize]>,
) -> PyResult<Attr> {
    let param = &op.params[i];
    match param.kind {
        ParamKind::Scalar => match coerce::number(value)? {
            Some(constant) => Ok(Attr::Scalar(constant)),
            None => Err(wrong(op, param, "a number", value)),
        },
        ParamKind::Axes if value.is_none() => Ok(Attr::None),
        ParamKind::Axes | ParamKind::Shape => {
            if let Ok(tuple) = value.cast_exact::<PyTuple>() {
                let ints: SmallVec<[isize; 4]> = tuple
                    .iter_borrowed()
                    .map(|item| integer(op, param, &item))
                    .collect::<PyResult<_>>()?;
                return Ok(Attr::Ints(ints.as_slice().into()));
            }
            match integer(op, param, value) {
                Ok(one) if param.kind == ParamKind::Axes => Ok(Attr::Int(one)),
                Ok(one) => Ok(Attr::Ints([one].into())),
                Err(_) => {
                    let expected = "an integer or several";
                    let items = value
                        .try_iter()
                        .map_err(|_| wrong(op, param, expected, value))?;
                    let ints = items
                        .map(|item| integer(op, param, &item?))
                        .collect::<PyResult<Arc<[isize]>>>()?;
                    Ok(Attr::Ints(ints))
                }
            }
        }
        ParamKind::Int => integer(op, param, value).map(Attr::Int),
        ParamKind::Bool => Ok(Attr::Bool(value.is_truthy()?)),
        ParamKind::DType => dtype::extract(value).map(Attr::DType),
        ParamKind::Index => match own_shape(known).as_deref().or(shape) {
            Some(shape) => Ok(Attr::Index(index::parse(value, shape)?.into())),
            None => Err(PyTypeError::new_err(format!(
                "{}: an index is relative to a shape\nhint: write tensor[index]",
                op.name
            ))),
        },
    }
}

/// An attribute as users read it.
pub fn to_object<'py>(py: Python<'py>, attr: &Attr) -> PyResult<Bound<'py, PyAny>> {
    Ok(match attr {
        Attr::None => py.None().into_bound(py),
        Attr::Bool(value) => PyBool::new(py, *value).to_owned().into_any(),
        Attr::Int(value) => value.into_pyobject(py)?.into_any(),
        Attr::Scalar(constant) => match constant.value {
            Scalar::Bool(value) => PyBool::new(py, value).to_owned().into_any(),
            Scalar::Int(value) => value.into_pyobject(py)?.into_any(),
            Scalar::UInt(value) => value.into_pyobject(py)?.into_any(),
            Scalar::Float(value) | Scalar::Huge(value) => value.into_pyobject(py)?.into_any(),
        },
        Attr::Ints(values) => PyTuple::new(py, values.iter())?.into_any(),
        Attr::DType(value) => dtype::to_numpy(py, *value)?.into_any(),
        Attr::Index(entries) => index::to_object(py, entries)?.into_any(),
    })
}
