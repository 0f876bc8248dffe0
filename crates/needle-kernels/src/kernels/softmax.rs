//! Softmax and its relatives along an axis, shifted by the maximum so that no exponential
//! overflows.
//!
//! Along the last axis they run in one pass over groups of rows that stay in the cache;
//! along others they are put together from reductions and elementwise kernels.

use super::copy::contiguous;
use super::elementwise::{ADD, CHAIN, DIVIDE, MULTIPLY, SUBTRACT};
use super::fold::{MaxOf, SumOf, fold};
use super::math::{EXP, Elementary, LOG};
use super::number::{Float, Number};
use super::reduce::{Reduce, reduce};
use super::threads::{self, Shared};
use crate::array::Array;
use crate::dispatch;
use crate::error::{Error, Result};
use crate::shape;

/// Elements of the rows that are worked on together.
const GROUP: usize = 4096;
/// Picoseconds for an element, roughly.
const COST: usize = 700;

/// `log(sum(exp(x)))` over sorted `axes`. Rows of -inf give -inf, a +inf gives +inf.
pub fn logsumexp(x: &Array, axes: &[usize], keepdims: bool) -> Result<Array> {
    let shape = shape::reduced(x.shape(), axes, keepdims);
    if x.size() > 0 && shape::are_last(axes, x.ndim()) {
        let x = contiguous(x)?;
        let out = Array::empty(x.dtype(), &shape)?;
        let (count, n) = (out.size(), x.size() / out.size());
        let scratch = Array::empty(x.dtype(), &[n.max(GROUP.min(x.size()))])?;
        dispatch!(float: x.dtype(), T => {
            // SAFETY: `contiguous` laid out `count` rows of n elements, and T is their dtype;
            // `scratch` has n, or a group of rows if that is more, or all of `x` if that is less
            // than a group; both it and `out` are fresh.
            unsafe { lse_rows::<T>(x.ptr(), scratch.ptr_mut(), out.ptr_mut(), count, n) };
        }, else return Err(Error::undefined("logsumexp", x.dtype())));
        return Ok(out);
    }
    if !x.dtype().is_float() {
        return Err(Error::undefined("logsumexp", x.dtype()));
    }
    let max = reduce(Reduce::Max, x, axes, true)?;
    make_finite(&max);
    let sum = reduce(Reduce::Sum, &exp_shifted(x, &max)?, axes, true)?;
    let out = ADD.of(&LOG.of(&sum)?, &max)?;
    Ok(out.reshape_view(&shape).unwrap_or(out))
}

/// `exp(x)` scaled to sum to 1 along `axis`.
pub fn softmax(x: &Array, axis: usize) -> Result<Array> {
    if !x.dtype().is_float() {
        return Err(Error::undefined("softmax", x.dtype()));
    }
    if axis + 1 == x.ndim() {
        return along_rows(x, false);
    }
    let e = exp_shifted(x, &reduce(Reduce::Max, x, &[axis], true)?)?;
    DIVIDE.of(&e, &reduce(Reduce::Sum, &e, &[axis], true)?)
}

/// The logarithm of [`softmax`], without its cancellation.
pub fn log_softmax(x: &Array, axis: usize) -> Result<Array> {
    if !x.dtype().is_float() {
        return Err(Error::undefined("log_softmax", x.dtype()));
    }
    if axis + 1 == x.ndim() {
        return along_rows(x, true);
    }
    let shifted = SUBTRACT.of(x, &reduce(Reduce::Max, x, &[axis], true)?)?;
    let sum = reduce(Reduce::Sum, &EXP.of(&shifted)?, &[axis], true)?;
    SUBTRACT.of(&shifted, &LOG.of(&sum)?)
}

fn exp_shifted(x: &Array, max: &Array) -> Result<Array> {
    EXP.of(&SUBTRACT.of(x, max)?)
}

