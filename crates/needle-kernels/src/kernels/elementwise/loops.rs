//! The loops behind elementwise kernels: contiguous and scalar operands at once, everything
//! else row by row after the dimensions are collapsed.

use crate::array::Array;
use crate::dtype::Element;
use crate::error::Result;
use crate::kernels::copy::straighten;
use crate::kernels::isa::Simd;
use crate::kernels::layout::{self, GRAIN, broadcast_strides, collapse};
use crate::kernels::threads::{self, Shared};
use crate::shape;

/// Picoseconds for an element of a function that waits for memory.
pub(super) const CHEAP: usize = 150;

/// A function of one element.
pub(super) trait Map<T> {
    /// Picoseconds for an element, roughly: what decides about threads.
    const COST: usize = CHEAP;
    /// Whether there are elements for which [`Map::apply`] is wrong.
    const GUARDED: bool = false;
    fn apply<S: Simd>(x: T) -> T;
    /// Whether an element is one of these.
    #[inline(always)]
    fn is_special(_: T) -> bool {
        false
    }
    /// The value for such an element, at any price.
    fn apply_special(x: T) -> T {
        x
    }
}

/// A function of two elements.
pub(super) trait Zip<T, O> {
    /// See [`Map::COST`].
    const COST: usize = CHEAP;
    fn apply<S: Simd>(a: T, b: T) -> O;
}

simd! {
    /// `out[i] = F(x[i * step])` for `i < n`.
    ///
    /// # Safety
    /// All addresses are valid, and nobody else sees `out`.
    pub(super) unsafe fn map_row<S>[T: Element, F: Map<T>](x: *const T, step: isize, out: *mut T, n: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            if step == 1 {
                for i in 0..n {
                    out.add(i).write(F::apply::<S>(x.add(i).read()));
                }
            } else {
                for i in 0..n {
                    out.add(i).write(F::apply::<S>(x.offset(i as isize * step).read()));
                }
            }
            if F::GUARDED {
                mend::<T, F>(x, step, out, n);
            }
        }
    }
}

/// Sets special elements right. They are rare: it looks for them in blocks, without branches.
#[inline(always)]
unsafe fn mend<T: Element, F: Map<T>>(x: *const T, step: isize, out: *mut T, n: usize) {
    for start in (0..n).step_by(256) {
        let block = start..n.min(start + 256);
        // SAFETY: the caller's promise.
        unsafe {
            let mut any = false;
            for i in block.clone() {
                any |= F::is_special(x.offset(i as isize * step).read());
            }
            if !any {
                continue;
            }
            for i in block {
                let element = x.offset(i as isize * step).read();
                if F::is_special(element) {
                    out.add(i).write(F::apply_special(element));
                }
            }
        }
    }
}

/// `F` of each element.
#[inline]
pub(super) fn map<T: Element, F: Map<T>>(x: &Array) -> Result<Array> {
    let out = Array::empty(T::DTYPE, x.shape())?;
    let to = Shared::new(out.ptr_mut::<T>());
    if x.is_contiguous() {
        let from = Shared::new(x.ptr::<T>());
        threads::for_each(out.size(), F::COST, GRAIN, |range| {
            let (start, n) = (range.start, range.len());
            // SAFETY: both have these elements, row-major; `out` is fresh.
            unsafe { map_row::<T, F>(from.get().add(start), 1, to.get().add(start), n) };
        });
        return Ok(out);
    }
    let x = straighten(x)?;
    let from = Shared::new(x.ptr::<T>());
    let dims = collapse(x.shape(), [&out.strides(), &x.strides()]);
    layout::for_each_row(&dims, F::COST, |[o, i], row| {
        // SAFETY: the strides stay within both arrays; `out` is fresh.
        unsafe {
            let (from, to) = (from.get().offset(i), to.get().offset(o));
            map_row::<T, F>(from, row.steps[1], to, row.len);
        }
    });
    Ok(out)
}

simd! {
    /// `out[i] = F(a[i * step], b[i * step])` for `i < n`, in each of `count` rows; the first
    /// of the `steps` of an operand is the one from row to row.
    ///
    /// # Safety
    /// All addresses are valid, and nobody else sees `out`.
    pub(super) unsafe fn zip_rows<S>[T: Element, O: Element, F: Zip<T, O>](
        a: *const T, steps_a: [isize; 2], b: *const T, steps_b: [isize; 2],
        out: *mut O, row: isize, n: usize, count: usize
    ) {
        for r in 0..count as isize {
            // SAFETY: the caller's promise.
            unsafe {
                let (a, b) = (a.offset(r * steps_a[0]), b.offset(r * steps_b[0]));
                let out = out.offset(r * row);
                match (steps_a[1], steps_b[1]) {
                    (1, 1) => for i in 0..n {
                        out.add(i).write(F::apply::<S>(a.add(i).read(), b.add(i).read()));
                    },
                    (1, 0) if n > 0 => {
                        let b = b.read();
                        for i in 0..n {
                            out.add(i).write(F::apply::<S>(a.add(i).read(), b));
                        }
                    }
                    (0, 1) if n > 0 => {
                        let a = a.read();
                        for i in 0..n {
                            out.add(i).write(F::apply::<S>(a, b.add(i).read()));
                        }
                    }
                    (step_a, step_b) => for i in 0..n {
                        let at = i as isize;
                        let (a, b) = (a.offset(at * step_a).read(), b.offset(at * step_b).read());
                        out.add(i).write(F::apply::<S>(a, b));
                    },
                }
            }
        }
    }
}

