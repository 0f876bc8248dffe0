//! `exp` and its kin, tanh and sigmoid.
//!
//! The classic reduction (Cody and Waite, "Software Manual for the Elementary Functions",
//! 1980): `x = n ln 2 + r` with `|r| <= ln 2 / 2` and ln 2 in two parts, of which the first
//! times `n` is exact. Then `exp(r) - 1 = r + r^2 q(r)`, where `q` interpolates
//! `(exp(r) - 1 - r) / r^2` at Chebyshev nodes of the interval, which is within 2 % of an
//! ulp of it. `n` comes from adding and taking away 1.5 * 2^(bits of the significand),
//! which rounds to the nearest integer and leaves it in the low bits. The polynomials of
//! tanh below 0.625 are those of Moshier's Cephes (`tanhf.c`, `tanh.c`).

use crate::kernels::elementwise::formula::{maps, zips};

maps! {
    /// Exponential.
    floats EXP 400, |x, S| exp::<S>(x);
    /// Hyperbolic tangent.
    floats TANH 700, |x, S| tanh::<S>(x);
    /// `1 / (1 + exp(-x))`, without overflow.
    floats SIGMOID 600, |x, S| sigmoid::<S>(x);
    /// `x` times its sigmoid; 0 at -infinity.
    floats SILU 600, |x, S| silu::<S>(x);
}

zips! {
    /// `g (1 - tanh(x)^2)`: an adjoint behind a hyperbolic tangent.
    float_pairs TANH_SLOPE 500, |g, x, S| tanh_slope::<S>(g, x);
    /// `g s (1 - s)` with the sigmoid `s` of `x`: an adjoint behind a sigmoid.
    float_pairs SIGMOID_SLOPE 500, |g, x, S| sigmoid_slope::<S>(g, x);
    /// `-2 g tanh(x) (1 - tanh(x)^2)`: `g` times the second derivative.
    float_pairs TANH_CURVATURE 700, |g, x, S| tanh_curvature::<S>(g, x);
    /// `g s (1 - s) (1 - 2 s)` with the sigmoid `s` of `x`: `g` times the second derivative.
    float_pairs SIGMOID_CURVATURE 700, |g, x, S| sigmoid_curvature::<S>(g, x);
    /// `g (1 - tanh(x)^2) (6 tanh(x)^2 - 2)`: `g` times the third derivative.
    float_pairs TANH_THIRD 700, |g, x, S| tanh_third::<S>(g, x);
    /// `g s (1 - s) (1 - 6 s (1 - s))` with the sigmoid `s` of `x`: `g` times the third derivative.
    float_pairs SIGMOID_THIRD 700, |g, x, S| sigmoid_third::<S>(g, x);
    /// `g s (1 + x (1 - s))` with the sigmoid `s` of `x`: an adjoint behind [`SILU`].
    float_pairs SILU_SLOPE 700, |g, x, S| g.chain(silu_slope::<S>(x));
}

