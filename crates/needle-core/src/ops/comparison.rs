//! Comparisons, and the choice between two values.

use super::{Derivative, Domain, Inputs, Needs, OpDef, Run, Sample, Tangent, TypeRef};
use crate::array::Array;
use crate::dtype::{DType, Kind, Scalar};
use crate::error::{Error, Result};
use crate::kernels::cast::cast;
use crate::kernels::elementwise;
use crate::shape::{self, TensorType};
use elementwise::{Function, Zip};

fn truth(op: &str, types: &[TypeRef]) -> Result<TensorType> {
    Ok(TensorType {
        shape: shape::broadcast(op, types[0].shape, types[1].shape)?,
        dtype: DType::Bool,
    })
}

/// Rows: name, class, function and which operand is its left and which its right one, symbol for
/// the documentation. The list of the family is made of them.
macro_rules! comparisons {
    ($ops:ident: $($(#[$doc:meta])* $item:ident, $name:literal, $class:literal, $function:ident,
     [$left:literal, $right:literal], $symbol:literal;)*) => {
        $(
            $(#[$doc])*
            pub static $item: OpDef = OpDef {
                name: $name,
                class: $class,
                numpy: &[$name],
                doc: concat!(
                    "Elementwise `a ", $symbol, " b` as a bool tensor.\n\n",
                    "Shapes broadcast as in NumPy; operands are compared in their promoted dtype, ",
                    "uint64 and integers with a sign as the whole numbers that they are. ",
                    "No gradient flows through a comparison. ",
                    "Raises ShapeError where the shapes do not fit."
                ),
                inputs: Inputs::Named(&["a", "b"]),
                params: &[],
                run: Run::One {
                    infer: |_, types| truth($name, types),
                    forward: |_, x, _| {
                        compare(&elementwise::$function, &[x[$left], x[$right]])
                    },
                },
                derivative: Derivative::None,
                samples: &[
                    Sample::plain(&[(&[2, 3], Domain::Real), (&[3], Domain::Real)]),
                    Sample::plain(&[(&[2], Domain::Bool), (&[2], Domain::Bool)]),
                ],
            };
        )*
        /// The ops of these rows.
        pub(super) const $ops: &[&OpDef] = &[$(&$item),*];
    };
}

/// The comparison of operands in the dtype that they promote to. That of uint64 and an integer with
/// a sign is float64, which would round them: there they are compared as uint64, but what is below 0
/// is below every other.
fn compare(function: &'static Zip, x: &[&Array; 2]) -> Result<Array> {
    let dtypes = x.map(Array::dtype);
    let has_sign = |dtype: DType| dtype.kind() == Kind::Signed;
    let signed = match dtypes {
        [a, DType::U64] if has_sign(a) => 0,
        [DType::U64, b] if has_sign(b) => 1,
        [a, b] => return Function::Zip(function).run(x, a.promote(b)),
    };
    let is_below = elementwise::LESS.with(x[signed], Scalar::Int(0))?;
    let mut signs = [Scalar::Int(0); 2];
    signs[signed] = Scalar::Int(-1);
    let [a, b] = signs.map(|sign| Array::scalar(sign, DType::I8));
    let by_sign = function.of(&a?, &b?)?;
    let by_number = Function::Zip(function).run(x, DType::U64)?;
    elementwise::select(&is_below, &by_sign, &by_number)
}

comparisons! { COMPARISONS:
    /// Equality.
    EQUAL, "equal", "Equal", EQUAL, [0, 1], "==";
    /// Inequality.
    NOT_EQUAL, "not_equal", "NotEqual", NOT_EQUAL, [0, 1], "!=";
    /// Less.
    LESS, "less", "Less", LESS, [0, 1], "<";
    /// Less or equal.
    LESS_EQUAL, "less_equal", "LessEqual", LESS_EQUAL, [0, 1], "<=";
    /// Greater.
    GREATER, "greater", "Greater", LESS, [1, 0], ">";
    /// Greater or equal.
    GREATER_EQUAL, "greater_equal", "GreaterEqual", LESS_EQUAL, [1, 0], ">=";
}

/// The choice.
pub(super) const OPS: &[&OpDef] = &[&WHERE];

/// Choice.
pub static WHERE: OpDef = OpDef {
    name: "where",
    class: "Where",
    numpy: &["where"],
    doc: "Elementwise `a` where `condition` is true, else `b`.\n\nAll three broadcast together; `condition` is bool (numbers count as true where they are not 0), the dtype is the promoted one of `a` and `b`. The gradient selects too: what was not chosen gets exactly 0, whatever its value. Raises ShapeError where the shapes do not fit.",
    inputs: Inputs::Named(&["condition", "a", "b"]),
    params: &[],
    run: Run::One {
        infer: |_, t| {
            let both = shape::broadcast_pair(t[1].shape, t[2].shape);
            let shape = both.and_then(|both| shape::broadcast_pair(t[0].shape, &both));
            let shape = shape.ok_or_else(|| {
                Error::shape(
                    "where",
                    format_args!(
                        "shapes {}, {} and {} do not broadcast together",
                        shape::display(t[0].shape),
                        shape::display(t[1].shape),
                        shape::display(t[2].shape)
                    ),
                )
            })?;
            Ok(TensorType {
                shape,
                dtype: t[1].dtype.promote(t[2].dtype),
            })
        },
        forward: |_, x, ty| {
            let condition = cast(x[0], DType::Bool)?;
            elementwise::select(&condition, &cast(x[1], ty.dtype)?, &cast(x[2], ty.dtype)?)
        },
    },
    derivative: Derivative::Rule {
        needs: Needs::X0,
        vjp: |s, g, i| {
            let g = g[0]?;
            let zero = g.constant(0.0);
            match i {
                1 => Some(s.x(0).select(g, zero)),
                2 => Some(s.x(0).select(zero, g)),
                _ => None,
            }
        },
        jvp: Tangent::Rule(|s, t| {
            let zero = s.y().constant(0.0);
            (t[1].is_some() || t[2].is_some()).then(|| {
                let chosen = s.x(0).select(t[1].unwrap_or(zero), t[2].unwrap_or(zero));
                // The operand without tangent may be the one that has the full shape.
                chosen.broadcast_to(&s.y().shape())
            })
        }),
    },
    samples: &[
        Sample::plain(&[
            (&[2, 3], Domain::Bool),
            (&[2, 3], Domain::Real),
            (&[2, 3], Domain::Real),
        ]),
        Sample::plain(&[
            (&[3], Domain::Bool),
            (&[2, 1], Domain::Real),
            (&[], Domain::Real),
        ]),
    ],
};
