//! Views: the same memory under another shape. No element moves.

use super::{Array, Layout, Strides, compress};
use crate::error::{Error, Result};
use crate::shape::{self, Dims};
use std::fmt;
use std::sync::Arc;

/// `start : stop : step` after NumPy's clipping: `len` elements from `start`, `step` apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// First index; may be one past either end where `len` is 0.
    pub start: isize,
    /// Distance between indices, not 0.
    pub step: isize,
    /// How many.
    pub len: usize,
}

impl Slice {
    /// Whether all its elements are among the first `n`.
    fn is_within(&self, n: usize) -> bool {
        let Some(steps) = self.len.checked_sub(1) else {
            return true;
        };
        let last = isize::try_from(steps)
            .ok()
            .and_then(|steps| steps.checked_mul(self.step))
            .and_then(|way| self.start.checked_add(way));
        let is_one = |i: isize| usize::try_from(i).is_ok_and(|i| i < n);
        self.step != 0 && is_one(self.start) && last.is_some_and(is_one)
    }
}

impl fmt::Display for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { start, step, len } = self;
        write!(f, "a range of {len} elements from {start} by {step}")
    }
}

/// One entry of a basic index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Index {
    /// One position of an axis, which goes away; negative counts from the end.
    At(isize),
    /// A range of an axis.
    Range(Slice),
    /// A new axis of length 1 (`None`).
    NewAxis,
}

/// The shape of `array[index]` for an array of `shape`; axes beyond the index stay whole.
///
/// Every basic index passes here before it is used, with the shape of the array that it is used on:
/// it may have been made for another one, which an op object is applied to later. What passes
/// reaches no element outside of the array.
pub fn index_shape(op: &str, shape: &[usize], index: &[Index]) -> Result<Dims> {
    let used = index
        .iter()
        .filter(|i| !matches!(i, Index::NewAxis))
        .count();
    if used > shape.len() {
        return Err(Error::Index(format!(
            "{op}: too many indices: {used} for shape {}",
            shape::display(shape)
        )));
    }
    let mut result = Dims::new();
    let mut axis = 0;
    for entry in index {
        match *entry {
            Index::NewAxis => result.push(1),
            Index::At(i) => {
                let n = shape[axis] as isize;
                if i < -n || i >= n {
                    return Err(Error::Index(format!(
                        "{op}: index {i} is out of bounds for axis {axis} with size {n}"
                    )));
                }
                axis += 1;
            }
            Index::Range(slice) => {
                if !slice.is_within(shape[axis]) {
                    return Err(Error::Index(format!(
                        "{op}: {slice} is out of bounds for axis {axis} with size {}",
                        shape[axis]
                    )));
                }
                result.push(slice.len);
                axis += 1;
            }
        }
    }
    result.extend_from_slice(&shape[axis..]);
    Ok(result)
}

impl Array {
    fn with(&self, offset: isize, shape: Dims, strides: &[isize]) -> Self {
        let strides = compress(&shape, strides);
        self.laid_out(offset as usize, shape, strides)
    }

    fn laid_out(&self, offset: usize, shape: Dims, strides: Option<Strides>) -> Self {
        let layout = Layout {
            offset,
            shape,
            strides,
            dtype: self.dtype(),
        };
        Self {
            storage: self.storage.clone(),
            layout: Some(Arc::new(layout)),
        }
    }

    /// The same elements in row-major order under another shape of equal size: a view, or
    /// `None` where the strides do not allow one.
    pub fn reshape_view(&self, shape: &[usize]) -> Option<Self> {
        debug_assert_eq!(shape::size(shape), Some(self.size()));
        let shape = Dims::from_slice(shape);
        if self.is_contiguous() {
            return Some(self.laid_out(self.offset(), shape, None));
        }
        // Only axes of length 1 come or go: every kept axis keeps its stride.
        let kept = |dims: &[usize]| dims.iter().copied().filter(|&n| n != 1).collect::<Dims>();
        if kept(&shape) != kept(self.shape()) {
            return None;
        }
        let old = self.strides();
        let mut steps = old
            .iter()
            .zip(self.shape())
            .filter(|&(_, &n)| n != 1)
            .map(|(&s, _)| s);
        let strides: Strides = shape
            .iter()
            .map(|&n| if n == 1 { 0 } else { steps.next().unwrap_or(0) })
            .collect();
        Some(self.with(self.offset() as isize, shape, &strides))
    }

    /// Dimensions in another order: axis `i` of the view is axis `axes[i]`.
    pub fn permute(&self, axes: &[usize]) -> Self {
        let old = self.strides();
        let shape = axes.iter().map(|&a| self.shape()[a]).collect();
        let strides: Strides = axes.iter().map(|&a| old[a]).collect();
        self.with(self.offset() as isize, shape, &strides)
    }

