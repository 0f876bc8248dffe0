//! Picking slices by number along an axis, and its adjoint.

use super::{
    Attr, Attrs, Derivative, Domain, Expr, Inputs, Needs, OpDef, Param, ParamKind, Run, Sample,
    Tangent, TypeRef,
};
use crate::error::{Error, Result};
use crate::kernels::gather;
use crate::shape::{self, Dims, TensorType};

/// The ops of this file.
pub(super) const OPS: &[&OpDef] = &[&TAKE, &TAKE_GRADIENT];

fn axis(op: &str, attrs: &Attrs, ndim: usize) -> Result<usize> {
    shape::normalize_axis(op, attrs.int(0), ndim)
}

/// `shape` with the axes of the indices in place of `axis`.
fn picked(shape: &[usize], axis: usize, indices: &[usize]) -> Dims {
    let mut result = Dims::from_slice(&shape[..axis]);
    result.extend_from_slice(indices);
    result.extend_from_slice(&shape[axis + 1..]);
    result
}

/// Slices by number.
pub static TAKE: OpDef = OpDef {
    name: "take",
    class: "Take",
    numpy: &["take"],
    doc: "The slices of `a` at `indices` along `axis`, as NumPy's `take`: the rows of a table, say.\n\nThe axes of `indices` stand in place of `axis`; negative numbers count from the end, and any dtype will do whose values are whole. The gradient of a slice that was taken twice is the sum. Raises IndexError for a number out of bounds, ValueError for one that is not whole, AxisError for an axis that `a` does not have.",
    inputs: Inputs::Named(&["a", "indices"]),
    params: &[Param::optional("axis", ParamKind::Int, "0")],
    run: Run::One {
        infer: |attrs, t| {
            let axis = axis("take", attrs, t[0].shape.len())?;
            Ok(TensorType {
                shape: picked(t[0].shape, axis, t[1].shape),
                dtype: t[0].dtype,
            })
        },
        forward: |attrs, x, ty| {
            let axis = axis("take", attrs, x[0].ndim())?;
            let indices = gather::whole_numbers("take", "index", x[1])?;
            gather::take(x[0], &indices, axis, &ty.shape)
        },
    },
    derivative: Derivative::Rule {
        needs: Needs::X1,
        vjp: |s, g, i| {
            let g = g[0]?;
            (i == 0).then(|| put_back(g, s.x(1), s.attrs.int(0), &s.x(0).shape()))
        },
        jvp: Tangent::Rule(|s, t| Some(t[0]?.with(&TAKE, s.attrs.clone(), s.x(1)))),
    },
    samples: &[
        Sample::with(
            || Attrs::one(Attr::Int(0)),
            &[(&[3, 2], Domain::Real), (&[2, 2], Domain::Index)],
        ),
        Sample::with(
            || Attrs::one(Attr::Int(-1)),
            &[(&[2, 2], Domain::Real), (&[], Domain::Index)],
        ),
    ],
};

fn put_back<'a>(g: Expr<'a>, indices: Expr<'a>, axis: isize, shape: &[usize]) -> Expr<'a> {
    let attrs = Attrs::of([super::algebra::ints(shape), Attr::Int(axis)]);
    g.with(&TAKE_GRADIENT, attrs, indices)
}

fn gradient_type(attrs: &Attrs, types: &[TypeRef]) -> Result<TensorType> {
    let op = "take_gradient";
    let target = shape::lengths(op, attrs.ints(0).unwrap_or_default())?;
    let axis = shape::normalize_axis(op, attrs.int(1), target.len())?;
    let part = picked(&target, axis, types[1].shape);
    if part.as_slice() != types[0].shape {
        return Err(Error::shape(
            op,
            format_args!(
                "the indices take {} of {}, got {}",
                shape::display(&part),
                shape::display(&target),
                shape::display(types[0].shape)
            ),
        ));
    }
    Ok(TensorType {
        shape: target,
        dtype: types[0].dtype,
    })
}

/// Adjoint of picking slices.
pub static TAKE_GRADIENT: OpDef = OpDef {
    name: "take_gradient",
    class: "TakeGradient",
    numpy: &[],
    doc: "Zeros of `shape` to which the slices of `g` are added at `indices` along `axis`: the adjoint of `take`.\n\nDtype of `g`. Raises ShapeError where `g` does not have the shape that `take` gives, IndexError, ValueError and AxisError as `take` does.",
    inputs: Inputs::Named(&["g", "indices"]),
    params: &[
        Param::required("shape", ParamKind::Shape),
        Param::optional("axis", ParamKind::Int, "0"),
    ],
    run: Run::One {
        infer: gradient_type,
        forward: |attrs, x, ty| {
            let axis = shape::normalize_axis("take_gradient", attrs.int(1), ty.shape.len())?;
            let indices = gather::whole_numbers("take_gradient", "index", x[1])?;
            gather::take_gradient(x[0], &indices, axis, &ty.shape)
        },
    },
    derivative: Derivative::Rule {
        needs: Needs::X1,
        vjp: |s, h, i| {
            let h = h[0]?;
            (i == 0).then(|| h.with(&TAKE, Attrs::one(Attr::Int(s.attrs.int(1))), s.x(1)))
        },
        jvp: Tangent::Rule(|s, t| Some(t[0]?.with(&TAKE_GRADIENT, s.attrs.clone(), s.x(1)))),
    },
    samples: &[Sample::with(
        || Attrs::of([super::algebra::ints(&[3, 2]), Attr::Int(0)]),
        &[(&[2, 2, 2], Domain::Real), (&[2, 2], Domain::Index)],
    )],
};
