//! Cross-entropy of softmax rows and its adjoint, in one pass over rows that stay in the cache.

use super::copy::contiguous;
use super::elementwise::DIVIDE;
use super::fold::{MaxOf, SumOf, fold};
use super::gather;
use super::math::Elementary;
use super::number::{Float, Number};
use super::reduce::{Reduce, reduce};
use super::softmax::{is_dominated, rest_of};
use super::threads::{self, Shared};
use crate::array::Array;
use crate::dispatch;
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};

/// Picoseconds for an element, roughly.
const COST: usize = 400;

/// What the rows should be.
#[derive(Clone, Copy)]
pub enum Target<'a> {
    /// Shares of all classes, in the shape and dtype of the logits.
    Shares(&'a Array),
    /// One class for each row, int64.
    Labels(&'a Array),
}

/// The length of the rows and how many there are.
fn rows_of(x: &Array) -> (usize, usize) {
    let n = x.shape().last().copied().unwrap_or(1);
    (n, x.size().checked_div(n).unwrap_or(0))
}

/// Whether a target is what the type rule and the cast of the op make it.
fn fits(x: &Array, target: Target) -> bool {
    match target {
        Target::Shares(t) => t.shape() == x.shape() && t.dtype() == x.dtype(),
        Target::Labels(t) => t.size() == rows_of(x).1 && t.dtype() == DType::I64,
    }
}

/// The classes that `labels` name.
fn classes_of(op: &str, labels: &Array, classes: usize) -> Result<Vec<usize>> {
    gather::checked(labels, |label, i| {
        if !(0..classes as i64).contains(&label) {
            return Err(Error::Index(format!(
                "{op}: expected labels from 0 to {}, got {label} at position {i}",
                classes - 1
            )));
        }
        Ok(label as usize)
    })
}

/// One row of logits and its target.
enum Row<T> {
    Shares(*const T),
    Label(usize),
}

/// Calls `body` with the address of each row of logits, its target, and its number.
fn each_row<T: Number>(
    op: &str,
    x: &Array,
    target: Target,
    body: impl Fn(*const T, Row<T>, usize) + Sync,
) -> Result<()> {
    let (n, count) = rows_of(x);
    let from = Shared::new(x.ptr::<T>());
    let row = |i: usize| from.get().wrapping_add(i * n).cast_const();
    match target {
        Target::Shares(t) => {
            let t = contiguous(t)?;
            let shares = Shared::new(t.ptr::<T>());
            threads::for_each(count, n * COST, 1, |range| {
                for i in range {
                    body(row(i), Row::Shares(shares.get().wrapping_add(i * n)), i);
                }
            });
        }
        Target::Labels(t) => {
            let labels = classes_of(op, t, n)?;
            threads::for_each(count, n * COST, 1, |range| {
                for i in range {
                    body(row(i), Row::Label(labels[i]), i);
                }
            });
        }
    }
    Ok(())
}

/// `sum(t) logsumexp(x) - sum(t x)` for each row of the last axis, and the mean of that.
pub fn cross_entropy(x: &Array, target: Target) -> Result<Array> {
    debug_assert!(fits(x, target));
    let x = contiguous(x)?;
    dispatch!(float: x.dtype(), T => {
        let (n, count) = rows_of(&x);
        let losses = Array::empty(x.dtype(), &[count])?;
        let to = Shared::new(losses.ptr_mut::<T>());
        each_row::<T>("cross_entropy", &x, target, |x, target, i| {
            // SAFETY: the op's type rule has compared both shapes and the op cast both to one
            // dtype, so rows have `n` elements; `classes_of` refused labels from `n` on; the place
            // is this row's.
            unsafe {
                let loss = match target {
                    Row::Shares(t) => entropy_row::<T>(x, t, n),
                    Row::Label(label) => label_row::<T>(x, label, n),
                };
                to.get().add(i).write(loss);
            }
        })?;
        let sum = reduce(Reduce::Sum, &losses, &[0], false)?;
        DIVIDE.with(&sum, Scalar::UInt(count as u64))
    }, else Err(Error::undefined("cross_entropy", x.dtype())))
}

/// `(sum(t) softmax(x) - t) g` for each row, `g` being one number divided by the count.
pub fn cross_entropy_gradient(g: &Array, x: &Array, target: Target) -> Result<Array> {
    debug_assert!(fits(x, target) && g.size() == 1 && g.dtype() == x.dtype());
    let x = contiguous(x)?;
    let out = Array::empty(x.dtype(), x.shape())?;
    dispatch!(float: x.dtype(), T => {
        let (n, count) = rows_of(&x);
        let divisor = <T as Number>::from_scalar(Scalar::UInt(count as u64));
        // SAFETY: the op's type rule refuses a `g` with dimensions, so it has one element; the op
        // cast it to this dtype.
        let g = unsafe { g.ptr::<T>().read() }.div(divisor);
        let to = Shared::new(out.ptr_mut::<T>());
        each_row::<T>("cross_entropy_gradient", &x, target, |x, target, i| {
            // SAFETY: the op's type rule has compared both shapes and the op cast both to one
            // dtype, so rows have `n` elements; `classes_of` refused labels from `n` on. `out` is
            // fresh, and has this row for this call alone.
            unsafe {
                let out = to.get().add(i * n);
                match target {
                    Row::Shares(t) => entropy_gradient_row::<T>(x, t, out, n, g),
                    Row::Label(label) => label_gradient_row::<T>(x, label, out, n, g),
                }
            }
        })?;
    }, else return Err(Error::undefined("cross_entropy_gradient", x.dtype())));
    Ok(out)
}

/// Elements of a row whose exponentials are taken at a time.
const BLOCK: usize = 256;

/// The maximum of a row and the logarithm of the sum of the exponentials behind it.
///
/// # Safety
/// There are `n` elements.
#[inline(always)]
unsafe fn exponentials<S: super::simd::Simd, T: Elementary>(x: *const T, n: usize) -> (T, T) {
    // SAFETY: the caller's promise.
    unsafe {
        let max = fold::<T, MaxOf>(x, n);
        let (mut sum, mut rest) = (T::ZERO, T::ZERO);
        let mut block = [T::ZERO; BLOCK];
        for start in (0..n).step_by(BLOCK) {
            let len = BLOCK.min(n - start);
            for (i, place) in block.iter_mut().enumerate().take(len) {
                *place = x.add(start + i).read().sub(max).exp::<S>();
            }
            let part = fold::<T, SumOf>(block.as_ptr(), len);
            sum = sum.add(part);
            // If the maximum is above all others together, its block alone is dominated too.
            rest = rest.add(if is_dominated(part) {
                rest_of(block.as_mut_ptr(), len)
            } else {
                part
            });
        }
        let log_sum = if is_dominated(sum) {
            rest.log1p::<S>()
        } else {
            sum.log::<S>()
        };
        (max, log_sum)
    }
}

simd! {
    /// # Safety
    /// Both rows have `n` elements.
    unsafe fn entropy_row<S>[T: Elementary](x: *const T, t: *const T, n: usize) -> T {
        // SAFETY: the caller's promise.
        unsafe {
            let (max, log_sum) = exponentials::<S, T>(x, n);
            let weight = fold::<T, SumOf>(t, n);
            let mut at = T::ZERO;
            let mut block = [T::ZERO; BLOCK];
            for start in (0..n).step_by(BLOCK) {
                let len = BLOCK.min(n - start);
                for (i, place) in block.iter_mut().enumerate().take(len) {
                    let x = x.add(start + i).read().sub(max);
                    *place = t.add(start + i).read().chain(x);
                }
                at = at.add(fold::<T, SumOf>(block.as_ptr(), len));
            }
            weight.chain(log_sum).sub(at)
        }
    }
}

simd! {
    /// # Safety
    /// All rows have `n` elements, and nobody else sees `out`.
    unsafe fn entropy_gradient_row<S>[T: Elementary](
        x: *const T, t: *const T, out: *mut T, n: usize, g: T
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let weight = fold::<T, SumOf>(t, n);
            if weight == T::ZERO {
                // The row does not count, even if its shares are not numbers.
                for i in 0..n {
                    out.add(i).write(g.chain(T::ZERO.sub(t.add(i).read())));
                }
                return;
            }
            let max = fold::<T, MaxOf>(x, n);
            for i in 0..n {
                out.add(i).write(x.add(i).read().sub(max).exp::<S>());
            }
            let sum = fold::<T, SumOf>(out, n);
            let scale = weight.div(sum);
            let largest = if is_dominated(sum) {
                (0..n).find(|&i| out.add(i).read() == T::ONE)
            } else {
                None
            };
            for i in 0..n {
                let share = out.add(i).read().mul(scale).sub(t.add(i).read());
                out.add(i).write(g.chain(share));
            }
            if let Some(largest) = largest {
                // The row sums to 0, and this is the difference of near numbers.
                out.add(largest).write(T::ZERO);
                let others = fold::<T, SumOf>(out, n);
                out.add(largest).write(T::ZERO.sub(others));
            }
        }
    }
}

