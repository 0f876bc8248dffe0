//! What users pass where a tensor is expected.

use crate::buffer;
use crate::errors::OrRaise;
use crate::value::PyValue;
use needle_core::dtype::Scalar;
use needle_core::graph::Types;
use needle_core::ops::Constant;
use needle_core::{Array, DType, Tensor};
use numpy::{PyArrayDescr, PyUntypedArray};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyByteArray, PyBytes, PyFloat, PyInt, PyList, PyRange, PyTuple, PyType};
use smallvec::SmallVec;

/// An operand, by what it is.
pub enum Operand<'a, 'py> {
    /// A tensor (or a tuple of them).
    Tensor(&'a Bound<'py, PyValue>),
    /// A number.
    Number(Constant),
    /// An array, list or tuple.
    ArrayLike,
    /// None of these: the caller lets Python try the other side.
    Other,
}

fn numpy_generic(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static GENERIC: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    GENERIC.import(py, "numpy", "generic")
}

fn float64(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static FLOAT64: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    FLOAT64.import(py, "numpy", "float64")
}

/// Sorts an operand, cheapest test first.
#[inline]
pub fn classify<'a, 'py>(object: &'a Bound<'py, PyAny>) -> PyResult<Operand<'a, 'py>> {
    if let Ok(value) = object.cast::<PyValue>() {
        return Ok(Operand::Tensor(value));
    }
    if object.is_exact_instance_of::<PyUntypedArray>() {
        return Ok(Operand::ArrayLike);
    }
    if let Some(constant) = number(object)? {
        return Ok(Operand::Number(constant));
    }
    if let Ok(array) = object.cast::<PyUntypedArray>() {
        refuse_matrix(array)?;
        return Ok(Operand::ArrayLike);
    }
    if object.cast::<PyList>().is_ok() || object.cast::<PyTuple>().is_ok() || is_array_like(object)?
    {
        return Ok(Operand::ArrayLike);
    }
    Ok(Operand::Other)
}

/// Refuses a `numpy.matrix` as an operand: its `*` is a product of matrices, ours is not.
fn refuse_matrix(array: &Bound<'_, PyUntypedArray>) -> PyResult<()> {
    static MATRIX: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    if array.is_instance(MATRIX.import(array.py(), "numpy", "matrix")?)? {
        return Err(PyTypeError::new_err(
            "a numpy.matrix multiplies otherwise than arrays and tensors do\nhint: pass numpy.asarray(matrix), and write @ for a product of matrices",
        ));
    }
    Ok(())
}

/// Whether an object offers its numbers by a protocol that `numpy.asarray` knows, and does not ask to
/// be left alone: a pandas Series, an `array.array`, a range.
fn is_array_like(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    let class = object.get_type();
    if let Some(protocol) = class.getattr_opt("__array_ufunc__")?
        && protocol.is_none()
    {
        return Ok(false);
    }
    for protocol in ["__array__", "__array_interface__", "__array_struct__"] {
        if class.hasattr(protocol)? {
            return Ok(true);
        }
    }
    if object.is_instance_of::<PyBytes>() || object.is_instance_of::<PyByteArray>() {
        return Ok(false);
    }
    // SAFETY: a live object; the call looks at its type alone.
    let has_buffer = unsafe { pyo3::ffi::PyObject_CheckBuffer(object.as_ptr()) } != 0;
    Ok(has_buffer || object.is_instance_of::<PyRange>())
}

/// A Python or NumPy number.
pub fn number(object: &Bound<'_, PyAny>) -> PyResult<Option<Constant>> {
    if object.is_exact_instance_of::<PyFloat>() {
        return Ok(Some(Constant::float(object.extract()?)));
    }
    if object.is_exact_instance_of::<PyInt>() {
        return integer(object).map(Some);
    }
    if object.is_instance_of::<PyBool>() {
        return Ok(Some(Constant {
            value: Scalar::Bool(object.extract()?),
            dtype: None,
        }));
    }
    if object.is_instance(numpy_generic(object.py())?)? {
        return typed(object).map(Some);
    }
    // Subclasses of float and int, such as IntEnum.
    if object.is_instance_of::<PyFloat>() {
        return Ok(Some(Constant::float(object.extract()?)));
    }
    if object.is_instance_of::<PyInt>() {
        return integer(object).map(Some);
    }
    Ok(None)
}

/// An integer; beyond 64 bits it is only good for float tensors and comparisons.
fn integer(object: &Bound<'_, PyAny>) -> PyResult<Constant> {
    if let Ok(value) = object.extract::<i64>() {
        return Ok(Constant::int(value));
    }
    if let Ok(value) = object.extract::<u64>() {
        return Ok(Constant {
            value: Scalar::UInt(value),
            dtype: None,
        });
    }
    let value = match object.extract::<f64>() {
        Ok(value) => value,
        Err(_) if object.lt(0)? => f64::NEG_INFINITY,
        Err(_) => f64::INFINITY,
    };
    Ok(Constant {
        value: Scalar::Huge(value),
        dtype: None,
    })
}

