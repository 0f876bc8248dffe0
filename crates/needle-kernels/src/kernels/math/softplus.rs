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
            use super::super::$T::{exp, log1p_unit};

            /// `log(1 + exp(x))`, without overflow and with a small relative error far below 0:
            /// `max(x, 0) + log1p(exp(-|x|))`.
            #[inline(always)]
            pub(crate) fn softplus<S: Simd>(x: $T) -> $T {
                let above = if x <= 0.0 { 0.0 } else { x };
                above + log1p_unit::<S>(exp::<S>(-x.abs()))
            }
        }
    };
}

softplus!(f32);
softplus!(f64);
