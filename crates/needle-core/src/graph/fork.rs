//! Forked children: no lock of ours may be held by a thread that the child does not have.

use super::arena;
use crate::array::pool;
use std::sync::Once;

/// Takes the arena's and the pool's lock around every `fork` of this process.
pub fn install_fork_handlers() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        #[cfg(unix)]
        // SAFETY: the handlers are plain functions that live as long as the process.
        unsafe {
            libc::pthread_atfork(Some(before), Some(after), Some(after));
        }
    });
}

#[cfg(unix)]
extern "C" fn before() {
    // The order in which code takes them: the arena may free memory, never the other way.
    arena::lock_for_fork();
    pool::lock_for_fork();
}

#[cfg(unix)]
extern "C" fn after() {
    // SAFETY: `before` took both locks in this thread, or in its image in the parent.
    unsafe {
        pool::unlock_after_fork();
        arena::unlock_after_fork();
    }
}
