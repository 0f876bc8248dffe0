//! Rules of optimisers: what a step does to one element of a parameter and of its states.
//!
//! `p` is the parameter, `g` its gradient, a prime marks what is there after the step.

use super::{FACTORS, STATES, Step};
use crate::kernels::number::Float;

/// How an element changes.
pub(super) trait Rule: Sync {
    /// Picoseconds for an element, roughly.
    const COST: usize;
    /// How many of the states are in use.
    const STATES: usize;
    /// The parameter after the step; the states are changed in their places.
    fn update<T: Float>(factors: &[T; FACTORS], p: T, g: T, states: &mut [T; STATES]) -> T;
    /// Whether a state is a mean or a sum of squares, which may not fit its dtype where the
    /// numbers themselves do. It is the first one then, or the one that this says.
    const SQUARES: Option<usize> = None;
    /// Whether [`Rule::update`] was right with these squares, before and after it.
    #[inline(always)]
    #[allow(clippy::needless_bitwise_bool)] // A branch would leave the loop without vectors.
    fn fits<T: Float>(_factors: &[T; FACTORS], old: T, new: T) -> bool {
        (old >= T::ZERO) & (new < T::HIGHEST)
    }
    /// [`Rule::update`] where it was not: by the roots of squares (see [`root_of`]).
    fn update_large<T: Float>(factors: &[T; FACTORS], p: T, g: T, states: &mut [T; STATES]) -> T {
        Self::update(factors, p, g, states)
    }
}

/// The root of a mean or a sum of squares in a state. Where that is no number of the dtype, the
/// state holds minus its root, which is one; squares are never negative themselves.
#[inline(always)]
fn root_of<T: Float>(state: T) -> T {
    if state < T::ZERO {
        state.negate()
    } else {
        state.sqrt()
    }
}

/// The state for squares with this root.
#[inline(always)]
fn state_of<T: Float>(root: T) -> T {
    let square = root.mul(root);
    if square == T::HIGHEST {
        root.negate()
    } else {
        square
    }
}

/// The root of `a x^2 + b y^2`, without squares that overflow.
#[inline(always)]
fn root_of_sum<T: Float>(a: T, x: T, b: T, y: T) -> T {
    let unit = x.abs().maximum(y.abs());
    if unit == T::ZERO || unit == T::HIGHEST {
        return unit;
    }
    let (x, y) = (x.div(unit), y.div(unit));
    unit.mul(a.mul(x.mul(x)).add(b.mul(y.mul(y))).sqrt())
}

/// Settings of stochastic gradient descent.
#[derive(Clone, Copy, Debug)]
pub struct Sgd {
    /// Length of a step.
    pub lr: f64,
    /// Part of the velocity that stays; 0 for none.
    pub momentum: f64,
    /// Part of the gradient that does not enter the velocity.
    pub dampening: f64,
    /// Factor of the parameter that is added to the gradient.
    pub weight_decay: f64,
    /// Whether the step looks ahead along the velocity.
    pub nesterov: bool,
}

/// Gradient descent: with `h = g + decay p` it is `p' = p - lr h` without momentum;
/// with it `u' = momentum u + (1 - dampening) h` and `p' = p - lr u'`, or, with `nesterov`,
/// `p' = p - lr (momentum u' + (1 - dampening) h)`.
pub fn sgd(s: &Sgd) -> Step {
    let numbers = [s.lr, s.weight_decay, s.momentum, 1.0 - s.dampening];
    match (s.momentum != 0.0, s.nesterov) {
        (false, _) => Step::of::<Plain>("sgd", &numbers),
        (true, false) => Step::of::<Momentum<false>>("sgd", &numbers),
        (true, true) => Step::of::<Momentum<true>>("sgd", &numbers),
    }
}

