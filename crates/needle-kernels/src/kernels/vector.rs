//! Vector registers as types, for the kernels that the compiler does not vectorise well
//! enough by itself.

/// A register of several elements.
///
/// Every method may use the instructions of the set that the register belongs to, so the processor
/// must have them; to be fast it must be inlined into code that is compiled for the set. Both hold
/// in the bodies of `simd!`.
pub(crate) trait Vector<T>: Copy {
    /// How many elements.
    const LEN: usize;
    /// The same element everywhere.
    ///
    /// # Safety
    /// The processor has the instructions of the set.
    unsafe fn splat(value: T) -> Self;
    /// The elements from an address on.
    ///
    /// # Safety
    /// As [`Vector::splat`], and there are [`Vector::LEN`] elements to be read.
    unsafe fn load(at: *const T) -> Self;
    /// The first `n` elements from an address on, which alone are read, and zeros.
    ///
    /// # Safety
    /// As [`Vector::splat`], and there are `n` elements to be read, at most [`Vector::LEN`].
    unsafe fn load_first(at: *const T, n: usize) -> Self;
    /// Writes the elements.
    ///
    /// # Safety
    /// As [`Vector::splat`], and nobody else sees the [`Vector::LEN`] elements there.
    unsafe fn store(self, at: *mut T);
    /// Writes the first `n` elements.
    ///
    /// # Safety
    /// As [`Vector::splat`], and nobody else sees the `n` elements there, at most [`Vector::LEN`].
    unsafe fn store_first(self, at: *mut T, n: usize);
    /// `self + a * b`.
    ///
    /// # Safety
    /// As [`Vector::splat`].
    unsafe fn add_product(self, a: Self, b: Self) -> Self;
    /// `self + other`.
    ///
    /// # Safety
    /// As [`Vector::splat`].
    unsafe fn add(self, other: Self) -> Self;
    /// The elements of both in turn, `self`'s first: the first half of them, and the second.
    ///
    /// # Safety
    /// As [`Vector::splat`].
    unsafe fn zip(self, other: Self) -> (Self, Self);
    /// The sum of the elements.
    ///
    /// # Safety
    /// As [`Vector::splat`].
    unsafe fn total(self) -> T;
}

/// A vector for the baseline: plain Rust, which the compiler puts into its registers.
#[derive(Clone, Copy)]
pub(crate) struct Plain<T, const N: usize>([T; N]);

macro_rules! plain {
    ($($T:ty)*) => {$(
        impl<const N: usize> Vector<$T> for Plain<$T, N> {
            const LEN: usize = N;
            #[inline(always)]
            unsafe fn splat(value: $T) -> Self {
                Self([value; N])
            }
            #[inline(always)]
            unsafe fn load(at: *const $T) -> Self {
                // SAFETY: the caller's promise.
                Self(unsafe { at.cast::<[$T; N]>().read_unaligned() })
            }
            #[inline(always)]
            unsafe fn load_first(at: *const $T, n: usize) -> Self {
                let mut all = [0.0; N];
                for (i, place) in all.iter_mut().enumerate().take(n) {
                    // SAFETY: the caller's promise.
                    *place = unsafe { at.add(i).read() };
                }
                Self(all)
            }
            #[inline(always)]
            unsafe fn store(self, at: *mut $T) {
                // SAFETY: the caller's promise.
                unsafe { at.cast::<[$T; N]>().write_unaligned(self.0) };
            }
            #[inline(always)]
            unsafe fn store_first(self, at: *mut $T, n: usize) {
                for (i, value) in self.0.iter().enumerate().take(n) {
                    // SAFETY: the caller's promise.
                    unsafe { at.add(i).write(*value) };
                }
            }
            #[inline(always)]
            unsafe fn add_product(self, a: Self, b: Self) -> Self {
                Self(std::array::from_fn(|i| self.0[i] + a.0[i] * b.0[i]))
            }
            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                Self(std::array::from_fn(|i| self.0[i] + other.0[i]))
            }
            #[inline(always)]
            unsafe fn zip(self, other: Self) -> (Self, Self) {
                let turn = |i: usize| if i % 2 == 0 { self.0[i / 2] } else { other.0[i / 2] };
                let half = |from| Self(std::array::from_fn(|i| turn(from + i)));
                (half(0), half(N))
            }
            #[inline(always)]
            unsafe fn total(self) -> $T {
                self.0.iter().sum()
            }
        }
    )*};
}

