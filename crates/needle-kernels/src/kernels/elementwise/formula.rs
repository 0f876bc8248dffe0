//! Formulas: functions of single elements, and how they become row functions.
//!
//! A formula is written once ([`maps!`], [`zips!`]) and compiled for each element type that it is
//! computed in: for floats with the instructions of each set, for integers in 64 bits or once for
//! each width. A row function takes addresses and knows nothing of arrays.

use super::function::{Compiled, MapRow, Table, ZipRows};
use crate::dtype::{DType, Element};
use crate::kernels::simd::{Scalar, Simd};

/// The formula of a [`super::Map`].
pub(crate) trait Formula<T> {
    /// Whether there are elements for which [`Formula::at`] is wrong.
    const GUARDED: bool = false;
    fn at<S: Simd>(x: T) -> T;
    /// Whether an element is one of these.
    #[inline(always)]
    fn is_special(_: T) -> bool {
        false
    }
    /// The value for such an element, at any price.
    fn at_special(x: T) -> T {
        x
    }
}

/// The formula of a [`super::Zip`].
pub(crate) trait Formula2<T> {
    type Out: Element;
    /// Whether rows take a step of 0. Expensive functions need not: a copy costs them little.
    const REPEATS: bool = true;
    fn at<S: Simd>(a: T, b: T) -> Self::Out;
}

simd! {
    /// See [`MapRow`].
    ///
    /// # Safety
    /// As there, for elements of `T`.
    unsafe fn map_row<S>[T: Element, F: Formula<T>](x: *const u8, out: *mut u8, n: usize) {
        let (x, out) = (x.cast::<T>(), out.cast::<T>());
        // SAFETY: the caller's promise.
        unsafe {
            for i in 0..n {
                out.add(i).write(F::at::<S>(x.add(i).read()));
            }
            if F::GUARDED {
                mend::<T, F>(x, out, n);
            }
        }
    }
}

/// Sets special elements right. They are rare: it looks for them in blocks, without branches.
///
/// # Safety
/// As [`MapRow`], for elements of `T`.
#[inline(always)]
unsafe fn mend<T: Element, F: Formula<T>>(x: *const T, out: *mut T, n: usize) {
    for start in (0..n).step_by(256) {
        let block = start..n.min(start + 256);
        // SAFETY: the caller's promise.
        unsafe {
            let mut any = false;
            for i in block.clone() {
                any |= F::is_special(x.add(i).read());
            }
            if !any {
                continue;
            }
            for i in block {
                let element = x.add(i).read();
                if F::is_special(element) {
                    out.add(i).write(F::at_special(element));
                }
            }
        }
    }
}

simd! {
    /// See [`ZipRows`].
    ///
    /// # Safety
    /// As there, for elements of `T` and results of `F::Out`; a step of 0 within a row only if
    /// `F::REPEATS`.
    unsafe fn zip_rows<S>[T: Element, F: Formula2<T>](
        a: *const u8, steps_a: [isize; 2], b: *const u8, steps_b: [isize; 2],
        out: *mut u8, n: usize, count: usize
    ) {
        let (a, b, out) = (a.cast::<T>(), b.cast::<T>(), out.cast::<F::Out>());
        for r in 0..count {
            // SAFETY: the caller's promise.
            unsafe {
                let (a, b) = (a.offset(r as isize * steps_a[0]), b.offset(r as isize * steps_b[0]));
                let out = out.add(r * n);
                if F::REPEATS && steps_b[1] == 0 {
                    let b = b.read();
                    for i in 0..n {
                        out.add(i).write(F::at::<S>(a.add(i).read(), b));
                    }
                } else if F::REPEATS && steps_a[1] == 0 {
                    let a = a.read();
                    for i in 0..n {
                        out.add(i).write(F::at::<S>(a, b.add(i).read()));
                    }
                } else {
                    for i in 0..n {
                        out.add(i).write(F::at::<S>(a.add(i).read(), b.add(i).read()));
                    }
                }
            }
        }
    }
}

