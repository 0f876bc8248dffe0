//! Elementwise kernels: functions of one element and of two with broadcasting, comparisons and
//! selection.
//!
//! A function is a value ([`Map`], [`Zip`]), defined beside its formula: [`arithmetic`] has those
//! that are single operations, [`super::math`] the others. Formulas are compiled into functions of
//! rows ([`formula`]); how these go over arrays is the same for all ([`drive`]).

pub(crate) mod formula;

pub mod arithmetic;
mod drive;
mod function;
pub mod fused;
mod select;

pub use arithmetic::*;
pub(crate) use function::CHEAP;
pub use function::{Function, Map, Zip};
pub use select::select;