plain!(f32 f64);

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Vector;
    #[allow(clippy::wildcard_imports)] // Forty names, each used once below.
    use std::arch::x86_64::*;

    /// A register: its type, element, mask of the lanes below `n`, length, and instructions.
    /// Masked instructions take mask and address in another order in each set.
    macro_rules! register {
        ($V:ty, $T:ty, $len:literal, $mask:expr, $splat:ident $load:ident $store:ident
         $fma:ident $add:ident, first: $load_first:expr, $store_first:expr, zip: $zip:expr,
         total: $total:expr) => {
            impl Vector<$T> for $V {
                const LEN: usize = $len;
                #[inline(always)]
                unsafe fn splat(value: $T) -> Self {
                    // SAFETY: the caller's promise: the processor has the instructions.
                    unsafe { $splat(value) }
                }
                #[inline(always)]
                unsafe fn load(at: *const $T) -> Self {
                    // SAFETY: the caller's promise: they are there to be read, at any alignment.
                    unsafe { $load(at) }
                }
                #[inline(always)]
                unsafe fn load_first(at: *const $T, n: usize) -> Self {
                    // SAFETY: the caller's promise; lanes that the mask leaves out are not read.
                    unsafe { $load_first($mask(n), at) }
                }
                #[inline(always)]
                unsafe fn store(self, at: *mut $T) {
                    // SAFETY: the caller's promise: they are ours to be written, at any alignment.
                    unsafe { $store(at, self) }
                }
                #[inline(always)]
                unsafe fn store_first(self, at: *mut $T, n: usize) {
                    // SAFETY: the caller's promise; lanes that the mask leaves out are not written.
                    unsafe { $store_first(at, $mask(n), self) }
                }
                #[inline(always)]
                unsafe fn add_product(self, a: Self, b: Self) -> Self {
                    // SAFETY: the caller's promise: the processor has the instructions.
                    unsafe { $fma(a, b, self) }
                }
                #[inline(always)]
                unsafe fn add(self, other: Self) -> Self {
                    // SAFETY: the caller's promise: the processor has the instructions.
                    unsafe { $add(self, other) }
                }
                #[inline(always)]
                unsafe fn zip(self, other: Self) -> (Self, Self) {
                    // SAFETY: the caller's promise: the processor has the instructions.
                    unsafe { $zip(self, other) }
                }
                #[inline(always)]
                unsafe fn total(self) -> $T {
                    // SAFETY: the caller's promise: the processor has the instructions.
                    unsafe { $total(self) }
                }
            }
        };
    }

    /// The lower halves of two registers, and the upper ones: AVX2 interleaves each half.
    macro_rules! across {
        ($permute:ident, $low:expr, $high:expr) => {{
            let (low, high) = ($low, $high);
            ($permute::<0x20>(low, high), $permute::<0x31>(low, high))
        }};
    }

    register!(__m512, f32, 16, |n| ((1u32 << n) - 1) as __mmask16,
        _mm512_set1_ps _mm512_loadu_ps _mm512_storeu_ps _mm512_fmadd_ps _mm512_add_ps,
        first: _mm512_maskz_loadu_ps, _mm512_mask_storeu_ps, zip: zip_16,
        total: _mm512_reduce_add_ps);
    register!(__m512d, f64, 8, |n| ((1u32 << n) - 1) as __mmask8,
        _mm512_set1_pd _mm512_loadu_pd _mm512_storeu_pd _mm512_fmadd_pd _mm512_add_pd,
        first: _mm512_maskz_loadu_pd, _mm512_mask_storeu_pd, zip: zip_8,
        total: _mm512_reduce_add_pd);
    register!(__m256, f32, 8, |n| lanes(&std::array::from_fn::<i32, 8, _>(|i| -i32::from(i < n))),
        _mm256_set1_ps _mm256_loadu_ps _mm256_storeu_ps _mm256_fmadd_ps _mm256_add_ps,
        first: |mask, at| _mm256_maskload_ps(at, mask), _mm256_maskstore_ps,
        zip: |a, b| across!(_mm256_permute2f128_ps, _mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b)),
        total: |v| std::mem::transmute::<__m256, [f32; 8]>(v).iter().sum());
    register!(__m256d, f64, 4, |n| lanes(&std::array::from_fn::<i64, 4, _>(|i| -i64::from(i < n))),
        _mm256_set1_pd _mm256_loadu_pd _mm256_storeu_pd _mm256_fmadd_pd _mm256_add_pd,
        first: |mask, at| _mm256_maskload_pd(at, mask), _mm256_maskstore_pd,
        zip: |a, b| across!(_mm256_permute2f128_pd, _mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b)),
        total: |v| std::mem::transmute::<__m256d, [f64; 4]>(v).iter().sum());

    /// [`Vector::zip`].
    ///
    /// # Safety
    /// The processor has AVX-512.
    #[inline(always)]
    unsafe fn zip_16(a: __m512, b: __m512) -> (__m512, __m512) {
        // SAFETY: the caller's promise.
        unsafe {
            let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            let high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
            (
                _mm512_permutex2var_ps(a, low, b),
                _mm512_permutex2var_ps(a, high, b),
            )
        }
    }

    /// [`Vector::zip`].
    ///
    /// # Safety
    /// The processor has AVX-512.
    #[inline(always)]
    unsafe fn zip_8(a: __m512d, b: __m512d) -> (__m512d, __m512d) {
        // SAFETY: the caller's promise.
        unsafe {
            let low = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
            let high = _mm512_add_epi64(low, _mm512_set1_epi64(4));
            (
                _mm512_permutex2var_pd(a, low, b),
                _mm512_permutex2var_pd(a, high, b),
            )
        }
    }

    /// A mask of AVX2: a register whose lanes are all ones or all zeros.
    ///
    /// # Safety
    /// The processor has AVX.
    #[inline(always)]
    unsafe fn lanes<L, const N: usize>(lanes: &[L; N]) -> __m256i {
        const { assert!(size_of::<[L; N]>() == size_of::<__m256i>()) };
        // SAFETY: the array has the 32 bytes that are read, and the caller's promise.
        unsafe { _mm256_loadu_si256(lanes.as_ptr().cast()) }
    }
}
