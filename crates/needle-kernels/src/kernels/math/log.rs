//! The natural logarithm, and that of `1 + x`.
//!
//! `x = 2^k m` with `m` between sqrt(1/2) and sqrt(2), and `f = m - 1`. float32 takes
//! `log(1 + f) = f - f^2 / 2 + f^3 p(f)` (the form of Moshier's Cephes `logf`) with `p`
//! interpolated at Chebyshev nodes; float64 the division `s = f / (2 + f)` and the
//! polynomial in `s^2` of Sun's fdlibm `e_log.c`, whose error is below one ulp. ln 2 is in
//! two parts, of which the first times `k` is exact.

use crate::kernels::elementwise::formula::maps;

maps! {
    /// Natural logarithm.
    floats LOG 500, |x, S| log::<S>(x);
    /// `log(1 + x)`, to the last digits for small `x`.
    floats LOG1P 700, |x, S| log1p::<S>(x);
}

macro_rules! logarithm {
    (
        $T:ident, $bits:ident, $significand:literal, $bias:literal,
        root: $root:literal, lift: [$lift:literal, $lifted:literal], magic: $magic:literal,
        |$S:ident, $f:ident, $k:ident| $body:block
    ) => {
        pub(in super::super) mod $T {
            use super::super::super::simd::Simd;
            use super::super::$T::{fma, polynomial};

            /// The logarithm of a normal positive number. Its exponent is counted from `bias`.
            #[inline(always)]
            fn log_normal<$S: Simd>(x: $T, bias: $T) -> $T {
                // Exponents are counted from sqrt(1/2), so that `m` lies around 1.
                let one = (1.0 as $T).to_bits();
                let bits = x.to_bits().wrapping_add(one.wrapping_sub($root));
                let exponent = bits >> $significand;
                let m = (bits & ((1 << $significand) - 1)).wrapping_add($root);
                let $f = $T::from_bits(m) - 1.0;
                // The exponent as a float: in the low bits of a large one, less that one.
                let number = $T::from_bits(exponent | ($magic as $T).to_bits());
                let $k = number - ($magic + bias);
                $body
            }

            /// The natural logarithm.
            #[inline(always)]
            pub(crate) fn log<S: Simd>(x: $T) -> $T {
                // Numbers below the normal ones are lifted first.
                let tiny = x < $T::MIN_POSITIVE;
                let lifted = if tiny { x * $lift } else { x };
                let value = log_normal::<S>(lifted, if tiny { $bias + $lifted } else { $bias });
                let value = if x < $T::INFINITY { value } else { x };
                let value = if x == 0.0 { $T::NEG_INFINITY } else { value };
                if x < 0.0 { $T::NAN } else { value }
            }

            /// `log(1 + x)`. The logarithm is taken of the rounded sum and scaled by what was
            /// added over what has arrived (W. Kahan; see the HP-15C Advanced Functions
            /// Handbook, 1982, appendix).
            #[inline(always)]
            pub(crate) fn log1p<S: Simd>(x: $T) -> $T {
                let sum = 1.0 + x;
                let arrived = sum - 1.0;
                let scaled = log::<S>(sum) * (x / arrived);
                let value = if arrived == 0.0 { x } else { scaled };
                if sum < $T::INFINITY { value } else { sum }
            }

            /// The same for `x` from 0 to 1, and NaN for NaN.
            #[inline(always)]
            pub(in super::super) fn log1p_unit<S: Simd>(x: $T) -> $T {
                let sum = 1.0 + x;
                let arrived = sum - 1.0;
                let scaled = log_normal::<S>(sum, $bias) * (x / arrived);
                if arrived == 0.0 { x } else { scaled }
            }
        }
    };
}

logarithm! {
    f32, u32, 23, 127.0,
    root: 0x3f35_04f3, lift: [8_388_608.0, 23.0], magic: 8_388_608.0,
    |S, f, k| {
        let p = polynomial::<S, _>(f, [
            0.33333331, -0.24999997, 0.20000716, -0.16667803, 0.14249058,
            -0.12425687, 0.1168542, -0.11479734, 0.06971612,
        ]);
        let square = f * f;
        let tail = fma::<S>(f * p, square, k * -2.121_944_4e-4);
        fma::<S>(k, 0.693_359_375, f + fma::<S>(square, -0.5, tail))
    }
}

logarithm! {
    f64, u64, 52, 1023.0,
    root: 0x3fe6_a09e_667f_3bcd, lift: [4_503_599_627_370_496.0, 52.0],
    magic: 4_503_599_627_370_496.0,
    |S, f, k| {
        let s = f / (2.0 + f);
        let z = s * s;
        let r = z * polynomial::<S, _>(z, [
            6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01,
            2.222219843214978396e-01, 1.818357216161805012e-01, 1.531383769920937332e-01,
            1.479819860511658591e-01,
        ]);
        let half = 0.5 * f * f;
        let low = fma::<S>(s, half + r, k * 1.90821492927058770002e-10);
        fma::<S>(k, 6.93147180369123816490e-01, f - (half - low))
    }
}
