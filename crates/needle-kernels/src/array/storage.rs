//! Memory behind arrays: reference counted, 64-byte aligned, pooled, or lent by an embedder.
//!
//! A block starts with its header and the elements follow in the next cache line, so that
//! one allocation serves both. Memory that an embedder lent (a NumPy array, say) has a
//! header alone, which keeps the owner alive.

use super::pool;
use crate::dtype::DType;
use crate::shape;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

/// Shared ownership of one block of memory.
pub struct Storage(NonNull<Header>);

/// Dimensions that a header has room for.
const INLINE: usize = 4;

/// The shape and dtype of the array that the block was allocated for stand here too: most
/// arrays are all of their storage, and then need nothing but a pointer to it.
#[repr(C)]
struct Header {
    refs: AtomicUsize,
    data: *mut u8,
    bytes: usize,
    /// Arrays of other libraries that alias this memory now.
    exports: AtomicU32,
    /// Whether another library has ever seen this memory: it is then never recycled.
    seen: AtomicBool,
    origin: Origin,
    ndim: u8,
    dtype: DType,
    dims: [usize; INLINE],
}

/// Whose memory it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Own,
    Lent,
    LentReadonly,
}

/// The header of lent memory, and what keeps that alive.
#[repr(C)]
struct Lent {
    header: Header,
    owner: Owner,
}

/// Who keeps lent memory alive.
enum Owner {
    Embedder {
        _kept: Box<dyn Any + Send + Sync>,
    },
    /// Another storage, which is not lent by a third one itself.
    Storage(Storage),
}

const HEADER: usize = pool::ALIGN;
const _: () = assert!(size_of::<Header>() <= HEADER);

// SAFETY: the header does not change but for atomics; the owner of lent memory is Send + Sync and
// may be dropped on any thread. Elements are reached through raw pointers, by code that answers for
// its accesses.
unsafe impl Send for Storage {}
// SAFETY: as for Send: what `&Storage` gives is read-only, atomic, or an address.
unsafe impl Sync for Storage {}

impl Storage {
    /// Uninitialised memory for a row-major array, or `None` where the system has no more
    /// or the size overflows.
    #[inline]
    pub(super) fn allocate(dtype: DType, shape: &[usize]) -> Option<Self> {
        let bytes = shape::size(shape)?.checked_mul(dtype.size())?;
        let total = bytes.checked_add(HEADER)?;
        let (class, size) = pool::class_of(total)?;
        let header = pool::take(class, size, total)?.cast::<Header>();
        let mut dims = [0; INLINE];
        // More dimensions than fit stand in the array.
        for (place, &n) in dims.iter_mut().zip(shape) {
            *place = n;
        }
        // SAFETY: `take` gave a block of `total` bytes that nobody else has, aligned for the
        // header: room for that and for the elements behind it.
        unsafe {
            header.write(Header {
                refs: AtomicUsize::new(1),
                data: header.as_ptr().cast::<u8>().add(HEADER),
                bytes,
                exports: AtomicU32::new(0),
                seen: AtomicBool::new(false),
                origin: Origin::Own,
                ndim: shape.len().min(INLINE) as u8,
                dtype,
                dims,
            });
        }
        Some(Self(header))
    }

    /// Memory that `owner` keeps alive.
    ///
    /// # Safety
    /// `data` is valid for `bytes` bytes of reads (and writes, unless `readonly`) for as
    /// long as `owner` lives.
    pub unsafe fn lent(
        data: *mut u8,
        bytes: usize,
        readonly: bool,
        owner: Box<dyn Any + Send + Sync>,
    ) -> Self {
        // SAFETY: the caller's promise.
        unsafe { Self::lent_by(data, bytes, readonly, Owner::Embedder { _kept: owner }) }
    }

    /// Read-only memory within this one's, that came back through another library.
    ///
    /// # Safety
    /// `data` is valid for `bytes` bytes of reads for as long as this memory lives.
    pub unsafe fn lend(&self, data: *mut u8, bytes: usize) -> Self {
        let root = self.lender().unwrap_or(self).clone();
        // SAFETY: the caller's promise: the bytes live as long as this memory. The root is this
        // memory or, where that is lent by a storage, the lender that keeps it.
        unsafe { Self::lent_by(data, bytes, true, Owner::Storage(root)) }
    }

    /// The storage that lent this one's memory.
    fn lender(&self) -> Option<&Self> {
        if !self.is_lent() {
            return None;
        }
        // SAFETY: not ours, so `lent_by` made it: the header of a `Lent`, which lives as long as
        // any handle on it and does not change.
        match unsafe { &self.0.cast::<Lent>().as_ref().owner } {
            Owner::Storage(lender) => Some(lender),
            Owner::Embedder { .. } => None,
        }
    }

    /// [`Self::lent`] by anybody.
    ///
    /// # Safety
    /// As there.
    unsafe fn lent_by(data: *mut u8, bytes: usize, readonly: bool, owner: Owner) -> Self {
        let origin = if readonly {
            Origin::LentReadonly
        } else {
            Origin::Lent
        };
        let lent = Box::new(Lent {
            header: Header {
                refs: AtomicUsize::new(1),
                data,
                bytes,
                exports: AtomicU32::new(0),
                seen: AtomicBool::new(true),
                origin,
                ndim: 1,
                dtype: DType::U8,
                dims: [bytes, 0, 0, 0],
            },
            owner,
        });
        Self(NonNull::from(Box::leak(lent)).cast())
    }

