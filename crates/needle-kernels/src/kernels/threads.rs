//! Threads for large kernels.
//!
//! A kernel splits its work into ranges whose results do not depend on who computes them,
//! and the caller works along: a thread that is late, or still asleep, costs nothing. Each
//! thread begins with a part of its own, the caller always with the first, because what the
//! kernel before has left there is in the caches of its processor; then it helps others. The
//! pool starts with the first large kernel and belongs to one process: a forked child makes
//! its own. Who has nothing to do waits actively for some microseconds, because waking a
//! thread takes longer than most kernels, and then sleeps.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Work, in picoseconds, below which a kernel stays on the caller's thread.
const WORTH: usize = 8_000_000;
/// Work for which sleeping threads are woken; that takes them some 40 us. For less they are
/// woken only if kernels follow each other so closely that they will stay awake.
const WORTH_WAKING: usize = 50_000_000;
/// Work of one range: short enough that both ends of a kernel are reached together.
const RANGE: usize = 4_000_000;
/// Parts of a kernel that threads begin with: of more threads, several share one.
const PARTS: usize = 16;
/// How long a thread without work waits actively.
const SPIN: Duration = Duration::from_micros(50);
/// More threads than this help nobody here.
pub const MOST: usize = 256;

/// The number of threads, 0 before the first look.
static THREADS: AtomicUsize = AtomicUsize::new(0);

/// How many threads a kernel may use.
#[inline]
pub fn num_threads() -> usize {
    match THREADS.load(Ordering::Relaxed) {
        0 => {
            let n = request().0;
            THREADS.store(n, Ordering::Relaxed);
            n
        }
        n => n,
    }
}

/// Sets [`num_threads`]; between 1 and 256.
pub fn set_num_threads(n: usize) {
    THREADS.store(n.clamp(1, MOST), Ordering::Relaxed);
}

/// What was wrong with `NEEDLE_NUM_THREADS`, for the embedder to show.
pub fn warning() -> Option<String> {
    request().1.clone()
}

/// What `NEEDLE_NUM_THREADS` says and what is wrong with it; read once.
fn request() -> &'static (usize, Option<String>) {
    static REQUEST: OnceLock<(usize, Option<String>)> = OnceLock::new();
    REQUEST.get_or_init(|| {
        let there = std::thread::available_parallelism().map_or(1, usize::from);
        let default = there.min(MOST);
        let Some(value) = std::env::var_os("NEEDLE_NUM_THREADS").filter(|v| !v.is_empty()) else {
            return (default, None);
        };
        let value = value.to_string_lossy();
        match value.parse::<usize>() {
            Ok(n) if (1..=MOST).contains(&n) => (n, None),
            _ => (
                default,
                Some(format!(
                    "NEEDLE_NUM_THREADS={value}: expected an integer from 1 to {MOST}, using {default}"
                )),
            ),
        }
    })
}

/// Calls `body` with ranges that cover `0..n` once, on several threads where `cost`, the
/// picoseconds that one index takes, says that it pays. Ranges begin at multiples of
/// `grain`.
#[inline]
pub(crate) fn for_each(n: usize, cost: usize, grain: usize, body: impl Fn(Range<usize>) + Sync) {
    let work = n.saturating_mul(cost);
    if work < WORTH || n <= grain {
        return body(0..n);
    }
    spread(n, work, grain, &body);
}

/// [`for_each`] for work that may be worth more threads; compiled once for all bodies.
fn spread(n: usize, work: usize, grain: usize, body: &(dyn Fn(Range<usize>) + Sync)) {
    let threads = num_threads();
    if threads == 1 {
        return body(0..n);
    }
    let ranges = (work / RANGE).clamp(threads, 16 * threads);
    let ranges = ranges.next_multiple_of(threads);
    let len = n.div_ceil(ranges).next_multiple_of(grain.max(1));
    share(n, len, work, threads, body);
}

/// An address that the threads of a kernel share.
#[derive(Clone, Copy)]
pub(crate) struct Shared<T>(*mut T);

// SAFETY: only an address. Kernels read operands from all threads, and give each element of a fresh
// result to one range; who reads or writes says so in an `unsafe` block.
unsafe impl<T> Send for Shared<T> {}
// SAFETY: only an address, as for Send.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    pub(crate) fn new(address: *const T) -> Self {
        Self(address.cast_mut())
    }

    #[inline(always)]
    pub(crate) fn get(self) -> *mut T {
        self.0
    }
}

