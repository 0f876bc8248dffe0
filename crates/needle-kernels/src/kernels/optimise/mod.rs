//! Steps of optimisers: one pass over all parameters, their gradients and their states.
//!
//! What one step does to one element stands in [`rules`]. The driver here is the same for
//! all of them: a [`Job`] says which memory a parameter and its states have before and after
//! the step, and [`run`] goes over all jobs in pieces that threads share. Memory that one
//! owner alone holds is changed in place. All other memory is left as it is: its elements
//! are copied, piece by piece, and the copy is changed.

mod norm;
mod rules;

use super::cast::cast;
use super::copy::{contiguous, full};
use super::number::{Float, Number};
use super::threads;
use crate::array::Array;
use crate::dispatch;
use crate::dtype::Scalar;
use crate::error::{Error, Result};
use crate::shape;
pub use norm::norm;
use rules::Rule;
pub use rules::{Adagrad, Adam, Lion, RmsProp, Sgd, adagrad, adam, lion, rms_prop, sgd};
use smallvec::SmallVec;
use std::ops::Range;

/// Numbers that a rule may use.
const FACTORS: usize = 9;
/// States that a rule may have for each element.
const STATES: usize = 3;
/// Elements of a piece: few enough that a copy is still in the cache when it is changed.
const BLOCK: usize = 4096;

/// A rule with its numbers, ready to run.
#[derive(Clone, Copy)]
pub struct Step {
    name: &'static str,
    states: usize,
    /// What a state is before the first step.
    start: f64,
    /// Picoseconds for an element, roughly.
    cost: usize,
    factors: [f64; FACTORS],
    /// # Safety
    /// As [`piece`].
    piece: unsafe fn(&[f64; FACTORS], &Job, Range<usize>),
}

impl Step {
    fn of<R: Rule>(name: &'static str, numbers: &[f64]) -> Self {
        let mut factors = [0.0; FACTORS];
        factors[..numbers.len()].copy_from_slice(numbers);
        Self {
            name,
            states: R::STATES,
            start: 0.0,
            cost: R::COST,
            factors,
            piece: piece::<R>,
        }
    }

    /// How many states each parameter has.
    pub fn states(&self) -> usize {
        self.states
    }

    /// A state as it is before the first step.
    pub fn first_state(&self, param: &Array) -> Result<Array> {
        full(param.dtype(), param.shape(), Scalar::Float(self.start))
    }
}

/// The memory of one operand before and after a step; the same where it changes in place.
struct Slot {
    old: Array,
    new: Array,
}

/// One parameter in a step.
pub struct Job {
    param: Slot,
    grad: Array,
    states: SmallVec<[Slot; STATES]>,
}

impl Job {
    /// Checks the operands and provides the memory of the results. Nothing is changed yet.
    ///
    /// `handles` is how many handles the caller knows of on the memory of the parameter, and
    /// on that of each state: where there are no others, it changes in place.
    ///
    /// Errors: dtype for a parameter that is not of floats, shape where an operand has
    /// another one than the parameter, memory.
    pub fn new(
        step: &Step,
        param: &Array,
        grad: &Array,
        states: &[Array],
        handles: usize,
    ) -> Result<Self> {
        if !param.dtype().is_float() {
            let message = format_args!("expected float parameters, got {}", param.dtype());
            return Err(Error::dtype(step.name, message));
        }
        let slot = |x: &Array| {
            let own = x.storage().is_private(handles);
            let old = like(step.name, param, x)?;
            let shared = !own && old.storage().is_same(x.storage());
            let new = if shared {
                Array::empty(param.dtype(), param.shape())?
            } else {
                old.clone()
            };
            Ok(Slot { old, new })
        };
        Ok(Self {
            param: slot(param)?,
            grad: like(step.name, param, grad)?,
            states: states.iter().map(slot).collect::<Result<_>>()?,
        })
    }

    /// The parameter and its states after [`run`].
    pub fn results(self) -> (Array, impl Iterator<Item = Array>) {
        let states = self.states.into_iter().map(|slot| slot.new);
        (self.param.new, states)
    }
}

