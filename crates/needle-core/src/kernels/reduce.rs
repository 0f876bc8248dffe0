//! Reductions over any axes: sum, max and min.

use super::layout::{self, Dim, Dims, split_inner};
use super::number::Number;
use crate::array::Array;
use crate::dispatch;
use crate::dtype::Element;
use crate::error::Result;
use crate::shape;

/// What to reduce by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduce {
    /// Sum, 0 where there is nothing.
    Sum,
    /// Largest; NaN if any is.
    Max,
    /// Smallest; NaN if any is.
    Min,
}

/// An associative operation with a neutral element.
trait Fold<T> {
    const NEUTRAL: T;
    fn join(a: T, b: T) -> T;
}

struct SumOf;
struct MaxOf;
struct MinOf;

#[allow(clippy::inline_always)]
impl<T: Number> Fold<T> for SumOf {
    const NEUTRAL: T = T::ZERO;
    #[inline(always)]
    fn join(a: T, b: T) -> T {
        a.add(b)
    }
}
#[allow(clippy::inline_always)]
impl<T: Number> Fold<T> for MaxOf {
    const NEUTRAL: T = T::LOWEST;
    #[inline(always)]
    fn join(a: T, b: T) -> T {
        a.maximum(b)
    }
}
#[allow(clippy::inline_always)]
impl<T: Number> Fold<T> for MinOf {
    const NEUTRAL: T = T::HIGHEST;
    #[inline(always)]
    fn join(a: T, b: T) -> T {
        a.minimum(b)
    }
}

/// Elements that are folded in one pass before halves are joined pairwise.
const BLOCK: usize = 1024;
/// Partial results that are kept side by side: the lanes of several vector registers.
const LANES: usize = 64;

/// A run of up to [`BLOCK`] elements.
#[inline(always)]
#[allow(clippy::inline_always)]
unsafe fn fold_block<T: Element, F: Fold<T>>(x: *const T, step: isize, n: usize) -> T {
    // SAFETY (all): the caller's promise.
    let at = |i: usize| unsafe { x.offset(i as isize * step).read() };
    if n < 2 * LANES {
        let mut few = [F::NEUTRAL; 8];
        let whole = n / 8 * 8;
        for i in (0..whole).step_by(8) {
            for (lane, value) in few.iter_mut().enumerate() {
                *value = F::join(*value, at(i + lane));
            }
        }
        let mut rest = F::NEUTRAL;
        for i in whole..n {
            rest = F::join(rest, at(i));
        }
        let [a, b, c, d, e, f, g, h] = few;
        let left = F::join(F::join(a, b), F::join(c, d));
        let right = F::join(F::join(e, f), F::join(g, h));
        return F::join(F::join(left, right), rest);
    }
    let mut lanes = [F::NEUTRAL; LANES];
    let whole = n / LANES * LANES;
    for i in (0..whole).step_by(LANES) {
        for (lane, value) in lanes.iter_mut().enumerate() {
            *value = F::join(*value, at(i + lane));
        }
    }
    for i in whole..n {
        lanes[i - whole] = F::join(lanes[i - whole], at(i));
    }
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] = F::join(lanes[i], lanes[i + width]);
        }
        width /= 2;
    }
    lanes[0]
}

simd! {
    /// Folds `n` elements, pairwise over blocks.
    ///
    /// # Safety
    /// All addresses are valid.
    unsafe fn fold_row<S>[T: Element, F: Fold<T>](x: *const T, step: isize, n: usize) -> T {
        // A binary counter of finished blocks: `partial[k]` stands for 2^k of them.
        let mut partial = [F::NEUTRAL; usize::BITS as usize];
        let mut blocks = 0usize;
        let mut at = 0;
        while n - at > BLOCK {
            // SAFETY: the caller's promise.
            let mut value = unsafe {
                let start = x.offset(at as isize * step);
                if step == 1 { fold_block::<T, F>(start, 1, BLOCK) } else { fold_block::<T, F>(start, step, BLOCK) }
            };
            let mut level = 0;
            while blocks >> level & 1 == 1 {
                value = F::join(partial[level], value);
                level += 1;
            }
            partial[level] = value;
            blocks += 1;
            at += BLOCK;
        }
        // SAFETY: the caller's promise.
        let mut value = unsafe {
            let start = x.offset(at as isize * step);
            if step == 1 { fold_block::<T, F>(start, 1, n - at) } else { fold_block::<T, F>(start, step, n - at) }
        };
        let mut level = 0;
        while blocks >> level != 0 {
            if blocks >> level & 1 == 1 {
                value = F::join(partial[level], value);
            }
            level += 1;
        }
        value
    }
}