/// [`zip_rows`] for a function that calls the standard library for each element: what that
/// gives is the same under every instruction set.
///
/// # Safety
/// As [`ZipRows`], for elements of `T` and results of `F::Out`.
unsafe fn call_rows<T: Element, F: Formula2<T>>(
    a: *const u8,
    steps_a: [isize; 2],
    b: *const u8,
    steps_b: [isize; 2],
    out: *mut u8,
    n: usize,
    count: usize,
) {
    let (a, b, out) = (a.cast::<T>(), b.cast::<T>(), out.cast::<F::Out>());
    for r in 0..count {
        for i in 0..n {
            let at = |steps: [isize; 2]| r as isize * steps[0] + i as isize * steps[1];
            // SAFETY: the caller's promise.
            unsafe {
                let (a, b) = (a.offset(at(steps_a)).read(), b.offset(at(steps_b)).read());
                out.add(r * n + i).write(F::at::<Scalar>(a, b));
            }
        }
    }
}

/// A row function where it is defined.
#[allow(clippy::unnecessary_wraps)] // As tables have it.
const fn some<F: Copy>(run: F, dtype: DType) -> Option<Compiled<F>> {
    Some(Compiled { run, dtype })
}

/// For all dtypes; what has no function of its own is computed in the first one's.
const fn wide<F: Copy>(i64: F, u64: F, f32: F, f64: F) -> Table<F> {
    let mut table = [some(i64, DType::I64); DType::ALL.len()];
    table[DType::U64 as usize] = some(u64, DType::U64);
    table[DType::F32 as usize] = some(f32, DType::F32);
    table[DType::F64 as usize] = some(f64, DType::F64);
    table
}

/// Where a formula of one element is defined: for floats.
pub(crate) const fn floats<F: Formula<f32> + Formula<f64>>() -> Table<MapRow> {
    let mut table = [None; DType::ALL.len()];
    table[DType::F32 as usize] = some(map_row::<f32, F> as MapRow, DType::F32);
    table[DType::F64 as usize] = some(map_row::<f64, F> as MapRow, DType::F64);
    table
}

/// For all dtypes; integers and bool are computed in 64 bits.
pub(crate) const fn numbers<F>() -> Table<MapRow>
where
    F: Formula<f32> + Formula<f64> + Formula<i64> + Formula<u64>,
{
    wide(
        map_row::<i64, F> as MapRow,
        map_row::<u64, F>,
        map_row::<f32, F>,
        map_row::<f64, F>,
    )
}

/// [`numbers`], but not for bool.
pub(crate) const fn numbers_but_bool<F>() -> Table<MapRow>
where
    F: Formula<f32> + Formula<f64> + Formula<i64> + Formula<u64>,
{
    let mut table = numbers::<F>();
    table[DType::Bool as usize] = None;
    table
}

/// Where a formula of two elements is defined: for floats.
pub(crate) const fn float_pairs<F>() -> Table<ZipRows>
where
    F: Formula2<f32> + Formula2<f64>,
{
    let mut table = [None; DType::ALL.len()];
    table[DType::F32 as usize] = some(zip_rows::<f32, F> as ZipRows, DType::F32);
    table[DType::F64 as usize] = some(zip_rows::<f64, F> as ZipRows, DType::F64);
    table
}

/// For all dtypes; integers and bool are computed in 64 bits.
pub(crate) const fn pairs<F>() -> Table<ZipRows>
where
    F: Formula2<f32> + Formula2<f64> + Formula2<i64> + Formula2<u64>,
{
    wide(
        zip_rows::<i64, F> as ZipRows,
        zip_rows::<u64, F>,
        zip_rows::<f32, F>,
        zip_rows::<f64, F>,
    )
}