/// An operand as the parameter has it: row-major, of its dtype and shape.
fn like(op: &str, p: &Array, x: &Array) -> Result<Array> {
    if x.shape() != p.shape() {
        return Err(Error::shape(
            op,
            format_args!(
                "a parameter of shape {} meets {}",
                shape::display(p.shape()),
                shape::display(x.shape())
            ),
        ));
    }
    contiguous(&cast(x, p.dtype())?)
}

/// Takes the step.
///
/// # Safety
/// Since the jobs were made nobody has taken a further handle on the memory of a parameter
/// or a state, and nobody reads or writes it while this runs.
pub unsafe fn run(step: &Step, jobs: &[Job]) {
    let mut pieces = Vec::new();
    let mut total = 0;
    for (job, start) in jobs.iter().flat_map(|job| {
        let starts = (0..job.grad.size()).step_by(BLOCK);
        starts.map(move |start| (job, start))
    }) {
        let range = start..job.grad.size().min(start + BLOCK);
        total += range.len();
        pieces.push((job, range));
    }
    let cost = step.cost * total / pieces.len().max(1);
    threads::for_each(pieces.len(), cost, 1, |range| {
        for (job, range) in &pieces[range] {
            // SAFETY: the caller's promise; pieces do not overlap, and each is in one range.
            unsafe { (step.piece)(&step.factors, job, range.clone()) };
        }
    });
}

/// Takes the step for some of the elements.
///
/// # Safety
/// As [`run`], and nobody else works on these elements.
unsafe fn piece<R: Rule>(factors: &[f64; FACTORS], job: &Job, range: Range<usize>) {
    dispatch!(float: job.grad.dtype(), T => {
        let factors = factors.map(|x| <T as Number>::from_scalar(Scalar::Float(x)));
        let state = |i: usize| match job.states.get(i) {
            // SAFETY: `run`'s caller; `Job::new` made the memory ours alone or fresh, and each
            // piece claims its range of each state once.
            Some(slot) => unsafe { slot.claim::<T>(&range) },
            None => &mut [],
        };
        // SAFETY: `run`'s caller; `Job::new` compared the shapes, laid all row-major in one dtype,
        // and made the memory of the parameter ours alone or fresh; each piece claims its range of
        // it once.
        unsafe {
            let grad = job.grad.ptr::<T>().add(range.start);
            let param = job.param.claim::<T>(&range);
            row::<T, R>(param, grad, state(0), state(1), state(2), &factors);
        }
    }, else {});
}

impl Slot {
    /// Elements of the new memory, with what they were before the step.
    ///
    /// # Safety
    /// As [`piece`]; and this is called once for the elements.
    #[allow(clippy::mut_from_ref)] // The memory is not the slot's own: see above.
    unsafe fn claim<T: Float>(&self, range: &Range<usize>) -> &mut [T] {
        // SAFETY: both arrays have these elements, row-major, and T is their dtype (`like`); by the
        // caller's promise nobody else has those of `new`. If the memory differs, it does not
        // overlap.
        unsafe {
            let to = self.new.ptr_mut::<T>().add(range.start);
            if !self.new.storage().is_same(self.old.storage()) {
                let from = self.old.ptr::<T>().add(range.start);
                to.copy_from_nonoverlapping(from, range.len());
            }
            std::slice::from_raw_parts_mut(to, range.len())
        }
    }
}

/// The most elements that are computed before it is looked whether their squares did fit: two of
/// the widest registers, so that the results can wait for that where they are.
const GROUP: usize = 32;

simd! {
    /// Changes a row of a parameter and of its states. States that the rule does not have
    /// are empty.
    ///
    /// Each operand is an argument of its own, so that the compiler knows them to be apart.
    ///
    /// # Safety
    /// `g` has as many elements as `p`, and is in none of the other operands.
    unsafe fn row<S>[T: Float, R: Rule](
        p: &mut [T], g: *const T, a: &mut [T], b: &mut [T], c: &mut [T], factors: &[T; FACTORS]
    ) {
        // SAFETY: the caller's promise.
        let g = unsafe { std::slice::from_raw_parts(g, p.len()) };
        let n = p.len();
        let mut all = Operands { p, g, a, b, c };
        if R::SQUARES.is_none() {
            all.part::<R>(0, n).update::<R>(factors);
            return;
        }
        // Two registers, of either dtype.
        let group = 2 * size_of::<S::F32>() / size_of::<T>();
        for start in (0..n).step_by(group) {
            if start + group <= n && all.part::<R>(start, group).update_if_fit::<R>(factors) {
                continue;
            }
            all.part::<R>(start, group.min(n - start)).update_each::<R>(factors);
        }
    }
}

