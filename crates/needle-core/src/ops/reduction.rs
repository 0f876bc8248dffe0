//! Reductions over any axes.

use super::algebra::ints;
use super::attrs::REDUCTION_PARAMS;
use super::{Attr, Attrs, Derivative, Domain, Expr, Inputs, Needs, OpDef, Run, Sample, Site};
use super::{Constant, Param, ParamKind, Tangent, TypeRef, Vjp};
use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernels::cast::cast;
use crate::kernels::{reduce, variance};
use crate::shape::{self, TensorType};
use reduce::Reduce;
use smallvec::SmallVec;

/// The ops of this file.
pub(super) const OPS: &[&OpDef] = &[&SUMMATION, &MEAN, &MAX, &MIN, &VAR];

const A: Inputs = Inputs::Named(&["a"]);

/// The sorted axes that the attributes name. `infer` has checked them.
pub(super) fn axes_of(op: &str, attrs: &Attrs, ndim: usize) -> Result<SmallVec<[usize; 4]>> {
    shape::normalize_axes(op, attrs.ints(0), ndim)
}

pub(super) fn reduced_type(
    op: &str,
    attrs: &Attrs,
    types: &[TypeRef],
    dtype: DType,
) -> Result<TensorType> {
    let axes = axes_of(op, attrs, types[0].shape.len())?;
    let shape = shape::reduced(types[0].shape, &axes, attrs.flag(1));
    Ok(TensorType { shape, dtype })
}

fn run(op: &str, kernel: Reduce, attrs: &Attrs, x: &Array, dtype: DType) -> Result<Array> {
    let axes = axes_of(op, attrs, x.ndim())?;
    reduce::reduce(kernel, &cast(x, dtype)?, &axes, attrs.flag(1))
}

/// The axes of a site's reduction, which `infer` has accepted, as a plain list.
pub(super) fn site_axes(s: &Site) -> SmallVec<[usize; 4]> {
    let ndim = s.x(0).shape().len();
    axes_of("", s.attrs, ndim).unwrap_or_default()
}

/// Brings a value of the reduced shape back to the input's.
pub(super) fn spread<'a>(s: &Site<'a>, value: Expr<'a>) -> Expr<'a> {
    value.spread(&s.x(0).shape(), &site_axes(s))
}

fn count(s: &Site) -> usize {
    let shape = s.x(0).shape();
    site_axes(s).iter().map(|&axis| shape[axis]).product()
}

/// The reduction of the site behind a new first axis.
fn next_axes(s: &Site) -> Attrs {
    let axes: Vec<usize> = site_axes(s).iter().map(|axis| axis + 1).collect();
    Attrs::of([ints(&axes), Attr::Bool(s.attrs.flag(1))])
}

fn axes(list: &[isize], keepdims: bool) -> Attrs {
    Attrs::of([Attr::Ints(list.into()), Attr::Bool(keepdims)])
}

fn all_axes() -> Attrs {
    Attrs::of([Attr::None, Attr::Bool(false)])
}

const SAMPLES: &[Sample] = &[
    Sample::with(all_axes, &[(&[2, 3], Domain::Distinct)]),
    Sample::with(|| axes(&[1], false), &[(&[2, 3, 2], Domain::Distinct)]),
    Sample::with(|| axes(&[-1, 0], true), &[(&[2, 3, 2], Domain::Distinct)]),
    Sample::with(|| axes(&[], false), &[(&[2, 2], Domain::Distinct)]),
    Sample::with(|| axes(&[0], false), &[(&[1, 3], Domain::Distinct)]),
];

