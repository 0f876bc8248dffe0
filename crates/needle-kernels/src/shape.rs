//! Shapes as pure arithmetic: broadcasting, axes, strides. No data, no allocation of arrays.

use crate::dtype::DType;
use crate::error::{Error, Result};
use smallvec::SmallVec;

/// The lengths of an array's dimensions; up to four stand inline.
pub type Dims = SmallVec<[usize; 4]>;

/// A list of lengths. Up to four are written by hand: a copy of unknown length would call
/// `memmove`, and every op makes several.
#[inline]
pub fn dims(lengths: &[usize]) -> Dims {
    match *lengths {
        [] => Dims::new_const(),
        [a] => Dims::from_buf_and_len([a, 0, 0, 0], 1),
        [a, b] => Dims::from_buf_and_len([a, b, 0, 0], 2),
        [a, b, c] => Dims::from_buf_and_len([a, b, c, 0], 3),
        [a, b, c, d] => Dims::from_buf_and_len([a, b, c, d], 4),
        _ => Dims::from_slice(lengths),
    }
}

/// A shape and a dtype: all that type rules may see of an array.
#[derive(Debug, PartialEq, Eq)]
pub struct TensorType {
    /// Lengths of the dimensions.
    pub shape: Dims,
    /// Element type.
    pub dtype: DType,
}

impl Clone for TensorType {
    #[inline]
    fn clone(&self) -> Self {
        Self::new(&self.shape, self.dtype)
    }
}

impl TensorType {
    /// The type of an array of `shape` and `dtype`.
    pub fn new(shape: &[usize], dtype: DType) -> Self {
        Self {
            shape: dims(shape),
            dtype,
        }
    }
}

/// A shape as Python writes it: `()`, `(3,)`, `(2, 3)`.
pub fn display(shape: &[usize]) -> String {
    if let [one] = shape {
        return format!("({one},)");
    }
    let parts: Vec<String> = shape.iter().map(ToString::to_string).collect();
    format!("({})", parts.join(", "))
}

/// Number of elements, or `None` where the shape is none that an array may have: where more than
/// `isize::MAX` elements come of it, lengths of 0 left out.
///
/// So whatever is a product of some lengths of an array (strides, rows, offsets) does not wrap, in
/// an empty array neither. It is NumPy's rule too.
#[inline]
pub fn size(shape: &[usize]) -> Option<usize> {
    let mut product: usize = 1;
    let mut is_empty = false;
    for &n in shape {
        is_empty |= n == 0;
        product = product.checked_mul(n.max(1))?;
    }
    let size = if is_empty { 0 } else { product };
    isize::try_from(product).is_ok().then_some(size)
}

/// The most dimensions that an array may have: as many as NumPy's.
pub const MOST_DIMS: usize = 64;

/// [`size`], or the reason why no array has this shape.
#[inline]
pub fn check(op: &str, shape: &[usize]) -> Result<usize> {
    if shape.len() <= MOST_DIMS
        && let Some(size) = size(shape)
    {
        return Ok(size);
    }
    Err(refuse(op, shape))
}

#[cold]
fn refuse(op: &str, shape: &[usize]) -> Error {
    if shape.len() > MOST_DIMS {
        let what = format_args!("at most {MOST_DIMS} dimensions, got {}", shape.len());
        return Error::shape(op, what);
    }
    let shape = display(shape);
    Error::shape(
        op,
        format_args!("no array can have as many elements as {shape}"),
    )
}

/// Lengths that a caller gave as integers; ShapeError for negative ones.
pub fn lengths(op: &str, values: &[isize]) -> Result<Dims> {
    values
        .iter()
        .map(|&n| {
            usize::try_from(n)
                .map_err(|_| Error::shape(op, format_args!("negative length {n} in the shape")))
        })
        .collect()
}

/// Row-major strides in elements.
pub fn contiguous_strides(shape: &[usize]) -> SmallVec<[isize; 4]> {
    let mut strides: SmallVec<[isize; 4]> = SmallVec::from_elem(0, shape.len());
    let mut step = 1isize;
    for (stride, &n) in strides.iter_mut().zip(shape).rev() {
        *stride = step;
        step = step.saturating_mul(n.max(1) as isize);
    }
    strides
}

