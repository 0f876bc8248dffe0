//! Linear algebra: the matrix product, alone and with a bias.

use super::algebra::sum_of;
use super::{
    Attr, Attrs, Derivative, Domain, Expr, Inputs, Needs, OpDef, Param, ParamKind, Run, Sample,
    Site, Tangent, TypeRef,
};
use crate::array::Array;
use crate::error::{Error, Result};
use crate::kernels::cast::cast;
use crate::kernels::matmul;
use crate::shape::{self, Dims, TensorType};

/// The ops of this file.
pub(super) const OPS: &[&OpDef] = &[&MATMUL, &TRANSPOSED_MATMUL, &LINEAR];

/// Matrix product.
pub static MATMUL: OpDef = OpDef {
    name: "matmul",
    class: "MatMul",
    numpy: &["matmul", "linalg.matmul"],
    doc: "Matrix product `a @ b` by NumPy's rules.\n\n(..., m, k) @ (..., k, n) gives (..., m, n); leading axes broadcast; a 1-D operand is a row on the left and a column on the right, and its axis goes away. The dtype is the promoted one. Raises ShapeError where the inner dimensions differ or an operand has none.",
    inputs: Inputs::Named(&["a", "b"]),
    params: &[],
    run: Run::One {
        infer: |_, t| {
            Ok(TensorType {
                shape: shape::matmul("matmul", t[0].shape, t[1].shape)?,
                dtype: t[0].dtype.promote(t[1].dtype),
            })
        },
        forward: |_, x, ty| {
            if x[0].dtype() == ty.dtype && x[1].dtype() == ty.dtype {
                return matmul::matmul(x[0], x[1]);
            }
            matmul::matmul(&cast(x[0], ty.dtype)?, &cast(x[1], ty.dtype)?)
        },
    },
    derivative: Derivative::Rule {
        needs: Needs::X0.and(Needs::X1),
        vjp: |s, g, i| Some(product_term(s, g[0]?, i)),
        jvp: Tangent::Multilinear,
    },
    samples: &[
        Sample::with(
            Attrs::none,
            &[(&[3, 2], Domain::Real), (&[2, 4], Domain::Real)],
        ),
        Sample::plain(&[(&[2, 3, 2], Domain::Real), (&[2, 4], Domain::Real)]),
        Sample::plain(&[(&[2, 3], Domain::Real), (&[2, 1, 3, 2], Domain::Real)]),
        Sample::plain(&[(&[3, 2, 1], Domain::Real), (&[1, 1, 2], Domain::Real)]),
        Sample::plain(&[(&[3], Domain::Real), (&[3], Domain::Real)]),
        Sample::plain(&[(&[3], Domain::Real), (&[2, 3, 2], Domain::Real)]),
        Sample::plain(&[(&[2, 2, 3], Domain::Real), (&[3], Domain::Real)]),
    ],
};

/// What an adjoint of `x0 @ x1` becomes by factor `i`.
fn product_term<'a>(s: &Site<'a>, g: Expr<'a>, i: usize) -> Expr<'a> {
    let (a, b) = (s.x(0), s.x(1));
    let (shape_a, shape_b) = (a.shape(), b.shape());
    if shape_a.len() == 2 && shape_b.len() == 2 {
        return match i {
            0 => g.with(&TRANSPOSED_MATMUL, swapped(false, true), b),
            _ => a.with(&TRANSPOSED_MATMUL, swapped(true, false), g),
        };
    }
    // Vectors are lifted to matrices: a row on the left, a column on the right.
    let row = lifted(&shape_a, 0);
    let column = lifted(&shape_b, 1);
    let g = g.reshape(&result_of_lifted(&row, &column, &g.shape()));
    let result = if i == 0 {
        g.matmul(b.reshape(&column).matrix_transpose()).sum_to(&row)
    } else if column.len() == 2 && row.len() > 2 {
        // One matrix met a batch: fold the batch into the rows, and the sum over
        // it is part of the product.
        let rows = row[..row.len() - 1].iter().product();
        let flat_a = a.reshape(&[rows, row[row.len() - 1]]);
        flat_a
            .matrix_transpose()
            .matmul(g.reshape(&[rows, column[1]]))
    } else {
        a.reshape(&row).matrix_transpose().matmul(g).sum_to(&column)
    };
    result.reshape(if i == 0 { &shape_a } else { &shape_b })
}

