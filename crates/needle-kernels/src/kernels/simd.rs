//! Instruction sets as types, and the macro that compiles a loop for each of them.

use super::vector::{Plain, Vector};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64 as x86;

/// The instruction set a loop is being compiled for, as a type.
pub(crate) trait Simd {
    /// Its widest registers of each kind of float.
    type F32: Vector<f32>;
    type F64: Vector<f64>;
    /// How many vector registers there are.
    const REGISTERS: usize;
    /// Whether `a * b + c` with one rounding is one instruction here.
    const FMA: bool;
}

/// See [`Isa::Scalar`].
pub(crate) struct Scalar;
/// See [`Isa::Avx2`].
#[cfg(target_arch = "x86_64")]
pub(crate) struct Avx2;
/// See [`Isa::Avx512`].
#[cfg(target_arch = "x86_64")]
pub(crate) struct Avx512;

impl Simd for Scalar {
    type F32 = Plain<f32, 4>;
    type F64 = Plain<f64, 2>;
    const REGISTERS: usize = if cfg!(target_arch = "aarch64") {
        32
    } else {
        16
    };
    const FMA: bool = cfg!(any(target_feature = "fma", target_arch = "aarch64"));
}
#[cfg(target_arch = "x86_64")]
impl Simd for Avx2 {
    type F32 = x86::__m256;
    type F64 = x86::__m256d;
    const REGISTERS: usize = 16;
    const FMA: bool = true;
}
#[cfg(target_arch = "x86_64")]
impl Simd for Avx512 {
    type F32 = x86::__m512;
    type F64 = x86::__m512d;
    const REGISTERS: usize = 32;
    const FMA: bool = true;
}

/// An element type that has vectors.
pub(crate) trait Real: Copy {
    /// The widest vector of an instruction set.
    type Of<S: Simd>: Vector<Self>;
}

impl Real for f32 {
    type Of<S: Simd> = S::F32;
}
impl Real for f64 {
    type Of<S: Simd> = S::F64;
}

/// Compiles a generic loop once per instruction set and picks one at run time; the first
/// type parameter is an element type; loops over floats are compiled for every set:
///
/// ```ignore
/// simd! {
///     /// Docs.
///     pub(crate) unsafe fn name<S>[T: Bound, F: Bound<T>](arg: Type, ...) -> Type { ... }
/// }
/// ```
///
/// `S` is the [`Simd`] type that the body is compiled for. What the body calls must be
/// `#[inline(always)]`: only inlined code is compiled with the wider instructions.
///
/// The loop says in its `# Safety` what its callers promise; to this the choice below adds that the
/// processor has the instructions of `S`. So bodies may call the methods of [`Vector`].
macro_rules! simd {
    (
        $(#[$meta:meta])*
        $vis:vis unsafe fn $name:ident<$S:ident>[$first:ident: $fbound:path $(, $g:ident: $bound:path)*]
        ($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block
    ) => {
        $(#[$meta])*
        #[inline]
        #[allow(clippy::too_many_arguments)]
        $vis unsafe fn $name<$first: $fbound $(, $g: $bound)*>($($arg: $ty),*) $(-> $ret)? {
            /// # Safety
            /// What the loop says, and the processor has the instructions of the set.
            #[inline(always)]
            #[allow(clippy::too_many_arguments, clippy::inline_always)]
            unsafe fn body<$S: $crate::kernels::simd::Simd, $first: $fbound $(, $g: $bound)*>(
                $($arg: $ty),*
            ) $(-> $ret)? $body

            /// # Safety
            /// As `body`.
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
            #[allow(clippy::too_many_arguments)]
            unsafe fn avx2<$first: $fbound $(, $g: $bound)*>($($arg: $ty),*) $(-> $ret)? {
                // SAFETY: the caller's promise, handed on.
                unsafe { body::<$crate::kernels::simd::Avx2, $first $(, $g)*>($($arg),*) }
            }

            /// # Safety
            /// As `body`.
            #[cfg(target_arch = "x86_64")]
            #[target_feature(
                enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,bmi1,bmi2,lzcnt,popcnt"
            )]
            #[allow(clippy::too_many_arguments)]
            unsafe fn avx512<$first: $fbound $(, $g: $bound)*>($($arg: $ty),*) $(-> $ret)? {
                // SAFETY: the caller's promise, handed on.
                unsafe { body::<$crate::kernels::simd::Avx512, $first $(, $g)*>($($arg),*) }
            }

            /// # Safety
            /// As `body`: every processor has the baseline.
            // Not inlined, or it would be compiled again wherever the loop is called.
            #[inline(never)]
            #[allow(clippy::too_many_arguments)]
            unsafe fn scalar<$first: $fbound $(, $g: $bound)*>($($arg: $ty),*) $(-> $ret)? {
                // SAFETY: the caller's promise, handed on.
                unsafe { body::<$crate::kernels::simd::Scalar, $first $(, $g)*>($($arg),*) }
            }

            // Integers are compiled once, for the baseline: their loops wait for memory more
            // than for arithmetic, and three versions of each would double the library.
            if const { !<$first as $crate::dtype::Element>::DTYPE.is_float() } {
                // SAFETY: the caller's promise, handed on.
                return unsafe { scalar::<$first $(, $g)*>($($arg),*) };
            }
            match $crate::kernels::isa::active() {
                // SAFETY: the caller's promise; `active` gives a set only if `is_supported` found
                // every feature enabled above.
                #[cfg(target_arch = "x86_64")]
                $crate::kernels::isa::Isa::Avx512 => unsafe { avx512::<$first $(, $g)*>($($arg),*) },
                // SAFETY: the caller's promise; `active` gives a set only if `is_supported` found
                // every feature enabled above.
                #[cfg(target_arch = "x86_64")]
                $crate::kernels::isa::Isa::Avx2 => unsafe { avx2::<$first $(, $g)*>($($arg),*) },
                // SAFETY: the caller's promise, handed on.
                _ => unsafe { scalar::<$first $(, $g)*>($($arg),*) },
            }
        }
    };
}