/// Writes 0 in place of an infinity, from which the exponentials and their logarithm come
/// out right by themselves. The array is fresh.
fn make_finite(max: &Array) {
    dispatch!(float: max.dtype(), T => {
        let at = max.ptr_mut::<T>();
        for i in 0..max.size() {
            // SAFETY: `reduce` has just made the array: row-major, all written, and seen by nobody
            // else.
            unsafe { at.add(i).write(shift(at.add(i).read())) };
        }
    }, else {});
}

/// What a row with this maximum is shifted by, where only its log-sum-exp is asked for. The
/// shares of a row with an infinite maximum are not numbers.
#[inline(always)]
fn shift<T: Number>(max: T) -> T {
    if max == T::LOWEST || max == T::HIGHEST {
        T::ZERO
    } else {
        max
    }
}

fn along_rows(x: &Array, log: bool) -> Result<Array> {
    let x = contiguous(x)?;
    let out = Array::empty(x.dtype(), x.shape())?;
    let n = x.shape()[x.ndim() - 1];
    let count = x.size().checked_div(n).unwrap_or(0);
    dispatch!(float: x.dtype(), T => {
        let (from, to) = (Shared::new(x.ptr::<T>()), Shared::new(out.ptr_mut::<T>()));
        threads::for_each(count, n * COST, group(n), |rows| {
            let start = rows.start * n;
            // SAFETY: `contiguous` laid the rows out, T is the dtype of both; `out` is fresh, of
            // the same shape, and this range has its rows alone.
            unsafe {
                let (x, out) = (from.get().add(start), to.get().add(start));
                if log {
                    log_softmax_rows::<T>(x, out, rows.len(), n);
                } else {
                    softmax_rows::<T>(x, out, rows.len(), n);
                }
            }
        });
    }, else {});
    Ok(out)
}

/// `y (g - sum(g y))` along `axis`: an adjoint `g` behind a softmax `y`. Products are those
/// of the chain rule.
pub fn softmax_gradient(g: &Array, y: &Array, axis: usize) -> Result<Array> {
    debug_assert_eq!((g.shape(), g.dtype()), (y.shape(), y.dtype()));
    if axis + 1 == y.ndim() && y.size() > 0 {
        return gradient_rows(g, y, false);
    }
    let gy = CHAIN.of(g, y)?;
    let sum = reduce(Reduce::Sum, &gy, &[axis], true)?;
    SUBTRACT.of(&gy, &MULTIPLY.of(y, &sum)?)
}

/// `g - exp(y) sum(g)` along `axis`: an adjoint `g` behind a logarithm `y` of a softmax.
pub fn log_softmax_gradient(g: &Array, y: &Array, axis: usize) -> Result<Array> {
    debug_assert_eq!((g.shape(), g.dtype()), (y.shape(), y.dtype()));
    if axis + 1 == y.ndim() && y.size() > 0 {
        return gradient_rows(g, y, true);
    }
    let sum = reduce(Reduce::Sum, g, &[axis], true)?;
    let share = CHAIN.of(&EXP.of(y)?, &sum)?;
    SUBTRACT.of(g, &share)
}

fn gradient_rows(g: &Array, y: &Array, log: bool) -> Result<Array> {
    let (g, y) = (contiguous(g)?, contiguous(y)?);
    let out = Array::empty(y.dtype(), y.shape())?;
    let n = y.shape()[y.ndim() - 1];
    dispatch!(float: y.dtype(), T => {
        let (from_g, from_y) = (Shared::new(g.ptr::<T>()), Shared::new(y.ptr::<T>()));
        let to = Shared::new(out.ptr_mut::<T>());
        threads::for_each(y.size() / n, n * COST, group(n), |rows| {
            let start = rows.start * n;
            // SAFETY: the op's type rule has compared both shapes, the op cast both to one dtype,
            // and `contiguous` laid them row-major; `out` is fresh, and this range has its rows
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
                for i in 0..n {
                    out.add(i).write(g.add(i).read().chain(y.add(i).read()));
                }
                let sum = fold::<T, SumOf>(out, n);
                for i in 0..n {
                    let share = y.add(i).read().mul(sum);
                    out.add(i).write(out.add(i).read().sub(share));
                }
            }
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
                let sum = fold::<T, SumOf>(g, n);
                for i in 0..n {
                    let share = y.add(i).read().exp::<S>().chain(sum);
                    out.add(i).write(g.add(i).read().sub(share));
                }
            }
        }
    }
}