fn swapped(left: bool, right: bool) -> Attrs {
    Attrs::of([Attr::Bool(left), Attr::Bool(right)])
}

/// Matrix product with transposed factors.
pub static TRANSPOSED_MATMUL: OpDef = OpDef {
    name: "transposed_matmul",
    class: "TransposedMatMul",
    numpy: &[],
    doc: "`a @ b` of two matrices, of which the first (if `left`) and the second (if `right`) are transposed before.\n\nNothing is copied for it: the adjoints of products are made of it. The dtype is the promoted one. Raises ShapeError where an operand is no matrix or the inner dimensions differ.",
    inputs: Inputs::Named(&["a", "b"]),
    params: &[
        Param::optional("left", ParamKind::Bool, "False"),
        Param::optional("right", ParamKind::Bool, "False"),
    ],
    run: Run::One {
        infer: |attrs, t| {
            let (&[m, k], &[l, n]) = (t[0].shape, t[1].shape) else {
                return Err(Error::shape(
                    "transposed_matmul",
                    format_args!(
                        "expected two matrices, got {} and {}",
                        shape::display(t[0].shape),
                        shape::display(t[1].shape)
                    ),
                ));
            };
            let [m, k] = if attrs.flag(0) { [k, m] } else { [m, k] };
            let [l, n] = if attrs.flag(1) { [n, l] } else { [l, n] };
            Ok(TensorType {
                shape: shape::matmul("transposed_matmul", &[m, k], &[l, n])?,
                dtype: t[0].dtype.promote(t[1].dtype),
            })
        },
        forward: |attrs, x, ty| {
            let factor = |i: usize| -> Result<Array> {
                let x = cast(x[i], ty.dtype)?;
                Ok(if attrs.flag(i) { x.permute(&[1, 0]) } else { x })
            };
            matmul::matmul(&factor(0)?, &factor(1)?)
        },
    },
    derivative: Derivative::Rule {
        needs: Needs::X0.and(Needs::X1),
        vjp: |s, g, i| {
            let (g, a, b) = (g[0]?, s.x(0), s.x(1));
            let (left, right) = (s.attrs.flag(0), s.attrs.flag(1));
            let product = |x: Expr<'_>, y, attrs| x.with(&TRANSPOSED_MATMUL, attrs, y).id();
            let id = match (i, left, right) {
                (0, false, _) => product(g, b, swapped(false, !right)),
                (0, true, _) => product(b, g, swapped(right, true)),
                (_, _, false) => product(a, g, swapped(!left, false)),
                (_, _, true) => product(g, a, swapped(true, left)),
            };
            Some(Expr::new(s.algebra, id))
        },
        jvp: Tangent::Multilinear,
    },
    samples: &[
        Sample::with(
            || swapped(false, true),
            &[(&[3, 2], Domain::Real), (&[4, 2], Domain::Real)],
        ),
        Sample::with(
            || swapped(true, false),
            &[(&[2, 3], Domain::Real), (&[2, 4], Domain::Real)],
        ),
        Sample::with(
            || swapped(true, true),
            &[(&[2, 3], Domain::Real), (&[4, 2], Domain::Real)],
        ),
        Sample::with(
            || swapped(false, false),
            &[(&[2, 3], Domain::Real), (&[3, 1], Domain::Real)],
        ),
    ],
};

