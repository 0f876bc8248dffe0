//! The loops of reductions: one run of elements, many runs, and rows joined to a row.
//!
//! Sums keep many partial results side by side and join them pairwise, so that their error
//! grows with the logarithm of the length; which element meets which depends on the length
//! alone, not on the instruction set.

use super::number::Number;
use super::threads::{self, Shared};
use std::marker::PhantomData;

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

/// A run of up to [`BLOCK`] elements.
#[inline(always)]
unsafe fn fold_block<T: Number, F: Fold<T>>(x: *const T, step: isize, n: usize) -> T {
    // SAFETY: the caller's promise.
    let at = |i: usize| unsafe { x.offset(i as isize * step).read() };
    if n < 8 {
        let mut value = F::NEUTRAL;
        for i in 0..n {
            value = F::join(value, at(i));
        }
        return value;
    }
    if n < PAIR {
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
        return value;
    }
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
pub(super) unsafe fn fold<T: Number, F: Fold<T>>(x: *const T, step: isize, n: usize) -> T {
    // A step that the compiler knows makes loads of whole vectors.
    if step == 1 {
        // SAFETY: the caller's promise.
        unsafe { fold_blocks::<T, F>(x, 1, n) }
    } else {
        // SAFETY: as above.
        unsafe { fold_blocks::<T, F>(x, step, n) }
    }
}

#[inline(always)]
unsafe fn fold_blocks<T: Number, F: Fold<T>>(x: *const T, step: isize, n: usize) -> T {
    if n <= BLOCK {
        // SAFETY: the caller's promise.
        return unsafe { fold_block::<T, F>(x, step, n) };
    }
    let mut pairs = Pairs::<T, F>::new();
    for start in (0..n).step_by(BLOCK) {
        // SAFETY: the caller's promise.
        let block = unsafe {
            fold_block::<T, F>(x.offset(start as isize * step), step, BLOCK.min(n - start))
        };
        pairs.push(block);
    }
    pairs.join()
}

/// Values that are joined pairwise, pairs of these, and so on: a binary counter in which
/// `partial[k]` stands for 2^k of them.
struct Pairs<T, F> {
    partial: [T; usize::BITS as usize],
    count: usize,
    by: PhantomData<F>,
}

impl<T: Number, F: Fold<T>> Pairs<T, F> {
    #[inline(always)]
    fn new() -> Self {
        Self {
            partial: [F::NEUTRAL; usize::BITS as usize],
            count: 0,
            by: PhantomData,
        }
    }

    #[inline(always)]
    fn push(&mut self, mut value: T) {
        let mut level = 0;
        while self.count >> level & 1 == 1 {
            value = F::join(self.partial[level], value);
            level += 1;
        }
        self.partial[level] = value;
        self.count += 1;
    }

    /// All values as one, the neutral element if there are none.
    #[inline(always)]
    fn join(self) -> T {
        let levels = (0..usize::BITS).filter(|level| self.count >> level & 1 == 1);
        let partial = levels.map(|level| self.partial[level as usize]);
        partial
            .reduce(|later, earlier| F::join(earlier, later))
            .unwrap_or(F::NEUTRAL)
    }
}

/// Elements that one thread folds at a time: a power of two of blocks, so that the pairs
/// are the same as without threads.
const PIECE: usize = 32 * BLOCK;

/// Folds `n` elements that lie side by side, on several threads where that pays.
///
/// # Safety
/// All addresses are valid.
pub(super) unsafe fn fold_all<T: Number, F: Fold<T>>(x: *const T, n: usize) -> T {
    if n <= PIECE {
        // SAFETY: the caller's promise.
        return unsafe { fold_row::<T, F>(x, 1, n) };
    }
    let mut values = vec![F::NEUTRAL; n.div_ceil(PIECE)];
    let (from, to) = (Shared::new(x), Shared::new(values.as_mut_ptr()));
    threads::for_each(values.len(), PIECE * COST, 1, |range| {
        for i in range {
            let (start, len) = (i * PIECE, PIECE.min(n - i * PIECE));
            // SAFETY: the caller's promise; each place is written by one thread.
            unsafe {
                to.get()
                    .add(i)
                    .write(fold_row::<T, F>(from.get().add(start), 1, len));
            }
        }
    });
    let mut pairs = Pairs::<T, F>::new();
    for value in values {
        pairs.push(value);
    }
    pairs.join()
}

simd! {
    /// Folds `n` elements.
    ///
    /// # Safety
    /// All addresses are valid.
    pub(super) unsafe fn fold_row<S>[T: Number, F: Fold<T>](x: *const T, step: isize, n: usize) -> T {
        // SAFETY: the caller's promise.
        unsafe { fold::<T, F>(x, step, n) }
    }
}

simd! {
    /// Folds `count` runs of `n` elements each, `steps[0]` apart, into results `steps[1]`
    /// apart: into fresh ones if `first`, else joined to what is there.
    ///
    /// # Safety
    /// All addresses are valid, and nobody else sees `out`.
    pub(super) unsafe fn rows<S>[T: Number, F: Fold<T>](
        x: *const T, step: isize, n: usize, steps: [isize; 2], out: *mut T, count: usize,
        first: bool
    ) {
        let mut done = 0;
        if n <= SHORT && first {
            // Many short runs: one result to a lane.
            while done + SIDE <= count {
                let mut lanes = [F::NEUTRAL; SIDE];
                for j in 0..n as isize {
                    for (lane, value) in lanes.iter_mut().enumerate() {
                        let at = (done + lane) as isize * steps[0] + j * step;
                        // SAFETY: the caller's promise.
                        *value = F::join(*value, unsafe { x.offset(at).read() });
                    }
                }
                for (lane, value) in lanes.iter().enumerate() {
                    // SAFETY: as above.
                    unsafe { out.offset((done + lane) as isize * steps[1]).write(*value) };
                }
                done += SIDE;
            }
        }
        for i in done as isize..count as isize {
            // SAFETY: the caller's promise.
            unsafe {
                let value = fold::<T, F>(x.offset(i * steps[0]), step, n);
                let out = out.offset(i * steps[1]);
                out.write(if first { value } else { F::join(out.read(), value) });
            }
        }
    }
}

/// Joins `count` rows of `n` elements, `row` apart, to the row `out`: eight at a time and
/// these pairwise.
#[inline(always)]
unsafe fn join_rows<T: Number, F: Fold<T>>(
    x: *const T,
    row: isize,
    count: usize,
    step: isize,
    out: *mut T,
    n: usize,
) {
    // SAFETY: the caller's promise.
    let at = |r: usize, i: usize| unsafe { x.offset(r as isize * row + i as isize * step).read() };
    let whole = count / 8 * 8;
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
    /// Folds `count` rows of `n` elements, `row` apart, into the row `out`: into a fresh one
    /// if `first`, else joined to what is there.
    ///
    /// # Safety
    /// All addresses are valid, and nobody else sees `out`.
    pub(super) unsafe fn columns<S>[T: Number, F: Fold<T>](
        x: *const T, row: isize, count: usize, step: isize, out: *mut T, n: usize, first: bool
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            if first {
                for i in 0..n {
                    out.add(i).write(F::NEUTRAL);
                }
            }
            if step != 1 {
                join_rows::<T, F>(x, row, count, step, out, n);
                return;
            }
            // Short rows without gaps are taken several at a time, as one wide row.
            let several = WIDE / n;
            if row != n as isize || several < 2 || count < 4 * several {
                join_rows::<T, F>(x, row, count, 1, out, n);
                return;
            }
            let mut wide = [F::NEUTRAL; WIDE];
            let (groups, wide_row) = (count / several, (several * n) as isize);
            join_rows::<T, F>(x, wide_row, groups, 1, wide.as_mut_ptr(), several * n);
            join_rows::<T, F>(wide.as_ptr(), row, several, 1, out, n);
            let rest = x.offset(groups as isize * wide_row);
            join_rows::<T, F>(rest, row, count - groups * several, 1, out, n);
        }
    }
}
