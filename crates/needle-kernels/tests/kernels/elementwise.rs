//! Unary and binary kernels, and derivatives behind functions.

use crate::support::{Random, Value, each_isa, values};
use needle_kernels::dtype::{DType, Kind, Scalar};
use needle_kernels::kernels::elementwise::{self, Map, Zip};
use needle_kernels::kernels::math;
use needle_kernels::{Array, shape};

const UNARY: [&Map; 16] = [
    &elementwise::NEGATE,
    &elementwise::ABS,
    &elementwise::SIGN,
    &math::SQRT,
    &math::EXP,
    &math::LOG,
    &math::LOG1P,
    &math::TANH,
    &math::SIGMOID,
    &math::SOFTPLUS,
    &math::ERF,
    &math::GELU,
    &math::SILU,
    &math::SIN,
    &math::COS,
    &elementwise::RELU,
];
const BINARY: [&Zip; 10] = [
    &elementwise::ADD,
    &elementwise::SUBTRACT,
    &elementwise::MULTIPLY,
    &elementwise::DIVIDE,
    &math::POWER,
    &elementwise::MAXIMUM,
    &elementwise::MINIMUM,
    &elementwise::CHAIN,
    &elementwise::RELU_GRADIENT,
    &elementwise::LEAKY_RELU,
];

fn unary_reference(op: &Map, x: Value) -> Value {
    match x {
        Value::Int(v) => Value::Int(match op.name() {
            "NEGATE" => -v,
            "ABS" => v.abs(),
            "SIGN" => v.signum(),
            _ => v.max(0),
        }),
        Value::Real(v) => Value::Real(match op.name() {
            "NEGATE" => -v,
            "ABS" => v.abs(),
            "SIGN" if v == 0.0 || v.is_nan() => v,
            "SIGN" => v.signum(),
            "SQRT" => v.sqrt(),
            "EXP" => v.exp(),
            "LOG" => v.ln(),
            "LOG1P" => v.ln_1p(),
            "TANH" => v.tanh(),
            "SIGMOID" => 1.0 / (1.0 + (-v).exp()),
            "SOFTPLUS" => {
                v.max(0.0)
                    + if v.is_nan() {
                        v
                    } else {
                        (-v.abs()).exp().ln_1p()
                    }
            }
            "ERF" => libm::erf(v),
            "GELU" | "SILU" if v == f64::NEG_INFINITY => 0.0,
            "GELU" => v * normal(v).0,
            "SILU" => v / (1.0 + (-v).exp()),
            "SIN" => v.sin(),
            "COS" => v.cos(),
            "RELU" if v <= 0.0 => 0.0,
            "RELU" => v,
            name => panic!("no reference for {name}"),
        }),
    }
}