simd! {
    /// `out[i] = F(out[i], x[i * step])` for `i < n`.
    ///
    /// # Safety
    /// All addresses are valid, and nobody else sees `out`.
    unsafe fn join_row<S>[T: Element, F: Fold<T>](x: *const T, step: isize, out: *mut T, n: usize) {
        // SAFETY (all): the caller's promise.
        if step == 1 {
            for i in 0..n {
                unsafe { out.add(i).write(F::join(out.add(i).read(), x.add(i).read())) };
            }
        } else {
            for i in 0..n {
                unsafe {
                    let value = x.offset(i as isize * step).read();
                    out.add(i).write(F::join(out.add(i).read(), value));
                }
            }
        }
    }
}

/// `x` reduced over sorted `axes`, in its own dtype.
pub fn reduce(op: Reduce, x: &Array, axes: &[usize], keepdims: bool) -> Result<Array> {
    let out = Array::empty(x.dtype(), &shape::reduced(x.shape(), axes, keepdims))?;
    dispatch!(x.dtype(), T => match op {
        Reduce::Sum => reduce_with::<T, SumOf>(x, axes, &out),
        Reduce::Max => reduce_with::<T, MaxOf>(x, axes, &out),
        Reduce::Min => reduce_with::<T, MinOf>(x, axes, &out),
    });
    Ok(out)
}

fn reduce_with<T: Element, F: Fold<T>>(x: &Array, axes: &[usize], out: &Array) {
    let (from, to) = (x.ptr::<T>(), out.ptr_mut::<T>());
    let size = x.size();
    if x.is_contiguous() && axes.len() == x.ndim() {
        // SAFETY: `size` elements, row-major; `out` is fresh and has one element.
        unsafe { to.write(fold_row::<T, F>(from, 1, size)) };
        return;
    }
    let mut kept: Dims<2> = Dims::new();
    let mut gone: Dims<1> = Dims::new();
    let mut out_step = out.size() as isize;
    let strides = x.strides();
    for (axis, (&len, &step)) in x.shape().iter().zip(&strides).enumerate() {
        if axes.contains(&axis) {
            if len != 1 {
                layout::push(&mut gone, Dim { len, steps: [step] });
            }
        } else {
            out_step /= len.max(1) as isize;
            if len != 1 {
                layout::push(&mut kept, Dim { len, steps: [out_step, step] });
            }
        }
    }
    if size == 0 {
        for i in 0..out.size() {
            // SAFETY: `out` is fresh and has these many elements.
            unsafe { to.add(i).write(F::NEUTRAL) };
        }
        return;
    }
    // The order of the reduced axes is free: the smallest step goes innermost.
    gone.sort_by_key(|d| std::cmp::Reverse(d.steps[0].unsigned_abs()));
    let inner_gone = gone.last().map_or(isize::MAX, |d| d.steps[0].abs());
    let inner_kept = kept.last().map_or(isize::MAX, |d| d.steps[1].abs());
    if inner_kept < inner_gone {
        columns::<T, F>(from, to, &kept, &gone);
    } else {
        rows::<T, F>(from, to, &kept, &gone);
    }
}

/// Each result from runs along the innermost reduced axis.
fn rows<T: Element, F: Fold<T>>(from: *const T, to: *mut T, kept: &[Dim<2>], gone: &[Dim<1>]) {
    let (outer, inner) = split_inner(gone);
    layout::for_each(kept, |[o, i]| {
        let mut value = None;
        layout::for_each(outer, |[j]| {
            // SAFETY: the strides stay within the array.
            let part = unsafe { fold_row::<T, F>(from.offset(i + j), inner.steps[0], inner.len) };
            value = Some(value.map_or(part, |v| F::join(v, part)));
        });
        // SAFETY: the strides stay within `out`, which is fresh.
        unsafe { to.offset(o).write(value.unwrap_or(F::NEUTRAL)) };
    });
}

/// Whole rows of results at a time: row after row is joined to them.
fn columns<T: Element, F: Fold<T>>(from: *const T, to: *mut T, kept: &[Dim<2>], gone: &[Dim<1>]) {
    let (outer, inner) = split_inner(kept);
    layout::for_each(outer, |[o, i]| {
        // SAFETY (all): the strides stay within both arrays, and `out` is fresh.
        let out = unsafe { to.offset(o) };
        for k in 0..inner.len {
            unsafe { out.add(k).write(F::NEUTRAL) };
        }
        layout::for_each(gone, |[j]| unsafe {
            join_row::<T, F>(from.offset(i + j), inner.steps[1], out, inner.len);
        });
    });
}

/// Sum of `n` neighbours, for kernels that sum what they have just computed.
///
/// # Safety
/// All addresses are valid.
#[inline]
pub(super) unsafe fn sum_row<T: Number>(x: *const T, n: usize) -> T {
    // SAFETY: the caller's promise.
    unsafe { fold_row::<T, SumOf>(x, 1, n) }
}