/// Sum.
pub static SUMMATION: OpDef = OpDef {
    name: "summation",
    class: "Summation",
    numpy: &["sum", "add.reduce"],
    doc: "Sum over `axes`: `None` for all, an integer or several.\n\nReduced axes go away, or stay with length 1 with `keepdims`. Integers and bool are summed in 64 bits. `axes=()` reduces nothing. Raises AxisError for an axis that `a` does not have or that is named twice.",
    inputs: A,
    params: REDUCTION_PARAMS,
    run: Run::One {
        infer: |attrs, t| reduced_type("summation", attrs, t, t[0].dtype.accumulator()),
        forward: |attrs, x, ty| run("summation", Reduce::Sum, attrs, x[0], ty.dtype),
    },
    derivative: Derivative::Rule {
        needs: Needs::NOTHING,
        vjp: |s, g, _| Some(spread(s, g[0]?)),
        jvp: Tangent::LinearAlong(|s, _| next_axes(s)),
    },
    samples: SAMPLES,
};

/// Quotients of integers are float64.
fn mean_dtype(dtype: DType) -> DType {
    if dtype.is_float() { dtype } else { DType::F64 }
}

/// Arithmetic mean.
pub static MEAN: OpDef = OpDef {
    name: "mean",
    class: "Mean",
    numpy: &["mean"],
    doc: "Arithmetic mean over `axes`: `None` for all, an integer or several.\n\nReduced axes go away, or stay with length 1 with `keepdims`. Integers give float64; the mean of nothing is NaN. A sum that overflows does no harm. Raises AxisError for an axis that `a` does not have or that is named twice.",
    inputs: A,
    params: REDUCTION_PARAMS,
    run: Run::One {
        infer: |attrs, t| reduced_type("mean", attrs, t, mean_dtype(t[0].dtype)),
        forward: |attrs, x, ty| {
            let axes = axes_of("mean", attrs, x[0].ndim())?;
            variance::mean(&cast(x[0], ty.dtype)?, &axes, attrs.flag(1))
        },
    },
    derivative: Derivative::Rule {
        needs: Needs::NOTHING,
        vjp: |s, g, _| {
            let n = Constant::float(1.0 / count(s) as f64);
            Some(spread(s, g[0]?.mul_scalar(n)))
        },
        jvp: Tangent::LinearAlong(|s, _| next_axes(s)),
    },
    samples: SAMPLES,
};

/// Variance.
pub static VAR: OpDef = OpDef {
    name: "var",
    class: "Var",
    numpy: &["var"],
    doc: "Variance over `axes`: the mean of the squared distances from the mean.\n\nThe sum of the squares is divided by the number of elements less `correction`: 0 for the biased variance, 1 for the unbiased one; `axes` and `keepdims` are as in `summation`. Integers give float64; without more elements than `correction` it is NaN or infinite, and infinite where it is larger than the dtype can hold. Raises AxisError for an axis that `a` does not have or that is named twice.",
    inputs: A,
    params: &[
        REDUCTION_PARAMS[0],
        REDUCTION_PARAMS[1],
        Param::optional("correction", ParamKind::Int, "0"),
    ],
    run: Run::One {
        infer: |attrs, t| reduced_type("var", attrs, t, mean_dtype(t[0].dtype)),
        forward: |attrs, x, ty| {
            let axes = axes_of("var", attrs, x[0].ndim())?;
            let count: usize = axes.iter().map(|&axis| x[0].shape()[axis]).product();
            let x = cast(x[0], ty.dtype)?;
            variance::variance(&x, &axes, attrs.flag(1), degrees(attrs, count))
        },
    },
    derivative: Derivative::Rule {
        needs: Needs::X0,
        vjp: |s, g, _| Some(spread(s, g[0]?).chain(var_slope(s))),
        jvp: Tangent::Rule(|s, t| {
            let moved = t[0]?.chain(var_slope(s));
            Some(moved.sum(&site_axes(s), s.attrs.flag(1)))
        }),
    },
    samples: &[
        Sample::with(
            || corrected(Attr::None, false, 0),
            &[(&[2, 3], Domain::Real)],
        ),
        Sample::with(
            || corrected(Attr::Ints([-1, 0].into()), true, 1),
            &[(&[2, 3, 2], Domain::Real)],
        ),
        Sample::with(
            || corrected(Attr::Ints([0].into()), false, 1),
            &[(&[3, 2], Domain::Real)],
        ),
    ],
};

