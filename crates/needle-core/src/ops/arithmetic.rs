//! Arithmetic: sums, products, quotients, powers, extrema of two operands.

use super::{
    Attrs, Constant, Derivative, Domain, Inputs, Needs, OpDef, Param, ParamKind, Partial, Run,
    Sample, TypeRef,
};
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::kernels::elementwise::{self, Function, Zip};
use crate::kernels::math;
use crate::kernels::reduce::any_negative;
use crate::shape::{self, TensorType};

/// The ops of this file.
pub(super) const OPS: &[&OpDef] = &[
    &ADD,
    &ADD_SCALAR,
    &SUBTRACT,
    &MULTIPLY,
    &MUL_SCALAR,
    &DIVIDE,
    &DIVIDE_SCALAR,
    &POWER,
    &POWER_SCALAR,
    &NEGATE,
    &CHAIN_PRODUCT,
];

pub(super) const AB: Inputs = Inputs::Named(&["a", "b"]);
const A: Inputs = Inputs::Named(&["a"]);
const SCALAR: &[Param] = &[Param::required("scalar", ParamKind::Scalar)];

/// Samples of two operands that broadcast in every way.
const PAIRS: &[Sample] = &[
    Sample::plain(&[(&[2, 3], Domain::Real), (&[2, 3], Domain::Nonzero)]),
    Sample::plain(&[(&[2, 1], Domain::Real), (&[3], Domain::Nonzero)]),
    Sample::plain(&[(&[], Domain::Real), (&[1, 2], Domain::Nonzero)]),
];

pub(super) fn same_dtype(op: &str, types: &[TypeRef]) -> Result<TensorType> {
    Ok(TensorType {
        shape: shape::broadcast(op, types[0].shape, types[1].shape)?,
        dtype: types[0].dtype.promote(types[1].dtype),
    })
}

fn no_bool(op: &str, ty: TensorType, hint: &str) -> Result<TensorType> {
    if ty.dtype == DType::Bool {
        return Err(Error::dtype(
            op,
            format_args!("bool is not supported\nhint: {hint}"),
        ));
    }
    Ok(ty)
}

/// A function of an operand and the constant.
fn with_scalar(function: &'static Zip, attrs: &Attrs) -> Function {
    Function::With(function, attrs.constant(0).value)
}

fn with_constant(op: &str, attrs: &Attrs, types: &[TypeRef]) -> Result<TensorType> {
    let dtype = attrs.constant(0).promote(op, types[0].dtype)?;
    Ok(TensorType::new(types[0].shape, dtype))
}

/// Addition.
pub static ADD: OpDef = OpDef {
    name: "add",
    class: "EWiseAdd",
    numpy: &["add"],
    doc: "Elementwise sum `a + b`.\n\nShapes broadcast as in NumPy; the dtype is the promoted one (bool: logical or). Raises ShapeError where the shapes do not fit.",
    inputs: AB,
    params: &[],
    run: crate::ops::elementwise! {
        infer: |_, t| same_dtype("add", t),
        function: |_| Function::Zip(&elementwise::ADD),
    },
    derivative: Derivative::Elementwise(&[Partial::One, Partial::One]),
    samples: PAIRS,
};

/// Addition of a constant.
pub static ADD_SCALAR: OpDef = OpDef {
    name: "add_scalar",
    class: "AddScalar",
    numpy: &[],
    doc: "Elementwise sum `a + scalar`.\n\nA Python number keeps the dtype of `a` (an integer tensor with a float becomes float64); a NumPy scalar promotes. Raises OverflowError for an integer that the dtype cannot hold.",
    inputs: A,
    params: SCALAR,
    run: crate::ops::elementwise! {
        infer: |attrs, t| with_constant("add_scalar", attrs, t),
        function: |attrs| with_scalar(&elementwise::ADD, attrs),
    },
    derivative: Derivative::Elementwise(&[Partial::One]),
    samples: &[Sample::with(
        || Attrs::scalar(Constant::float(1.5)),
        &[(&[2, 3], Domain::Real)],
    )],
};

