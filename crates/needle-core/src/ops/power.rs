//! Powers, with a tensor or a number as exponent.

use super::arithmetic::{A, AB, SCALAR, same_dtype, with_constant, with_scalar};
use super::{
    Attr, Attrs, Constant, Derivative, Domain, Expr, Needs, OpDef, Param, ParamKind, Partial, Run,
    Sample, Site,
};
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::kernels::elementwise::Function;
use crate::kernels::math;
use crate::kernels::reduce::any_negative;
use crate::shape::TensorType;

/// The ops of this file.
pub(super) const OPS: &[&OpDef] = &[&POWER, &POWER_SCALAR, &POWER_LESS];

/// Integers have no negative powers. A result without elements has none of them.
fn refuse_negative_powers(
    op: &str,
    ty: &TensorType,
    is_negative: impl FnOnce() -> Result<bool>,
) -> Result<()> {
    if !ty.dtype.is_float() && !ty.shape.contains(&0) && is_negative()? {
        return Err(Error::Value(format!(
            "{op}: integers to negative integer powers are not allowed\nhint: make the base a float tensor"
        )));
    }
    Ok(())
}

/// Power.
pub static POWER: OpDef = OpDef {
    name: "power",
    class: "EWisePow",
    numpy: &["power"],
    doc: "Elementwise power `a ** b`.\n\nShapes broadcast as in NumPy; the dtype is the promoted one. Derivatives: `b a^(b-1)` by `a` (0 where `b` is 0), `a^b ln a` by `b` (0 where `a` is 0). Raises ShapeError where the shapes do not fit, ValueError for an integer to a negative integer power.",
    inputs: AB,
    params: &[],
    run: Run::One {
        infer: |_, t| {
            let mut ty = same_dtype("power", t)?;
            if ty.dtype == DType::Bool {
                ty.dtype = DType::I8;
            }
            Ok(ty)
        },
        forward: |_, x, ty| {
            refuse_negative_powers("power", ty, || any_negative(x[1]))?;
            Function::Zip(&math::POWER).run(x, ty.dtype)
        },
    },
    derivative: Derivative::Elementwise(&[
        Partial::Of(Needs::X0.and(Needs::X1), |s| {
            let (a, b) = (s.x(0), s.x(1));
            if s.y().dtype().is_float() {
                return b.chain(power_less(a, b, 1));
            }
            // Integers have no power -1; where b is 0 the factor b makes the result 0.
            let dtype = s.y().dtype().of_derivatives();
            let (a, b) = (a.cast(dtype), b.cast(dtype));
            let lower = b.maximum(b.constant(1.0)).add_scalar(Constant::int(-1));
            b.chain(a.power(lower))
        }),
        Partial::Scaled(Needs::X0.and(Needs::Y), by_exponent),
    ]),
    samples: &[
        Sample::plain(&[(&[2, 3], Domain::Positive), (&[2, 3], Domain::Real)]),
        Sample::plain(&[(&[1, 3], Domain::Positive), (&[3], Domain::Real)]),
        Sample::plain(&[(&[2, 1], Domain::Positive), (&[], Domain::Nonzero)]),
    ],
};

/// The chain product with the derivative of a power by its exponent, `y ln a`. The power comes last:
/// it may be near the largest number where the adjoint and the logarithm are a small factor.
fn by_exponent<'a>(s: &Site<'a>, g: Expr<'a>) -> Expr<'a> {
    let a = s.x(0);
    let safe = a.equal(a.constant(0.0)).select(a.constant(1.0), a);
    g.chain(safe.log()).chain(s.y())
}

