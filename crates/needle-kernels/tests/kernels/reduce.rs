//! Sums, maxima and minima over any axes.

use crate::support::{Random, Value, each_isa, values};
use needle_kernels::dtype::DType;
use needle_kernels::kernels::reduce::{Reduce, reduce};
use needle_kernels::{Array, shape};

/// Groups of the elements that meet in one result, in the order of the results.
fn groups(x: &Array, axes: &[usize]) -> Vec<Vec<Value>> {
    let kept: Vec<usize> = (0..x.ndim()).filter(|a| !axes.contains(a)).collect();
    let order: Vec<usize> = kept.iter().chain(axes).copied().collect();
    let length: usize = axes.iter().map(|&a| x.shape()[a]).product();
    let count: usize = kept.iter().map(|&a| x.shape()[a]).product();
    let all = values(&x.permute(&order));
    (0..count)
        .map(|i| all[i * length..(i + 1) * length].to_vec())
        .collect()
}

fn axes(random: &mut Random, ndim: usize) -> Vec<usize> {
    (0..ndim).filter(|_| random.chance(50)).collect()
}

fn check(x: &Array, axes: &[usize]) {
    for keepdims in [false, true] {
        let y = reduce(Reduce::Sum, x, axes, keepdims).unwrap();
        let expected = shape::reduced(x.shape(), axes, keepdims);
        assert!(y.is_contiguous() && y.shape() == expected.as_slice() && y.dtype() == x.dtype());
    }
    let groups = groups(x, axes);
    for op in [Reduce::Sum, Reduce::Max, Reduce::Min] {
        if x.dtype() == DType::Bool && op == Reduce::Sum {
            continue;
        }
        if op != Reduce::Sum && x.size() == 0 {
            continue;
        }
        let y = values(&reduce(op, x, axes, false).unwrap());
        assert_eq!(y.len(), groups.len());
        for (y, group) in y.into_iter().zip(&groups) {
            let reals = || group.iter().map(|v| v.real());
            let nan = reals().any(f64::is_nan);
            let (expected, scale) = match op {
                Reduce::Sum if x.dtype().is_float() => (
                    Value::Real(reals().sum()),
                    reals().map(f64::abs).sum::<f64>(),
                ),
                Reduce::Sum => (Value::Int(group.iter().map(|v| v.int()).sum()), 0.0),
                _ if nan => (Value::Real(f64::NAN), 0.0),
                Reduce::Max => (*group.iter().max_by(|a, b| order(**a, **b)).unwrap(), 0.0),
                Reduce::Min => (*group.iter().min_by(|a, b| order(**a, **b)).unwrap(), 0.0),
            };
            let expected = expected.round(x.dtype());
            let unit = if x.dtype() == DType::F32 {
                1.2e-7
            } else {
                2.3e-16
            };
            let near = (y.real() - expected.real()).abs() <= scale * unit * 8.0;
            assert!(
                y.same(expected) || near,
                "{op:?} {} {:?} over {axes:?}: {y:?}, not {expected:?}",
                x.dtype(),
                x.shape()
            );
        }
    }
}

fn order(a: Value, b: Value) -> std::cmp::Ordering {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => a.cmp(&b),
        _ => a.real().total_cmp(&b.real()),
    }
}

#[test]
fn reductions_match_the_reference() {
    each_isa(200, |random| {
        for &dtype in DType::ALL {
            let shape = random.shape(4);
            let wild = random.chance(30);
            let x = random.array(dtype, &shape, wild);
            let axes = axes(random, shape.len());
            check(&x, &axes);
        }
    });
}

#[test]
fn large_reductions_match_the_reference() {
    each_isa(2, |random| {
        for shape in [[3, 5000], [5000, 3], [130, 1100], [1, 70_001], [1100, 70]] {
            for dtype in [DType::F32, DType::F64, DType::I32, DType::U8] {
                let x = random.array(dtype, &shape, false);
                for axes in [&[0][..], &[1], &[0, 1]] {
                    check(&x, axes);
                }
                let cube = random.array(dtype, &[7, shape[0] / 2 + 1, 33], false);
                for axes in [&[1][..], &[0, 2], &[0, 1], &[1, 2], &[0], &[2]] {
                    check(&cube, axes);
                }
            }
        }
    });
}

#[test]
fn nan_is_found_wherever_it_stands() {
    each_isa(1, |_| {
        for n in [1, 2, 7, 8, 9, 63, 64, 127, 128, 129, 300, 1024, 1025, 3000] {
            for at in (0..n).step_by(1 + n / 40) {
                let mut values = vec![1.0f32; n];
                values[at] = f32::NAN;
                let x = Array::from_slice(&values, &[n]).unwrap();
                for op in [Reduce::Max, Reduce::Min] {
                    assert!(reduce(op, &x, &[0], false).unwrap().to_vec::<f32>()[0].is_nan());
                    let column = reduce(op, &x.broadcast_to(&[3, n]), &[0], false).unwrap();
                    assert!(column.to_vec::<f32>()[at].is_nan());
                }
            }
        }
    });
}

#[test]
fn long_sums_stay_accurate() {
    // 0.1 summed 2^22 times: a running sum in float32 is off by percents.
    each_isa(1, |_| {
        let n = 1 << 22;
        let x = Array::from_slice(&vec![0.1f32; n], &[n]).unwrap();
        let exact = f64::from(0.1f32) * n as f64;
        for (x, axes) in [
            (x.clone(), &[0][..]),
            (x.reshape_view(&[2048, 2048]).unwrap(), &[0, 1]),
            (
                x.reshape_view(&[n / 2, 2]).unwrap().permute(&[1, 0]),
                &[0, 1],
            ),
        ] {
            let sum = reduce(Reduce::Sum, &x, axes, false)
                .unwrap()
                .to_vec::<f32>()[0];
            assert!(
                (f64::from(sum) / exact - 1.0).abs() < 1e-6,
                "{sum} is not {exact}"
            );
        }
    });
}
