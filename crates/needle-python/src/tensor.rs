//! `Tensor`: construction, data, and the attributes that are its own.

use crate::autograd;
use crate::buffer::{self, Access};
use crate::coerce;
use crate::dtype;
use crate::errors::{OrRaise, ShapeError};
use crate::exchange;
use crate::user_code::{self, shown, type_name};
use crate::value::PyValue;
use needle_core::graph::{self, Value};
use needle_core::ops::{Attrs, OpDef};
use needle_core::{DType, Tensor, shape};
use numpy::{PyArrayDescr, PyUntypedArray};
use pyo3::exceptions::{PyAssertionError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyTuple};

/// A multi-dimensional array that remembers how it was computed.
///
/// `array` is a number, a NumPy array or nested lists of numbers, which are copied, or a
/// tensor, of which the values alone are taken: the result is a leaf. Its dtype is kept, NumPy's for Python's numbers (float64, int64, bool), unless
/// `dtype` names another. `device` is `cpu()`, the only one there is. With `requires_grad`,
/// what is computed from the tensor is recorded, and `backward()` on it puts a gradient into
/// `.grad`.
///
/// Raises TypeError for what is not made of numbers, for lists of tensors (`needle.stack`
/// joins them) and for another device, DTypeError for a dtype that needle does not have,
/// ValueError for lists of unequal length.
#[pyclass(name = "Tensor", module = "needle", extends = PyValue, subclass, frozen)]
pub struct PyTensor;

impl PyTensor {
    /// A new plain object on a handle.
    #[inline]
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
}

/// The result of an op of the table with one output, as a new object.
#[inline]
pub fn apply<'py>(
    py: Python<'py>,
    op: &'static OpDef,
    attrs: Attrs,
    inputs: &[&Tensor],
) -> PyResult<Bound<'py, PyAny>> {
    let object = Bound::new(
        py,
        PyClassInitializer::from(PyValue::empty()).add_subclass(PyTensor),
    )?;
    let word = object.as_ptr() as usize;
    // A match, and no `?`: that would copy the handle once more on every op.
    match graph::apply_bound(op, attrs, inputs, word) {
        Ok(tensor) => {
            object.as_super().get().fill_bound(py, tensor);
            Ok(object.into_any())
        }
        Err(error) => Err(error).or_raise(),
    }
}

/// The handle of a tensor object.
#[inline]
pub fn handle<'a>(slf: &'a Bound<'_, PyTensor>) -> PyResult<&'a Tensor> {
    slf.as_super().get().tensor()
}

/// The device object that all tensors live on.
pub fn device(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static DEVICE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    DEVICE
        .get_or_try_init(py, || {
            Ok(py.import("needle.device")?.call_method0("cpu")?.unbind())
        })
        .map(|device| device.bind(py).clone())
}

fn check_device(device_: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
    let Some(given) = device_ else { return Ok(()) };
    if given.eq(device(given.py())?)? {
        return Ok(());
    }
    Err(PyTypeError::new_err(format!(
        "device: expected cpu(), got {}",
        shown(given)?
    )))
}

/// A NumPy view of the value.
pub fn view<'py>(
    py: Python<'py>,
    tensor: &Tensor,
    access: Access,
) -> PyResult<Bound<'py, PyUntypedArray>> {
    buffer::to_numpy(py, &tensor.array().or_raise()?, access)
}

