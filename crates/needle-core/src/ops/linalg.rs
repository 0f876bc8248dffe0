//! Linear algebra: the matrix product.

use super::{Attrs, Derivative, Domain, Inputs, Needs, OpDef, Run, Sample, Tangent};
use crate::kernels::{copy, matmul};
use crate::shape::{self, Dims, TensorType};

/// Matrix product.
pub static MATMUL: OpDef = OpDef {
    name: "matmul",
    class: "MatMul",
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
            matmul::matmul(&copy::cast(x[0], ty.dtype)?, &copy::cast(x[1], ty.dtype)?)
        },
    },
    derivative: Derivative::Rule {
        needs: Needs::X0.and(Needs::X1),
        vjp: |s, g, i| {
            let (a, b) = (s.x(0), s.x(1));
            let (shape_a, shape_b) = (a.shape(), b.shape());
            // Vectors are lifted to matrices: a row on the left, a column on the right.
            let row = lifted(&shape_a, 0);
            let column = lifted(&shape_b, 1);
            let g = g[0]?.reshape(&result_of_lifted(&row, &column, &g[0]?.shape()));
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
            Some(result.reshape(if i == 0 { &shape_a } else { &shape_b }))
        },
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
