//! Comparisons, and the choice between two values.

use super::{Derivative, Domain, Inputs, Needs, OpDef, Run, Sample, Tangent, TypeRef};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernels::cast::cast;
use crate::kernels::elementwise;
use crate::shape::{self, TensorType};
use elementwise::Function;

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
                    "Shapes broadcast as in NumPy; operands are compared in their promoted dtype. ",
                    "No gradient flows through a comparison. ",
                    "Raises ShapeError where the shapes do not fit."
                ),
                inputs: Inputs::Named(&["a", "b"]),
                params: &[],
                run: Run::One {
                    infer: |_, types| truth($name, types),
                    forward: |_, x, _| {
                        let dtype = x[0].dtype().promote(x[1].dtype());
                        let function = Function::Zip(&elementwise::$function);
                        function.run(&[x[$left], x[$right]], dtype)
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
