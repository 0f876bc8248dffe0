//! What the parts of a product share: its sizes and steps, how it is cut, and its element types.

use crate::kernels::number::Number;
use crate::kernels::simd::Real;
use std::ops::Range;

/// One product `c = a @ b`: sizes, and row and column steps of `a` and `b`. `c` is row-major.
#[derive(Clone, Copy)]
pub(super) struct Product {
    pub m: usize,
    pub k: usize,
    pub n: usize,
    pub a: [isize; 2],
    pub b: [isize; 2],
}

/// Part `i` of `parts` nearly equal ones of `0..n`.
#[inline(always)]
pub(super) fn cut(n: usize, parts: usize, i: usize) -> Range<usize> {
    n * i / parts..n * (i + 1) / parts
}

/// The element types of products in blocks.
pub(super) trait GemmElement: Real + Number {}
impl GemmElement for f32 {}
impl GemmElement for f64 {}
