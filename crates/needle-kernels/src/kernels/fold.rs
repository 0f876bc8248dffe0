//! The loops of reductions: one run of elements, many runs, and rows joined to a row.
//!
//! Sums keep many partial results side by side and join them pairwise, so that their error
//! grows with the logarithm of the length; which element meets which depends on the length
//! alone, not on the instruction set.

use super::number::Number;
use super::threads::{self, Shared};
use crate::dispatch;
use crate::dtype::DType;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// An associative operation with a neutral element.
pub(super) trait Fold<T> {
    const NEUTRAL: T;
    fn join(a: T, b: T) -> T;
    /// [`Fold::join`] where neither is NaN, if that is less work.
    #[inline(always)]
    fn join_numbers(a: T, b: T) -> T {
        Self::join(a, b)
    }
    /// Whether [`Fold::join_numbers`] loses NaN, which then has to be looked for.
    const LOSES_NAN: bool = false;
}

pub(super) struct SumOf;
pub(super) struct MaxOf;
pub(super) struct MinOf;

impl<T: Number> Fold<T> for SumOf {
    const NEUTRAL: T = T::ZERO;
    #[inline(always)]
    fn join(a: T, b: T) -> T {
        a.add(b)
    }
}
impl<T: Number> Fold<T> for MaxOf {
    const NEUTRAL: T = T::LOWEST;
    #[inline(always)]
    fn join(a: T, b: T) -> T {
        a.maximum(b)
    }
    #[inline(always)]
    fn join_numbers(a: T, b: T) -> T {
        a.larger(b)
    }
    const LOSES_NAN: bool = true;
}
impl<T: Number> Fold<T> for MinOf {
    const NEUTRAL: T = T::HIGHEST;
    #[inline(always)]
    fn join(a: T, b: T) -> T {
        a.minimum(b)
    }
    #[inline(always)]
    fn join_numbers(a: T, b: T) -> T {
        a.smaller(b)
    }
    const LOSES_NAN: bool = true;
}

/// Elements that are folded in one pass before halves are joined pairwise.
const BLOCK: usize = 1024;
/// Partial results that are kept side by side: the lanes of several vector registers.
const LANES: usize = 64;
/// Elements that are read in one turn: two for each lane.
const PAIR: usize = 2 * LANES;
/// Runs of up to this length are folded side by side, [`SIDE`] at a time.
const SHORT: usize = 16;
pub(super) const SIDE: usize = 16;
/// Elements of a row that is put together from several short ones.
pub(super) const WIDE: usize = 256;
/// Picoseconds for an element, roughly.
pub(super) const COST: usize = 45;

/// A run of fewer than [`PAIR`] elements.
///
/// # Safety
/// All addresses are valid.
#[inline(always)]
unsafe fn fold_few<T: Number, F: Fold<T>>(x: *const T, n: usize) -> T {
    // SAFETY: the caller's promise.
    let at = |i: usize| unsafe { x.add(i).read() };
    if n < 8 {
        let mut value = F::NEUTRAL;
        for i in 0..n {
            value = F::join(value, at(i));
        }
        return value;
    }
    let mut few: [T; 8] = std::array::from_fn(at);
    let whole = n / 8 * 8;
    for i in (8..whole).step_by(8) {
        for (lane, value) in few.iter_mut().enumerate() {
            *value = F::join(*value, at(i + lane));
        }
    }
    let [a, b, c, d, e, f, g, h] = few;
    let left = F::join(F::join(a, b), F::join(c, d));
    let right = F::join(F::join(e, f), F::join(g, h));
    // A sum of -0 alone is 0, as it is where the lanes begin with the neutral element.
    let mut value = F::join(F::NEUTRAL, F::join(left, right));
    for i in whole..n {
        value = F::join(value, at(i));
    }
    value
}

