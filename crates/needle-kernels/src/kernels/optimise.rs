//! Steps of optimisers: one pass over a parameter, its gradient and its state.
//!
//! Results are fresh arrays. The pool hands the old ones back for the next step, and what
//! others hold of the old values stays what it was.

use super::copy::{cast, contiguous};
use super::layout::GRAIN;
use super::number::{Float, Number};
use super::threads::{self, Shared};
use crate::array::Array;
use crate::dispatch;
use crate::dtype::Scalar;
use crate::error::{Error, Result};
use crate::shape;

/// Picoseconds for an element, roughly.
const COST: usize = 400;

/// Settings of stochastic gradient descent.
#[derive(Clone, Copy, Debug)]
pub struct Sgd {
    /// Length of a step.
    pub lr: f64,
    /// Part of the velocity that stays; 0 for none.
    pub momentum: f64,
    /// Factor of the parameter that is added to the gradient.
    pub weight_decay: f64,
}

/// Settings of Adam.
#[derive(Clone, Copy, Debug)]
pub struct Adam {
    /// Length of a step.
    pub lr: f64,
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of their squares.
    pub beta2: f64,
    /// Added to the root of the latter.
    pub eps: f64,
    /// Factor of the parameter that is added to the gradient.
    pub weight_decay: f64,
    /// The number of this step, from 1 on.
    pub t: i32,
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

fn fresh(p: &Array) -> Result<Array> {
    Array::empty(p.dtype(), p.shape())
}

#[cold]
fn unsupported(op: &str, p: &Array) -> Error {
    Error::dtype(
        op,
        format_args!("expected float parameters, got {}", p.dtype()),
    )
}

/// The parameter after a step, and the velocity: `u' = m u + (1 - m) (g + wd p)` and
/// `p' = p - lr u'`. Without momentum there is no velocity.
pub fn sgd(p: &Array, g: &Array, u: Option<&Array>, s: &Sgd) -> Result<(Array, Option<Array>)> {
    let (p, g) = (contiguous(p)?, like("sgd", p, g)?);
    let u = u.map(|u| like("sgd", &p, u)).transpose()?;
    let new = fresh(&p)?;
    let velocity = (s.momentum != 0.0).then(|| fresh(&p)).transpose()?;
    dispatch!(float: p.dtype(), T => {
        let number = |x: f64| <T as Number>::from_scalar(Scalar::Float(x));
        let factors = [s.lr, s.momentum, 1.0 - s.momentum, s.weight_decay].map(number);
        let address = |x: &Array| Shared::new(x.ptr::<T>());
        let (at_p, at_g, to) = (address(&p), address(&g), address(&new));
        let (at_u, to_u) = (u.as_ref().map(address), velocity.as_ref().map(address));
        threads::for_each(p.size(), COST, GRAIN, |range| {
            let (i, n) = (range.start, range.len());
            // SAFETY: all have these elements, row-major; the results are fresh.
            unsafe {
                let (p, g, to) = (at_p.get().add(i), at_g.get().add(i), to.get().add(i));
                let to_u = to_u.map(|to_u| to_u.get().add(i));
                match (to_u, at_u) {
                    (None, _) => sgd_row::<T>(p, g, to, n, factors),
                    (Some(to_u), None) => first_row::<T>(p, g, to, to_u, n, factors),
                    (Some(to_u), Some(u)) => {
                        momentum_row::<T>(p, g, u.get().add(i), to, to_u, n, factors);
                    }
                }
            }
        });
    }, else return Err(unsupported("sgd", &p)));
    Ok((new, velocity))
}

/// The parameter and both means after a step (Kingma and Ba 2015, algorithm 1, with the
/// decay in the gradient). Means that are not there yet count as zeros.
pub fn adam(p: &Array, g: &Array, means: Option<[&Array; 2]>, s: &Adam) -> Result<[Array; 3]> {
    let (p, g) = (contiguous(p)?, like("adam", p, g)?);
    let [m, v] = match means {
        Some([m, v]) => [like("adam", &p, m)?, like("adam", &p, v)?],
        None => [
            Array::zeros(p.dtype(), p.shape())?,
            Array::zeros(p.dtype(), p.shape())?,
        ],
    };
    let results = [fresh(&p)?, fresh(&p)?, fresh(&p)?];
    dispatch!(float: p.dtype(), T => {
        let number = |x: f64| <T as Number>::from_scalar(Scalar::Float(x));
        let factors = [
            s.lr / (1.0 - s.beta1.powi(s.t)),
            s.beta1,
            1.0 - s.beta1,
            s.beta2,
            1.0 - s.beta2,
            1.0 / (1.0 - s.beta2.powi(s.t)),
            s.eps,
            s.weight_decay,
        ].map(number);
        let from = [&p, &g, &m, &v].map(|x| Shared::new(x.ptr::<T>()));
        let to = [0, 1, 2].map(|i| Shared::new(results[i].ptr::<T>()));
        threads::for_each(p.size(), COST, GRAIN, |range| {
            let (i, n) = (range.start, range.len());
            let from = from.map(|x| x.get().wrapping_add(i).cast_const());
            let to = to.map(|x| x.get().wrapping_add(i));
            // SAFETY: all have these elements, row-major; the results are fresh.
            unsafe { adam_row::<T>(from, to, n, factors) };
        });
    }, else return Err(unsupported("adam", &p)));
    Ok(results)
}

simd! {
    /// # Safety
    /// All have `n` elements, and nobody else sees `out`.
    unsafe fn sgd_row<S>[T: Float](
        p: *const T, g: *const T, out: *mut T, n: usize, factors: [T; 4]
    ) {
        let [lr, _, _, decay] = factors;
        for i in 0..n {
            // SAFETY: the caller's promise.
            unsafe {
                let p = p.add(i).read();
                let g = g.add(i).read().add(decay.mul(p));
                out.add(i).write(p.sub(lr.mul(g)));
            }
        }
    }
}

simd! {
    /// The first step with momentum: the velocity was 0.
    ///
    /// # Safety
    /// As above.
    unsafe fn first_row<S>[T: Float](
        p: *const T, g: *const T, out: *mut T, out_u: *mut T, n: usize, factors: [T; 4]
    ) {
        let [lr, _, rest, decay] = factors;
        for i in 0..n {
            // SAFETY: the caller's promise.
            unsafe {
                let p = p.add(i).read();
                let u = rest.mul(g.add(i).read().add(decay.mul(p)));
                out_u.add(i).write(u);
                out.add(i).write(p.sub(lr.mul(u)));
            }
        }
    }
}

simd! {
    /// # Safety
    /// As above.
    unsafe fn momentum_row<S>[T: Float](
        p: *const T, g: *const T, u: *const T, out: *mut T, out_u: *mut T, n: usize,
        factors: [T; 4]
    ) {
        let [lr, keep, rest, decay] = factors;
        for i in 0..n {
            // SAFETY: the caller's promise.
            unsafe {
                let p = p.add(i).read();
                let g = g.add(i).read().add(decay.mul(p));
                let u = keep.mul(u.add(i).read()).add(rest.mul(g));
                out_u.add(i).write(u);
                out.add(i).write(p.sub(lr.mul(u)));
            }
        }
    }
}

simd! {
    /// # Safety
    /// As above.
    unsafe fn adam_row<S>[T: Float](
        from: [*const T; 4], to: [*mut T; 3], n: usize, factors: [T; 8]
    ) {
        let [p, g, m, v] = from;
        let [out, out_m, out_v] = to;
        let [lr, beta1, rest1, beta2, rest2, scale, eps, decay] = factors;
        for i in 0..n {
            // SAFETY: the caller's promise.
            unsafe {
                let p = p.add(i).read();
                let g = g.add(i).read().add(decay.mul(p));
                let m = beta1.mul(m.add(i).read()).add(rest1.mul(g));
                let v = beta2.mul(v.add(i).read()).add(rest2.mul(g.mul(g)));
                out_m.add(i).write(m);
                out_v.add(i).write(v);
                let root = v.mul(scale).sqrt().add(eps);
                out.add(i).write(p.sub(lr.mul(m).div(root)));
            }
        }
    }
}