/// For all dtypes, where the sign of integers makes no difference to the bits of the result; one
/// for each width.
pub(crate) const fn pairs_by_width<F>() -> Table<ZipRows>
where
    F: Formula2<f32> + Formula2<f64> + Formula2<u8> + Formula2<u16> + Formula2<u32> + Formula2<u64>,
{
    let mut table = wide(
        zip_rows::<u64, F> as ZipRows,
        zip_rows::<u64, F>,
        zip_rows::<f32, F>,
        zip_rows::<f64, F>,
    );
    table[DType::I8 as usize] = some(zip_rows::<u8, F>, DType::I8);
    table[DType::I16 as usize] = some(zip_rows::<u16, F>, DType::I16);
    table[DType::I32 as usize] = some(zip_rows::<u32, F>, DType::I32);
    table[DType::U8 as usize] = some(zip_rows::<u8, F>, DType::U8);
    table[DType::U16 as usize] = some(zip_rows::<u16, F>, DType::U16);
    table[DType::U32 as usize] = some(zip_rows::<u32, F>, DType::U32);
    table
}

/// [`pairs_by_width`], but not for bool.
pub(crate) const fn pairs_but_bool<F>() -> Table<ZipRows>
where
    F: Formula2<f32> + Formula2<f64> + Formula2<u8> + Formula2<u16> + Formula2<u32> + Formula2<u64>,
{
    let mut table = pairs_by_width::<F>();
    table[DType::Bool as usize] = None;
    table
}

/// For all dtypes, where the formula calls the standard library or branches; integers are
/// computed in 64 bits, their sign making no difference.
pub(crate) const fn called_pairs<F>() -> Table<ZipRows>
where
    F: Formula2<f32> + Formula2<f64> + Formula2<u64>,
{
    wide(
        call_rows::<u64, F> as ZipRows,
        call_rows::<u64, F>,
        call_rows::<f32, F>,
        call_rows::<f64, F>,
    )
}

/// For floats, where the formula calls the standard library or branches.
pub(crate) const fn float_calls<F>() -> Table<ZipRows>
where
    F: Formula2<f32> + Formula2<f64>,
{
    let mut table = [None; DType::ALL.len()];
    table[DType::F32 as usize] = some(call_rows::<f32, F> as ZipRows, DType::F32);
    table[DType::F64 as usize] = some(call_rows::<f64, F> as ZipRows, DType::F64);
    table
}

