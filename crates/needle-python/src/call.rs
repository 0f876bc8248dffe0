//! A call of an op: operands first, then parameters, each also by name.

use crate::arguments::{self, Named};
use crate::coerce::{self, Operand};
use crate::errors::OrRaise;
use crate::op::apply_native;
use crate::operators::finish;
use crate::tensor::{self, PyTensor};
use crate::tuple::PyTensorTuple;
use crate::user_code::type_name;
use crate::value::PyValue;
use needle_core::Tensor;
use needle_core::graph;
use needle_core::ops::{Attr, Attrs, Inputs, OpDef, ParamKind, joining, tuple};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};
use pyo3::{Borrowed, ffi};
use smallvec::SmallVec;

/// The arguments of a vectorcall.
pub struct Given<'a, 'py> {
    positional: SmallVec<[Borrowed<'a, 'py, PyAny>; 4]>,
    named: Named<'py>,
}

impl<'py> Given<'_, 'py> {
    /// The arguments as CPython passes them, after `slf` where it is a method's.
    ///
    /// # Safety
    /// `args` are `nargs` objects, then one for each of `names`, which is null or a tuple
    /// of strings; they and `slf` live as long as what is made here.
    pub unsafe fn new(
        py: Python<'py>,
        slf: Option<*mut ffi::PyObject>,
        args: *const *mut ffi::PyObject,
        nargs: usize,
        names: *mut ffi::PyObject,
    ) -> Self {
        let mut positional = SmallVec::new();
        let mut named = Named::new();
        // SAFETY: the caller's promise. The references are borrowed from the caller's frame or a
        // tuple of arguments, not from a container that may change.
        let names = unsafe {
            if let Some(slf) = slf {
                positional.push(Borrowed::from_ptr(py, slf));
            }
            for i in 0..nargs {
                positional.push(Borrowed::from_ptr(py, *args.add(i)));
            }
            Bound::from_borrowed_ptr_or_opt(py, names)
        };
        if let Some(names) = names {
            let Ok(names) = names.cast_into::<PyTuple>() else {
                unreachable!("names of arguments are a tuple");
            };
            for (i, name) in names.iter().enumerate() {
                let Ok(name) = name.cast_into::<PyString>() else {
                    unreachable!("names of arguments are strings");
                };
                // SAFETY: the caller's promise: behind the others is an argument for each name.
                let value = unsafe { Bound::from_borrowed_ptr(py, *args.add(nargs + i)) };
                named.push((name, value));
            }
        }
        Self { positional, named }
    }
}

/// The common case without any detour: an op on plain tensors, with parameters that stand
/// for themselves. `None` where something else was given.
#[inline]
fn call_direct<'py>(
    py: Python<'py>,
    op: &'static OpDef,
    given: &Given<'_, 'py>,
) -> Option<PyResult<Bound<'py, PyAny>>> {
    let Inputs::Named(names) = &op.inputs else {
        return None;
    };
    let positional = given.positional.as_slice();
    if op.one().is_none()
        || positional.len() < names.len()
        || positional.len() > names.len() + op.params.len()
        || op.params.iter().any(|param| !param.stands_alone())
    {
        return None;
    }
    let (operands, rest) = positional.split_at(names.len());
    let mut objects: SmallVec<[Borrowed<'_, 'py, PyTensor>; 2]> = SmallVec::new();
    for operand in operands {
        objects.push(operand.cast_exact::<PyTensor>().ok()?);
    }
    let mut inputs: SmallVec<[&Tensor; 2]> = SmallVec::new();
    for object in &objects {
        inputs.push(tensor::handle(object).ok()?);
    }
    if op.params.is_empty() && given.named.is_empty() {
        return Some(tensor::apply(py, op, Attrs::none(), &inputs));
    }
    let rest: SmallVec<[Bound<'py, PyAny>; 2]> = rest.iter().map(|arg| (*arg).to_owned()).collect();
    let attrs = match arguments::parse(op, &rest, &given.named, None) {
        Ok(attrs) => attrs,
        Err(error) => return Some(Err(error)),
    };
    Some(tensor::apply(py, op, attrs, &inputs))
}

/// Calls an op.
pub fn call<'py>(
    py: Python<'py>,
    op: &'static OpDef,
    given: &Given<'_, 'py>,
) -> PyResult<Bound<'py, PyAny>> {
    if let Some(result) = call_direct(py, op, given) {
        return result;
    }
    let args = given.positional.iter().map(|arg| (*arg).to_owned());
    call_any(py, op, args.collect(), given.named.clone())
}

