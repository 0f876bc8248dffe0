//! Reductions over any axes: sum, max and min.

use super::fold::{COST, Fold, MaxOf, MinOf, SIDE, SumOf, WIDE, columns, fold_all, rows};
use super::layout::{self, Dim, Dims, split_inner};
use super::number::Number;
use super::threads::{self, Shared};
use crate::array::Array;
use crate::dispatch;
use crate::error::Result;
use crate::shape;
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
    dispatch!(x.dtype(), T => match op {
        Reduce::Sum => reduce_with::<T, SumOf>(x, axes, &out),
        Reduce::Max => reduce_with::<T, MaxOf>(x, axes, &out),
        Reduce::Min => reduce_with::<T, MinOf>(x, axes, &out),
    });
    Ok(out)
}

fn reduce_with<T: Number, F: Fold<T>>(x: &Array, axes: &[usize], out: &Array) {
    let (from, to) = (Shared::new(x.ptr::<T>()), Shared::new(out.ptr_mut::<T>()));
    let size = x.size();
    if x.is_contiguous() && axes.len() == x.ndim() {
        // SAFETY: `size` elements, row-major; `out` is fresh and has one element.
        unsafe { to.get().write(fold_all::<T, F>(from.get(), size)) };
        return;
    }
    if size == 0 {
        for i in 0..out.size() {
            // SAFETY: `out` is fresh and has these many elements.
            unsafe { to.get().add(i).write(F::NEUTRAL) };
        }
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
            // SAFETY: the strides stay within both arrays, and `out` is fresh.
            unsafe {
                let (x, out) = (from.get().offset(i + j), to.get().offset(o));
                if by_columns {
                    columns::<T, F>(x, gone_step, gone.len, kept_step, out, part.len(), first);
                } else {
                    let outs = [kept_step, out_step];
                    rows::<T, F>(x, gone_step, gone.len, outs, out, part.len(), first);
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
