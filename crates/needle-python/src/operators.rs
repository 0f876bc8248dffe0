//! The operators of `Tensor`, and what makes it behave as a number or a sequence.

use crate::buffer::Access;
use crate::coerce::{self, Operand};
use crate::errors::OrRaise;
use crate::index;
use crate::numpy_protocols::announce;
use crate::tensor::{self, PyTensor, handle};
use crate::user_code;
use crate::value::{PyValue, wrap};
use needle_core::dtype::{Kind, Scalar};
use needle_core::graph;
use needle_core::ops::{
    Attr, Attrs, Constant, OpDef, arithmetic, comparison, indexing, linalg, power, shaping,
};
use needle_core::{DType, Tensor};
use pyo3::basic::CompareOp;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

type Object<'py> = Bound<'py, PyAny>;

fn done(py: Python<'_>, result: needle_core::Result<Tensor>) -> PyResult<Object<'_>> {
    Ok(PyTensor::create(py, result.or_raise()?)?.into_any())
}

fn not_implemented(py: Python<'_>) -> Object<'_> {
    py.NotImplemented().into_bound(py)
}

/// What stands on the other side of an operator.
enum Other<'a, 'py> {
    Tensor(&'a Tensor),
    Number(Constant),
    Array(Tensor),
    /// Not ours: Python tries the other side, and then says TypeError.
    Unknown(std::marker::PhantomData<&'py ()>),
}

#[inline]
fn other<'a, 'py>(object: &'a Object<'py>) -> PyResult<Other<'a, 'py>> {
    if let Ok(tensor) = object.cast_exact::<PyTensor>() {
        return Ok(Other::Tensor(handle(tensor)?));
    }
    Ok(match coerce::classify(object)? {
        Operand::Tensor(value) if value.cast::<PyTensor>().is_ok() => {
            Other::Tensor(value.get().tensor()?)
        }
        Operand::Number(constant) => Other::Number(constant),
        Operand::ArrayLike => Other::Array(Tensor::leaf(coerce::copy(object, None)?, false)),
        Operand::Tensor(_) | Operand::Other => Other::Unknown(std::marker::PhantomData),
    })
}

/// `slf op other` by the op for tensors or the one for scalars.
fn binary<'py>(
    slf: &Bound<'py, PyTensor>,
    object: &Object<'py>,
    elementwise: &'static OpDef,
    scalar: &'static OpDef,
) -> PyResult<Object<'py>> {
    let py = slf.py();
    let own = handle(slf)?;
    match other(object)? {
        Other::Tensor(other) => tensor::apply(py, elementwise, Attrs::none(), &[own, other]),
        Other::Number(constant) => tensor::apply(py, scalar, Attrs::scalar(constant), &[own]),
        Other::Array(array) => tensor::apply(py, elementwise, Attrs::none(), &[own, &array]),
        Other::Unknown(_) => Ok(not_implemented(py)),
    }
}

/// The other side as a tensor, a plain number in a dtype that suits `own`.
fn operand(object: &Object<'_>, own: &Tensor) -> PyResult<Option<Tensor>> {
    Ok(match other(object)? {
        Other::Tensor(other) => Some(other.clone()),
        Other::Number(constant) => Some(coerce::constant(constant, Some(tensor::dtype_of(own)?))?),
        Other::Array(array) => Some(array),
        Other::Unknown(_) => None,
    })
}

/// `object op slf`, with a number or an array on the left.
fn reflected<'py>(
    slf: &Bound<'py, PyTensor>,
    object: &Object<'py>,
    run: impl FnOnce(&Tensor, &Tensor) -> needle_core::Result<Tensor>,
) -> PyResult<Object<'py>> {
    match operand(object, handle(slf)?)? {
        Some(left) => done(slf.py(), run(&left, handle(slf)?)),
        None => Ok(not_implemented(slf.py())),
    }
}

fn apply2(op: &'static OpDef) -> impl FnOnce(&Tensor, &Tensor) -> needle_core::Result<Tensor> {
    move |a, b| graph::apply(op, Attrs::none(), &[a, b])
}

/// The constant with its sign changed, if a sum with that is the same as a difference.
fn negated(constant: Constant, dtype: DType) -> Option<Constant> {
    if matches!(dtype.kind(), Kind::Bool | Kind::Unsigned) {
        return None;
    }
    if constant
        .dtype
        .is_some_and(|d| matches!(d.kind(), Kind::Bool | Kind::Unsigned))
    {
        return None;
    }
    let value = match constant.value {
        Scalar::Float(value) => Scalar::Float(-value),
        Scalar::Huge(value) => Scalar::Huge(-value),
        Scalar::Int(value) => Scalar::Int(value.checked_neg()?),
        Scalar::UInt(_) => return None,
        Scalar::Bool(value) => Scalar::Int(-i64::from(value)),
    };
    Some(Constant {
        value,
        dtype: constant.dtype,
    })
}

