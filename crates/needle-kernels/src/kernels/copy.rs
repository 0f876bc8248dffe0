//! Copies, constant arrays, and reshapes that cannot be views.

use super::layout::{self, Dim, collapse};
use super::number::element;
use super::threads::{self, Shared};
use crate::array::Array;
use crate::dispatch;
use crate::dtype::{DType, Element, Scalar};
use crate::error::Result;
use crate::shape;
use std::mem::MaybeUninit;

/// `x` with its elements row-major; `x` itself where they are.
pub fn contiguous(x: &Array) -> Result<Array> {
    if x.is_contiguous() {
        return Ok(x.clone());
    }
    fresh(x)
}

/// A copy of `x`, row-major.
pub fn fresh(x: &Array) -> Result<Array> {
    let out = Array::empty(x.dtype(), x.shape())?;
    // SAFETY: `out` is fresh, so nobody else sees it, and of the same dtype and shape.
    unsafe { copy_to(x, &out) };
    Ok(out)
}

/// Copies `x` into `out`, a writable view of the same dtype and shape.
///
/// # Safety
/// The dtypes and shapes are the same, and nobody else reads or writes the elements of `out`.
pub(super) unsafe fn copy_to(x: &Array, out: &Array) {
    // Only the size of an element counts in a copy.
    match x.dtype().size() {
        // SAFETY: the caller's promise, and words of this size.
        1 => unsafe { copy_words::<u8>(x, out) },
        // SAFETY: the caller's promise, and words of this size.
        2 => unsafe { copy_words::<u16>(x, out) },
        // SAFETY: the caller's promise, and words of this size.
        4 => unsafe { copy_words::<u32>(x, out) },
        // SAFETY: the caller's promise, and words of this size.
        _ => unsafe { copy_words::<u64>(x, out) },
    }
}

/// [`copy_to`] by words.
///
/// # Safety
/// As [`copy_to`], `W` being as large as an element.
unsafe fn copy_words<W: Element>(x: &Array, out: &Array) {
    let [from, to] = [x, out].map(|a| Shared::new(a.address().cast::<W>()));
    let mut dims = collapse(x.shape(), [&out.strides(), &x.strides()]);
    if let Some(across) = transposed(&dims) {
        let (rows, columns) = (dims.remove(across), dims.remove(dims.len() - 1));
        layout::for_each(&dims, |[o, i]| {
            threads::for_each(rows.len, COST * columns.len, TILE, |range| {
                let start = range.start as isize;
                // SAFETY: the strides stay within both arrays, which have one shape; by the
                // caller's promise the target is ours, and this range has its rows alone.
                unsafe {
                    let from = from.get().offset(i + start * rows.steps[1]);
                    let to = to.get().offset(o + start * rows.steps[0]);
                    let step = rows.steps[0];
                    transpose(from, columns.steps[1], to, step, range.len(), columns.len);
                }
            });
        });
        return;
    }
    layout::for_each_row(&dims, COST, |[o, i], row| {
        let [step_to, step_from] = row.steps;
        // SAFETY: the strides stay within both arrays, which have one shape; by the caller's
        // promise the target is ours, and this row is nobody else's.
        unsafe {
            let (from, to) = (from.get().offset(i), to.get().offset(o));
            copy_row(from, step_from, to, step_to, row.len);
        }
    });
}

/// Picoseconds for an element.
const COST: usize = 150;

/// Edge of the tiles in which a transposed matrix is copied: two cache lines of float32.
const TILE: usize = 32;

/// The dimension along which the source steps by one while the target does so along the
/// innermost, if both are long enough to be copied in tiles.
pub(super) fn transposed(dims: &[Dim<2>]) -> Option<usize> {
    let (inner, outer) = dims.split_last()?;
    if inner.steps[0] != 1 || inner.len < TILE / 2 || inner.steps[1].abs() < 2 {
        return None;
    }
    outer
        .iter()
        .position(|d| d.steps[1] == 1 && d.len >= TILE / 2)
}

