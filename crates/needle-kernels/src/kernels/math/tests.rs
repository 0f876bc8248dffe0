//! Every function against a reference of more digits: float32 against float64 over a dense
//! sample of all bit patterns, float64 against the standard library.

use super::super::simd::{Scalar, Simd};

/// Multiply-add always fused: what the wide instruction sets compute, only slower.
struct Fused;

impl Simd for Fused {
    type F32 = <Scalar as Simd>::F32;
    type F64 = <Scalar as Simd>::F64;
    const REGISTERS: usize = Scalar::REGISTERS;
    const FMA: bool = true;
}

/// Distance in units of the last place of the reference.
fn ulp32(value: f32, reference: f64) -> f64 {
    let near = reference as f32;
    if value.is_nan() || near.is_nan() {
        return if value.is_nan() == near.is_nan() {
            0.0
        } else {
            f64::INFINITY
        };
    }
    if value == near {
        return 0.0;
    }
    if value.is_infinite() || near.is_infinite() {
        return f64::INFINITY;
    }
    let ulp = f64::from(f32::from_bits(near.abs().to_bits() + 1)) - f64::from(near.abs());
    (f64::from(value) - reference).abs() / ulp
}

fn ulp64(value: f64, reference: f64) -> f64 {
    if value.is_nan() || reference.is_nan() {
        return if value.is_nan() == reference.is_nan() {
            0.0
        } else {
            f64::INFINITY
        };
    }
    if value == reference {
        return 0.0;
    }
    if value.is_infinite() || reference.is_infinite() {
        return f64::INFINITY;
    }
    let ulp = f64::from_bits(reference.abs().to_bits() + 1) - reference.abs();
    (value - reference).abs() / ulp
}

/// With the rounding of the sum made good, or it would be a poorer value than ours.
fn sigmoid(x: f64) -> f64 {
    if x < -40.0 {
        return x.exp();
    }
    let u = (-x).exp();
    let sum = 1.0 + u;
    let lost = if u > 1.0 {
        1.0 - (sum - u)
    } else {
        u - (sum - 1.0)
    };
    let first = 1.0 / sum;
    first + first * (first.mul_add(-sum, 1.0) - first * lost)
}

/// As the loops call them.
macro_rules! guarded {
    ($T:ident, $sin:ident, $cos:ident) => {
        fn $sin<S: Simd>(x: $T) -> $T {
            if x.abs() > super::$T::LARGE {
                x.sin()
            } else {
                super::$T::sin::<S>(x)
            }
        }

        fn $cos<S: Simd>(x: $T) -> $T {
            if x.abs() > super::$T::LARGE {
                x.cos()
            } else {
                super::$T::cos::<S>(x)
            }
        }
    };
}

guarded!(f32, sin32, cos32);
guarded!(f64, sin64, cos64);

