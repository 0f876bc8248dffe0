//! Matrix products of vectors, matrices and batches.

use crate::support::{Random, Value, each_isa, values};
use needle_kernels::array::Index;
use needle_kernels::dtype::DType;
use needle_kernels::kernels::copy;
use needle_kernels::kernels::matmul::matmul;
use needle_kernels::{Array, shape};

/// The product by the definition, for operands of at least two dimensions.
fn reference(a: &Array, b: &Array, dtype: DType) -> (Vec<Value>, Vec<f64>) {
    let full = shape::matmul("test", a.shape(), b.shape()).unwrap();
    let batch = &full[..full.len() - 2];
    let (m, k) = (a.shape()[a.ndim() - 2], a.shape()[a.ndim() - 1]);
    let n = b.shape()[b.ndim() - 1];
    let a = values(&a.broadcast_to(&[batch, &[m, k]].concat()));
    let b = values(&b.broadcast_to(&[batch, &[k, n]].concat()));
    let (mut sums, mut scales) = (Vec::new(), Vec::new());
    for at in 0..batch.iter().product() {
        for i in 0..m {
            for j in 0..n {
                let terms = (0..k).map(|l| (a[(at * m + i) * k + l], b[(at * k + l) * n + j]));
                let (mut int, mut real, mut scale) = (0i128, 0.0, 0.0);
                for (a, b) in terms {
                    if dtype.is_float() {
                        real += a.real() * b.real();
                        scale += (a.real() * b.real()).abs();
                    } else {
                        int += a.int() * b.int();
                    }
                }
                let value = if dtype.is_float() {
                    Value::Real(real)
                } else {
                    Value::Int(int)
                };
                sums.push(value.round(dtype));
                scales.push(scale);
            }
        }
    }
    (sums, scales)
}

fn check(a: &Array, b: &Array) {
    let dtype = a.dtype();
    let c = matmul(a, b).unwrap();
    let full = shape::matmul("test", a.shape(), b.shape()).unwrap();
    assert!(c.is_contiguous() && c.shape() == full.as_slice() && c.dtype() == dtype);
    // Vectors as matrices of one row or column.
    let wide_a = if a.ndim() == 1 {
        a.broadcast_to(&[1, a.shape()[0]])
    } else {
        a.clone()
    };
    let wide_b = if b.ndim() == 1 {
        b.broadcast_to(&[1, b.shape()[0]]).permute(&[1, 0])
    } else {
        b.clone()
    };
    let (expected, scales) = reference(&wide_a, &wide_b, dtype);
    let got = values(&c);
    assert_eq!(got.len(), expected.len());
    let unit = if dtype == DType::F32 { 1.2e-7 } else { 2.3e-16 };
    let k = a.shape()[a.ndim() - 1];
    for ((got, expected), scale) in got.into_iter().zip(expected).zip(scales) {
        let near = (got.real() - expected.real()).abs() <= scale * unit * (8.0 + k as f64 / 4.0);
        assert!(
            got.same(expected) || near,
            "{dtype} {:?} @ {:?}: {got:?}, not {expected:?}",
            a.shape(),
            b.shape()
        );
    }
}

fn length(random: &mut Random) -> usize {
    match random.below(8) {
        0 => 0,
        1 => 1,
        2 | 3 => 10 + random.below(30),
        _ => 2 + random.below(7),
    }
}

#[test]
fn products_match_the_definition() {
    each_isa(100, |random| {
        for &dtype in DType::ALL {
            let (m, k, n) = (length(random), length(random), length(random));
            let batch: Vec<usize> = (0..random.below(3)).map(|_| random.below(4)).collect();
            let batch_a = random.narrower(&batch);
            let batch_b = random.narrower(&batch);
            let a = random.array(dtype, &[&batch_a[..], &[m, k]].concat(), false);
            let b = random.array(dtype, &[&batch_b[..], &[k, n]].concat(), false);
            check(&a, &b);
            let (u, v) = (
                random.array(dtype, &[k], false),
                random.array(dtype, &[k], false),
            );
            check(&u, &b);
            check(&a, &v);
            check(&u, &v);
        }
    });
}

