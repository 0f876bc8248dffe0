//! Putting arrays together: concatenation, and an array written into zeros.

use super::copy::copy_to;
use crate::array::{Array, Index, Slice, index_shape};
use crate::error::{Error, Result};
use crate::shape::{self, Dims};
use smallvec::SmallVec;

/// The parts one after the other along `axis`; they agree in dtype and all other lengths.
pub fn concat(parts: &[&Array], axis: usize) -> Result<Array> {
    let first = first_of("concat", parts)?;
    let mut shape = Dims::from_slice(first.shape());
    shape[axis] = parts.iter().map(|p| p.shape()[axis]).sum();
    join(parts, axis, &shape)
}

/// The parts along a new `axis`; they agree in dtype and shape.
pub fn stack(parts: &[&Array], axis: usize) -> Result<Array> {
    let first = first_of("stack", parts)?;
    let mut shape = Dims::from_slice(first.shape());
    shape.insert(axis, parts.len());
    join(parts, axis, &shape)
}

fn first_of<'a>(op: &str, parts: &[&'a Array]) -> Result<&'a Array> {
    let none = || Error::Value(format!("{op}: no arrays"));
    parts.first().copied().ok_or_else(none)
}

/// Elements up to which a part is copied without much ado.
const FEW: usize = 4096;

/// The parts side by side along `axis` of `shape`; one that has not got it has length 1 there.
fn join(parts: &[&Array], axis: usize, shape: &[usize]) -> Result<Array> {
    let out = Array::empty(parts[0].dtype(), shape)?;
    if out.size() == 0 {
        // There may be very many rows of nothing.
        return Ok(out);
    }
    let inner: usize = shape[axis + 1..].iter().product();
    let mut start = 0;
    for part in parts {
        let own = part.shape();
        let is_thin = own.len() < shape.len();
        let (len, behind) = if is_thin {
            (1, axis)
        } else {
            (own[axis], axis + 1)
        };
        let fits = own[..axis] == shape[..axis] && own[behind..] == shape[axis + 1..];
        if !fits || part.dtype() != out.dtype() || start + len > shape[axis] {
            return Err(Error::Shape(
                "concat: parts that do not fit together".into(),
            ));
        }
        if part.is_contiguous() && part.size() <= FEW {
            let rows: usize = shape[..axis].iter().product();
            let bytes = inner * out.dtype().size();
            for row in 0..rows {
                // SAFETY: the lengths and the dtype were compared above, so both runs lie within;
                // the part is row-major, `out` is fresh, and they are apart.
                unsafe {
                    let to = out.address().add((row * shape[axis] + start) * bytes);
                    let from = part.address().add(row * len * bytes);
                    to.copy_from_nonoverlapping(from, len * bytes);
                }
            }
        } else {
            let range = |start: usize, len: usize| {
                let start = start as isize;
                Index::Range(Slice {
                    start,
                    step: 1,
                    len,
                })
            };
            let mut index: SmallVec<[Index; 4]> =
                shape[..axis].iter().map(|&n| range(0, n)).collect();
            index.push(if is_thin {
                Index::At(start as isize)
            } else {
                range(start, len)
            });
            // SAFETY: `out` is fresh; the lengths and the dtype were compared above, so the view
            // has those of the part.
            unsafe { copy_to(part, &out.index("concat", &index)?) };
        }
        start += len;
    }
    Ok(out)
}

/// Zeros of `shape` with `part` at a basic index: the transpose of indexing.
pub fn put(shape: &[usize], index: &[Index], part: &Array) -> Result<Array> {
    let place = index_shape("put", shape, index)?;
    if place.as_slice() != part.shape() {
        return Err(Error::shape(
            "put",
            format_args!(
                "{} does not fit into {}",
                shape::display(part.shape()),
                shape::display(&place)
            ),
        ));
    }
    let out = Array::zeros(part.dtype(), shape)?;
    // SAFETY: `out` is fresh and of the part's dtype; the view has the shape of the part, compared
    // above.
    unsafe { copy_to(part, &out.index("put", index)?) };
    Ok(out)
}
