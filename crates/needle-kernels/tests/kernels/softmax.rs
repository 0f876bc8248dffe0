//! Softmax, log-softmax and log-sum-exp.

use crate::support::{each_isa, values};
use needle_kernels::dtype::DType;
use needle_kernels::kernels::elementwise;
use needle_kernels::kernels::entropy::{Target, cross_entropy, cross_entropy_gradient};
use needle_kernels::kernels::reduce::{Reduce, reduce};
use needle_kernels::kernels::softmax::{
    log_softmax, log_softmax_gradient, logsumexp, softmax, softmax_gradient,
};
use needle_kernels::{Array, shape};

/// Elements along the axes of each group.
fn groups(x: &Array, axes: &[usize]) -> Vec<Vec<f64>> {
    let kept: Vec<usize> = (0..x.ndim()).filter(|a| !axes.contains(a)).collect();
    let order: Vec<usize> = kept.iter().chain(axes).copied().collect();
    let length: usize = axes.iter().map(|&a| x.shape()[a]).product();
    let all: Vec<f64> = values(&x.permute(&order))
        .iter()
        .map(|v| v.real())
        .collect();
    let count: usize = kept.iter().map(|&a| x.shape()[a]).product();
    (0..count)
        .map(|i| all[i * length..(i + 1) * length].to_vec())
        .collect()
}

fn reference(group: &[f64]) -> f64 {
    let max = group.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if group.iter().any(|v| v.is_nan()) {
        return f64::NAN;
    }
    if max.is_infinite() {
        return max;
    }
    max + group.iter().map(|v| (v - max).exp()).sum::<f64>().ln()
}

fn near(a: f64, b: f64, tolerance: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * (1.0 + b.abs())
}

#[test]
fn softmax_and_its_kin_match_the_reference() {
    each_isa(150, |random| {
        for dtype in [DType::F32, DType::F64] {
            let tolerance = if dtype == DType::F32 { 2e-6 } else { 4e-15 };
            let shape = random.shape(4);
            let wild = random.chance(40);
            let x = random.array(dtype, &shape, wild);
            let axes: Vec<usize> = (0..shape.len()).filter(|_| random.chance(50)).collect();
            let y = logsumexp(&x, &axes, true).unwrap();
            assert_eq!(y.shape(), shape::reduced(&shape, &axes, true).as_slice());
            for (y, group) in values(&y).iter().zip(groups(&x, &axes)) {
                let expected = reference(&group);
                assert!(
                    near(y.real(), expected, tolerance),
                    "{y:?}, not {expected} of {group:?}"
                );
            }
            for axis in 0..shape.len() {
                let (soft, log) = (softmax(&x, axis).unwrap(), log_softmax(&x, axis).unwrap());
                assert!(soft.is_contiguous() && log.is_contiguous() && soft.shape() == shape);
                let inputs = groups(&x, &[axis]);
                for ((x, s), l) in inputs
                    .iter()
                    .zip(groups(&soft, &[axis]))
                    .zip(groups(&log, &[axis]))
                {
                    // One +inf makes the whole group NaN: its own share is inf / inf.
                    let total = reference(x);
                    let total = if total == f64::INFINITY {
                        f64::NAN
                    } else {
                        total
                    };
                    // The reference loses what the shift by the maximum keeps.
                    for i in 0..x.len() {
                        assert!(
                            near(l[i], x[i] - total, tolerance * (1.0 + total.abs())),
                            "{} of {x:?}",
                            l[i]
                        );
                        assert!(
                            near(s[i], (x[i] - total).exp(), tolerance * 40.0),
                            "{} of {x:?}",
                            s[i]
                        );
                    }
                }
            }
        }
    });
}

#[test]
fn infinities_and_large_numbers() {
    let inf = f64::INFINITY;
    let x = [-inf, -inf, inf, 1.0, inf, -inf, 1e308, 1e308, f64::NAN, inf];
    let x = Array::from_slice(&x, &[5, 2]).unwrap();
    let y = logsumexp(&x, &[1], false).unwrap().to_vec::<f64>();
    assert_eq!(&y[..4], [-inf, inf, inf, 1e308]);
    assert!(y[4].is_nan());
    let none = Array::from_slice::<f64>(&[], &[2, 0]).unwrap();
    assert_eq!(
        logsumexp(&none, &[1], false).unwrap().to_vec::<f64>(),
        [-inf, -inf]
    );
}