/// Subtraction.
pub static SUBTRACT: OpDef = OpDef {
    name: "subtract",
    class: "EWiseSub",
    numpy: &["subtract"],
    doc: "Elementwise difference `a - b` as one node.\n\nShapes broadcast as in NumPy; the dtype is the promoted one. The operator `a - b` on tensors records `Negate` and `EWiseAdd` instead. Raises ShapeError where the shapes do not fit, DTypeError for two bool operands.",
    inputs: AB,
    params: &[],
    run: crate::ops::elementwise! {
        infer: |_, t| no_bool("subtract", same_dtype("subtract", t)?, "use not_equal"),
        function: |_| Function::Zip(&elementwise::SUBTRACT),
    },
    derivative: Derivative::Elementwise(&[Partial::One, Partial::MinusOne]),
    samples: PAIRS,
};

/// Multiplication.
pub static MULTIPLY: OpDef = OpDef {
    name: "multiply",
    class: "EWiseMul",
    numpy: &["multiply"],
    doc: "Elementwise product `a * b`.\n\nShapes broadcast as in NumPy; the dtype is the promoted one (bool: logical and). Raises ShapeError where the shapes do not fit.",
    inputs: AB,
    params: &[],
    run: crate::ops::elementwise! {
        infer: |_, t| same_dtype("multiply", t),
        function: |_| Function::Zip(&elementwise::MULTIPLY),
    },
    derivative: Derivative::Elementwise(&[
        Partial::Of(Needs::X1, |s| s.x(1)),
        Partial::Of(Needs::X0, |s| s.x(0)),
    ]),
    samples: PAIRS,
};

/// Multiplication with a constant.
pub static MUL_SCALAR: OpDef = OpDef {
    name: "mul_scalar",
    class: "MulScalar",
    numpy: &[],
    doc: "Elementwise product `a * scalar`.\n\nA Python number keeps the dtype of `a` (an integer tensor with a float becomes float64); a NumPy scalar promotes. Raises OverflowError for an integer that the dtype cannot hold.",
    inputs: A,
    params: SCALAR,
    run: crate::ops::elementwise! {
        infer: |attrs, t| with_constant("mul_scalar", attrs, t),
        function: |attrs| with_scalar(&elementwise::MULTIPLY, attrs),
    },
    derivative: Derivative::Elementwise(&[Partial::Scaled(|s, g| {
        g.chain_scalar(s.attrs.constant(0))
    })]),
    samples: &[
        Sample::with(
            || Attrs::scalar(Constant::float(-1.5)),
            &[(&[2, 3], Domain::Real)],
        ),
        Sample::with(|| Attrs::scalar(Constant::int(0)), &[(&[2], Domain::Real)]),
    ],
};

/// Integers of every width are divided in float64, as in NumPy.
fn quotient_dtype(dtype: DType) -> DType {
    if dtype.is_float() { dtype } else { DType::F64 }
}

fn quotient(op: &str, types: &[TypeRef]) -> Result<TensorType> {
    let mut ty = same_dtype(op, types)?;
    ty.dtype = quotient_dtype(ty.dtype);
    Ok(ty)
}

/// Division.
pub static DIVIDE: OpDef = OpDef {
    name: "divide",
    class: "EWiseDiv",
    numpy: &["divide"],
    doc: "Elementwise quotient `a / b`.\n\nShapes broadcast as in NumPy. Integers are divided in float64. Division by zero follows IEEE. Raises ShapeError where the shapes do not fit.",
    inputs: AB,
    params: &[],
    run: crate::ops::elementwise! {
        infer: |_, t| quotient("divide", t),
        function: |_| Function::Zip(&elementwise::DIVIDE),
    },
    derivative: Derivative::Elementwise(&[
        Partial::Of(Needs::X1, |s| s.x(1).reciprocal()),
        Partial::Of(Needs::X1.and(Needs::Y), |s| -(s.y() / s.x(1))),
    ]),
    samples: PAIRS,
};

