//! Slices picked by number along an axis, and their adjoint.

use super::cast::cast;
use super::copy::contiguous;
use super::elementwise::MINIMUM;
use super::number::Number;
use super::threads::{self, Shared};
use crate::array::Array;
use crate::dispatch;
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::shape;

/// Picoseconds for an element, roughly.
const COST: usize = 150;

/// Indices or labels of any dtype as int64. ValueError for one that is not whole, which `what`
/// names.
pub fn whole_numbers(op: &str, what: &str, x: &Array) -> Result<Array> {
    if x.dtype() == DType::U64 {
        // What int64 does not hold stays out of any bounds, and does not become negative.
        let held = MINIMUM.with(x, Scalar::Int(i64::MAX))?;
        return cast(&held, DType::I64);
    }
    let x = contiguous(x)?;
    let numbers = cast(&x, DType::I64)?;
    dispatch!(float: x.dtype(), T => {
        for i in 0..x.size() {
            // SAFETY: both are row-major of one shape, and T and i64 are their dtypes.
            let (value, number) = unsafe {
                (x.ptr::<T>().add(i).read(), numbers.ptr::<i64>().add(i).read())
            };
            if number as T != value {
                return Err(Error::Value(format!(
                    "{op}: expected whole numbers, got {what} {value} at position {i}"
                )));
            }
        }
    }, else {});
    Ok(numbers)
}

/// The numbers that `read` finds valid, or its error. Each is read once: another thread may write
/// the memory, and what was checked must be what is used.
pub(super) fn checked(
    numbers: &Array,
    read: impl Fn(i64, usize) -> Result<usize>,
) -> Result<Vec<usize>> {
    debug_assert_eq!(numbers.dtype(), DType::I64);
    let numbers = contiguous(numbers)?;
    let mut places = Vec::new();
    let no_memory = |_| Error::Memory(format!("cannot allocate {} indices", numbers.size()));
    places
        .try_reserve_exact(numbers.size())
        .map_err(no_memory)?;
    for i in 0..numbers.size() {
        // SAFETY: the array is row-major with these many elements; the ops that hand it over made
        // it int64 by `whole_numbers`.
        let number = unsafe { numbers.ptr::<i64>().add(i).read_volatile() };
        places.push(read(number, i)?);
    }
    Ok(places)
}

/// Sizes before, along and behind an axis.
fn around(shape: &[usize], axis: usize) -> [usize; 3] {
    let product = |part: &[usize]| part.iter().product();
    [
        product(&shape[..axis]),
        shape[axis],
        product(&shape[axis + 1..]),
    ]
}

/// The places along an axis of `len` elements that `indices` (int64) name; negative ones count
/// from the end.
fn places(op: &str, indices: &Array, len: usize) -> Result<Vec<usize>> {
    let size = len as i64;
    checked(indices, |index, _| {
        if !(-size..size).contains(&index) {
            return Err(Error::Index(format!(
                "{op}: index {index} is out of bounds for an axis of {len} elements"
            )));
        }
        Ok(if index < 0 { index + size } else { index } as usize)
    })
}

/// `x` at `indices` (int64) along `axis`, which the axes of `indices` replace; `shape` is that
/// of the result.
pub fn take(x: &Array, indices: &Array, axis: usize, shape: &[usize]) -> Result<Array> {
    let [outer, len, inner] = around(x.shape(), axis);
    debug_assert_eq!(shape::size(shape), Some(outer * indices.size() * inner));
    let places = places("take", indices, len)?;
    let x = contiguous(x)?;
    let out = Array::empty(x.dtype(), shape)?;
    if out.size() == 0 {
        return Ok(out);
    }
    let bytes = inner * x.dtype().size();
    let (from, to) = (Shared::new(x.address()), Shared::new(out.address()));
    threads::for_each(outer * places.len(), inner * COST, 1, |range| {
        for i in range {
            let (block, place) = (i / places.len(), places[i % places.len()]);
            // SAFETY: `places` are below `len`, so the run of `inner` elements lies within `x`. The
            // type rule gave `out` as many runs as there are; it is fresh, and each run is one
            // range's.
            unsafe {
                let from = from.get().add((block * len + place) * bytes);
                to.get()
                    .add(i * bytes)
                    .copy_from_nonoverlapping(from, bytes);
            }
        }
    });
    Ok(out)
}

/// Zeros of `shape` to which the slices of `g` are added at `indices` (int64) along `axis`:
/// the adjoint of [`take`].
pub fn take_gradient(g: &Array, indices: &Array, axis: usize, shape: &[usize]) -> Result<Array> {
    let [outer, len, inner] = around(shape, axis);
    debug_assert_eq!(g.size(), outer * indices.size() * inner);
    let places = places("take_gradient", indices, len)?;
    let g = contiguous(g)?;
    let out = Array::zeros(g.dtype(), shape)?;
    if g.size() == 0 {
        return Ok(out);
    }
    dispatch!(unsigned: g.dtype(), T => {
        let (from, to) = (g.address().cast::<T>(), out.address().cast::<T>());
        for block in 0..outer {
            // In order: an index that comes twice always adds up in the same way.
            for (i, place) in places.iter().enumerate() {
                // SAFETY: `places` are below `len`, so the run of `inner` elements lies within
                // `out`, which is fresh. The type rule has compared the shape of `g`: it has these
                // runs.
                unsafe {
                    let from = from.add((block * places.len() + i) * inner);
                    let to = to.add((block * len + place) * inner);
                    add_rows::<T>(from, to, [0, 0], inner, 1);
                }
            }
        }
    });
    Ok(out)
}

simd! {
    /// `to += from` for `count` rows of `n` elements; `steps` are the distances of their
    /// beginnings in `from` and `to`.
    ///
    /// # Safety
    /// Both have these rows, `T` being as large as an element, and nobody else sees those of `to`.
    pub(super) unsafe fn add_rows<S>[T: Number](
        from: *const T, to: *mut T, steps: [usize; 2], n: usize, count: usize
    ) {
        for row in 0..count {
            for i in 0..n {
                // SAFETY: the caller's promise.
                unsafe {
                    let to = to.add(row * steps[1] + i);
                    to.write(to.read().add(from.add(row * steps[0] + i).read()));
                }
            }
        }
    }
}
