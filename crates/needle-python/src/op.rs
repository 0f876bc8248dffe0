//! `Op` and its subclasses: operators as Python objects.
//!
//! An op object is native where its class is one that [`crate::classes`] made from the
//! table; any other class is the user's, and its `compute` and `gradient` are called.

use crate::arguments;
use crate::buffer::{self, Access};
use crate::classes;
use crate::coerce::{self, Input};
use crate::errors::OrRaise;
use crate::foreign::PythonOp;
use crate::operators::finish;
use crate::rules::{check_adjoints, native_gradient};
use crate::tuple::PyTensorTuple;
use crate::user_code::{self, type_name};
use crate::value::PyValue;
use needle_core::Tensor;
use needle_core::graph::{self, Operation, Types};
use needle_core::ops::joining::afford;
use needle_core::ops::{Attrs, Inputs, OpDef, tuple};
use pyo3::exceptions::{PyAssertionError, PyAttributeError, PyNotImplementedError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple, PyType};
use smallvec::SmallVec;
use std::sync::{Arc, OnceLock};

/// An operator: what it computes and how it is differentiated.
///
/// Subclass TensorOp (or TensorTupleOp), and define `compute(self, *arrays)` on NumPy
/// arrays and `gradient(self, out_grad, node)` on tensors.
#[pyclass(name = "Op", module = "needle", subclass, frozen)]
pub struct PyOp {
    /// The op of the table and its attributes, for the classes made from it.
    native: OnceLock<(&'static OpDef, Attrs)>,
}

/// An operator with one tensor as its result.
#[pyclass(name = "TensorOp", module = "needle", extends = PyOp, subclass, frozen)]
pub struct PyTensorOp;

/// An operator with a TensorTuple as its result.
#[pyclass(name = "TensorTupleOp", module = "needle", extends = PyOp, subclass, frozen)]
pub struct PyTensorTupleOp;

/// The attributes from the arguments of a native class, `None` for a class of the user's. That
/// class takes arguments if it says which: by an `__init__` or `__new__`, or by its native base.
fn construct(
    cls: &Bound<'_, PyType>,
    args: &Bound<'_, PyTuple>,
    kwargs: Option<&Bound<'_, PyDict>>,
) -> PyResult<PyOp> {
    let native = OnceLock::new();
    if let Some(op) = classes::exact_op(cls) {
        let _ = native.set((op, arguments::from_constructor(op, args, kwargs)?));
    } else if classes::inherited_op(cls).is_none()
        && !classes::has_own_constructor(cls)?
        && (!args.is_empty() || kwargs.is_some_and(|kwargs| !kwargs.is_empty()))
    {
        let name = cls.name()?.to_string_lossy().into_owned();
        let count = args.len() + kwargs.map_or(0, PyDictMethods::len);
        return Err(PyTypeError::new_err(format!(
            "{name}: the class takes no arguments, got {count}\nhint: make an op object first, then apply it: {name}()(x)"
        )));
    }
    Ok(PyOp { native })
}

/// A native op object.
pub fn to_object<'py>(py: Python<'py>, operation: &Operation) -> PyResult<Bound<'py, PyAny>> {
    match operation {
        Operation::Native(op, attrs) => {
            let object = classes::class_of(py, op)?.call_method1(
                "__new__",
                (
                    classes::class_of(py, op)?,
                    arguments::Prepared::wrap(py, attrs.clone())?,
                ),
            )?;
            Ok(object)
        }
        Operation::Foreign(op) => match op.as_any().downcast_ref::<PythonOp>() {
            Some(op) => Ok(op.object(py)),
            None => Err(PyTypeError::new_err("the op belongs to another program")),
        },
    }
}

/// What an op object stands for in the graph.
fn operation(object: &Bound<'_, PyAny>) -> PyResult<Operation> {
    let Ok(op) = object.cast::<PyOp>() else {
        return Err(PyTypeError::new_err(format!(
            "expected an Op, got {}",
            type_name(object)
        )));
    };
    if classes::exact_op(&object.get_type()).is_some()
        && let Some((op, attrs)) = op.get().native.get()
    {
        return Ok(Operation::Native(op, attrs.clone()));
    }
    let is_tuple = object.is_instance_of::<PyTensorTupleOp>();
    Ok(Operation::Foreign(Arc::new(PythonOp::new(
        object, is_tuple,
    ))))
}

/// Applies an op object to operands.
pub fn apply_object(object: &Bound<'_, PyAny>, args: &[Bound<'_, PyAny>]) -> PyResult<Tensor> {
    match operation(object)? {
        Operation::Native(op, attrs) => apply_native(op, attrs, args),
        Operation::Foreign(op) => {
            let inputs = coerce::inputs(args)?;
            let handles: SmallVec<[&Tensor; 4]> =
                inputs.iter().map(Input::tensor).collect::<PyResult<_>>()?;
            graph::apply_foreign(op, &handles).or_raise()
        }
    }
}

