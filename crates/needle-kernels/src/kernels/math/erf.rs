//! The error function and the normal distribution function.
//!
//! Up to 1, `erf(x) = x + x p(x^2)`, where `p` interpolates `erf(x) / x - 1`. Above, and for the tails
//! of the normal distribution, `erfc(t) = exp(-t^2) f((t - k) / (t + k)) / (1 + 2 t)` as in
//! M. Shepherd and J. Laframboise, "Chebyshev approximation of (1 + 2x) exp(x^2) erfc x",
//! Math. Comp. 36 (1981): `f` is smooth from 0 to infinity. Both polynomials interpolate at
//! Chebyshev nodes, and were computed with 60 digits.

use crate::kernels::elementwise::formula::{maps, zips};

maps! {
    /// Error function.
    floats ERF 900, |x, S| erf::<S>(x);
    /// `x` times the normal distribution function; 0 at -infinity.
    floats GELU 900, |x, S| x.chain(normal::<S>(x).0);
}

zips! {
    /// `g` times the normal distribution function plus `x` times the density: an adjoint behind
    /// [`GELU`].
    float_pairs GELU_SLOPE 1000, |g, x, S| {
        let (share, density) = normal::<S>(x);
        g.chain(share + x.chain(density))
    };
}

macro_rules! error_functions {
    ($T:ident, most: $most:literal, near: $near:expr, far: $far:expr) => {
        pub(in super::super) mod $T {
            use super::super::super::simd::Simd;
            use super::super::$T::{exp, fma, polynomial};

            /// `erfc(t)` and `exp(-t^2)` for `t = scale |x|`, with a small relative error
            /// however far out. `scale` is 1 or the square root of 1/2, of which `part` is the
            /// square.
            #[inline(always)]
            fn tail<S: Simd>(x: $T, scale: $T, part: $T) -> ($T, $T) {
                // Beyond it the result is 0 all the same. NaN fails the test.
                let x = x.abs();
                let x = if x > $most { $most } else { x };
                let t = x * scale;
                let (sum, double) = (t + 3.75, fma::<S>(2.0, t, 1.0));
                // One division for both quotients.
                let inverse = 1.0 / (sum * double);
                let u = (t - 3.75) * double * inverse;
                let square = x * x;
                // What the square has lost; without fused multiply-add it cannot be told.
                let lost = if S::FMA { x.mul_add(x, -square) } else { 0.0 };
                let e = exp::<S>(-square * part);
                let e = fma::<S>(e, -lost * part, e);
                (e * polynomial::<S, _>(u, $far) * (sum * inverse), e)
            }

            /// The error function.
            #[inline(always)]
            pub(crate) fn erf<S: Simd>(x: $T) -> $T {
                let near = fma::<S>(x, polynomial::<S, _>(x * x, $near), x);
                let far = (1.0 - tail::<S>(x, 1.0, 1.0).0).copysign(x);
                if x.abs() < 1.0 { near } else { far }
            }

            /// The distribution function of the standard normal distribution,
            /// `erfc(-x / sqrt(2)) / 2`, where the tail on the left is not a difference, and
            /// its density.
            #[inline(always)]
            pub(crate) fn normal<S: Simd>(x: $T) -> ($T, $T) {
                const FACTOR: $T = 0.398942280401432677939946059934;
                let (tail, e) = tail::<S>(x, std::$T::consts::FRAC_1_SQRT_2, 0.5);
                let half = 0.5 * tail;
                (if x < 0.0 { half } else { 1.0 - half }, FACTOR * e)
            }
        }
    };
}

error_functions! {
    f32, most: 15.0,
    near: [
        0.12837917, -0.376126267, 0.112835947, -0.026854212, 5.18908742e-3,
        -8.01686429e-4, 7.87587506e-5,
    ],
    far: [
        1.23751262, -0.140240608, 3.5863101e-3, 0.0822774176, -0.108814585,
        0.092296368, -0.0586459829, 0.0283964821, -9.84549109e-3, 1.68866223e-3,
        3.96704638e-4, -2.28747234e-4,
    ]
}

error_functions! {
    f64, most: 39.0,
    near: [
        0.128379167095512574, -0.376126389031837524, 0.112837916709551202,
        -0.0268661706451298408, 5.22397762542329831e-3, -8.5483270219348296e-4,
        1.20553329028887354e-4, -1.49256475675193321e-5, 1.64620454414684189e-6,
        -1.63646421581676153e-7, 1.4792401209404813e-8, -1.21645600572834501e-9,
        8.70904512905310669e-11, -4.23094582429533782e-12,
    ],
    far: [
        1.23751263083782758, -0.140240598585546962, 3.58541548546377496e-3,
        0.0822767384901451591, -0.108803930141717858, 0.0923043211603787671,
        -0.0586933985902123672, 0.0283622774189406648, -9.74657955250424297e-3,
        1.75562585300172579e-3, 2.93713634285008126e-4, -2.90154080979527131e-4,
        5.16492113907028519e-5, 2.23842403142244383e-5, -1.14444124391717231e-5,
        -9.73561901518266329e-7, 1.7520579701663181e-6, -5.72159725599098718e-8,
        -2.59106968779665785e-7, 2.32619132766965674e-8, 3.89654525489859681e-8,
        -3.74356803363458322e-9, -5.28428697963142057e-9, 3.11031071983916499e-10,
        4.43495907000962826e-10,
    ]
}