struct Plain;
impl Rule for Plain {
    const COST: usize = 150;
    const STATES: usize = 0;
    #[inline(always)]
    fn update<T: Float>(factors: &[T; FACTORS], p: T, g: T, _: &mut [T; STATES]) -> T {
        let [lr, decay, ..] = *factors;
        p.sub(lr.mul(g.add(decay.mul(p))))
    }
}

struct Momentum<const NESTEROV: bool>;
impl<const NESTEROV: bool> Rule for Momentum<NESTEROV> {
    const COST: usize = 250;
    const STATES: usize = 1;
    #[inline(always)]
    fn update<T: Float>(factors: &[T; FACTORS], p: T, g: T, [u, ..]: &mut [T; STATES]) -> T {
        let [lr, decay, keep, enter, ..] = *factors;
        let g = enter.mul(g.add(decay.mul(p)));
        *u = keep.mul(*u).add(g);
        p.sub(lr.mul(if NESTEROV { keep.mul(*u).add(g) } else { *u }))
    }
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
    /// Whether `lr weight_decay p` is subtracted from the parameter instead.
    pub decoupled: bool,
    /// The number of this step, from 1 on.
    pub t: i32,
}

/// Adam (Kingma and Ba 2015, algorithm 1), with the decay in the gradient or, decoupled,
/// beside it (Loshchilov and Hutter 2019, algorithm 2, AdamW). The states are the means
/// `m` of the gradient and `v` of its square.
pub fn adam(s: &Adam) -> Step {
    let (coupled, shrink) = decay(s.weight_decay, s.lr, s.decoupled);
    Step::of::<MeanAndSquare>(
        if s.decoupled { "adamw" } else { "adam" },
        &[
            s.lr / (1.0 - s.beta1.powi(s.t)),
            s.beta1,
            1.0 - s.beta1,
            s.beta2,
            1.0 - s.beta2,
            1.0 / (1.0 - s.beta2.powi(s.t)),
            s.eps,
            coupled,
            shrink,
        ],
    )
}

/// The decay that is added to the gradient, and the factor of the parameter.
fn decay(weight_decay: f64, lr: f64, decoupled: bool) -> (f64, f64) {
    if decoupled {
        (0.0, 1.0 - lr * weight_decay)
    } else {
        (weight_decay, 1.0)
    }
}

struct MeanAndSquare;
impl Rule for MeanAndSquare {
    const COST: usize = 400;
    const STATES: usize = 2;
    #[inline(always)]
    fn update<T: Float>(factors: &[T; FACTORS], p: T, g: T, [m, v, ..]: &mut [T; STATES]) -> T {
        let [lr, beta1, rest1, beta2, rest2, scale, eps, decay, shrink] = *factors;
        let g = g.add(decay.mul(p));
        *m = beta1.mul(*m).add(rest1.mul(g));
        *v = beta2.mul(*v).add(rest2.mul(g.mul(g)));
        let root = v.mul(scale).sqrt().add(eps);
        shrink.mul(p).sub(lr.mul(*m).div(root))
    }
    const SQUARES: Option<usize> = Some(1);
    #[inline(always)]
    fn fits<T: Float>(factors: &[T; FACTORS], old: T, new: T) -> bool {
        let scale = factors[5];
        (old >= T::ZERO) & (new.mul(scale) < T::HIGHEST)
    }
    fn update_large<T: Float>(
        factors: &[T; FACTORS],
        p: T,
        g: T,
        [m, v, ..]: &mut [T; STATES],
    ) -> T {
        let [lr, beta1, rest1, beta2, rest2, scale, eps, decay, shrink] = *factors;
        let g = g.add(decay.mul(p));
        *m = beta1.mul(*m).add(rest1.mul(g));
        let root = root_of_sum(beta2, root_of(*v), rest2, g);
        *v = state_of(root);
        let root = root.mul(scale.sqrt()).add(eps);
        shrink.mul(p).sub(lr.mul(m.div(root)))
    }
}

