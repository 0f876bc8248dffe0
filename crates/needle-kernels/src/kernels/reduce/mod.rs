//! Reductions over any axes: sum, max and min.

mod loops;

use crate::array::Array;
use crate::dtype::{DType, Kind};
use crate::error::Result;
use crate::kernels::cast::cast;
use crate::kernels::layout::{self, Dim, Dims, split_inner};
use crate::kernels::threads::{self, Shared};
use crate::shape;
use loops::{COST, Folds, SIDE, WIDE};
use std::ops::Range;

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

/// `x` reduced over sorted `axes`, in its own dtype.
pub fn reduce(op: Reduce, x: &Array, axes: &[usize], keepdims: bool) -> Result<Array> {
    let out = Array::empty(x.dtype(), &shape::reduced(x.shape(), axes, keepdims))?;
    reduce_with(Folds::for_dtype(op, x.dtype()), x, axes, &out);
    Ok(out)
}

/// Whether any element of an array of integers is below zero; false for other arrays.
pub fn any_negative(x: &Array) -> Result<bool> {
    if x.dtype().kind() != Kind::Signed {
        return Ok(false);
    }
    let axes: Vec<usize> = (0..x.ndim()).collect();
    let least = cast(&reduce(Reduce::Min, x, &axes, false)?, DType::I64)?;
    // SAFETY: over all axes, so one element, which `cast` made int64.
    Ok(unsafe { least.ptr::<i64>().read() } < 0)
}

fn reduce_with(folds: &Folds, x: &Array, axes: &[usize], out: &Array) {
    let (from, to) = (Shared::new(x.address()), Shared::new(out.address()));
    let (size, width) = (x.size(), x.dtype().size());
    if x.is_contiguous() && axes.len() == x.ndim() {
        // SAFETY: `size` elements, row-major, of the dtype that `folds` are for; `out` is fresh and
        // has one.
        unsafe { folds.all(from.get(), width, size, to.get()) };
        return;
    }
    if size == 0 {
        // SAFETY: runs without elements; `out` is fresh and has these many results.
        unsafe { (folds.rows)(from.get(), [0, 1], to.get(), 1, [0, out.size()], true) };
        return;
    }
    let (kept, gone) = split_axes(x, axes, out.size());
    let (kept_outer, kept) = split_inner(&kept);
    let (gone_outer, gone) = split_inner(&gone);
    let [out_step, kept_step] = kept.steps;
    let [gone_step] = gone.steps;
    let by_columns = kept.len > 1 && kept_step.abs() < gone_step.abs();
    // Results `part` of the row of results at `o`.
    let reduce_part = |[o, i]: [isize; 2], part: Range<usize>| {
        let start = part.start as isize;
        let (o, i) = (o + start * out_step, i + start * kept_step);
        let mut first = true;
        layout::for_each(gone_outer, |[j]| {
            // SAFETY: the steps of both nests are strides of `x` and of its reduced shape, so they
            // stay within both arrays, of the dtype that `folds` are for. `out` is fresh, and each
            // part is one range's; `first` is true until its results were written.
            unsafe {
                let x = from.get().offset((i + j) * width as isize);
                let out = to.get().offset(o * width as isize);
                if by_columns {
                    let sizes = [part.len(), gone.len];
                    (folds.columns)(x, [gone_step, kept_step], out, sizes, first);
                } else {
                    let sizes = [gone.len, part.len()];
                    (folds.rows)(x, [kept_step, gone_step], out, out_step, sizes, first);
                }
            }
            first = false;
        });
    };
    let cost = size / out.size() * COST;
    let nests = layout::size(kept_outer);
    // Parts begin where they make no difference to how the loops group their elements.
    let grain = if by_columns { WIDE } else { SIDE };
    if nests >= 8 || kept.len <= grain {
        threads::for_each(nests, cost * kept.len, 1, |range| {
            layout::for_each_in(kept_outer, range, |at| reduce_part(at, 0..kept.len));
        });
    } else {
        layout::for_each(kept_outer, |at| {
            threads::for_each(kept.len, cost, grain, |part| reduce_part(at, part));
        });
    }
}

/// The loop nests over the axes that stay (steps of the result, steps of `x`) and over
/// those that go, the latter from the largest step to the smallest: their order is free.
fn split_axes(x: &Array, axes: &[usize], out_size: usize) -> (Dims<2>, Dims<1>) {
    let mut kept: Dims<2> = Dims::new();
    let mut gone: Dims<1> = Dims::new();
    let mut out_step = out_size as isize;
    for (axis, (&len, &step)) in x.shape().iter().zip(&x.strides()).enumerate() {
        if axes.contains(&axis) {
            if len != 1 {
                gone.push(Dim { len, steps: [step] });
            }
        } else {
            out_step /= len as isize;
            if len != 1 {
                layout::push(
                    &mut kept,
                    Dim {
                        len,
                        steps: [out_step, step],
                    },
                );
            }
        }
    }
    gone.sort_by_key(|d| std::cmp::Reverse(d.steps[0].unsigned_abs()));
    let mut merged = Dims::new();
    for dim in gone {
        layout::push(&mut merged, dim);
    }
    (kept, merged)
}
