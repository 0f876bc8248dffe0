//! `Value`: the base class of everything that can stand in a graph.
//!
//! It holds the core's handle and the gradient. The gradient is kept here, with the Python
//! object, and never in the graph: a leaf's gradient graph contains the leaf, so anything
//! else would be a cycle.

use crate::cell::Once;
use crate::coerce;
use crate::errors::OrRaise;
use crate::op;
use crate::tensor::PyTensor;
use crate::tuple::PyTensorTuple;
use crate::user_code;
use needle_core::Tensor;
use parking_lot::Mutex;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple, PyType};
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicIsize, Ordering};

/// Live objects of this class, for `TENSOR_COUNTER`.
pub static OBJECTS: AtomicIsize = AtomicIsize::new(0);

/// Counts objects; the GIL is held, so load and store are enough.
#[inline]
fn count_objects(change: isize) {
    OBJECTS.store(OBJECTS.load(Ordering::Relaxed) + change, Ordering::Relaxed);
}

/// A value in a graph: a tensor or a tuple of tensors.
#[pyclass(name = "Value", module = "needle", subclass, frozen, weakref)]
pub struct PyValue {
    tensor: Once<Tensor>,
    grad: Mutex<Option<Py<PyAny>>>,
}

impl PyValue {
    /// An object without a value yet.
    pub fn empty() -> Self {
        count_objects(1);
        Self {
            tensor: Once::new(),
            grad: Mutex::new(None),
        }
    }

    /// An object on a handle.
    pub fn new(tensor: Tensor) -> Self {
        count_objects(1);
        Self {
            tensor: Once::full(tensor),
            grad: Mutex::new(None),
        }
    }

    /// The handle; an object that nobody filled has none.
    #[inline]
    pub fn tensor(&self) -> PyResult<&Tensor> {
        self.tensor.get().ok_or_else(|| {
            PyRuntimeError::new_err(
                "the object is empty: __init__ or _init has not run\nhint: call super().__init__(...) first",
            )
        })
    }

    /// Fills an object that was just made, with a handle that is bound to it already.
    #[inline]
    pub fn fill_bound(&self, py: Python<'_>, tensor: Tensor) {
        let _ = self.tensor.set(py, tensor);
    }

    /// Fills an empty object.
    pub fn fill(slf: &Bound<'_, Self>, tensor: Tensor) -> PyResult<()> {
        tensor.set_embedder(slf.as_ptr() as usize);
        slf.get().tensor.set(slf.py(), tensor).map_err(|_| {
            PyRuntimeError::new_err("the object already has a value: it is filled once")
        })
    }

    /// The hash: the address, without the low bits that are always 0.
    pub fn address_hash(slf: &Bound<'_, Self>) -> isize {
        (slf.as_ptr() as isize) >> 4
    }

    /// The gradient.
    pub fn grad(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.grad.lock().as_ref().map(|grad| grad.clone_ref(py))
    }

    /// Replaces the gradient.
    pub fn set_grad(&self, grad: Option<Py<PyAny>>) {
        let old = std::mem::replace(&mut *self.grad.lock(), grad);
        // Dropping may run other code of ours: not under the lock.
        drop(old);
    }
}

thread_local! {
    static DROPPING: Cell<bool> = const { Cell::new(false) };
    static DROPPED: RefCell<Vec<Py<PyAny>>> = const { RefCell::new(Vec::new()) };
}

/// Drops a gradient; one that hangs on it through `.grad` waits in a list, so that a chain
/// of any length needs no stack.
fn drop_iteratively(grad: Py<PyAny>) {
    if DROPPING.get() {
        DROPPED.with_borrow_mut(|list| list.push(grad));
        return;
    }
    DROPPING.set(true);
    drop(grad);
    while let Some(next) = DROPPED.with_borrow_mut(Vec::pop) {
        drop(next);
    }
    DROPPING.set(false);
}

impl Drop for PyValue {
    fn drop(&mut self) {
        // First of all: with the handle goes the node's pointer to this object, so that
        // nobody finds it any more.
        drop(self.tensor.take());
        count_objects(-1);
        if let Some(grad) = self.grad.get_mut().take() {
            drop_iteratively(grad);
        }
    }
}

