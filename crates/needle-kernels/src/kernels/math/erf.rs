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
    floats GELU 900, |x, S| gelu::<S>(x);
}

zips! {
    /// `g 2 / sqrt(pi) exp(-x^2)`: an adjoint behind [`ERF`].
    float_pairs ERF_SLOPE 600, |g, x, S| chain_factors(g, erf_slope::<S>(x));
    /// `g exp(-x^2 / 2) / sqrt(2 pi)`: an adjoint behind the normal distribution function.
    float_pairs NORMAL_DENSITY 600, |g, x, S| chain_factors(g, normal_density::<S>(x));
    /// `g` times the normal distribution function plus `x` times the density: an adjoint behind
    /// [`GELU`].
    float_pairs GELU_SLOPE 1000, |g, x, S| g.chain(gelu_slope::<S>(x));
}

macro_rules! error_functions {
    (
        $T:ident, one: $one:literal, most: $most:literal, slope: $steep:literal, high: $high:literal,
        near: $near:expr, far: $far:expr
    ) => {
        pub(in super::super) mod $T {
            use super::super::super::simd::Simd;
            use super::super::$T::{exp, factors, fma, polynomial};

            /// The normal density at 0.
            const DENSITY: $T = 0.398942280401432677939946059934;

            /// Two factors of `part exp(t^2) erfc(t)` for `t >= 0`; `part` is a power of two.
            #[inline(always)]
            fn scaled<S: Simd>(t: $T, part: $T) -> ($T, $T) {
                let (sum, double) = (t + 3.75, fma::<S>(2.0 / part, t, 1.0 / part));
                // One division for both quotients.
                let inverse = 1.0 / (sum * double);
                let u = (t - 3.75) * double * inverse;
                (polynomial::<S, _>(u, $far), sum * inverse)
            }

            /// The error function.
            #[inline(always)]
            pub(crate) fn erf<S: Simd>(x: $T) -> $T {
                let near = fma::<S>(x, polynomial::<S, _>(x * x, $near), x);
                // Beyond, the result is 1 all the same. NaN fails the test.
                let y = x.abs();
                let y = if y > $one { $one } else { y };
                let (p, share) = scaled::<S>(y, 1.0);
                let far = (1.0 - exp::<S>(-(y * y)) * p * share).copysign(x);
                if x.abs() < 1.0 { near } else { far }
            }

            /// `|x|`, but no more than `most`. NaN fails the test.
            #[inline(always)]
            fn up_to(most: $T, x: $T) -> $T {
                let y = x.abs();
                if y > most { most } else { y }
            }

            /// Two normal numbers whose product is `exp(-part y^2)`; `part` is a power of two.
            #[inline(always)]
            fn bell<S: Simd>(y: $T, part: $T) -> ($T, $T) {
                // The square in two parts: the exponential would make much of what it loses.
                let (square, lost) = if S::FMA {
                    (y * y, y.mul_add(y, -(y * y)))
                } else {
                    let high = $T::from_bits(y.to_bits() & $high);
                    (high * high, (y - high) * (y + high))
                };
                factors::<S>(-part * square, -part * lost)
            }

            /// Two normal numbers whose product is `2 / sqrt(pi) exp(-x^2)`.
            #[inline(always)]
            pub(crate) fn erf_slope<S: Simd>(x: $T) -> ($T, $T) {
                // Beyond, the product is 0 all the same.
                let (e, scale) = bell::<S>(up_to($steep, x), 1.0);
                (std::$T::consts::FRAC_2_SQRT_PI * e, scale)
            }

            /// Two normal numbers whose product is the density of the standard normal distribution.
            #[inline(always)]
            pub(crate) fn normal_density<S: Simd>(x: $T) -> ($T, $T) {
                let (e, scale) = bell::<S>(up_to($most, x), 0.5);
                (DENSITY * e, scale)
            }

            /// `|x|` up to where the tail of the normal distribution is 0, half of
            /// `exp(x^2 / 2) erfc(|x| / sqrt(2))`, and two normal numbers whose product is
            /// `exp(-x^2 / 2)`: below the normal numbers a result must round once.
            #[inline(always)]
            fn tail<S: Simd>(x: $T) -> ($T, $T, $T, $T) {
                let y = up_to($most, x);
                let (p, share) = scaled::<S>(y * std::$T::consts::FRAC_1_SQRT_2, 0.5);
                let (e, scale) = bell::<S>(y, 0.5);
                (y, p * share, e, scale)
            }

            /// `x` times the distribution function of the standard normal distribution: on the
            /// left `x erfc(-x / sqrt(2)) / 2`, on the right `x` less as much.
            #[inline(always)]
            pub(crate) fn gelu<S: Simd>(x: $T) -> $T {
                let (y, half, e, scale) = tail::<S>(x);
                // The sign of zero is the argument's.
                let above = if x >= 0.0 { x } else { -0.0 };
                fma::<S>(-(e * (y * half)), scale, above)
            }

            /// Its derivative, the distribution function plus `x` times the density: on the left
            /// `exp(-x^2 / 2)` times a difference, on the right 1 less as much.
            #[inline(always)]
            pub(crate) fn gelu_slope<S: Simd>(x: $T) -> $T {
                let (y, half, e, scale) = tail::<S>(x);
                let (above, e) = if x < 0.0 { (0.0, e) } else { (1.0, -e) };
                fma::<S>(e * fma::<S>(y, -DENSITY, half), scale, above)
            }
        }
    };
}

error_functions! {
    f32, one: 4.0, most: 15.0, slope: 11.0, high: 0xffff_f000,
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
    f64, one: 6.0, most: 39.0, slope: 28.0, high: 0xffff_ffff_f800_0000,
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
