//! Sample inputs of ops: data for the gradient checks, away from kinks.

use super::Attrs;
use crate::dtype::DType;

/// Where sample values lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// Anywhere in [-2, 2].
    Real,
    /// In [0.3, 2.3].
    Positive,
    /// In [-2.2, -0.2] or [0.2, 2.2]: away from a kink at 0.
    Nonzero,
    /// No two closer than 0.1, in no order: away from ties.
    Distinct,
    /// Truth values.
    Bool,
    /// 0 or 1 as integers: numbers of slices or classes, of which there are at least two.
    Index,
}

/// One call of an op to check.
#[derive(Clone, Copy)]
pub struct Sample {
    /// The attributes.
    pub attrs: fn() -> Attrs,
    /// Shape and values of each input.
    pub inputs: &'static [(&'static [usize], Domain)],
}

impl Sample {
    /// A call without attributes.
    pub const fn plain(inputs: &'static [(&'static [usize], Domain)]) -> Self {
        Self {
            attrs: Attrs::none,
            inputs,
        }
    }

    /// A call with attributes.
    pub const fn with(attrs: fn() -> Attrs, inputs: &'static [(&'static [usize], Domain)]) -> Self {
        Self { attrs, inputs }
    }
}

impl Domain {
    /// The dtype of values of this domain.
    pub fn dtype(self) -> DType {
        match self {
            Self::Bool => DType::Bool,
            Self::Index => DType::I64,
            _ => DType::F64,
        }
    }

    /// `n` values of this domain: always the same ones for the same `seed`.
    pub fn values(self, n: usize, seed: u64) -> Vec<f64> {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut uniform = || {
            // SplitMix64 (Steele, Lea and Flood 2014), 53 bits of it.
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
        };
        if self == Self::Distinct {
            let mut values: Vec<f64> = (0..n).map(|i| 0.1 + 0.17 * i as f64).collect();
            for i in (1..n).rev() {
                values.swap(i, (uniform() * (i + 1) as f64) as usize);
            }
            return values;
        }
        (0..n)
            .map(|_| match self {
                Self::Real | Self::Distinct => 4.0 * uniform() - 2.0,
                Self::Positive => 0.3 + 2.0 * uniform(),
                Self::Nonzero => {
                    let v = 4.0 * uniform() - 2.0;
                    v + 0.2 * v.signum()
                }
                Self::Bool | Self::Index => f64::from(uniform() < 0.5),
            })
            .collect()
    }
}