/// The live object behind the word of a node.
///
/// # Safety
/// The word was read from a node or a handle under this hold of the GIL, and nothing of Python has
/// run since: an object clears it first thing when it is deallocated, but memory that is freed is
/// used again.
pub unsafe fn live_object(py: Python<'_>, word: usize) -> Option<Bound<'_, PyAny>> {
    let object = word as *mut pyo3::ffi::PyObject;
    // SAFETY: the caller's promise; `PyValue::drop` clears the word before memory is freed. A count
    // of 0 says that the object is on its way out: up to CPython 3.13, the trashcan leaves the
    // count alone.
    unsafe {
        if object.is_null() || pyo3::ffi::Py_REFCNT(object) == 0 {
            return None;
        }
        Some(Bound::from_borrowed_ptr(py, object))
    }
}

/// The Python object of a handle: the one that lives on its node, or a new plain one.
pub fn wrap(py: Python<'_>, tensor: Tensor) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: the word is read here, with the GIL, and nothing of Python runs in between.
    if let Some(object) = unsafe { live_object(py, tensor.embedder()) } {
        return Ok(object);
    }
    if tensor.is_tuple() {
        return Ok(PyTensorTuple::create(py, tensor)?.into_any());
    }
    Ok(PyTensor::create(py, tensor)?.into_any())
}

#[pymethods]
impl PyValue {
    #[new]
    #[pyo3(signature = (*args, **kwargs))]
    #[allow(unused_variables)]
    fn new_empty(args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self::empty()
    }

    /// Fills an empty object with the result of `op` on `inputs`, once.
    ///
    /// Raises RuntimeError for an object that has a value already.
    #[pyo3(signature = (op, inputs, *, num_outputs=1, cached_data=None, requires_grad=None))]
    fn _init(
        slf: &Bound<'_, Self>,
        op: Option<&Bound<'_, PyAny>>,
        inputs: &Bound<'_, PyAny>,
        num_outputs: usize,
        cached_data: Option<&Bound<'_, PyAny>>,
        requires_grad: Option<bool>,
    ) -> PyResult<()> {
        let _ = num_outputs;
        let tensor = match (op, cached_data) {
            (Some(op), _) => {
                let inputs = user_code::collect(inputs)?;
                op::apply_object(op, &inputs)?
            }
            (None, Some(data)) => {
                Tensor::leaf(coerce::share(data)?, requires_grad.unwrap_or(false))
            }
            (None, None) => {
                return Err(PyRuntimeError::new_err("_init: a leaf needs cached_data"));
            }
        };
        if let (Some(_), Some(flag)) = (op, requires_grad) {
            tensor.set_requires_grad(flag).or_raise()?;
        }
        Self::fill(slf, tensor)
    }

    /// A leaf on the memory of `data`, a tensor or a NumPy array; see `Tensor.make_const`.
    #[classmethod]
    #[pyo3(signature = (data, *, requires_grad=false))]
    fn make_const<'py>(
        cls: &Bound<'py, PyType>,
        data: &Bound<'py, PyAny>,
        requires_grad: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let _ = cls;
        let tensor = Tensor::leaf(coerce::share(data)?, requires_grad);
        Ok(PyTensor::create(data.py(), tensor)?.into_any())
    }

    /// The result of `op` on `inputs`.
    #[classmethod]
    fn make_from_op<'py>(
        cls: &Bound<'py, PyType>,
        op: &Bound<'py, PyAny>,
        inputs: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let inputs = user_code::collect(inputs)?;
        wrap(cls.py(), op::apply_object(op, &inputs)?)
    }

    /// The op that made this value, `None` for a leaf.
    #[getter]
    fn op<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.tensor()?.operation() {
            None => Ok(None),
            Some(operation) => op::to_object(py, &operation).map(Some),
        }
    }

    /// The values that the op was applied to, `[]` for a leaf.
    #[getter]
    fn inputs<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let inputs = self.tensor()?.inputs();
        let objects = inputs
            .into_iter()
            .map(|tensor| wrap(py, tensor))
            .collect::<PyResult<Vec<_>>>()?;
        PyList::new(py, objects)
    }

    /// Whether no op made this value.
    fn is_leaf(&self) -> PyResult<bool> {
        Ok(self.tensor()?.is_leaf())
    }

    /// How many tensors this value stands for.
    #[getter]
    fn num_outputs(&self) -> PyResult<usize> {
        self.tensor()?.outputs().or_raise()
    }

    /// Whether gradients flow to or through this value; assignable on a leaf.
    ///
    /// A result keeps the graph that it was made by. So `w -= lr * w.grad` is no step of a
    /// training: `w` becomes a result, and the graph of all steps before grows with it. Write
    /// `w.data = w - lr * w.grad`, or `w = (w - lr * w.grad).detach()`.
    #[getter]
    fn requires_grad(&self) -> PyResult<bool> {
        Ok(self.tensor()?.requires_grad())
    }

    #[setter]
    fn set_requires_grad(&self, requires_grad: bool) -> PyResult<()> {
        self.tensor()?.set_requires_grad(requires_grad).or_raise()
    }

    fn __hash__(slf: &Bound<'_, Self>) -> isize {
        Self::address_hash(slf)
    }
}
