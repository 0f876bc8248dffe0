//! How functions go over arrays: conversions on the way, long rows, many short ones.

use crate::support::{each_isa, values};
use needle_kernels::dtype::{Bool, DType, Element, Scalar};
use needle_kernels::kernels::cast::cast;
use needle_kernels::kernels::copy::contiguous;
use needle_kernels::kernels::elementwise::{self, Function, Zip};
use needle_kernels::kernels::math;
use needle_kernels::{Array, shape};

const TWO: [Function; 6] = [
    Function::Zip(&elementwise::ADD),
    Function::Zip(&elementwise::MAXIMUM),
    Function::Zip(&elementwise::LESS),
    Function::Zip(&elementwise::EQUAL),
    Function::Zip(&math::POWER),
    // Its rows take no repeated operand.
    Function::Zip(&math::TANH_SLOPE),
];

fn same(a: &Array, b: &Array) {
    assert!(a.shape() == b.shape() && a.dtype() == b.dtype());
    assert!(values(a).into_iter().zip(values(b)).all(|(a, b)| a.same(b)));
}

#[test]
fn operands_of_other_dtypes_are_converted_as_a_cast_does_it() {
    each_isa(30, |random| {
        for function in TWO {
            let dtypes = DType::ALL;
            let (from_a, from_b) = (dtypes[random.below(11)], dtypes[random.below(11)]);
            let dtype = from_a.promote(from_b).to_float();
            let full = random.shape(3);
            let (own_a, own_b) = (random.narrower(&full), random.narrower(&full));
            let a = random.array(from_a, &own_a, false);
            let b = random.array(from_b, &own_b, false);
            let (wide_a, wide_b) = (cast(&a, dtype).unwrap(), cast(&b, dtype).unwrap());
            let expected = function.run(&[&wide_a, &wide_b], dtype).unwrap();
            same(&function.run(&[&a, &b], dtype).unwrap(), &expected);
        }
        let n = random.below(900);
        let x = random.array(DType::I16, &[n], true);
        let wide = cast(&x, DType::F64).unwrap();
        let root = Function::Map(&math::EXP);
        same(
            &root.run(&[&x], DType::F64).unwrap(),
            &root.run(&[&wide], DType::F64).unwrap(),
        );
        let half = Function::With(&elementwise::MULTIPLY, Scalar::Float(0.5));
        same(
            &half.run(&[&x], DType::F64).unwrap(),
            &half.run(&[&wide], DType::F64).unwrap(),
        );
    });
}

/// Rows that are shorter and longer than what is brought together at a time, in every dtype.
#[test]
fn the_layout_makes_no_difference() {
    each_isa(4, |random| {
        for &dtype in DType::ALL {
            let (rows, n) = (1 + random.below(40), 1 + random.below(1300));
            let x = random.array(dtype, &[rows, n], true);
            let y = random.array(dtype, &[n, rows], true).permute(&[1, 0]);
            let one = random.array(dtype, &[1, 1], true).broadcast_to(&[rows, n]);
            let column = random.array(dtype, &[rows, 1], true);
            let plain = |a: &Array| {
                let full = shape::broadcast("test", a.shape(), &[rows, n]).unwrap();
                contiguous(&a.broadcast_to(&full)).unwrap()
            };
            for function in &TWO[..4] {
                for (a, b) in [
                    (&x, &y),
                    (&one, &y),
                    (&x, &one),
                    (&one, &one),
                    (&column, &x),
                ] {
                    let expected = function.run(&[&plain(a), &plain(b)], dtype).unwrap();
                    same(&function.run(&[a, b], dtype).unwrap(), &expected);
                }
            }
            for function in [&elementwise::ABS, &elementwise::SIGN, &elementwise::RELU] {
                for x in [&x, &y, &one] {
                    same(&function.of(x).unwrap(), &function.of(&plain(x)).unwrap());
                }
            }
        }
    });
}

/// At the ends of every integer dtype, where 64 bits must not change what wraps and what is larger.
#[test]
fn integers_of_every_width_keep_their_range() {
    fn check<T: Element + Into<i128>>(wrap: fn(i128) -> T, least: T, most: T) {
        let numbers = [least, most, wrap(0), wrap(1), wrap(7), wrap(-1)];
        let a = Array::from_slice(&numbers, &[6, 1]).unwrap();
        let b = Array::from_slice(&numbers, &[6]).unwrap();
        let of = |f: &'static Zip| f.of(&a, &b).unwrap();
        let (sums, larger) = (of(&elementwise::ADD), of(&elementwise::MAXIMUM));
        let (products, less) = (of(&elementwise::CHAIN), of(&elementwise::LESS));
        let (sums, larger) = (sums.to_vec::<T>(), larger.to_vec::<T>());
        let (products, less) = (products.to_vec::<T>(), less.to_vec::<Bool>());
        for (i, x) in numbers.into_iter().enumerate() {
            for (j, y) in numbers.into_iter().enumerate() {
                let (at, x, y): (_, i128, i128) = (i * 6 + j, x.into(), y.into());
                assert_eq!(sums[at].into(), wrap(x.wrapping_add(y)).into());
                assert_eq!(larger[at].into(), x.max(y), "the larger of {x} and {y}");
                assert_eq!(products[at].into(), wrap(x.wrapping_mul(y)).into());
                assert_eq!(less[at].get(), x < y, "{x} < {y}");
            }
        }
        let magnitudes = elementwise::ABS.of(&b).unwrap().to_vec::<T>();
        for (x, y) in numbers.into_iter().zip(magnitudes) {
            assert_eq!(y.into(), wrap(x.into().wrapping_abs()).into());
        }
    }
    macro_rules! each {
        ($($T:ty)*) => {$( check::<$T>(|v| v as $T, <$T>::MIN, <$T>::MAX); )*};
    }
    each!(i8 i16 i32 i64 u8 u16 u32 u64);
}

#[test]
fn what_is_not_defined_is_an_error() {
    let x = Array::from_slice(&[1i32, 2], &[2]).unwrap();
    let text = |result: needle_kernels::error::Result<Array>| result.err().unwrap().to_string();
    assert!(text(math::EXP.of(&x)).contains("exp"));
    assert!(text(elementwise::DIVIDE.of(&x, &x)).contains("divide"));
    let yes = cast(&x, DType::Bool).unwrap();
    assert!(elementwise::SUBTRACT.of(&yes, &yes).is_err());
    assert!(elementwise::NEGATE.of(&yes).is_err());
}
