//! Unary, binary and comparison kernels, and selection.

use crate::support::{Random, Value, each_isa, values};
use needle_kernels::dtype::{DType, Kind, Scalar};
use needle_kernels::kernels::elementwise::{
    Binary, Compare, Unary, binary, binary_scalar, compare, compare_scalar, scalar_binary, select,
    unary,
};
use needle_kernels::{Array, shape};

const UNARY: [Unary; 11] = [
    Unary::Negate,
    Unary::Abs,
    Unary::Sign,
    Unary::Sqrt,
    Unary::Exp,
    Unary::Log,
    Unary::Tanh,
    Unary::Sigmoid,
    Unary::Sin,
    Unary::Cos,
    Unary::Relu,
];
const BINARY: [Binary; 9] = [
    Binary::Add,
    Binary::Subtract,
    Binary::Multiply,
    Binary::Divide,
    Binary::Power,
    Binary::Maximum,
    Binary::Minimum,
    Binary::Chain,
    Binary::ReluGradient,
];
const COMPARE: [Compare; 6] = [
    Compare::Equal,
    Compare::NotEqual,
    Compare::Less,
    Compare::LessEqual,
    Compare::Greater,
    Compare::GreaterEqual,
];

fn unary_reference(op: Unary, x: Value) -> Value {
    match x {
        Value::Int(v) => Value::Int(match op {
            Unary::Negate => -v,
            Unary::Abs => v.abs(),
            Unary::Sign => v.signum(),
            _ => v.max(0),
        }),
        Value::Real(v) => Value::Real(match op {
            Unary::Negate => -v,
            Unary::Abs => v.abs(),
            Unary::Sign if v == 0.0 || v.is_nan() => v,
            Unary::Sign => v.signum(),
            Unary::Sqrt => v.sqrt(),
            Unary::Exp => v.exp(),
            Unary::Log => v.ln(),
            Unary::Tanh => v.tanh(),
            Unary::Sigmoid => 1.0 / (1.0 + (-v).exp()),
            Unary::Sin => v.sin(),
            Unary::Cos => v.cos(),
            Unary::Relu if v <= 0.0 => 0.0,
            Unary::Relu => v,
        }),
    }
}

#[test]
fn unary_kernels_match_the_reference() {
    each_isa(60, |random| {
        for op in UNARY {
            let float_only = !matches!(op, Unary::Negate | Unary::Abs | Unary::Sign | Unary::Relu);
            for &dtype in DType::ALL {
                let shape = random.shape(4);
                let x = random.array(dtype, &shape, true);
                let result = unary(op, &x);
                if (float_only && !dtype.is_float())
                    || (op == Unary::Negate && dtype == DType::Bool)
                {
                    assert!(result.is_err());
                    continue;
                }
                let y = result.unwrap();
                assert!(y.is_contiguous() && y.shape() == x.shape() && y.dtype() == dtype);
                let tolerance = match (float_only, dtype) {
                    (false, _) => 0.0,
                    (_, DType::F32) => 2.5e-7,
                    _ => 8e-16,
                };
                for (x, y) in values(&x).into_iter().zip(values(&y)) {
                    let expected = unary_reference(op, x).round(dtype);
                    assert!(
                        y.near(expected, tolerance),
                        "{op:?} {dtype} {x:?}: {y:?}, not {expected:?}"
                    );
                }
            }
        }
    });
}

fn wrapping_pow(base: i128, exponent: i128, dtype: DType) -> Value {
    let mut result = Value::Int(1);
    for _ in 0..exponent {
        result = Value::Int(result.int() * base).round(dtype);
    }
    result
}

fn binary_reference(op: Binary, a: Value, b: Value, dtype: DType) -> Value {
    if let (Value::Int(a), Value::Int(b)) = (a, b) {
        return Value::Int(match op {
            Binary::Add => a + b,
            Binary::Subtract => a - b,
            Binary::Power => return wrapping_pow(a, b, dtype),
            Binary::Maximum => a.max(b),
            Binary::Minimum => a.min(b),
            Binary::ReluGradient => a * i128::from(b > 0),
            _ => a * b,
        })
        .round(dtype);
    }
    let (a, b) = (a.real(), b.real());
    let value = Value::Real(match op {
        Binary::Add => a + b,
        Binary::Subtract => a - b,
        Binary::Divide => a / b,
        Binary::Power => a.powf(b),
        Binary::Maximum | Binary::Minimum if a.is_nan() || b.is_nan() => f64::NAN,
        Binary::Maximum => a.max(b),
        Binary::Minimum => a.min(b),
        Binary::ReluGradient => {
            if b > 0.0 {
                a
            } else {
                0.0
            }
        }
        Binary::TanhGradient if a == 0.0 || b.abs() == 1.0 => 0.0,
        Binary::TanhGradient => a * (1.0 - b * b),
        Binary::Chain if a == 0.0 || b == 0.0 => 0.0,
        Binary::Multiply | Binary::Chain => a * b,
    });
    value.round(dtype)
}