/// A run of [`PAIR`] to [`BLOCK`] elements.
///
/// # Safety
/// As [`fold_few`].
#[inline(always)]
unsafe fn fold_block<T: Number, F: Fold<T>>(x: *const T, n: usize) -> T {
    // SAFETY: the caller's promise.
    let at = |i: usize| unsafe { x.add(i).read() };
    let mut lanes = [F::NEUTRAL; LANES];
    let mut lost = false;
    let whole = n / PAIR * PAIR;
    for i in (0..whole).step_by(PAIR) {
        for (lane, value) in lanes.iter_mut().enumerate() {
            let two = F::join_numbers(at(i + lane), at(i + LANES + lane));
            *value = F::join_numbers(*value, two);
        }
        if F::LOSES_NAN {
            for i in i..i + LANES {
                lost |= at(i).is_nan() | at(i + LANES).is_nan();
            }
        }
    }
    if whole < n {
        // A place in `lanes` that is not known in advance would put them all into memory.
        let mut rest = [F::NEUTRAL; PAIR];
        for (i, place) in (whole..n).zip(&mut rest) {
            *place = at(i);
            lost |= F::LOSES_NAN && place.is_nan();
        }
        for (lane, value) in lanes.iter_mut().enumerate() {
            let two = F::join_numbers(rest[lane], rest[LANES + lane]);
            *value = F::join_numbers(*value, two);
        }
    }
    if lost && let Some(nan) = (0..n).map(at).find(|value| value.is_nan()) {
        return nan;
    }
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] = F::join_numbers(lanes[i], lanes[i + width]);
        }
        width /= 2;
    }
    lanes[0]
}

/// Folds `n` elements, pairwise over blocks; for use inside of `simd!` bodies.
///
/// # Safety
/// All addresses are valid.
#[inline(always)]
pub(super) unsafe fn fold<T: Number, F: Fold<T>>(x: *const T, n: usize) -> T {
    // SAFETY: the caller's promise, here and below.
    if n < PAIR {
        unsafe { fold_few::<T, F>(x, n) }
    } else {
        unsafe { fold_run::<T, F>(x, 1, n) }
    }
}

simd! {
    /// Folds `n` elements that are `step` apart, pairwise over blocks.
    ///
    /// # Safety
    /// All addresses are valid.
    unsafe fn fold_run<S>[T: Number, F: Fold<T>](x: *const T, step: isize, n: usize) -> T {
        if const { !T::DTYPE.is_float() } {
            let mut value = F::NEUTRAL;
            for i in 0..n as isize {
                // SAFETY: the caller's promise.
                value = F::join(value, unsafe { x.offset(i * step).read() });
            }
            return value;
        }
        let mut pairs = Pairs::<T, F>::new();
        let mut apart = [const { MaybeUninit::<T>::uninit() }; BLOCK];
        let mut start = 0;
        loop {
            let len = BLOCK.min(n - start);
            // SAFETY: the caller's promise, and `apart` has room for a block.
            let block = unsafe {
                let mut from = x.offset(start as isize * step);
                if step != 1 {
                    for (i, place) in apart.iter_mut().enumerate().take(len) {
                        place.write(from.offset(i as isize * step).read());
                    }
                    from = apart.as_ptr().cast();
                }
                if len < PAIR { fold_few::<T, F>(from, len) } else { fold_block::<T, F>(from, len) }
            };
            if len == n {
                return block;
            }
            pairs.push(block);
            start += len;
            if start == n {
                return pairs.join();
            }
        }
    }
}

/// Values that are joined pairwise, pairs of these, and so on: a binary counter in which
/// `partial[k]` stands for 2^k of them.
struct Pairs<T, F> {
    partial: [MaybeUninit<T>; usize::BITS as usize],
    count: usize,
    by: PhantomData<F>,
}

impl<T: Number, F: Fold<T>> Pairs<T, F> {
    #[inline(always)]
    fn new() -> Self {
        Self {
            partial: [const { MaybeUninit::uninit() }; usize::BITS as usize],
            count: 0,
            by: PhantomData,
        }
    }

    #[inline(always)]
    fn push(&mut self, mut value: T) {
        let mut level = 0;
        while self.count >> level & 1 == 1 {
            // SAFETY: a level whose bit is set in the count has been written.
            value = F::join(unsafe { self.partial[level].assume_init() }, value);
            level += 1;
        }
        self.partial[level].write(value);
        self.count += 1;
    }

