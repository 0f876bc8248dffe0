//! Selection: one of two elements by a condition. No arithmetic: the NaN or
//! infinity of the other one does no harm.

use super::CHEAP;
use crate::array::Array;
use crate::dispatch;
use crate::dtype::{Bool, DType, Element};
use crate::error::Result;
use crate::kernels::copy::straighten;
use crate::kernels::layout::{self, broadcast_strides, collapse};
use crate::kernels::threads::Shared;
use crate::shape;

simd! {
    /// `out[i] = c[i] ? a[i] : b[i]` for `i < n`, each operand by its own step.
    ///
    /// # Safety
    /// Each operand has `n` elements by its step, `out` has `n`, and nobody else sees these.
    unsafe fn select_row<S>[T: Element](
        c: *const Bool, a: *const T, b: *const T, steps: [isize; 3], out: *mut T, n: usize
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            match steps {
                [1, 1, 1] => for i in 0..n {
                    out.add(i).write(choose(c, a, b, [1, 1, 1], i));
                },
                [1, 1, 0] => for i in 0..n {
                    out.add(i).write(choose(c, a, b, [1, 1, 0], i));
                },
                [1, 0, 1] => for i in 0..n {
                    out.add(i).write(choose(c, a, b, [1, 0, 1], i));
                },
                _ => for i in 0..n {
                    out.add(i).write(choose(c, a, b, steps, i));
                },
            }
        }
    }
}

/// Element `i` of one or the other. Both are read, so that the choice needs no branch.
///
/// # Safety
/// As [`select_row`], `i` being below its `n`.
#[inline(always)]
unsafe fn choose<T: Element>(
    c: *const Bool,
    a: *const T,
    b: *const T,
    [step_c, step_a, step_b]: [isize; 3],
    i: usize,
) -> T {
    let i = i as isize;
    // SAFETY: the caller's promise.
    unsafe {
        let (a, b) = (a.offset(i * step_a).read(), b.offset(i * step_b).read());
        if c.offset(i * step_c).read().get() {
            a
        } else {
            b
        }
    }
}

/// `a` where `cond` holds, else `b`; all three are broadcast together.
pub fn select(cond: &Array, a: &Array, b: &Array) -> Result<Array> {
    debug_assert_eq!((cond.dtype(), a.dtype()), (DType::Bool, b.dtype()));
    let shape = shape::broadcast("where", a.shape(), b.shape())?;
    let shape = shape::broadcast("where", cond.shape(), &shape)?;
    let out = Array::empty(a.dtype(), &shape)?;
    let (cond, a, b) = (&straighten(cond)?, &straighten(a)?, &straighten(b)?);
    let steps = [cond, a, b].map(|x| broadcast_strides(x, &shape));
    let dims = collapse(&shape, [&out.strides(), &steps[0], &steps[1], &steps[2]]);
    dispatch!(unsigned: a.dtype(), T => {
        let (c, to) = (Shared::new(cond.ptr::<Bool>()), Shared::new(out.address().cast::<T>()));
        let [a, b] = [a, b].map(|x| Shared::new(x.address().cast::<T>()));
        layout::for_each_row(&dims, CHEAP, |[o, i, j, k], row| {
            let [_, sc, sa, sb] = row.steps;
            // SAFETY: the strides broadcast to the shape of `out`, so they stay within; the op cast
            // `cond` to bool and the other two to one dtype. `out` is fresh, and this row is nobody
            // else's.
            unsafe {
                let (c, a, b) = (c.get().offset(i), a.get().offset(j), b.get().offset(k));
                select_row::<T>(c, a, b, [sc, sa, sb], to.get().offset(o), row.len);
            }
        });
    });
    Ok(out)
}
