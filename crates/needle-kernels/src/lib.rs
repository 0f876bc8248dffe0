//! Arrays and kernels: what needle computes with, before anything is differentiated.
//!
//! From the bottom up: [`dtype`], [`shape`] and [`error`] are the vocabulary, [`array`] has
//! strided views of shared, pooled, aligned memory, [`kernels`] the loops over elements.
//! This is a crate of its own so that the compiler enforces that no kernel knows of ops or
//! graphs, and so that a change there does not compile the kernels again.

pub mod array;
pub mod dtype;
pub mod error;
pub mod kernels;
pub mod shape;

pub use array::Array;
pub use dtype::{DType, Scalar};
pub use error::{Error, Result};