type Case<T> = (&'static str, fn(T) -> T, fn(f64) -> f64);

fn cases32<S: Simd>() -> [Case<f32>; 7] {
    [
        ("erf", super::f32::erf::<S>, libm::erf),
        ("exp", super::f32::exp::<S>, f64::exp),
        ("log", super::f32::log::<S>, f64::ln),
        ("tanh", super::f32::tanh::<S>, f64::tanh),
        ("sigmoid", super::f32::sigmoid::<S>, sigmoid),
        ("sin", sin32::<S>, f64::sin),
        ("cos", cos32::<S>, f64::cos),
    ]
}

fn cases64<S: Simd>() -> [Case<f64>; 7] {
    [
        ("erf", super::f64::erf::<S>, libm::erf),
        ("exp", super::f64::exp::<S>, f64::exp),
        ("log", super::f64::log::<S>, f64::ln),
        ("tanh", super::f64::tanh::<S>, f64::tanh),
        ("sigmoid", super::f64::sigmoid::<S>, sigmoid),
        ("sin", sin64::<S>, f64::sin),
        ("cos", cos64::<S>, f64::cos),
    ]
}

/// Where a formula of ours was once off by more than 2 ulp, or is at its worst: samples miss them.
const HARD: [f32; 3] = [-16.643_381, -16.654_297, -3.449_918_3e-4];

fn worst32<S: Simd>(step: usize) {
    for (name, f, reference) in cases32::<S>() {
        let (mut worst, mut at) = (0.0, 0.0);
        let samples = (0..=u32::MAX).step_by(step).map(f32::from_bits);
        for x in samples.chain(HARD) {
            let error = ulp32(f(x), reference(f64::from(x)));
            if error > worst {
                (worst, at) = (error, x);
            }
        }
        println!("float32 {name}: {worst:.3} ulp at {at:e}");
        assert!(worst <= 2.0, "{name}({at:e}) is off by {worst} ulp");
    }
}

#[test]
fn float32_is_within_two_ulp() {
    worst32::<Scalar>(4099);
    worst32::<Fused>(4099);
}

/// Functions whose tails the references of the table above would lose.
#[test]
fn softplus_gelu_and_silu_keep_their_tails() {
    fn look(name: &str, x: f64, value: f64, expected: f64, relative: f64) {
        // Below the normal numbers the last place is all there is.
        let least = if relative > 1e-9 { 2e-45 } else { 1e-323 };
        let off = (value - expected).abs();
        assert!(
            off <= (relative * expected.abs()).max(least),
            "{name}({x:e}): {value:e}, not {expected:e}"
        );
    }
    fn all<S: Simd>(x: f64) {
        let softplus = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
        let silu = |x: f64| x * sigmoid(x);
        // The quotient is rounded: that costs the reference x^2 times the last bit.
        let gelu = |x: f64| x * (0.5 * libm::erfc(-x / 2f64.sqrt()));
        let lost = 1e-15 + x * x * f64::EPSILON;
        look(
            "softplus",
            x,
            super::f64::softplus::<S>(x),
            softplus(x),
            1e-15,
        );
        // The references end before the functions do.
        if x > -37.0 {
            look("gelu", x, super::f64::gelu::<S>(x), gelu(x), lost);
        }
        if x > -700.0 {
            look("silu", x, super::f64::silu::<S>(x), silu(x), 1e-15);
        }
        let narrow = x as f32;
        let x = f64::from(narrow);
        for (name, value, expected) in [
            ("softplus", super::f32::softplus::<S>(narrow), softplus(x)),
            ("gelu", super::f32::gelu::<S>(narrow), gelu(x)),
            ("silu", super::f32::silu::<S>(narrow), silu(x)),
        ] {
            look(name, x, f64::from(value), expected, 6e-7);
        }
    }
    for i in -8_000..8_000 {
        for x in [
            f64::from(i) * 1e-3,
            f64::from(i) * 4.7e-3,
            f64::from(i) * 0.1,
        ] {
            all::<Scalar>(x);
            all::<Fused>(x);
        }
    }
}

/// Near 0, where the sum loses digits, and far away; at the ends of where it is defined.
#[test]
fn log1p_keeps_the_digits_of_small_arguments() {
    for i in -2_000..2_000 {
        let x = f64::from(i) * 4e-4;
        for x in [x, x * 1e-9, x * 1e-300, 1e3 * x.abs(), x.abs() * 1e300] {
            let off = ulp64(super::f64::log1p::<Fused>(x), x.ln_1p());
            assert!(off <= 3.0, "{x:e}: {off} ulp");
            let narrow = x as f32;
            let off = ulp32(
                super::f32::log1p::<Fused>(narrow),
                f64::from(narrow).ln_1p(),
            );
            assert!(off <= 3.0, "{narrow:e} in float32: {off} ulp");
        }
    }
    let ends = [-1.0, -1.5, f64::INFINITY, f64::NAN, 0.0, -0.0];
    let [zero, below, above, nan, plus, minus] = ends.map(super::f64::log1p::<Scalar>);
    assert!(zero == f64::NEG_INFINITY && below.is_nan() && above == f64::INFINITY && nan.is_nan());
    assert!(plus.to_bits() == 0 && minus.to_bits() == (-0.0f64).to_bits());
}

fn worst64<S: Simd>() {
    for (name, f, reference) in cases64::<S>() {
        let (mut worst, mut at) = (0.0, 0.0);
        let mut look = |x: f64| {
            let error = ulp64(f(x), reference(x));
            if error > worst {
                (worst, at) = (error, x);
            }
        };
        // A prime step through the bit patterns, and the range where values vary.
        for i in 0..400_000u64 {
            look(f64::from_bits(i.wrapping_mul(46_116_860_184_257)));
            look((i as f64 - 200_000.0) * 1.000_123e-4);
            look((i as f64 - 200_000.0) * 3.777_123e-3);
            look(i as f64 * std::f64::consts::FRAC_PI_2);
        }
        println!("float64 {name}: {worst:.3} ulp at {at:e}");
        assert!(worst <= 2.0, "{name}({at:e}) is off by {worst} ulp");
    }
}

#[test]
fn float64_is_within_two_ulp() {
    worst64::<Scalar>();
    worst64::<Fused>();
}

#[test]
fn special_values_are_those_of_the_standard_library() {
    let values = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        f64::MAX,
        f64::MIN,
        f64::MIN_POSITIVE,
        5e-324,
        -5e-324,
        709.79,
        -745.2,
        88.73,
        -103.98,
        1e-45,
        -1e-45,
    ];
    for x in values {
        for (name, f, reference) in cases64::<Scalar>() {
            let (value, expected) = (f(x), reference(x));
            assert!(
                ulp64(value, expected) <= 2.0,
                "{name}({x:e}): {value:e}, not {expected:e}"
            );
            assert!(expected != 0.0 || value.is_sign_negative() == expected.is_sign_negative());
        }
        for (name, f, reference) in cases32::<Scalar>() {
            let x = x as f32;
            let (value, expected) = (f(x), reference(f64::from(x)));
            assert!(
                ulp32(value, expected) <= 2.0,
                "{name}({x:e}): {value:e}, not {expected:e}"
            );
        }
    }
}
