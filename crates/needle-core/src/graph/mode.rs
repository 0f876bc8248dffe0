//! How operations are recorded: at once or lazily, with or without gradients.

use super::scopes;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

static LAZY: AtomicBool = AtomicBool::new(false);

/// Whether some thread has not yet seen that another one has ended a scope of its.
static BEHIND: AtomicBool = AtomicBool::new(false);

/// What a thread has set for itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mode {
    /// Lazy or eager; `None` follows the process.
    pub lazy: Option<bool>,
    /// Record nothing for gradients.
    pub no_grad: bool,
    /// Record for a sweep: results go with their handles, and nothing is saved but small
    /// values where [`Mode::keeps`] says so.
    pub transient: bool,
    /// Gradients are being differentiated: save small values for the rules of gradients.
    pub keeps: bool,
}

thread_local! {
    static MODE: Cell<Mode> = const { Cell::new(Mode { lazy: None, no_grad: false, transient: false, keeps: false }) };
}

/// Whether the process is lazy where a thread has not said otherwise.
pub fn is_lazy_default() -> bool {
    LAZY.load(Ordering::Relaxed)
}

/// Sets [`is_lazy_default`].
pub fn set_lazy_default(lazy: bool) {
    LAZY.store(lazy, Ordering::Relaxed);
}

/// The mode of this thread.
#[inline]
pub fn current_mode() -> Mode {
    if BEHIND.load(Ordering::Relaxed) {
        scopes::catch_up();
    }
    MODE.get()
}

/// The part of a mode that scopes choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Chosen {
    pub lazy: Option<bool>,
    pub no_grad: bool,
}

/// Sets [`BEHIND`].
pub(super) fn set_behind(behind: bool) {
    BEHIND.store(behind, Ordering::Relaxed);
}

/// The scopes of this thread say something else now. A part that the engine has set for itself
/// meanwhile stays.
pub(super) fn follow(old: Chosen, new: Chosen) {
    let mut mode = MODE.get();
    if mode.lazy == old.lazy {
        mode.lazy = new.lazy;
    }
    if mode.no_grad == old.no_grad {
        mode.no_grad = new.no_grad;
    }
    MODE.set(mode);
}

impl Mode {
    /// Whether results wait until they are read.
    #[inline]
    pub fn is_lazy(self) -> bool {
        self.lazy.unwrap_or_else(is_lazy_default)
    }
}

/// Sets the mode of this thread, and returns the one before.
pub fn replace_mode(mode: Mode) -> Mode {
    MODE.replace(mode)
}

/// Runs `f` in another mode, and restores the old one even when `f` panics. Scopes that `f` has
/// left open, or ended, count all the same.
pub fn with_mode<R>(mode: Mode, f: impl FnOnce() -> R) -> R {
    struct Restore(Mode, Chosen);
    impl Drop for Restore {
        fn drop(&mut self) {
            MODE.set(self.0);
            let now = scopes::chosen();
            if now != self.1 {
                follow(self.1, now);
            }
        }
    }
    let _restore = Restore(replace_mode(mode), scopes::chosen());
    f()
}
