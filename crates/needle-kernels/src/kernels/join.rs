//! Putting arrays together: concatenation, and an array written into zeros.

use super::copy::copy_to;
use crate::array::{Array, Index, Slice, index_shape};
use crate::error::{Error, Result};
use crate::shape::{self, Dims};
use smallvec::SmallVec;

/// The parts one after the other along `axis`; they agree in dtype and all other lengths.
pub fn concat(parts: &[&Array], axis: usize) -> Result<Array> {
    let Some(first) = parts.first() else {
        return Err(Error::Value("concat: no arrays".into()));
    };
    let mut shape = Dims::from_slice(first.shape());
    shape[axis] = parts.iter().map(|p| p.shape()[axis]).sum();
    let out = Array::empty(first.dtype(), &shape)?;
    let mut start = 0;
    for part in parts {
        let range = |start: usize, len: usize| {
            let start = start as isize;
            Index::Range(Slice {
                start,
                step: 1,
                len,
            })
        };
        let mut index: SmallVec<[Index; 4]> = shape[..axis].iter().map(|&n| range(0, n)).collect();
        index.push(range(start, part.shape()[axis]));
        // SAFETY: `out` is fresh, and the view has the shape of the part.
        unsafe { copy_to(part, &out.index("concat", &index)?) };
        start += part.shape()[axis];
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
    // SAFETY: `out` is fresh, and the view has the shape of the part.
    unsafe { copy_to(part, &out.index("put", index)?) };
    Ok(out)
}
