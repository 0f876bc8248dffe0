//! Arithmetic of single elements, the same for every dtype: integers wrap, bool is the
//! two-element lattice, floats are IEEE with NaN propagated by max, min, sign and relu.

use crate::dispatch;
use crate::dtype::{Bool, DType, Element, Scalar};

/// What sums, products and extrema of any dtype are made of.
pub(crate) trait Number: Element {
    const ZERO: Self;
    /// The neutral element of max.
    const LOWEST: Self;
    /// The neutral element of min.
    const HIGHEST: Self;
    fn add(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn maximum(self, other: Self) -> Self;
    fn minimum(self, other: Self) -> Self;
    /// The larger of two numbers; where one is NaN, any of the two.
    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        if self > other { self } else { other }
    }
    /// The smaller of two numbers; where one is NaN, any of the two.
    #[inline(always)]
    fn smaller(self, other: Self) -> Self {
        if self < other { self } else { other }
    }
    #[inline(always)]
    #[allow(clippy::eq_op)] // Not for integers.
    fn is_nan(self) -> bool {
        self != self
    }
    fn from_scalar(value: Scalar) -> Self;
}

/// The numbers that elementwise functions are computed in: floats, integers of 64 bits, and those
/// without sign for functions to which the sign makes no difference.
pub(crate) trait Arithmetic: Number {
    fn sub(self, other: Self) -> Self;
    fn pow(self, exponent: Self) -> Self;
    /// The product of the chain rule: 0 where either factor is exactly 0.
    fn chain(self, other: Self) -> Self;
    fn negate(self) -> Self;
    fn abs(self) -> Self;
    fn sign(self) -> Self;
    fn relu(self) -> Self;
}

/// A number as an element of a dtype; its bytes come first.
pub(crate) fn element(number: Scalar, dtype: DType) -> u64 {
    let mut word = 0u64;
    dispatch!(dtype, T => {
        // SAFETY: no element is larger than a word, or needs another alignment.
        unsafe { (&raw mut word).cast::<T>().write(<T as Number>::from_scalar(number)) };
    });
    word
}

/// Numbers with real values.
pub(crate) trait Float: Arithmetic + Into<f64> {
    const ONE: Self;
    /// The distance from 1 to the next number.
    const EPSILON: f64;
    /// The smallest normal number.
    const SMALLEST: f64;
    fn div(self, other: Self) -> Self;
    fn sqrt(self) -> Self;
    /// Whether it is finite and has all its digits.
    fn is_normal(self) -> bool;
}

macro_rules! integer {
    ($($T:ty)*) => {$(
        impl Number for $T {
            const ZERO: Self = 0;
            const LOWEST: Self = <$T>::MIN;
            const HIGHEST: Self = <$T>::MAX;
            #[inline(always)]
            fn add(self, other: Self) -> Self { self.wrapping_add(other) }
            #[inline(always)]
            fn mul(self, other: Self) -> Self { self.wrapping_mul(other) }
            #[inline(always)]
            fn maximum(self, other: Self) -> Self { self.larger(other) }
            #[inline(always)]
            fn minimum(self, other: Self) -> Self { self.smaller(other) }
            #[inline(always)]
            fn from_scalar(value: Scalar) -> Self {
                match value {
                    Scalar::Bool(v) => Self::from(v),
                    Scalar::Int(v) => v as Self,
                    Scalar::UInt(v) => v as Self,
                    Scalar::Float(v) | Scalar::Huge(v) => v as Self,
                }
            }
        }
    )*};
}

integer!(i8 i16 i32 i64 u8 u16 u32 u64);

