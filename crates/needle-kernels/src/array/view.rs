//! Views: the same memory under another shape. No element moves.

use super::{Array, Layout, Strides, compress};
use crate::error::{Error, Result};
use crate::shape::{self, Dims};
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

    /// Basic indexing. The index must suit the shape ([`index_shape`]).
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
                    // An empty range may start past the end: it reaches no element.
                    if slice.len > 0 {
                        offset += slice.start * old[axis];
                    }
                    strides.push(old[axis] * slice.step);
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