/// Division by a constant.
pub static DIVIDE_SCALAR: OpDef = OpDef {
    name: "divide_scalar",
    class: "DivScalar",
    numpy: &[],
    doc: "Elementwise quotient `a / scalar`.\n\nA Python number keeps the dtype of a float `a`; integers are divided in float64. Division by zero follows IEEE.",
    inputs: A,
    params: SCALAR,
    run: crate::ops::elementwise! {
        infer: |attrs, t| {
            let mut ty = with_constant("divide_scalar", attrs, t)?;
            ty.dtype = quotient_dtype(ty.dtype);
            Ok(ty)
        },
        function: |attrs| with_scalar(&elementwise::DIVIDE, attrs),
    },
    derivative: Derivative::Elementwise(&[Partial::Scaled(|s, g| {
        let value = s.attrs.constant(0).value.to_f64();
        if value == 0.0 || !value.is_finite() {
            // The factor is infinite, zero or NaN: it must not meet a zero adjoint.
            return g.chain(g.constant(1.0 / value));
        }
        g.apply(&DIVIDE_SCALAR, s.attrs.clone())
    })]),
    samples: &[Sample::with(
        || Attrs::scalar(Constant::float(-1.5)),
        &[(&[2, 3], Domain::Real)],
    )],
};

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
                return b.chain(a.power(b.add_scalar(Constant::int(-1))));
            }
            // Integers have no power -1; where b is 0 the factor b makes the result 0.
            let dtype = s.y().dtype().of_derivatives();
            let (a, b) = (a.cast(dtype), b.cast(dtype));
            let lower = b.maximum(b.constant(1.0)).add_scalar(Constant::int(-1));
            b.chain(a.power(lower))
        }),
        Partial::Of(Needs::X0.and(Needs::Y), |s| {
            let a = s.x(0);
            let safe = a.equal(a.constant(0.0)).select(a.constant(1.0), a);
            s.y().chain(safe.log())
        }),
    ]),
    samples: &[
        Sample::plain(&[(&[2, 3], Domain::Positive), (&[2, 3], Domain::Real)]),
        Sample::plain(&[(&[1, 3], Domain::Positive), (&[3], Domain::Real)]),
        Sample::plain(&[(&[2, 1], Domain::Positive), (&[], Domain::Nonzero)]),
    ],
};

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
            Scalar::Float(v) | Scalar::Huge(v) => {
                x.power_scalar(lower(Scalar::Float(v - 1.0))).mul_scalar(c)
            }
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

/// Negation.
pub static NEGATE: OpDef = OpDef {
    name: "negate",
    class: "Negate",
    numpy: &["negative"],
    doc: "Elementwise `-a`.\n\nShape and dtype of `a`; integers without sign wrap as in NumPy. Raises DTypeError for bool.",
    inputs: A,
    params: &[],
    run: crate::ops::elementwise! {
        infer: |_, t| {
            let ty = TensorType::new(t[0].shape, t[0].dtype);
            no_bool("negate", ty, "use equal(a, False)")
        },
        function: |_| Function::Map(&elementwise::NEGATE),
    },
    derivative: Derivative::Elementwise(&[Partial::MinusOne]),
    samples: &[Sample::plain(&[(&[2, 3], Domain::Real)])],
};

/// The product that derivative rules use.
pub static CHAIN_PRODUCT: OpDef = OpDef {
    name: "chain_product",
    class: "ChainProduct",
    numpy: &[],
    doc: "Elementwise product that is 0 wherever either factor is exactly 0, even against an infinity or NaN.\n\nDerivative rules multiply adjoint and derivative with it, so that a branch that was not taken cannot poison a gradient. Shapes broadcast; the dtype is the promoted one. Raises ShapeError where the shapes do not fit.",
    inputs: AB,
    params: &[],
    run: crate::ops::elementwise! {
        infer: |_, t| same_dtype("chain_product", t),
        function: |_| Function::Zip(&elementwise::CHAIN),
    },
    derivative: Derivative::Elementwise(&[
        Partial::Of(Needs::X1, |s| s.x(1)),
        Partial::Of(Needs::X0, |s| s.x(0)),
    ]),
    samples: PAIRS,
};
