//! Normalisation along an axis: fused forward and fused backward.

use super::algebra::sum_of;
use super::elementary::ABS;
use super::reduction::{MAX, MEAN};
use super::{
    Attr, Attrs, Constant, Derivative, Domain, Expr, Inputs, Needs, OpDef, Param, ParamKind, Run,
    Sample, Site, Tangent, TypeRef,
};
use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernels::cast::cast;
use crate::kernels::normalise;
use crate::shape::{self, TensorType};

/// The ops of this file.
pub(super) const OPS: &[&OpDef] = &[
    &LAYER_NORM,
    &LAYER_NORM_GRADIENT,
    &RMS_NORM,
    &RMS_NORM_GRADIENT,
];

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

type Kernel = fn(&Array, usize, f64) -> Result<Array>;
type GradientKernel = fn(&Array, &Array, usize, f64) -> Result<Array>;

/// A normalisation, its adjoint, and whether the mean is taken out.
struct Family {
    norm: &'static OpDef,
    gradient: &'static OpDef,
    centred: bool,
}

static LAYER: Family = Family {
    norm: &LAYER_NORM,
    gradient: &LAYER_NORM_GRADIENT,
    centred: true,
};

static RMS: Family = Family {
    norm: &RMS_NORM,
    gradient: &RMS_NORM_GRADIENT,
    centred: false,
};

fn forward(op: &str, kernel: Kernel, attrs: &Attrs, x: &Array, dtype: DType) -> Result<Array> {
    kernel(&cast(x, dtype)?, axis(op, attrs, x.ndim())?, eps(attrs))
}

fn adjoint(
    op: &str,
    kernel: GradientKernel,
    attrs: &Attrs,
    x: &[&Array],
    dtype: DType,
) -> Result<Array> {
    let (g, x) = (cast(x[0], dtype)?, cast(x[1], dtype)?);
    kernel(&g, &x, axis(op, attrs, x.ndim())?, eps(attrs))
}

/// A row for each of a normalisation and its adjoint: item, name, class, kernel, family and
/// documentation.
macro_rules! normalisation {
    ($(#[$doc:meta])* $item:ident, $name:literal, $class:literal, $kernel:path, $what:literal;
     $(#[$gdoc:meta])* $gradient:ident, $gname:literal, $gclass:literal, $gkernel:path,
     $gwhat:literal; $family:ident) => {
        $(#[$doc])*
        pub static $item: OpDef = OpDef {
            name: $name,
            class: $class,
            numpy: &[],
            doc: concat!(
                $what,
                "\n\nShape of `a`; integers give floats. Squares that overflow the dtype, or vanish in it, do no harm. Raises ShapeError where the axis has no elements, AxisError for an axis that `a` does not have."
            ),
            inputs: Inputs::Named(&["a"]),
            params: PARAMS,
            run: Run::One {
                infer: |attrs, t| along($name, attrs, t),
                forward: |attrs, x, ty| forward($name, $kernel, attrs, x[0], ty.dtype),
            },
            derivative: Derivative::Rule {
                needs: Needs::X0,
                vjp: |s, g, _| Some(pulled(s, g[0]?, s.x(0), &$family)),
                // The Jacobian is symmetric: the op is the gradient of n sqrt(variance + eps).
                jvp: Tangent::Rule(|s, t| Some(pulled(s, t[0]?, s.x(0), &$family))),
            },
            samples: &[
                Sample::with(last, &[(&[2, 3], Domain::Real)]),
                Sample::with(first, &[(&[3, 2, 2], Domain::Real)]),
            ],
        };

        $(#[$gdoc])*
        pub static $gradient: OpDef = OpDef {
            name: $gname,
            class: $gclass,
            numpy: &[],
            doc: concat!(
                $gwhat,
                "\n\n`g` and `a` have one shape; integers give floats. Raises ShapeError where the shapes differ or the axis has no elements, AxisError for an axis that they do not have."
            ),
            inputs: Inputs::Named(&["g", "a"]),
            params: PARAMS,
            run: Run::One {
                infer: |attrs, t| same($gname, attrs, t),
                forward: |attrs, x, ty| adjoint($gname, $gkernel, attrs, x, ty.dtype),
            },
            derivative: Derivative::Rule {
                needs: Needs::X0.and(Needs::X1),
                vjp: |s, h, i| Some(norm_term(s, h[0]?, i, &$family)),
                // Both Jacobians are symmetric, being second and third derivatives of one function.
                jvp: Tangent::Rule(|s, t| {
                    sum_of([0, 1].map(|i| t[i].map(|t| norm_term(s, t, i, &$family))))
                }),
            },
            samples: &[
                Sample::with(last, &[(&[2, 3], Domain::Real), (&[2, 3], Domain::Real)]),
                Sample::with(first, &[(&[3, 2], Domain::Real), (&[3, 2], Domain::Real)]),
            ],
        };
    };
}

normalisation! {
    /// Layer normalisation.
    LAYER_NORM, "layer_norm", "LayerNorm", normalise::layer_norm,
    "`(a - mean) / sqrt(variance + eps)` along `axis`, with the biased variance (Ba, Kiros and Hinton 2016, without gain and bias).";
    /// Adjoint behind a layer normalisation.
    LAYER_NORM_GRADIENT, "layer_norm_gradient", "LayerNormGradient", normalise::layer_norm_gradient,
    "`r (g - mean(g) - y mean(g y))` along `axis`, with `y = layer_norm(a)` and `r = 1 / sqrt(variance + eps)`: the adjoint behind a layer normalisation.";
    LAYER
}

normalisation! {
    /// Root-mean-square normalisation.
    RMS_NORM, "rms_norm", "RMSNorm", normalise::rms_norm,
    "`a / sqrt(mean(a^2) + eps)` along `axis` (Zhang and Sennrich 2019, without gain).";
    /// Adjoint behind a root-mean-square normalisation.
    RMS_NORM_GRADIENT, "rms_norm_gradient", "RMSNormGradient", normalise::rms_norm_gradient,
    "`r (g - y mean(g y))` along `axis`, with `y = rms_norm(a)` and `r = 1 / sqrt(mean(a^2) + eps)`: the adjoint behind a root-mean-square normalisation.";
    RMS
}

fn pulled<'a>(s: &Site<'a>, g: Expr<'a>, x: Expr<'a>, family: &Family) -> Expr<'a> {
    g.with(family.gradient, s.attrs.clone(), x)
}

/// What a reduction makes of the axis, which is kept.
fn reduced<'a>(s: &Site<'a>, x: Expr<'a>, reduction: &'static OpDef) -> Expr<'a> {
    let axes = Attr::Ints([s.attrs.int(1)].into());
    x.apply(reduction, Attrs::of([axes, Attr::Bool(true)]))
}

