//! `log(1 + exp(x))`, and the loss of a logit that is made of it.

use crate::kernels::elementwise::formula::{maps, zips};

maps! {
    /// `log(1 + exp(x))`, without overflow.
    floats SOFTPLUS 1000, |x, S| softplus::<S>(x);
}

zips! {
    /// `t log(1 + exp(-x)) + (1 - t) log(1 + exp(x))`: the cross-entropy of a target `t` and the
    /// sigmoid of `x`.
    float_pairs LOGISTIC_LOSS 1000, |x, t, S| logistic_loss::<S>(x, t);
    /// `s - t` with the sigmoid `s` of `x`: the derivative of [`LOGISTIC_LOSS`].
    float_pairs LOGISTIC_RESIDUAL 600, |x, t, S| residual::<S>(x, t);
}

macro_rules! softplus {
    ($T:ident) => {
        pub(in super::super) mod $T {
            use super::super::super::number::Arithmetic;
            use super::super::super::simd::Simd;
            use super::super::$T::{exp, log1p_unit};

            /// `log(1 + exp(x))`, without overflow and with a small relative error far below 0:
            /// `max(x, 0) + log1p(exp(-|x|))`.
            #[inline(always)]
            pub(crate) fn softplus<S: Simd>(x: $T) -> $T {
                let above = if x <= 0.0 { 0.0 } else { x };
                above + tail::<S>(x)
            }

            /// `log(1 + exp(-|x|))`.
            #[inline(always)]
            fn tail<S: Simd>(x: $T) -> $T {
                log1p_unit::<S>(exp::<S>(-x.abs()))
            }

            /// `t softplus(-x) + (1 - t) softplus(x)` with one softplus: the part of each that is
            /// no tail, of one sign for `t` from 0 to 1, and a tail that both share.
            #[inline(always)]
            pub(crate) fn logistic_loss<S: Simd>(x: $T, t: $T) -> $T {
                let share = if x > 0.0 { 1.0 - t } else { -t };
                share.chain(x) + tail::<S>(x)
            }
        }
    };
}

softplus!(f32);
softplus!(f64);