/// [`call`] in all its forms. Kept apart: in line it would make the frame of every call larger.
#[inline(never)]
fn call_any<'py>(
    py: Python<'py>,
    op: &'static OpDef,
    mut args: Vec<Bound<'py, PyAny>>,
    mut named: Named<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    if std::ptr::eq(op, &raw const tuple::MAKE_TUPLE) {
        if let Some((name, _)) = named.first() {
            return Err(PyTypeError::new_err(format!(
                "make_tuple: unexpected keyword argument '{name}'"
            )));
        }
        return finish(py, apply_native(op, Attrs::none(), &args)?);
    }
    let operands: &[&str] = match &op.inputs {
        Inputs::Named(names) => names,
        Inputs::Many(name) => std::slice::from_ref(name),
    };
    for operand in operands.iter().skip(args.len()) {
        let Some(i) = named.iter().position(|(name, _)| name == operand) else {
            let is_known = |name: &str| {
                operands.contains(&name) || op.params.iter().any(|param| param.name == name)
            };
            // A name that the op has not may well mean this operand.
            for (name, _) in &named {
                let name = name.to_str()?;
                if !is_known(name) {
                    return Err(arguments::unexpected(op, name));
                }
            }
            return Err(arguments::missing(op, operand));
        };
        args.push(named.remove(i).1);
    }
    if op.params.is_empty() && args.len() > operands.len() {
        return Err(PyTypeError::new_err(format!(
            "{}: expected {}, got {}\nhint: {}",
            op.name,
            arguments::count(operands.len(), "argument"),
            args.len(),
            arguments::takes(op)
        )));
    }
    let rest = args.split_off(operands.len());
    if matches!(op.inputs, Inputs::Many(_)) && rest.iter().any(|arg| arg.cast::<PyValue>().is_ok())
    {
        return Err(PyTypeError::new_err(format!(
            "{}: expected the tensors in one list or tuple, got {} arguments\nhint: write {}((a, b))",
            op.name,
            operands.len() + rest.len(),
            op.name
        )));
    }
    if std::ptr::eq(op, &raw const tuple::TUPLE_GET_ITEM) {
        return tuple_item(py, op, &args[0], &rest, named);
    }
    if let [param] = op.params
        && param.kind == ParamKind::Scalar
        && let Some(value) = rest.first().or(named.first().map(|(_, value)| value))
        && coerce::number(value)?.is_none()
        && let Some(elementwise) = elementwise_form(op)
    {
        // An array where a number is expected: a constant operand.
        let args = [args[0].clone(), value.clone()];
        return finish(py, apply_native(elementwise, Attrs::none(), &args)?);
    }
    let attrs = if op.params.is_empty() && rest.is_empty() && named.is_empty() {
        Attrs::none()
    } else {
        let indexed = op.params.iter().any(|param| param.kind == ParamKind::Index);
        let shape = if indexed {
            // An array-like is read once: another time it may be another.
            let tensor = coerce::input(&args[0], None)?.tensor()?.clone();
            let shape = tensor.ty().or_raise()?.shape;
            if args[0].cast::<PyValue>().is_err() {
                args[0] = PyTensor::create(py, tensor)?.into_any();
            }
            Some(shape)
        } else {
            None
        };
        arguments::parse(op, &rest, &named, shape.as_deref())?
    };
    if let Inputs::Many(name) = op.inputs {
        args[0] = sequence(op, name, &args[0])?;
    }
    finish(py, apply_native(op, attrs, &args)?)
}

/// The operands of an op of several, which come as one: a list or tuple, or, as for NumPy, a tensor
/// or array as the sequence of its rows.
fn sequence<'py>(op: &OpDef, name: &str, given: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if given.is_instance_of::<PyTuple>()
        || given.is_instance_of::<PyList>()
        || given.is_instance_of::<PyTensorTuple>()
    {
        return Ok(given.clone());
    }
    let whole = match coerce::classify(given)? {
        Operand::Tensor(_) | Operand::ArrayLike => coerce::input(given, None)?,
        Operand::Number(_) | Operand::Other => {
            return Err(PyTypeError::new_err(format!(
                "{}: {name} expects a list or tuple of tensors, got {}",
                op.name,
                type_name(given)
            )));
        }
    };
    let whole = whole.tensor()?;
    if whole.ty().or_raise()?.shape.is_empty() {
        return Err(PyTypeError::new_err(format!(
            "{}: {name} expects tensors, got a tensor of one number\nhint: write {}([t])",
            op.name, op.name
        )));
    }
    let rows = graph::apply(&joining::SPLIT, Attrs::one(Attr::Int(0)), &[whole]);
    finish(given.py(), rows.or_raise()?)
}

/// The op of two tensors that a scalar op is a case of.
fn elementwise_form(op: &OpDef) -> Option<&'static OpDef> {
    let name = match op.name {
        "add_scalar" => "add",
        "mul_scalar" => "multiply",
        "divide_scalar" => "divide",
        "power_scalar" => "power",
        _ => return None,
    };
    OpDef::by_name(name)
}

fn tuple_item<'py>(
    py: Python<'py>,
    op: &'static OpDef,
    value: &Bound<'py, PyAny>,
    rest: &[Bound<'py, PyAny>],
    named: Named<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let kwargs = PyDict::new(py);
    let (flags, named): (Named, Named) = named
        .into_iter()
        .partition(|(name, _)| name == "fold_const");
    for (name, flag) in flags {
        kwargs.set_item(name, flag)?;
    }
    let attrs = arguments::parse(op, rest, &named, None)?;
    crate::tuple::project(py, attrs.int(0), value, Some(&kwargs))
}