    /// Whether an array of this shape has all it needs to know in its storage.
    #[inline]
    pub(super) fn describes(ndim: usize) -> bool {
        ndim <= INLINE
    }

    /// The shape that the memory was allocated for.
    #[inline]
    pub(super) fn shape(&self) -> &[usize] {
        let header = self.header();
        // Never more than there is room for; said here, it costs no check.
        &header.dims[..(header.ndim as usize).min(INLINE)]
    }

    /// The dtype that the memory was allocated for.
    #[inline]
    pub(super) fn dtype(&self) -> DType {
        self.header().dtype
    }

    #[inline]
    fn header(&self) -> &Header {
        // SAFETY: `allocate` or `lent_by` wrote the header, and it lives as long as any handle on
        // it. Nobody has it mutably: what changes in it is atomic.
        unsafe { self.0.as_ref() }
    }

    /// First byte.
    #[inline]
    pub fn data(&self) -> *mut u8 {
        self.header().data
    }

    /// Length in bytes.
    pub fn bytes(&self) -> usize {
        self.header().bytes
    }

    /// Whether the lender forbids writing.
    pub fn is_readonly(&self) -> bool {
        self.header().origin == Origin::LentReadonly
    }

    /// Whether these many handles are all there are, the memory is ours, and no other library
    /// has ever seen it: then whoever has the handles may write in place. Every export holds a handle, too.
    pub fn is_private(&self, handles: usize) -> bool {
        let header = self.header();
        header.refs.load(Ordering::Acquire) == handles
            && header.origin == Origin::Own
            && !header.seen.load(Ordering::Relaxed)
    }

    /// Whether an embedder lent the memory: giving it back may run its code.
    #[inline]
    pub fn is_lent(&self) -> bool {
        self.header().origin != Origin::Own
    }

    /// Whether two handles are on the same memory.
    pub fn is_same(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    /// Whether another library holds an array on this memory now.
    #[inline]
    pub fn is_exported(&self) -> bool {
        self.header().exports.load(Ordering::Relaxed) != 0
    }

    /// A handle for another library's array: see [`Export`].
    pub fn export(&self) -> Export {
        self.header().seen.store(true, Ordering::Relaxed);
        self.export_unseen()
    }

    /// [`Self::export`] for an array that no user will ever see, so that the memory may be
    /// recycled once it is gone.
    pub fn export_unseen(&self) -> Export {
        self.header().exports.fetch_add(1, Ordering::Relaxed);
        Export(self.clone())
    }
}

impl Clone for Storage {
    #[inline]
    fn clone(&self) -> Self {
        self.header().refs.fetch_add(1, Ordering::Relaxed);
        Self(self.0)
    }
}

impl Drop for Storage {
    #[inline]
    fn drop(&mut self) {
        // The only handle there is cannot be cloned meanwhile: no need to count down.
        let refs = &self.header().refs;
        if refs.load(Ordering::Acquire) == 1 || refs.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.free();
        }
    }
}

impl Storage {
    fn free(&mut self) {
        if self.is_lent() {
            // SAFETY: `lent_by` leaked the box, and this was its last handle. Its owner may run
            // Python; whoever drops a value sees to it that the GIL is held and the arena's lock is not.
            drop_iteratively(unsafe { Box::from_raw(self.0.cast::<Lent>().as_ptr()) });
            return;
        }
        let keep = !self.header().seen.load(Ordering::Relaxed);
        if let Some((class, size)) = pool::class_of(self.header().bytes + HEADER) {
            // SAFETY: `allocate` took the block under this class, as the bytes are the same, and
            // this was the last handle on it. The header is plain data.
            unsafe { pool::give(self.0.cast(), class, size, keep) };
        }
    }
}

thread_local! {
    static DROPPING: Cell<bool> = const { Cell::new(false) };
    static DROPPED: RefCell<Vec<Lent>> = const { RefCell::new(Vec::new()) };
}

/// Drops lent memory. Its owner may be the last to hold other lent memory, through arrays of another
/// library: that waits in a list, so that a chain of any length needs no stack.
#[cold]
fn drop_iteratively(lent: Box<Lent>) {
    // A thread that is ending has no list any more: then it is dropped here and now.
    if DROPPING.try_with(Cell::get).unwrap_or(false) {
        let mut waiting = Some(*lent);
        let _ = DROPPED.try_with(|list| list.borrow_mut().extend(waiting.take()));
        return;
    }
    let _ = DROPPING.try_with(|dropping| dropping.set(true));
    drop(lent);
    while let Ok(Some(next)) = DROPPED.try_with(|list| list.borrow_mut().pop()) {
        drop(next);
    }
    let _ = DROPPING.try_with(|dropping| dropping.set(false));
}

/// Keeps memory alive for another library, and marks it as exported while it lives.
pub struct Export(Storage);

impl Export {
    /// The memory.
    pub fn storage(&self) -> &Storage {
        &self.0
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        self.0.header().exports.fetch_sub(1, Ordering::Relaxed);
    }
}
