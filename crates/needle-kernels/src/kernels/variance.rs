//! Mean and variance over any axes. Where sums overflow that the result would not, they are made
//! again of smaller elements.

use super::copy::contiguous;
use super::elementwise::{DIVIDE, MULTIPLY, SUBTRACT};
use super::fold::{BLOCK, SumOf, fold_in_place};
use super::number::{Float, Number};
use super::reduce::{Reduce, reduce};
use super::threads::{self, Shared};
use crate::array::Array;
use crate::dispatch;
use crate::dtype::{DType, Scalar};
use crate::error::Result;
use crate::shape;

/// The mean over sorted `axes`; the array is of floats.
pub fn mean(x: &Array, axes: &[usize], keepdims: bool) -> Result<Array> {
    let count: usize = axes.iter().map(|&axis| x.shape()[axis]).product();
    let plain = |x: &Array| {
        let sum = reduce(Reduce::Sum, x, axes, keepdims)?;
        DIVIDE.with(&sum, Scalar::Float(count as f64))
    };
    // The sum of as many elements as memory has addresses stays finite.
    let down = 2f64.powi(-64);
    mended(plain(x)?, || {
        let small = MULTIPLY.with(x, Scalar::Float(down))?;
        MULTIPLY.with(&plain(&small)?, Scalar::Float(1.0 / down))
    })
}

/// The sum of the squared distances from the mean over sorted `axes`, divided by `divisor`;
/// the array is of floats.
pub fn variance(x: &Array, axes: &[usize], keepdims: bool, divisor: f64) -> Result<Array> {
    // Squares, and sums of them, stay finite, and those that count are normal numbers.
    let down = 2f64.powi(if x.dtype() == DType::F32 { -95 } else { -767 });
    mended(plain_variance(x, axes, keepdims, divisor)?, || {
        let small = MULTIPLY.with(x, Scalar::Float(down))?;
        let variance = plain_variance(&small, axes, keepdims, divisor)?;
        let up = Scalar::Float(1.0 / down);
        MULTIPLY.with(&MULTIPLY.with(&variance, up)?, up)
    })
}

/// `out`, the elements of which are those of `again` where they are not finite. The array is
/// fresh.
fn mended(out: Array, again: impl FnOnce() -> Result<Array>) -> Result<Array> {
    let n = out.size();
    dispatch!(float: out.dtype(), T => {
        let at = out.ptr_mut::<T>();
        // SAFETY: the kernel before has just made `out`: row-major, all written, and seen by nobody
        // else.
        if unsafe { are_finite::<T>(at, n) } {
            return Ok(out);
        }
        let again = contiguous(&again()?)?;
        for i in 0..n {
            // SAFETY: as above; `again` has the same shape and dtype.
            unsafe {
                if !is_finite(at.add(i).read()) {
                    at.add(i).write(again.ptr::<T>().add(i).read());
                }
            }
        }
    }, else {});
    Ok(out)
}

#[inline(always)]
fn is_finite<T: Float>(x: T) -> bool {
    x.sub(x) == T::ZERO
}

simd! {
    /// Whether all of `n` elements are finite.
    ///
    /// # Safety
    /// There are `n` elements.
    unsafe fn are_finite<S>[T: Float](x: *const T, n: usize) -> bool {
        let mut all = true;
        for i in 0..n {
            // SAFETY: the caller's promise.
            all &= is_finite(unsafe { x.add(i).read() });
        }
        all
    }
}

fn plain_variance(x: &Array, axes: &[usize], keepdims: bool, divisor: f64) -> Result<Array> {
    let shape = shape::reduced(x.shape(), axes, keepdims);
    if x.size() == 0 || !shape::are_last(axes, x.ndim()) {
        // The rounding of the first mean, which far from 0 may be large beside the distances
        // from it, is taken out by the second.
        let d = centred(&centred(x, axes)?, axes)?;
        let squares = MULTIPLY.of(&d, &d)?;
        let sum = reduce(Reduce::Sum, &squares, axes, keepdims)?;
        return DIVIDE.with(&sum, Scalar::Float(divisor));
    }
    let x = contiguous(x)?;
    let out = Array::empty(x.dtype(), &shape)?;
    let (count, n) = (out.size(), x.size() / out.size());
    dispatch!(float: x.dtype(), T => {
        let divisor = <T as Number>::from_scalar(Scalar::Float(divisor));
        let (from, to) = (Shared::new(x.ptr::<T>()), Shared::new(out.ptr_mut::<T>()));
        // Many rows: one to a thread. Few: the pieces of each are shared.
        if n <= PIECE {
            threads::for_each(count, n * COST, 1, |range| {
                for i in range {
                    // SAFETY: `contiguous` laid out `count` rows of `n` elements, T is their dtype;
                    // `out` is fresh, and each place is its row's.
                    unsafe {
                        let row = from.get().add(i * n);
                        let moments = moments_of::<T>(row, n, origin_of::<T>(row, n));
                        to.get().add(i).write(moments.squares.div(divisor));
                    }
                }
            });
        } else {
            for i in 0..count {
                // SAFETY: `contiguous` laid out `count` rows of `n` elements, T is their dtype;
                // `out` is fresh.
                unsafe {
                    let moments = moments_of_pieces::<T>(from.get().add(i * n), n);
                    to.get().add(i).write(moments.squares.div(divisor));
                }
            }
        }
    }, else {});
    Ok(out)
}