macro_rules! exponentials {
    (
        $T:ident, $bits:ident, $significand:literal, $offset:literal,
        round: $round:literal, ln2: [$high:literal, $low:literal],
        range: [$least:literal, $most:literal], far: $far:literal, bottom: $bottom:literal,
        tanh: $one:literal,
        q: $q:expr, above: $above:expr, below: $below:expr
    ) => {
        pub(in super::super) mod $T {
            use super::super::super::simd::Simd;
            use super::super::$T::{fma, polynomial};
            use std::$T::consts::{LN_2, LOG2_E};

            /// `n`, plus a constant and as bits, and `r` for `x = n ln 2 + r`.
            #[inline(always)]
            fn remainder<S: Simd>(x: $T) -> ($bits, $T) {
                let shifted = fma::<S>(x, LOG2_E, $round);
                let n = shifted - $round;
                let r = fma::<S>(n, -$low, fma::<S>(n, -$high, x));
                (shifted.to_bits().wrapping_sub(($round as $T).to_bits()), r)
            }

            /// `exp(r) - 1` for a remainder.
            #[inline(always)]
            fn over_one<S: Simd>(r: $T) -> $T {
                fma::<S>(polynomial::<S, _>(r, $q), r * r, r)
            }

            /// `n` and `exp(r) - 1` for `x = n ln 2 + r`; `n` plus a constant, as bits.
            #[inline(always)]
            fn reduce<S: Simd>(x: $T) -> ($bits, $T) {
                let (n, r) = remainder::<S>(x);
                (n, over_one::<S>(r))
            }

            /// `2^(k - bias)`, for `k` in the range of exponents of normal numbers.
            #[inline(always)]
            fn power(k: $bits) -> $T {
                $T::from_bits(k << $significand)
            }

            /// Two powers of two whose product is `2^n`, so that results below the normal numbers
            /// round once.
            #[inline(always)]
            fn halves(n: $bits) -> ($T, $T) {
                let k = n.wrapping_add($offset);
                let half = k >> 1;
                (
                    power(half.wrapping_sub(1)),
                    power((k - half).wrapping_sub(1)),
                )
            }

            /// The exponential.
            #[inline(always)]
            pub(crate) fn exp<S: Simd>(x: $T) -> $T {
                // Above, the result is infinity all the same, and below it is 0. NaN fails the
                // tests.
                let x = if x > $most { $most } else { x };
                let x = if x < $least { $least } else { x };
                let (n, p) = reduce::<S>(x);
                let (s, t) = halves(n);
                fma::<S>(s, p, s) * t
            }

            /// Two normal numbers whose product is the exponential of `x + low`, where `low` is
            /// tiny, and `2^n` for `x` and its negative stays in twice the range of exponents.
            #[inline(always)]
            pub(in super::super) fn factors<S: Simd>(x: $T, low: $T) -> ($T, $T) {
                let (n, r) = remainder::<S>(x);
                let (s, t) = halves(n);
                (fma::<S>(s, over_one::<S>(r + low), s), t)
            }

            /// The hyperbolic tangent: an odd function's polynomial near 0, and elsewhere
            /// `1 - 2 / (exp(2 |x|) + 1)`. Both end in one division, which they share.
            #[inline(always)]
            pub(crate) fn tanh<S: Simd>(x: $T) -> $T {
                let y = x.abs();
                let y = if y > $one { $one } else { y };
                let (n, p) = reduce::<S>(2.0 * y);
                let scale = power(n.wrapping_add($offset / 2 - 1));
                let z = y * y;
                let small = y < 0.625;
                let above = if small {
                    polynomial::<S, _>(z, $above)
                } else {
                    -2.0
                };
                let below = polynomial::<S, _>(z, $below);
                let below = if small {
                    below
                } else {
                    fma::<S>(scale, p, scale + 1.0)
                };
                let (start, factor) = if small { (y, y * z) } else { (1.0, 1.0) };
                fma::<S>(factor, above / below, start).copysign(x)
            }

            /// Two powers of two and `p` for `exp(-x) = 2^n (1 + p)`: 1 and `2^n`, both divided by
            /// `2^(n / 2)`, so that neither leaves the normal numbers.
            #[inline(always)]
            fn odds<S: Simd>(x: $T) -> ($T, $T, $T) {
                let (n, p) = reduce::<S>(-x);
                let k = n.wrapping_add($offset);
                let half = k >> 1;
                let a = power(half.wrapping_neg().wrapping_add($offset - 1));
                let b = power((k - half).wrapping_sub(1));
                (a, b, p)
            }

            /// `x`, but no further from 0 than `most`. NaN fails both tests.
            #[inline(always)]
            fn within(x: $T, most: $T) -> $T {
                let x = if x > most { most } else { x };
                if x < -most { -most } else { x }
            }

            /// `1 / (1 + exp(-x))`.
            #[inline(always)]
            pub(crate) fn sigmoid<S: Simd>(x: $T) -> $T {
                // Beyond, the result is 0 or 1 all the same.
                let (a, b, p) = odds::<S>(within(x, -$least));
                a / (b + fma::<S>(b, p, a))
            }

            /// `x / (1 + exp(-x))`. The product comes first: the sigmoid alone would lose digits
            /// below the normal numbers, and `x` make them many.
            #[inline(always)]
            pub(crate) fn silu<S: Simd>(x: $T) -> $T {
                // Below, the result is 0 all the same, above it is x.
                let near = within(x, $far);
                let (a, b, p) = odds::<S>(near);
                let value = near * a / (b + fma::<S>(b, p, a));
                if x > $far { x } else { value }
            }

            /// Two powers of two and `p` for `exp(-|x|) = s t (1 + p)`, where `s` and `t` are normal
            /// and `t` is 1 as long as the product is, and whether `2^k` times this is nearer to 0
            /// than to the smallest number; `k` is at most 4.
            #[inline(always)]
            fn fall<S: Simd>(x: $T, k: u8) -> ($T, $T, $T, bool) {
                let x = x.abs();
                // Positive, as it makes the minimum one instruction. NaN fails the test.
                let y = if x > $far { $far } else { x };
                let (n, r) = remainder::<S>(y);
                let most = $offset / 2 - 2;
                let first = if n < most { n } else { most };
                let bias = $offset / 2 - 1;
                let (s, t) = (power(bias - first), power((bias + first).wrapping_sub(n)));
                (s, t, over_one::<S>(-r), y > ($bottom + $T::from(k)) * LN_2)
            }

            /// `2^k g` times the slope of the sigmoid at `x`: with `e = exp(-|x|)` it is
            /// `e / (1 + e)^2`. 0 where `g` or the slope is 0. A slope below the normal numbers has
            /// lost digits, which a large `g` must not make many.
            #[inline(always)]
            fn slope<S: Simd>(g: $T, x: $T, k: u8) -> $T {
                let (s, t, p, is_lost) = fall::<S>(x, k);
                let e = fma::<S>(s, p, s);
                let d = fma::<S>(e, t, 1.0);
                let product = (g * t) * (e / (part(k) * d * d));
                if is_lost | (g == 0.0) { 0.0 } else { product }
            }

            /// `-2^k g` times the second derivative of the sigmoid at `x`: with `e = exp(-|x|)` and
            /// the sign of `x` it is `e (1 - e) / (1 + e)^3`, where `1 - e` is no difference near 0.
            /// 0 where `g` or the derivative, near 0 an eighth of `x`, is 0.
            #[inline(always)]
            fn curvature<S: Simd>(g: $T, x: $T, k: u8) -> $T {
                let (s, t, p, is_lost) = fall::<S>(x, k);
                let e = fma::<S>(s, p, s);
                let d = fma::<S>(e, t, 1.0);
                let rest = fma::<S>(-t * s, p, fma::<S>(-t, s, 1.0)).copysign(x);
                let product = -(g * t) * rest * (e / (part(k) * d * d * d));
                let is_zero = is_lost | (0.125 / part(k) * x == 0.0) | (g == 0.0);
                if is_zero { 0.0 } else { product }
            }

            /// `2^k g` times the third derivative of the sigmoid at `x`: with `e = exp(-|x|)` it is
            /// `e (1 - 4 e + e^2) / (1 + e)^4`. 0 where `g` or the slope is 0.
            #[inline(always)]
            fn third<S: Simd>(g: $T, x: $T, k: u8) -> $T {
                let (s, t, p, is_lost) = fall::<S>(x, k);
                let e = fma::<S>(s, p, s);
                let d = fma::<S>(e, t, 1.0);
                let full = e * t;
                let bend = fma::<S>(full, full - 4.0, 1.0);
                let product = (g * t) * (bend * (e / (part(k) * d * d * (d * d))));
                if is_lost | (g == 0.0) { 0.0 } else { product }
            }

            /// `2^-k`.
            #[inline(always)]
            fn part(k: u8) -> $T {
                1.0 / $T::from(1u8 << k)
            }

            /// `g s (1 - s)` with the sigmoid `s` of `x`.
            #[inline(always)]
            pub(crate) fn sigmoid_slope<S: Simd>(g: $T, x: $T) -> $T {
                slope::<S>(g, x, 0)
            }

            /// `g (1 - tanh(x)^2)`: `tanh(x)` is `2 sigmoid(2 x) - 1`.
            #[inline(always)]
            pub(crate) fn tanh_slope<S: Simd>(g: $T, x: $T) -> $T {
                slope::<S>(g, 2.0 * x, 2)
            }

            /// `g s (1 - s) (1 - 2 s)` with the sigmoid `s` of `x`.
            #[inline(always)]
            pub(crate) fn sigmoid_curvature<S: Simd>(g: $T, x: $T) -> $T {
                curvature::<S>(g, x, 0)
            }

            /// `-2 g tanh(x) (1 - tanh(x)^2)`.
            #[inline(always)]
            pub(crate) fn tanh_curvature<S: Simd>(g: $T, x: $T) -> $T {
                curvature::<S>(g, 2.0 * x, 3)
            }

            /// `g s (1 - s) (1 - 6 s (1 - s))` with the sigmoid `s` of `x`.
            #[inline(always)]
            pub(crate) fn sigmoid_third<S: Simd>(g: $T, x: $T) -> $T {
                third::<S>(g, x, 0)
            }

            /// `g (1 - tanh(x)^2) (6 tanh(x)^2 - 2)`.
            #[inline(always)]
            pub(crate) fn tanh_third<S: Simd>(g: $T, x: $T) -> $T {
                third::<S>(g, 2.0 * x, 4)
            }

            /// `s - t` with the sigmoid `s` of `x`, as `(1 - t) s - t (1 - s)`: neither a `t` of 0
            /// nor one of 1 takes digits from a sigmoid near it.
            #[inline(always)]
            pub(crate) fn residual<S: Simd>(x: $T, t: $T) -> $T {
                let (a, b, p) = odds::<S>(within(x, $far));
                let b = fma::<S>(b, p, b);
                fma::<S>(-t, b, (1.0 - t) * a) * (1.0 / (a + b))
            }

            /// `s (1 + x (1 - s))` with the sigmoid `s` of `x`, where `1 - s` is no difference.
            #[inline(always)]
            pub(crate) fn silu_slope<S: Simd>(x: $T) -> $T {
                let x = within(x, $far);
                let (a, b, p) = odds::<S>(x);
                let b = fma::<S>(b, p, b);
                let inverse = 1.0 / (a + b);
                fma::<S>(x, b * inverse, 1.0) * a * inverse
            }
        }
    };
}