    /// Repeats axes of length 1, and new leading axes, by stride 0. The shapes must fit
    /// ([`shape::broadcasts_to`]).
    pub fn broadcast_to(&self, shape: &[usize]) -> Self {
        if shape == self.shape() {
            return self.clone();
        }
        let old = self.strides();
        let skip = shape.len() - self.ndim();
        let strides: Strides = (0..shape.len())
            .map(|axis| match axis.checked_sub(skip) {
                Some(own) if self.shape()[own] == shape[axis] => old[own],
                _ => 0,
            })
            .collect();
        self.with(self.offset() as isize, Dims::from_slice(shape), &strides)
    }

    /// Basic indexing. IndexError for an index that does not suit the shape ([`index_shape`]).
    pub fn index(&self, op: &str, index: &[Index]) -> Result<Self> {
        let shape = index_shape(op, self.shape(), index)?;
        let old = self.strides();
        let mut offset = self.offset() as isize;
        let mut strides = Strides::new();
        let mut axis = 0;
        for entry in index {
            match *entry {
                Index::NewAxis => strides.push(0),
                Index::At(i) => {
                    let i = if i < 0 {
                        i + self.shape()[axis] as isize
                    } else {
                        i
                    };
                    offset += i * old[axis];
                    axis += 1;
                }
                Index::Range(slice) => {
                    // An empty range may start past the end: it reaches no element. A step over one
                    // element leads nowhere, and may be as long as it likes.
                    if slice.len > 0 {
                        offset += slice.start * old[axis];
                    }
                    let steps = if slice.len > 1 { slice.step } else { 0 };
                    strides.push(old[axis] * steps);
                    axis += 1;
                }
            }
        }
        strides.extend_from_slice(&old[axis..]);
        if shape::size(&shape) == Some(0) {
            offset = self.offset() as isize;
        }
        Ok(self.with(offset, shape, &strides))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iota(shape: &[usize]) -> Array {
        let n = shape.iter().product::<usize>();
        let values: Vec<i64> = (0..n as i64).collect();
        Array::from_slice(&values, shape).unwrap()
    }

    #[test]
    fn views_read_the_right_elements() {
        let a = iota(&[2, 3]);
        assert_eq!(a.permute(&[1, 0]).to_vec::<i64>(), [0, 3, 1, 4, 2, 5]);
        let row = a.index("getitem", &[Index::At(-1)]).unwrap();
        assert_eq!(
            (row.shape(), row.to_vec::<i64>()),
            (&[3][..], vec![3, 4, 5])
        );
        let back = Slice {
            start: 2,
            step: -2,
            len: 2,
        };
        let all = Slice {
            start: 0,
            step: 1,
            len: 2,
        };
        let v = a
            .index("getitem", &[Index::Range(all), Index::Range(back)])
            .unwrap();
        assert_eq!(v.to_vec::<i64>(), [2, 0, 5, 3]);
        assert_eq!(
            iota(&[3, 1]).broadcast_to(&[3, 2]).to_vec::<i64>(),
            [0, 0, 1, 1, 2, 2]
        );
    }

    #[test]
    fn reshape_of_a_transposed_view_needs_a_copy_unless_only_ones_move() {
        let t = iota(&[2, 3]).permute(&[1, 0]);
        assert!(t.reshape_view(&[6]).is_none());
        let v = t.reshape_view(&[3, 1, 2]).unwrap();
        assert_eq!(v.to_vec::<i64>(), [0, 3, 1, 4, 2, 5]);
    }

    #[test]
    fn ranges_stay_within_the_array_that_is_read() {
        let a = iota(&[4]);
        let range = |start, step, len| [Index::Range(Slice { start, step, len })];
        for (start, step, len) in [(0, 1, 4), (3, -1, 4), (3, isize::MAX, 1), (1, 2, 2)] {
            assert!(a.index("getitem", &range(start, step, len)).is_ok());
        }
        for (start, step) in [(4, 1), (9, -1), (-1, -1), (isize::MAX, isize::MAX)] {
            let empty = a.index("getitem", &range(start, step, 0)).unwrap();
            assert_eq!(empty.shape(), [0]);
        }
        for (start, step, len) in [
            (4, 1, 1),
            (-1, 1, 1),
            (0, 1, 5),
            (3, -1, 5),
            (0, 0, 2),
            (0, isize::MAX, 3),
            (0, isize::MIN, 2),
            (0, 1, usize::MAX),
            (isize::MAX, isize::MAX, 2),
        ] {
            let error = a.index("getitem", &range(start, step, len)).err();
            assert!(
                matches!(error, Some(Error::Index(_))),
                "{start} {step} {len}"
            );
        }
        let error = a.index("getitem", &range(2, 1, 3)).err().unwrap();
        assert_eq!(
            error.to_string(),
            "getitem: a range of 3 elements from 2 by 1 is out of bounds for axis 0 with size 4"
        );
    }

    #[test]
    fn indices_out_of_range_are_named() {
        let error = iota(&[2, 3])
            .index("getitem", &[Index::At(2)])
            .err()
            .unwrap();
        assert_eq!(
            error.to_string(),
            "getitem: index 2 is out of bounds for axis 0 with size 2"
        );
    }
}
