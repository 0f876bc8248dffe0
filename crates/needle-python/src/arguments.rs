//! Arguments of ops: from Python objects to attributes and back, by the table's parameters.

use crate::classes;
use crate::coerce;
use crate::dtype;
use crate::errors::{OrRaise, ShapeError};
use crate::index;
use crate::user_code::{self, instead_of_type_error, type_name};
use crate::value::PyValue;
use needle_core::dtype::Scalar;
use needle_core::ops::{Attr, Attrs, Inputs, OpDef, Param, ParamKind};
use needle_core::shape::{self, MOST_DIMS};
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyString, PyTuple};
use smallvec::{SmallVec, smallvec};
use std::borrow::Cow;

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
    let mut values = args.iter().chain(named.iter().map(|(_, value)| value));
    let has_tensor = values.any(PyAnyMethods::is_instance_of::<PyValue>);
    if has_tensor || (op.params.is_empty() && !args.is_empty()) {
        let params = classes::signature(op);
        let class = op.class;
        let takes = match op.params {
            [] => "takes no arguments",
            _ => "takes the op's parameters, not its inputs",
        };
        return Err(PyTypeError::new_err(format!(
            "{}: the class {class} {takes}\nhint: make an op object first, then apply it: {class}({params})(x)",
            op.name
        )));
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
        let ints = integers(op, param, args.iter().cloned().map(Ok))?;
        return Ok(Attrs::one(ints));
    }
    if args.len() > op.params.len() {
        return Err(PyTypeError::new_err(format!(
            "{}: expected at most {}, got {}\nhint: {}",
            op.name,
            count(op.params.len(), "parameter"),
            args.len(),
            takes(op)
        )));
    }
    // First it is said which argument is whose, then what it means: the order in which they are
    // written makes no difference.
    let mut given: SmallVec<[Option<&Bound<'_, PyAny>>; 2]> = smallvec![None; op.params.len()];
    for (place, arg) in given.iter_mut().zip(args) {
        *place = Some(arg);
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
            return Err(unexpected(op, name));
        };
        if given[i].replace(value).is_some() {
            return Err(PyTypeError::new_err(format!(
                "{}: got multiple values for argument '{name}'",
                op.name
            )));
        }
    }
    let mut attrs: SmallVec<[Attr; 2]> = SmallVec::new();
    for (given, param) in given.into_iter().zip(op.params) {
        attrs.push(match given {
            Some(value) => attribute(op, param, value, &attrs, shape)?,
            None => param
                .default_attr()
                .ok_or_else(|| missing(op, param.name))?,
        });
    }
    Ok(Attrs::of(attrs))
}

/// What an index is relative to: the op's own shape, which stands before it among the parameters, or
/// that of the operand.
fn indexed_shape<'a>(
    op: &OpDef,
    known: &[Attr],
    operand: Option<&'a [usize]>,
) -> PyResult<Option<Cow<'a, [usize]>>> {
    let own = known.iter().find_map(|attr| match attr {
        Attr::Ints(lengths) => Some(lengths),
        _ => None,
    });
    match own {
        Some(own) => Ok(Some(
            shape::lengths(op.name, own).or_raise()?.to_vec().into(),
        )),
        None => Ok(operand.map(Cow::from)),
    }
}

/// What an op can be given, operands first: `summation takes a, axes=None, keepdims=False`.
pub fn takes(op: &OpDef) -> String {
    let mut parts: Vec<String> = match &op.inputs {
        Inputs::Named(names) => names.iter().map(|&name| name.to_owned()).collect(),
        Inputs::Many(name) => vec![(*name).to_owned()],
    };
    if !op.params.is_empty() {
        parts.push(classes::signature(op));
    }
    format!("{} takes {}", op.name, parts.join(", "))
}

/// The refusal of a call without an argument that has no default.
pub fn missing(op: &OpDef, name: &str) -> PyErr {
    let takes = takes(op);
    PyTypeError::new_err(format!(
        "{}: missing argument '{name}'\nhint: {takes}",
        op.name
    ))
}

