//! Elementwise functions as data, for ops that are nothing else.

use super::{Binary, Slope, Unary};
use crate::array::Array;
use crate::dtype::{DType, Scalar};
use crate::error::Result;
use crate::kernels::copy::cast;
use std::borrow::Cow;

/// A function of the elements of one operand or of two, which broadcast together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Function {
    /// Of one.
    Unary(Unary),
    /// Of two.
    Binary(Binary),
    /// Of one, with a number on the right.
    Scalar(Binary, Scalar),
    /// An adjoint, times the derivative at the second operand.
    Slope(Slope),
}

impl Function {
    /// The values, computed in `dtype`.
    #[inline]
    pub fn run(self, x: &[&Array], dtype: DType) -> Result<Array> {
        let of = |i: usize| -> Result<Cow<'_, Array>> {
            if x[i].dtype() == dtype {
                return Ok(Cow::Borrowed(x[i]));
            }
            cast(x[i], dtype).map(Cow::Owned)
        };
        let a = of(0)?;
        match self {
            Self::Unary(op) => super::unary(op, &a),
            Self::Binary(op) => super::binary(op, &a, &*of(1)?),
            Self::Scalar(op, number) => super::binary_scalar(op, &a, number),
            Self::Slope(op) => super::slope(op, &a, &*of(1)?),
        }
    }
}