/// A NumPy scalar, which has a dtype of its own.
fn typed(object: &Bound<'_, PyAny>) -> PyResult<Constant> {
    // np.float64, the usual one, is one of Python's floats.
    if object.get_type().is(float64(object.py())?) {
        return Ok(Constant {
            value: Scalar::Float(object.extract()?),
            dtype: Some(DType::F64),
        });
    }
    let descr = object.getattr("dtype")?.cast_into::<PyArrayDescr>()?;
    let Some(dtype) = crate::dtype::from_descr(&descr) else {
        return Err(crate::dtype::unsupported(&descr));
    };
    let item = object.call_method0("item")?;
    let value = match dtype {
        DType::Bool => Scalar::Bool(item.extract()?),
        DType::F32 | DType::F64 => Scalar::Float(item.extract()?),
        _ => integer(&item)?.value,
    };
    Ok(Constant {
        value,
        dtype: Some(dtype),
    })
}

/// Refuses tensors inside of lists: converting would cut the graph silently.
fn refuse_nested(object: &Bound<'_, PyAny>) -> PyResult<()> {
    // NumPy has at most 64 dimensions; what is nested deeper (a list that contains itself,
    // say) is left to its own error.
    let mut stack = vec![(object.clone(), 0)];
    while let Some((object, depth)) = stack.pop() {
        if depth > 64 || !(object.is_instance_of::<PyList>() || object.is_instance_of::<PyTuple>())
        {
            continue;
        }
        for item in object.try_iter()? {
            let item = item?;
            if item.is_instance_of::<PyValue>() {
                return Err(PyTypeError::new_err(
                    "cannot make a tensor of a list of tensors: it would cut the graph\nhint: use needle.stack",
                ));
            }
            if item.is_instance_of::<PyList>() || item.is_instance_of::<PyTuple>() {
                stack.push((item, depth + 1));
            }
        }
    }
    Ok(())
}

/// A fresh array with the values of anything array-like.
pub fn copy(object: &Bound<'_, PyAny>, dtype: Option<DType>) -> PyResult<Array> {
    if object.is_none() {
        return Err(PyTypeError::new_err("expected numbers, got None"));
    }
    refuse_nested(object)?;
    buffer::copy_in(&buffer::asarray(object)?, dtype)
}

/// An array on the memory of a tensor or a NumPy array; anything else is converted.
pub fn share(object: &Bound<'_, PyAny>) -> PyResult<Array> {
    if let Ok(value) = object.cast::<PyValue>() {
        return value.get().tensor()?.array().or_raise();
    }
    refuse_nested(object)?;
    buffer::alias_in(&buffer::asarray(object)?)
}

/// An operand of an op: the user's own object, so that its identity enters the graph, or a
/// fresh constant.
pub enum Input<'py> {
    /// A tensor (or a tuple of them) of the user's.
    Object(Bound<'py, PyValue>),
    /// A constant made from a number or an array-like.
    Constant(Tensor),
}

impl Input<'_> {
    /// The handle.
    #[inline]
    pub fn tensor(&self) -> PyResult<&Tensor> {
        match self {
            Self::Object(value) => value.get().tensor(),
            Self::Constant(tensor) => Ok(tensor),
        }
    }
}

/// Anything as an operand; plain numbers take a dtype that suits `like`.
#[inline]
pub fn input<'py>(object: &Bound<'py, PyAny>, like: Option<DType>) -> PyResult<Input<'py>> {
    match classify(object)? {
        Operand::Tensor(value) => Ok(Input::Object(value.clone())),
        Operand::Number(number) => Ok(Input::Constant(constant(number, like)?)),
        Operand::ArrayLike | Operand::Other => {
            Ok(Input::Constant(Tensor::leaf(copy(object, None)?, false)))
        }
    }
}

/// A number as a tensor without dimensions.
pub fn constant(number: Constant, like: Option<DType>) -> PyResult<Tensor> {
    let dtype = match (number.dtype, like) {
        (Some(dtype), _) => dtype,
        (None, Some(like)) => number.promote("constant", like).or_raise()?,
        (None, None) => match number.value {
            Scalar::Bool(_) => DType::Bool,
            Scalar::Int(_) => DType::I64,
            Scalar::UInt(_) => DType::U64,
            Scalar::Float(_) | Scalar::Huge(_) => DType::F64,
        },
    };
    Ok(Tensor::leaf(
        Array::scalar(number.value, dtype).or_raise()?,
        false,
    ))
}

/// Several operands; plain numbers among them take a dtype that suits the first tensor.
pub fn inputs<'py>(objects: &[Bound<'py, PyAny>]) -> PyResult<SmallVec<[Input<'py>; 2]>> {
    let mut like = None;
    for object in objects {
        if let Ok(value) = object.cast::<PyValue>()
            && let Types::One(ty) = value.get().tensor()?.types().or_raise()?
        {
            like = Some(like.map_or(ty.dtype, |l: DType| l.promote(ty.dtype)));
        }
    }
    objects.iter().map(|object| input(object, like)).collect()
}