macro_rules! integer_arithmetic {
    ($($T:ty, $abs:expr, $sign:expr;)*) => {$(
        impl Arithmetic for $T {
            #[inline(always)]
            fn sub(self, other: Self) -> Self { self.wrapping_sub(other) }
            #[inline(always)]
            fn pow(self, exponent: Self) -> Self {
                // By squaring; the caller refuses negative exponents.
                let (mut result, mut base, mut left): (Self, Self, Self) = (1, self, exponent);
                while left > 0 {
                    if left & 1 == 1 {
                        result = result.wrapping_mul(base);
                    }
                    base = base.wrapping_mul(base);
                    left >>= 1;
                }
                result
            }
            #[inline(always)]
            fn chain(self, other: Self) -> Self { self.wrapping_mul(other) }
            #[inline(always)]
            fn negate(self) -> Self { self.wrapping_neg() }
            #[inline(always)]
            fn abs(self) -> Self { let f: fn($T) -> $T = $abs; f(self) }
            #[inline(always)]
            fn sign(self) -> Self { let f: fn($T) -> $T = $sign; f(self) }
            #[inline(always)]
            fn relu(self) -> Self { self.maximum(0) }
        }
    )*};
}

integer_arithmetic! {
    i64, i64::wrapping_abs, i64::signum;
    u8, |v| v, |v| v.min(1);
    u16, |v| v, |v| v.min(1);
    u32, |v| v, |v| v.min(1);
    u64, |v| v, |v| v.min(1);
}

macro_rules! float {
    ($($T:ident),*) => {$(
        impl Number for $T {
            const ZERO: Self = 0.0;
            const LOWEST: Self = $T::NEG_INFINITY;
            const HIGHEST: Self = $T::INFINITY;
            #[inline(always)]
            fn add(self, other: Self) -> Self { self + other }
            #[inline(always)]
            fn mul(self, other: Self) -> Self { self * other }
            #[inline(always)]
            fn maximum(self, other: Self) -> Self {
                // A comparison with NaN is false: a NaN on the right must be asked for.
                if (other > self) | (other != other) { other } else { self }
            }
            #[inline(always)]
            fn minimum(self, other: Self) -> Self {
                if (other < self) | (other != other) { other } else { self }
            }
            #[inline(always)]
            fn from_scalar(value: Scalar) -> Self {
                match value {
                    Scalar::Bool(v) => u8::from(v) as Self,
                    Scalar::Int(v) => v as Self,
                    Scalar::UInt(v) => v as Self,
                    Scalar::Float(v) | Scalar::Huge(v) => v as Self,
                }
            }
        }

        impl Arithmetic for $T {
            #[inline(always)]
            fn sub(self, other: Self) -> Self { self - other }
            #[inline(always)]
            fn pow(self, exponent: Self) -> Self { self.powf(exponent) }
            #[inline(always)]
            fn chain(self, other: Self) -> Self {
                if (self == 0.0) | (other == 0.0) { 0.0 } else { self * other }
            }
            #[inline(always)]
            fn negate(self) -> Self { -self }
            #[inline(always)]
            fn abs(self) -> Self { self.abs() }
            #[inline(always)]
            fn sign(self) -> Self {
                let one = if self > 0.0 { 1.0 } else { -1.0 };
                if self == 0.0 { 0.0 } else if self != self { self } else { one }
            }
            #[inline(always)]
            fn relu(self) -> Self { if self <= 0.0 { 0.0 } else { self } }
        }

        impl Float for $T {
            const ONE: Self = 1.0;
            const EPSILON: f64 = $T::EPSILON as f64;
            const SMALLEST: f64 = $T::MIN_POSITIVE as f64;
            #[inline(always)]
            fn div(self, other: Self) -> Self { self / other }
            #[inline(always)]
            fn sqrt(self) -> Self { self.sqrt() }
            #[inline(always)]
            fn is_normal(self) -> bool { self.is_normal() }
        }
    )*};
}

float!(f32, f64);

impl Number for Bool {
    const ZERO: Self = Self(0);
    const LOWEST: Self = Self(0);
    const HIGHEST: Self = Self(1);
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(u8::from(self.get() | other.get()))
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self(u8::from(self.get() & other.get()))
    }
    #[inline(always)]
    fn maximum(self, other: Self) -> Self {
        self.add(other)
    }
    #[inline(always)]
    fn minimum(self, other: Self) -> Self {
        self.mul(other)
    }
    #[inline(always)]
    fn from_scalar(value: Scalar) -> Self {
        Self::from(match value {
            Scalar::Bool(v) => v,
            Scalar::Int(v) => v != 0,
            Scalar::UInt(v) => v != 0,
            Scalar::Float(v) | Scalar::Huge(v) => v != 0.0,
        })
    }
}