/// Power with a constant exponent.
pub static POWER_SCALAR: OpDef = OpDef {
    name: "power_scalar",
    class: "PowerScalar",
    numpy: &[],
    doc: "Elementwise power `a ** scalar`.\n\nA Python number keeps the dtype of `a` (an integer tensor to a float power becomes float64). Derivative: `scalar * a^(scalar-1)`, and 0 for the exponent 0. Raises ValueError for an integer tensor to a negative integer power.",
    inputs: A,
    params: SCALAR,
    run: crate::ops::elementwise! {
        infer: |attrs, t| {
            let ty = with_constant("power_scalar", attrs, t)?;
            refuse_negative_powers("power_scalar", &ty, || {
                Ok(attrs.constant(0).value.to_f64() < 0.0)
            })?;
            Ok(ty)
        },
        function: |attrs| with_scalar(&math::POWER, attrs),
    },
    derivative: Derivative::Elementwise(&[Partial::Of(Needs::X0, |s| {
        let c = s.attrs.constant(0);
        let lower = |value| Constant {
            value,
            dtype: c.dtype,
        };
        let x = if s.y().dtype().is_float() {
            s.x(0)
        } else {
            s.x(0).cast(s.y().dtype().of_derivatives())
        };
        match c.value {
            value if value.to_f64() == 0.0 => s.x(0).full_like(0.0),
            value if value.to_f64() == 1.0 => s.x(0).full_like(1.0),
            Scalar::Float(v) | Scalar::Huge(v) => match one_less(v, s.y().dtype()) {
                Some(less) => x.power_scalar(lower(Scalar::Float(less))).mul_scalar(c),
                None => power_less(x, s.y().constant(v), 1).mul_scalar(c),
            },
            Scalar::Int(v) => x.power_scalar(lower(Scalar::Int(v - 1))).mul_scalar(c),
            Scalar::UInt(v) => x.power_scalar(lower(Scalar::UInt(v - 1))).mul_scalar(c),
            // True is the exponent 1, which stands above.
            Scalar::Bool(_) => s.x(0).full_like(1.0),
        }
    })]),
    samples: &[
        Sample::with(
            || Attrs::scalar(Constant::int(3)),
            &[(&[2, 3], Domain::Real)],
        ),
        Sample::with(|| Attrs::scalar(Constant::int(2)), &[(&[3], Domain::Real)]),
        Sample::with(|| Attrs::scalar(Constant::int(0)), &[(&[3], Domain::Real)]),
        Sample::with(
            || Attrs::scalar(Constant::float(-1.5)),
            &[(&[2], Domain::Positive)],
        ),
        Sample::with(
            || Attrs::scalar(Constant::float(0.5)),
            &[(&[2], Domain::Positive)],
        ),
    ],
};

/// `v - 1` for an exponent in a dtype of floats, if that does not round.
fn one_less(v: f64, dtype: DType) -> Option<f64> {
    let rounded = |v: f64| match dtype {
        DType::F32 => f64::from(v as f32),
        _ => v,
    };
    let v = rounded(v);
    let less = v - 1.0;
    (less + 1.0 == v && rounded(less) == less).then_some(less)
}

fn power_less<'a>(a: Expr<'a>, b: Expr<'a>, steps: isize) -> Expr<'a> {
    a.with(&POWER_LESS, Attrs::one(Attr::Int(steps)), b)
}

/// The power that the derivative of a power has.
pub static POWER_LESS: OpDef = OpDef {
    name: "power_less",
    class: "PowerLess",
    numpy: &[],
    doc: "Elementwise `a ** (b - steps)` without the rounding of `b - steps`, of which a base far from 1 would make much: what the derivatives of `power` are made of.\n\n`steps` is 1 or 2. Shapes broadcast as in NumPy; the dtype is the promoted one, integers give floats. Derivatives: `(b - steps) a^(b-steps-1)` by `a` (0 where `b` is `steps`), `a^(b-steps) ln a` by `b` (0 where `a` is 0). Raises ShapeError where the shapes do not fit, ValueError for other steps.",
    inputs: AB,
    params: &[Param::optional("steps", ParamKind::Int, "1")],
    run: crate::ops::elementwise! {
        infer: |attrs, t| {
            let steps = attrs.int(0);
            if !(1..=2).contains(&steps) {
                let what = format!("power_less: expected 1 or 2 steps, got {steps}");
                return Err(Error::Value(what));
            }
            let mut ty = same_dtype("power_less", t)?;
            ty.dtype = ty.dtype.to_float();
            Ok(ty)
        },
        function: |attrs| Function::Zip(match attrs.int(0) {
            1 => &math::POWER_LESS_1,
            _ => &math::POWER_LESS_2,
        }),
    },
    derivative: Derivative::Elementwise(&[
        Partial::Of(Needs::X0.and(Needs::X1), |s| {
            let (a, b) = (s.x(0).cast(s.y().dtype()), s.x(1).cast(s.y().dtype()));
            let steps = s.attrs.int(0);
            let factor = b.add_scalar(Constant::int(-(steps as i64)));
            factor.chain(if steps == 1 {
                power_less(a, b, 2)
            } else {
                a.power(b.add_scalar(Constant::int(-3)))
            })
        }),
        Partial::Scaled(Needs::X0.and(Needs::Y), by_exponent),
    ]),
    samples: &[
        Sample::with(
            || Attrs::one(Attr::Int(1)),
            &[(&[2, 3], Domain::Positive), (&[3], Domain::Real)],
        ),
        Sample::with(
            || Attrs::one(Attr::Int(2)),
            &[(&[2, 1], Domain::Positive), (&[3], Domain::Real)],
        ),
    ],
};
