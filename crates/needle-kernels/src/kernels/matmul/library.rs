//! The gemm library, which takes large products where there are no wide vectors. It picks its
//! instructions by itself, whatever `NEEDLE_ISA` says.
//!
//! Its parts for float32 and float64 are called directly: the crate in front of them brings
//! complex numbers, which take as long to compile.

use super::product::{GemmElement, Product};

/// Terms of a dot product that the library sums in one go. It would choose by the size
/// of the result; fixed blocks give the same bits however a result is split among threads.
const BLOCK: usize = 512;

/// An element type that the library multiplies.
pub(super) trait LibraryElement: GemmElement {
    /// `c = a @ b`, or `c += a @ b`, on one thread. The steps are those from row to row and
    /// within a row; what is not added to is not read.
    ///
    /// # Safety
    /// All addresses are valid, and nobody else sees `c`.
    unsafe fn product(
        p: &Product,
        a: *const Self,
        b: *const Self,
        c: *mut Self,
        row: isize,
        add: bool,
    );
}

macro_rules! library {
    ($($T:ident $library:ident;)*) => {$(
        impl LibraryElement for $T {
            unsafe fn product(
                p: &Product,
                a: *const Self,
                b: *const Self,
                c: *mut Self,
                row: isize,
                add: bool,
            ) {
                let multiply = $library::gemm::$T::get_gemm_fn();
                let one = gemm_common::Parallelism::None;
                // SAFETY: the caller's promise.
                unsafe {
                    if row == 1 {
                        multiply(
                            p.m, p.n, p.k, c, 1, 1, add, a, p.a[1], p.a[0], b, p.b[1], p.b[0],
                            1.0, 1.0, false, false, false, one,
                        );
                    } else {
                        // The library wants results whose columns lie in order: the transposed
                        // product.
                        multiply(
                            p.n, p.m, p.k, c, row, 1, add, b, p.b[0], p.b[1], a, p.a[0], p.a[1],
                            1.0, 1.0, false, false, false, one,
                        );
                    }
                }
            }
        }
    )*};
}

library! {
    f32 gemm_f32;
    f64 gemm_f64;
}

/// `c = a @ b` for rows of `c` that are `row` apart; never reads what `c` held before.
///
/// # Safety
/// All addresses are valid, and nobody else sees `c`.
pub(super) unsafe fn multiply<T: LibraryElement>(
    p: &Product,
    row: usize,
    a: *const T,
    b: *const T,
    c: *mut T,
) {
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
        let (part, a, b) = forwards(part, a, b, row == 1);
        // SAFETY: the caller's promise; the blocks cover `k` once.
        unsafe { T::product(&part, a, b, c, row as isize, start > 0) };
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
