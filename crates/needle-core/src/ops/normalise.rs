//! Normalisation along an axis: fused forward and fused backward.

use super::algebra::sum_of;
use super::{
    Attr, Attrs, Constant, Derivative, Domain, Expr, Inputs, Needs, OpDef, Param, ParamKind, Run,
    Sample, Site, Tangent, TypeRef,
};
use crate::error::{Error, Result};
use crate::kernels::cast::cast;
use crate::kernels::normalise;
use crate::shape::{self, TensorType};

/// The ops of this file.
pub(super) const OPS: &[&OpDef] = &[&LAYER_NORM, &LAYER_NORM_GRADIENT];

const PARAMS: &[Param] = &[
    Param::optional("eps", ParamKind::Scalar, "1e-05"),
    Param::optional("axis", ParamKind::Int, "-1"),
];

fn eps(attrs: &Attrs) -> f64 {
    attrs.constant(0).value.to_f64()
}

fn axis(op: &str, attrs: &Attrs, ndim: usize) -> Result<usize> {
    shape::normalize_axis(op, attrs.int(1), ndim)
}

fn sample_attrs(axis: isize) -> Attrs {
    Attrs::of([Attr::Scalar(Constant::float(0.125)), Attr::Int(axis)])
}

fn last() -> Attrs {
    sample_attrs(-1)
}

fn first() -> Attrs {
    sample_attrs(0)
}

/// An axis of at least one element, and a float dtype.
fn along(op: &str, attrs: &Attrs, types: &[TypeRef]) -> Result<TensorType> {
    let shape = types[0].shape;
    if shape[axis(op, attrs, shape.len())?] == 0 {
        return Err(Error::shape(
            op,
            format_args!(
                "expected an axis with elements, got shape {}",
                shape::display(shape)
            ),
        ));
    }
    Ok(TensorType::new(shape, types[0].dtype.to_float()))
}

/// Two operands of one shape.
fn same(op: &str, attrs: &Attrs, types: &[TypeRef]) -> Result<TensorType> {
    let mut ty = along(op, attrs, types)?;
    shape::check_same(op, types[0].shape, types[1].shape)?;
    ty.dtype = ty.dtype.promote(types[1].dtype.to_float());
    Ok(ty)
}

/// Layer normalisation.
pub static LAYER_NORM: OpDef = OpDef {
    name: "layer_norm",
    class: "LayerNorm",
    numpy: &[],
    doc: "`(a - mean) / sqrt(variance + eps)` along `axis`, with the biased variance (Ba, Kiros and Hinton 2016, without gain and bias).\n\nShape of `a`; integers give floats. Raises ShapeError where the axis has no elements, AxisError for an axis that `a` does not have.",
    inputs: Inputs::Named(&["a"]),
    params: PARAMS,
    run: Run::One {
        infer: |attrs, t| along("layer_norm", attrs, t),
        forward: |attrs, x, ty| {
            let axis = axis("layer_norm", attrs, x[0].ndim())?;
            normalise::layer_norm(&cast(x[0], ty.dtype)?, axis, eps(attrs))
        },
    },
    derivative: Derivative::Rule {
        needs: Needs::X0,
        vjp: |s, g, _| Some(pulled(s, g[0]?, s.x(0))),
        // The Jacobian is symmetric: the op is the gradient of n sqrt(variance + eps).
        jvp: Tangent::Rule(|s, t| Some(pulled(s, t[0]?, s.x(0)))),
    },
    samples: &[
        Sample::with(last, &[(&[2, 3], Domain::Real)]),
        Sample::with(first, &[(&[3, 2, 2], Domain::Real)]),
    ],
};

fn pulled<'a>(s: &Site<'a>, g: Expr<'a>, x: Expr<'a>) -> Expr<'a> {
    g.with(&LAYER_NORM_GRADIENT, s.attrs.clone(), x)
}

/// Adjoint behind a layer normalisation.
pub static LAYER_NORM_GRADIENT: OpDef = OpDef {
    name: "layer_norm_gradient",
    class: "LayerNormGradient",
    numpy: &[],
    doc: "`r (g - mean(g) - y mean(g y))` along `axis`, with `y = layer_norm(a)` and `r = 1 / sqrt(variance + eps)`: the adjoint behind a layer normalisation.\n\n`g` and `a` have one shape; integers give floats. Raises ShapeError where the shapes differ or the axis has no elements, AxisError for an axis that they do not have.",
    inputs: Inputs::Named(&["g", "a"]),
    params: PARAMS,
    run: Run::One {
        infer: |attrs, t| same("layer_norm_gradient", attrs, t),
        forward: |attrs, x, ty| {
            let (g, x) = (cast(x[0], ty.dtype)?, cast(x[1], ty.dtype)?);
            let axis = axis("layer_norm_gradient", attrs, x.ndim())?;
            normalise::layer_norm_gradient(&g, &x, axis, eps(attrs))
        },
    },
    derivative: Derivative::Rule {
        needs: Needs::X0.and(Needs::X1),
        vjp: |s, h, i| Some(norm_term(s, h[0]?, i)),
        // Both Jacobians are symmetric, being second and third derivatives of one function.
        jvp: Tangent::Rule(|s, t| sum_of([0, 1].map(|i| t[i].map(|t| norm_term(s, t, i))))),
    },
    samples: &[
        Sample::with(last, &[(&[2, 3], Domain::Real), (&[2, 3], Domain::Real)]),
        Sample::with(first, &[(&[3, 2], Domain::Real), (&[3, 2], Domain::Real)]),
    ],
};

/// The mean along the axis, kept.
fn mean<'a>(s: &Site<'a>, x: Expr<'a>) -> Expr<'a> {
    let shape = x.shape();
    // `infer` has accepted the axis.
    let axis = axis("", s.attrs, shape.len()).unwrap_or(0);
    x.sum(&[axis], true)
        .mul_scalar(Constant::float(1.0 / shape[axis] as f64))
}

/// What `h` becomes behind the gradient op by input `i`: the derivative of
/// `r (mean(h g) - mean(h) mean(g) - mean(h y) mean(g y))` by the row, times its length.
fn norm_term<'a>(s: &Site<'a>, h: Expr<'a>, i: usize) -> Expr<'a> {
    let (g, x) = (s.x(0), s.x(1));
    if i == 0 {
        return pulled(s, h, x);
    }
    let mean = |x: Expr<'a>| mean(s, x);
    let centred = x - mean(x);
    let variance = mean(centred * centred);
    let r = variance
        .add_scalar(Constant::float(eps(s.attrs)))
        .power_scalar(Constant::float(-0.5));
    let y = centred * r;
    let (hy, gy) = (mean(h * y), mean(g * y));
    let level = mean(h * g) - mean(h) * mean(g) - hy * gy;
    -(r * (r * y * level + gy * pulled(s, h, x) + hy * pulled(s, g, x)))
}