type Method = for<'py> fn(&Bound<'py, PyTensor>, &Object<'py>) -> PyResult<Object<'py>>;

/// An op that an operator stands for: its methods with the tensor on the left, and on the right.
macro_rules! operator {
    ($op:expr, $forward:ident, $reflected:ident $(, $modulo:expr)?) => {
        (&$op, [
            (stringify!($forward), |slf, other| PyTensor::$forward(slf, other $(, $modulo)?)),
            (stringify!($reflected), |slf, other| PyTensor::$reflected(slf, other $(, $modulo)?)),
        ])
    };
}

static OPERATORS: [(&OpDef, [(&str, Method); 2]); 6] = [
    operator!(arithmetic::ADD, __add__, __radd__),
    operator!(arithmetic::MULTIPLY, __mul__, __rmul__),
    operator!(arithmetic::SUBTRACT, __sub__, __rsub__),
    operator!(arithmetic::DIVIDE, __truediv__, __rtruediv__),
    operator!(linalg::MATMUL, __matmul__, __rmatmul__),
    operator!(power::POWER, __pow__, __rpow__, None),
];

/// The op by the operator that stands for it, of the tensor among the two; `None` where none does.
pub fn by_operator<'py>(
    op: &OpDef,
    left: &Object<'py>,
    right: &Object<'py>,
) -> Option<PyResult<Object<'py>>> {
    let (_, methods) = OPERATORS.iter().find(|row| std::ptr::eq(row.0, op))?;
    let (tensor, other, (name, method)) = match left.cast::<PyTensor>() {
        Ok(tensor) => (tensor, right, methods[0]),
        Err(_) => (right.cast::<PyTensor>().ok()?, left, methods[1]),
    };
    if tensor.as_any().is_exact_instance_of::<PyTensor>() {
        return Some(method(tensor, other));
    }
    // A subclass may have an operator of its own.
    let args = PyTuple::new(other.py(), [other]);
    Some(args.and_then(|args| user_code::call_method(tensor, name, &args)))
}

/// The comparison that says the same as one with an integer beyond all finite numbers of the dtype:
/// with an infinity, which is yet further, or with NaN, which nothing equals. `None` for another
/// number.
fn beyond(op: CompareOp, constant: Constant, dtype: DType) -> Option<(CompareOp, Constant)> {
    let Scalar::Huge(value) = constant.value else {
        return None;
    };
    let is_beyond = match dtype {
        DType::F64 => value.is_infinite(),
        DType::F32 => (value as f32).is_infinite(),
        _ => true,
    };
    let (op, end) = match op {
        CompareOp::Eq | CompareOp::Ne => (op, f64::NAN),
        CompareOp::Lt | CompareOp::Le if value > 0.0 => (CompareOp::Lt, f64::INFINITY),
        CompareOp::Lt | CompareOp::Le => (CompareOp::Le, f64::NEG_INFINITY),
        CompareOp::Gt | CompareOp::Ge if value > 0.0 => (CompareOp::Ge, f64::INFINITY),
        CompareOp::Gt | CompareOp::Ge => (CompareOp::Gt, f64::NEG_INFINITY),
    };
    is_beyond.then(|| (op, Constant::float(end)))
}

fn single<'py>(slf: &Bound<'py, PyTensor>) -> PyResult<Object<'py>> {
    let array = tensor::view(slf.py(), handle(slf)?, Access::ReadOnly)?;
    array.call_method0("item")
}

#[pymethods]
impl PyTensor {
    fn __add__<'py>(slf: &Bound<'py, Self>, other: &Object<'py>) -> PyResult<Object<'py>> {
        binary(slf, other, &arithmetic::ADD, &arithmetic::ADD_SCALAR)
    }

    fn __radd__<'py>(slf: &Bound<'py, Self>, other: &Object<'py>) -> PyResult<Object<'py>> {
        binary(slf, other, &arithmetic::ADD, &arithmetic::ADD_SCALAR)
    }

    fn __mul__<'py>(slf: &Bound<'py, Self>, other: &Object<'py>) -> PyResult<Object<'py>> {
        binary(slf, other, &arithmetic::MULTIPLY, &arithmetic::MUL_SCALAR)
    }

