//! A cell that is filled once, under the GIL.

use std::cell::UnsafeCell;

/// A value that is set at most once; `OnceLock` without its atomic state machine, which
/// costs as much as the arithmetic of a small op.
pub struct Once<T>(UnsafeCell<Option<T>>);

// SAFETY: `set` needs a Python token, and `get` is only reached through objects of Python's that a
// caller with the GIL holds: both under it. A full cell is never written again until `take`, which
// has it exclusively.
unsafe impl<T: Send + Sync> Sync for Once<T> {}

impl<T> Once<T> {
    /// An empty cell.
    pub const fn new() -> Self {
        Self(UnsafeCell::new(None))
    }

    /// A full cell.
    pub const fn full(value: T) -> Self {
        Self(UnsafeCell::new(Some(value)))
    }

    /// The value.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        // SAFETY: the GIL is held (see Sync), so nobody is within `set`. A full cell is never
        // written again until `take`, which has it exclusively; an empty one hands out no
        // reference.
        unsafe { (*self.0.get()).as_ref() }
    }

    /// Fills the cell, or returns the value that came too late. The token says that the
    /// GIL is held.
    #[inline]
    pub fn set(&self, _py: pyo3::Python<'_>, value: T) -> Result<(), T> {
        if self.get().is_some() {
            return Err(value);
        }
        // SAFETY: the token says that the GIL is held, so nobody else is here or in `get`, and
        // there is no reference into an empty cell.
        unsafe { *self.0.get() = Some(value) };
        Ok(())
    }

    /// Takes the value out.
    pub fn take(&mut self) -> Option<T> {
        self.0.get_mut().take()
    }
}
