//! Adjoints behind the softmax and its logarithm.

use super::{COST, at_the_end, group};
use crate::array::Array;
use crate::dispatch;
use crate::dtype::Scalar;
use crate::error::Result;
use crate::kernels::fold::{SumOf, fold};
use crate::kernels::math::Elementary;
use crate::kernels::number::Float;
use crate::kernels::threads::{self, Shared};

/// `y (g - sum(g y))` along `axis`: an adjoint `g` behind a softmax `y`. Products are those
/// of the chain rule.
pub fn softmax_gradient(g: &Array, y: &Array, axis: usize) -> Result<Array> {
    debug_assert_eq!((g.shape(), g.dtype()), (y.shape(), y.dtype()));
    at_the_end([g, y], axis, |[g, y]| gradient_rows(&g, &y, false))
}

/// `g - exp(y) sum(g)` along `axis`: an adjoint `g` behind a logarithm `y` of a softmax.
pub fn log_softmax_gradient(g: &Array, y: &Array, axis: usize) -> Result<Array> {
    debug_assert_eq!((g.shape(), g.dtype()), (y.shape(), y.dtype()));
    at_the_end([g, y], axis, |[g, y]| gradient_rows(&g, &y, true))
}

fn gradient_rows(g: &Array, y: &Array, log: bool) -> Result<Array> {
    let out = Array::empty(y.dtype(), y.shape())?;
    let n = y.shape()[y.ndim() - 1];
    let count = y.size().checked_div(n).unwrap_or(0);
    dispatch!(float: y.dtype(), T => {
        let (from_g, from_y) = (Shared::new(g.ptr::<T>()), Shared::new(y.ptr::<T>()));
        let to = Shared::new(out.ptr_mut::<T>());
        threads::for_each(count, n * COST, group(n), |rows| {
            let start = rows.start * n;
            // SAFETY: the op's type rule has compared both shapes, the op cast both to one dtype,
            // and `at_the_end` laid them row-major; `out` is fresh, and this range has its rows
            // alone.
            unsafe {
                let (g, y) = (from_g.get().add(start), from_y.get().add(start));
                let out = to.get().add(start);
                if log {
                    log_softmax_gradient_rows::<T>(g, y, out, rows.len(), n);
                } else {
                    softmax_gradient_rows::<T>(g, y, out, rows.len(), n);
                }
            }
        });
    }, else {});
    Ok(out)
}

/// How many roundings the sum of the shares of a softmax may be away from 1.
const ROUNDINGS: f64 = 64.0;

/// Whether the shares sum to 1, as those of a softmax do, but for rounding.
///
/// # Safety
/// There are `n` of them.
#[inline(always)]
unsafe fn sum_to_one<T: Float>(shares: *const T, n: usize) -> bool {
    // SAFETY: the caller's promise.
    let sum = unsafe { fold::<T, SumOf>(shares, n) };
    sum.sub(T::ONE).abs() <= T::from_scalar(Scalar::Float(ROUNDINGS * T::EPSILON))
}

simd! {
    /// # Safety
    /// All three have `count` rows of `n` elements, and nobody else sees `out`.
    unsafe fn softmax_gradient_rows<S>[T: Elementary](
        g: *const T, y: *const T, out: *mut T, count: usize, n: usize
    ) {
        for row in 0..count {
            // SAFETY: the caller's promise.
            unsafe {
                let (g, y, out) = (g.add(row * n), y.add(row * n), out.add(row * n));
                let half = T::from_scalar(Scalar::Float(0.5));
                let mut peaked = false;
                for i in 0..n {
                    let y = y.add(i).read();
                    peaked |= y > half;
                    out.add(i).write(g.add(i).read().chain(y));
                }
                let sum = fold::<T, SumOf>(out, n);
                if sum != T::ZERO {
                    // Else shares that are no numbers do not reach where no adjoint does.
                    for i in 0..n {
                        let share = y.add(i).read().mul(sum);
                        out.add(i).write(out.add(i).read().sub(share));
                    }
                }
                if peaked && sum_to_one(y, n) {
                    beside_the_peak(g, y, out, n, sum);
                }
            }
        }
    }
}

/// The same of a row of shares that sum to 1 with one above a half, by the distances of the adjoints from that share's
/// own: the sum would be near it, and their difference lose its digits.
///
/// # Safety
/// All three have `n` elements, and nobody else sees `out`, which has what `sum`, that of all
/// products, gave.
#[inline(always)]
unsafe fn beside_the_peak<T: Float>(g: *const T, y: *const T, out: *mut T, n: usize, sum: T) {
    // SAFETY: the caller's promise: it is asked for elements below `n`.
    let (g, y) = unsafe { (|i: usize| g.add(i).read(), |i: usize| y.add(i).read()) };
    let half = T::from_scalar(Scalar::Float(0.5));
    let Some(peak) = (0..n).find(|&i| y(i) > half) else {
        return;
    };
    // SAFETY: the caller's promise.
    unsafe {
        for i in 0..n {
            out.add(i).write(g(i).sub(g(peak)).chain(y(i)));
        }
        let mean = fold::<T, SumOf>(out, n);
        let is_finite = mean.sub(mean) == T::ZERO;
        for i in 0..n {
            let value = if is_finite {
                out.add(i).read().sub(y(i).mul(mean))
            } else {
                g(i).chain(y(i)).sub(y(i).mul(sum))
            };
            out.add(i).write(value);
        }
    }
}

simd! {
    /// # Safety
    /// All three have `count` rows of `n` elements, and nobody else sees `out`.
    unsafe fn log_softmax_gradient_rows<S>[T: Elementary](
        g: *const T, y: *const T, out: *mut T, count: usize, n: usize
    ) {
        for row in 0..count {
            // SAFETY: the caller's promise.
            unsafe {
                let (g, y, out) = (g.add(row * n), y.add(row * n), out.add(row * n));
                let log_half = T::from_scalar(Scalar::Float(-std::f64::consts::LN_2));
                let mut peaked = false;
                let sum = fold::<T, SumOf>(g, n);
                for i in 0..n {
                    let y = y.add(i).read();
                    peaked |= y > log_half;
                    out.add(i).write(y.exp::<S>());
                }
                let is_finite = sum.sub(sum) == T::ZERO;
                peaked = peaked && is_finite && sum_to_one(out, n);
                for i in 0..n {
                    let share = out.add(i).read().chain(sum);
                    out.add(i).write(g.add(i).read().sub(share));
                }
                let peak = if peaked {
                    (0..n).find(|&i| y.add(i).read() > log_half)
                } else {
                    None
                };
                if let Some(peak) = peak {
                    // The difference of near numbers; minus the sum of the others is not.
                    out.add(peak).write(T::ZERO);
                    let others = fold::<T, SumOf>(out, n);
                    out.add(peak).write(T::ZERO.sub(others));
                }
            }
        }
    }
}
