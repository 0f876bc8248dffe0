//! The same bits at any number of threads, but for those of NaN.

use crate::support::each_isa;
use needle_kernels::dtype::{DType, Scalar};
use needle_kernels::kernels::cast::cast;
use needle_kernels::kernels::elementwise::{ADD, CHAIN, RELU, select};
use needle_kernels::kernels::math::{EXP, POWER, SIN, SQRT, TANH};
use needle_kernels::kernels::matmul::matmul;
use needle_kernels::kernels::reduce::{Reduce, reduce};
use needle_kernels::kernels::{copy, softmax, threads};
use needle_kernels::{Array, Result};
use std::hash::{DefaultHasher, Hasher};

/// Numbers of all magnitudes, so that sums in another order have other bits.
fn numbers(shape: &[usize], dtype: DType) -> Array {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let values: Vec<f64> = (0..shape.iter().product())
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let unit = (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5;
            unit * f64::from(1 << (state % 12))
        })
        .collect();
    cast(&Array::from_slice(&values, shape).unwrap(), dtype).unwrap()
}

fn hash(array: &Array) -> u64 {
    let mut hasher = DefaultHasher::new();
    for value in array.to_f64_vec() {
        // Sign and payload of a NaN are those of one operand or the other: IEEE leaves it open,
        // and the compiler may swap them.
        hasher.write_u64(if value.is_nan() { 1 } else { value.to_bits() });
    }
    hasher.finish()
}

/// The same numbers, now and then NaN of either sign, infinite or a zero of either sign.
fn spoilt(array: &Array) -> Array {
    let special = [
        f64::NAN,
        -f64::NAN,
        f64::INFINITY,
        -f64::INFINITY,
        0.0,
        -0.0,
    ];
    let mut values = array.to_f64_vec();
    for (i, value) in values.iter_mut().enumerate().filter(|(i, _)| i % 211 == 0) {
        *value = special[i / 211 % special.len()];
    }
    cast(
        &Array::from_slice(&values, array.shape()).unwrap(),
        array.dtype(),
    )
    .unwrap()
}

/// Runs a kernel on 1, 2, 4 and 8 threads, twice each.
fn check(what: &str, run: impl Fn() -> Result<Array>) {
    threads::set_num_threads(1);
    let expected = hash(&run().unwrap());
    for n in [2, 4, 8, 2, 4, 8] {
        threads::set_num_threads(n);
        assert_eq!(hash(&run().unwrap()), expected, "{what} on {n} threads");
    }
}

#[test]
fn products() {
    each_isa(1, |_| {
        for dtype in [DType::F32, DType::F64] {
            for (m, k, n) in [
                (100, 784, 100),
                (100, 784, 10),
                (10, 784, 100),
                (257, 1030, 61),
                (1000, 3, 1000),
                (64, 4096, 8),
                (9, 9000, 33),
                (900, 1001, 1),
                (1, 1001, 900),
                (100, 300, 1100),
                (530, 100, 530),
            ] {
                let (a, b) = (numbers(&[m, k], dtype), numbers(&[k, n], dtype));
                let what = format!("{dtype} ({m}, {k}) @ ({k}, {n})");
                check(&what, || matmul(&a, &b));
                let (wild_a, wild_b) = (spoilt(&a), spoilt(&b));
                check(&format!("{what} with NaN"), || matmul(&wild_a, &wild_b));
                let (a, b) = (a.permute(&[1, 0]), b.permute(&[1, 0]));
                check(&what, || matmul(&b, &a));
                let across = copy::contiguous(&a).unwrap().permute(&[1, 0]);
                check(&what, || matmul(&across, &b.permute(&[1, 0])));
            }
            let (a, b) = (numbers(&[7, 60, 128], dtype), numbers(&[7, 128, 90], dtype));
            check("batched", || matmul(&a, &b));
        }
    });
}

#[test]
fn elementwise_kernels_and_copies() {
    each_isa(1, |_| {
        let x = numbers(&[301, 1003], DType::F32);
        let (row, column) = (numbers(&[1003], DType::F32), numbers(&[301, 1], DType::F32));
        for op in [&EXP, &TANH, &SIN, &SQRT, &RELU] {
            check("unary", || op.of(&x));
            check("unary of a transpose", || op.of(&x.permute(&[1, 0])));
        }
        for op in [&ADD, &POWER, &CHAIN] {
            check("binary", || op.of(&x, &x));
            check("row", || op.of(&x, &row));
            check("column", || op.of(&column, &x));
        }
        let yes = cast(&x, DType::Bool).unwrap();
        check("select", || select(&yes, &x, &column));
        check("cast", || cast(&x.permute(&[1, 0]), DType::I32));
        check("copy", || copy::contiguous(&x.permute(&[1, 0])));
        check("full", || {
            copy::full(DType::F64, &[300, 1003], Scalar::Float(0.3))
        });
    });
}

#[test]
fn reductions_and_softmax() {
    each_isa(1, |_| {
        for shape in [
            &[1_000_003][..],
            &[1 << 20],
            &[2000, 701],
            &[701, 2000],
            &[5, 300, 700],
            &[40_000, 17],
            &[30, 40, 501],
            &[200_000, 5],
        ] {
            let x = numbers(shape, DType::F32);
            for axis in 0..x.ndim() {
                let what = format!("{shape:?} over {axis}");
                check(&what, || reduce(Reduce::Sum, &x, &[axis], false));
                check(&what, || reduce(Reduce::Max, &x, &[axis], false));
                check(&what, || softmax::softmax(&x, axis));
                check(&what, || softmax::log_softmax(&x, axis));
                check(&what, || softmax::logsumexp(&x, &[axis], false));
            }
            let all: Vec<usize> = (0..x.ndim()).collect();
            let wild = spoilt(&x);
            for kind in [Reduce::Sum, Reduce::Max, Reduce::Min] {
                check(&format!("{shape:?}"), || reduce(kind, &x, &all, false));
                check(&format!("{shape:?} with NaN"), || {
                    reduce(kind, &wild, &[0], false)
                });
            }
        }
    });
}
