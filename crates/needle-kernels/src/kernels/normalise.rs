//! Normalised rows and the loss of a softmax, each with its adjoint, in one pass over rows
//! that stay in the cache.

use super::copy::contiguous;
use super::fold::{MaxOf, SumOf, fold, fold_all};
use super::number::{Float, Number};
use super::threads::{self, Shared};
use crate::array::Array;
use crate::dispatch;
use crate::dtype::Scalar;
use crate::error::{Error, Result};

/// Picoseconds for an element, roughly.
const COST: usize = 400;

/// The length of the rows and how many there are.
fn rows_of(x: &Array) -> (usize, usize) {
    let n = x.shape().last().copied().unwrap_or(1);
    (n, x.size().checked_div(n).unwrap_or(0))
}

#[cold]
fn unsupported(op: &str, x: &Array) -> Error {
    Error::dtype(op, format_args!("not defined for {}", x.dtype()))
}

/// Calls `body` with the addresses of a row in each operand and in the fresh result, for
/// every row.
fn each_row<T: Number, const N: usize>(
    operands: [&Array; N],
    out: &Array,
    step: usize,
    body: impl Fn([*const T; N], *mut T, usize) + Sync,
) {
    let (n, count) = rows_of(operands[0]);
    let from = operands.map(|x| Shared::new(x.ptr::<T>()));
    let to = Shared::new(out.ptr_mut::<T>());
    threads::for_each(count, n * COST, 1, |range| {
        for row in range {
            let at = from.map(|x| x.get().wrapping_add(row * n).cast_const());
            body(at, to.get().wrapping_add(row * step), n);
        }
    });
}

/// `(x - mean) / sqrt(variance + eps)` for each row of the last axis; the variance is the
/// biased one.
pub fn layer_norm(x: &Array, eps: f64) -> Result<Array> {
    let x = contiguous(x)?;
    let out = Array::empty(x.dtype(), x.shape())?;
    dispatch!(float: x.dtype(), T => {
        let eps = <T as Number>::from_scalar(Scalar::Float(eps));
        let n = rows_of(&x).0;
        each_row::<T, 1>([&x], &out, n, |[x], out, n| {
            // SAFETY: both rows have `n` elements, and `out` is fresh.
            unsafe { norm_row::<T>(x, out, n, eps) };
        });
    }, else return Err(unsupported("layer_norm", &x)));
    Ok(out)
}

/// The adjoint of [`layer_norm`]: with `y` and `r = 1 / sqrt(variance + eps)` of the row,
/// `r (g - mean(g) - y mean(g y))`.
pub fn layer_norm_gradient(g: &Array, x: &Array, eps: f64) -> Result<Array> {
    let (g, x) = (contiguous(g)?, contiguous(x)?);
    let out = Array::empty(x.dtype(), x.shape())?;
    dispatch!(float: x.dtype(), T => {
        let eps = <T as Number>::from_scalar(Scalar::Float(eps));
        let n = rows_of(&x).0;
        each_row::<T, 2>([&g, &x], &out, n, |[g, x], out, n| {
            // SAFETY: all rows have `n` elements, and `out` is fresh.
            unsafe { norm_gradient_row::<T>(g, x, out, n, eps) };
        });
    }, else return Err(unsupported("layer_norm_gradient", &x)));
    Ok(out)
}

/// `sum(t) logsumexp(x) - sum(t x)` for each row of the last axis, and the mean of that.
pub fn cross_entropy(x: &Array, t: &Array) -> Result<Array> {
    let (x, t) = (contiguous(x)?, contiguous(t)?);
    let out = Array::empty(x.dtype(), &[])?;
    dispatch!(float: x.dtype(), T => {
        let count = rows_of(&x).1;
        let losses = Array::empty(x.dtype(), &[count])?;
        each_row::<T, 2>([&x, &t], &losses, 1, |[x, t], loss, n| {
            // SAFETY: both rows have `n` elements, and the place is this row's.
            unsafe { loss.write(entropy_row::<T>(x, t, n)) };
        });
        let divisor = <T as Number>::from_scalar(Scalar::UInt(count as u64));
        // SAFETY: `count` losses, and a fresh result of one element.
        unsafe {
            let sum = if count == 0 { T::ZERO } else { fold_all::<T, SumOf>(losses.ptr(), count) };
            out.ptr_mut::<T>().write(sum.div(divisor));
        }
    }, else return Err(unsupported("cross_entropy", &x)));
    Ok(out)
}

/// `(sum(t) softmax(x) - t) g` for each row, `g` being one number divided by the count.
pub fn cross_entropy_gradient(g: &Array, x: &Array, t: &Array) -> Result<Array> {
    let (x, t) = (contiguous(x)?, contiguous(t)?);
    let out = Array::empty(x.dtype(), x.shape())?;
    dispatch!(float: x.dtype(), T => {
        let (n, count) = rows_of(&x);
        let divisor = <T as Number>::from_scalar(Scalar::UInt(count as u64));
        // SAFETY: `g` has one element.
        let g = unsafe { g.ptr::<T>().read() }.div(divisor);
        each_row::<T, 2>([&x, &t], &out, n, |[x, t], out, n| {
            // SAFETY: all rows have `n` elements, and `out` is fresh.
            unsafe { entropy_gradient_row::<T>(x, t, out, n, g) };
        });
    }, else return Err(unsupported("cross_entropy_gradient", &x)));
    Ok(out)
}

