//! Scopes: what blocks of a program set for their thread, and take back in any order.
//!
//! Blocks end in another order than they began in where generators take turns, and on another
//! thread where one is closed or collected there. So each scope is an entry of its own in one
//! list, and the mode of a thread is what its open scopes say, the newest last.

use super::mode::{self, Chosen};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a scope sets; `None` leaves a part as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scope {
    /// Lazy or eager.
    pub lazy: Option<bool>,
    /// Record nothing for gradients.
    pub no_grad: Option<bool>,
}

struct Open {
    id: u64,
    thread: u64,
    scope: Scope,
}

/// The open scopes of all threads, in the order in which they began.
pub(super) struct Scopes {
    last: u64,
    open: Vec<Open>,
    /// Threads that have not yet seen that another thread has ended a scope of theirs.
    behind: Vec<u64>,
}

static SCOPES: Mutex<Scopes> = Mutex::new(Scopes {
    last: 0,
    open: Vec::new(),
    behind: Vec::new(),
});

/// The number of a thread; with the thread go its scopes.
struct Thread(u64);

static THREADS: AtomicU64 = AtomicU64::new(1);

thread_local! {
    static THREAD: Thread = Thread(THREADS.fetch_add(1, Ordering::Relaxed));
    /// What the open scopes of this thread say.
    static CHOSEN: Cell<Chosen> = const { Cell::new(Chosen { lazy: None, no_grad: false }) };
}

impl Drop for Thread {
    fn drop(&mut self) {
        let mut scopes = lock();
        scopes.open.retain(|open| open.thread != self.0);
        scopes.caught_up(self.0);
    }
}

impl Scopes {
    fn chosen(&self, thread: u64) -> Chosen {
        let own = self.open.iter().filter(|open| open.thread == thread);
        own.fold(Chosen::default(), |chosen, open| Chosen {
            lazy: open.scope.lazy.or(chosen.lazy),
            no_grad: open.scope.no_grad.unwrap_or(chosen.no_grad),
        })
    }

    /// The thread knows what its scopes say.
    fn caught_up(&mut self, thread: u64) {
        self.behind.retain(|other| *other != thread);
        mode::set_behind(!self.behind.is_empty());
    }
}

/// The lock, which is held for moments.
pub(super) fn lock() -> MutexGuard<'static, Scopes> {
    SCOPES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// This thread; 0 stands for one that is ending.
fn this_thread() -> u64 {
    THREAD.try_with(|thread| thread.0).unwrap_or(0)
}

/// Begins a scope in this thread. Returns what [`exit_scope`] ends it by.
pub fn enter_scope(scope: Scope) -> u64 {
    let thread = this_thread();
    let mut scopes = lock();
    scopes.last += 1;
    let id = scopes.last;
    scopes.open.push(Open { id, thread, scope });
    follow(scopes.chosen(thread));
    id
}

/// Ends that scope, of whatever thread, and no other. One that has ended already, or whose thread
/// has, is left alone.
pub fn exit_scope(id: u64) {
    let mut scopes = lock();
    // Most often it is the newest.
    let Some(place) = scopes.open.iter().rposition(|open| open.id == id) else {
        return;
    };
    let thread = scopes.open.remove(place).thread;
    if thread == this_thread() {
        follow(scopes.chosen(thread));
    } else {
        scopes.behind.push(thread);
        mode::set_behind(true);
    }
}

/// Takes over what other threads have ended of this one's scopes.
#[cold]
pub(super) fn catch_up() {
    let thread = this_thread();
    let mut scopes = lock();
    if scopes.behind.contains(&thread) {
        scopes.caught_up(thread);
        follow(scopes.chosen(thread));
    }
}

/// What the open scopes of this thread say.
#[inline]
pub(super) fn chosen() -> Chosen {
    CHOSEN.get()
}

fn follow(new: Chosen) {
    mode::follow(CHOSEN.replace(new), new);
}
