//! Kernels: loops over elements. They know no gradients and no graph.
//!
//! Every kernel takes arrays whose shapes and dtypes have been checked by the op that calls
//! it, and returns a fresh row-major array. Inner loops are plain Rust under the `simd!`
//! macro of [`simd`], which compiles them once per instruction set.

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