/// The mean of a row and `1 / sqrt(variance + eps)`; `scratch` has room for the row.
#[inline(always)]
unsafe fn moments<T: Float>(x: *const T, scratch: *mut T, n: usize, eps: T) -> (T, T) {
    let divisor = T::from_scalar(Scalar::UInt(n as u64));
    // SAFETY: the caller's promise.
    unsafe {
        let mean = fold::<T, SumOf>(x, 1, n).div(divisor);
        for i in 0..n {
            let d = x.add(i).read().sub(mean);
            scratch.add(i).write(d.mul(d));
        }
        let variance = fold::<T, SumOf>(scratch, 1, n).div(divisor);
        (mean, T::ONE.div(variance.add(eps).sqrt()))
    }
}

simd! {
    /// # Safety
    /// Both rows have `n` elements, and nobody else sees `out`.
    unsafe fn norm_row<S>[T: Float](x: *const T, out: *mut T, n: usize, eps: T) {
        // SAFETY: the caller's promise.
        unsafe {
            let (mean, scale) = moments(x, out, n, eps);
            for i in 0..n {
                out.add(i).write(x.add(i).read().sub(mean).mul(scale));
            }
        }
    }
}

simd! {
    /// # Safety
    /// All rows have `n` elements, and nobody else sees `out`.
    unsafe fn norm_gradient_row<S>[T: Float](
        g: *const T, x: *const T, out: *mut T, n: usize, eps: T
    ) {
        let divisor = T::from_scalar(Scalar::UInt(n as u64));
        // SAFETY: the caller's promise.
        unsafe {
            let (mean, scale) = moments(x, out, n, eps);
            let y = |i: usize| x.add(i).read().sub(mean).mul(scale);
            for i in 0..n {
                out.add(i).write(g.add(i).read().mul(y(i)));
            }
            let along = fold::<T, SumOf>(out, 1, n).div(divisor);
            let level = fold::<T, SumOf>(g, 1, n).div(divisor);
            for i in 0..n {
                let rest = g.add(i).read().sub(level).sub(y(i).mul(along));
                out.add(i).write(rest.mul(scale));
            }
        }
    }
}

/// Elements of a row whose exponentials are taken at a time.
const BLOCK: usize = 256;

/// The maximum of a row and the sum of the exponentials behind it.
#[inline(always)]
unsafe fn exponentials<S: super::isa::Simd, T: Float>(x: *const T, n: usize) -> (T, T) {
    // SAFETY: the caller's promise.
    unsafe {
        let max = fold::<T, MaxOf>(x, 1, n);
        let mut sum = T::ZERO;
        let mut block = [T::ZERO; BLOCK];
        for start in (0..n).step_by(BLOCK) {
            let len = BLOCK.min(n - start);
            for (i, place) in block.iter_mut().enumerate().take(len) {
                *place = x.add(start + i).read().sub(max).exp::<S>();
            }
            sum = sum.add(fold::<T, SumOf>(block.as_ptr(), 1, len));
        }
        (max, sum)
    }
}

simd! {
    /// # Safety
    /// Both rows have `n` elements.
    unsafe fn entropy_row<S>[T: Float](x: *const T, t: *const T, n: usize) -> T {
        // SAFETY: the caller's promise.
        unsafe {
            let (max, sum) = exponentials::<S, T>(x, n);
            let weight = fold::<T, SumOf>(t, 1, n);
            let mut at = T::ZERO;
            let mut block = [T::ZERO; BLOCK];
            for start in (0..n).step_by(BLOCK) {
                let len = BLOCK.min(n - start);
                for (i, place) in block.iter_mut().enumerate().take(len) {
                    let x = x.add(start + i).read().sub(max);
                    *place = t.add(start + i).read().chain(x);
                }
                at = at.add(fold::<T, SumOf>(block.as_ptr(), 1, len));
            }
            weight.chain(sum.log::<S>()).sub(at)
        }
    }
}

simd! {
    /// # Safety
    /// All rows have `n` elements, and nobody else sees `out`.
    unsafe fn entropy_gradient_row<S>[T: Float](
        x: *const T, t: *const T, out: *mut T, n: usize, g: T
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let max = fold::<T, MaxOf>(x, 1, n);
            for i in 0..n {
                out.add(i).write(x.add(i).read().sub(max).exp::<S>());
            }
            let scale = fold::<T, SumOf>(t, 1, n).div(fold::<T, SumOf>(out, 1, n));
            for i in 0..n {
                let share = out.add(i).read().mul(scale).sub(t.add(i).read());
                out.add(i).write(g.chain(share));
            }
        }
    }
}
