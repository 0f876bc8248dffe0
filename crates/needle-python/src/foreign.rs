//! Ops written in Python, as the core sees them.

use crate::buffer::{self, Access};
use crate::errors::{OrRaise, carried};
use crate::op_protocol;
use crate::tuple::PyTensorTuple;
use crate::user_code::{self, type_name};
use crate::value::{PyValue, wrap};
use needle_core::graph::{self, ForeignOp, Types, Value};
use needle_core::shape::TensorType;
use needle_core::{Array, Error, Tensor};
use numpy::PyUntypedArray;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
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

    /// Calls a method of it.
    pub fn call<'py>(
        &self,
        py: Python<'py>,
        method: &str,
        args: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let op = self.object.bind(py);
        user_code::call_method(op, method, args)
            .map_err(|error| op_protocol::explained(op, method, args.len(), error))
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
        if self.is_tuple {
            return Ok(Value::Many(
                op_protocol::results(&self.name, result)?.into(),
            ));
        }
        Ok(Value::One(op_protocol::result(&self.name, result)?))
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
        op_protocol::tensors(self.object.bind(py), &op_protocol::items(result)?)
    }

    /// What `gradient` gave for a node, as tensors in the shapes of its inputs. Tensors of these types
    /// stay the objects that they are.
    pub fn fit<'py>(
        &self,
        given: Bound<'py, PyAny>,
        node: &Tensor,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let py = given.py();
        let items = op_protocol::items(given)?;
        let tensors = op_protocol::tensors(self.object.bind(py), &items)?;
        let fitted = graph::fit_gradients(self, node, tensors.clone()).or_raise()?;
        let objects = items.into_iter().zip(tensors).zip(fitted);
        let objects = objects.map(|((item, given), fitted)| match (given, fitted) {
            (Some(given), Some(fitted))
                if !item.is_instance_of::<PyValue>()
                    || given.types().or_raise()? != fitted.types().or_raise()? =>
            {
                wrap(py, fitted)
            }
            _ => Ok(item),
        });
        PyTuple::new(py, objects.collect::<PyResult<Vec<_>>>()?)
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
        op_protocol::inferred(&self.name, &result).map(Some)
    }
}

impl ForeignOp for PythonOp {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn input_name(&self, i: usize) -> Result<String, Error> {
        Python::attach(|py| op_protocol::input_name(self.object.bind(py), i)).map_err(carried)
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