/// What other libraries call parameters.
const OTHER_NAMES: &[(&str, &[&str])] = &[
    ("axes", &["axis", "dim", "dims", "perm", "permute_dims"]),
    ("axis", &["axes", "dim", "dims"]),
    ("keepdims", &["keepdim", "keep_dims", "keep_dim"]),
    ("shape", &["newshape", "size", "sizes", "dims"]),
    ("correction", &["unbiased", "bias"]),
    ("indices", &["index"]),
];

/// The refusal of an argument by a name that the op has not.
pub fn unexpected(op: &OpDef, name: &str) -> PyErr {
    let is_meant = |param: &&Param| {
        let others = OTHER_NAMES.iter().find(|(own, _)| *own == param.name);
        others.is_some_and(|(_, others)| others.contains(&name))
            || name
                .get(..3)
                .is_some_and(|start| param.name.starts_with(start))
    };
    let meant = match op.params.iter().find(is_meant) {
        Some(param) => format!("write {}= for it: ", param.name),
        None => String::new(),
    };
    PyTypeError::new_err(format!(
        "{}: unexpected keyword argument '{name}'\nhint: {meant}{}",
        op.name,
        takes(op)
    ))
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
    PyTypeError::new_err(format!(
        "{}: {} expects {expected}, got {}",
        op.name,
        param.name,
        type_name(value)
    ))
}

fn integer(op: &OpDef, param: &Param, value: &Bound<'_, PyAny>) -> PyResult<isize> {
    if value.is_instance_of::<PyBool>() {
        return Err(wrong(op, param, "an integer", value));
    }
    let index = user_code::index(value).map_err(|error| {
        instead_of_type_error(error, value.py(), || wrong(op, param, "an integer", value))
    })?;
    index.extract().map_err(|_| {
        PyOverflowError::new_err(format!(
            "{}: {} is out of the range of 64-bit integers",
            op.name, param.name
        ))
    })
}

/// Several integers, as many as an array may have dimensions.
fn integers<'py>(
    op: &OpDef,
    param: &Param,
    values: impl IntoIterator<Item = PyResult<Bound<'py, PyAny>>>,
) -> PyResult<Attr> {
    let mut ints: SmallVec<[isize; 4]> = SmallVec::new();
    for value in values {
        if ints.len() == MOST_DIMS {
            return Err(ShapeError::new_err(format!(
                "{}: {} has more than {MOST_DIMS} integers, and no array so many dimensions",
                op.name, param.name
            )));
        }
        ints.push(integer(op, param, &value?)?);
    }
    Ok(Attr::Ints(ints.as_slice().into()))
}

/// What a value means for a parameter; `known` are the attributes before it.
fn attribute(
    op: &'static OpDef,
    param: &Param,
    value: &Bound<'_, PyAny>,
    known: &[Attr],
    shape: Option<&[usize]>,
) -> PyResult<Attr> {
    match param.kind {
        ParamKind::Scalar => match coerce::number(value)? {
            Some(constant) => Ok(Attr::Scalar(constant)),
            None => Err(wrong(op, param, "a number", value)),
        },
        ParamKind::Axes if value.is_none() => Ok(Attr::None),
        ParamKind::Axes | ParamKind::Shape => {
            if let Ok(tuple) = value.cast_exact::<PyTuple>() {
                return integers(op, param, tuple.iter().map(Ok));
            }
            match integer(op, param, value) {
                Ok(one) if param.kind == ParamKind::Axes => Ok(Attr::Int(one)),
                Ok(one) => Ok(Attr::Ints([one].into())),
                Err(error) if error.is_instance_of::<PyTypeError>(value.py()) => {
                    let items = user_code::iterate(value).map_err(|error| {
                        let several = || wrong(op, param, "an integer or several", value);
                        instead_of_type_error(error, value.py(), several)
                    })?;
                    integers(op, param, items)
                }
                Err(error) => Err(error),
            }
        }
        ParamKind::Int => integer(op, param, value).map(Attr::Int),
        ParamKind::Bool => user_code::truth(value).map(Attr::Bool),
        ParamKind::DType => dtype::extract(value).map(Attr::DType),
        ParamKind::Index => match indexed_shape(op, known, shape)? {
            Some(shape) => Ok(Attr::Index(index::parse(value, &shape)?.into())),
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
