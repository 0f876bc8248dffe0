//! Square root and reciprocal, and powers that need no logarithm. The cube is rounded once, so
//! that it is never worse than `powf`.

use crate::kernels::elementwise::CHEAP;
use crate::kernels::elementwise::formula::{maps, zips};
use crate::kernels::number::Float;

maps! {
    /// Square root.
    floats SQRT 300, |x, S| x.sqrt();
    /// `x^0`: 1, also for NaN.
    floats ONE CHEAP, |_x, S| 1.0;
    /// `x^0.5` as C's `pow` has it: +0 for -0 and infinity for -infinity.
    floats ROOT 500, |x, S| if x.is_infinite() { x.abs() } else { (x + 0.0).sqrt() };
    /// `x` itself.
    floats IDENTITY CHEAP, |x, S| x;
    /// `x^2`.
    floats SQUARE CHEAP, |x, S| x * x;
    /// `x^3` with one rounding.
    floats CUBE CHEAP, |x, S| cube::<S>(x);
    /// `x^-1`.
    floats RECIPROCAL 300, |x, S| 1.0 / x;
}

zips! {
    /// Power. No function that it is with some exponents is less accurate than `powf`.
    called_pairs POWER 8000, |a, b| a.pow(b), with |exponent| match exponent {
        0.0 => Some(&ONE),
        0.5 => Some(&ROOT),
        1.0 => Some(&IDENTITY),
        2.0 => Some(&SQUARE),
        3.0 => Some(&CUBE),
        -1.0 => Some(&RECIPROCAL),
        _ => None,
    };
    /// `a^(b - 1)`, as [`POWER`] has it.
    float_calls POWER_LESS_1 8000, Float |a, b| less(a, b, T::ONE);
    /// `a^(b - 2)`.
    float_calls POWER_LESS_2 8000, Float |a, b| less(a, b, T::ONE.add(T::ONE));
}

/// `a^(b - steps)` for 1 or 2 steps. Where the difference rounds, a base far from 1 would make much
/// of what it loses: there the power is divided, unless it has lost digits or all of its own.
#[inline]
fn less<T: Float>(a: T, b: T, steps: T) -> T {
    let lower = b.sub(steps);
    if lower.add(steps) != b {
        let power = a.pow(b);
        if power.is_normal() {
            let divided = power.div(a);
            return if steps == T::ONE {
                divided
            } else {
                divided.div(a)
            };
        }
    }
    a.pow(lower)
}

pub(super) mod f32 {
    use super::super::super::simd::Simd;

    /// `x^3`: exact products in float64, but for its own tiny rounding.
    #[inline(always)]
    pub(crate) fn cube<S: Simd>(x: f32) -> f32 {
        let wide = f64::from(x);
        (wide * wide * wide) as f32
    }
}

pub(super) mod f64 {
    use super::super::super::simd::Simd;

    /// `x^3`: the product of the square and `x`, and of what the square has lost and `x`, are
    /// added with one rounding, which keeps the sign of a zero. Without fused multiply-add the
    /// standard library's power.
    #[inline(always)]
    pub(crate) fn cube<S: Simd>(x: f64) -> f64 {
        if !S::FMA {
            return x.powf(3.0);
        }
        let square = x * x;
        let lost = x.mul_add(x, -square) * x;
        // Where the square or the product overflowed there is nothing to add: the cube is infinite.
        let lost = if lost.abs() < f64::INFINITY {
            lost
        } else {
            0.0
        };
        square.mul_add(x, lost)
    }
}
