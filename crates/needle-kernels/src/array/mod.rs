//! Arrays: a strided view of shared storage with a shape and a dtype.
//!
//! An array is a value: cloning shares the memory, and nothing here writes to it. Views
//! (reshape, transpose, slice, broadcast) move no element.

pub mod convert;
pub mod pool;
pub mod storage;
mod view;

use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::shape::{self, Dims};
use smallvec::SmallVec;
use std::sync::Arc;
pub use storage::{Export, Storage};
pub use view::{Index, Slice, index_shape};

/// Steps between neighbours along each dimension, in elements.
pub type Strides = SmallVec<[isize; 4]>;

/// A strided, typed view of shared memory: two words, so that ops can pass it around.
#[derive(Clone)]
pub struct Array {
    storage: Storage,
    /// `None` for all of the storage, row-major, under the shape it was allocated for.
    layout: Option<Arc<Layout>>,
}

/// What an array sees of a storage, where that is not simply all of it.
struct Layout {
    /// Elements between the start of the storage and the element `[0, 0, ...]`.
    offset: usize,
    shape: Dims,
    /// `None` for the row-major strides of the shape.
    strides: Option<Strides>,
    dtype: DType,
}

impl Array {
    /// A row-major array whose elements are not set yet: the caller writes them all.
    #[inline]
    pub fn empty(dtype: DType, shape: &[usize]) -> Result<Self> {
        let Some(storage) = Storage::allocate(dtype, shape) else {
            return Err(Self::no_memory(dtype, shape));
        };
        let layout = if Storage::describes(shape.len()) {
            None
        } else {
            Some(Arc::new(Layout {
                offset: 0,
                shape: Dims::from_slice(shape),
                strides: None,
                dtype,
            }))
        };
        Ok(Self { storage, layout })
    }

    #[cold]
    fn no_memory(dtype: DType, shape: &[usize]) -> Error {
        let bytes = shape
            .iter()
            .fold(dtype.size() as u128, |n, &d| n.saturating_mul(d as u128));
        Error::Memory(format!(
            "cannot allocate {bytes} bytes for an array of shape {} and dtype {dtype}",
            shape::display(shape)
        ))
    }

    /// An array of zero bytes: 0, 0.0 or false everywhere.
    pub fn zeros(dtype: DType, shape: &[usize]) -> Result<Self> {
        let array = Self::empty(dtype, shape)?;
        // SAFETY: the storage is fresh, so nobody else sees it, and it has these many bytes.
        unsafe { array.storage.data().write_bytes(0, array.storage.bytes()) };
        Ok(array)
    }

    /// An array on memory that an embedder lends; `strides` are in elements and `offset`
    /// is where the element `[0, 0, ...]` lies.
    ///
    /// # Safety
    /// Every element that shape, strides and offset reach lies within the storage and is
    /// aligned for its type.
    pub unsafe fn from_parts(
        storage: Storage,
        offset: usize,
        shape: Dims,
        strides: &[isize],
        dtype: DType,
    ) -> Self {
        let strides = compress(&shape, strides);
        let layout = Layout {
            offset,
            shape,
            strides,
            dtype,
        };
        Self {
            storage,
            layout: Some(Arc::new(layout)),
        }
    }

    /// Lengths of the dimensions.
    #[inline]
    pub fn shape(&self) -> &[usize] {
        match &self.layout {
            None => self.storage.shape(),
            Some(layout) => &layout.shape,
        }
    }

    /// Number of dimensions.
    #[inline]
    pub fn ndim(&self) -> usize {
        self.shape().len()
    }

    /// Number of elements.
    #[inline]
    pub fn size(&self) -> usize {
        self.shape().iter().product()
    }

    /// Element type.
    #[inline]
    pub fn dtype(&self) -> DType {
        match &self.layout {
            None => self.storage.dtype(),
            Some(layout) => layout.dtype,
        }
    }

    /// Steps between neighbours along each dimension, in elements.
    #[inline]
    pub fn strides(&self) -> Strides {
        match self.own_strides() {
            Some(strides) => strides.clone(),
            None => shape::contiguous_strides(self.shape()),
        }
    }

    /// The strides where they are not the row-major ones.
    #[inline]
    fn own_strides(&self) -> Option<&Strides> {
        self.layout.as_ref()?.strides.as_ref()
    }

    /// Whether the elements lie row-major without gaps.
    #[inline]
    pub fn is_contiguous(&self) -> bool {
        self.own_strides().is_none()
    }

    /// The memory.
    #[inline]
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// The element `[0, 0, ...]`. Others may write this memory: read through raw pointers.
    #[inline]
    pub fn ptr<T: Element>(&self) -> *const T {
        debug_assert_eq!(T::DTYPE, self.dtype());
        // SAFETY: the maker of a layout (`from_parts`, views) keeps the offset within the storage,
        // or at its end; T must be the dtype, for which the caller answers.
        unsafe { self.storage.data().cast::<T>().add(self.offset()) }
    }

    /// The element `[0, 0, ...]` for writing. Only the maker of a fresh array, or the owner
    /// of one for which [`Storage::is_private`] holds, may write.
    #[inline]
    pub fn ptr_mut<T: Element>(&self) -> *mut T {
        self.ptr::<T>().cast_mut()
    }

    /// The address of the element `[0, 0, ...]`, whatever its type; as [`Array::ptr_mut`].
    #[inline]
    pub(crate) fn address(&self) -> *mut u8 {
        let start = self.storage.data();
        match &self.layout {
            None => start,
            // SAFETY: the maker of a layout (`from_parts`, views) keeps the offset within the
            // storage, or at its end.
            Some(layout) => unsafe { start.add(layout.offset * layout.dtype.size()) },
        }
    }

    /// Elements between the start of the storage and the element `[0, 0, ...]`.
    #[inline]
    pub fn offset(&self) -> usize {
        self.layout.as_ref().map_or(0, |layout| layout.offset)
    }
}

/// `None` where `strides` are the row-major ones; lengths 0 and 1 take any stride, and get 0 where
/// the others matter: nobody multiplies by a stride that leads out of the array.
fn compress(shape: &[usize], strides: &[isize]) -> Option<Strides> {
    if shape.contains(&0) {
        return None;
    }
    let plain = shape::contiguous_strides(shape);
    let same = shape
        .iter()
        .zip(strides)
        .zip(&plain)
        .all(|((&n, s), p)| n == 1 || s == p);
    let step = |(&n, &s): (&usize, &isize)| if n == 1 { 0 } else { s };
    (!same).then(|| shape.iter().zip(strides).map(step).collect())
}