#[test]
fn medium_products_match_the_definition() {
    each_isa(2, |random| {
        for [m, k, n] in [
            [100, 78, 100],
            [37, 211, 53],
            [1, 300, 40],
            [300, 3, 70],
            [64, 64, 1],
        ] {
            for dtype in [DType::F32, DType::F64, DType::I64] {
                for _ in 0..4 {
                    let a = random.array(dtype, &[m, k], false);
                    let b = random.array(dtype, &[k, n], false);
                    check(&a, &b);
                }
            }
        }
    });
}

/// What the gradient of a matrix times a vector is.
#[test]
fn a_transposed_matrix_times_a_vector() {
    each_isa(1, |random| {
        for [k, m] in [[300, 90], [1000, 30], [7, 1000], [50, 1], [0, 3], [513, 49]] {
            for dtype in [DType::F32, DType::F64, DType::I64] {
                let a = copy::contiguous(&random.array(dtype, &[k, m], false)).unwrap();
                for vector in [[k].as_slice(), &[k, 1]] {
                    check(&a.permute(&[1, 0]), &random.array(dtype, vector, false));
                }
            }
        }
    });
}

#[test]
fn nothing_to_add_gives_zeros_over_used_memory() {
    for n in [2, 40] {
        drop(Array::from_slice(&vec![f32::NAN; n * n], &[n, n]).unwrap());
        let a = Array::from_slice::<f32>(&[], &[n, 0]).unwrap();
        let b = Array::from_slice::<f32>(&[], &[0, n]).unwrap();
        assert_eq!(matmul(&a, &b).unwrap().to_vec::<f32>(), vec![0.0; n * n]);
        // Memory from the pool may hold NaN, which a gemm that scales it would keep.
        drop(Array::from_slice(&vec![f32::NAN; n * n], &[n, n]).unwrap());
        let one = Array::from_slice(&vec![1.0f32; n * n], &[n, n]).unwrap();
        assert_eq!(
            matmul(&one, &one).unwrap().to_vec::<f32>(),
            vec![n as f32; n * n]
        );
    }
}

#[test]
fn infinity_and_nan_pass_through() {
    for n in [3, 33] {
        let mut values = vec![0.0f64; n * n];
        values[0] = f64::INFINITY;
        let a = Array::from_slice(&values, &[n, n]).unwrap();
        let zero = Array::from_slice(&vec![0.0f64; n * n], &[n, n]).unwrap();
        let c = matmul(&a, &zero).unwrap().to_vec::<f64>();
        assert!(c[..n].iter().all(|v| v.is_nan()) && c[n..].iter().all(|v| *v == 0.0));
    }
}

/// Sizes on both sides of every block of the kernels: vectors, strips, depths, copies.
#[test]
fn medium_products() {
    each_isa(3, |random| {
        for (m, k, n) in [
            (50, 500, 70),
            (17, 193, 49),
            (100, 784, 10),
            (15, 192, 48),
            (29, 385, 33),
            (200, 7, 130),
            (90, 300, 1),
            (1, 300, 90),
            (3, 260, 100),
        ] {
            for dtype in [DType::F32, DType::F64] {
                let a = random.array(dtype, &[m, k], false);
                let b = random.array(dtype, &[k, n], false);
                check(&a, &b);
            }
        }
    });
}

/// Both sides as rows and as columns in memory, and with neither, at sizes that are packed,
/// split into panels of columns, or read where they are.
#[test]
fn every_order_in_memory() {
    each_isa(1, |random| {
        for (m, k, n) in [
            (33, 17, 35),
            (37, 211, 53),
            (20, 40, 1100),
            (270, 33, 600),
            (64, 600, 16),
            (5, 90, 70),
            (1, 400, 30),
            (40, 400, 1),
            (70, 3, 200),
        ] {
            for dtype in [DType::F32, DType::F64] {
                let sides = [[m, k], [k, n]].map(|[rows, columns]| {
                    let turned = &random.array(dtype, &[columns, rows], false);
                    let straight = copy::contiguous(&random.array(dtype, &[rows, columns], false));
                    let every_second = random.array(dtype, &[rows, columns, 2], false);
                    let half = every_second.permute(&[2, 0, 1]);
                    let half = half.index("test", &[Index::At(1)]).unwrap();
                    let turned = copy::contiguous(turned).unwrap().permute(&[1, 0]);
                    [straight.unwrap(), turned, half]
                });
                for a in &sides[0] {
                    for b in &sides[1] {
                        check(a, b);
                    }
                }
            }
        }
    });
}