/// The common shape of two operands after NumPy's broadcasting.
#[inline]
pub fn broadcast(op: &str, a: &[usize], b: &[usize]) -> Result<Dims> {
    if a == b {
        return Ok(dims(a));
    }
    broadcast_pair(a, b).ok_or_else(|| {
        Error::shape(
            op,
            format_args!(
                "shapes {} and {} do not broadcast together",
                display(a),
                display(b)
            ),
        )
    })
}

/// [`broadcast`] without a message: `None` where the shapes do not fit.
pub fn broadcast_pair(a: &[usize], b: &[usize]) -> Option<Dims> {
    let (long, short) = if a.len() >= b.len() { (a, b) } else { (b, a) };
    let mut result = Dims::from_slice(long);
    let skip = long.len() - short.len();
    for (r, &n) in result[skip..].iter_mut().zip(short) {
        if *r == 1 {
            *r = n;
        } else if n != 1 && n != *r {
            return None;
        }
    }
    Some(result)
}

/// Whether sorted `axes` are some, and the last, of an array of `ndim` dimensions.
pub fn are_last(axes: &[usize], ndim: usize) -> bool {
    !axes.is_empty() && axes.iter().copied().eq(ndim - axes.len()..ndim)
}

/// Refuses two operands that have to have one shape and do not.
pub fn check_same(op: &str, a: &[usize], b: &[usize]) -> Result<()> {
    if a == b {
        return Ok(());
    }
    Err(Error::shape(
        op,
        format_args!("shapes differ: {} and {}", display(a), display(b)),
    ))
}

/// Whether `from` broadcasts to exactly `to`.
pub fn broadcasts_to(from: &[usize], to: &[usize]) -> bool {
    from.len() <= to.len()
        && from
            .iter()
            .zip(&to[to.len() - from.len()..])
            .all(|(&f, &t)| f == t || f == 1)
}

/// The axes of `to` along which `from` was stretched: the ones to sum over to come back. None where
/// `from` has more dimensions than `to`: it was not stretched.
pub fn broadcast_axes(from: &[usize], to: &[usize]) -> SmallVec<[usize; 4]> {
    let Some(skip) = to.len().checked_sub(from.len()) else {
        return SmallVec::new();
    };
    (0..to.len())
        .filter(|&axis| axis < skip || (from[axis - skip] == 1 && to[axis] != 1))
        .collect()
}

/// A possibly negative axis as an index below `ndim`.
#[inline]
pub fn normalize_axis(op: &str, axis: isize, ndim: usize) -> Result<usize> {
    let n = ndim as isize;
    if axis < -n || axis >= n {
        return Err(Error::axis(op, axis, ndim));
    }
    Ok((if axis < 0 { axis + n } else { axis }) as usize)
}

/// Possibly negative axes, `None` for all, as sorted indices without repetition.
pub fn normalize_axes(
    op: &str,
    axes: Option<&[isize]>,
    ndim: usize,
) -> Result<SmallVec<[usize; 4]>> {
    let Some(axes) = axes else {
        return Ok((0..ndim).collect());
    };
    let mut result: SmallVec<[usize; 4]> = SmallVec::new();
    for &axis in axes {
        let axis = normalize_axis(op, axis, ndim)?;
        if result.contains(&axis) {
            return Err(Error::Axis(format!("{op}: axis {axis} is named twice")));
        }
        result.push(axis);
    }
    result.sort_unstable();
    Ok(result)
}

/// The shape that is left when sorted `axes` are reduced.
pub fn reduced(shape: &[usize], axes: &[usize], keepdims: bool) -> Dims {
    shape
        .iter()
        .enumerate()
        .filter_map(|(axis, &n)| match axes.contains(&axis) {
            true if keepdims => Some(1),
            true => None,
            false => Some(n),
        })
        .collect()
}

