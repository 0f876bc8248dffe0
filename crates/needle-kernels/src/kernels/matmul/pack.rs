//! Parts of a matrix in the order in which a product reads them.

use super::product::GemmElement;
use crate::kernels::simd::Simd;
use crate::kernels::vector::Vector;
use std::cell::RefCell;

/// The longest vector.
const LONGEST: usize = 16;

/// `to[d * width + i] = x[i * along + d * deep]` for `i < count` and `d < depth`, and zeros
/// behind them, up to a whole number of vectors.
///
/// # Safety
/// The steps stay within `x`; `to` has `depth` rows of `width` elements, and `width` room for the
/// whole number of vectors; nobody else sees `to`. The processor has the instructions of `S`.
#[inline(always)]
pub(super) unsafe fn pack<S: Simd, T: GemmElement>(
    [count, depth]: [usize; 2],
    x: *const T,
    [along, deep]: [isize; 2],
    to: *mut T,
    width: usize,
) {
    let len = <T::Of<S> as Vector<T>>::LEN;
    for first in (0..count).step_by(len) {
        let lanes = len.min(count - first);
        // SAFETY: the caller's promise, for all of it.
        unsafe {
            let (x, to) = (x.offset(first as isize * along), to.add(first));
            if along == 1 {
                for d in 0..depth {
                    let x = x.offset(d as isize * deep);
                    let vector = if lanes == len {
                        T::Of::<S>::load(x)
                    } else {
                        T::Of::<S>::load_first(x, lanes)
                    };
                    vector.store(to.add(d * width));
                }
            } else if deep == 1 {
                for d in (0..depth).step_by(len) {
                    let here = len.min(depth - d);
                    transpose::<S, T>([lanes, here], x.add(d), along, to.add(d * width), width);
                }
            } else {
                for d in 0..depth {
                    for i in 0..len {
                        let from = x.wrapping_offset(i as isize * along + d as isize * deep);
                        let value = if i < lanes { from.read() } else { T::ZERO };
                        to.add(d * width + i).write(value);
                    }
                }
            }
        }
    }
}

/// A square of registers, transposed: `lanes` rows of `depth` elements become columns.
///
/// # Safety
/// As [`pack`]; lanes and depth are at most a vector.
#[inline(always)]
unsafe fn transpose<S: Simd, T: GemmElement>(
    [lanes, depth]: [usize; 2],
    x: *const T,
    along: isize,
    to: *mut T,
    width: usize,
) {
    let len = <T::Of<S> as Vector<T>>::LEN;
    // SAFETY: the caller's promise, for all of it.
    unsafe {
        let mut square = [T::Of::<S>::splat(T::ZERO); LONGEST];
        if lanes == len && depth == len {
            for (i, row) in square.iter_mut().enumerate().take(len) {
                *row = T::Of::<S>::load(x.offset(i as isize * along));
            }
        } else {
            for (i, row) in square.iter_mut().enumerate().take(lanes) {
                *row = T::Of::<S>::load_first(x.offset(i as isize * along), depth);
            }
        }
        // The number of an element, its row's bits and then its column's, is rotated by one
        // bit each time, until rows and columns have changed places.
        let mut step = 1;
        while step < len {
            let before = square;
            for i in 0..len / 2 {
                (square[2 * i], square[2 * i + 1]) = before[i].zip(before[i + len / 2]);
            }
            step *= 2;
        }
        if depth == len {
            for (d, column) in square.iter().enumerate().take(len) {
                column.store(to.add(d * width));
            }
        } else {
            for (d, column) in square.iter().enumerate().take(depth) {
                column.store(to.add(d * width));
            }
        }
    }
}

/// A cache line, so that what is packed begins with one.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line(#[allow(dead_code)] [u8; 64]);

thread_local! {
    /// What a thread packs into, kept for the next product.
    static SPACE: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// Calls `body` with room for elements, whose values are left over from earlier calls.
pub(super) fn with_space<T>(elements: usize, body: impl FnOnce(*mut T)) {
    SPACE.with_borrow_mut(|space| {
        let lines = (elements * size_of::<T>()).div_ceil(size_of::<Line>());
        if space.len() < lines {
            space.resize(lines, Line([0; 64]));
        }
        body(space.as_mut_ptr().cast());
    });
}
