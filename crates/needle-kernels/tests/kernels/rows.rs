//! Kernels along an axis: normalisation, variance, slices by number, and the linear layer.

use crate::support::{Random, each_isa};
use needle_kernels::Array;
use needle_kernels::dtype::DType;
use needle_kernels::kernels::elementwise;
use needle_kernels::kernels::gather::{take, take_gradient, whole_numbers};
use needle_kernels::kernels::matmul::{linear, matmul};
use needle_kernels::kernels::normalise::{
    layer_norm, layer_norm_gradient, rms_norm, rms_norm_gradient,
};
use needle_kernels::kernels::variance::variance;

/// The runs of elements along an axis: for each, the places of its elements in row-major order.
fn runs(shape: &[usize], axis: usize) -> Vec<Vec<usize>> {
    let inner: usize = shape[axis + 1..].iter().product();
    let outer: usize = shape[..axis].iter().product();
    let n = shape[axis];
    (0..outer * inner)
        .map(|run| {
            let start = run / inner * n * inner + run % inner;
            (0..n).map(|i| start + i * inner).collect()
        })
        .collect()
}

fn moments(x: &[f64]) -> (f64, f64) {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    (mean, x.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>())
}

fn shape_with_elements(random: &mut Random, axis: usize) -> Vec<usize> {
    let mut shape = random.shape(4);
    while shape.len() <= axis || shape[axis] == 0 {
        shape = random.shape(4);
    }
    shape
}

#[test]
fn normalisation_along_any_axis_matches_the_reference() {
    each_isa(60, |random| {
        let axis = random.below(3);
        let shape = shape_with_elements(random, axis);
        for (dtype, tolerance) in [(DType::F32, 2e-3), (DType::F64, 1e-11)] {
            let x = random.array(dtype, &shape, false);
            let g = random.array(dtype, &shape, false);
            let (eps, values, adjoints) = (1e-2, x.to_f64_vec(), g.to_f64_vec());
            for centred in [true, false] {
                let (y, back) = if centred {
                    let back = layer_norm_gradient(&g, &x, axis, eps).unwrap();
                    (layer_norm(&x, axis, eps).unwrap(), back)
                } else {
                    let back = rms_norm_gradient(&g, &x, axis, eps).unwrap();
                    (rms_norm(&x, axis, eps).unwrap(), back)
                };
                let (y, back) = (y.to_f64_vec(), back.to_f64_vec());
                for run in runs(&shape, axis) {
                    let of = |v: &[f64]| run.iter().map(|&i| v[i]).collect::<Vec<_>>();
                    let (own, g) = (of(&values), of(&adjoints));
                    let n = own.len() as f64;
                    let (mean, level, squares) = if centred {
                        let (mean, squares) = moments(&own);
                        (mean, g.iter().sum::<f64>() / n, squares)
                    } else {
                        (0.0, 0.0, own.iter().map(|v| v * v).sum::<f64>())
                    };
                    let r = 1.0 / (squares / n + eps).sqrt();
                    let normal: Vec<f64> = own.iter().map(|v| (v - mean) * r).collect();
                    let share = g.iter().zip(&normal).map(|(g, y)| g * y).sum::<f64>() / n;
                    let size = 1.0 + g.iter().map(|g| (g * r).abs()).fold(0.0, f64::max);
                    for (k, &i) in run.iter().enumerate() {
                        let expected = r * (g[k] - level - normal[k] * share);
                        let what = format!("{shape:?} {axis} {centred}");
                        assert!((y[i] - normal[k]).abs() <= tolerance, "{what}");
                        assert!((back[i] - expected).abs() <= tolerance * size, "{what}");
                    }
                }
            }
        }
    });
}

#[test]
fn variance_of_long_and_short_runs_matches_the_reference() {
    each_isa(2, |random| {
        for (shape, axes) in [
            (vec![3, 5], vec![0, 1]),
            (vec![3, 5], vec![1]),
            (vec![3, 5], vec![0]),
            (vec![2, 3, 4], vec![1, 2]),
            (vec![2, 3, 4], vec![]),
            (vec![70_000], vec![0]),
            (vec![3, 40_001], vec![1]),
        ] {
            let x = random.array(DType::F64, &shape, false);
            let rows: usize = shape
                .iter()
                .enumerate()
                .filter(|(i, _)| !axes.contains(i))
                .map(|(_, n)| n)
                .product();
            let n = x.size() / rows;
            let divisor = n as f64 - 0.5;
            let out = variance(&x, &axes, false, divisor).unwrap().to_f64_vec();
            let all = x.to_f64_vec();
            let places = match axes.as_slice() {
                [0] if shape.len() > 1 => runs(&shape, 0),
                _ => (0..rows)
                    .map(|row| (row * n..(row + 1) * n).collect())
                    .collect(),
            };
            assert_eq!(out.len(), places.len());
            for (value, run) in out.iter().zip(places) {
                let own: Vec<f64> = run.iter().map(|&i| all[i]).collect();
                let expected = moments(&own).1 / divisor;
                assert!(
                    (value - expected).abs() <= 1e-13 * expected.max(1e-10),
                    "{shape:?} {axes:?}"
                );
            }
        }
    });
}

