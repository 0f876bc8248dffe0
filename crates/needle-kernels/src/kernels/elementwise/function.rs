//! Elementwise functions as data, for ops that are nothing else.

use super::{Binary, Slope, Unary};
use crate::array::Array;
use crate::dtype::{DType, Scalar};
use crate::error::Result;
use crate::kernels::copy::cast;
use smallvec::SmallVec;

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
    // Always: where the function is known, so is the kernel.
    #[inline(always)]
    pub fn run(self, x: &[&Array], dtype: DType) -> Result<Array> {
        if x.iter().any(|x| x.dtype() != dtype) {
            return self.run_cast(x, dtype);
        }
        match self {
            Self::Unary(op) => super::unary(op, x[0]),
            Self::Binary(op) => super::binary(op, x[0], x[1]),
            Self::Scalar(op, number) => super::binary_scalar(op, x[0], number),
            Self::Slope(op) => super::slope(op, x[0], x[1]),
        }
    }

    #[cold]
    fn run_cast(self, x: &[&Array], dtype: DType) -> Result<Array> {
        let cast = x.iter().map(|x| cast(x, dtype));
        let cast = cast.collect::<Result<SmallVec<[Array; 2]>>>()?;
        let refs: SmallVec<[&Array; 2]> = cast.iter().collect();
        self.run(&refs, dtype)
    }
}