#[test]
fn adjoints_match_the_reference() {
    each_isa(20, |random| {
        for dtype in [DType::F32, DType::F64] {
            let shape = [
                1 + random.below(5),
                1 + random.below(70),
                1 + random.below(9),
            ];
            let x = random.array(dtype, &shape, false);
            let g = random.array(dtype, &shape, false);
            for axis in 0..3 {
                let tolerance = if dtype == DType::F32 { 1e-4 } else { 1e-12 };
                let y = softmax(&x, axis).unwrap();
                let sum = |v: &Array| reduce(Reduce::Sum, v, &[axis], true).unwrap();
                let gy = elementwise::MULTIPLY.of(&g, &y).unwrap();
                let rest = elementwise::SUBTRACT.of(&g, &sum(&gy)).unwrap();
                let expected = elementwise::MULTIPLY.of(&y, &rest).unwrap();
                let got = softmax_gradient(&g, &y, axis).unwrap();
                for (a, b) in got.to_f64_vec().iter().zip(expected.to_f64_vec()) {
                    assert!(near(*a, b, tolerance), "{shape:?} {axis}: {a}, not {b}");
                }
                let log = log_softmax(&x, axis).unwrap();
                let share = elementwise::MULTIPLY.of(&y, &sum(&g)).unwrap();
                let expected = elementwise::SUBTRACT.of(&g, &share).unwrap();
                let got = log_softmax_gradient(&g, &log, axis).unwrap();
                for (a, b) in got.to_f64_vec().iter().zip(expected.to_f64_vec()) {
                    assert!(near(*a, b, tolerance), "{shape:?} {axis}: {a}, not {b}");
                }
            }
        }
    });
}

#[test]
fn cross_entropy_of_long_rows_is_as_accurate_as_a_pairwise_sum() {
    each_isa(1, |random| {
        let n = 50_000;
        let x = random.array(DType::F32, &[2, n], false);
        let share = Array::from_slice(&vec![1.0 / n as f32; 2 * n], &[2, n]).unwrap();
        let loss = cross_entropy(&x, Target::Shares(&share))
            .unwrap()
            .to_f64_vec()[0];
        let values = x.to_f64_vec();
        let t = f64::from(1.0 / n as f32);
        let rows = values.chunks(n).map(|row| {
            let log_sum = row.iter().map(|v| v.exp()).sum::<f64>().ln();
            t * row.iter().map(|v| log_sum - v).sum::<f64>()
        });
        let expected = rows.sum::<f64>() / 2.0;
        assert!(
            (loss - expected).abs() <= 1e-6 * expected,
            "{loss}, not {expected}"
        );
    });
}

#[test]
fn labels_are_rows_of_zeros_with_a_one() {
    each_isa(20, |random| {
        let (rows, n) = (1 + random.below(30), 1 + random.below(40));
        let labels: Vec<i64> = (0..rows).map(|_| random.below(n) as i64).collect();
        let mut hot = vec![0.0f64; rows * n];
        for (row, &label) in labels.iter().enumerate() {
            hot[row * n + label as usize] = 1.0;
        }
        let hot = Array::from_slice(&hot, &[rows, n]).unwrap();
        let labels = Array::from_slice(&labels, &[rows]).unwrap();
        let x = random.array(DType::F64, &[rows, n], false);
        let g = Array::from_slice(&[0.7f64], &[]).unwrap();
        let loss = |target| cross_entropy(&x, target).unwrap().to_f64_vec();
        let slopes = |target| cross_entropy_gradient(&g, &x, target).unwrap().to_f64_vec();
        let pairs = [
            (loss(Target::Labels(&labels)), loss(Target::Shares(&hot))),
            (
                slopes(Target::Labels(&labels)),
                slopes(Target::Shares(&hot)),
            ),
        ];
        for (a, b) in pairs.iter().flat_map(|(a, b)| a.iter().zip(b)) {
            assert!((a - b).abs() <= 1e-13, "{a}, not {b}");
        }
    });
}

#[test]
fn labels_that_are_no_class_are_refused() {
    let x = Array::from_slice(&[0.0f32; 6], &[2, 3]).unwrap();
    for wrong in [3, -1] {
        let labels = Array::from_slice(&[2i64, wrong], &[2]).unwrap();
        let error = cross_entropy(&x, Target::Labels(&labels)).err().unwrap();
        let text = format!("cross_entropy: expected labels from 0 to 2, got {wrong} at position 1");
        assert_eq!(error.to_string(), text);
    }
}