/// The shape that a reshape asks for, with one `-1` worked out from the size.
pub fn resolve_reshape(op: &str, from: &[usize], to: &[isize]) -> Result<Dims> {
    let fail = || {
        let parts: Vec<String> = to.iter().map(ToString::to_string).collect();
        let comma = if to.len() == 1 { "," } else { "" };
        Error::shape(
            op,
            format_args!(
                "cannot reshape {} into ({}{comma})",
                display(from),
                parts.join(", ")
            ),
        )
    };
    let total = size(from).ok_or_else(fail)?;
    let mut result = Dims::new();
    let mut unknown = None;
    for (i, &n) in to.iter().enumerate() {
        if n == -1 && unknown.is_none() {
            unknown = Some(i);
            result.push(1);
        } else if n < 0 {
            return Err(fail());
        } else {
            result.push(n as usize);
        }
    }
    let known = size(&result).ok_or_else(fail)?;
    if let Some(i) = unknown {
        if known == 0 || total % known != 0 {
            return Err(fail());
        }
        result[i] = total / known;
    } else if known != total {
        return Err(fail());
    }
    Ok(result)
}

/// The result shape of `a @ b`, by NumPy's rules for vectors and batches.
pub fn matmul(op: &str, a: &[usize], b: &[usize]) -> Result<Dims> {
    let fail =
        |what: &str| Error::shape(op, format_args!("{what}: {} @ {}", display(a), display(b)));
    if a.is_empty() || b.is_empty() {
        return Err(fail("operands need at least one dimension"));
    }
    let inner_b = if b.len() == 1 { b[0] } else { b[b.len() - 2] };
    if a[a.len() - 1] != inner_b {
        return Err(fail("inner dimensions differ"));
    }
    let batch_a = &a[..a.len().saturating_sub(2)];
    let batch_b = &b[..b.len().saturating_sub(2)];
    let mut result =
        broadcast_pair(batch_a, batch_b).ok_or_else(|| fail("batches do not broadcast"))?;
    if a.len() > 1 {
        result.push(a[a.len() - 2]);
    }
    if b.len() > 1 {
        result.push(b[b.len() - 1]);
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting_follows_numpy() {
        assert_eq!(broadcast("add", &[1, 3], &[3]).unwrap().as_slice(), [1, 3]);
        assert_eq!(broadcast("add", &[2, 1], &[3]).unwrap().as_slice(), [2, 3]);
        assert_eq!(broadcast("add", &[0], &[1]).unwrap().as_slice(), [0]);
        let error = broadcast("add", &[2, 3], &[4]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "add: shapes (2, 3) and (4,) do not broadcast together"
        );
    }

    #[test]
    fn reshape_works_out_one_unknown() {
        assert_eq!(
            resolve_reshape("reshape", &[2, 6], &[3, -1])
                .unwrap()
                .as_slice(),
            [3, 4]
        );
        assert!(resolve_reshape("reshape", &[2, 6], &[5, -1]).is_err());
        assert!(resolve_reshape("reshape", &[0], &[0, -1]).is_err());
        assert!(resolve_reshape("reshape", &[4], &[-2, -2]).is_err());
    }

    #[test]
    fn lengths_that_multiply_to_too_much_are_no_shape() {
        let most = isize::MAX as usize;
        assert_eq!(size(&[]), Some(1));
        assert_eq!(size(&[most]), Some(most));
        assert_eq!(size(&[most, 0]), Some(0));
        for shape in [
            &[most + 1][..],
            &[most, 2],
            &[usize::MAX, 2, 0],
            &[0, 1 << 32, 1 << 31],
        ] {
            assert_eq!(size(shape), None, "{shape:?}");
        }
    }

    #[test]
    fn shapes_that_no_array_has_are_refused() {
        let error = check("stack", &[1; 65]).unwrap_err();
        assert_eq!(error.to_string(), "stack: at most 64 dimensions, got 65");
        assert!(check("stack", &[1; 64]).is_ok());
        let error = check("take", &[1 << 40, 1 << 40]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "take: no array can have as many elements as (1099511627776, 1099511627776)"
        );
    }

    #[test]
    fn matmul_shapes() {
        assert_eq!(
            matmul("matmul", &[6, 6, 5, 4], &[4, 3]).unwrap().as_slice(),
            [6, 6, 5, 3]
        );
        assert_eq!(
            matmul("matmul", &[3], &[3]).unwrap().as_slice(),
            [0usize; 0]
        );
        let error = matmul("matmul", &[2, 3], &[4, 5]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "matmul: inner dimensions differ: (2, 3) @ (4, 5)"
        );
    }
}
