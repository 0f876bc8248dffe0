//! Every kernel against a naive reference, element by element, over random shapes, strides
//! and dtypes, under every instruction set of this machine.

mod accuracy;
mod comparison;
mod copy;
mod drive;
mod elementwise;
mod fused;
mod matmul;
mod ndarray;
mod optimise;
mod reduce;
mod rows;
mod softmax;
mod support;
mod threads;
