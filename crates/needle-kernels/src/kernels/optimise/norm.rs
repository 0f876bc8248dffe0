//! The common norm of many arrays.

use super::BLOCK;
use crate::array::Array;
use crate::dispatch;
use crate::dtype::DType;
use crate::error::Result;
use crate::kernels::cast::cast;
use crate::kernels::copy::contiguous;
use crate::kernels::number::Float;
use crate::kernels::threads::{self, Shared};
use std::sync::atomic::{AtomicU64, Ordering};

/// Picoseconds for an element, roughly.
const COST: usize = 100;
/// Sums that run side by side.
const LANES: usize = 16;

/// The square root of the sum of the squares of all elements, added up in float64, so that
/// large float32 elements do not overflow. The bits do not depend on the number of threads.
pub fn norm(arrays: &[Array]) -> Result<f64> {
    let arrays = arrays
        .iter()
        .map(|x| {
            let dtype = if x.dtype().is_float() {
                x.dtype()
            } else {
                DType::F64
            };
            contiguous(&cast(x, dtype)?)
        })
        .collect::<Result<Vec<_>>>()?;
    let mut total = 0.0;
    for x in &arrays {
        let n = x.size();
        // The bits of one sum for each block, whoever computes it.
        let sums: Vec<AtomicU64> = (0..n.div_ceil(BLOCK)).map(|_| AtomicU64::new(0)).collect();
        dispatch!(float: x.dtype(), T => {
            let from = Shared::new(x.ptr::<T>());
            threads::for_each(sums.len(), COST * BLOCK, 1, |range| {
                for block in range {
                    let start = block * BLOCK;
                    // SAFETY: `contiguous` gave `n` elements in a row; the block lies within.
                    let sum =
                        unsafe { squares::<T>(from.get().add(start), BLOCK.min(n - start)) };
                    sums[block].store(sum.to_bits(), Ordering::Relaxed);
                }
            });
        }, else {});
        let sum = |bits: AtomicU64| f64::from_bits(bits.into_inner());
        total += sums.into_iter().map(sum).sum::<f64>();
    }
    Ok(total.sqrt())
}

simd! {
    /// The sum of squares of `n` elements.
    ///
    /// # Safety
    /// There are `n` elements to be read.
    unsafe fn squares<S>[T: Float](x: *const T, n: usize) -> f64 {
        let mut lanes = [0.0; LANES];
        let whole = n - n % LANES;
        for i in (0..whole).step_by(LANES) {
            for (lane, sum) in lanes.iter_mut().enumerate() {
                // SAFETY: the caller's promise.
                let x: f64 = unsafe { x.add(i + lane).read() }.into();
                *sum += x * x;
            }
        }
        let mut sum = lanes.iter().sum::<f64>();
        for i in whole..n {
            // SAFETY: the caller's promise.
            let x: f64 = unsafe { x.add(i).read() }.into();
            sum += x * x;
        }
        sum
    }
}