/// Distances from the mean over `axes`.
fn centred(x: &Array, axes: &[usize]) -> Result<Array> {
    let count: usize = axes.iter().map(|&axis| x.shape()[axis]).product();
    let sum = reduce(Reduce::Sum, x, axes, true)?;
    let mean = DIVIDE.with(&sum, Scalar::Float(count as f64))?;
    SUBTRACT.of(x, &mean)
}

/// Elements whose mean is near the others, it is hoped.
const SOME: usize = 64;
/// Elements that one thread takes at a time.
const PIECE: usize = 32 * BLOCK;
/// Picoseconds for an element, roughly.
const COST: usize = 150;

/// Of some elements: their mean, and the sum of the squared distances from it.
#[derive(Clone, Copy)]
struct Moments<T> {
    count: T,
    mean: T,
    squares: T,
}

impl<T: Float> Moments<T> {
    const NONE: Self = Self {
        count: T::ZERO,
        mean: T::ZERO,
        squares: T::ZERO,
    };

    /// Of both sets of elements (T. Chan, G. Golub and R. LeVeque, "Updating formulae and a
    /// pairwise algorithm for computing sample variances", 1979).
    #[inline(always)]
    fn join(self, other: Self) -> Self {
        if self.count == T::ZERO {
            return other;
        }
        let count = self.count.add(other.count);
        let (d, share) = (other.mean.sub(self.mean), other.count.div(count));
        Self {
            count,
            mean: self.mean.add(d.mul(share)),
            squares: self
                .squares
                .add(other.squares)
                .add(d.mul(d).mul(share.mul(self.count))),
        }
    }
}

simd! {
    /// A number near the elements: from there their distances from their mean keep all digits,
    /// however far from 0 they are.
    ///
    /// # Safety
    /// There are `n` elements.
    unsafe fn origin_of<S>[T: Float](x: *const T, n: usize) -> T {
        let n = n.min(SOME);
        // SAFETY: the caller's promise.
        let mean = unsafe { fold_in_place::<T, SumOf>(x, n) }.div(T::from_scalar(Scalar::UInt(n as u64)));
        // A sum that has overflowed is no place to start from.
        if is_finite(mean) { mean } else { T::ZERO }
    }
}

/// Memory that begins with a page. Large arrays begin one cache line into theirs, so what is read
/// next never looks, in the low bits of its address, like what was just written: a processor that
/// compares these alone would wait.
#[repr(align(4096))]
struct Page<T>([T; BLOCK]);

simd! {
    /// Of the elements less `origin`.
    ///
    /// # Safety
    /// There are `n` elements.
    unsafe fn moments_of<S>[T: Float](x: *const T, n: usize, origin: T) -> Moments<T> {
        let mut all = Moments::NONE;
        let mut block = Page([T::ZERO; BLOCK]);
        let block = &mut block.0;
        for start in (0..n).step_by(BLOCK) {
            let len = BLOCK.min(n - start);
            let count = T::from_scalar(Scalar::UInt(len as u64));
            // SAFETY: the caller's promise.
            unsafe {
                for (i, place) in block.iter_mut().enumerate().take(len) {
                    *place = x.add(start + i).read().sub(origin);
                }
                let mean = fold_in_place::<T, SumOf>(block.as_ptr(), len).div(count);
                for place in block.iter_mut().take(len) {
                    let d = place.sub(mean);
                    *place = d.mul(d);
                }
                let squares = fold_in_place::<T, SumOf>(block.as_ptr(), len);
                all = all.join(Moments { count, mean, squares });
            }
        }
        all
    }
}

/// The pieces of a long row, on several threads; joined in order, whoever took them.
///
/// # Safety
/// There are `n` elements.
unsafe fn moments_of_pieces<T: Float>(x: *const T, n: usize) -> Moments<T> {
    let mut pieces = vec![Moments::<T>::NONE; n.div_ceil(PIECE)];
    let (from, to) = (Shared::new(x), Shared::new(pieces.as_mut_ptr()));
    // SAFETY: the caller's promise.
    let origin = unsafe { origin_of::<T>(x, n) };
    threads::for_each(pieces.len(), PIECE * COST, 1, |range| {
        for i in range {
            let (start, len) = (i * PIECE, PIECE.min(n - i * PIECE));
            // SAFETY: the caller's promise; each place is written by one thread.
            unsafe {
                to.get()
                    .add(i)
                    .write(moments_of::<T>(from.get().add(start), len, origin));
            };
        }
    });
    pieces.into_iter().fold(Moments::NONE, Moments::join)
}
