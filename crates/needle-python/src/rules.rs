//! The rules of native ops as methods that users call: `op.gradient(out_grad, node)`.

use crate::coerce;
use crate::errors::OrRaise;
use crate::tuple::PyTensorTuple;
use crate::value::{PyValue, wrap};
use needle_core::graph::{self, Operation, Types};
use needle_core::ops::{Attrs, OpDef, tuple};
use needle_core::{Tensor, ops};
use pyo3::exceptions::{PyAssertionError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// A gradient object as adjoints of the outputs of `node`.
fn adjoints(out_grad: &Bound<'_, PyAny>, node: &Tensor) -> PyResult<Vec<Option<Tensor>>> {
    let input = coerce::input(out_grad, None)?;
    let given = input.tensor()?;
    if let Types::Many(types) = node.types().or_raise()? {
        let n = crate::tuple::length(given)?;
        if n != types.len() {
            return Err(PyAssertionError::new_err(format!(
                "gradient: expected {} adjoints, got {n}",
                types.len()
            )));
        }
        return (0..n as isize)
            .map(|i| {
                let attrs = Attrs::one(ops::Attr::Int(i));
                graph::apply(&tuple::TUPLE_GET_ITEM, attrs, &[given])
                    .or_raise()
                    .map(Some)
            })
            .collect();
    }
    Ok(vec![Some(given.clone())])
}

/// Refuses a gradient object whose tensors have other shapes than the results of `node`.
pub fn check_adjoints(op: &str, out_grad: &Bound<'_, PyAny>, node: &Tensor) -> PyResult<()> {
    graph::check_adjoints(op, &adjoints(out_grad, node)?, node).or_raise()
}

/// The gradients of a native op's node by all its inputs.
pub fn native_gradient<'py>(
    op: &'static OpDef,
    attrs: &Attrs,
    out_grad: &Bound<'py, PyAny>,
    node: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyTuple>> {
    let py = node.py();
    let tensor = node.cast::<PyValue>()?.get().tensor()?;
    let adjoints = adjoints(out_grad, tensor)?;
    if std::ptr::eq(op, &raw const tuple::TUPLE_GET_ITEM) {
        graph::check_adjoints(op.name, &adjoints, tensor).or_raise()?;
        return tuple_item_gradient(attrs.int(0), &adjoints, tensor, py);
    }
    let operation = Operation::Native(op, attrs.clone());
    let gradients = graph::vjp_at(&operation, &adjoints, tensor).or_raise()?;
    let objects = gradients
        .into_iter()
        .map(|gradient| match gradient {
            Some(gradient) => wrap(py, gradient),
            None => Ok(py.None().into_bound(py)),
        })
        .collect::<PyResult<Vec<_>>>()?;
    PyTuple::new(py, objects)
}

/// The gradient of a projection: the adjoint in its place, zeros elsewhere.
fn tuple_item_gradient<'py>(
    index: isize,
    adjoints: &[Option<Tensor>],
    node: &Tensor,
    py: Python<'py>,
) -> PyResult<Bound<'py, PyTuple>> {
    let Some(input) = node.inputs().into_iter().next() else {
        return Err(PyTypeError::new_err(
            "tuple_get_item: the node has no inputs",
        ));
    };
    let Types::Many(types) = input.types().or_raise()? else {
        return Err(PyAssertionError::new_err(
            "tuple_get_item: expected a TensorTuple",
        ));
    };
    let items = types
        .iter()
        .enumerate()
        .map(|(i, ty)| match adjoints.first().and_then(Option::as_ref) {
            Some(adjoint) if i as isize == index => Ok(adjoint.clone()),
            _ => Ok(Tensor::leaf(
                needle_core::Array::zeros(ty.dtype, &ty.shape).or_raise()?,
                false,
            )),
        })
        .collect::<PyResult<Vec<_>>>()?;
    let tuple = PyTensorTuple::of(py, &items.iter().collect::<Vec<_>>())?;
    PyTuple::new(py, [tuple])
}
