//! Elements brought into rows side by side, in their own dtype or in another.

use super::copy::gather_words;
use super::layout::{self, collapse};
use super::threads::Shared;
use crate::array::Array;
use crate::dtype::{Bool, DType, Element, Kind};
use crate::error::Result;

/// Copies `count` rows of `n` elements, whose steps are those from row to row and within a row,
/// to rows that lie side by side.
///
/// # Safety
/// These elements can be read by their steps, there is room for as many at `out`, both are aligned
/// for the dtypes, and nobody else sees `out`.
pub(crate) type Gather =
    unsafe fn(x: *const u8, steps: [isize; 2], out: *mut u8, n: usize, count: usize);

/// Picoseconds for an element.
const COST: usize = 150;

/// Whether elements of both dtypes are the same bits: equal ones, and integers of one width.
pub(crate) fn is_same_word(a: DType, b: DType) -> bool {
    let is_integer = |dtype: DType| matches!(dtype.kind(), Kind::Signed | Kind::Unsigned);
    a == b || (a.size() == b.size() && is_integer(a) && is_integer(b))
}

/// A conversion of single elements, as C does it.
trait CastTo<O> {
    fn cast_to(self) -> O;
}

macro_rules! casts {
    ($($from:ty)*) => {$(
        casts!(@ $from => i8 i16 i32 i64 u8 u16 u32 u64 f32 f64);
        impl CastTo<Bool> for $from {
            #[inline(always)]
            fn cast_to(self) -> Bool { Bool::from(self != 0 as $from) }
        }
        impl CastTo<$from> for Bool {
            #[inline(always)]
            fn cast_to(self) -> $from { u8::from(self.get()) as $from }
        }
    )*};
    (@ $from:ty => $($to:ty)*) => {$(
        impl CastTo<$to> for $from {
            #[inline(always)]
            fn cast_to(self) -> $to { self as $to }
        }
    )*};
}

casts!(i8 i16 i32 i64 u8 u16 u32 u64 f32 f64);

simd! {
    /// See [`Gather`].
    ///
    /// # Safety
    /// As there, the dtypes being those of `T` and `O`.
    unsafe fn gather<S>[O: Element, T: CastTo<O>](
        x: *const u8, steps: [isize; 2], out: *mut u8, n: usize, count: usize
    ) {
        let (x, out, [down, along]) = (x.cast::<T>(), out.cast::<O>(), steps);
        for r in 0..count {
            // SAFETY: the caller's promise.
            unsafe {
                let (x, out) = (x.offset(r as isize * down), out.add(r * n));
                if along == 1 {
                    for i in 0..n {
                        out.add(i).write(x.add(i).read().cast_to());
                    }
                } else {
                    for i in 0..n {
                        out.add(i).write(x.offset(i as isize * along).read().cast_to());
                    }
                }
            }
        }
    }
}

/// What brings elements of one dtype into rows of another.
///
/// Integers become integers by their bits, so there the sign of what is cast counts only where
/// it gets wider, and the sign of the result never.
pub(crate) fn gather_of(from: DType, to: DType) -> Gather {
    if is_same_word(from, to) {
        return match to.size() {
            1 => gather_words::<u8>,
            2 => gather_words::<u16>,
            4 => gather_words::<u32>,
            _ => gather_words::<u64>,
        };
    }
    let from = if to.is_float() || (from.size() < to.size() && to != DType::Bool) {
        from
    } else {
        without_sign(from)
    };
    let to = if from.is_float() {
        to
    } else {
        without_sign(to)
    };
    macro_rules! to {
        ($T:ty: $($to:ident $O:ty),*) => {
            match to {
                $(DType::$to => gather::<$O, $T>,)*
                _ => unreachable!("{to} is of the same width, which stands above"),
            }
        };
    }
    match from {
        DType::Bool => to!(Bool: U8 u8, U16 u16, U32 u32, U64 u64, F32 f32, F64 f64),
        DType::I8 => to!(i8: U16 u16, U32 u32, U64 u64, F32 f32, F64 f64),
        DType::I16 => to!(i16: U32 u32, U64 u64, F32 f32, F64 f64),
        DType::I32 => to!(i32: U64 u64, F32 f32, F64 f64),
        DType::I64 => to!(i64: F32 f32, F64 f64),
        DType::U8 => to!(u8: Bool Bool, U16 u16, U32 u32, U64 u64, F32 f32, F64 f64),
        DType::U16 => to!(u16: Bool Bool, U8 u8, U32 u32, U64 u64, F32 f32, F64 f64),
        DType::U32 => to!(u32: Bool Bool, U8 u8, U16 u16, U64 u64, F32 f32, F64 f64),
        DType::U64 => to!(u64: Bool Bool, U8 u8, U16 u16, U32 u32, F32 f32, F64 f64),
        DType::F32 => to!(f32: Bool Bool, I8 i8, I16 i16, I32 i32, I64 i64, U8 u8, U16 u16,
            U32 u32, U64 u64, F64 f64),
        DType::F64 => to!(f64: Bool Bool, I8 i8, I16 i16, I32 i32, I64 i64, U8 u8, U16 u16,
            U32 u32, U64 u64, F32 f32),
    }
}

fn without_sign(dtype: DType) -> DType {
    match dtype {
        DType::I8 => DType::U8,
        DType::I16 => DType::U16,
        DType::I32 => DType::U32,
        DType::I64 => DType::U64,
        other => other,
    }
}

/// `x` in another dtype: floats are truncated towards zero, integers wrap, and what is not
/// zero is true; `x` itself where the dtype is the same.
pub fn cast(x: &Array, dtype: DType) -> Result<Array> {
    if x.dtype() == dtype {
        return Ok(x.clone());
    }
    let out = Array::empty(dtype, x.shape())?;
    let gather = gather_of(x.dtype(), dtype);
    let (from, to) = (Shared::new(x.address()), Shared::new(out.address()));
    let (size, size_out) = (x.dtype().size() as isize, dtype.size() as isize);
    let dims = collapse(x.shape(), [&out.strides(), &x.strides()]);
    layout::for_each_block(&dims, COST, |[o, i], rows, row| {
        // SAFETY: both have the shape of the nest, so the strides stay within them; `gather` is for
        // their dtypes. `out` is fresh, its rows lie side by side, and this block has its own.
        unsafe {
            let (from, to) = (from.get().offset(i * size), to.get().offset(o * size_out));
            gather(from, [rows.steps[1], row.steps[1]], to, row.len, rows.len);
        }
    });
    Ok(out)
}
