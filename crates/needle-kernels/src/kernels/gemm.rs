//! Products of small and medium matrices.
//!
//! A tile of the result stays in registers: rows of `b` are loaded as vectors, elements of
//! `a` are repeated over one. `a` may have any strides and is read where it is: putting it
//! into another order first is most of the time that a general gemm spends on such sizes.
//! Of `b` one strip at a time is copied to where it fits the innermost cache, if there are
//! rows enough to read it again.

use super::isa::Simd;
use super::matmul::Product;
use super::number::Number;
use super::vector::{Real, Vector};
use std::mem::MaybeUninit;

/// Terms of a dot product that are summed before they are added to the result.
const DEPTH: usize = 192;
/// Bytes of a strip of `b`: three vectors of 64 bytes wide. It fits the innermost cache.
const STRIP: usize = DEPTH * 3 * 64;
/// Rows of the result from which a strip of `b` is copied.
const ROWS_FOR_STRIP: usize = 16;

#[repr(align(64))]
struct Strip(MaybeUninit<[u8; STRIP]>);

simd! {
    /// `c = a @ b` for rows of `c` that are `row` apart. The bits of an element depend on
    /// its row of `a` and its column of `b` alone.
    ///
    /// # Safety
    /// All addresses are valid, `b` has steps of 1 along its rows, and nobody else sees `c`.
    pub(super) unsafe fn multiply<S>[T: GemmElement](
        p: &Product, row: usize, a: *const T, b: *const T, c: *mut T
    ) {
        let len = <T::Of<S> as Vector<T>>::LEN;
        let vectors = p.n.div_ceil(len);
        let strips = vectors.div_ceil(3);
        let mut copy = Strip(MaybeUninit::uninit());
        let copy = copy.0.as_mut_ptr().cast::<T>();
        let mut depth = 0;
        loop {
            let k = DEPTH.min(p.k - depth);
            // Strips of nearly the same width: a narrow last one would waste half of it.
            for strip in 0..strips {
                let (first, last) = (vectors * strip / strips, vectors * (strip + 1) / strips);
                let j = first * len;
                let columns = (last * len).min(p.n) - j;
                // SAFETY: the caller's promise; tiles cover the strip once.
                unsafe {
                    let mut at = Tile {
                        k,
                        a: a.wrapping_offset(depth as isize * p.a[1]),
                        a_steps: p.a,
                        b: b.offset(depth as isize * p.b[0]).add(j),
                        b_row: p.b[0],
                        c: c.add(j),
                        c_row: row,
                        columns,
                        add: depth > 0,
                    };
                    if p.m >= ROWS_FOR_STRIP {
                        at.copy_strip::<S>(copy, (last - first) * len);
                    }
                    match last - first {
                        1 => at.rows::<S, 1>(p.m),
                        2 => at.rows::<S, 2>(p.m),
                        _ => at.rows::<S, 3>(p.m),
                    }
                }
            }
            depth += k;
            // Once through for k = 0 too: that writes the zeros.
            if depth >= p.k {
                return;
            }
        }
    }
}

simd! {
    /// `c[i] = a[i, :] . b` for `m` rows of `a`, which are `row` apart. The bits of an element
    /// depend on its row of `a` and on `b` alone.
    ///
    /// # Safety
    /// All addresses are valid, rows of `a` and `b` have steps of 1, and nobody else sees `c`.
    pub(super) unsafe fn dots<S>[T: GemmElement](
        m: usize, k: usize, row: isize, a: *const T, b: *const T, c: *mut T
    ) {
        let len = <T::Of<S> as Vector<T>>::LEN;
        let whole = k / (4 * len) * (4 * len);
        for i in 0..m {
            // SAFETY: the caller's promise, for all of it.
            unsafe {
                let a = a.offset(i as isize * row);
                let mut sums = [T::Of::<S>::splat(T::ZERO); 4];
                for at in (0..whole).step_by(4 * len) {
                    for (j, sum) in sums.iter_mut().enumerate() {
                        let at = at + j * len;
                        let (a, b) = (T::Of::<S>::load(a.add(at)), T::Of::<S>::load(b.add(at)));
                        *sum = sum.add_product(a, b);
                    }
                }
                for at in (whole..k).step_by(len) {
                    let rest = len.min(k - at);
                    let a = T::Of::<S>::load_first(a.add(at), rest);
                    let b = T::Of::<S>::load_first(b.add(at), rest);
                    sums[0] = sums[0].add_product(a, b);
                }
                let sum = sums[0].add(sums[1]).add(sums[2].add(sums[3]));
                c.add(i).write(sum.total());
            }
        }
    }
}

/// The element types of this kernel.
pub(super) trait GemmElement: Real + Number {}
impl GemmElement for f32 {}
impl GemmElement for f64 {}

/// Rows of the result above one strip of columns.
#[derive(Clone, Copy)]
struct Tile<T> {
    k: usize,
    a: *const T,
    a_steps: [isize; 2],
    b: *const T,
    b_row: isize,
    c: *mut T,
    c_row: usize,
    columns: usize,
    add: bool,
}

impl<T: GemmElement> Tile<T> {
    /// Copies the strip of `b` to where its rows, `width` long, follow each other.
    #[inline(always)]
    unsafe fn copy_strip<S: Simd>(&mut self, to: *mut T, width: usize) {
        let len = <T::Of<S> as Vector<T>>::LEN;
        let (whole, tail) = (self.columns / len, self.columns % len);
        let (mut from, mut at) = (self.b, to);
        // SAFETY: the caller's promise; `width` has room for all vectors.
        unsafe {
            for _ in 0..self.k {
                for j in 0..whole {
                    T::Of::<S>::load(from.add(j * len)).store(at.add(j * len));
                }
                if tail > 0 {
                    let rest = T::Of::<S>::load_first(from.add(whole * len), tail);
                    rest.store(at.add(whole * len));
                }
                from = from.wrapping_offset(self.b_row);
                at = at.wrapping_add(width);
            }
        }
        self.b = to;
        self.b_row = width as isize;
    }

    /// All `m` rows, as many at a time as fit the registers.
    #[inline(always)]
    unsafe fn rows<S: Simd, const NV: usize>(self, m: usize) {
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

    #[inline(always)]
    unsafe fn fill<S: Simd, const NV: usize, const MR: usize, const WHOLE: bool>(
        &self,
        tail: usize,
    ) {
        let len = <T::Of<S> as Vector<T>>::LEN;
        // SAFETY: the caller's promise, for all of it.
        unsafe {
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
