//! The loops of reductions: many runs, and rows joined to a row.

use super::Reduce;
use crate::dtype::{Bool, DType, for_each_dtype};
use crate::kernels::fold::{
    BLOCK, Fold, MaxOf, MinOf, Pairs, SumOf, fold, fold_apart, fold_plainly,
};
use crate::kernels::number::Number;
use crate::kernels::threads::{self, Shared};

/// Runs of up to this length are folded side by side, [`SIDE`] at a time.
const SHORT: usize = 16;
pub(super) const SIDE: usize = 16;
/// Elements of a row that is put together from several short ones.
pub(super) const WIDE: usize = 256;
/// Picoseconds for an element, roughly.
pub(super) const COST: usize = 45;

/// The loops of one operation, compiled for one element type.
pub(super) struct Folds {
    /// See [`run`].
    run: unsafe fn(*const u8, usize, *mut u8),
    /// See [`rows`].
    pub(super) rows: unsafe fn(*const u8, [isize; 2], *mut u8, isize, [usize; 2], bool),
    /// See [`columns`].
    pub(super) columns: unsafe fn(*const u8, [isize; 2], *mut u8, [usize; 2], bool),
    /// See [`join`].
    join: unsafe fn(*const u8, *mut u8, usize),
}

/// Sums; integers of one width share theirs, and the sum of truth values is `or`.
static SUMS: [Folds; DType::ALL.len()] = [
    Folds::of::<Bool, SumOf>(),
    Folds::of::<u8, SumOf>(),
    Folds::of::<u16, SumOf>(),
    Folds::of::<u32, SumOf>(),
    Folds::of::<u64, SumOf>(),
    Folds::of::<u8, SumOf>(),
    Folds::of::<u16, SumOf>(),
    Folds::of::<u32, SumOf>(),
    Folds::of::<u64, SumOf>(),
    Folds::of::<f32, SumOf>(),
    Folds::of::<f64, SumOf>(),
];

macro_rules! one_for_each {
    ($($variant:ident, $T:ty, $name:literal, $kind:ident;)*) => {
        /// Largest elements.
        static MAXIMA: [Folds; DType::ALL.len()] = [$(Folds::of::<$T, MaxOf>()),*];
        /// Smallest elements.
        static MINIMA: [Folds; DType::ALL.len()] = [$(Folds::of::<$T, MinOf>()),*];
    };
}
for_each_dtype!(one_for_each);

impl Folds {
    const fn of<T: Number, F: Fold<T>>() -> Self {
        Self {
            run: run::<T, F>,
            rows: rows::<T, F>,
            columns: columns::<T, F>,
            join: join::<T, F>,
        }
    }

    /// The loops for a dtype.
    pub(super) fn for_dtype(op: Reduce, dtype: DType) -> &'static Self {
        let table = match op {
            Reduce::Sum => &SUMS,
            Reduce::Max => &MAXIMA,
            Reduce::Min => &MINIMA,
        };
        &table[dtype as usize]
    }

    /// Folds `n` elements of `size` bytes that lie side by side, on several threads where that
    /// pays.
    ///
    /// # Safety
    /// There are `n` elements of the dtype that these loops are for, `out` has one, and nobody else
    /// sees that.
    pub(super) unsafe fn all(&self, x: *const u8, size: usize, n: usize, out: *mut u8) {
        if n <= PIECE {
            // SAFETY: the caller's promise.
            return unsafe { (self.run)(x, n, out) };
        }
        let pieces = n.div_ceil(PIECE);
        let mut values = vec![0u64; pieces];
        let (from, to) = (
            Shared::new(x),
            Shared::new(values.as_mut_ptr().cast::<u8>()),
        );
        threads::for_each(pieces, PIECE * COST, 1, |range| {
            for i in range {
                let (start, len) = (i * PIECE, PIECE.min(n - i * PIECE));
                // SAFETY: the caller's promise, for a piece within the `n` elements; a place has a
                // word, room for any element, and is written by one thread.
                unsafe {
                    let (x, out) = (from.get().add(start * size), to.get().add(i * size));
                    (self.run)(x, len, out);
                }
            }
        });
        // SAFETY: each piece has its value, side by side from the first word on; `out` is the
        // caller's.
        unsafe { (self.join)(to.get(), out, pieces) };
    }
}

/// Elements that one thread folds at a time: a power of two of blocks, so that the pairs
/// are the same as without threads.
const PIECE: usize = 32 * BLOCK;

/// Joins values that stand for pieces of a run, pairwise.
///
/// # Safety
/// There are `count` values of `T`, `out` has one, and nobody else sees that.
unsafe fn join<T: Number, F: Fold<T>>(values: *const u8, out: *mut u8, count: usize) {
    let mut pairs = Pairs::<T, F>::new();
    // SAFETY: the caller's promise.
    unsafe {
        for i in 0..count {
            pairs.push(values.cast::<T>().add(i).read());
        }
        out.cast::<T>().write(pairs.join());
    }
}

simd! {
    /// Folds `n` elements that lie side by side.
    ///
    /// # Safety
    /// There are `n` elements of `T`, `out` has one, and nobody else sees that.
    unsafe fn run<S>[T: Number, F: Fold<T>](x: *const u8, n: usize, out: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe { out.cast::<T>().write(fold_any::<T, F>(x.cast(), 1, n)) };
    }
}