/// Rows per group.
fn group(n: usize) -> usize {
    (GROUP / n.max(1)).max(1)
}

/// `out = x - max(x)` for each of `count` rows.
///
/// # Safety
/// Both have `count * n` elements; nobody else sees `out`.
#[inline(always)]
unsafe fn shift_rows<T: Float>(x: *const T, out: *mut T, count: usize, n: usize) {
    for row in 0..count {
        // SAFETY: the caller's promise.
        unsafe {
            let (x, out) = (x.add(row * n), out.add(row * n));
            let max = fold::<T, MaxOf>(x, n);
            for i in 0..n {
                out.add(i).write(x.add(i).read().sub(max));
            }
        }
    }
}

simd! {
    /// # Safety
    /// `x` has `count` rows of `n` elements, `out` has `count` elements, `scratch` a group of rows
    /// (or `count`, if these are fewer); nobody else sees these two.
    unsafe fn lse_rows<S>[T: Elementary](
        x: *const T, scratch: *mut T, out: *mut T, count: usize, n: usize
    ) {
        let group = group(n);
        for start in (0..count).step_by(group) {
            let rows = group.min(count - start);
            // SAFETY: the caller's promise.
            unsafe {
                let x = x.add(start * n);
                for row in 0..rows {
                    let (x, shifted) = (x.add(row * n), scratch.add(row * n));
                    let max = shift(fold::<T, MaxOf>(x, n));
                    for i in 0..n {
                        shifted.add(i).write(x.add(i).read().sub(max));
                    }
                    out.add(start + row).write(max);
                }
                for i in 0..rows * n {
                    scratch.add(i).write(scratch.add(i).read().exp::<S>());
                }
                for row in 0..rows {
                    let sum = fold::<T, SumOf>(scratch.add(row * n), n);
                    let max = out.add(start + row).read();
                    out.add(start + row).write(sum.log::<S>().add(max));
                }
            }
        }
    }
}

simd! {
    /// # Safety
    /// Both have `count` rows of `n` elements, and nobody else sees `out`.
    unsafe fn softmax_rows<S>[T: Elementary](x: *const T, out: *mut T, count: usize, n: usize) {
        let group = group(n);
        for start in (0..count).step_by(group) {
            let rows = group.min(count - start);
            // SAFETY: the caller's promise.
            unsafe {
                let (x, out) = (x.add(start * n), out.add(start * n));
                shift_rows::<T>(x, out, rows, n);
                for i in 0..rows * n {
                    out.add(i).write(out.add(i).read().exp::<S>());
                }
                for row in 0..rows {
                    let out = out.add(row * n);
                    let sum = fold::<T, SumOf>(out, n);
                    for i in 0..n {
                        out.add(i).write(out.add(i).read().div(sum));
                    }
                }
            }
        }
    }
}

simd! {
    /// # Safety
    /// Both have `count` rows of `n` elements, and nobody else sees `out`.
    unsafe fn log_softmax_rows<S>[T: Elementary](x: *const T, out: *mut T, count: usize, n: usize) {
        let group = group(n);
        for start in (0..count).step_by(group) {
            let rows = group.min(count - start);
            // SAFETY: the caller's promise.
            unsafe {
                let (x, out) = (x.add(start * n), out.add(start * n));
                shift_rows::<T>(x, out, rows, n);
                for i in 0..rows * n {
                    out.add(i).write(out.add(i).read().exp::<S>());
                }
                for row in 0..rows {
                    let (x, out) = (x.add(row * n), out.add(row * n));
                    let log_sum = fold::<T, SumOf>(out, n).log::<S>();
                    let max = fold::<T, MaxOf>(x, n);
                    for i in 0..n {
                        out.add(i).write(x.add(i).read().sub(max).sub(log_sum));
                    }
                }
            }
        }
    }
}