exponentials! {
    f32, u32, 23, 256,
    round: 12_582_912.0, ln2: [0.693_359_375, -2.121_944_4e-4],
    range: [-104.0, 89.0], far: 109.0, bottom: 150.0, tanh: 10.0,
    q: [0.5, 0.16666667, 0.04166645, 0.008333309, 0.0013935452, 0.00019892992],
    above: [
        -3.33332819422e-1, 1.33314422036e-1, -5.37397155531e-2, 2.06390887954e-2,
        -5.70498872745e-3,
    ],
    below: [1.0]
}

exponentials! {
    f64, u64, 52, 2048,
    round: 6_755_399_441_055_744.0, ln2: [0.693_145_751_953_125, 1.428_606_820_309_417_3e-6],
    range: [-746.0, 710.0], far: 753.0, bottom: 1075.0, tanh: 20.0,
    q: [
        0.5, 0.1666666666666667, 0.04166666666666667, 0.008333333333324906,
        0.001388888888888287, 0.00019841269879033045, 2.4801587328555858e-05,
        2.755725016302918e-06, 2.7557269903215795e-07, 2.5107353767261877e-08,
        2.0916212837493853e-09,
    ],
    above: [-1.61468768441708447952e3, -9.92877231001918586564e1, -9.64399179425052238628e-1],
    below: [4.84406305325125486048e3, 2.23548839060100448583e3, 1.12811678491632931402e2, 1.0]
}
