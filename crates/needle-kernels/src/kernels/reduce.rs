//! Reductions over any axes: sum, max and min.

use super::fold::{Fold, MaxOf, MinOf, SumOf, columns, fold_row, rows};
use super::layout::{self, Dim, Dims, split_inner};
use super::number::Number;
use crate::array::Array;
use crate::dispatch;
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
    let (from, to) = (x.ptr::<T>(), out.ptr_mut::<T>());
    let size = x.size();
    if x.is_contiguous() && axes.len() == x.ndim() {
        // SAFETY: `size` elements, row-major; `out` is fresh and has one element.
        unsafe { to.write(fold_row::<T, F>(from, 1, size)) };
        return;
    }
    if size == 0 {
        for i in 0..out.size() {
            // SAFETY: `out` is fresh and has these many elements.
            unsafe { to.add(i).write(F::NEUTRAL) };
        }
        return;
    }
    let (kept, gone) = split_axes(x, axes, out.size());
    let (kept_outer, kept) = split_inner(&kept);
    let (gone_outer, gone) = split_inner(&gone);
    let [out_step, kept_step] = kept.steps;
    let [gone_step] = gone.steps;
    let by_columns = kept.len > 1 && kept_step.abs() < gone_step.abs();
    layout::for_each(kept_outer, |[o, i]| {
        let mut first = true;
        layout::for_each(gone_outer, |[j]| {
            // SAFETY: the strides stay within both arrays, and `out` is fresh.
            unsafe {
                let (x, out) = (from.offset(i + j), to.offset(o));
                if by_columns {
                    columns::<T, F>(x, gone_step, gone.len, kept_step, out, kept.len, first);
                } else {
                    let outs = [kept_step, out_step];
                    rows::<T, F>(x, gone_step, gone.len, outs, out, kept.len, first);
                }
            }
            first = false;
        });
    });
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