fn allowed(op: Binary, dtype: DType) -> bool {
    match op {
        Binary::Divide | Binary::TanhGradient => dtype.is_float(),
        Binary::Subtract => dtype != DType::Bool,
        _ => true,
    }
}

/// Exponents of integers must not be negative.
fn exponents(op: Binary, random: &mut Random, dtype: DType, shape: &[usize]) -> Array {
    let b = random.array(dtype, shape, dtype.is_float());
    if op == Binary::Power && dtype.kind() == Kind::Signed {
        return unary(Unary::Abs, &b).unwrap();
    }
    b
}

#[test]
fn binary_kernels_match_the_reference() {
    each_isa(40, |random| {
        for op in BINARY {
            for &dtype in DType::ALL {
                let shape = random.shape(4);
                let (own_a, own_b) = (random.narrower(&shape), random.narrower(&shape));
                let a = random.array(dtype, &own_a, true);
                let b = exponents(op, random, dtype, &own_b);
                let result = binary(op, &a, &b);
                assert_eq!(result.is_ok(), allowed(op, dtype));
                let Ok(c) = result else { continue };
                let full = shape::broadcast("test", &own_a, &own_b).unwrap();
                assert!(c.is_contiguous() && c.shape() == full.as_slice() && c.dtype() == dtype);
                let tolerance = if op == Binary::Power { 2e-7 } else { 0.0 };
                let (a, b) = (
                    values(&a.broadcast_to(&full)),
                    values(&b.broadcast_to(&full)),
                );
                for ((a, b), c) in a.into_iter().zip(b).zip(values(&c)) {
                    let expected = binary_reference(op, a, b, dtype);
                    assert!(
                        c.near(expected, tolerance),
                        "{op:?} {dtype} {a:?} {b:?}: {c:?}, not {expected:?}"
                    );
                }
            }
        }
    });
}

#[test]
fn one_operand_may_be_a_number() {
    each_isa(40, |random| {
        for op in BINARY {
            for &dtype in DType::ALL.iter().filter(|&&d| allowed(op, d)) {
                let shape = random.shape(3);
                let x = exponents(op, random, dtype, &shape);
                let (scalar, value) = match dtype.kind() {
                    Kind::Bool => (Scalar::Bool(true), Value::Int(1)),
                    Kind::Float => {
                        let v = [2.0, 3.0, 0.5, -1.0, 0.0, 1.0, -0.5, 1.75][random.below(8)];
                        (Scalar::Float(v), Value::Real(v))
                    }
                    _ => {
                        let v = random.below(7) as i64;
                        (Scalar::Int(v), Value::Int(i128::from(v)))
                    }
                };
                let right = binary_scalar(op, &x, scalar).unwrap();
                let left = scalar_binary(op, scalar, &x).unwrap();
                assert!(right.is_contiguous() && right.shape() == x.shape());
                let tolerance = if op == Binary::Power { 2e-7 } else { 0.0 };
                for ((x, r), l) in values(&x)
                    .into_iter()
                    .zip(values(&right))
                    .zip(values(&left))
                {
                    let expected = binary_reference(op, x, value, dtype);
                    assert!(
                        r.near(expected, tolerance),
                        "{op:?} {dtype} {x:?} {value:?}: {r:?}"
                    );
                    let expected = binary_reference(op, value, x, dtype);
                    assert!(
                        l.near(expected, tolerance),
                        "{op:?} {dtype} {value:?} {x:?}: {l:?}"
                    );
                }
            }
        }
    });
}