/// Far from 0 the sum of the squares would lose every digit, and so would distances from a mean
/// that is rounded: at 2e6 the next float32 is 0.25 away.
#[test]
fn variance_far_from_zero_keeps_its_digits() {
    each_isa(1, |_| {
        let x: Vec<f32> = (0..99_000)
            .map(|i| 2e6 + (i * 7 % 17) as f32 / 4.0)
            .collect();
        for (shape, axis) in [
            ([1, 99_000], 1),
            ([99_000, 1], 0),
            ([90, 1100], 1),
            ([90, 1100], 0),
        ] {
            let x = Array::from_slice(&x, &shape).unwrap();
            let n = shape[axis] as f64;
            let found = variance(&x, &[axis], false, n).unwrap().to_f64_vec();
            let all = x.to_f64_vec();
            for (value, run) in found.iter().zip(runs(&shape, axis)) {
                let own: Vec<f64> = run.iter().map(|&i| all[i]).collect();
                let expected = moments(&own).1 / n;
                assert!(
                    (value - expected).abs() <= 1e-5 * expected,
                    "{shape:?} {axis}: {value}, expected {expected}"
                );
            }
        }
    });
}

#[test]
fn a_variance_beyond_the_largest_number_is_infinite() {
    let x = Array::from_slice(&[3e38_f32, 1.0, -3e38, 1.0], &[2, 2]).unwrap();
    for axis in [0, 1] {
        let values = variance(&x, &[axis], false, 2.0).unwrap().to_f64_vec();
        assert!(values.contains(&f64::INFINITY), "{axis}: {values:?}");
        assert!(!values.iter().any(|v| v.is_nan()), "{axis}: {values:?}");
    }
}

#[test]
fn slices_by_number_and_back() {
    each_isa(60, |random| {
        let axis = random.below(3);
        let shape = shape_with_elements(random, axis);
        let (n, count) = (shape[axis], random.below(7));
        let places: Vec<usize> = (0..count).map(|_| random.below(n)).collect();
        let numbers: Vec<i64> = places
            .iter()
            .map(|&p| p as i64 - if random.chance(30) { n as i64 } else { 0 })
            .collect();
        let indices = Array::from_slice(&numbers, &[count]).unwrap();
        let x = random.array(DType::F64, &shape, false);
        let mut taken = shape.clone();
        taken[axis] = count;
        let y = take(&x, &indices, axis, &taken).unwrap();
        let (all, out) = (x.to_f64_vec(), y.to_f64_vec());
        let back = take_gradient(&y, &indices, axis, &shape)
            .unwrap()
            .to_f64_vec();
        for (to, from) in runs(&taken, axis).iter().zip(runs(&shape, axis)) {
            for (k, &place) in places.iter().enumerate() {
                assert!(out[to[k]].to_bits() == all[from[place]].to_bits());
                let times = places.iter().filter(|&&p| p == place).count() as f64;
                let expected = times * all[from[place]];
                assert!((back[from[place]] - expected).abs() <= 1e-12 * expected.abs());
            }
            let untouched = (0..n).filter(|place| !places.contains(place));
            assert!(untouched.into_iter().all(|place| back[from[place]] == 0.0));
        }
    });
}

#[test]
fn numbers_of_slices_are_whole_and_within_bounds() {
    let halves = Array::from_slice(&[1.0f32, 0.5], &[2]).unwrap();
    assert_eq!(
        whole_numbers("take", "index", &halves)
            .err()
            .unwrap()
            .to_string(),
        "take: expected whole numbers, got index 0.5 at position 1"
    );
    let nan = Array::from_slice(&[f64::NAN], &[1]).unwrap();
    assert!(whole_numbers("take", "index", &nan).is_err());
    let x = Array::from_slice(&[0.0f32; 3], &[3]).unwrap();
    // Far beyond int64, where a cast would give -1.
    let huge = Array::from_slice(&[u64::MAX], &[1]).unwrap();
    let huge = whole_numbers("take", "index", &huge).unwrap();
    assert!(take(&x, &huge, 0, &[1]).is_err());
    for wrong in [3i64, -4] {
        let index = Array::from_slice(&[wrong], &[1]).unwrap();
        assert_eq!(
            take(&x, &index, 0, &[1]).err().unwrap().to_string(),
            format!("take: index {wrong} is out of bounds for an axis of 3 elements")
        );
    }
}

/// As many slices as this would take hours, did anybody look at each.
#[test]
fn slices_without_elements_cost_nothing() {
    let x = Array::empty(DType::F32, &[1 << 40, 2, 0]).unwrap();
    let indices = Array::from_slice(&[1i64, 0, 1], &[3]).unwrap();
    let taken = take(&x, &indices, 1, &[1 << 40, 3, 0]).unwrap();
    let back = take_gradient(&taken, &indices, 1, &[1 << 40, 2, 0]).unwrap();
    assert_eq!(back.shape(), x.shape());
}

#[test]
fn a_linear_layer_has_the_bits_of_product_and_sum() {
    each_isa(30, |random| {
        for dtype in [DType::F32, DType::F64, DType::I32] {
            let (m, k, n) = (random.below(70), random.below(40), 1 + random.below(70));
            let a = random.array(dtype, &[m, k], false);
            let b = random.array(dtype, &[k, n], false);
            let bias = random.array(dtype, &[1, n], false);
            let expected = elementwise::ADD
                .of(&matmul(&a, &b).unwrap(), &bias)
                .unwrap();
            let out = linear(&a, &b, &bias).unwrap();
            assert!(out.shape() == [m, n] && out.to_f64_vec() == expected.to_f64_vec());
        }
    });
}
