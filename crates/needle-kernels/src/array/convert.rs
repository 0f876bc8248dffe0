//! Between arrays and Rust: slices, `ndarray` views, single elements.

use super::Array;
use crate::dispatch;
use crate::dtype::{Bool, DType, Element, Scalar};
use crate::error::{Error, Result};
use crate::shape;
use ndarray::{ArrayView, ArrayViewD, Dimension, IxDyn, RawArrayView, ShapeBuilder};

impl Array {
    /// A row-major array with the values of a slice.
    pub fn from_slice<T: Element>(values: &[T], shape: &[usize]) -> Result<Self> {
        if shape::size(shape) != Some(values.len()) {
            return Err(Error::shape(
                "from_slice",
                format_args!(
                    "{} values for shape {}",
                    values.len(),
                    shape::display(shape)
                ),
            ));
        }
        let array = Self::empty(T::DTYPE, shape)?;
        // SAFETY: fresh memory that nobody else sees, with room for exactly these values: `shape`
        // was compared with their number above.
        unsafe {
            array
                .ptr_mut::<T>()
                .copy_from_nonoverlapping(values.as_ptr(), values.len());
        }
        Ok(array)
    }

    /// A row-major array with the elements of an `ndarray`, whatever its strides.
    pub fn from_ndarray<T: Element, D: Dimension>(values: &ArrayView<T, D>) -> Result<Self> {
        let array = Self::empty(T::DTYPE, values.shape())?;
        let to = array.ptr_mut::<T>();
        for (i, value) in values.iter().enumerate() {
            // SAFETY: fresh memory that nobody else sees, of the shape of `values`, so `i` lies
            // within.
            unsafe { to.add(i).write(*value) };
        }
        Ok(array)
    }

    /// An array without dimensions that holds one number.
    #[inline]
    pub fn scalar(value: Scalar, dtype: DType) -> Result<Self> {
        let array = Self::empty(dtype, &[])?;
        dispatch!(numeric: dtype, T => {
            let element = match value {
                Scalar::Bool(v) => u8::from(v) as T,
                Scalar::Int(v) => v as T,
                Scalar::UInt(v) => v as T,
                Scalar::Float(v) | Scalar::Huge(v) => v as T,
            };
            // SAFETY: fresh storage with room for one element of the dtype.
            unsafe { array.ptr_mut::<T>().write(element) };
        }, else {
            // SAFETY: fresh storage with room for one element of the dtype.
            unsafe { array.ptr_mut::<Bool>().write(Bool::from(value.to_f64() != 0.0)) };
        });
        Ok(array)
    }

    /// The same elements as an `ndarray` raw view, for code whose speed does not count. The
    /// pointer form is deliberate: Python may write to this memory at any time.
    ///
    /// # Panics
    /// Where `T` is not the type of the elements.
    pub fn raw_view<T: Element>(&self) -> RawArrayView<T, IxDyn> {
        assert_eq!(T::DTYPE, self.dtype());
        // ndarray builds raw views from non-negative strides: start at the lowest address
        // and invert the axes that run backwards.
        let own = self.strides();
        let mut start = self.ptr::<T>();
        for (&stride, &n) in own.iter().zip(self.shape()) {
            if stride < 0 {
                start = start.wrapping_offset(stride * (n.max(1) as isize - 1));
            }
        }
        let strides: Vec<usize> = own.iter().map(|s| s.unsigned_abs()).collect();
        let dims = IxDyn(self.shape()).strides(IxDyn(&strides));
        // SAFETY: shape, strides and offset of an array stay within its storage, T is the dtype
        // (asserted), and `start` is the lowest address that they reach.
        let mut view = unsafe { RawArrayView::from_shape_ptr(dims, start) };
        for (axis, &stride) in own.iter().enumerate() {
            if stride < 0 {
                view.invert_axis(ndarray::Axis(axis));
            }
        }
        view
    }

    /// The elements as an `ndarray` view.
    ///
    /// # Safety
    /// Nobody writes to the storage while the view lives.
    ///
    /// # Panics
    /// As [`Array::raw_view`].
    pub unsafe fn view<T: Element>(&self) -> ArrayViewD<'_, T> {
        // SAFETY: the caller's promise; whoever made the array has written all of it, and
        // `raw_view` asserts that T is its dtype. The borrow of `self` keeps the memory.
        unsafe { self.raw_view::<T>().deref_into_view() }
    }

    /// Calls `f` with the address of each element in row-major order.
    ///
    /// # Panics
    /// As [`Array::raw_view`].
    pub fn for_each_ptr<T: Element>(&self, mut f: impl FnMut(*const T)) {
        assert_eq!(T::DTYPE, self.dtype());
        let (shape, strides) = (self.shape(), self.strides());
        if self.size() == 0 {
            return;
        }
        let mut index = vec![0usize; shape.len()];
        let mut at = self.ptr::<T>();
        loop {
            f(at);
            let mut axis = shape.len();
            loop {
                if axis == 0 {
                    return;
                }
                axis -= 1;
                index[axis] += 1;
                if index[axis] < shape[axis] {
                    at = at.wrapping_offset(strides[axis]);
                    break;
                }
                at = at.wrapping_offset(-strides[axis] * (shape[axis] as isize - 1));
                index[axis] = 0;
            }
        }
    }

    /// All elements in row-major order.
    ///
    /// # Panics
    /// As [`Array::raw_view`].
    pub fn to_vec<T: Element>(&self) -> Vec<T> {
        let mut values = Vec::with_capacity(self.size());
        // SAFETY: T is the dtype (asserted there), so `for_each_ptr` stays within the array;
        // whoever made it has written all of it.
        self.for_each_ptr(|at: *const T| values.push(unsafe { at.read() }));
        values
    }

    /// All elements in row-major order, as float64.
    #[allow(clippy::unnecessary_cast)] // One of the types is f64 itself.
    pub fn to_f64_vec(&self) -> Vec<f64> {
        dispatch!(numeric: self.dtype(), T => {
            self.to_vec::<T>().into_iter().map(|v| v as f64).collect()
        }, else {
            self.to_vec::<Bool>().into_iter().map(|v| f64::from(v.0.min(1))).collect()
        })
    }
}
