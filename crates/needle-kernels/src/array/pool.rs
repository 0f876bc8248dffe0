//! Blocks of memory by size class, kept for reuse.
//!
//! A fresh large block costs page faults that take longer than the arithmetic on it, and a
//! small one a trip through the allocator for every op. Freed blocks therefore wait in a
//! free list per class, up to [`MAX_CACHED`] bytes in all.

use std::alloc::{Layout, alloc, dealloc};
use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Alignment of every block: one cache line, one AVX-512 register.
pub(crate) const ALIGN: usize = 64;
/// Cached bytes beyond which freed blocks go back to the system.
const MAX_CACHED: usize = 512 << 20;
/// Blocks of this size or more are aligned for huge pages.
const HUGE: usize = 4 << 20;
const HUGE_ALIGN: usize = 2 << 20;
/// Below this, classes are multiples of the alignment; above, four to each doubling.
const FINE: usize = 1024;
const FINE_CLASSES: usize = FINE / ALIGN;
const CLASSES: usize = FINE_CLASSES + 4 * (usize::BITS as usize - 10);

struct Pool {
    free: [Vec<Block>; CLASSES],
    cached: usize,
}

/// A block that waits in the pool; it owns its memory.
struct Block(NonNull<u8>);

// SAFETY: a waiting block is referred to by nothing else, and raw memory has no thread.
unsafe impl Send for Block {}

static POOL: Mutex<Pool> = Mutex::new(Pool {
    free: [const { Vec::new() }; CLASSES],
    cached: 0,
});

/// The pool's lock. It is the standard library's, which has no state outside of itself: a
/// lock that keeps waiting threads in a table would find, in a forked child, threads that
/// are not there.
fn lock() -> MutexGuard<'static, Pool> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The lock, opaque, for whoever holds it over a `fork`.
pub struct Held {
    _guard: MutexGuard<'static, Pool>,
}

/// Takes the lock, so that a `fork` meanwhile finds the pool whole.
pub fn hold() -> Held {
    Held { _guard: lock() }
}

/// The class that holds blocks of `bytes`, and the true size of its blocks.
#[inline]
pub(crate) fn class_of(bytes: usize) -> Option<(usize, usize)> {
    if bytes <= FINE {
        let class = bytes.div_ceil(ALIGN).max(1) - 1;
        return Some((class, (class + 1) * ALIGN));
    }
    // Four classes between one power of two and the next: at most a quarter is wasted.
    let top = usize::BITS as usize - 1 - (bytes - 1).leading_zeros() as usize;
    let step = 1usize << (top - 2);
    let quarter = (bytes - 1 - (1 << top)) / step;
    let size = (1usize << top).checked_add((quarter + 1).checked_mul(step)?)?;
    (size <= isize::MAX as usize / 2).then_some((FINE_CLASSES + (top - 10) * 4 + quarter, size))
}

/// What the system is asked for; there is a layout for all sizes that [`class_of`] gives.
fn layout(size: usize) -> Option<Layout> {
    let align = if size >= HUGE { HUGE_ALIGN } else { ALIGN };
    Layout::from_size_align(size, align).ok()
}

/// Returns a block to the system.
///
/// # Safety
/// [`take`] allocated the block with this size, and nothing refers to it.
unsafe fn release(block: NonNull<u8>, size: usize) {
    if let Some(layout) = layout(size) {
        // SAFETY: the caller's promise; the layout follows from the size alone.
        unsafe { dealloc(block.as_ptr(), layout) };
    }
}

/// Classes of which a thread keeps some blocks for itself, so that small results need no
/// lock: up to 64 KiB.
const OWN_CLASSES: usize = FINE_CLASSES + 4 * 6;
/// How many of each: more of the finest, which cost next to nothing.
const fn own_room(class: usize) -> u8 {
    if class < FINE_CLASSES { 32 } else { 8 }
}

/// The blocks of one class that a thread keeps: a chain through their first words.
#[derive(Clone, Copy)]
struct Chain {
    first: Option<NonNull<u8>>,
    len: u8,
}

impl Chain {
    const EMPTY: Self = Self {
        first: None,
        len: 0,
    };

    #[inline]
    fn pop(&mut self) -> Option<NonNull<u8>> {
        let block = self.first?;
        // SAFETY: `push` has written the link to the next one there, and the block is the chain's
        // alone since then.
        self.first = unsafe { block.cast::<Option<NonNull<u8>>>().read() };
        self.len -= 1;
        Some(block)
    }

