//! A tile of a product, in registers.

use super::product::GemmElement;
use crate::kernels::simd::Simd;
use crate::kernels::vector::Vector;

/// Rows of the result above one strip of columns.
#[derive(Clone, Copy)]
pub(super) struct Tile<T> {
    pub k: usize,
    pub a: *const T,
    pub a_steps: [isize; 2],
    pub b: *const T,
    pub b_row: isize,
    pub c: *mut T,
    pub c_row: usize,
    pub columns: usize,
    pub add: bool,
}

impl<T: GemmElement> Tile<T> {
    /// `m` rows below each other, `width` vectors across: 1, 2 or 3.
    ///
    /// # Safety
    /// The steps stay within `a` and `b` for `m` rows, the columns and the terms; there are so many
    /// columns that the last of the vectors has some. `c` has these rows, and nobody else sees
    /// them. The processor has the instructions of `S`.
    #[inline(always)]
    pub(super) unsafe fn rows<S: Simd>(self, width: usize, m: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            match width {
                1 => self.rows_of::<S, 1>(m),
                2 => self.rows_of::<S, 2>(m),
                _ => self.rows_of::<S, 3>(m),
            }
        }
    }

    /// All `m` rows, as many at a time as fit the registers.
    ///
    /// # Safety
    /// As [`Tile::rows`].
    #[inline(always)]
    unsafe fn rows_of<S: Simd, const NV: usize>(self, m: usize) {
        let mut left = m;
        let mut at = self;
        // SAFETY: the caller's promise; each step goes on by the rows that it has done.
        unsafe {
            macro_rules! step {
                ($MR:literal) => {
                    while left >= $MR {
                        at.tile::<S, NV, $MR>();
                        at.a = at.a.wrapping_offset($MR * at.a_steps[0]);
                        at.c = at.c.wrapping_add($MR * at.c_row);
                        left -= $MR;
                    }
                };
            }
            if S::REGISTERS == 32 {
                match NV {
                    1 => {
                        step!(14);
                    }
                    2 => {
                        step!(12);
                    }
                    _ => {}
                }
                step!(8);
            } else {
                match NV {
                    1 => {
                        step!(8);
                    }
                    2 => {
                        step!(6);
                    }
                    _ => {}
                }
            }
            step!(4);
            step!(2);
            step!(1);
        }
    }

    /// `MR` rows by `NV` vectors.
    ///
    /// # Safety
    /// As [`Tile::rows`].
    #[inline(always)]
    unsafe fn tile<S: Simd, const NV: usize, const MR: usize>(&self) {
        let tail = self.columns - (NV - 1) * <T::Of<S> as Vector<T>>::LEN;
        // SAFETY: the caller's promise.
        unsafe {
            if tail == <T::Of<S> as Vector<T>>::LEN {
                self.fill::<S, NV, MR, true>(tail);
            } else {
                self.fill::<S, NV, MR, false>(tail);
            }
        }
    }

    /// [`Tile::tile`], of whose last vectors the first `tail` elements count, all if `WHOLE`.
    ///
    /// # Safety
    /// As [`Tile::rows`].
    #[inline(always)]
    unsafe fn fill<S: Simd, const NV: usize, const MR: usize, const WHOLE: bool>(
        &self,
        tail: usize,
    ) {
        let len = <T::Of<S> as Vector<T>>::LEN;
        // SAFETY: the caller's promise, for all of it.
        unsafe {
            if self.add {
                // What the sums will be added to is fetched meanwhile.
                for i in 0..MR {
                    for j in 0..NV {
                        prefetch(self.c.wrapping_add(i * self.c_row + j * len));
                    }
                }
            }
            let mut sums = [[T::Of::<S>::splat(T::ZERO); NV]; MR];
            let (mut a, mut b) = (self.a, self.b);
            let [step, next] = self.a_steps;
            for _ in 0..self.k {
                let mut row = [T::Of::<S>::splat(T::ZERO); NV];
                for (j, vector) in row.iter_mut().enumerate() {
                    *vector = if WHOLE || j + 1 < NV {
                        T::Of::<S>::load(b.add(j * len))
                    } else {
                        T::Of::<S>::load_first(b.add(j * len), tail)
                    };
                }
                for (i, sums) in sums.iter_mut().enumerate() {
                    let factor = T::Of::<S>::splat(a.offset(i as isize * step).read());
                    for (sum, vector) in sums.iter_mut().zip(row) {
                        *sum = sum.add_product(factor, vector);
                    }
                }
                a = a.wrapping_offset(next);
                b = b.wrapping_offset(self.b_row);
            }
            for (i, sums) in sums.iter().enumerate() {
                for (j, sum) in sums.iter().enumerate() {
                    let at = self.c.add(i * self.c_row + j * len);
                    if WHOLE || j + 1 < NV {
                        let sum = if self.add {
                            T::Of::<S>::load(at).add(*sum)
                        } else {
                            *sum
                        };
                        sum.store(at);
                    } else {
                        let sum = if self.add {
                            T::Of::<S>::load_first(at, tail).add(*sum)
                        } else {
                            *sum
                        };
                        sum.store_first(at, tail);
                    }
                }
            }
        }
    }
}

/// Asks for the cache line at an address, which need not be valid.
#[inline(always)]
fn prefetch<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE is part of the architecture, and a prefetch reads no memory that the program
    // sees: an address that is not valid does nothing.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
