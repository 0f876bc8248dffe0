//! Layer normalisation and cross-entropy: fused forward and fused backward.

use super::{
    Attrs, Constant, Derivative, Domain, Expr, Inputs, Needs, OpDef, Param, ParamKind, Run, Sample,
    Site, Tangent, TypeRef, softmax,
};
use crate::error::{Error, Result};
use crate::kernels::{copy, normalise};
use crate::shape::{self, TensorType};

const EPS: &[Param] = &[Param::optional("eps", ParamKind::Scalar, "1e-05")];

fn eps(attrs: &Attrs) -> f64 {
    attrs.constant(0).value.to_f64()
}

fn eps_attrs() -> Attrs {
    Attrs::scalar(Constant::float(0.125))
}

/// Rows of at least one element in a float dtype.
fn rows(op: &str, types: &[TypeRef]) -> Result<TensorType> {
    if types[0].shape.last().is_none_or(|&n| n == 0) {
        return Err(Error::shape(
            op,
            format_args!(
                "expected a last axis with elements, got shape {}",
                shape::display(types[0].shape)
            ),
        ));
    }
    Ok(TensorType::new(types[0].shape, types[0].dtype.to_float()))
}

/// Two operands of one shape.
fn same_rows(op: &str, types: &[TypeRef]) -> Result<TensorType> {
    let mut ty = rows(op, types)?;
    shape::check_same(op, types[0].shape, types[1].shape)?;
    ty.dtype = ty.dtype.promote(types[1].dtype.to_float());
    Ok(ty)
}

/// The mean over the last axis, kept.
fn mean(x: Expr) -> Expr {
    let shape = x.shape();
    let last = shape.len() - 1;
    x.sum(&[last], true)
        .mul_scalar(Constant::float(1.0 / shape[last] as f64))
}

/// Layer normalisation.
pub static LAYER_NORM: OpDef = OpDef {
    name: "layer_norm",
    class: "LayerNorm",
    doc: "`(a - mean) / sqrt(variance + eps)` over the last axis, with the biased variance (Ba, Kiros and Hinton 2016, without gain and bias).\n\nShape of `a`; integers give floats. Raises ShapeError where there is no last axis with elements.",
    inputs: Inputs::Named(&["a"]),
    params: EPS,
    run: Run::One {
        infer: |_, t| rows("layer_norm", t),
        forward: |attrs, x, ty| normalise::layer_norm(&copy::cast(x[0], ty.dtype)?, eps(attrs)),
    },
    derivative: Derivative::Rule {
        needs: Needs::X0,
        vjp: |s, g, _| Some(pulled(s, g[0]?, s.x(0))),
        // The Jacobian is symmetric: the op is the gradient of n sqrt(variance + eps).
        jvp: Tangent::Rule(|s, t| Some(pulled(s, t[0]?, s.x(0)))),
    },
    samples: &[
        Sample::with(eps_attrs, &[(&[2, 3], Domain::Real)]),
        Sample::with(eps_attrs, &[(&[2, 2, 4], Domain::Real)]),
    ],
};

fn pulled<'a>(s: &Site<'a>, g: Expr<'a>, x: Expr<'a>) -> Expr<'a> {
    g.with(&LAYER_NORM_GRADIENT, s.attrs.clone(), x)
}

/// Adjoint behind a layer normalisation.
pub static LAYER_NORM_GRADIENT: OpDef = OpDef {
    name: "layer_norm_gradient",
    class: "LayerNormGradient",
    doc: "`r (g - mean(g) - y mean(g y))` over the last axis, with `y = layer_norm(a)` and `r = 1 / sqrt(variance + eps)`: the adjoint behind a layer normalisation.\n\n`g` and `a` have one shape; integers give floats. Raises ShapeError where the shapes differ or there is no last axis with elements.",
    inputs: Inputs::Named(&["g", "a"]),
    params: EPS,
    run: Run::One {
        infer: |_, t| same_rows("layer_norm_gradient", t),
        forward: |attrs, x, ty| {
            let (g, x) = (copy::cast(x[0], ty.dtype)?, copy::cast(x[1], ty.dtype)?);
            normalise::layer_norm_gradient(&g, &x, eps(attrs))
        },
    },
    derivative: Derivative::Rule {
        needs: Needs::X0.and(Needs::X1),
        vjp: |s, h, i| Some(norm_term(s, h[0]?, i)),
        // Both Jacobians are symmetric, being second and third derivatives of one function.
        jvp: Tangent::Rule(|s, t| match (t[0], t[1]) {
            (Some(a), Some(b)) => Some(norm_term(s, a, 0) + norm_term(s, b, 1)),
            (Some(a), None) => Some(norm_term(s, a, 0)),
            (None, Some(b)) => Some(norm_term(s, b, 1)),
            (None, None) => None,
        }),
    },
    samples: &[
        Sample::with(
            eps_attrs,
            &[(&[2, 3], Domain::Real), (&[2, 3], Domain::Real)],
        ),
        Sample::with(eps_attrs, &[(&[4], Domain::Real), (&[4], Domain::Real)]),
    ],
};

