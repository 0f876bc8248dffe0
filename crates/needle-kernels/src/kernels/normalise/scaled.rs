//! Normalisation of runs of elements whose squares overflow their dtype or vanish in it: in
//! float64, in units that let their squares be normal numbers.

use super::Centre;
use crate::dtype::Scalar;
use crate::kernels::number::Float;

/// What makes a number of this size one between 1 and 2, as far as [`Moments`] can use it.
fn unit(size: f64) -> f64 {
    if size > 0.0 && size < f64::INFINITY {
        2f64.powi((-size.log2().floor() as i32).clamp(-500, 500))
    } else {
        1.0
    }
}

/// A run of elements, each multiplied by a power of two before it is centred and by another one
/// after that: the distances from the mean may be far smaller than the mean.
struct Moments {
    units: [f64; 2],
    mean: f64,
    scale: f64,
}

impl Moments {
    fn of<C: Centre>(n: usize, eps: f64, x: impl Fn(usize) -> f64) -> Self {
        let largest = |x: &dyn Fn(usize) -> f64| (0..n).map(|i| x(i).abs()).fold(0.0, f64::max);
        let first = unit(largest(&x));
        let mean = if C::IS_MEAN {
            let near = mean(n, |i| x(i) * first);
            // Of a row that does not vary it is the element, but for rounding.
            near + mean(n, |i| x(i) * first - near)
        } else {
            0.0
        };
        let distance = |i: usize| x(i) * first - mean;
        // Beside a larger one of the two, the square of the other may vanish.
        let least = eps.abs().sqrt() * first;
        let second = unit(largest(&distance).max(least));
        let variance = self::mean(n, |i| (distance(i) * second).powi(2));
        Self {
            units: [first, second],
            mean,
            scale: 1.0 / (variance + (least * second).powi(2).copysign(eps)).sqrt(),
        }
    }

    /// The normalised value of an element.
    fn value(&self, x: f64) -> f64 {
        (x * self.units[0] - self.mean) * self.units[1] * self.scale
    }

    /// `1 / sqrt(variance + eps)` times a number.
    fn scaled(&self, x: f64) -> f64 {
        let [first, second] = self.units;
        x * self.scale * (first * second)
    }
}

fn mean(n: usize, x: impl Fn(usize) -> f64) -> f64 {
    (0..n).map(x).sum::<f64>() / n as f64
}

/// Normalises `n` elements, `step` apart.
///
/// # Safety
/// Both have these elements, and nobody else sees those of `out`.
#[cold]
pub(super) unsafe fn norm<T: Float, C: Centre>(
    x: *const T,
    out: *mut T,
    [n, step]: [usize; 2],
    eps: f64,
) {
    // SAFETY: the caller's promise.
    let at = |i: usize| unsafe { x.add(i * step).read() }.into();
    let run = Moments::of::<C>(n, eps, at);
    for i in 0..n {
        let value = T::from_scalar(Scalar::Float(run.value(at(i))));
        // SAFETY: the caller's promise.
        unsafe { out.add(i * step).write(value) };
    }
}

/// The adjoint of [`norm`]; 0 where `g` is 0 throughout, whatever the elements are.
///
/// # Safety
/// All three have these elements, and nobody else sees those of `out`.
#[cold]
pub(super) unsafe fn gradient<T: Float, C: Centre>(
    [g, x]: [*const T; 2],
    out: *mut T,
    [n, step]: [usize; 2],
    eps: f64,
) {
    // SAFETY: the caller's promise.
    let at = |i: usize| unsafe { x.add(i * step).read() }.into();
    // SAFETY: the caller's promise.
    let adjoint = |i: usize| unsafe { g.add(i * step).read() }.into();
    let none = (0..n).all(|i| adjoint(i) == 0.0);
    let run = Moments::of::<C>(n, eps, at);
    let level = if C::IS_MEAN { mean(n, adjoint) } else { 0.0 };
    let along = mean(n, |i| adjoint(i) * run.value(at(i)));
    for i in 0..n {
        let value = run.scaled(adjoint(i) - level - run.value(at(i)) * along);
        let value = T::from_scalar(Scalar::Float(if none { 0.0 } else { value }));
        // SAFETY: the caller's promise.
        unsafe { out.add(i * step).write(value) };
    }
}