    /// Adds a block, if there is room.
    ///
    /// # Safety
    /// [`take`] gave the block for the class of this chain, and nothing else refers to it.
    #[inline]
    unsafe fn push(&mut self, block: NonNull<u8>, room: u8) -> bool {
        if self.len == room {
            return false;
        }
        // SAFETY: every block has room for a word and is aligned; by the caller's promise it is
        // ours.
        unsafe { block.cast::<Option<NonNull<u8>>>().write(self.first) };
        self.first = Some(block);
        self.len += 1;
        true
    }
}

struct Own([Cell<Chain>; OWN_CLASSES]);

impl Own {
    /// Returns all blocks to the system.
    fn empty(&self) {
        for (class, chain) in self.0.iter().enumerate() {
            let mut chain = chain.replace(Chain::EMPTY);
            while let Some(block) = chain.pop() {
                // SAFETY: `give` put the block into the chain of its class, and it waits here
                // alone.
                unsafe { release(block, size_of_class(class)) };
            }
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.empty();
    }
}

thread_local! {
    static OWN_BLOCKS: Own = const { Own([const { Cell::new(Chain::EMPTY) }; OWN_CLASSES]) };
}

/// Runs `f` on this thread's own blocks; `None` while the thread ends, or for large classes.
#[inline]
fn with_own<R>(class: usize, f: impl FnOnce(&mut Chain) -> R) -> Option<R> {
    if class >= OWN_CLASSES {
        return None;
    }
    let run = |own: &Own| {
        let mut chain = own.0[class].get();
        let result = f(&mut chain);
        own.0[class].set(chain);
        result
    };
    OWN_BLOCKS.try_with(run).ok()
}

/// A block of the given class for `bytes` bytes; `None` where the system has no memory left.
#[inline]
pub(crate) fn take(class: usize, size: usize, bytes: usize) -> Option<NonNull<u8>> {
    if let Some(block) = with_own(class, Chain::pop).flatten() {
        return Some(block);
    }
    {
        let mut pool = lock();
        if let Some(block) = pool.free[class].pop() {
            pool.cached -= size;
            return Some(block.0);
        }
    }
    let layout = layout(size)?;
    // SAFETY: `class_of` gives no size of 0.
    let block = NonNull::new(unsafe { alloc(layout) })?;
    #[cfg(target_os = "linux")]
    if size >= HUGE {
        // Whole huge pages only: the last one would be there as a whole when a part is used.
        let whole = bytes / HUGE_ALIGN * HUGE_ALIGN;
        // SAFETY: the range was just allocated; the call is advice and may fail freely.
        unsafe { libc::madvise(block.as_ptr().cast(), whole, libc::MADV_HUGEPAGE) };
    }
    Some(block)
}

/// Takes a block back. `keep` is false for memory that was once visible to others.
///
/// # Safety
/// `block` came from [`take`] with the same class and size, and nothing refers to it.
#[inline]
pub(crate) unsafe fn give(block: NonNull<u8>, class: usize, size: usize, keep: bool) {
    if keep {
        // SAFETY: the caller's promise.
        let push = |chain: &mut Chain| unsafe { chain.push(block, own_room(class)) };
        if with_own(class, push) == Some(true) {
            return;
        }
        let mut pool = lock();
        if pool.cached + size <= MAX_CACHED {
            pool.cached += size;
            pool.free[class].push(Block(block));
            return;
        }
    }
    // SAFETY: the caller's promise.
    unsafe { release(block, size) };
}

/// Returns all cached blocks to the system, but for those that other threads keep.
pub fn empty_cache() {
    // A thread that is ending has none any more.
    let _ = OWN_BLOCKS.try_with(Own::empty);
    let mut freed = Vec::new();
    {
        let mut pool = lock();
        pool.cached = 0;
        for (class, blocks) in pool.free.iter_mut().enumerate() {
            freed.extend(std::mem::take(blocks).into_iter().map(|b| (class, b)));
        }
    }
    for (class, block) in freed {
        // SAFETY: the block waited alone in the list of the class it was taken for.
        unsafe { release(block.0, size_of_class(class)) };
    }
}

fn size_of_class(class: usize) -> usize {
    if class < FINE_CLASSES {
        return (class + 1) * ALIGN;
    }
    let (doubling, quarter) = ((class - FINE_CLASSES) / 4, (class - FINE_CLASSES) % 4);
    let base = FINE << doubling;
    base + (quarter + 1) * (base / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_hold_what_they_are_asked_for() {
        let mut last = 0;
        for bytes in (0..5000).chain([1 << 20, (1 << 20) + 1, 3 << 20, (1 << 40) - 1]) {
            let (class, size) = class_of(bytes).unwrap();
            assert!(size >= bytes && size % ALIGN == 0, "{bytes} in {size}");
            assert!(class >= last && class < CLASSES);
            assert_eq!(size_of_class(class), size, "class {class}");
            last = class;
        }
        assert!(class_of(usize::MAX).is_none());
    }
}
