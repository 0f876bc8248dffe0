//! The cube, rounded once, so that it is never worse than `powf`.

pub(super) mod f32 {
    use super::super::super::isa::Simd;

    /// `x^3`: exact products in float64, but for its own tiny rounding.
    #[inline(always)]
    pub(crate) fn cube<S: Simd>(x: f32) -> f32 {
        let wide = f64::from(x);
        (wide * wide * wide) as f32
    }
}

pub(super) mod f64 {
    use super::super::super::isa::Simd;

    /// `x^3` with the roundings of both products added at the end (Dekker's products, by
    /// fused multiply-add). Without that instruction the standard library's power.
    #[inline(always)]
    pub(crate) fn cube<S: Simd>(x: f64) -> f64 {
        if !S::FMA {
            return x.powf(3.0);
        }
        let square = x * x;
        let lost = x.mul_add(x, -square);
        let cube = square * x;
        let rest = lost.mul_add(x, square.mul_add(x, -cube));
        // Where the product overflowed there is nothing to add.
        if cube.abs() < f64::INFINITY {
            cube + rest
        } else {
            cube
        }
    }
}