/// Product with a matrix, and a bias.
pub static LINEAR: OpDef = OpDef {
    name: "linear",
    class: "Linear",
    numpy: &[],
    doc: "`a @ weight + bias`: a linear layer in one op.\n\n(..., k) @ (k, n) plus (n,) or (1, n) gives (..., n), for a single row too. The dtype is the promoted one of all three. Raises ShapeError where the shapes do not fit.",
    inputs: Inputs::Named(&["a", "weight", "bias"]),
    params: &[],
    run: Run::One {
        infer: linear_type,
        forward: |_, x, ty| {
            let [a, weight, bias] = [0, 1, 2].map(|i| cast(x[i], ty.dtype));
            matmul::linear(&a?, &weight?, &bias?)
        },
    },
    derivative: Derivative::Rule {
        needs: Needs::X0.and(Needs::X1),
        vjp: |s, g, i| {
            let g = g[0]?;
            Some(match i {
                2 => g.sum_to(&row_of(s)).reshape(&s.x(2).shape()),
                _ => product_term(s, g, i),
            })
        },
        jvp: Tangent::Rule(|s, t| {
            sum_of([
                t[0].map(|t| t.matmul(s.x(1))),
                t[1].map(|t| s.x(0).matmul(t)),
                t[2].map(|t| t.reshape(&row_of(s)).broadcast_to(&s.y().shape())),
            ])
        }),
    },
    samples: &[
        Sample::plain(&[
            (&[3, 2], Domain::Real),
            (&[2, 4], Domain::Real),
            (&[1, 4], Domain::Real),
        ]),
        Sample::plain(&[
            (&[2, 3, 2], Domain::Real),
            (&[2, 2], Domain::Real),
            (&[2], Domain::Real),
        ]),
        Sample::plain(&[
            (&[3], Domain::Real),
            (&[3, 2], Domain::Real),
            (&[1, 2], Domain::Real),
        ]),
    ],
};

/// The shape of the bias as a row: it may have more dimensions than the result.
fn row_of(s: &Site) -> [usize; 1] {
    [s.x(1).shape()[1]]
}

fn linear_type(_: &Attrs, t: &[TypeRef]) -> Result<TensorType> {
    let [k, n] = *t[1].shape else {
        return Err(Error::shape(
            "linear",
            format_args!(
                "expected a weight of two dimensions, got {}",
                shape::display(t[1].shape)
            ),
        ));
    };
    if t[0].shape.last() != Some(&k) {
        return Err(Error::shape(
            "linear",
            format_args!(
                "expected (..., {k}) for a weight of ({k}, {n}), got {}",
                shape::display(t[0].shape)
            ),
        ));
    }
    if t[2].shape != [n] && t[2].shape != [1, n] {
        return Err(Error::shape(
            "linear",
            format_args!(
                "expected a bias of ({n},) or (1, {n}), got {}",
                shape::display(t[2].shape)
            ),
        ));
    }
    let mut shape = Dims::from_slice(t[0].shape);
    shape.pop();
    shape.push(n);
    Ok(TensorType {
        shape,
        dtype: t[0].dtype.promote(t[1].dtype).promote(t[2].dtype),
    })
}

/// The shape with a 1-D operand made a matrix by a new axis at `at`.
fn lifted(shape: &[usize], at: usize) -> Dims {
    let mut result = Dims::from_slice(shape);
    if shape.len() == 1 {
        result.insert(at, 1);
    }
    result
}

/// The shape of the product with the axes that lifting added.
fn result_of_lifted(row: &[usize], column: &[usize], result: &[usize]) -> Dims {
    let (m, n) = (row[row.len() - 2], column[column.len() - 1]);
    // The batch is what precedes the matrix axes, which a vector operand had lost.
    let batch = shape::broadcast_pair(&row[..row.len() - 2], &column[..column.len() - 2]);
    let mut full = batch.unwrap_or_else(|| Dims::from_slice(result));
    full.extend_from_slice(&[m, n]);
    full
}