simd! {
    /// `out[r * step_out + c] = x[c * step + r]` for `r < rows` and `c < columns`, in tiles,
    /// so that each cache line is fetched once on either side.
    ///
    /// # Safety
    /// These elements can be read and written by the steps, and nobody else sees those of `out`.
    unsafe fn transpose<S>[W: Element](
        x: *const W, step: isize, out: *mut W, step_out: isize, rows: usize, columns: usize
    ) {
        // Rows of the tile are one longer than it, or its columns would share cache sets.
        let mut tile = [MaybeUninit::<W>::uninit(); TILE * (TILE + 1)];
        let tile = tile.as_mut_ptr().cast::<W>();
        for r in (0..rows).step_by(TILE) {
            let height = TILE.min(rows - r);
            for c in (0..columns).step_by(TILE) {
                let width = TILE.min(columns - c);
                // SAFETY: the caller's promise; the tile has room for 32 rows of 33, and what is
                // read of it was written in this turn.
                unsafe {
                    for i in 0..width {
                        let line = x.offset((c + i) as isize * step).add(r);
                        let kept = tile.add(i * (TILE + 1));
                        if height == TILE {
                            kept.copy_from_nonoverlapping(line, TILE);
                        } else {
                            kept.copy_from_nonoverlapping(line, height);
                        }
                    }
                    for j in 0..height {
                        let line = out.offset((r + j) as isize * step_out).add(c);
                        for i in 0..width {
                            line.add(i).write(tile.add(i * (TILE + 1) + j).read());
                        }
                    }
                }
            }
        }
    }
}

/// Copies `n` elements.
///
/// # Safety
/// There are `n` elements on either side by its step, and nobody else sees those of `out`.
#[inline]
unsafe fn copy_row<W: Element>(x: *const W, step: isize, out: *mut W, step_out: isize, n: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        if (step, step_out) == (1, 1) {
            out.copy_from_nonoverlapping(x, n);
        } else if step_out == 1 {
            for i in 0..n {
                out.add(i).write(x.offset(i as isize * step).read());
            }
        } else {
            for i in 0..n as isize {
                out.offset(i * step_out).write(x.offset(i * step).read());
            }
        }
    }
}

/// Copies `count` rows of `n` elements, whose steps are those from row to row and within a row,
/// to rows that lie side by side. The commonest steps are known where the loop is compiled, so
/// that it moves whole vectors.
///
/// # Safety
/// As [`Gather`](super::cast::Gather), for words as large as an element.
pub(super) unsafe fn gather_words<W: Element>(
    x: *const u8,
    [down, along]: [isize; 2],
    out: *mut u8,
    n: usize,
    count: usize,
) {
    let (x, out) = (x.cast::<W>(), out.cast::<W>());
    for r in 0..count {
        // SAFETY: the caller's promise.
        unsafe {
            let (x, out) = (x.offset(r as isize * down), out.add(r * n));
            match along {
                1 => out.copy_from_nonoverlapping(x, n),
                0 => copy_steps(x, 0, out, n),
                2 => copy_steps(x, 2, out, n),
                -1 => copy_steps(x, -1, out, n),
                along => copy_steps(x, along, out, n),
            }
        }
    }
}

/// `n` elements, `along` apart, brought side by side.
///
/// # Safety
/// As [`gather_words`], for one row.
#[inline(always)]
unsafe fn copy_steps<W: Element>(x: *const W, along: isize, out: *mut W, n: usize) {
    for i in 0..n {
        // SAFETY: the caller's promise.
        unsafe { out.add(i).write(x.offset(i as isize * along).read()) };
    }
}

/// `x`, or a row-major copy of it where it is a large matrix that runs against the rows of
/// a row-major result: two straight passes cost less than one across.
#[inline]
pub(super) fn straighten(x: &Array) -> Result<Array> {
    if x.is_contiguous() || x.size() < TILE * TILE {
        return Ok(x.clone());
    }
    let plain = shape::contiguous_strides(x.shape());
    if transposed(&collapse(x.shape(), [&plain, &x.strides()])).is_some() {
        return contiguous(x);
    }
    Ok(x.clone())
}

/// An array with `value`, converted to `dtype`, everywhere.
pub fn full(dtype: DType, shape: &[usize], value: Scalar) -> Result<Array> {
    let out = Array::empty(dtype, shape)?;
    let (n, value) = (out.size(), element(value, dtype));
    dispatch!(unsigned: dtype, T => {
        let to = Shared::new(out.address().cast::<T>());
        // SAFETY: a word is as large and as aligned as any element, whose bytes come first in it.
        let value = unsafe { (&raw const value).cast::<T>().read() };
        threads::for_each(n, COST, layout::GRAIN, |range| {
            for i in range {
                // SAFETY: `out` is fresh and has `n` elements of this size; each index is one
                // range's.
                unsafe { to.get().add(i).write(value) };
            }
        });
    });
    Ok(out)
}

/// The elements of `x`, in row-major order, under another shape of equal size: a view where
/// the strides allow it.
pub fn reshape(x: &Array, shape: &[usize]) -> Result<Array> {
    if let Some(view) = x.reshape_view(shape) {
        return Ok(view);
    }
    let copy = contiguous(x)?;
    Ok(copy.reshape_view(shape).unwrap_or(copy))
}
