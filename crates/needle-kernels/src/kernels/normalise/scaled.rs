//! Normalisation of runs of elements whose squares overflow their dtype or vanish in it: in
//! float64 and, of float64 elements, in a unit that lets their squares be normal numbers.

use super::Centre;
use crate::dtype::{DType, Scalar};
use crate::kernels::number::Float;

/// What the elements are multiplied by, a power of two: squares of what is left of the largest
/// elements, and of what is made of the smallest, are normal numbers, and so are their sums.
fn unit<T: Float>(scale: T) -> f64 {
    let exponent = match T::DTYPE {
        DType::F32 => 0, // Squares of float32 are float64.
        // A scale of 0 or NaN is what large elements gave.
        _ if scale > T::ZERO => 767,
        _ => -767,
    };
    2f64.powi(exponent)
}

/// A run in its unit.
struct Moments {
    unit: f64,
    mean: f64,
    scale: f64,
}

impl Moments {
    fn of<C: Centre>(n: usize, eps: f64, unit: f64, x: impl Fn(usize) -> f64) -> Self {
        let mean = if C::IS_MEAN { mean(n, &x) } else { 0.0 };
        let variance = mean_of_squares(n, mean, &x);
        Self {
            unit,
            mean,
            // Not the square of the unit, which may be no number.
            scale: 1.0 / (variance + eps * unit * unit).sqrt(),
        }
    }
}

fn mean(n: usize, x: impl Fn(usize) -> f64) -> f64 {
    (0..n).map(x).sum::<f64>() / n as f64
}

fn mean_of_squares(n: usize, centre: f64, x: impl Fn(usize) -> f64) -> f64 {
    mean(n, |i| (x(i) - centre).powi(2))
}

/// Normalises `n` elements, `step` apart, for which `scale` was no use.
///
/// # Safety
/// Both have these elements, and nobody else sees those of `out`.
#[cold]
pub(super) unsafe fn norm<T: Float, C: Centre>(
    x: *const T,
    out: *mut T,
    [n, step]: [usize; 2],
    eps: f64,
    scale: T,
) {
    let unit = unit(scale);
    // SAFETY: the caller's promise.
    let at = |i: usize| unsafe { x.add(i * step).read() }.into() * unit;
    let run = Moments::of::<C>(n, eps, unit, at);
    for i in 0..n {
        let value = T::from_scalar(Scalar::Float((at(i) - run.mean) * run.scale));
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
    scale: T,
) {
    let unit = unit(scale);
    // SAFETY: the caller's promise.
    let at = |i: usize| unsafe { x.add(i * step).read() }.into() * unit;
    // SAFETY: the caller's promise.
    let adjoint = |i: usize| unsafe { g.add(i * step).read() }.into();
    let none = (0..n).all(|i| adjoint(i) == 0.0);
    let run = Moments::of::<C>(n, eps, unit, at);
    let y = |i: usize| (at(i) - run.mean) * run.scale;
    let level = if C::IS_MEAN { mean(n, adjoint) } else { 0.0 };
    let along = mean(n, |i| adjoint(i) * y(i));
    for i in 0..n {
        let value = (adjoint(i) - level - y(i) * along) * run.scale * run.unit;
        let value = T::from_scalar(Scalar::Float(if none { 0.0 } else { value }));
        // SAFETY: the caller's promise.
        unsafe { out.add(i * step).write(value) };
    }
}