    fn __rmul__<'py>(slf: &Bound<'py, Self>, other: &Object<'py>) -> PyResult<Object<'py>> {
        binary(slf, other, &arithmetic::MULTIPLY, &arithmetic::MUL_SCALAR)
    }

    fn __sub__<'py>(slf: &Bound<'py, Self>, object: &Object<'py>) -> PyResult<Object<'py>> {
        let own = handle(slf)?;
        let py = slf.py();
        match other(object)? {
            Other::Tensor(other) => done(py, graph::subtract(own, other)),
            Other::Number(constant) => {
                let dtype = tensor::dtype_of(own)?;
                if let Some(constant) = negated(constant, dtype) {
                    let attrs = Attrs::scalar(constant);
                    return tensor::apply(py, &arithmetic::ADD_SCALAR, attrs, &[own]);
                }
                let other = coerce::constant(constant, Some(dtype))?;
                done(py, graph::subtract(own, &other))
            }
            Other::Array(array) => done(py, graph::subtract(own, &array)),
            Other::Unknown(_) => Ok(not_implemented(py)),
        }
    }

    fn __rsub__<'py>(slf: &Bound<'py, Self>, object: &Object<'py>) -> PyResult<Object<'py>> {
        let (py, own) = (slf.py(), handle(slf)?);
        // Of floats, no tensor is needed for the number.
        if tensor::dtype_of(own)?.is_float()
            && let Other::Number(constant) = other(object)?
        {
            return done(py, graph::subtract_from(constant, own));
        }
        reflected(slf, object, graph::subtract)
    }

    fn __truediv__<'py>(slf: &Bound<'py, Self>, other: &Object<'py>) -> PyResult<Object<'py>> {
        binary(slf, other, &arithmetic::DIVIDE, &arithmetic::DIVIDE_SCALAR)
    }

    fn __rtruediv__<'py>(slf: &Bound<'py, Self>, other: &Object<'py>) -> PyResult<Object<'py>> {
        reflected(slf, other, apply2(&arithmetic::DIVIDE))
    }