/// `F` of each pair of elements, broadcast together.
#[inline]
pub(super) fn zip<T: Element, O: Element, F: Zip<T, O>>(a: &Array, b: &Array) -> Result<Array> {
    if a.shape() == b.shape() && a.is_contiguous() && b.is_contiguous() {
        let out = Array::empty(O::DTYPE, a.shape())?;
        let (at_a, at_b) = (Shared::new(a.ptr::<T>()), Shared::new(b.ptr::<T>()));
        let to = Shared::new(out.ptr_mut::<O>());
        threads::for_each(out.size(), F::COST, GRAIN, |range| {
            let (start, n) = (range.start, range.len());
            // SAFETY: all three have these elements, row-major; `out` is fresh.
            unsafe {
                let (a, b) = (at_a.get().add(start), at_b.get().add(start));
                zip_rows::<T, O, F>(a, [0, 1], b, [0, 1], to.get().add(start), 0, n, 1);
            }
        });
        return Ok(out);
    }
    zip_strided::<T, O, F>(a, b)
}

fn zip_strided<T: Element, O: Element, F: Zip<T, O>>(a: &Array, b: &Array) -> Result<Array> {
    let shape = shape::broadcast("broadcast", a.shape(), b.shape())?;
    let out = Array::empty(O::DTYPE, &shape)?;
    let (a, b) = (&straighten(a)?, &straighten(b)?);
    let (at_a, at_b) = (Shared::new(a.ptr::<T>()), Shared::new(b.ptr::<T>()));
    let to = Shared::new(out.ptr_mut::<O>());
    let (steps_a, steps_b) = (broadcast_strides(a, &shape), broadcast_strides(b, &shape));
    let dims = collapse(&shape, [&out.strides(), &steps_a, &steps_b]);
    layout::for_each_block(&dims, F::COST, |[o, i, j], rows, row| {
        let [next, down_a, down_b] = rows.steps;
        let [_, step_a, step_b] = row.steps;
        let (steps_a, steps_b) = ([down_a, step_a], [down_b, step_b]);
        // SAFETY: the strides stay within the three arrays; `out` is fresh.
        unsafe {
            let (a, b) = (at_a.get().offset(i), at_b.get().offset(j));
            let out = to.get().offset(o);
            zip_rows::<T, O, F>(a, steps_a, b, steps_b, out, next, row.len, rows.len);
        }
    });
    Ok(out)
}

/// `F` of each element and one number, on the left if `LEFT`.
#[inline]
pub(super) fn zip_scalar<T: Element, O: Element, F: Zip<T, O>, const LEFT: bool>(
    x: &Array,
    value: T,
) -> Result<Array> {
    let out = Array::empty(O::DTYPE, x.shape())?;
    let (to, number) = (
        Shared::new(out.ptr_mut::<O>()),
        Shared::new(&raw const value),
    );
    let row = |from: *const T, step: isize, o: isize, n: usize| {
        let (to, number) = (to.get(), number.get());
        // SAFETY: the strides stay within the arrays, the number is repeated by step 0, and
        // `out` is fresh.
        unsafe {
            if LEFT {
                zip_rows::<T, O, F>(number, [0, 0], from, [0, step], to.offset(o), 0, n, 1);
            } else {
                zip_rows::<T, O, F>(from, [0, step], number, [0, 0], to.offset(o), 0, n, 1);
            }
        }
    };
    if x.is_contiguous() {
        let from = Shared::new(x.ptr::<T>());
        threads::for_each(out.size(), F::COST, GRAIN, |range| {
            let start = range.start;
            row(
                from.get().wrapping_add(start),
                1,
                start as isize,
                range.len(),
            );
        });
        return Ok(out);
    }
    let x = straighten(x)?;
    let from = Shared::new(x.ptr::<T>());
    let dims = collapse(x.shape(), [&out.strides(), &x.strides()]);
    layout::for_each_row(&dims, F::COST, |[o, i], inner| {
        row(from.get().wrapping_offset(i), inner.steps[1], o, inner.len);
    });
    Ok(out)
}
