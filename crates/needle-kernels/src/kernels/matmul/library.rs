//! The gemm library, which takes large products where there are no wide vectors. It picks its
//! instructions by itself, whatever `NEEDLE_ISA` says.
//!
//! Its parts for float32 and float64 are called directly: the crate in front of them brings
//! complex numbers, which take as long to compile.

use super::product::{GemmElement, Product};
use crate::kernels::number::Float;
use gemm_common::Parallelism;

/// Terms of a dot product that the library sums in one go. It would choose by the size
/// of the result; fixed blocks give the same bits however a result is split among threads.
const BLOCK: usize = 512;

/// A function of the library: sizes, the result with its steps from column to column and from row
/// to row, whether it is added to (else it is not read), both operands, the factors of the result
/// and of the product, what is to be conjugated, threads.
type Gemm<T> = unsafe fn(
    usize,
    usize,
    usize,
    *mut T,
    isize,
    isize,
    bool,
    *const T,
    isize,
    isize,
    *const T,
    isize,
    isize,
    T,
    T,
    bool,
    bool,
    bool,
    Parallelism,
);

/// An element type that the library multiplies.
pub(super) trait LibraryElement: GemmElement + Float {
    fn gemm() -> Gemm<Self>;
}

impl LibraryElement for f32 {
    fn gemm() -> Gemm<Self> {
        gemm_f32::gemm::f32::get_gemm_fn()
    }
}

impl LibraryElement for f64 {
    fn gemm() -> Gemm<Self> {
        gemm_f64::gemm::f64::get_gemm_fn()
    }
}

/// `c = a @ b` for rows of `c` that are `row` apart; never reads what `c` held before.
///
/// # Safety
/// The steps of `p` stay within `a` and `b`, `c` has `p.m` rows of `p.n` elements, and nobody else
/// sees these.
pub(super) unsafe fn multiply<T: LibraryElement>(
    p: &Product,
    row: usize,
    a: *const T,
    b: *const T,
    c: *mut T,
) {
    let (gemm, one, row) = (T::gemm(), T::ONE, row as isize);
    let mut start = 0;
    loop {
        let part = Product {
            k: (p.k - start).min(BLOCK),
            ..*p
        };
        let at = start as isize;
        let (a, b) = (
            a.wrapping_offset(at * p.a[1]),
            b.wrapping_offset(at * p.b[0]),
        );
        // The library wants results whose columns lie in order: the transposed product, but for a
        // result of one column.
        let (turned, a, b) = forwards(part, a, b, row == 1);
        let (sizes, left, right) = if row == 1 {
            (
                [turned.m, turned.n],
                (a, [turned.a[1], turned.a[0]]),
                (b, [turned.b[1], turned.b[0]]),
            )
        } else {
            ([turned.n, turned.m], (b, turned.b), (a, turned.a))
        };
        let ([m, n], (left, l), (right, r)) = (sizes, left, right);
        // SAFETY: the caller's promise; the blocks cover `k` once, and the first does not read `c`,
        // which nobody has written yet.
        unsafe {
            gemm(
                m,
                n,
                turned.k,
                c,
                row,
                1,
                start > 0,
                left,
                l[0],
                l[1],
                right,
                r[0],
                r[1],
                one,
                one,
                false,
                false,
                false,
                Parallelism::None,
            );
        }
        start += part.k;
        // Once through for k = 0 too: that writes the zeros.
        if start >= p.k {
            return;
        }
    }
}

/// The same product, the terms of its sums turned around where the library wants them so: the
/// operand that it takes as the left one must not run backwards along them.
fn forwards<T>(
    p: Product,
    a: *const T,
    b: *const T,
    a_is_left: bool,
) -> (Product, *const T, *const T) {
    let left = if a_is_left { p.a[1] } else { p.b[0] };
    if left >= 0 || p.k == 0 {
        return (p, a, b);
    }
    let last = p.k as isize - 1;
    let turned = Product {
        a: [p.a[0], -p.a[1]],
        b: [-p.b[0], p.b[1]],
        ..p
    };
    (
        turned,
        a.wrapping_offset(last * p.a[1]),
        b.wrapping_offset(last * p.b[0]),
    )
}
