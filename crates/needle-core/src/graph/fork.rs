//! Forked children: no lock of ours may be held by a thread that the child does not have.
//!
//! These locks are taken before a fork and given back after it, in the parent and in the
//! child, by the thread that forks. They are the standard library's: giving one back never
//! hands it to a waiting thread, which in the child would not exist.

use super::arena::{self, Arena};
use super::scopes::{self, Scopes};
use crate::array::pool;
use crate::kernels::threads;
use std::cell::RefCell;
use std::sync::{MutexGuard, Once};

/// The locks, in the order in which they are taken.
type Held = (
    MutexGuard<'static, Scopes>,
    MutexGuard<'static, Arena>,
    pool::Held,
);

thread_local! {
    static HELD: RefCell<Option<Held>> = const { RefCell::new(None) };
}

/// Takes the locks of scopes, arena and pool around every `fork` of this process.
pub fn install_fork_handlers() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        #[cfg(unix)]
        // SAFETY: the handlers are plain functions that live as long as the process: no library of
        // Python's is unloaded. They take locks and give them back, nothing else.
        unsafe {
            libc::pthread_atfork(Some(before), Some(after), Some(after_in_child));
        }
    });
}

#[cfg(unix)]
extern "C" fn before() {
    // The order in which code takes them: the arena may free memory, never the other way.
    let held = (scopes::lock(), arena::lock(), pool::hold());
    // A thread that is ending has no place to keep them, and goes on without.
    let _ = HELD.try_with(|place| place.replace(Some(held)));
}

#[cfg(unix)]
extern "C" fn after() {
    let _ = HELD.try_with(RefCell::take);
}

#[cfg(unix)]
extern "C" fn after_in_child() {
    threads::forget_pool();
    after();
}
