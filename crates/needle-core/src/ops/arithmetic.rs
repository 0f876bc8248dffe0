//! Arithmetic: sums, products and quotients.

use super::{
    Attrs, Constant, Derivative, Domain, Inputs, Needs, OpDef, Param, ParamKind, Partial, Sample,
    TypeRef,
};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernels::elementwise::{self, Function, Zip};
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
    &NEGATE,
    &CHAIN_PRODUCT,
];

pub(super) const AB: Inputs = Inputs::Named(&["a", "b"]);
pub(super) const A: Inputs = Inputs::Named(&["a"]);
pub(super) const SCALAR: &[Param] = &[Param::required("scalar", ParamKind::Scalar)];

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
pub(super) fn with_scalar(function: &'static Zip, attrs: &Attrs) -> Function {
    Function::With(function, attrs.constant(0).value)
}

pub(super) fn with_constant(op: &str, attrs: &Attrs, types: &[TypeRef]) -> Result<TensorType> {
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
    derivative: Derivative::Elementwise(&[Partial::Scaled(Needs::NOTHING, |s, g| {
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
    derivative: Derivative::Elementwise(&[Partial::Scaled(Needs::NOTHING, |s, g| {
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
