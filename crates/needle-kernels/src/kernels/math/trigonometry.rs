//! Sine and cosine of arguments up to [`LARGE`](f64::LARGE); beyond, the loops ask the
//! standard library, which reduces by as many digits of pi as it takes.
//!
//! `x = n pi/2 + r` with `|r| <= pi/4`: pi/2 stands in parts whose products with `n` are
//! exact (Cody and Waite), and the polynomials are those of Sun's fdlibm (`k_sin.c`,
//! `k_cos.c`; for float32 in float64 arithmetic those of FreeBSD's `k_sinf.c`, `k_cosf.c`).

use crate::kernels::elementwise::formula::maps;

maps! {
    /// Sine.
    floats SIN 800, |x, S| sin::<S>(x), if x.abs() > LARGE => x.sin();
    /// Cosine.
    floats COS 800, |x, S| cos::<S>(x), if x.abs() > LARGE => x.cos();
}

/// `n` rounded to the nearest integer and as bits: see `exp`.
macro_rules! quadrant {
    ($x:expr, $S:ty) => {{
        const ROUND: f64 = 6_755_399_441_055_744.0;
        let shifted = super::super::f64::fma::<$S>($x, std::f64::consts::FRAC_2_PI, ROUND);
        (shifted - ROUND, shifted.to_bits())
    }};
}

/// `sin` and `cos` from the values of both on the reduced argument: odd quadrants swap them,
/// and every second one turns the sign.
macro_rules! by_quadrant {
    ($T:ident, $reduce:ident) => {
        /// The sine, for `|x|` up to [`LARGE`].
        #[inline(always)]
        pub(crate) fn sin<S: Simd>(x: $T) -> $T {
            let (quadrant, sin, cos) = $reduce::<S>(x);
            let value = if quadrant & 1 == 0 { sin } else { cos };
            // The sign of zero is the argument's.
            let value = if x == 0.0 { x } else { value };
            if quadrant & 2 == 0 { value } else { -value }
        }

        /// The cosine, for `|x|` up to [`LARGE`].
        #[inline(always)]
        pub(crate) fn cos<S: Simd>(x: $T) -> $T {
            let (quadrant, sin, cos) = $reduce::<S>(x);
            let value = if quadrant & 1 == 0 { cos } else { sin };
            if (quadrant.wrapping_add(1)) & 2 == 0 {
                value
            } else {
                -value
            }
        }
    };
}

pub(super) mod f32 {
    use super::super::super::simd::Simd;
    use super::super::f64::{fma, polynomial};

    /// Where the standard library takes over.
    pub(crate) const LARGE: f32 = 1e6;

    /// The quadrant, and sine and cosine of the argument's distance from it.
    #[inline(always)]
    fn reduce<S: Simd>(x: f32) -> (u64, f32, f32) {
        let x = f64::from(x);
        let (n, quadrant) = quadrant!(x, S);
        // The first part has 33 bits, so that its product with n is exact.
        let r = fma::<S>(n, -1.57079632673412561417, x);
        let r = fma::<S>(n, -6.07710050650619224932e-11, r);
        let z = r * r;
        let sin = polynomial::<S, _>(
            z,
            [
                -0.166666666416265235595,
                0.0083333293858894631756,
                -0.000198393348360966317347,
                0.0000027183114939898219064,
            ],
        );
        let cos = polynomial::<S, _>(
            z,
            [
                1.0,
                -0.499999997251031003120,
                0.0416666233237390631894,
                -0.00138867637746099294692,
                0.0000243904487962774090654,
            ],
        );
        (quadrant, fma::<S>(r * z, sin, r) as f32, cos as f32)
    }

    by_quadrant!(f32, reduce);
}

pub(super) mod f64 {
    use super::super::super::simd::Simd;
    use super::super::f64::{fma, polynomial};

    /// Where the standard library takes over.
    pub(crate) const LARGE: f64 = 1e6;

    /// The quadrant, and sine and cosine of the argument's distance from it.
    #[inline(always)]
    fn reduce<S: Simd>(x: f64) -> (u64, f64, f64) {
        let (n, quadrant) = quadrant!(x, S);
        // Two parts of 33 bits, whose products with n are exact, and a third.
        let first = fma::<S>(n, -1.57079632673412561417, x);
        let product = n * 6.07710050630396597660e-11;
        let second = first - product;
        let lost = (first - second) - product;
        let product = fma::<S>(n, 2.02226624879595063154e-21, -lost);
        let r = second - product;
        let low = (second - r) - product;
        let z = r * r;
        let tail = polynomial::<S, _>(
            z,
            [
                8.33333333332248946124e-03,
                -1.98412698298579493134e-04,
                2.75573137070700676789e-06,
                -2.50507602534068634195e-08,
                1.58969099521155010221e-10,
            ],
        );
        let cube = z * r;
        let odd = fma::<S>(z, fma::<S>(cube, tail, -0.5 * low), low);
        let sin = r + fma::<S>(cube, -1.66666666666666324348e-01, odd);
        let tail = polynomial::<S, _>(
            z,
            [
                4.16666666666666019037e-02,
                -1.38888888888741095749e-03,
                2.48015872894767294178e-05,
                -2.75573143513906633035e-07,
                2.08757232129817482790e-09,
                -1.13596475577881948265e-11,
            ],
        );
        let half = 0.5 * z;
        let near = 1.0 - half;
        let cos = near + ((1.0 - near) - half + fma::<S>(z * z, tail, -(r * low)));
        (quadrant, sin, cos)
    }

    by_quadrant!(f64, reduce);
}
