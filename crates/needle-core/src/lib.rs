//! needle's core: automatic differentiation of arrays, without Python.
//!
//! A tour, from the bottom up; each layer knows only those above it in this list:
//!
//! - [`dtype`], [`shape`], [`Error`]: the vocabulary.
//! - [`array`]: strided views of shared, pooled, aligned memory.
//! - [`kernels`]: loops over elements.
//! - [`ops`]: the table of operators: each with its type rule, its kernel, its derivative
//!   and samples, in one place.
//! - [`graph`]: the arena of recorded operations, the handle [`Tensor`] on it, and the
//!   sweeps that differentiate.
//! - `testing` (feature `testing`): gradient checks over the table.
//!
//! ```
//! use needle_core::{Array, Tensor, graph, ops};
//!
//! let x = Tensor::leaf(Array::from_slice(&[1.0, 2.0], &[2])?, true);
//! let y = graph::apply(&ops::elementary::EXP, ops::Attrs::none(), &[&x])?;
//! let gradients = graph::backward(&y, None)?;
//! let of_x = gradients.iter().find(|g| Some(g.node) == x.node_id()).unwrap();
//! assert_eq!(of_x.gradient.array()?.to_f64_vec(), y.array()?.to_f64_vec());
//! # Ok::<(), needle_core::Error>(())
//! ```

pub mod array;
pub mod dtype;
mod error;
pub mod graph;
pub mod kernels;
pub mod ops;
pub mod shape;
#[cfg(feature = "testing")]
pub mod testing;

pub use array::Array;
pub use dtype::{DType, Scalar};
pub use error::{Error, Result};
pub use graph::Tensor;