/// What `h` becomes behind the gradient op by input `i`: the derivative of
/// `r (mean(h g) - mean(h) mean(g) - mean(h y) mean(g y))` by the row, times its length.
fn norm_term<'a>(s: &Site<'a>, h: Expr<'a>, i: usize) -> Expr<'a> {
    let (g, x) = (s.x(0), s.x(1));
    if i == 0 {
        return pulled(s, h, x);
    }
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

/// Mean cross-entropy.
pub static CROSS_ENTROPY: OpDef = OpDef {
    name: "cross_entropy",
    class: "CrossEntropy",
    doc: "The mean over all rows of the last axis of `-sum(target * log_softmax(logits))`.\n\n`target` holds probabilities, one-hot rows for instance, in the shape of `logits`. The result has no dimensions; integers give floats. Raises ShapeError where the shapes differ or there is no last axis with elements.",
    inputs: Inputs::Named(&["logits", "target"]),
    params: &[],
    run: Run::One {
        infer: |_, t| {
            let ty = same_rows("cross_entropy", t)?;
            Ok(TensorType::new(&[], ty.dtype))
        },
        forward: |_, x, ty| {
            let (x, t) = (copy::cast(x[0], ty.dtype)?, copy::cast(x[1], ty.dtype)?);
            normalise::cross_entropy(&x, &t)
        },
    },
    derivative: Derivative::Rule {
        needs: Needs::X0.and(Needs::X1),
        vjp: |s, g, i| Some(entropy_slope(s, g[0]?, i)),
        jvp: Tangent::Rule(|s, t| {
            let term = |i: usize| {
                let slope = entropy_slope(s, s.y().constant(1.0), i);
                let axes: Vec<usize> = (0..slope.shape().len()).collect();
                t[i].map(|t| t.chain(slope).sum(&axes, false))
            };
            match (term(0), term(1)) {
                (Some(a), Some(b)) => Some(a + b),
                (a, b) => a.or(b),
            }
        }),
    },
    samples: &[
        Sample::plain(&[(&[2, 3], Domain::Real), (&[2, 3], Domain::Positive)]),
        Sample::plain(&[(&[4], Domain::Real), (&[4], Domain::Real)]),
    ],
};

fn entropy_slope<'a>(s: &Site<'a>, g: Expr<'a>, i: usize) -> Expr<'a> {
    let (x, t) = (s.x(0), s.x(1));
    if i == 0 {
        let ids = [g.id(), x.id(), t.id()];
        let id = s
            .algebra
            .apply(&CROSS_ENTROPY_GRADIENT, Attrs::none(), &ids);
        Expr::new(s.algebra, id)
    } else {
        -g.chain(x.apply(&softmax::LOG_SOFTMAX, last_axis()))
            .mul_scalar(per_row(x))
    }
}

fn last_axis() -> Attrs {
    Attrs::one(super::Attr::Int(-1))
}

/// One over the number of rows.
fn per_row(x: Expr) -> Constant {
    let shape = x.shape();
    let count: usize = shape[..shape.len() - 1].iter().product();
    Constant::float(1.0 / count as f64)
}

/// Adjoint behind a mean cross-entropy.
pub static CROSS_ENTROPY_GRADIENT: OpDef = OpDef {
    name: "cross_entropy_gradient",
    class: "CrossEntropyGradient",
    doc: "`g (sum(target) softmax(logits) - target) / rows`: the adjoint of the logits behind `cross_entropy`.\n\n`g` has no dimensions, `logits` and `target` have one shape; integers give floats. Raises ShapeError where the shapes do not fit.",
    inputs: Inputs::Named(&["g", "logits", "target"]),
    params: &[],
    run: Run::One {
        infer: |_, t| {
            if !t[0].shape.is_empty() {
                return Err(Error::shape(
                    "cross_entropy_gradient",
                    format_args!("g has shape {}, expected ()", shape::display(t[0].shape)),
                ));
            }
            let mut ty = same_rows("cross_entropy_gradient", &t[1..])?;
            ty.dtype = ty.dtype.promote(t[0].dtype.to_float());
            Ok(ty)
        },
        forward: |_, x, ty| {
            let [g, x, t] = [0, 1, 2].map(|i| copy::cast(x[i], ty.dtype));
            normalise::cross_entropy_gradient(&g?, &x?, &t?)
        },
    },
    derivative: Derivative::Rule {
        needs: Needs::X0.and(Needs::X1).and(Needs::X2),
        vjp: |s, h, i| {
            let (h, x, t) = (h[0]?, s.x(1), s.x(2));
            let last = x.shape().len() - 1;
            let share = x.apply(&softmax::SOFTMAX, last_axis());
            let g = s.x(0).mul_scalar(per_row(x));
            Some(match i {
                0 => {
                    let axes: Vec<usize> = (0..=last).collect();
                    let slope = t.sum(&[last], true) * share - t;
                    h.chain(slope).sum(&axes, false).mul_scalar(per_row(x))
                }
                1 => {
                    let op = &super::slopes::SOFTMAX_GRADIENT;
                    (t.sum(&[last], true) * h.with(op, last_axis(), share)).chain(g)
                }
                _ => (h.chain(share).sum(&[last], true) - h).chain(g),
            })
        },
        jvp: Tangent::Rule(|s, d| {
            let (x, t) = (s.x(1), s.x(2));
            let last = x.shape().len() - 1;
            let share = x.apply(&softmax::SOFTMAX, last_axis());
            let g = s.x(0).mul_scalar(per_row(x));
            let op = &super::slopes::SOFTMAX_GRADIENT;
            let terms = [
                d[0].map(|d| {
                    let slope = t.sum(&[last], true) * share - t;
                    slope.chain(d).mul_scalar(per_row(x))
                }),
                d[1].map(|d| (t.sum(&[last], true) * d.with(op, last_axis(), share)).chain(g)),
                d[2].map(|d| (d.sum(&[last], true) * share - d).chain(g)),
            ];
            terms.into_iter().flatten().reduce(|a, b| a + b)
        }),
    },
    samples: &[Sample::plain(&[
        (&[], Domain::Real),
        (&[2, 3], Domain::Real),
        (&[2, 3], Domain::Positive),
    ])],
};