/// Folds `n` elements in whatever way their type and step ask for.
///
/// # Safety
/// There are `n` elements to be read, `step` apart.
#[inline(always)]
unsafe fn fold_any<T: Number, F: Fold<T>>(x: *const T, step: isize, n: usize) -> T {
    // SAFETY: the caller's promise.
    unsafe {
        match step {
            1 if T::DTYPE.is_float() => fold::<T, F>(x, n),
            1 => fold_plainly::<T, F>(x, 1, n),
            _ if T::DTYPE.is_float() => fold_apart::<T, F>(x, step, n),
            _ => fold_plainly::<T, F>(x, step, n),
        }
    }
}

simd! {
    /// Folds `count` runs of `n` elements each into results `out_step` apart: into fresh ones if
    /// `first`, else joined to what is there. The steps are those from run to run and within one.
    ///
    /// # Safety
    /// There are these elements of `T` by their steps, and `count` results of `T` that nobody else
    /// sees; unless `first`, they have been written.
    unsafe fn rows<S>[T: Number, F: Fold<T>](
        x: *const u8, steps: [isize; 2], out: *mut u8, out_step: isize, sizes: [usize; 2],
        first: bool
    ) {
        let (x, out, [n, count]) = (x.cast::<T>(), out.cast::<T>(), sizes);
        let mut done = 0;
        if T::DTYPE.is_float() && n <= SHORT && first {
            // Many short runs: one result to a lane.
            while done + SIDE <= count {
                let mut lanes = [F::NEUTRAL; SIDE];
                for j in 0..n as isize {
                    for (lane, value) in lanes.iter_mut().enumerate() {
                        let at = (done + lane) as isize * steps[0] + j * steps[1];
                        // SAFETY: the caller's promise.
                        *value = F::join(*value, unsafe { x.offset(at).read() });
                    }
                }
                for (lane, value) in lanes.iter().enumerate() {
                    // SAFETY: the caller's promise: results below `count`.
                    unsafe { out.offset((done + lane) as isize * out_step).write(*value) };
                }
                done += SIDE;
            }
        }
        for i in done as isize..count as isize {
            // SAFETY: the caller's promise.
            unsafe {
                let x = x.offset(i * steps[0]);
                let value = fold_any::<T, F>(x, steps[1], n);
                let out = out.offset(i * out_step);
                out.write(if first { value } else { F::join(out.read(), value) });
            }
        }
    }
}

/// Joins `count` rows of `n` elements, `row` apart, to the row `out`: eight at a time and
/// these pairwise, where the order counts.
///
/// # Safety
/// As [`join_rows`].
#[inline(always)]
unsafe fn join_apart<T: Number, F: Fold<T>>(
    x: *const T,
    [row, step]: [isize; 2],
    count: usize,
    out: *mut T,
    n: usize,
) {
    // SAFETY: the caller's promise.
    let at = |r: usize, i: usize| unsafe { x.offset(r as isize * row + i as isize * step).read() };
    let whole = if T::DTYPE.is_float() {
        count / 8 * 8
    } else {
        0
    };
    for r in (0..whole).step_by(8) {
        for i in 0..n {
            let left = F::join(
                F::join(at(r, i), at(r + 1, i)),
                F::join(at(r + 2, i), at(r + 3, i)),
            );
            let right = F::join(
                F::join(at(r + 4, i), at(r + 5, i)),
                F::join(at(r + 6, i), at(r + 7, i)),
            );
            let block = F::join(left, right);
            // SAFETY: the caller's promise: `out` has `n` elements.
            unsafe { out.add(i).write(F::join(out.add(i).read(), block)) };
        }
    }
    for r in whole..count {
        for i in 0..n {
            // SAFETY: the caller's promise: `out` has `n` elements.
            unsafe { out.add(i).write(F::join(out.add(i).read(), at(r, i))) };
        }
    }
}

simd! {
    /// [`join_apart`], with loads of whole vectors where the elements of a row lie side by side.
    ///
    /// # Safety
    /// There are `count` rows of `n` elements by their steps; `out` has `n` that have been written,
    /// and nobody else sees these.
    unsafe fn join_rows<S>[T: Number, F: Fold<T>](
        x: *const T, steps: [isize; 2], count: usize, out: *mut T, n: usize
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            if steps[1] == 1 {
                join_apart::<T, F>(x, [steps[0], 1], count, out, n);
            } else {
                join_apart::<T, F>(x, steps, count, out, n);
            }
        }
    }
}

/// Folds `count` rows of `n` elements into the row `out`: into a fresh one if `first`, else
/// joined to what is there. The steps are those from row to row and within one.
///
/// # Safety
/// There are `count` rows of `n` elements of `T` by their steps, and `n` results of `T` that nobody
/// else sees; unless `first`, they have been written.
unsafe fn columns<T: Number, F: Fold<T>>(
    x: *const u8,
    [row, step]: [isize; 2],
    out: *mut u8,
    [n, count]: [usize; 2],
    first: bool,
) {
    let (x, out) = (x.cast::<T>(), out.cast::<T>());
    // SAFETY: the caller's promise.
    unsafe {
        if first {
            for i in 0..n {
                out.add(i).write(F::NEUTRAL);
            }
        }
        // Short rows without gaps are taken several at a time, as one wide row.
        let several = WIDE / n;
        if step != 1 || row != n as isize || several < 2 || count < 4 * several {
            join_rows::<T, F>(x, [row, step], count, out, n);
            return;
        }
        let mut wide = [F::NEUTRAL; WIDE];
        let (groups, wide_row) = (count / several, (several * n) as isize);
        join_rows::<T, F>(x, [wide_row, 1], groups, wide.as_mut_ptr(), several * n);
        join_rows::<T, F>(wide.as_ptr(), [row, 1], several, out, n);
        let rest = x.offset(groups as isize * wide_row);
        join_rows::<T, F>(rest, [row, 1], count - groups * several, out, n);
    }
}
