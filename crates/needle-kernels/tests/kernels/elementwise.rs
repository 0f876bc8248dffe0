//! Unary and binary kernels, and derivatives behind functions.

use crate::support::{Random, Value, each_isa, values};
use needle_kernels::dtype::{DType, Kind, Scalar};
use needle_kernels::kernels::elementwise::{
    Binary, Slope, Unary, binary, binary_scalar, scalar_binary, slope, unary,
};
use needle_kernels::{Array, shape};

const UNARY: [Unary; 15] = [
    Unary::Negate,
    Unary::Abs,
    Unary::Sign,
    Unary::Sqrt,
    Unary::Exp,
    Unary::Log,
    Unary::Tanh,
    Unary::Sigmoid,
    Unary::Softplus,
    Unary::Erf,
    Unary::Gelu,
    Unary::Silu,
    Unary::Sin,
    Unary::Cos,
    Unary::Relu,
];
const BINARY: [Binary; 10] = [
    Binary::Add,
    Binary::Subtract,
    Binary::Multiply,
    Binary::Divide,
    Binary::Power,
    Binary::Maximum,
    Binary::Minimum,
    Binary::Chain,
    Binary::ReluGradient,
    Binary::LeakyRelu,
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
            Unary::Softplus => {
                v.max(0.0)
                    + if v.is_nan() {
                        v
                    } else {
                        (-v.abs()).exp().ln_1p()
                    }
            }
            Unary::Erf => libm::erf(v),
            Unary::Gelu | Unary::Silu if v == f64::NEG_INFINITY => 0.0,
            Unary::Gelu => v * normal(v).0,
            Unary::Silu => v / (1.0 + (-v).exp()),
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
                let tolerance = match (op, dtype) {
                    _ if !float_only => 0.0,
                    // The square in the exponent of its tail costs digits.
                    (Unary::Gelu, DType::F32) => 2e-5,
                    (Unary::Gelu, _) => 1e-12,
                    (_, DType::F32) => 2.5e-7,
                    _ => 8e-16,
                };
                let least = match dtype {
                    DType::F32 => 1e-5 * f64::from(f32::MIN_POSITIVE),
                    _ => 1e-6 * f64::MIN_POSITIVE,
                };
                for (x, y) in values(&x).into_iter().zip(values(&y)) {
                    let expected = unary_reference(op, x).round(dtype);
                    // Numbers below the normal ones have fewer digits.
                    let tiny = float_only && (y.real() - expected.real()).abs() <= least;
                    assert!(
                        tiny || y.near(expected, tolerance),
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
            Binary::LeakyRelu if a > 0 => a,
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
        Binary::Chain if a == 0.0 || b == 0.0 => 0.0,
        Binary::LeakyRelu if a > 0.0 || a.is_nan() => a,
        Binary::LeakyRelu | Binary::Multiply | Binary::Chain => a * b,
    });
    value.round(dtype)
}

fn allowed(op: Binary, dtype: DType) -> bool {
    match op {
        Binary::Divide => dtype.is_float(),
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

/// Standard normal distribution: its function and its density.
fn normal(x: f64) -> (f64, f64) {
    let density = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
    (0.5 * libm::erfc(-x / 2f64.sqrt()), density)
}

#[test]
fn adjoints_behind_functions_keep_six_digits_of_their_largest_term() {
    each_isa(5, |random| {
        for dtype in [DType::F32, DType::F64] {
            let g = random.array(dtype, &[30, 41], false);
            let x = random.array(dtype, &[30, 41], false);
            for op in [Slope::Tanh, Slope::Sigmoid, Slope::Gelu, Slope::Silu] {
                let out = slope(op, &g, &x).unwrap().to_f64_vec();
                for ((g, x), out) in g.to_f64_vec().iter().zip(x.to_f64_vec()).zip(out) {
                    let share = 1.0 / (1.0 + (-x).exp());
                    let (distribution, density) = normal(x);
                    let (slope, largest) = match op {
                        Slope::Tanh => (1.0 - x * x, 1.0 + x * x),
                        Slope::Sigmoid => (x * (1.0 - x), x.abs() + x * x),
                        Slope::Gelu => (distribution + x * density, 1.0),
                        Slope::Silu => (share * (1.0 + x * (1.0 - share)), 1.0 + x.abs()),
                    };
                    let off = (out - g * slope).abs();
                    let digits = if dtype == DType::F32 { 1e-6 } else { 1e-15 };
                    assert!(
                        off <= digits * largest * g.abs(),
                        "{op:?} {dtype} {x}: {out}"
                    );
                }
            }
        }
    });
}

#[test]
fn infinite_arguments_leave_activations_and_their_adjoints_finite_where_limits_are() {
    each_isa(1, |_| {
        let ends = [f64::NEG_INFINITY, f64::INFINITY, f64::NAN];
        let x = Array::from_slice(&ends, &[3]).unwrap();
        let one = Array::from_slice(&[1.0f64; 3], &[3]).unwrap();
        for op in [Unary::Gelu, Unary::Silu, Unary::Softplus] {
            let y = unary(op, &x).unwrap().to_f64_vec();
            assert!(
                y[0] == 0.0 && y[1] == f64::INFINITY && y[2].is_nan(),
                "{op:?}: {y:?}"
            );
        }
        for op in [Slope::Gelu, Slope::Silu] {
            let y = slope(op, &one, &x).unwrap().to_f64_vec();
            assert!(y[0] == 0.0 && y[1] == 1.0 && y[2].is_nan(), "{op:?}: {y:?}");
        }
    });
}
