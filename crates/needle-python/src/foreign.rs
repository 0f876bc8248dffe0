//! Ops written in Python, as the core sees them.

use crate::buffer::{self, Access};
use crate::coerce;
use crate::errors::{GradError, OrRaise, carried};
use crate::tuple::PyTensorTuple;
use crate::user_code::{self, shown, type_name};
use crate::value::{PyValue, wrap};
use needle_core::graph::{ForeignOp, Types, Value};
use needle_core::shape::TensorType;
use needle_core::{Array, Error, Tensor};
use numpy::PyUntypedArray;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use std::any::Any;

/// An op object of the user's.
pub struct PythonOp {
    object: Py<PyAny>,
    /// The name of its class: asked for where no Python may run.
    name: String,
    is_tuple: bool,
}

impl PythonOp {
    /// The op of a Python object.
    pub fn new(object: &Bound<'_, PyAny>, is_tuple: bool) -> Self {
        Self {
            object: object.clone().unbind(),
            name: type_name(object),
            is_tuple,
        }
    }

    /// The Python object.
    pub fn object<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.object.bind(py).clone()
    }

    fn call<'py>(
        &self,
        py: Python<'py>,
        method: &str,
        args: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        user_code::call_method(self.object.bind(py), method, args)
    }

    fn compute(&self, py: Python<'_>, inputs: &[Value]) -> PyResult<Value> {
        let arrays = inputs
            .iter()
            .map(|value| match value {
                Value::One(array) => Ok(buffer::to_numpy(py, array, Access::ReadOnly)?.into_any()),
                Value::Many(arrays) => {
                    let arrays = arrays
                        .iter()
                        .map(|array| buffer::to_numpy(py, array, Access::ReadOnly))
                        .collect::<PyResult<Vec<Bound<'_, PyUntypedArray>>>>()?;
                    Ok(PyTuple::new(py, arrays)?.into_any())
                }
            })
            .collect::<PyResult<Vec<_>>>()?;
        let result = self.call(py, "compute", &PyTuple::new(py, arrays)?)?;
        if !self.is_tuple {
            return Ok(Value::One(self.adopt(py, result)?));
        }
        let items = user_code::collect(&result)?;
        drop(result);
        let arrays = items
            .into_iter()
            .map(|item| self.adopt(py, item))
            .collect::<PyResult<Vec<Array>>>()?;
        Ok(Value::Many(arrays.into()))
    }

    /// A result of `compute` as an array; an error about its type names the op.
    fn adopt(&self, py: Python<'_>, result: Bound<'_, PyAny>) -> PyResult<Array> {
        if result.is_none() {
            return Err(PyTypeError::new_err(format!(
                "{}: compute returned None, expected an array",
                self.name
            )));
        }
        if let Ok(value) = result.cast::<PyValue>() {
            return value.get().tensor()?.array().or_raise();
        }
        buffer::adopt(result).map_err(|error| {
            if !error.is_instance_of::<PyTypeError>(py) {
                return error;
            }
            let text = match shown(error.value(py)) {
                Ok(text) => format!("{}: compute: {text}", self.name),
                Err(raised) => return raised,
            };
            match error.get_type(py).call1((text,)) {
                Ok(named) => PyErr::from_value(named),
                Err(_) => error,
            }
        })
    }

    fn gradient(
        &self,
        py: Python<'_>,
        adjoints: Vec<Option<Tensor>>,
        node: Tensor,
    ) -> PyResult<Vec<Option<Tensor>>> {
        let out_grad = if self.is_tuple {
            self.tuple_of(py, adjoints, &node)?
        } else {
            match adjoints.into_iter().flatten().next() {
                Some(adjoint) => wrap(py, adjoint)?,
                None => return Ok(vec![None; node.inputs().len()]),
            }
        };
        let node = wrap(py, node)?;
        let args = (out_grad, &node).into_pyobject(py)?;
        let result = self.call(py, "gradient", &args)?;
        let items = if result.is_instance_of::<PyTuple>() || result.is_instance_of::<PyList>() {
            user_code::collect(&result)?
        } else {
            vec![result]
        };
        let expected = node.getattr("inputs")?.len()?;
        if items.len() != expected {
            return Err(GradError::new_err(format!(
                "{}: gradient returned {} for {}",
                self.name,
                crate::arguments::count(items.len(), "value"),
                crate::arguments::count(expected, "input")
            )));
        }
        items
            .iter()
            .map(|item| {
                if item.is_none() {
                    return Ok(None);
                }
                Ok(Some(coerce::input(item, None)?.tensor()?.clone()))
            })
            .collect()
    }

    /// The adjoints of a tuple as a TensorTuple, zeros where none came.
    fn tuple_of<'py>(
        &self,
        py: Python<'py>,
        adjoints: Vec<Option<Tensor>>,
        node: &Tensor,
    ) -> PyResult<Bound<'py, PyAny>> {
        let Types::Many(types) = node.types().or_raise()? else {
            return Err(PyTypeError::new_err(format!(
                "{}: expected a tuple",
                self.name
            )));
        };
        let items = adjoints
            .into_iter()
            .zip(types.iter())
            .map(|(adjoint, ty)| match adjoint {
                Some(adjoint) => Ok(adjoint),
                None => Ok(Tensor::leaf(
                    Array::zeros(ty.dtype, &ty.shape).or_raise()?,
                    false,
                )),
            })
            .collect::<PyResult<Vec<_>>>()?;
        Ok(PyTensorTuple::of(py, &items.iter().collect::<Vec<_>>())?.into_any())
    }

    /// The op's own `infer(*(shape, dtype)) -> (shape, dtype)`, if it has one.
    fn infer_type(&self, py: Python<'_>, inputs: &[TensorType]) -> PyResult<Option<TensorType>> {
        let op = self.object.bind(py);
        if !op.hasattr("infer")? {
            return Ok(None);
        }
        let types = inputs
            .iter()
            .map(|ty| {
                let shape = PyTuple::new(py, &ty.shape)?;
                Ok((shape, crate::dtype::to_numpy(py, ty.dtype)?)
                    .into_pyobject(py)?
                    .into_any())
            })
            .collect::<PyResult<Vec<_>>>()?;
        let result = self.call(py, "infer", &PyTuple::new(py, types)?)?;
        let (shape, dtype): (Bound<'_, PyAny>, Bound<'_, PyAny>) = result.extract()?;
        let shape = user_code::collect(&shape)?;
        Ok(Some(TensorType {
            shape: shape
                .iter()
                .map(PyAnyMethods::extract::<usize>)
                .collect::<PyResult<_>>()?,
            dtype: crate::dtype::extract(&dtype)?,
        }))
    }
}

impl ForeignOp for PythonOp {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn is_tuple(&self) -> bool {
        self.is_tuple
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Option<TensorType>, Error> {
        if self.is_tuple {
            return Ok(None);
        }
        Python::attach(|py| self.infer_type(py, inputs)).map_err(carried)
    }

    fn forward(&self, inputs: &[Value]) -> Result<Value, Error> {
        Python::attach(|py| self.compute(py, inputs)).map_err(carried)
    }

    fn vjp(
        &self,
        adjoints: Vec<Option<Tensor>>,
        node: Tensor,
    ) -> Result<Vec<Option<Tensor>>, Error> {
        Python::attach(|py| self.gradient(py, adjoints, node)).map_err(carried)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
