//! `TensorTuple`: several tensors as one value of the graph.

use crate::errors::OrRaise;
use crate::tensor::PyTensor;
use crate::user_code::{self, type_name};
use crate::value::{PyValue, wrap};
use needle_core::Tensor;
use needle_core::graph::{self, Operation};
use needle_core::ops::{Attr, Attrs, arithmetic, tuple};
use pyo3::exceptions::{PyAssertionError, PyIndexError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

/// A tuple of tensors, as ops with several results give it.
#[pyclass(name = "TensorTuple", module = "needle", extends = PyValue, subclass, frozen)]
pub struct PyTensorTuple;

impl PyTensorTuple {
    /// A new object on a handle of a tuple.
    pub fn create(py: Python<'_>, tensor: Tensor) -> PyResult<Bound<'_, Self>> {
        let object = Bound::new(
            py,
            PyClassInitializer::from(PyValue::new(tensor)).add_subclass(Self),
        )?;
        object
            .as_super()
            .get()
            .tensor()?
            .set_embedder(object.as_ptr() as usize);
        Ok(object)
    }

    /// A tuple of the given tensors.
    pub fn of<'py>(py: Python<'py>, items: &[&Tensor]) -> PyResult<Bound<'py, Self>> {
        Self::create(
            py,
            graph::apply(&tuple::MAKE_TUPLE, Attrs::none(), items).or_raise()?,
        )
    }
}

/// How many tensors a tuple has.
pub fn length(tensor: &Tensor) -> PyResult<usize> {
    if !tensor.is_tuple() {
        return Err(PyAssertionError::new_err("expected a TensorTuple"));
    }
    tensor.outputs().or_raise()
}

/// Element `index`; of a tuple that `make_tuple` built, the very object if `fold`.
pub fn item<'py>(
    py: Python<'py>,
    tensor: &Tensor,
    index: isize,
    fold: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let n = length(tensor)?;
    let i = if index < 0 { index + n as isize } else { index };
    if i < 0 || i >= n as isize {
        return Err(PyIndexError::new_err(format!(
            "tuple_get_item: index {index} is out of range for a tuple of {n}"
        )));
    }
    if fold
        && let Some(Operation::Native(op, _)) = tensor.operation()
        && std::ptr::eq(op, &raw const tuple::MAKE_TUPLE)
        && let Some(input) = tensor.input(i as usize)
    {
        return wrap(py, input);
    }
    let attrs = Attrs::one(Attr::Int(i));
    let result = graph::apply(&tuple::TUPLE_GET_ITEM, attrs, &[tensor]).or_raise()?;
    Ok(PyTensor::create(py, result)?.into_any())
}

/// `TupleGetItem(index)(value, fold_const=True)`.
pub fn project<'py>(
    py: Python<'py>,
    index: isize,
    value: &Bound<'py, PyAny>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let mut fold = true;
    for (key, value) in kwargs.into_iter().flatten() {
        let key = key.cast_into::<PyString>()?;
        if key.to_str()? != "fold_const" {
            return Err(PyTypeError::new_err(format!(
                "tuple_get_item: unexpected keyword argument '{}'",
                key.to_string_lossy()
            )));
        }
        fold = user_code::truth(&value)?;
    }
    let Ok(tuple) = value.cast::<PyTensorTuple>() else {
        return Err(PyAssertionError::new_err(format!(
            "tuple_get_item: expected a TensorTuple, got {}",
            type_name(value)
        )));
    };
    item(py, tuple.as_super().get().tensor()?, index, fold)
}

fn own<'a>(slf: &'a Bound<'_, PyTensorTuple>) -> PyResult<&'a Tensor> {
    slf.as_super().get().tensor()
}

#[pymethods]
impl PyTensorTuple {
    #[new]
    #[pyo3(signature = (*args, **kwargs))]
    #[allow(unused_variables)]
    fn new_empty(
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyClassInitializer<Self> {
        PyClassInitializer::from(PyValue::empty()).add_subclass(Self)
    }

    fn __len__(slf: &Bound<'_, Self>) -> PyResult<usize> {
        length(own(slf)?)
    }

    fn __getitem__<'py>(slf: &Bound<'py, Self>, index: isize) -> PyResult<Bound<'py, PyAny>> {
        item(slf.py(), own(slf)?, index, true)
    }

    fn __iter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Ok(Self::tuple(slf)?.try_iter()?.into_any())
    }

    /// The tensors as a Python tuple.
    fn tuple<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let items = (0..length(own(slf)?)? as isize)
            .map(|i| item(slf.py(), own(slf)?, i, true))
            .collect::<PyResult<Vec<_>>>()?;
        PyTuple::new(slf.py(), items)
    }

    fn __add__<'py>(
        slf: &Bound<'py, Self>,
        other: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, Self>> {
        let Ok(other) = other.cast::<Self>() else {
            return Err(PyAssertionError::new_err(format!(
                "add: expected a TensorTuple, got {}",
                type_name(other)
            )));
        };
        let (n, m) = (length(own(slf)?)?, length(own(other)?)?);
        if n != m {
            return Err(PyAssertionError::new_err(format!(
                "add: tuples of {n} and {m} tensors"
            )));
        }
        let mut sums = Vec::with_capacity(n);
        for i in 0..n as isize {
            let a = item(slf.py(), own(slf)?, i, true)?;
            let b = item(slf.py(), own(other)?, i, true)?;
            let (a, b) = (a.cast::<PyValue>()?, b.cast::<PyValue>()?);
            let inputs = [a.get().tensor()?, b.get().tensor()?];
            sums.push(graph::apply(&arithmetic::ADD, Attrs::none(), &inputs).or_raise()?);
        }
        Self::of(slf.py(), &sums.iter().collect::<Vec<_>>())
    }

    fn __radd__<'py>(
        slf: &Bound<'py, Self>,
        other: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, Self>> {
        Self::__add__(slf, other)
    }

    /// A tuple of leaves on the same memory that do not require gradients.
    fn detach<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        Self::create(slf.py(), own(slf)?.detach().or_raise()?)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let items = Self::tuple(slf)?.repr()?;
        Ok(format!("needle.TensorTuple{}", items.to_string_lossy()))
    }

    fn __str__(slf: &Bound<'_, Self>) -> PyResult<String> {
        Self::__repr__(slf)
    }
}
