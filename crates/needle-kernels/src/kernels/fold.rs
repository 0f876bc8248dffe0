//! Runs of elements folded to one: sums, largest and smallest.
//!
//! Sums keep many partial results side by side and join them pairwise, so that their error
//! grows with the logarithm of the length; which element meets which depends on the length
//! alone, not on the instruction set.

use super::number::Number;
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
pub(super) const BLOCK: usize = 1024;
/// Partial results that are kept side by side: the lanes of several vector registers.
const LANES: usize = 64;
/// Elements that are read in one turn: two for each lane.
const PAIR: usize = 2 * LANES;

/// A run of fewer than [`PAIR`] elements.
///
/// # Safety
/// There are `n` elements to be read.
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
/// There are `n` elements to be read.
#[inline(always)]
pub(super) unsafe fn fold<T: Number, F: Fold<T>>(x: *const T, n: usize) -> T {
    // SAFETY: the caller's promise.
    unsafe {
        if n < PAIR {
            fold_few::<T, F>(x, n)
        } else {
            fold_run::<T, F>(x, n)
        }
    }
}

/// [`fold`] of at most [`BLOCK`] elements, without a call: where it is done block by block.
///
/// # Safety
/// As [`fold`].
#[inline(always)]
pub(super) unsafe fn fold_in_place<T: Number, F: Fold<T>>(x: *const T, n: usize) -> T {
    debug_assert!(n <= BLOCK);
    // SAFETY: the caller's promise.
    unsafe {
        if n < PAIR {
            fold_few::<T, F>(x, n)
        } else {
            fold_block::<T, F>(x, n)
        }
    }
}

simd! {
    /// Folds `n` elements, pairwise over blocks.
    ///
    /// # Safety
    /// As [`fold`].
    unsafe fn fold_run<S>[T: Number, F: Fold<T>](x: *const T, n: usize) -> T {
        let mut pairs = Pairs::<T, F>::new();
        let mut start = 0;
        loop {
            let len = BLOCK.min(n - start);
            // SAFETY: the caller's promise.
            let block = unsafe { fold_in_place::<T, F>(x.add(start), len) };
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

/// [`fold`] of elements that are `step` apart: they are brought together block by block.
///
/// # Safety
/// There are `n` elements to be read, `step` apart.
pub(super) unsafe fn fold_apart<T: Number, F: Fold<T>>(x: *const T, step: isize, n: usize) -> T {
    let mut pairs = Pairs::<T, F>::new();
    let mut block = [const { MaybeUninit::<T>::uninit() }; BLOCK];
    for start in (0..n).step_by(BLOCK) {
        let len = BLOCK.min(n - start);
        // SAFETY: the caller's promise; what is folded of the block has been written.
        unsafe {
            let x = x.offset(start as isize * step);
            for (i, place) in block.iter_mut().enumerate().take(len) {
                place.write(x.offset(i as isize * step).read());
            }
            pairs.push(fold::<T, F>(block.as_ptr().cast(), len));
        }
    }
    pairs.join()
}

/// [`fold`] where the order makes no difference, as for integers.
///
/// # Safety
/// As [`fold_apart`].
#[inline(always)]
pub(super) unsafe fn fold_plainly<T: Number, F: Fold<T>>(x: *const T, step: isize, n: usize) -> T {
    let mut value = F::NEUTRAL;
    for i in 0..n as isize {
        // SAFETY: the caller's promise.
        value = F::join(value, unsafe { x.offset(i * step).read() });
    }
    value
}

/// Values that are joined pairwise, pairs of these, and so on: a binary counter in which
/// `partial[k]` stands for 2^k of them.
pub(super) struct Pairs<T, F> {
    partial: [MaybeUninit<T>; usize::BITS as usize],
    count: usize,
    by: PhantomData<F>,
}

impl<T: Number, F: Fold<T>> Pairs<T, F> {
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self {
            partial: [const { MaybeUninit::uninit() }; usize::BITS as usize],
            count: 0,
            by: PhantomData,
        }
    }

    #[inline(always)]
    pub(super) fn push(&mut self, mut value: T) {
        let mut level = 0;
        while self.count >> level & 1 == 1 {
            // SAFETY: where the bit of a level is set in the count, `push` has written it.
            value = F::join(unsafe { self.partial[level].assume_init() }, value);
            level += 1;
        }
        self.partial[level].write(value);
        self.count += 1;
    }

    /// All values as one, the neutral element if there are none.
    #[inline(always)]
    pub(super) fn join(self) -> T {
        let levels = (0..usize::BITS).filter(|level| self.count >> level & 1 == 1);
        // SAFETY: where the bit of a level is set in the count, `push` has written it.
        let partial = levels.map(|level| unsafe { self.partial[level as usize].assume_init() });
        partial
            .reduce(|later, earlier| F::join(earlier, later))
            .unwrap_or(F::NEUTRAL)
    }
}
