//! Softmax and its relatives along an axis, shifted by the maximum so that no exponential
//! overflows.

use super::copy::contiguous;
use super::number::{Float, Number};
use super::reduce::sum_row;
use crate::array::Array;
use crate::dispatch;
use crate::error::{Error, Result};
use crate::shape::{self, Dims};

/// `log(sum(exp(x)))` over sorted `axes`. Rows of -inf give -inf, a +inf gives +inf.
pub fn logsumexp(x: &Array, axes: &[usize], keepdims: bool) -> Result<Array> {
    let out = Array::empty(x.dtype(), &shape::reduced(x.shape(), axes, keepdims))?;
    let mut order: Dims = (0..x.ndim()).filter(|a| !axes.contains(a)).collect();
    order.extend_from_slice(axes);
    let rows = contiguous(&x.permute(&order))?;
    let n: usize = axes.iter().map(|&a| x.shape()[a]).product();
    dispatch!(float: x.dtype(), T => {
        let mut scratch = vec![<T as Number>::ZERO; n];
        for row in 0..out.size() {
            // SAFETY: `rows` has out.size() rows of n elements, `scratch` has n, `out` is fresh.
            unsafe {
                let from = rows.ptr::<T>().add(row * n);
                let value = lse_row::<T>(from, scratch.as_mut_ptr(), n);
                out.ptr_mut::<T>().add(row).write(value);
            }
        }
    }, else return Err(Error::dtype("logsumexp", format_args!("not defined for {}", x.dtype()))));
    Ok(out)
}

/// `exp(x)` scaled to sum to 1 along `axis`.
pub fn softmax(x: &Array, axis: usize) -> Result<Array> {
    along("softmax", x, axis, false)
}

/// The logarithm of [`softmax`], without its cancellation.
pub fn log_softmax(x: &Array, axis: usize) -> Result<Array> {
    along("log_softmax", x, axis, true)
}

/// Runs a row kernel along any axis: as the last one, with a copy before and after where
/// it is not.
fn along(op: &str, x: &Array, axis: usize, log: bool) -> Result<Array> {
    let mut order: Dims = (0..x.ndim()).filter(|&a| a != axis).collect();
    order.push(axis);
    let rows = contiguous(&x.permute(&order))?;
    let out = Array::empty(x.dtype(), rows.shape())?;
    let n = x.shape()[axis];
    let count = if n == 0 { 0 } else { x.size() / n };
    dispatch!(float: x.dtype(), T => {
        for row in 0..count {
            // SAFETY: both have `count` rows of n elements, and `out` is fresh.
            unsafe {
                let (from, to) = (rows.ptr::<T>().add(row * n), out.ptr_mut::<T>().add(row * n));
                if log { log_softmax_row::<T>(from, to, n) } else { softmax_row::<T>(from, to, n) }
            }
        }
    }, else return Err(Error::dtype(op, format_args!("not defined for {}", x.dtype()))));
    let mut back = Dims::from_elem(0, x.ndim());
    for (i, &a) in order.iter().enumerate() {
        back[a] = i;
    }
    contiguous(&out.permute(&back))
}

/// Largest element; NaN if any is, -inf for none.
#[inline(always)]
#[allow(clippy::inline_always)]
unsafe fn max_of<T: Number>(x: *const T, n: usize) -> T {
    let mut max = T::LOWEST;
    for i in 0..n {
        // SAFETY: the caller promises `n` elements.
        max = max.maximum(unsafe { x.add(i).read() });
    }
    max
}

simd! {
    /// The log-sum-exp of `n` elements; `scratch` takes the exponentials.
    ///
    /// # Safety
    /// Both have `n` elements, and nobody else sees `scratch`.
    unsafe fn lse_row<S>[T: Float](x: *const T, scratch: *mut T, n: usize) -> T {
        // SAFETY (all): the caller's promise.
        let max = unsafe { max_of(x, n) };
        if max == T::LOWEST || max == T::HIGHEST {
            return max;
        }
        for i in 0..n {
            unsafe { scratch.add(i).write(x.add(i).read().sub(max).exp::<S>()) };
        }
        unsafe { sum_row(scratch, n) }.log::<S>().add(max)
    }
}

simd! {
    /// # Safety
    /// Both have `n` elements, and nobody else sees `out`.
    unsafe fn softmax_row<S>[T: Float](x: *const T, out: *mut T, n: usize) {
        // SAFETY (all): the caller's promise.
        let max = unsafe { max_of(x, n) };
        for i in 0..n {
            unsafe { out.add(i).write(x.add(i).read().sub(max).exp::<S>()) };
        }
        let sum = unsafe { sum_row(out, n) };
        for i in 0..n {
            unsafe { out.add(i).write(out.add(i).read().div(sum)) };
        }
    }
}

simd! {
    /// # Safety
    /// Both have `n` elements, and nobody else sees `out`.
    unsafe fn log_softmax_row<S>[T: Float](x: *const T, out: *mut T, n: usize) {
        // SAFETY (all): the caller's promise.
        let max = unsafe { max_of(x, n) };
        for i in 0..n {
            unsafe { out.add(i).write(x.add(i).read().sub(max).exp::<S>()) };
        }
        let log_sum = unsafe { sum_row(out, n) }.log::<S>();
        for i in 0..n {
            unsafe { out.add(i).write(x.add(i).read().sub(max).sub(log_sum)) };
        }
    }
}