/// A kernel that is being worked on; it lives on the stack of its caller.
struct Job<'a> {
    body: &'a (dyn Fn(Range<usize>) + Sync),
    n: usize,
    len: usize,
    /// How many parts there are, and the number of the next range of each.
    parts: usize,
    next: [AtomicUsize; PARTS],
    /// How many more threads may join.
    places: AtomicUsize,
    panicked: AtomicBool,
}

impl Job<'_> {
    /// The number of the first range of a part; behind the last part, how many ranges there are.
    fn first(&self, part: usize) -> usize {
        self.n.div_ceil(self.len) * part / self.parts
    }

    /// Works on the ranges of part `own`, and then on what is left of the others.
    fn work(&self, own: usize) {
        for part in (0..self.parts).map(|i| (own + i) % self.parts) {
            let end = self.first(part + 1);
            loop {
                let start = self.next[part].fetch_add(1, Ordering::Relaxed);
                if start >= end {
                    break;
                }
                let range = start * self.len..self.n.min((start + 1) * self.len);
                if catch_unwind(AssertUnwindSafe(|| (self.body)(range))).is_err() {
                    self.panicked.store(true, Ordering::Relaxed);
                    return;
                }
            }
        }
    }

    fn join(&self) {
        let join = |places: usize| places.checked_sub(1);
        let joined = self
            .places
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, join);
        // The caller has the first part.
        if let Ok(place) = joined {
            self.work(place);
        }
    }
}

/// The threads of one process.
struct Pool {
    process: u32,
    /// Whether some caller has the pool; another one works alone meanwhile.
    busy: AtomicBool,
    /// The job to join, null while there is none.
    job: AtomicPtr<Job<'static>>,
    /// Threads that may be looking at the job.
    inside: AtomicUsize,
    /// Rises with every job.
    round: AtomicU32,
    asleep: AtomicUsize,
    started: AtomicUsize,
    /// When the last job ended, in nanoseconds after `begin`.
    last: AtomicU64,
    begin: Instant,
    lock: Mutex<()>,
    wake: Condvar,
}

static POOL: AtomicPtr<Pool> = AtomicPtr::new(ptr::null_mut());

/// The pool of this process. Pools are never freed: their threads use them to the end.
fn pool() -> &'static Pool {
    let process = std::process::id();
    let found = POOL.load(Ordering::Acquire);
    // SAFETY: null, or a pool that the code below has leaked, which is never freed.
    if let Some(pool) = unsafe { found.as_ref() }
        && pool.process == process
    {
        return pool;
    }
    let new = Box::into_raw(Box::new(Pool {
        process,
        busy: AtomicBool::new(false),
        job: AtomicPtr::new(ptr::null_mut()),
        inside: AtomicUsize::new(0),
        round: AtomicU32::new(0),
        asleep: AtomicUsize::new(0),
        started: AtomicUsize::new(0),
        last: AtomicU64::new(0),
        begin: Instant::now(),
        lock: Mutex::new(()),
        wake: Condvar::new(),
    }));
    let won = POOL.compare_exchange(found, new, Ordering::AcqRel, Ordering::Acquire);
    let current = match won {
        Ok(_) => new,
        Err(other) => {
            // SAFETY: it comes from the box above, and nobody else has seen it: the exchange
            // failed.
            drop(unsafe { Box::from_raw(new) });
            other
        }
    };
    // SAFETY: ours or another thread's, leaked by the code above; no null, as only `forget_pool`
    // stores one, in a child that has a single thread.
    unsafe { &*current }
}

/// For a forked child: the threads of the pool are the parent's. (The process's number alone does not
/// tell, where the child has a namespace of its own.)
pub fn forget_pool() {
    POOL.store(ptr::null_mut(), Ordering::Release);
}

