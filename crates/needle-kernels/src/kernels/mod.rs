//! Kernels: loops over elements. They know no gradients and no graph.
//!
//! Every kernel trusts shapes and dtypes, and returns a fresh row-major array. `graph::compute` and
//! `eager` infer them from the very arrays that they hand over; a program checks its nodes and
//! arguments before its first step. Inner loops are plain Rust under the `simd!` macro of [`simd`],
//! which compiles them once per instruction set.
//!
//! Lent memory may change while a kernel reads it: Python may write there at any time, through
//! another library. No value of it steers an address but labels and indices, which
//! `gather::checked` reads once, so that what was checked is what is used; all others are only
//! computed with, and the worst is a result that no single moment had.

// Only what is inlined into a `simd!` loop is compiled with its instructions.
#![allow(clippy::inline_always)]
// Row functions take addresses of bytes; their types say how these are aligned.
#![allow(clippy::cast_ptr_alignment)]

#[macro_use]
mod simd;

pub mod cast;
pub mod copy;
pub mod elementwise;
pub mod entropy;
mod fold;
pub mod gather;
pub mod isa;
pub mod join;
mod layout;
pub mod math;
pub mod matmul;
pub mod normalise;
mod number;
pub mod optimise;
pub mod reduce;
pub mod softmax;
pub mod threads;
pub mod variance;
mod vector;