#[test]
fn unary_kernels_match_the_reference() {
    each_isa(60, |random| {
        for op in UNARY {
            let float_only = !matches!(op.name(), "NEGATE" | "ABS" | "SIGN" | "RELU");
            for &dtype in DType::ALL {
                let shape = random.shape(4);
                let x = random.array(dtype, &shape, true);
                let result = op.of(&x);
                if (float_only && !dtype.is_float())
                    || (op.name() == "NEGATE" && dtype == DType::Bool)
                {
                    assert!(result.is_err());
                    continue;
                }
                let y = result.unwrap();
                assert!(y.is_contiguous() && y.shape() == x.shape() && y.dtype() == dtype);
                let tolerance = match (op.name(), dtype) {
                    _ if !float_only => 0.0,
                    // The reference loses digits in the exponent of the tail.
                    ("GELU", DType::F64) => 1e-12,
                    ("GELU", _) => 6e-7,
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

fn binary_reference(op: &Zip, a: Value, b: Value, dtype: DType) -> Value {
    if let (Value::Int(a), Value::Int(b)) = (a, b) {
        return Value::Int(match op.name() {
            "ADD" => a + b,
            "SUBTRACT" => a - b,
            "POWER" => return wrapping_pow(a, b, dtype),
            "MAXIMUM" => a.max(b),
            "MINIMUM" => a.min(b),
            "RELU_GRADIENT" => a * i128::from(b > 0),
            "LEAKY_RELU" if a > 0 => a,
            _ => a * b,
        })
        .round(dtype);
    }
    let (a, b) = (a.real(), b.real());
    let value = Value::Real(match op.name() {
        "ADD" => a + b,
        "SUBTRACT" => a - b,
        "DIVIDE" => a / b,
        "POWER" => a.powf(b),
        "MAXIMUM" | "MINIMUM" if a.is_nan() || b.is_nan() => f64::NAN,
        "MAXIMUM" => a.max(b),
        "MINIMUM" => a.min(b),
        "RELU_GRADIENT" => {
            if b > 0.0 {
                a
            } else {
                0.0
            }
        }
        "CHAIN" if a == 0.0 || b == 0.0 => 0.0,
        "LEAKY_RELU" if a > 0.0 || a.is_nan() => a,
        "LEAKY_RELU" | "MULTIPLY" | "CHAIN" => a * b,
        name => panic!("no reference for {name}"),
    });
    value.round(dtype)
}

fn allowed(op: &Zip, dtype: DType) -> bool {
    match op.name() {
        "DIVIDE" | "LEAKY_RELU" => dtype.is_float(),
        "SUBTRACT" => dtype != DType::Bool,
        _ => true,
    }
}

/// Exponents of integers must not be negative.
fn exponents(op: &Zip, random: &mut Random, dtype: DType, shape: &[usize]) -> Array {
    let b = random.array(dtype, shape, dtype.is_float());
    if op.name() == "POWER" && dtype.kind() == Kind::Signed {
        return elementwise::ABS.of(&b).unwrap();
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
                let result = op.of(&a, &b);
                assert_eq!(result.is_ok(), allowed(op, dtype));
                let Ok(c) = result else { continue };
                let full = shape::broadcast("test", &own_a, &own_b).unwrap();
                assert!(c.is_contiguous() && c.shape() == full.as_slice() && c.dtype() == dtype);
                let tolerance = if op.name() == "POWER" { 2e-7 } else { 0.0 };
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
                let right = op.with(&x, scalar).unwrap();
                let left = op.from(scalar, &x).unwrap();
                assert!(right.is_contiguous() && right.shape() == x.shape());
                let tolerance = if op.name() == "POWER" { 2e-7 } else { 0.0 };
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
    let c = elementwise::CHAIN.of(&a, &b).unwrap().to_vec::<f32>();
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
            for op in [
                &math::TANH_SLOPE,
                &math::SIGMOID_SLOPE,
                &math::TANH_CURVATURE,
                &math::SIGMOID_CURVATURE,
                &math::TANH_THIRD,
                &math::SIGMOID_THIRD,
                &math::ERF_SLOPE,
                &math::NORMAL_DENSITY,
                &math::GELU_SLOPE,
                &math::SILU_SLOPE,
            ] {
                let out = op.of(&g, &x).unwrap().to_f64_vec();
                for ((g, x), out) in g.to_f64_vec().iter().zip(x.to_f64_vec()).zip(out) {
                    let share = 1.0 / (1.0 + (-x).exp());
                    let (distribution, density) = normal(x);
                    let (slope, largest) = match op.name() {
                        "TANH_SLOPE" => (x.cosh().powi(-2), x.cosh().powi(-2)),
                        "SIGMOID_SLOPE" => (share * (1.0 - share), share),
                        "TANH_CURVATURE" => (-2.0 * x.tanh() * x.cosh().powi(-2), 1.0),
                        "SIGMOID_CURVATURE" => (share * (1.0 - share) * (1.0 - 2.0 * share), share),
                        "TANH_THIRD" => {
                            let slope = x.cosh().powi(-2);
                            (slope * (4.0 - 6.0 * slope), 6.0)
                        }
                        "SIGMOID_THIRD" => {
                            let slope = share * (1.0 - share);
                            (slope * (1.0 - 6.0 * slope), 1.0)
                        }
                        "ERF_SLOPE" => (2.0 * normal(x * 2f64.sqrt()).1 * 2f64.sqrt(), 1.0),
                        "NORMAL_DENSITY" => (density, density),
                        "GELU_SLOPE" => (distribution + x * density, 1.0),
                        "SILU_SLOPE" => (share * (1.0 + x * (1.0 - share)), 1.0 + x.abs()),
                        name => panic!("no reference for {name}"),
                    };
                    let off = (out - g * slope).abs();
                    let digits = if dtype == DType::F32 { 1e-6 } else { 1e-15 };
                    // Below the normal numbers of float32 there are fewer digits.
                    let most = digits * largest * g.abs() + 1e-44;
                    assert!(off <= most, "{op:?} {dtype} {x}: {out}");
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
        for op in [&math::GELU, &math::SILU, &math::SOFTPLUS] {
            let y = op.of(&x).unwrap().to_f64_vec();
            assert!(
                y[0] == 0.0 && y[1] == f64::INFINITY && y[2].is_nan(),
                "{op:?}: {y:?}"
            );
        }
        for op in [&math::GELU_SLOPE, &math::SILU_SLOPE] {
            let y = op.of(&one, &x).unwrap().to_f64_vec();
            assert!(y[0] == 0.0 && y[1] == 1.0 && y[2].is_nan(), "{op:?}: {y:?}");
        }
        for op in [
            &math::TANH_SLOPE,
            &math::SIGMOID_SLOPE,
            &math::TANH_CURVATURE,
            &math::SIGMOID_CURVATURE,
            &math::TANH_THIRD,
            &math::SIGMOID_THIRD,
            &math::ERF_SLOPE,
            &math::NORMAL_DENSITY,
        ] {
            for g in [&one, &x] {
                let y = op.of(g, &x).unwrap().to_f64_vec();
                assert!(y[0] == 0.0 && y[1] == 0.0 && y[2].is_nan(), "{op:?}: {y:?}");
            }
        }
    });
}
