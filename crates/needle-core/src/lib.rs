//! needle's core: automatic differentiation of arrays, without Python.
//!
//! A tour, from the bottom up; each layer knows only those above it in this list:
//!
//! - [`needle_kernels`], re-exported here: dtypes, shapes, errors, arrays, and the loops over
//!   their elements.
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

pub mod graph;
pub mod ops;
#[cfg(feature = "testing")]
pub mod testing;

pub use graph::Tensor;
pub use needle_kernels::{
    Array, DType, Error, Result, Scalar, array, dispatch, dtype, error, kernels, shape,
};