/// Settings of RMSProp.
#[derive(Clone, Copy, Debug)]
pub struct RmsProp {
    /// Length of a step.
    pub lr: f64,
    /// Decay of the mean of squares.
    pub alpha: f64,
    /// Added to its root.
    pub eps: f64,
    /// Part of the velocity that stays; 0 for none.
    pub momentum: f64,
    /// Factor of the parameter that is added to the gradient.
    pub weight_decay: f64,
    /// Whether the mean of gradients is subtracted, which leaves their variance.
    pub centered: bool,
}

/// RMSProp (Tieleman and Hinton 2012, lecture 6.5; centred as in Graves 2013, eq. 38-45): with
/// `h = g + decay p` it is `v' = alpha v + (1 - alpha) h^2` and `p' = p - lr d` for
/// `d = h / (sqrt(v') + eps)`; centred, `v' - a'^2` stands for `v'`, where `a` is the mean
/// of `h`; with momentum `u' = momentum u + d` stands for `d`. The states are `v`, then `a`
/// and `u` where they are in use.
pub fn rms_prop(s: &RmsProp) -> Step {
    let numbers = [
        s.lr,
        s.weight_decay,
        s.alpha,
        1.0 - s.alpha,
        s.eps,
        s.momentum,
    ];
    let of = match (s.centered, s.momentum != 0.0) {
        (false, false) => Step::of::<MeanSquare<false, false>>,
        (false, true) => Step::of::<MeanSquare<false, true>>,
        (true, false) => Step::of::<MeanSquare<true, false>>,
        (true, true) => Step::of::<MeanSquare<true, true>>,
    };
    of("rmsprop", &numbers)
}

struct MeanSquare<const CENTERED: bool, const MOMENTUM: bool>;
impl<const CENTERED: bool, const MOMENTUM: bool> MeanSquare<CENTERED, MOMENTUM> {
    /// The states as `v`, the mean and the velocity, where they are in use.
    #[inline(always)]
    fn named<T>([v, second, third]: &mut [T; STATES]) -> [&mut T; STATES] {
        if CENTERED {
            [v, second, third]
        } else {
            [v, third, second]
        }
    }

    /// The parameter after a step along `g`, over the root that scales it.
    #[inline(always)]
    fn moved<T: Float>(factors: &[T; FACTORS], p: T, g: T, root: T, velocity: &mut T) -> T {
        let [lr, _, _, _, eps, keep, ..] = *factors;
        let mut step = g.div(root.add(eps));
        if MOMENTUM {
            *velocity = keep.mul(*velocity).add(step);
            step = *velocity;
        }
        p.sub(lr.mul(step))
    }
}

impl<const CENTERED: bool, const MOMENTUM: bool> Rule for MeanSquare<CENTERED, MOMENTUM> {
    const COST: usize = 400;
    const STATES: usize = 1 + CENTERED as usize + MOMENTUM as usize;
    #[inline(always)]
    fn update<T: Float>(factors: &[T; FACTORS], p: T, g: T, states: &mut [T; STATES]) -> T {
        let [_, decay, alpha, rest, ..] = *factors;
        let [v, mean, velocity] = Self::named(states);
        let g = g.add(decay.mul(p));
        *v = alpha.mul(*v).add(rest.mul(g.mul(g)));
        let mut spread = *v;
        if CENTERED {
            *mean = alpha.mul(*mean).add(rest.mul(g));
            // Rounding may leave a variance of nothing below zero.
            spread = spread.sub(mean.mul(*mean)).maximum(T::ZERO);
        }
        Self::moved(factors, p, g, spread.sqrt(), velocity)
    }
    const SQUARES: Option<usize> = Some(0);
    fn update_large<T: Float>(factors: &[T; FACTORS], p: T, g: T, states: &mut [T; STATES]) -> T {
        let [_, decay, alpha, rest, ..] = *factors;
        let [v, mean, velocity] = Self::named(states);
        let g = g.add(decay.mul(p));
        let mut root = root_of_sum(alpha, root_of(*v), rest, g);
        *v = state_of(root);
        if CENTERED {
            *mean = alpha.mul(*mean).add(rest.mul(g));
            let share = mean.abs().div(root);
            // As a product, since near 1 the square would lose what is left.
            let left = T::ONE.sub(share).mul(T::ONE.add(share));
            root = root.mul(left.maximum(T::ZERO).sqrt());
        }
        Self::moved(factors, p, g, root, velocity)
    }
}