/// What a step works on. Its loops count numbers up to lengths that the compiler sees: it then
/// leaves out all checks.
struct Operands<'a, T> {
    p: &'a mut [T],
    g: &'a [T],
    a: &'a mut [T],
    b: &'a mut [T],
    c: &'a mut [T],
}

impl<T: Float> Operands<'_, T> {
    /// `n` of the elements.
    #[inline(always)]
    fn part<R: Rule>(&mut self, start: usize, n: usize) -> Operands<'_, T> {
        Operands {
            p: &mut self.p[start..][..n],
            g: &self.g[start..][..n],
            a: if R::STATES > 0 {
                &mut self.a[start..][..n]
            } else {
                &mut []
            },
            b: if R::STATES > 1 {
                &mut self.b[start..][..n]
            } else {
                &mut []
            },
            c: if R::STATES > 2 {
                &mut self.c[start..][..n]
            } else {
                &mut []
            },
        }
    }

    /// The states of an element; zeros for those that the rule does not have.
    #[inline(always)]
    fn states<R: Rule>(&self, i: usize) -> [T; STATES] {
        let mut states = [T::ZERO; STATES];
        if R::STATES > 0 {
            states[0] = self.a[i];
        }
        if R::STATES > 1 {
            states[1] = self.b[i];
        }
        if R::STATES > 2 {
            states[2] = self.c[i];
        }
        states
    }

    /// Gives an element and its states their new values.
    #[inline(always)]
    fn set<R: Rule>(&mut self, i: usize, value: T, states: [T; STATES]) {
        self.p[i] = value;
        if R::STATES > 0 {
            self.a[i] = states[0];
        }
        if R::STATES > 1 {
            self.b[i] = states[1];
        }
        if R::STATES > 2 {
            self.c[i] = states[2];
        }
    }

    /// Changes all elements by [`Rule::update`].
    #[inline(always)]
    fn update<R: Rule>(&mut self, factors: &[T; FACTORS]) {
        for i in 0..self.p.len() {
            let mut states = self.states::<R>(i);
            let value = R::update(factors, self.p[i], self.g[i], &mut states);
            self.set::<R>(i, value, states);
        }
    }

    /// The same if it is right for all of them, and nothing otherwise; says which. There are at
    /// most [`GROUP`].
    #[inline(always)]
    fn update_if_fit<R: Rule>(&mut self, factors: &[T; FACTORS]) -> bool {
        let n = self.p.len();
        let [mut p, mut a, mut b, mut c] = [[T::ZERO; GROUP]; 1 + STATES];
        let mut new = Operands {
            p: &mut p[..n],
            g: &[],
            a: &mut a[..n],
            b: &mut b[..n],
            c: &mut c[..n],
        };
        let mut fit = true;
        for i in 0..n {
            let old = self.states::<R>(i);
            let mut states = old;
            let value = R::update(factors, self.p[i], self.g[i], &mut states);
            new.set::<R>(i, value, states);
            fit &= R::SQUARES.is_none_or(|at| R::fits(factors, old[at], states[at]));
        }
        if fit {
            self.p.copy_from_slice(new.p);
            if R::STATES > 0 {
                self.a.copy_from_slice(new.a);
            }
            if R::STATES > 1 {
                self.b.copy_from_slice(new.b);
            }
            if R::STATES > 2 {
                self.c.copy_from_slice(new.c);
            }
        }
        fit
    }

    /// Changes all elements, each as is right for it.
    #[inline(always)]
    fn update_each<R: Rule>(&mut self, factors: &[T; FACTORS]) {
        for i in 0..self.p.len() {
            let old = self.states::<R>(i);
            let mut states = old;
            let mut value = R::update(factors, self.p[i], self.g[i], &mut states);
            if !R::SQUARES.is_none_or(|at| R::fits(factors, old[at], states[at])) {
                states = old;
                value = R::update_large(factors, self.p[i], self.g[i], &mut states);
            }
            self.set::<R>(i, value, states);
        }
    }
}