    fn __pow__<'py>(
        slf: &Bound<'py, Self>,
        other: &Object<'py>,
        modulo: Option<&Object<'py>>,
    ) -> PyResult<Object<'py>> {
        if modulo.is_some() {
            return Err(PyTypeError::new_err(
                "pow: a third argument is not supported",
            ));
        }
        binary(slf, other, &power::POWER, &power::POWER_SCALAR)
    }

    fn __rpow__<'py>(
        slf: &Bound<'py, Self>,
        other: &Object<'py>,
        modulo: Option<&Object<'py>>,
    ) -> PyResult<Object<'py>> {
        let _ = modulo;
        reflected(slf, other, apply2(&power::POWER))
    }

    fn __matmul__<'py>(slf: &Bound<'py, Self>, object: &Object<'py>) -> PyResult<Object<'py>> {
        let py = slf.py();
        match other(object)? {
            Other::Tensor(other) => {
                tensor::apply(py, &linalg::MATMUL, Attrs::none(), &[handle(slf)?, other])
            }
            Other::Array(array) => {
                tensor::apply(py, &linalg::MATMUL, Attrs::none(), &[handle(slf)?, &array])
            }
            _ => Ok(not_implemented(py)),
        }
    }

    fn __rmatmul__<'py>(slf: &Bound<'py, Self>, object: &Object<'py>) -> PyResult<Object<'py>> {
        match other(object)? {
            Other::Array(array) => tensor::apply(
                slf.py(),
                &linalg::MATMUL,
                Attrs::none(),
                &[&array, handle(slf)?],
            ),
            _ => Ok(not_implemented(slf.py())),
        }
    }

    fn __neg__<'py>(slf: &Bound<'py, Self>) -> PyResult<Object<'py>> {
        tensor::apply(
            slf.py(),
            &arithmetic::NEGATE,
            Attrs::none(),
            &[handle(slf)?],
        )
    }

    fn __pos__<'py>(slf: &Bound<'py, Self>) -> Object<'py> {
        slf.clone().into_any()
    }

    fn __abs__<'py>(slf: &Bound<'py, Self>) -> PyResult<Object<'py>> {
        let op = &needle_core::ops::elementary::ABS;
        tensor::apply(slf.py(), op, Attrs::none(), &[handle(slf)?])
    }

    fn __richcmp__<'py>(
        slf: &Bound<'py, Self>,
        object: &Object<'py>,
        mut op: CompareOp,
    ) -> PyResult<Object<'py>> {
        let own = handle(slf)?;
        let other = match other(object)? {
            // Any number can be compared, whether or not the dtype holds it.
            Other::Number(mut constant) => {
                let dtype = tensor::dtype_of(own)?;
                if let Some(same) = beyond(op, constant, dtype) {
                    (op, constant) = same;
                }
                Some(
                    coerce::constant(constant, Some(dtype))
                        .or_else(|_| coerce::constant(constant, None))?,
                )
            }
            _ => operand(object, own)?,
        };
        let op = match op {
            CompareOp::Eq => &comparison::EQUAL,
            CompareOp::Ne => &comparison::NOT_EQUAL,
            CompareOp::Lt => &comparison::LESS,
            CompareOp::Le => &comparison::LESS_EQUAL,
            CompareOp::Gt => &comparison::GREATER,
            CompareOp::Ge => &comparison::GREATER_EQUAL,
        };
        match other {
            Some(other) => tensor::apply(slf.py(), op, Attrs::none(), &[own, &other]),
            None => Ok(not_implemented(slf.py())),
        }
    }

    fn __hash__(slf: &Bound<'_, Self>) -> isize {
        PyValue::address_hash(slf.as_super())
    }

    /// All dimensions reversed; of a matrix, its transpose.
    #[getter(T)]
    fn transposed<'py>(slf: &Bound<'py, Self>) -> PyResult<Object<'py>> {
        let ndim = handle(slf)?.ty().or_raise()?.shape.len();
        if ndim < 2 {
            return Ok(slf.clone().into_any());
        }
        let (op, attr) = if ndim == 2 {
            (&shaping::TRANSPOSE, Attr::None)
        } else {
            (
                &shaping::PERMUTE,
                Attr::Ints((0..ndim as isize).rev().collect()),
            )
        };
        tensor::apply(slf.py(), op, Attrs::one(attr), &[handle(slf)?])
    }

    fn __getitem__<'py>(slf: &Bound<'py, Self>, key: &Object<'py>) -> PyResult<Object<'py>> {
        let own = handle(slf)?;
        let entries = index::parse(key, &own.ty().or_raise()?.shape)?;
        let attrs = Attrs::one(Attr::Index(entries.into()));
        tensor::apply(slf.py(), &indexing::GETITEM, attrs, &[own])
    }

    fn __len__(slf: &Bound<'_, Self>) -> PyResult<usize> {
        match handle(slf)?.ty().or_raise()?.shape.first() {
            Some(&n) => Ok(n),
            None => Err(PyTypeError::new_err(
                "len() of unsized object: the tensor is 0-d",
            )),
        }
    }

    fn __iter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Object<'py>> {
        if handle(slf)?.ty().or_raise()?.shape.is_empty() {
            return Err(PyTypeError::new_err("iteration over a 0-d tensor"));
        }
        // SAFETY: the GIL is held and the object lives; the iterator takes a reference of its own.
        // The call gives a new reference, or null and an exception.
        unsafe { Bound::from_owned_ptr_or_err(slf.py(), pyo3::ffi::PySeqIter_New(slf.as_ptr())) }
    }

    fn __contains__(slf: &Bound<'_, Self>, item: &Object<'_>) -> PyResult<bool> {
        tensor::view(slf.py(), handle(slf)?, Access::ReadOnly)?
            .into_any()
            .contains(item)
    }

    fn __bool__(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let size: usize = handle(slf)?.ty().or_raise()?.shape.iter().product();
        if size != 1 {
            return Err(PyValueError::new_err(format!(
                "the truth value of a tensor with {size} elements is ambiguous\nhint: choose by element with needle.where(c, a, b); write (0 < x) * (x < 3) for `0 < x < 3`, (x > 0).min() for all of them, `x is None` for None"
            )));
        }
        single(slf)?.is_truthy()
    }

    /// The only element as a Python number. Raises ValueError for any other size.
    fn item<'py>(slf: &Bound<'py, Self>) -> PyResult<Object<'py>> {
        single(slf)
    }

    /// The elements as nested lists of Python numbers.
    fn tolist<'py>(slf: &Bound<'py, Self>) -> PyResult<Object<'py>> {
        tensor::view(slf.py(), handle(slf)?, Access::ReadOnly)?.call_method0("tolist")
    }

    fn __float__(slf: &Bound<'_, Self>) -> PyResult<f64> {
        let value = single(slf)?.call_method0("__float__")?.extract()?;
        announce(slf)?;
        Ok(value)
    }

    fn __int__<'py>(slf: &Bound<'py, Self>) -> PyResult<Object<'py>> {
        single(slf)?.call_method0("__int__")
    }
}

/// The result of an op as the object that suits it.
pub fn finish(py: Python<'_>, tensor: Tensor) -> PyResult<Object<'_>> {
    wrap(py, tensor)
}