/// Settings of Adagrad.
#[derive(Clone, Copy, Debug)]
pub struct Adagrad {
    /// Length of a step.
    pub lr: f64,
    /// Added to the root of the sum of squares.
    pub eps: f64,
    /// Factor of the parameter that is added to the gradient.
    pub weight_decay: f64,
    /// The sum of squares before the first step.
    pub start: f64,
}

/// Adagrad (Duchi, Hazan and Singer 2011): with `h = g + decay p` it is `s' = s + h^2` and
/// `p' = p - lr h / (sqrt(s') + eps)`.
pub fn adagrad(s: &Adagrad) -> Step {
    Step {
        start: s.start,
        ..Step::of::<SumOfSquares>("adagrad", &[s.lr, s.weight_decay, s.eps])
    }
}

struct SumOfSquares;
impl Rule for SumOfSquares {
    const COST: usize = 350;
    const STATES: usize = 1;
    #[inline(always)]
    fn update<T: Float>(factors: &[T; FACTORS], p: T, g: T, [sum, ..]: &mut [T; STATES]) -> T {
        let [lr, decay, eps, ..] = *factors;
        let g = g.add(decay.mul(p));
        *sum = sum.add(g.mul(g));
        p.sub(lr.mul(g).div(sum.sqrt().add(eps)))
    }
    const SQUARES: Option<usize> = Some(0);
    fn update_large<T: Float>(
        factors: &[T; FACTORS],
        p: T,
        g: T,
        [sum, ..]: &mut [T; STATES],
    ) -> T {
        let [lr, decay, eps, ..] = *factors;
        let g = g.add(decay.mul(p));
        let root = root_of_sum(T::ONE, root_of(*sum), T::ONE, g);
        *sum = state_of(root);
        p.sub(lr.mul(g.div(root.add(eps))))
    }
}

/// Settings of Lion.
#[derive(Clone, Copy, Debug)]
pub struct Lion {
    /// Length of a step.
    pub lr: f64,
    /// Weight of the mean in the direction of a step.
    pub beta1: f64,
    /// Decay of the mean of gradients.
    pub beta2: f64,
    /// Times `lr`, the part of the parameter that is subtracted from it.
    pub weight_decay: f64,
}

/// Lion (Chen et al. 2023, algorithm 2): `p' = p - lr (sign(beta1 m + (1 - beta1) g) + decay p)`
/// and `m' = beta2 m + (1 - beta2) g`.
pub fn lion(s: &Lion) -> Step {
    let (_, shrink) = decay(s.weight_decay, s.lr, true);
    let numbers = [s.lr, s.beta1, 1.0 - s.beta1, s.beta2, 1.0 - s.beta2, shrink];
    Step::of::<SignOfMean>("lion", &numbers)
}

struct SignOfMean;
impl Rule for SignOfMean {
    const COST: usize = 300;
    const STATES: usize = 1;
    #[inline(always)]
    fn update<T: Float>(factors: &[T; FACTORS], p: T, g: T, [m, ..]: &mut [T; STATES]) -> T {
        let [lr, beta1, rest1, beta2, rest2, shrink, ..] = *factors;
        let direction = beta1.mul(*m).add(rest1.mul(g)).sign();
        *m = beta2.mul(*m).add(rest2.mul(g));
        shrink.mul(p).sub(lr.mul(direction))
    }
}
