//! Loops over strided operands: dimensions are collapsed first, so that what is left is a
//! short list of outer dimensions around one long inner one.

use super::threads;
use crate::array::{Array, Strides};
use smallvec::SmallVec;
use std::ops::Range;

/// One dimension of a loop over `N` operands: its length and each operand's step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dim<const N: usize> {
    pub(crate) len: usize,
    pub(crate) steps: [isize; N],
}

/// A nest of loops, the outermost first; without dimensions it runs once.
pub(crate) type Dims<const N: usize> = SmallVec<[Dim<N>; 4]>;

/// The strides of `x` stretched to `shape`: 0 along axes that broadcasting repeats.
pub(crate) fn broadcast_strides(x: &Array, shape: &[usize]) -> Strides {
    let own = x.strides();
    if x.shape() == shape {
        return own;
    }
    let skip = shape.len() - x.ndim();
    (0..shape.len())
        .map(|axis| match axis.checked_sub(skip) {
            Some(i) if x.shape()[i] == shape[axis] => own[i],
            _ => 0,
        })
        .collect()
}

/// The loop nest for operands with these strides, without axes of length 1 and with
/// neighbouring axes merged where every operand steps evenly over both.
pub(crate) fn collapse<const N: usize>(shape: &[usize], strides: [&[isize]; N]) -> Dims<N> {
    let mut dims = Dims::new();
    for (axis, &len) in shape.iter().enumerate() {
        if len != 1 {
            let steps = std::array::from_fn(|i| strides[i][axis]);
            push(&mut dims, Dim { len, steps });
        }
    }
    dims
}

/// Adds an inner dimension, merged into the last one where the steps allow it.
pub(crate) fn push<const N: usize>(dims: &mut Dims<N>, dim: Dim<N>) {
    if let Some(last) = dims.last_mut() {
        let even = |i: usize| last.steps[i] == dim.steps[i] * dim.len as isize;
        if (0..N).all(even) {
            last.len *= dim.len;
            last.steps = dim.steps;
            return;
        }
    }
    dims.push(dim);
}

/// Calls `body` with the offset of each operand for every index of the nest, in order.
#[inline]
pub(crate) fn for_each<const N: usize>(dims: &[Dim<N>], mut body: impl FnMut([isize; N])) {
    walk(dims, 0..size(dims), &mut body);
}

/// How many indices a nest has.
#[inline]
pub(crate) fn size<const N: usize>(dims: &[Dim<N>]) -> usize {
    dims.iter().map(|dim| dim.len).product()
}

/// [`for_each`] for some of the indices, counted in order.
#[inline]
pub(crate) fn for_each_in<const N: usize>(
    dims: &[Dim<N>],
    range: Range<usize>,
    mut body: impl FnMut([isize; N]),
) {
    walk(dims, range, &mut body);
}

/// Compiled once for all bodies: calling one takes far less than what it does.
fn walk<const N: usize>(dims: &[Dim<N>], range: Range<usize>, body: &mut dyn FnMut([isize; N])) {
    if range.is_empty() {
        return;
    }
    let mut index: SmallVec<[usize; 4]> = SmallVec::from_elem(0, dims.len());
    let mut at = [0isize; N];
    let mut before = range.start;
    if before > 0 {
        for (i, dim) in index.iter_mut().zip(dims).rev() {
            *i = before % dim.len;
            before /= dim.len;
            for (a, step) in at.iter_mut().zip(&dim.steps) {
                *a += step * *i as isize;
            }
        }
    }
    for _ in range {
        body(at);
        for (index, dim) in index.iter_mut().zip(dims).rev() {
            *index += 1;
            if *index < dim.len {
                for (a, step) in at.iter_mut().zip(&dim.steps) {
                    *a += step;
                }
                break;
            }
            for (a, step) in at.iter_mut().zip(&dim.steps) {
                *a -= step * (dim.len as isize - 1);
            }
            *index = 0;
        }
    }
}

/// Indices along a row that one thread takes at least, a whole number of vectors.
pub(crate) const GRAIN: usize = 1024;

/// Calls `body` with offsets and the inner dimension for every row of the nest, or for parts
/// of rows, on several threads where `cost` (picoseconds for each index) says that it pays.
#[inline]
pub(crate) fn for_each_row<const N: usize>(
    dims: &[Dim<N>],
    cost: usize,
    body: impl Fn([isize; N], Dim<N>) + Sync,
) {
    for_each_block(dims, cost, |at, rows, row| {
        for r in 0..rows.len {
            body(ahead(at, rows, r), row);
        }
    });
}

/// [`for_each_row`] for runs of rows: `body` gets the dimension over them too, and so need
/// not be called for each of many short ones.
#[inline]
pub(crate) fn for_each_block<const N: usize>(
    dims: &[Dim<N>],
    cost: usize,
    body: impl Fn([isize; N], Dim<N>, Dim<N>) + Sync,
) {
    share_blocks(dims, cost, &body);
}

fn share_blocks<const N: usize>(
    dims: &[Dim<N>],
    cost: usize,
    body: &(dyn Fn([isize; N], Dim<N>, Dim<N>) + Sync),
) {
    let (outer, inner) = split_inner(dims);
    let count = size(outer);
    if inner.len == 0 || count == 0 {
        return;
    }
    let (outermost, rows) = split_inner(outer);
    if count >= 64 || (count > 1 && inner.len < 2 * GRAIN) {
        threads::for_each(count, cost * inner.len, 1, |range| {
            let runs = range.start / rows.len..range.end.div_ceil(rows.len);
            let mut start = runs.start * rows.len;
            for_each_in(outermost, runs, |at| {
                let skipped = range.start.saturating_sub(start);
                let len = (range.end - start).min(rows.len) - skipped;
                body(ahead(at, rows, skipped), Dim { len, ..rows }, inner);
                start += rows.len;
            });
        });
        return;
    }
    for_each(outer, |at| {
        threads::for_each(inner.len, cost, GRAIN, |range| {
            let at = ahead(at, inner, range.start);
            let len = range.len();
            body(at, Dim { len: 1, ..rows }, Dim { len, ..inner });
        });
    });
}

/// Offsets `n` steps further along a dimension.
#[inline]
fn ahead<const N: usize>(at: [isize; N], dim: Dim<N>, n: usize) -> [isize; N] {
    std::array::from_fn(|i| at[i] + n as isize * dim.steps[i])
}

/// Splits off the innermost dimension; a nest without any gives one of length 1.
#[inline]
pub(crate) fn split_inner<const N: usize>(dims: &[Dim<N>]) -> (&[Dim<N>], Dim<N>) {
    match dims.split_last() {
        Some((inner, outer)) => (outer, *inner),
        None => (
            &[],
            Dim {
                len: 1,
                steps: [0; N],
            },
        ),
    }
}