/// Applies an op of the table to operands; one that takes many accepts them in a list,
/// tuple or TensorTuple.
pub fn apply_native(
    op: &'static OpDef,
    attrs: Attrs,
    args: &[Bound<'_, PyAny>],
) -> PyResult<Tensor> {
    let unpacked: Vec<Bound<'_, PyAny>>;
    let args = match (&op.inputs, args) {
        (Inputs::Many(_), [one]) if is_sequence(one) => {
            unpacked = user_code::collect(one)?;
            &unpacked[..]
        }
        _ => args,
    };
    check_count(op, args.len())?;
    afford(op.name, args.len()).or_raise()?;
    let inputs = coerce::inputs(args)?;
    if std::ptr::eq(op, &raw const tuple::TUPLE_GET_ITEM)
        && !matches!(inputs[0].tensor()?.types().or_raise()?, Types::Many(_))
    {
        return Err(PyAssertionError::new_err(
            "tuple_get_item: expected a TensorTuple",
        ));
    }
    let handles: SmallVec<[&Tensor; 4]> =
        inputs.iter().map(Input::tensor).collect::<PyResult<_>>()?;
    graph::apply(op, attrs, &handles).or_raise()
}

/// Refuses another number of operands than the op has.
fn check_count(op: &OpDef, count: usize) -> PyResult<()> {
    op.check_count(count)
        .map_err(|error| PyTypeError::new_err(error.to_string()))
}

fn is_sequence(object: &Bound<'_, PyAny>) -> bool {
    object.is_instance_of::<PyList>()
        || object.is_instance_of::<PyTuple>()
        || object.is_instance_of::<PyTensorTuple>()
}

fn abstract_method(slf: &Bound<'_, PyOp>, method: &str) -> PyErr {
    let name = type_name(slf.as_any());
    let parameters = match method {
        "compute" => "*arrays",
        _ => "out_grad, node",
    };
    PyNotImplementedError::new_err(format!(
        "{name}: {method} is not defined\nhint: define {method}(self, {parameters}) in the class"
    ))
}

#[pymethods]
impl PyOp {
    #[new]
    #[classmethod]
    #[pyo3(signature = (*args, **kwargs), text_signature = "(*args, **kwargs)")]
    fn new(
        cls: &Bound<'_, PyType>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        construct(cls, args, kwargs)
    }

    #[pyo3(signature = (*args, **kwargs))]
    fn __init__(
        slf: &Bound<'_, Self>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        // A user's subclass of a native class: the attributes come when (and if) it calls
        // this constructor.
        let cls = slf.get_type();
        if classes::exact_op(&cls).is_none()
            && let Some(op) = classes::inherited_op(&cls)
        {
            let _ = slf
                .get()
                .native
                .set((op, arguments::from_constructor(op, args, kwargs)?));
        }
        Ok(())
    }

    /// Applies the operator. Raises NotImplementedError where a subclass does not say how.
    #[pyo3(signature = (*args, **kwargs))]
    fn __call__<'py>(
        slf: &Bound<'py, Self>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if !(slf.as_any().is_instance_of::<PyTensorOp>()
            || slf.as_any().is_instance_of::<PyTensorTupleOp>())
        {
            return Err(PyNotImplementedError::new_err("Op.__call__ is abstract"));
        }
        if let Some((op, attrs)) = slf.get().native.get()
            && std::ptr::eq(*op, &raw const tuple::TUPLE_GET_ITEM)
            && args.len() == 1
        {
            return crate::tuple::project(slf.py(), attrs.int(0), &args.get_item(0)?, kwargs);
        }
        if kwargs.is_some_and(|kwargs| !kwargs.is_empty()) {
            return Err(PyTypeError::new_err(format!(
                "{0}: an op object takes no keyword arguments\nhint: they go to the class, as in {0}(...)(x)",
                type_name(slf)
            )));
        }
        let args: Vec<_> = args.iter().collect();
        finish(slf.py(), apply_object(slf.as_any(), &args)?)
    }

    /// The values of the result from those of the operands, as NumPy arrays.
    #[pyo3(signature = (*args))]
    fn compute<'py>(
        slf: &Bound<'py, Self>,
        args: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let Some((op, attrs)) = slf.get().native.get() else {
            return Err(abstract_method(slf, "compute"));
        };
        let py = slf.py();
        check_count(op, args.len())?;
        let inputs = args
            .iter()
            .map(|arg| Ok(Tensor::leaf(coerce::copy(&arg, None)?, false)))
            .collect::<PyResult<Vec<_>>>()?;
        let result =
            graph::apply(op, attrs.clone(), &inputs.iter().collect::<Vec<_>>()).or_raise()?;
        let value = result.value().or_raise()?;
        let arrays = value
            .arrays()
            .iter()
            .map(|array| Ok(buffer::to_numpy(py, array, Access::Alias)?.into_any()))
            .collect::<PyResult<Vec<_>>>()?;
        match result.types().or_raise()? {
            Types::Many(_) => Ok(PyTuple::new(py, arrays)?.into_any()),
            _ => Ok(arrays[0].clone()),
        }
    }

    /// The adjoint of each input of `node`, a result of this op, from `out_grad`, the adjoint
    /// of that result (a TensorTuple where it is one).
    ///
    /// It is a tensor where there is one input, else a tuple with a tensor for each, or `None`
    /// where nothing flows. It has the shape of its input, or one that broadcasting the input to
    /// the output gives: then it is summed over the axes that were stretched. Computed with
    /// tensors, from `node.inputs` and from `node` itself, it can be differentiated again.
    ///
    /// Subclasses define it: raises NotImplementedError where they do not. A sweep raises
    /// ShapeError for a gradient of any other shape. Needle's own ops raise GradError for a node
    /// that they did not make.
    fn gradient<'py>(
        slf: &Bound<'py, Self>,
        out_grad: &Bound<'py, PyAny>,
        node: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let Some((op, attrs)) = slf.get().native.get() else {
            return Err(abstract_method(slf, "gradient"));
        };
        let all = native_gradient(op, attrs, out_grad, node)?;
        if all.len() == 1 {
            all.get_item(0)
        } else {
            Ok(all.into_any())
        }
    }

    /// `gradient` as a tuple, whatever form it has, each tensor in the shape of its input.
    fn gradient_as_tuple<'py>(
        slf: &Bound<'py, Self>,
        out_grad: &Bound<'py, PyAny>,
        node: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let args = (out_grad, node).into_pyobject(slf.py())?;
        if let Operation::Foreign(op) = operation(slf.as_any())?
            && let Some(op) = op.as_any().downcast_ref::<PythonOp>()
            && let Ok(value) = node.cast::<PyValue>()
            && let node = value.get().tensor()?
            && !node.is_leaf()
        {
            check_adjoints(&type_name(slf), out_grad, node)?;
            return op.fit(op.call(slf.py(), "gradient", &args)?, node);
        }
        let result = user_code::call_method(slf.as_any(), "gradient", &args)?;
        if let Ok(tuple) = result.cast::<PyTuple>() {
            return Ok(tuple.clone());
        }
        if let Ok(list) = result.cast::<PyList>() {
            return Ok(list.to_tuple());
        }
        PyTuple::new(slf.py(), [result])
    }

    fn __getattr__<'py>(slf: &Bound<'py, Self>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        if let Some((op, attrs)) = slf.get().native.get()
            && let Some(i) = op.params.iter().position(|param| param.name == name)
        {
            return arguments::to_object(slf.py(), &attrs.all()[i]);
        }
        Err(PyAttributeError::new_err(format!(
            "'{}' object has no attribute '{name}'",
            type_name(slf)
        )))
    }

    fn __eq__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> bool {
        if slf.as_any().is(other) {
            return true;
        }
        let Ok(other) = other.cast::<Self>() else {
            return false;
        };
        match (slf.get().native.get(), other.get().native.get()) {
            (Some((a, x)), Some((b, y))) => {
                std::ptr::eq(*a, *b) && x == y && slf.get_type().is(other.get_type())
            }
            _ => false,
        }
    }

    fn __hash__(slf: &Bound<'_, Self>) -> isize {
        match slf.get().native.get() {
            // Equal ops have equal classes.
            Some((op, _)) => (std::ptr::from_ref::<OpDef>(op) as isize) >> 4,
            None => (slf.as_ptr() as isize) >> 4,
        }
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let name = type_name(slf);
        let Some((op, attrs)) = slf.get().native.get() else {
            return Ok(format!("<{name} op>"));
        };
        let parts = op
            .params
            .iter()
            .zip(attrs.all())
            .map(|(param, attr)| {
                let value = arguments::to_object(slf.py(), attr)?;
                Ok(format!(
                    "{}={}",
                    param.name,
                    value.repr()?.to_string_lossy()
                ))
            })
            .collect::<PyResult<Vec<_>>>()?;
        Ok(format!("{name}({})", parts.join(", ")))
    }
}

macro_rules! constructor {
    ($class:ty) => {
        #[pymethods]
        impl $class {
            #[new]
            #[classmethod]
            #[pyo3(signature = (*args, **kwargs), text_signature = "(*args, **kwargs)")]
            fn new(
                cls: &Bound<'_, PyType>,
                args: &Bound<'_, PyTuple>,
                kwargs: Option<&Bound<'_, PyDict>>,
            ) -> PyResult<PyClassInitializer<Self>> {
                Ok(PyClassInitializer::from(construct(cls, args, kwargs)?).add_subclass(Self {}))
            }
        }
    };
}

constructor!(PyTensorOp);
constructor!(PyTensorTupleOp);