#[test]
fn zero_beats_infinity_and_nan_in_the_chain_product() {
    let a = Array::from_slice(&[0.0f32, -0.0, f32::INFINITY, f32::NAN, 2.0], &[5]).unwrap();
    let b = Array::from_slice(&[f32::INFINITY, f32::NAN, -0.0, 0.0, 3.0], &[5]).unwrap();
    let c = binary(Binary::Chain, &a, &b).unwrap().to_vec::<f32>();
    assert_eq!(c, [0.0, 0.0, 0.0, 0.0, 6.0]);
    assert!(c.iter().all(|v| v.is_sign_positive()));
}

fn compare_reference(op: Compare, a: Value, b: Value) -> bool {
    let order = match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(&b)),
        _ => a.real().partial_cmp(&b.real()),
    };
    match op {
        Compare::Equal => order.is_some_and(std::cmp::Ordering::is_eq),
        Compare::NotEqual => !order.is_some_and(std::cmp::Ordering::is_eq),
        Compare::Less => order.is_some_and(std::cmp::Ordering::is_lt),
        Compare::LessEqual => order.is_some_and(std::cmp::Ordering::is_le),
        Compare::Greater => order.is_some_and(std::cmp::Ordering::is_gt),
        Compare::GreaterEqual => order.is_some_and(std::cmp::Ordering::is_ge),
    }
}

#[test]
fn comparisons_match_the_reference() {
    each_isa(40, |random| {
        for op in COMPARE {
            for &dtype in DType::ALL {
                let full = random.shape(4);
                let (own_a, own_b) = (random.narrower(&full), random.narrower(&full));
                let a = random.array(dtype, &own_a, true);
                let b = random.array(dtype, &own_b, true);
                let c = compare(op, &a, &b).unwrap();
                let full = shape::broadcast("test", &own_a, &own_b).unwrap();
                assert!(c.shape() == full.as_slice() && c.dtype() == DType::Bool);
                let (wide_a, wide_b) = (a.broadcast_to(&full), b.broadcast_to(&full));
                for ((a, b), c) in values(&wide_a)
                    .into_iter()
                    .zip(values(&wide_b))
                    .zip(values(&c))
                {
                    assert_eq!(
                        c.int() == 1,
                        compare_reference(op, a, b),
                        "{op:?} {dtype} {a:?} {b:?}"
                    );
                }
                let c = compare_scalar(op, &a, Scalar::Int(1)).unwrap();
                let one = if dtype.is_float() {
                    Value::Real(1.0)
                } else {
                    Value::Int(1)
                };
                for (a, c) in values(&a).into_iter().zip(values(&c)) {
                    assert_eq!(
                        c.int() == 1,
                        compare_reference(op, a, one),
                        "{op:?} {dtype} {a:?}"
                    );
                }
            }
        }
    });
}

#[test]
fn selection_takes_one_side_only() {
    each_isa(100, |random| {
        for &dtype in DType::ALL {
            let full = random.shape(4);
            let (own_c, own_a, own_b) = (
                random.narrower(&full),
                random.narrower(&full),
                random.narrower(&full),
            );
            let c = random.array(DType::Bool, &own_c, true);
            let a = random.array(dtype, &own_a, true);
            let b = random.array(dtype, &own_b, true);
            let full = shape::broadcast("test", &own_a, &own_b).unwrap();
            let full = shape::broadcast("test", &own_c, &full).unwrap();
            let out = select(&c, &a, &b).unwrap();
            assert!(out.shape() == full.as_slice() && out.dtype() == dtype);
            let (c, a) = (
                values(&c.broadcast_to(&full)),
                values(&a.broadcast_to(&full)),
            );
            let b = values(&b.broadcast_to(&full));
            for (i, out) in values(&out).into_iter().enumerate() {
                assert!(out.same(if c[i].int() == 1 { a[i] } else { b[i] }));
            }
        }
    });
}

#[test]
fn the_adjoint_behind_a_tanh_keeps_seven_digits_of_its_largest_factor() {
    each_isa(5, |random| {
        let g = random.array(DType::F32, &[30, 41], false);
        let y = unary(Unary::Tanh, &random.array(DType::F32, &[30, 41], false)).unwrap();
        let out = binary(Binary::TanhGradient, &g, &y).unwrap();
        let (g, y, out) = (g.to_f64_vec(), y.to_f64_vec(), out.to_f64_vec());
        for ((g, y), out) in g.iter().zip(&y).zip(&out) {
            let expected = g * (1.0 - y * y);
            assert!((out - expected).abs() <= 2e-7 * g.abs(), "{g} {y}: {out}");
        }
    });
}