/// `1 / sqrt(variance + eps)`, or with the mean square. Squares are taken of ratios to the larger one
/// of the largest element and the root of `eps`, so that none overflows, nor vanishes where it counts.
fn scale<'a>(s: &Site<'a>, x: Expr<'a>, family: &Family) -> Expr<'a> {
    let eps = eps(s.attrs);
    let centred = if family.centred {
        x - reduced(s, x, &MEAN)
    } else {
        // In floats: squares of integers would wrap.
        x.cast(x.dtype().to_float())
    };
    let least = centred.constant(eps.abs().sqrt());
    let size = reduced(s, centred.apply(&ABS, Attrs::none()), &MAX).maximum(least);
    let (ratio, least) = (centred / size, least / size);
    let variance = reduced(s, ratio * ratio, &MEAN);
    let sum = if eps < 0.0 {
        variance - least * least
    } else {
        variance + least * least
    };
    sum.power_scalar(Constant::float(-0.5)) / size
}

/// What `h` becomes behind the gradient op by input `i`: the derivative of
/// `r (mean(h g) - mean(h) mean(g) - mean(h y) mean(g y))` by the row, times its length; without
/// the product of means where no mean is taken out.
///
/// Each product of adjoints has one `r` in it before it is formed: it is no larger than the other.
fn norm_term<'a>(s: &Site<'a>, h: Expr<'a>, i: usize, family: &Family) -> Expr<'a> {
    let (g, x) = (s.x(0), s.x(1));
    if i == 0 {
        return pulled(s, h, x, family);
    }
    let mean = |x: Expr<'a>| reduced(s, x, &MEAN);
    let y = x.apply(family.norm, s.attrs.clone());
    let r = scale(s, x, family);
    let scaled = h * r;
    let (hy, gy) = (mean(h * y), mean(g * y));
    let mut level = mean(scaled * g) - r * hy * gy;
    if family.centred {
        level = level - mean(scaled) * mean(g);
    }
    let pulled = |g: Expr<'a>| pulled(s, g, x, family);
    -(r * (y * level + gy * pulled(h) + hy * pulled(g)))
}
