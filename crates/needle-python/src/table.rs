//! The op table as Python data: for tests, stubs and the reference pages.

use crate::errors::OrRaise;
use crate::tensor::PyTensor;
use needle_core::kernels::cast::cast;
use needle_core::ops::{self, Inputs, Sample};
use needle_core::{Array, Tensor, shape};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

/// One dict per op: name, class, names in NumPy, doc, inputs, params, whether it is differentiable and has
/// several results, and samples (attributes and input tensors, float64 or what their domain says).
#[pyfunction]
pub fn op_table(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    let rows = ops::ALL
        .iter()
        .map(|op| row(py, op))
        .collect::<PyResult<Vec<_>>>()?;
    PyList::new(py, rows)
}

/// The function and the class name of every op.
#[pyfunction]
pub fn op_names() -> Vec<&'static str> {
    ops::ALL.iter().flat_map(|op| [op.name, op.class]).collect()
}

fn row<'py>(py: Python<'py>, op: &'static ops::OpDef) -> PyResult<Bound<'py, PyDict>> {
    let row = PyDict::new(py);
    row.set_item("name", op.name)?;
    row.set_item("class", op.class)?;
    row.set_item("numpy", op.numpy)?;
    row.set_item("doc", op.doc)?;
    let (inputs, variadic) = match &op.inputs {
        Inputs::Named(names) => (names.to_vec(), false),
        Inputs::Many(name) => (vec![*name], true),
    };
    row.set_item("inputs", inputs)?;
    row.set_item("variadic", variadic)?;
    let params: Vec<(&str, String, Option<&str>)> = op
        .params
        .iter()
        .map(|param| (param.name, format!("{:?}", param.kind), param.default))
        .collect();
    row.set_item("params", params)?;
    row.set_item("differentiable", op.is_differentiable())?;
    row.set_item("is_tuple", op.has_many_outputs())?;
    let samples = op
        .samples
        .iter()
        .map(|s| sample(py, op, s))
        .collect::<PyResult<Vec<_>>>()?;
    row.set_item("samples", samples)?;
    Ok(row)
}

/// The op object of a sample, and its inputs.
fn sample<'py>(
    py: Python<'py>,
    op: &'static ops::OpDef,
    sample: &Sample,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyList>)> {
    let operation = needle_core::graph::Operation::Native(op, (sample.attrs)());
    let object = crate::op::to_object(py, &operation)?;
    let inputs = sample
        .inputs
        .iter()
        .enumerate()
        .map(|(i, (dims, domain))| {
            let n = shape::size(dims).unwrap_or(0);
            let values = domain.values(n, i as u64 + 1);
            let array = Array::from_slice(&values, dims)
                .and_then(|values| cast(&values, domain.dtype()))
                .or_raise()?;
            PyTensor::create(py, Tensor::leaf(array, domain.dtype().is_float()))
        })
        .collect::<PyResult<Vec<_>>>()?;
    Ok((object, PyList::new(py, inputs)?))
}