#[pymethods]
impl PyTensor {
    #[new]
    #[pyo3(
        signature = (*args, **kwargs),
        text_signature = "(array, *, device=None, dtype=None, requires_grad=True)"
    )]
    #[allow(unused_variables)]
    fn new_empty(
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyClassInitializer<Self> {
        PyClassInitializer::from(PyValue::empty()).add_subclass(Self)
    }

    #[pyo3(signature = (array, *, device=None, dtype=None, requires_grad=true))]
    fn __init__(
        slf: &Bound<'_, Self>,
        array: &Bound<'_, PyAny>,
        device: Option<&Bound<'_, PyAny>>,
        dtype: Option<&Bound<'_, PyAny>>,
        requires_grad: bool,
    ) -> PyResult<()> {
        check_device(device)?;
        let dtype = dtype.map(dtype::extract).transpose()?;
        let data = match array.cast::<PyValue>() {
            Ok(value) => {
                let own = value.get().tensor()?.array().or_raise()?;
                needle_core::kernels::cast::cast(&own, dtype.unwrap_or(own.dtype())).or_raise()?
            }
            Err(_) => coerce::copy(array, dtype)?,
        };
        PyValue::fill(slf.as_super(), Tensor::leaf(data, requires_grad))
    }

    /// A leaf on the memory of `data`, a tensor or a NumPy array, without a copy: writes through
    /// the array are seen by the tensor. Anything else, and an array with negative strides,
    /// foreign byte order or misaligned elements, is copied.
    ///
    /// Raises TypeError for what is not made of numbers, DTypeError for a dtype that needle
    /// does not have.
    #[staticmethod]
    #[pyo3(signature = (data, requires_grad=false))]
    fn make_const<'py>(
        data: &Bound<'py, PyAny>,
        requires_grad: bool,
    ) -> PyResult<Bound<'py, Self>> {
        Self::create(data.py(), Tensor::leaf(coerce::share(data)?, requires_grad))
    }

    /// The result of `op` on `inputs`: a leaf if no input requires a gradient.
    #[staticmethod]
    fn make_from_op<'py>(
        op: &Bound<'py, PyAny>,
        inputs: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let inputs = user_code::collect(inputs)?;
        crate::value::wrap(op.py(), crate::op::apply_object(op, &inputs)?)
    }

    /// The gradient: `None` before the first backward, then a tensor of this shape.
    #[getter]
    fn grad(slf: &Bound<'_, Self>) -> Option<Py<PyAny>> {
        slf.as_super().get().grad(slf.py())
    }

    #[setter]
    fn set_grad(slf: &Bound<'_, Self>, grad: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let Some(grad) = grad else {
            slf.as_super().get().set_grad(None);
            return Ok(());
        };
        let Ok(value) = grad.cast::<Self>() else {
            return Err(PyTypeError::new_err(format!(
                "grad: expected None or a Tensor, got {}\nhint: write t.grad = needle.Tensor(value)",
                type_name(grad)
            )));
        };
        if value.is(slf) {
            return Err(PyValueError::new_err(
                "grad: a tensor cannot be its own gradient",
            ));
        }
        let (own, given) = (
            handle(slf)?.ty().or_raise()?,
            handle(value)?.ty().or_raise()?,
        );
        if own.shape != given.shape {
            return Err(ShapeError::new_err(format!(
                "grad: has shape {}, expected {}",
                shape::display(&given.shape),
                shape::display(&own.shape)
            )));
        }
        slf.as_super().get().set_grad(Some(grad.clone().unbind()));
        Ok(())
    }

    /// Computes the gradients of this tensor (the sum of its elements, or weighted by
    /// `out_grad`) by every tensor that it depends on and that is still held, and puts
    /// them into `.grad`, replacing what was there (adding to it with `accumulate=True`).
    ///
    /// Raises GradError for a tensor that does not require a gradient, ShapeError for an
    /// `out_grad` of another shape.
    #[pyo3(signature = (out_grad=None, *, accumulate=false))]
    fn backward(
        slf: &Bound<'_, Self>,
        out_grad: Option<&Bound<'_, PyAny>>,
        accumulate: bool,
    ) -> PyResult<()> {
        autograd::backward(slf, out_grad, accumulate)
    }

    /// A new leaf on the same memory that does not require a gradient.
    fn detach<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        Self::create(slf.py(), handle(slf)?.detach().or_raise()?)
    }

    /// The same as `detach()`; assigning a tensor of equal dtype puts its memory in the
    /// place of this one's, whatever its shape.
    #[getter]
    fn data<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        Self::detach(slf)
    }

    #[setter]
    fn set_data(slf: &Bound<'_, Self>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let Ok(value) = value.cast::<Self>() else {
            return Err(PyAssertionError::new_err(format!(
                "data: expected a Tensor, got {}\nhint: write t.data = needle.Tensor(value, dtype=t.dtype)",
                type_name(value)
            )));
        };
        let array = handle(value)?.array().or_raise()?;
        let own = handle(slf)?.ty().or_raise()?.dtype;
        if array.dtype() != own {
            return Err(PyAssertionError::new_err(format!(
                "data: dtypes differ: tensor has {own}, value has {}\nhint: write t.data = value.astype(t.dtype)",
                array.dtype()
            )));
        }
        handle(slf)?.set_value(Value::One(array));
        Ok(())
    }

    /// The values as a read-only NumPy array on this memory: no copy, at any size.
    pub fn numpy<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyUntypedArray>> {
        view(slf.py(), handle(slf)?, Access::ReadOnly)
    }

    /// The raw array: a writable NumPy alias of this memory. What is computed after a write
    /// sees it; what is held already does not.
    fn realize_cached_data<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyUntypedArray>> {
        view(slf.py(), handle(slf)?, Access::Alias)
    }

    /// The raw array, as `realize_cached_data()`; assigning an array replaces it.
    #[getter]
    fn cached_data<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyUntypedArray>> {
        Self::realize_cached_data(slf)
    }

    #[setter]
    fn set_cached_data(slf: &Bound<'_, Self>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let array = coerce::share(value)?;
        // Of a tuple it would be no value at all.
        handle(slf)?.ty().or_raise()?;
        handle(slf)?.set_value(Value::One(array));
        Ok(())
    }

    /// Lengths of the dimensions.
    #[getter]
    fn shape<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(slf.py(), handle(slf)?.ty().or_raise()?.shape)
    }

    /// The NumPy dtype.
    #[getter]
    fn dtype<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyArrayDescr>> {
        dtype::to_numpy(slf.py(), handle(slf)?.ty().or_raise()?.dtype)
    }

    /// Number of dimensions.
    #[getter]
    fn ndim(slf: &Bound<'_, Self>) -> PyResult<usize> {
        Ok(handle(slf)?.ty().or_raise()?.shape.len())
    }

    /// Number of elements.
    #[getter]
    fn size(slf: &Bound<'_, Self>) -> PyResult<usize> {
        Ok(handle(slf)?.ty().or_raise()?.shape.iter().product())
    }

    /// The device the tensor lives on.
    #[getter]
    fn device<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        device(slf.py())
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        // A debugger looks at everything: a value that was released and cannot be had
        // again must not raise here.
        if let Err(needle_core::Error::Grad(_)) = handle(slf)?.value() {
            let ty = handle(slf)?.ty().or_raise()?;
            let shape = shape::display(&ty.shape);
            return Ok(format!(
                "needle.Tensor(<released>, shape={shape}, dtype={})",
                ty.dtype
            ));
        }
        let values = Self::__str__(slf)?;
        Ok(format!("needle.Tensor({})", values.to_string_lossy()))
    }

    fn __format__<'py>(slf: &Bound<'py, Self>, spec: &str) -> PyResult<Bound<'py, PyAny>> {
        let array = Self::numpy(slf)?.into_any();
        let scalar = handle(slf)?.ty().or_raise()?.shape.is_empty();
        let shown = if scalar && !spec.is_empty() {
            array.call_method0("item")?
        } else {
            array
        };
        user_code::call_method(&shown, "__format__", &(spec,).into_pyobject(slf.py())?)
    }

    fn __str__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyString>> {
        user_code::text(Self::numpy(slf)?.as_any())
    }

    /// Pickle and copy, by value: a tensor with the same data, dtype and class and without a
    /// gradient. A leaf keeps its `requires_grad`; a gradient, and a result that requires none,
    /// comes back as a leaf that requires none.
    ///
    /// Raises RuntimeError for any other result of an op, whose history would be lost.
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        exchange::reduce(slf)
    }
}

/// The common dtype of tensors as plain numbers see them.
pub fn dtype_of(tensor: &Tensor) -> PyResult<DType> {
    Ok(tensor.ty().or_raise()?.dtype)
}
