//! Functions of single elements as types without size, so that each loop is compiled with
//! its function inlined.

use super::loops::{Map, Zip};
use crate::dtype::{Bool, Element};
use crate::kernels::isa::Simd;
use crate::kernels::number::{Float, Number};

/// Name, cost where it is not that of memory, and function.
macro_rules! maps {
    ($($bound:ident $name:ident $($cost:literal)? |$x:ident, $S:ident| $body:expr;)*) => {$(
        pub(super) struct $name;
        impl<T: $bound> Map<T> for $name {
            $(const COST: usize = $cost;)?
            #[inline(always)]
            fn apply<$S: Simd>($x: T) -> T { $body }
        }
    )*};
}

maps! {
    Number Negate |x, S| x.negate();
    Number Abs |x, S| x.abs();
    Number Sign |x, S| x.sign();
    Number Relu |x, S| x.relu();
    Float Sqrt 300 |x, S| x.sqrt();
    Float Exp 400 |x, S| x.exp::<S>();
    Float Log 500 |x, S| x.log::<S>();
    Float Tanh 700 |x, S| x.tanh::<S>();
    Float Sigmoid 600 |x, S| x.sigmoid::<S>();
    Float Softplus 1000 |x, S| x.softplus::<S>();
    Float Erf 900 |x, S| x.erf::<S>();
    Float Gelu 900 |x, S| x.chain(x.normal::<S>().0);
    Float Silu 600 |x, S| x.chain(x.sigmoid::<S>());
    Number Same |x, S| x;
    Number Square |x, S| x.mul(x);
    Float Cube |x, S| x.cube::<S>();
    Float Root 500 |x, S| x.root();
    Float Reciprocal 300 |x, S| T::ONE.div(x);
}

/// Functions that leave some arguments to the standard library.
macro_rules! guarded_maps {
    ($($name:ident $fast:ident $slow:ident;)*) => {$(
        pub(super) struct $name;
        impl<T: Float> Map<T> for $name {
            const COST: usize = 800;
            const GUARDED: bool = true;
            #[inline(always)]
            fn apply<S: Simd>(x: T) -> T { x.$fast::<S>() }
            #[inline(always)]
            fn is_special(x: T) -> bool { x.is_large() }
            fn apply_special(x: T) -> T { x.$slow() }
        }
    )*};
}

guarded_maps! {
    Sin sin standard_sin;
    Cos cos standard_cos;
}

macro_rules! zips {
    ($($name:ident $method:ident $($cost:literal)?;)*) => {$(
        pub(super) struct $name;
        impl<T: Number> Zip<T, T> for $name {
            $(const COST: usize = $cost;)?
            #[inline(always)]
            fn apply<S: Simd>(a: T, b: T) -> T { a.$method(b) }
        }
    )*};
}

zips! {
    Add add;
    Subtract sub;
    Multiply mul;
    Divide div 300;
    Power pow 8000;
    Maximum maximum;
    Minimum minimum;
    Chain chain;
}

/// See [`super::Binary::ReluGradient`].
pub(super) struct ReluGradient;
impl<T: Number> Zip<T, T> for ReluGradient {
    #[inline(always)]
    fn apply<S: Simd>(a: T, b: T) -> T {
        if b > T::ZERO { a } else { T::ZERO }
    }
}

/// See [`super::Binary::LeakyRelu`].
pub(super) struct LeakyRelu;
impl<T: Number> Zip<T, T> for LeakyRelu {
    #[inline(always)]
    fn apply<S: Simd>(a: T, b: T) -> T {
        if a <= T::ZERO { a.mul(b) } else { a }
    }
}

/// Name, cost, and the derivative at `x` (or where the function's value is `x`).
macro_rules! slopes {
    ($($name:ident $cost:literal |$x:ident, $S:ident| $body:expr;)*) => {$(
        pub(super) struct $name;
        impl<T: Float> Zip<T, T> for $name {
            const COST: usize = $cost;
            #[inline(always)]
            fn apply<$S: Simd>(g: T, $x: T) -> T { g.chain($body) }
        }
    )*};
}

slopes! {
    TanhSlope 200 |y, S| T::ONE.sub(y.mul(y));
    SigmoidSlope 200 |y, S| y.mul(T::ONE.sub(y));
    GeluSlope 1000 |x, S| {
        let (share, density) = x.normal::<S>();
        share.add(x.chain(density))
    };
    SiluSlope 700 |x, S| {
        let share = x.sigmoid::<S>();
        share.add(x.chain(share.mul(T::ONE.sub(share))))
    };
}

macro_rules! compares {
    ($($name:ident $operator:tt;)*) => {$(
        pub(super) struct $name;
        impl<T: Element> Zip<T, Bool> for $name {
            #[inline(always)]
            fn apply<S: Simd>(a: T, b: T) -> Bool { Bool(u8::from(a $operator b)) }
        }
    )*};
}

compares! {
    Equal ==;
    NotEqual !=;
    Less <;
    LessEqual <=;
    Greater >;
    GreaterEqual >=;
}
