//! Exponential, logarithm, tanh, sigmoid, softplus, error function, powers, sine and cosine of
//! single elements, for both float widths, and the elementwise functions made of them.
//!
//! They are straight lines of arithmetic without branches or tables, so that a loop over
//! them vectorises as it stands, and an element has the same value in a vector, in a tail
//! and alone. Instruction sets with fused multiply-add round once where others round twice:
//! between `scalar` and the wider ones the last bits may differ. How far values may be from the
//! right ones stands in `docs/accuracy.md`, a row for each function, and is tested from there.

// Coefficients stand as they were published.
#![allow(clippy::unreadable_literal, clippy::excessive_precision)]

mod erf;
mod exp;
mod log;
mod power;
mod softplus;
mod trigonometry;

use super::number::Float;
use super::simd::Simd;

// The functions that rows of the op table name.
pub use {erf::*, exp::*, log::*, power::*, softplus::*, trigonometry::*};

/// Functions on one float width.
macro_rules! width {
    ($T:ident) => {
        pub(crate) mod $T {
            pub(crate) use super::{
                erf::$T::*, exp::$T::*, log::$T::*, power::$T::*, softplus::$T::*,
                trigonometry::$T::*,
            };

            /// `a * b + c`, fused where that is one instruction.
            #[inline(always)]
            pub(super) fn fma<S: super::Simd>(a: $T, b: $T, c: $T) -> $T {
                if S::FMA { a.mul_add(b, c) } else { a * b + c }
            }

            /// The chain product of `g` and a derivative in two factors of at most 2: 0 where `g`
            /// or the derivative is 0. A derivative below the normal numbers has lost digits, which
            /// a large `g` must not make many.
            #[inline(always)]
            pub(super) fn chain_factors(g: $T, (u, v): ($T, $T)) -> $T {
                let slope = u * v;
                let is_tiny = slope < $T::MIN_POSITIVE;
                let first = if is_tiny { u } else { slope };
                let second = if is_tiny { v } else { 1.0 };
                let product = g * first * second;
                if (g == 0.0) | (slope == 0.0) {
                    0.0
                } else {
                    product
                }
            }

            /// The polynomial with these coefficients, the constant term first, by Horner.
            #[inline(always)]
            pub(super) fn polynomial<S: super::Simd, const N: usize>(x: $T, c: [$T; N]) -> $T {
                let mut value = c[N - 1];
                let mut i = N - 1;
                while i > 0 {
                    i -= 1;
                    value = fma::<S>(value, x, c[i]);
                }
                value
            }
        }
    };
}

width!(f32);
width!(f64);

/// The functions that other kernels than elementwise ones are made of.
pub(super) trait Elementary: Float {
    fn exp<S: Simd>(self) -> Self;
    fn log<S: Simd>(self) -> Self;
    fn log1p<S: Simd>(self) -> Self;
}

macro_rules! elementary {
    ($($T:ident)*) => {$(
        impl Elementary for ::core::primitive::$T {
            #[inline(always)]
            fn exp<S: Simd>(self) -> Self { $T::exp::<S>(self) }
            #[inline(always)]
            fn log<S: Simd>(self) -> Self { $T::log::<S>(self) }
            #[inline(always)]
            fn log1p<S: Simd>(self) -> Self { $T::log1p::<S>(self) }
        }
    )*};
}

elementary!(f32 f64);

#[cfg(test)]
mod tests;
