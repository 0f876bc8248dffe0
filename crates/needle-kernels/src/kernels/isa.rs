//! Which instruction set the loops run on, decided once per process.
//!
//! `NEEDLE_ISA=scalar|avx2|avx512` forces one, so that one machine can test all. Functions
//! compiled for a wider set are only called where the processor has it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

/// A set of vector instructions. `Scalar` is what the build target guarantees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Isa {
    /// The baseline: SSE2 on `x86_64`, NEON on aarch64.
    Scalar = 1,
    /// AVX2 and FMA, and what all processors with these have of BMI, LZCNT and POPCNT.
    Avx2 = 2,
    /// AVX-512 F, BW, DQ, VL.
    Avx512 = 3,
}

impl Isa {
    /// Every instruction set, the narrowest first.
    pub const ALL: [Self; 3] = [Self::Scalar, Self::Avx2, Self::Avx512];

    /// The name that `NEEDLE_ISA` takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// Whether this processor has all that [`simd!`](super::simd) compiles for it: a virtual machine
    /// may hide some.
    pub fn is_supported(self) -> bool {
        match self {
            Self::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("fma")
                    && is_x86_feature_detected!("bmi1")
                    && is_x86_feature_detected!("bmi2")
                    && is_x86_feature_detected!("lzcnt")
                    && is_x86_feature_detected!("popcnt")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                Self::Avx2.is_supported()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            }
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    fn best() -> Self {
        let widest = Self::ALL.into_iter().rev().find(|isa| isa.is_supported());
        widest.unwrap_or(Self::Scalar)
    }
}

/// The choice, as the number of the variant; 0 before the first look.
static ACTIVE: AtomicU8 = AtomicU8::new(0);

/// The instruction set in use.
#[inline]
pub fn active() -> Isa {
    match ACTIVE.load(Ordering::Relaxed) {
        1 => Isa::Scalar,
        2 => Isa::Avx2,
        3 => Isa::Avx512,
        _ => choose(),
    }
}

#[cold]
fn choose() -> Isa {
    let isa = request().0;
    ACTIVE.store(isa as u8, Ordering::Relaxed);
    isa
}

/// What `NEEDLE_ISA` says and what is wrong with it; read once.
fn request() -> &'static (Isa, Option<String>) {
    static REQUEST: OnceLock<(Isa, Option<String>)> = OnceLock::new();
    REQUEST.get_or_init(|| {
        let best = Isa::best();
        let Some(value) = std::env::var_os("NEEDLE_ISA").filter(|v| !v.is_empty()) else {
            return (best, None);
        };
        let value = value.to_string_lossy();
        match Isa::ALL.into_iter().find(|isa| value == isa.name()) {
            Some(isa) if isa.is_supported() => (isa, None),
            Some(_) => (
                best,
                Some(format!(
                    "NEEDLE_ISA={value}: this processor lacks it, using {}",
                    best.name()
                )),
            ),
            None => (
                best,
                Some(format!(
                    "NEEDLE_ISA={value}: expected scalar, avx2 or avx512, using {}",
                    best.name()
                )),
            ),
        }
    })
}

/// What was wrong with `NEEDLE_ISA`, for the embedder to show.
pub fn warning() -> Option<String> {
    request().1.clone()
}

/// Switches the whole process to `isa` if the processor has it, and says whether it did.
/// For tests and benchmarks.
pub fn force(isa: Isa) -> bool {
    let possible = isa.is_supported();
    if possible {
        ACTIVE.store(isa as u8, Ordering::Relaxed);
    }
    possible
}