fn corrected(axes: Attr, keepdims: bool, correction: isize) -> Attrs {
    Attrs::of([axes, Attr::Bool(keepdims), Attr::Int(correction)])
}

/// What the sum of the squares is divided by.
fn degrees(attrs: &Attrs, count: usize) -> f64 {
    (count as f64 - attrs.int(2) as f64).max(0.0)
}

/// `2 (x - mean) / degrees`.
fn var_slope<'a>(s: &Site<'a>) -> Expr<'a> {
    let (x, n) = (s.x(0), count(s));
    let axes = Attrs::of([ints(&site_axes(s)), Attr::Bool(true)]);
    let mean = x.apply(&MEAN, axes);
    (x - mean).mul_scalar(Constant::float(2.0 / degrees(s.attrs, n)))
}

/// The adjoint goes to the elements that equal the extremum, in equal shares.
const TO_EXTREMA: Vjp = |s, g, _| {
    let g = g[0]?;
    let x = s.x(0);
    let hits = x.equal(spread(s, s.y())).cast(g.dtype().to_float());
    let shares = hits / hits.sum(&site_axes(s), true);
    Some(spread(s, g).chain(shares))
};

fn extremum_type(op: &str, attrs: &Attrs, types: &[TypeRef]) -> Result<TensorType> {
    let ty = reduced_type(op, attrs, types, types[0].dtype)?;
    let axes = axes_of(op, attrs, types[0].shape.len())?;
    if axes.iter().any(|&axis| types[0].shape[axis] == 0) {
        return Err(Error::Value(format!(
            "{op}: no elements to choose from along the reduced axes of {}",
            shape::display(types[0].shape)
        )));
    }
    Ok(ty)
}

/// The tangent of the extremum: the mean of the tangents of the elements that equal it.
fn extremum_tangent<'a>(s: &Site<'a>, t: &[Option<Expr<'a>>]) -> Option<Expr<'a>> {
    let t = t[0]?;
    let hits = s.x(0).equal(spread(s, s.y())).cast(t.dtype().to_float());
    let axes = site_axes(s);
    let mean = t.chain(hits).sum(&axes, true) / hits.sum(&axes, true);
    Some(mean.reshape(&s.y().shape()))
}

/// A row: name, class, names in NumPy, kernel, adjective.
macro_rules! extremum {
    ($(#[$doc:meta])* $item:ident, $name:literal, $class:literal, $numpy:expr, $kernel:ident,
     $what:literal) => {
        $(#[$doc])*
        pub static $item: OpDef = OpDef {
            name: $name,
            class: $class,
            numpy: &$numpy,
            doc: concat!(
                $what, " element over `axes`: `None` for all, an integer or several; ",
                "NaN where any is NaN.\n\n",
                "Reduced axes go away, or stay with length 1 with `keepdims`. ",
                "Elements that tie share the gradient equally. ",
                "Raises AxisError for an axis that `a` does not have or that is named twice, ",
                "ValueError where a reduced axis is empty."
            ),
            inputs: A,
            params: REDUCTION_PARAMS,
            run: Run::One {
                infer: |attrs, t| extremum_type($name, attrs, t),
                forward: |attrs, x, ty| run($name, Reduce::$kernel, attrs, x[0], ty.dtype),
            },
            derivative: Derivative::Rule {
                needs: Needs::X0.and(Needs::Y),
                vjp: TO_EXTREMA,
                jvp: Tangent::Rule(extremum_tangent),
            },
            samples: SAMPLES,
        };
    };
}

extremum!(
    /// Largest element.
    MAX, "max", "Max", ["max", "amax", "maximum.reduce"], Max, "Largest"
);
extremum!(
    /// Smallest element.
    MIN, "min", "Min", ["min", "amin", "minimum.reduce"], Min, "Smallest"
);