/// Defines [`super::Map`]s: documentation, where it is defined, name, picoseconds for an element
/// (what decides about threads), and the formula.
///
/// A formula for `floats` is compiled for both widths and may use whatever the modules `f32` and
/// `f64` beside its file have under one name; it may leave some arguments to a slow one. A formula
/// for `numbers` is generic over [`Arithmetic`](crate::kernels::number::Arithmetic).
macro_rules! maps {
    ($($(#[$doc:meta])* $where:ident $NAME:ident $cost:expr, |$x:ident, $S:ident| $body:expr
       $(, if $special:expr => $slow:expr)?;)*) => {$(
        $(#[$doc])*
        pub static $NAME: $crate::kernels::elementwise::Map = {
            struct F;
            $crate::kernels::elementwise::formula::maps!(
                @ $where F, |$x, $S| $body $(, if $special => $slow)?
            );
            $crate::kernels::elementwise::Map {
                name: stringify!($NAME),
                cost: $cost,
                row: $crate::kernels::elementwise::formula::$where::<F>(),
            }
        };
    )*};
    (@ floats $F:ident, $($formula:tt)*) => {
        $crate::kernels::elementwise::formula::maps!(@ of f32 $F, $($formula)*);
        $crate::kernels::elementwise::formula::maps!(@ of f64 $F, $($formula)*);
    };
    (@ of $T:ident $F:ident, |$x:ident, $S:ident| $body:expr $(, if $special:expr => $slow:expr)?) => {
        impl $crate::kernels::elementwise::formula::Formula<::core::primitive::$T>
            for $F
        {
            #[inline(always)]
            fn at<$S: $crate::kernels::simd::Simd>(
                $x: ::core::primitive::$T,
            ) -> ::core::primitive::$T {
                #[allow(clippy::wildcard_imports, unused_imports)]
                use {super::$T::*, $crate::kernels::number::Arithmetic};
                $body
            }
            $(
                const GUARDED: bool = true;
                #[inline(always)]
                fn is_special($x: ::core::primitive::$T) -> bool {
                    #[allow(clippy::wildcard_imports, unused_imports)]
                    use super::$T::*;
                    $special
                }
                #[inline(never)]
                fn at_special($x: ::core::primitive::$T) -> ::core::primitive::$T { $slow }
            )?
        }
    };
    (@ $where:ident $F:ident, |$x:ident, $S:ident| $body:expr) => {
        impl<T: $crate::kernels::number::Arithmetic>
            $crate::kernels::elementwise::formula::Formula<T>
            for $F
        {
            #[inline(always)]
            fn at<$S: $crate::kernels::simd::Simd>($x: T) -> T { $body }
        }
    };
}
pub(crate) use maps;

/// Defines [`super::Zip`]s, as [`maps!`]. A formula that takes the instruction set `S` is compiled for
/// both widths of floats, and its rows do not repeat operands; the others are generic over
/// [`Arithmetic`](crate::kernels::number::Arithmetic), or over the trait before them. One with `-> Bool` is a comparison. `with` names
/// functions of one element that this one is, for floats, with some number on the right.
macro_rules! zips {
    ($($(#[$doc:meta])* $where:ident $NAME:ident $cost:expr,
       $($Bound:ident)? |$a:ident, $b:ident $(, $S:ident)?|
       $(-> $Out:ident)? $body:expr $(, with $with:expr)?;)*) => {$(
        $(#[$doc])*
        pub static $NAME: $crate::kernels::elementwise::Zip = {
            #[allow(unused_imports)]
            use $crate::kernels::elementwise::{Zip, formula::{Formula2, zips}};
            struct F;
            zips!(@ F, $($Bound)? |$a, $b $(, $S)?| $(-> $Out)? $body);
            Zip {
                name: stringify!($NAME),
                cost: $cost,
                rows: $crate::kernels::elementwise::formula::$where::<F>(),
                repeats: <F as Formula2<::core::primitive::f64>>::REPEATS,
                is_truth: zips!(@ is_truth $($Out)?),
                as_map: zips!(@ with $($with)?),
            }
        };
    )*};
    (@ is_truth) => { false };
    (@ is_truth Bool) => { true };
    (@ with) => { None };
    (@ with $with:expr) => { Some($with) };
    (@ $F:ident, |$a:ident, $b:ident, $S:ident| $body:expr) => {
        zips!(@ of f32 $F, |$a, $b, $S| $body);
        zips!(@ of f64 $F, |$a, $b, $S| $body);
    };
    (@ of $T:ident $F:ident, |$a:ident, $b:ident, $S:ident| $body:expr) => {
        impl Formula2<::core::primitive::$T> for $F {
            type Out = ::core::primitive::$T;
            const REPEATS: bool = false;
            #[inline(always)]
            fn at<$S: $crate::kernels::simd::Simd>(
                $a: ::core::primitive::$T,
                $b: ::core::primitive::$T,
            ) -> ::core::primitive::$T {
                #[allow(clippy::wildcard_imports, unused_imports)]
                use {super::$T::*, $crate::kernels::number::Arithmetic};
                $body
            }
        }
    };
    (@ $F:ident, |$a:ident, $b:ident| $body:expr) => {
        zips!(@ $F, Arithmetic |$a, $b| $body);
    };
    (@ $F:ident, $Bound:ident |$a:ident, $b:ident| $body:expr) => {
        impl<T: $crate::kernels::number::$Bound> Formula2<T> for $F {
            type Out = T;
            #[inline(always)]
            fn at<S: $crate::kernels::simd::Simd>($a: T, $b: T) -> T { $body }
        }
    };
    (@ $F:ident, |$a:ident, $b:ident| -> Bool $body:expr) => {
        impl<T: $crate::kernels::number::Arithmetic> Formula2<T> for $F {
            type Out = $crate::dtype::Bool;
            #[inline(always)]
            fn at<S: $crate::kernels::simd::Simd>($a: T, $b: T) -> $crate::dtype::Bool {
                $crate::dtype::Bool::from($body)
            }
        }
    };
}
pub(crate) use zips;
