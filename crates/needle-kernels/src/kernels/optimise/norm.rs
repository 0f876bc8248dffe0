//! The common norm of many arrays.

use super::BLOCK;
use crate::array::Array;
use crate::dispatch;
use crate::dtype::{DType, Scalar};
use crate::error::Result;
use crate::kernels::cast::cast;
use crate::kernels::copy::contiguous;
use crate::kernels::elementwise::MULTIPLY;
use crate::kernels::number::Float;
use crate::kernels::reduce::{Reduce, reduce};
use crate::kernels::threads::{self, Shared};
use std::sync::atomic::{AtomicU64, Ordering};

/// Picoseconds for an element, roughly.
const COST: usize = 100;
/// Sums that run side by side.
const LANES: usize = 16;

/// Sums of squares from which the root has all digits: no square that counts has overflowed or
/// lost digits below the normal numbers.
const SAFE: std::ops::Range<f64> = 1e-280..f64::INFINITY;

/// The square root of the sum of the squares of all elements, added up in float64, so that
/// large float32 elements do not overflow. Where squares of float64 do, or are too small for it,
/// all is scaled by a power of two. The bits do not depend on the number of threads.
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
    let total = sum_of_squares(&arrays);
    if SAFE.contains(&total) {
        return Ok(total.sqrt());
    }
    let mut largest: f64 = 0.0;
    for x in arrays.iter().filter(|x| x.size() > 0) {
        let axes: Vec<usize> = (0..x.ndim()).collect();
        for extremum in [Reduce::Max, Reduce::Min] {
            let value = cast(&reduce(extremum, x, &axes, false)?, DType::F64)?;
            // SAFETY: over all axes, so one element, which `cast` made float64.
            largest = largest.max(unsafe { value.ptr::<f64>().read() }.abs());
        }
    }
    if total.is_nan() || largest == 0.0 || largest.is_infinite() {
        return Ok(total.sqrt());
    }
    // Within the normal numbers, and so is its reciprocal.
    let unit = 2f64.powi((largest.log2().floor() as i32).clamp(-1022, 1022));
    let scaled = arrays
        .iter()
        .map(|x| MULTIPLY.with(&cast(x, DType::F64)?, Scalar::Float(1.0 / unit)))
        .collect::<Result<Vec<_>>>()?;
    Ok(sum_of_squares(&scaled).sqrt() * unit)
}

/// The sum over contiguous arrays of floats.
fn sum_of_squares(arrays: &[Array]) -> f64 {
    let mut total = 0.0;
    for x in arrays {
        let n = x.size();
        // The bits of one sum for each block, whoever computes it.
        let sums: Vec<AtomicU64> = (0..n.div_ceil(BLOCK)).map(|_| AtomicU64::new(0)).collect();
        dispatch!(float: x.dtype(), T => {
            let from = Shared::new(x.ptr::<T>());
            threads::for_each(sums.len(), COST * BLOCK, 1, |range| {
                for block in range {
                    let start = block * BLOCK;
                    // SAFETY: the array is contiguous, with `n` elements; the block lies within.
                    let sum =
                        unsafe { squares::<T>(from.get().add(start), BLOCK.min(n - start)) };
                    sums[block].store(sum.to_bits(), Ordering::Relaxed);
                }
            });
        }, else {});
        let sum = |bits: AtomicU64| f64::from_bits(bits.into_inner());
        total += sums.into_iter().map(sum).sum::<f64>();
    }
    total
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