/// Works on a job together with whoever is awake.
#[cold]
fn share(n: usize, len: usize, work: usize, threads: usize, body: &(dyn Fn(Range<usize>) + Sync)) {
    let pool = pool();
    if pool.busy.swap(true, Ordering::Acquire) {
        return body(0..n);
    }
    let ranges = n.div_ceil(len);
    let helpers = (threads - 1).min(ranges.saturating_sub(1));
    pool.start(helpers);
    let job = Job {
        body,
        n,
        len,
        parts: (helpers + 1).min(PARTS),
        next: [const { AtomicUsize::new(0) }; PARTS],
        places: AtomicUsize::new(helpers),
        panicked: AtomicBool::new(false),
    };
    for part in 0..job.parts {
        job.next[part].store(job.first(part), Ordering::Relaxed);
    }
    pool.job
        .store((&raw const job).cast_mut().cast(), Ordering::SeqCst);
    pool.round.fetch_add(1, Ordering::SeqCst);
    if pool.asleep.load(Ordering::SeqCst) > 0 && (work >= WORTH_WAKING || pool.is_hot()) {
        // Whoever is about to sleep looks at the round under this lock.
        drop(pool.lock.lock().unwrap_or_else(PoisonError::into_inner));
        pool.wake.notify_all();
    }
    job.work(0);
    // From here on nobody can find the job, and those who have are waited for.
    pool.job.store(ptr::null_mut(), Ordering::SeqCst);
    let mut looks = 0u32;
    while pool.inside.load(Ordering::SeqCst) != 0 {
        looks += 1;
        if looks.is_multiple_of(4096) {
            std::thread::yield_now();
        }
        std::hint::spin_loop();
    }
    pool.last.store(pool.now(), Ordering::Relaxed);
    pool.busy.store(false, Ordering::Release);
    assert!(!job.panicked.into_inner(), "a kernel panicked");
}

impl Pool {
    fn now(&self) -> u64 {
        self.begin.elapsed().as_nanos() as u64
    }

    /// Whether the last job ended so recently that a thread would still be awake.
    fn is_hot(&self) -> bool {
        self.now() - self.last.load(Ordering::Relaxed) < SPIN.as_nanos() as u64
    }

    /// Starts threads until there are as many; called by whoever has the pool.
    fn start(&'static self, threads: usize) {
        while self.started.load(Ordering::Relaxed) < threads {
            let name = "needle".to_owned();
            let thread = std::thread::Builder::new().name(name);
            if thread.spawn(|| self.serve()).is_err() {
                // The system has no more: the caller works with those that are there.
                return;
            }
            self.started.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What a thread does for good.
    fn serve(&self) {
        loop {
            let round = self.round.load(Ordering::SeqCst);
            self.inside.fetch_add(1, Ordering::SeqCst);
            let job = self.job.load(Ordering::SeqCst);
            // SAFETY: `share` takes the job off and then waits until nobody is inside; both sides
            // are SeqCst, so whoever found the job is waited for.
            if let Some(job) = unsafe { job.as_ref() } {
                job.join();
            }
            self.inside.fetch_sub(1, Ordering::SeqCst);
            self.wait(round);
        }
    }

    /// Waits for a round after `round`.
    fn wait(&self, round: u32) {
        let since = Instant::now();
        let news = || self.round.load(Ordering::SeqCst) != round;
        while since.elapsed() < SPIN {
            for _ in 0..16 {
                if news() {
                    return;
                }
                std::hint::spin_loop();
            }
        }
        let mut guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.asleep.fetch_add(1, Ordering::SeqCst);
        while !news() {
            guard = self
                .wake
                .wait(guard)
                .unwrap_or_else(PoisonError::into_inner);
        }
        self.asleep.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU8;

    #[test]
    fn every_index_is_visited_once_whatever_the_number_of_threads() {
        for threads in [1, 2, 3, 8] {
            set_num_threads(threads);
            for n in [0, 1, 63, 64, 1000, 100_003] {
                let seen: Vec<AtomicU8> = (0..n).map(|_| AtomicU8::new(0)).collect();
                for_each(n, 1 << 20, 64, |range| {
                    assert!(range.start.is_multiple_of(64));
                    for i in range {
                        seen[i].fetch_add(1, Ordering::Relaxed);
                    }
                });
                assert!(seen.iter().all(|s| s.load(Ordering::Relaxed) == 1));
            }
        }
    }

    #[test]
    fn callers_at_the_same_time_do_not_wait_for_each_other() {
        set_num_threads(4);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let sum = AtomicUsize::new(0);
                        for_each(1000, 1 << 20, 1, |range| {
                            sum.fetch_add(range.sum(), Ordering::Relaxed);
                        });
                        assert_eq!(sum.into_inner(), 499_500);
                    }
                });
            }
        });
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_goes_on() {
        set_num_threads(2);
        let caught = catch_unwind(|| {
            for_each(100, 1 << 30, 1, |range| assert!(!range.contains(&50)));
        });
        assert!(caught.is_err());
        for_each(100, 1 << 30, 1, |_| {});
    }
}
