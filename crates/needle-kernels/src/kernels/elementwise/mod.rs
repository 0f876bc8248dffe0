//! Elementwise kernels: unary, binary with broadcasting, comparisons and selection.
//!
//! [`loops`] has the loops, generic over a function of single elements; [`functions`] names
//! these functions as types; this file picks one pair for an op and a dtype.

mod function;
mod functions;
pub mod fused;
mod loops;
mod select;

use super::copy;
use super::number::{Float, Number};
use crate::array::Array;
use crate::dispatch;
use crate::dtype::{DType, Element, Scalar};
use crate::error::{Error, Result};
pub use function::Function;
use functions as f;
use loops::{Map, Zip};
pub use select::select;

/// Functions of one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unary {
    /// `-x`.
    Negate,
    /// Magnitude.
    Abs,
    /// -1, 0 or 1; NaN for NaN.
    Sign,
    /// Square root.
    Sqrt,
    /// Exponential.
    Exp,
    /// Natural logarithm.
    Log,
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + exp(-x))`, without overflow.
    Sigmoid,
    /// `log(1 + exp(x))`, without overflow.
    Softplus,
    /// Error function.
    Erf,
    /// `x` times the normal distribution function; 0 at -infinity.
    Gelu,
    /// `x` times its sigmoid; 0 at -infinity.
    Silu,
    /// Sine.
    Sin,
    /// Cosine.
    Cos,
    /// 0 where `x <= 0`, else `x`; NaN for NaN.
    Relu,
}

/// Functions of two elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// Sum; or for bool.
    Add,
    /// Difference.
    Subtract,
    /// Product; and for bool.
    Multiply,
    /// Quotient of floats.
    Divide,
    /// Power.
    Power,
    /// The larger; NaN if either is.
    Maximum,
    /// The smaller; NaN if either is.
    Minimum,
    /// The product of the chain rule: 0 where either factor is exactly 0.
    Chain,
    /// `a` where `b` is above 0, else 0: an adjoint behind a rectifier of `b`.
    ReluGradient,
    /// `a` where it is above 0, else `a b`; NaN for NaN.
    LeakyRelu,
}

/// Derivatives of functions of floats, which [`slope`] multiplies by an adjoint. Each is
/// taken at the value `y` of the function or at its argument `x`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slope {
    /// `1 - y^2`.
    Tanh,
    /// `y (1 - y)`.
    Sigmoid,
    /// Normal distribution function plus `x` times the density.
    Gelu,
    /// `s (1 + x (1 - s))` with the sigmoid `s` of `x`.
    Silu,
}

/// Comparisons; all but `NotEqual` are false for NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// `==`.
    Equal,
    /// `!=`.
    NotEqual,
    /// `<`.
    Less,
    /// `<=`.
    LessEqual,
    /// `>`.
    Greater,
    /// `>=`.
    GreaterEqual,
}

/// `op` of each element.
pub fn unary(op: Unary, x: &Array) -> Result<Array> {
    match op {
        Unary::Negate => dispatch!(numeric: x.dtype(), T => loops::map::<T, f::Negate>(x),
            else Err(Error::undefined("negate", x.dtype()))),
        Unary::Abs => dispatch!(x.dtype(), T => loops::map::<T, f::Abs>(x)),
        Unary::Sign => dispatch!(x.dtype(), T => loops::map::<T, f::Sign>(x)),
        Unary::Relu => dispatch!(x.dtype(), T => loops::map::<T, f::Relu>(x)),
        _ => dispatch!(float: x.dtype(), T => unary_float::<T>(op, x),
            else Err(Error::undefined("function of floats", x.dtype()))),
    }
}

/// Calls `$call(F, ..)` with the function type `F` of a unary op of floats.
macro_rules! pick_unary {
    ($op:expr, $call:path, $($arg:expr),*) => {
        match $op {
            Unary::Negate => $call(f::Negate, $($arg),*),
            Unary::Abs => $call(f::Abs, $($arg),*),
            Unary::Sign => $call(f::Sign, $($arg),*),
            Unary::Sqrt => $call(f::Sqrt, $($arg),*),
            Unary::Exp => $call(f::Exp, $($arg),*),
            Unary::Log => $call(f::Log, $($arg),*),
            Unary::Tanh => $call(f::Tanh, $($arg),*),
            Unary::Sigmoid => $call(f::Sigmoid, $($arg),*),
            Unary::Softplus => $call(f::Softplus, $($arg),*),
            Unary::Erf => $call(f::Erf, $($arg),*),
            Unary::Gelu => $call(f::Gelu, $($arg),*),
            Unary::Silu => $call(f::Silu, $($arg),*),
            Unary::Sin => $call(f::Sin, $($arg),*),
            Unary::Cos => $call(f::Cos, $($arg),*),
            Unary::Relu => $call(f::Relu, $($arg),*),
        }
    };
}
use pick_unary;

fn unary_float<T: Float>(op: Unary, x: &Array) -> Result<Array>
where
    f::Exp: Map<T>,
{
    pick_unary!(op, map::<T, _>, x)
}

fn map<T: Element, F: Map<T>>(_: F, x: &Array) -> Result<Array> {
    loops::map::<T, F>(x)
}

fn check(op: Binary, dtype: DType) -> Result<()> {
    match op {
        Binary::Divide if !dtype.is_float() => Err(Error::undefined("divide", dtype)),
        Binary::Subtract if dtype == DType::Bool => Err(Error::undefined("subtract", dtype)),
        _ => Ok(()),
    }
}

/// Calls `$call(F, ..)` with the function type `F` of a binary op.
macro_rules! pick_binary {
    ($op:expr, $call:path, $($arg:expr),*) => {
        match $op {
            Binary::Add => $call(f::Add, $($arg),*),
            Binary::Subtract => $call(f::Subtract, $($arg),*),
            Binary::Multiply => $call(f::Multiply, $($arg),*),
            Binary::Divide => $call(f::Divide, $($arg),*),
            Binary::Power => $call(f::Power, $($arg),*),
            Binary::Maximum => $call(f::Maximum, $($arg),*),
            Binary::Minimum => $call(f::Minimum, $($arg),*),
            Binary::Chain => $call(f::Chain, $($arg),*),
            Binary::ReluGradient => $call(f::ReluGradient, $($arg),*),
            Binary::LeakyRelu => $call(f::LeakyRelu, $($arg),*),
        }
    };
}
use pick_binary;

/// `op` of each pair of elements, broadcast together.
pub fn binary(op: Binary, a: &Array, b: &Array) -> Result<Array> {
    check(op, a.dtype())?;
    dispatch!(a.dtype(), T => binary_of::<T>(op, a, b))
}

fn binary_of<T: Number>(op: Binary, a: &Array, b: &Array) -> Result<Array> {
    pick_binary!(op, zip::<T, T, _>, a, b)
}

fn zip<T: Element, O: Element, F: Zip<T, O>>(_: F, a: &Array, b: &Array) -> Result<Array> {
    loops::zip::<T, O, F>(a, b)
}

/// Calls `$call(F, ..)` with the type `F` of an adjoint times a derivative.
macro_rules! pick_slope {
    ($op:expr, $call:path, $($arg:expr),*) => {
        match $op {
            Slope::Tanh => $call(f::TanhSlope, $($arg),*),
            Slope::Sigmoid => $call(f::SigmoidSlope, $($arg),*),
            Slope::Gelu => $call(f::GeluSlope, $($arg),*),
            Slope::Silu => $call(f::SiluSlope, $($arg),*),
        }
    };
}
use pick_slope;

/// The chain product of each adjoint and the derivative at `x`, broadcast together.
pub fn slope(op: Slope, g: &Array, x: &Array) -> Result<Array> {
    dispatch!(float: x.dtype(), T => pick_slope!(op, zip::<T, T, _>, g, x),
        else Err(Error::undefined("derivative of a function of floats", x.dtype())))
}

/// `op` of each element and one number, which takes the array's dtype.
pub fn binary_scalar(op: Binary, a: &Array, b: Scalar) -> Result<Array> {
    check(op, a.dtype())?;
    if op == Binary::Power && a.dtype().is_float() {
        dispatch!(float: a.dtype(), T => {
            if let Some(result) = power::<T>(a, b.to_f64()) {
                return result;
            }
        }, else {});
    }
    dispatch!(a.dtype(), T => binary_scalar_of::<T>(op, a, T::from_scalar(b)))
}

/// Calls `$call(F, ..)` for a power that needs no logarithm, if it is one; none is less accurate
/// than `powf`.
macro_rules! pick_power {
    ($exponent:expr, $call:path, $($arg:expr),*) => {
        match $exponent {
            0.5 => Some($call(f::Root, $($arg),*)),
            1.0 => Some($call(f::Same, $($arg),*)),
            2.0 => Some($call(f::Square, $($arg),*)),
            3.0 => Some($call(f::Cube, $($arg),*)),
            -1.0 => Some($call(f::Reciprocal, $($arg),*)),
            _ => None,
        }
    };
}
use pick_power;

fn power<T: Float>(x: &Array, exponent: f64) -> Option<Result<Array>> {
    if exponent == 0.0 {
        return Some(copy::full(x.dtype(), x.shape(), Scalar::Int(1)));
    }
    pick_power!(exponent, map::<T, _>, x)
}

fn binary_scalar_of<T: Number>(op: Binary, a: &Array, b: T) -> Result<Array> {
    pick_binary!(op, zip_right::<T, T, _>, a, b)
}

fn zip_right<T: Element, O: Element, F: Zip<T, O>>(_: F, a: &Array, b: T) -> Result<Array> {
    loops::zip_scalar::<T, O, F, false>(a, b)
}

/// `op` of one number, which takes the array's dtype, and each element.
pub fn scalar_binary(op: Binary, a: Scalar, b: &Array) -> Result<Array> {
    check(op, b.dtype())?;
    dispatch!(b.dtype(), T => scalar_binary_of::<T>(op, T::from_scalar(a), b))
}

fn scalar_binary_of<T: Number>(op: Binary, a: T, b: &Array) -> Result<Array> {
    pick_binary!(op, zip_left::<T, T, _>, b, a)
}

fn zip_left<T: Element, O: Element, F: Zip<T, O>>(_: F, b: &Array, a: T) -> Result<Array> {
    loops::zip_scalar::<T, O, F, true>(b, a)
}

macro_rules! pick_compare {
    ($op:expr, $call:path, $($arg:expr),*) => {
        match $op {
            Compare::Equal => $call(f::Equal, $($arg),*),
            Compare::NotEqual => $call(f::NotEqual, $($arg),*),
            Compare::Less => $call(f::Less, $($arg),*),
            Compare::LessEqual => $call(f::LessEqual, $($arg),*),
            Compare::Greater => $call(f::Greater, $($arg),*),
            Compare::GreaterEqual => $call(f::GreaterEqual, $($arg),*),
        }
    };
}

/// Truth of a comparison for each pair of elements, broadcast together.
pub fn compare(op: Compare, a: &Array, b: &Array) -> Result<Array> {
    dispatch!(a.dtype(), T => pick_compare!(op, zip::<T, _, _>, a, b))
}

/// Truth of a comparison of each element with one number, which takes the array's dtype.
pub fn compare_scalar(op: Compare, a: &Array, b: Scalar) -> Result<Array> {
    dispatch!(a.dtype(), T => {
        let b = <T as Number>::from_scalar(b);
        pick_compare!(op, zip_right::<T, _, _>, a, b)
    })
}