simd! {
    /// # Safety
    /// The row has `n` elements, more than `label`.
    unsafe fn label_row<S>[T: Elementary](x: *const T, label: usize, n: usize) -> T {
        // SAFETY: the caller's promise.
        unsafe {
            let (max, log_sum) = exponentials::<S, T>(x, n);
            log_sum.sub(x.add(label).read().sub(max))
        }
    }
}

simd! {
    /// # Safety
    /// Both rows have `n` elements, more than `label`; nobody else sees `out`.
    unsafe fn label_gradient_row<S>[T: Elementary](
        x: *const T, label: usize, out: *mut T, n: usize, g: T
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let max = fold::<T, MaxOf>(x, n);
            for i in 0..n {
                out.add(i).write(x.add(i).read().sub(max).exp::<S>());
            }
            let sum = fold::<T, SumOf>(out, n);
            let (scale, picked) = (T::ONE.div(sum), out.add(label).read());
            let share = if picked.add(picked) > sum {
                // Minus the shares of the others.
                out.add(label).write(T::ZERO);
                T::ZERO.sub(fold::<T, SumOf>(out, n).mul(scale))
            } else {
                picked.mul(scale).sub(T::ONE)
            };
            for i in 0..n {
                out.add(i).write(g.chain(out.add(i).read().mul(scale)));
            }
            out.add(label).write(g.chain(share));
        }
    }
}
