//! `log(1 + exp(x))`.

use crate::kernels::elementwise::formula::maps;

maps! {
    /// `log(1 + exp(x))`, without overflow.
    floats SOFTPLUS 1000, |x, S| softplus::<S>(x);
}

macro_rules! softplus {
    ($T:ident) => {
        pub(in super::super) mod $T {
            use super::super::super::simd::Simd;
            use super::super::$T::{exp, log};

            /// `log(1 + exp(x))`, without overflow and with a small relative error far below 0:
            /// `max(x, 0) + log1p(exp(-|x|))`. The logarithm is taken of the rounded sum `w` and
            /// scaled by what was added over what has arrived (W. Kahan's `log1p`).
            #[inline(always)]
            pub(crate) fn softplus<S: Simd>(x: $T) -> $T {
                let e = exp::<S>(-x.abs());
                let w = 1.0 + e;
                let arrived = w - 1.0;
                let scaled = log::<S>(w) * (e / arrived);
                let log = if arrived == 0.0 { e } else { scaled };
                let above = if x <= 0.0 { 0.0 } else { x };
                above + log
            }
        }
    };
}

softplus!(f32);
softplus!(f64);