    /// All values as one, the neutral element if there are none.
    #[inline(always)]
    fn join(self) -> T {
        let levels = (0..usize::BITS).filter(|level| self.count >> level & 1 == 1);
        // SAFETY: as above.
        let partial = levels.map(|level| unsafe { self.partial[level as usize].assume_init() });
        partial
            .reduce(|later, earlier| F::join(earlier, later))
            .unwrap_or(F::NEUTRAL)
    }
}

/// The loops of one operation, compiled for one element type.
pub(super) struct Folds {
    /// See [`rows`].
    pub(super) rows: unsafe fn(*const u8, [isize; 2], *mut u8, isize, [usize; 2], bool),
    /// See [`columns`].
    pub(super) columns: unsafe fn(*const u8, [isize; 2], *mut u8, [usize; 2], bool),
    /// See [`join`].
    join: unsafe fn(*const u8, *mut u8, usize),
}

impl Folds {
    fn of<T: Number, F: Fold<T>>() -> Self {
        Self {
            rows: rows::<T, F>,
            columns: columns::<T, F>,
            join: join::<T, F>,
        }
    }

    /// Sums; integers of one width share theirs.
    pub(super) fn sums(dtype: DType) -> Self {
        dispatch!(unsigned: dtype, T => Self::of::<T, SumOf>())
    }

    /// Largest elements.
    pub(super) fn maxima(dtype: DType) -> Self {
        dispatch!(dtype, T => Self::of::<T, MaxOf>())
    }

    /// Smallest elements.
    pub(super) fn minima(dtype: DType) -> Self {
        dispatch!(dtype, T => Self::of::<T, MinOf>())
    }

    /// Folds `n` elements of `size` bytes that lie side by side, on several threads where that
    /// pays.
    ///
    /// # Safety
    /// All addresses are valid, and nobody else sees `out`.
    pub(super) unsafe fn all(&self, x: *const u8, size: usize, n: usize, out: *mut u8) {
        if n <= PIECE {
            // SAFETY: the caller's promise.
            return unsafe { (self.rows)(x, [0, 1], out, 0, [n, 1], true) };
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
                // SAFETY: the caller's promise; each place is written by one thread.
                unsafe {
                    let (x, out) = (from.get().add(start * size), to.get().add(i * size));
                    (self.rows)(x, [0, 1], out, 0, [len, 1], true);
                }
            }
        });
        // SAFETY: as many values as pieces.
        unsafe { (self.join)(to.get(), out, pieces) };
    }
}

/// Elements that one thread folds at a time: a power of two of blocks, so that the pairs
/// are the same as without threads.
const PIECE: usize = 32 * BLOCK;

/// Joins values that stand for pieces of a run, pairwise.
///
/// # Safety
/// All addresses are valid, and nobody else sees `out`.
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
    /// Folds `count` runs of `n` elements each into results `out_step` apart: into fresh ones if
    /// `first`, else joined to what is there. The steps are those from run to run and within one.
    ///
    /// # Safety
    /// All addresses are valid, and nobody else sees `out`.
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
                    // SAFETY: as above.
                    unsafe { out.offset((done + lane) as isize * out_step).write(*value) };
                }
                done += SIDE;
            }
        }
        for i in done as isize..count as isize {
            // SAFETY: the caller's promise.
            unsafe {
                let x = x.offset(i * steps[0]);
                let value = if T::DTYPE.is_float() && n < PAIR && steps[1] == 1 {
                    fold_few::<T, F>(x, n)
                } else {
                    fold_run::<T, F>(x, steps[1], n)
                };
                let out = out.offset(i * out_step);
                out.write(if first { value } else { F::join(out.read(), value) });
            }
        }
    }
}

/// Joins `count` rows of `n` elements, `row` apart, to the row `out`: eight at a time and
/// these pairwise, where the order counts.
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
            // SAFETY: as above.
            unsafe { out.add(i).write(F::join(out.add(i).read(), block)) };
        }
    }
    for r in whole..count {
        for i in 0..n {
            // SAFETY: as above.
            unsafe { out.add(i).write(F::join(out.add(i).read(), at(r, i))) };
        }
    }
}

simd! {
    /// [`join_apart`], with loads of whole vectors where the elements of a row lie side by side.
    ///
    /// # Safety
    /// All addresses are valid, and nobody else sees `out`.
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
/// All addresses are valid, and nobody else sees `out`.
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
