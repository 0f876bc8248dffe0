//! Softmax and its relatives along an axis, shifted by the maximum so that no exponential
//! overflows.
//!
//! They run in one pass over groups of rows that stay in the cache; other axes than the last are
//! brought to the end by a copy.
//!
//! Where one share of a row is above a half, what is computed of it would be a difference of
//! numbers near 1. It is computed from the others instead ([`log_of_sum`], [`gradient`]), which
//! have all their digits.

mod gradient;

use super::copy::{contiguous, fresh};
use super::fold::{MaxOf, SumOf, fold};
use super::math::Elementary;
use super::number::{Float, Number};
use super::threads::{self, Shared};
use crate::array::Array;
use crate::dispatch;
use crate::error::{Error, Result};
use crate::shape;
pub use gradient::{log_softmax_gradient, softmax_gradient};

/// Elements of the rows that are worked on together.
const GROUP: usize = 4096;
/// Picoseconds for an element, roughly.
const COST: usize = 700;

/// `log(sum(exp(x)))` over sorted `axes`. Rows of -inf give -inf, a +inf gives +inf.
pub fn logsumexp(x: &Array, axes: &[usize], keepdims: bool) -> Result<Array> {
    let out = Array::empty(x.dtype(), &shape::reduced(x.shape(), axes, keepdims))?;
    let (count, n) = (out.size(), x.size().checked_div(out.size()).unwrap_or(0));
    let last = shape::are_last(axes, x.ndim());
    let (x, scratch) = if last {
        let room = [n.max(GROUP.min(x.size()))];
        (contiguous(x)?, Array::empty(x.dtype(), &room)?)
    } else {
        let kept = (0..x.ndim()).filter(|axis| !axes.contains(axis));
        let order: Vec<usize> = kept.chain(axes.iter().copied()).collect();
        let copy = fresh(&x.permute(&order))?;
        (copy.clone(), copy)
    };
    dispatch!(float: x.dtype(), T => {
        let (from, to) = (Shared::new(x.ptr::<T>()), Shared::new(out.ptr_mut::<T>()));
        let scratch = Shared::new(scratch.ptr_mut::<T>());
        if last {
            // SAFETY: `contiguous` laid out `count` rows of n elements, and T is their dtype;
            // `scratch` has n, or a group of rows if that is more, or all of `x` if that is less
            // than a group; both it and `out` are fresh.
            unsafe { lse_rows::<T>(from.get(), scratch.get(), to.get(), count, n) };
        } else {
            threads::for_each(count, n * COST, group(n), |rows| {
                let (start, first) = (rows.start * n, rows.start);
                // SAFETY: the copy has `count` rows of n elements, T is their dtype; it and `out`
                // are fresh, and this range has its rows alone. The rows are their own scratch: a
                // group is written over itself, or over those before it.
                unsafe {
                    let (x, scratch) = (from.get().add(start), scratch.get().add(start));
                    lse_rows::<T>(x, scratch, to.get().add(first), rows.len(), n);
                }
            });
        }
    }, else return Err(Error::undefined("logsumexp", x.dtype())));
    Ok(out)
}

/// `exp(x)` scaled to sum to 1 along `axis`.
pub fn softmax(x: &Array, axis: usize) -> Result<Array> {
    if !x.dtype().is_float() {
        return Err(Error::undefined("softmax", x.dtype()));
    }
    at_the_end([x], axis, |[x]| along_rows(&x, false))
}

/// The logarithm of [`softmax`], without its cancellation.
pub fn log_softmax(x: &Array, axis: usize) -> Result<Array> {
    if !x.dtype().is_float() {
        return Err(Error::undefined("log_softmax", x.dtype()));
    }
    at_the_end([x], axis, |[x]| along_rows(&x, true))
}

/// Calls `rows` with the operands row-major and `axis` as their last; the result has the axes as
/// they were.
fn at_the_end<const N: usize>(
    operands: [&Array; N],
    axis: usize,
    rows: impl FnOnce([Array; N]) -> Result<Array>,
) -> Result<Array> {
    let ndim = operands[0].ndim();
    let mut laid = operands.map(Array::clone);
    if axis + 1 == ndim {
        for x in &mut laid {
            *x = contiguous(x)?;
        }
        return rows(laid);
    }
    let order: Vec<usize> = (0..ndim).filter(|&i| i != axis).chain([axis]).collect();
    for x in &mut laid {
        *x = contiguous(&x.permute(&order))?;
    }
    let mut back = vec![0; ndim];
    for (place, &axis) in order.iter().enumerate() {
        back[axis] = place;
    }
    contiguous(&rows(laid)?.permute(&back))
}

/// What a row with this maximum is shifted by, where only its log-sum-exp is asked for: with an
/// infinite one the exponentials and their logarithm come out right by themselves. The shares of
/// such a row are not numbers.
#[inline(always)]
fn shift<T: Number>(max: T) -> T {
    if max == T::LOWEST || max == T::HIGHEST {
        T::ZERO
    } else {
        max
    }
}

/// The logarithm of the sum of the exponentials `e`, the largest of which is 1 (or of those of an
/// infinite row). If that is above all others together, it is taken out of the sum, so that the
/// digits of the others count. The elements are used up.
///
/// # Safety
/// There are `n` elements, and nobody else sees them.
#[inline(always)]
unsafe fn log_of_sum<S: super::simd::Simd, T: Elementary>(e: *mut T, n: usize) -> T {
    // SAFETY: the caller's promise.
    unsafe {
        let sum = fold::<T, SumOf>(e, n);
        if is_dominated(sum) {
            rest_of::<T>(e, n).log1p::<S>()
        } else {
            sum.log::<S>()
        }
    }
}

/// Whether a sum of exponentials, the largest of which is 1, is mostly that.
#[inline(always)]
pub(super) fn is_dominated<T: Float>(sum: T) -> bool {
    sum >= T::ONE && sum < T::ONE.add(T::ONE)
}

/// The sum of exponentials without the first that is 1; it is set to 0.
///
/// # Safety
/// There are `n` elements, and nobody else sees them.
#[inline(always)]
pub(super) unsafe fn rest_of<T: Float>(e: *mut T, n: usize) -> T {
    // SAFETY: the caller's promise.
    unsafe {
        if let Some(largest) = (0..n).find(|&i| e.add(i).read() == T::ONE) {
            e.add(largest).write(T::ZERO);
        }
        fold::<T, SumOf>(e, n)
    }
}

fn along_rows(x: &Array, log: bool) -> Result<Array> {
    let out = Array::empty(x.dtype(), x.shape())?;
    let n = x.shape()[x.ndim() - 1];
    let count = x.size().checked_div(n).unwrap_or(0);
    dispatch!(float: x.dtype(), T => {
        let (from, to) = (Shared::new(x.ptr::<T>()), Shared::new(out.ptr_mut::<T>()));
        threads::for_each(count, n * COST, group(n), |rows| {
            let start = rows.start * n;
            // SAFETY: `at_the_end` laid the rows out, T is the dtype of both; `out` is fresh, of
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
    /// (or `count`, if these are fewer); nobody else sees these two. `scratch` may be the first of
    /// the rows themselves.
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
                    let log_sum = log_of_sum::<S, T>(scratch.add(row * n), n);
                    let max = out.add(start + row).read();
                    out.add(start + row).write(log_sum.add(max));
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
                    let log_sum = log_of_sum::<S, T>(out, n);
                    let max = fold::<T, MaxOf>(x, n);
                    for i in 0..n {
                        out.add(i).write(x.add(i).read().sub(max).sub(log_sum));
                    }
                }
            }
        }
    }
}
