//! Shape and dtype: views and conversions, all linear.

use super::algebra::ints;
use super::{
    Attr, Attrs, Derivative, Domain, Inputs, Needs, OpDef, Param, ParamKind, Run, Sample, Tangent,
};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernels::cast::cast;
use crate::kernels::copy;
use crate::shape::{self, Dims, TensorType};

/// The ops of this file.
pub(super) const OPS: &[&OpDef] = &[&BROADCAST_TO, &RESHAPE, &TRANSPOSE, &PERMUTE, &ASTYPE];

const A: Inputs = Inputs::Named(&["a"]);

/// Broadcasting.
pub static BROADCAST_TO: OpDef = OpDef {
    name: "broadcast_to",
    class: "BroadcastTo",
    numpy: &["broadcast_to"],
    doc: "`a` with axes of length 1 repeated, and new leading axes, to `shape`.\n\nA view: nothing is copied. Raises ShapeError where `a` does not broadcast to `shape`.",
    inputs: A,
    params: &[Param::required("shape", ParamKind::Shape)],
    run: Run::One {
        infer: |attrs, t| {
            let target = shape::lengths("broadcast_to", attrs.ints(0).unwrap_or_default())?;
            if !shape::broadcasts_to(t[0].shape, &target) {
                return Err(Error::shape(
                    "broadcast_to",
                    format_args!(
                        "cannot broadcast {} to {}",
                        shape::display(t[0].shape),
                        shape::display(&target)
                    ),
                ));
            }
            Ok(TensorType {
                shape: target,
                dtype: t[0].dtype,
            })
        },
        forward: |_, x, ty| Ok(x[0].broadcast_to(&ty.shape)),
    },
    derivative: Derivative::Rule {
        needs: Needs::NOTHING,
        vjp: |s, g, _| Some(g[0]?.sum_to(&s.x(0).shape())),
        jvp: Tangent::Linear,
    },
    samples: &[
        Sample::with(|| Attrs::one(ints(&[3, 3, 3])), &[(&[3, 1], Domain::Real)]),
        Sample::with(|| Attrs::one(ints(&[2, 3])), &[(&[], Domain::Real)]),
    ],
};

/// Reshape.
pub static RESHAPE: OpDef = OpDef {
    name: "reshape",
    class: "Reshape",
    numpy: &["reshape"],
    doc: "The elements of `a` in row-major order under another `shape`; one length may be -1.\n\nA view where the memory allows it. Raises ShapeError where the sizes differ.",
    inputs: A,
    params: &[Param::required("shape", ParamKind::Shape)],
    run: Run::One {
        infer: |attrs, t| {
            let shape =
                shape::resolve_reshape("reshape", t[0].shape, attrs.ints(0).unwrap_or_default())?;
            Ok(TensorType {
                shape,
                dtype: t[0].dtype,
            })
        },
        forward: |_, x, ty| copy::reshape(x[0], &ty.shape),
    },
    derivative: Derivative::Rule {
        needs: Needs::NOTHING,
        vjp: |s, g, _| Some(g[0]?.reshape(&s.x(0).shape())),
        jvp: Tangent::LinearAlong(|s, directions| {
            let mut shape = s.y().shape();
            shape.insert(0, directions);
            Attrs::one(ints(&shape))
        }),
    },
    samples: &[
        Sample::with(|| Attrs::one(ints(&[3, 2])), &[(&[2, 3], Domain::Real)]),
        Sample::with(
            || Attrs::one(Attr::Ints([-1].into())),
            &[(&[2, 2], Domain::Real)],
        ),
    ],
};

/// The two axes that a transpose swaps.
fn swapped(attrs: &Attrs, ndim: usize) -> Result<Dims> {
    let mut order: Dims = (0..ndim).collect();
    let (a, b) = match attrs.ints(0) {
        // As in NumPy, the transpose of a vector is the vector.
        None if ndim < 2 => return Ok(order),
        None => (ndim - 2, ndim - 1),
        Some(&[a, b]) => (
            shape::normalize_axis("transpose", a, ndim)?,
            shape::normalize_axis("transpose", b, ndim)?,
        ),
        Some(other) => {
            return Err(Error::Value(format!(
                "transpose: expected the two axes to swap, got {} of them\nhint: use permute for a whole order",
                other.len()
            )));
        }
    };
    order.swap(a, b);
    Ok(order)
}

/// Swap of two axes.
pub static TRANSPOSE: OpDef = OpDef {
    name: "transpose",
    class: "Transpose",
    numpy: &["matrix_transpose", "linalg.matrix_transpose"],
    doc: "`a` with two axes swapped: the two given, or the last two.\n\nA view: nothing is copied. What has fewer than two dimensions stays as it is. Not a permutation of all axes: see `permute`. Raises AxisError for an axis that `a` does not have.",
    inputs: A,
    params: &[Param::optional("axes", ParamKind::Axes, "None")],
    run: Run::One {
        infer: |attrs, t| {
            let order = swapped(attrs, t[0].shape.len())?;
            let shape = order.iter().map(|&axis| t[0].shape[axis]).collect();
            Ok(TensorType {
                shape,
                dtype: t[0].dtype,
            })
        },
        forward: |attrs, x, _| Ok(x[0].permute(&swapped(attrs, x[0].ndim())?)),
    },
    derivative: Derivative::Rule {
        needs: Needs::NOTHING,
        vjp: |s, g, _| Some(g[0]?.apply(&TRANSPOSE, s.attrs.clone())),
        jvp: Tangent::LinearAlong(|s, _| match s.attrs.ints(0) {
            // From the front an axis has one more before it, from the back none.
            Some(axes) => {
                let axes = axes.iter().map(|&axis| axis + isize::from(axis >= 0));
                Attrs::one(Attr::Ints(axes.collect()))
            }
            // Stacked vectors are no vector, and stay as they are.
            None if s.x(0).shape().len() == 1 => Attrs::one(ints(&[0, 0])),
            None => s.attrs.clone(),
        }),
    },
    samples: &[
        Sample::with(|| Attrs::one(Attr::None), &[(&[2, 3], Domain::Real)]),
        Sample::with(|| Attrs::one(Attr::None), &[(&[3], Domain::Real)]),
        Sample::with(
            || Attrs::one(Attr::Ints([0, -1].into())),
            &[(&[2, 3, 4], Domain::Real)],
        ),
    ],
};

fn order_of(attrs: &Attrs, ndim: usize) -> Result<Dims> {
    let Some(given) = attrs.ints(0) else {
        return Ok((0..ndim).rev().collect());
    };
    let order = given
        .iter()
        .map(|&axis| shape::normalize_axis("permute", axis, ndim))
        .collect::<Result<Dims>>()?;
    shape::normalize_axes("permute", Some(given), ndim)?;
    if order.len() != ndim {
        return Err(Error::shape(
            "permute",
            format_args!("{} axes given for {ndim} dimensions", order.len()),
        ));
    }
    Ok(order)
}

/// Permutation of the axes.
pub static PERMUTE: OpDef = OpDef {
    name: "permute",
    class: "Permute",
    numpy: &["transpose"],
    doc: "`a` with its axes in another order: axis `i` of the result is axis `axes[i]` of `a`; reversed for `None`.\n\nA view: nothing is copied. Raises AxisError for an axis that `a` does not have or that is named twice, ShapeError where one is missing.",
    inputs: A,
    params: &[Param::optional("axes", ParamKind::Axes, "None")],
    run: Run::One {
        infer: |attrs, t| {
            let order = order_of(attrs, t[0].shape.len())?;
            let shape = order.iter().map(|&axis| t[0].shape[axis]).collect();
            Ok(TensorType {
                shape,
                dtype: t[0].dtype,
            })
        },
        forward: |attrs, x, _| Ok(x[0].permute(&order_of(attrs, x[0].ndim())?)),
    },
    derivative: Derivative::Rule {
        needs: Needs::NOTHING,
        vjp: |s, g, _| {
            let order = order_of(s.attrs, s.x(0).shape().len()).unwrap_or_default();
            let mut inverse = order.clone();
            for (i, &axis) in order.iter().enumerate() {
                inverse[axis] = i;
            }
            Some(g[0]?.permute(&inverse))
        },
        jvp: Tangent::LinearAlong(|s, _| {
            let order = order_of(s.attrs, s.x(0).shape().len()).unwrap_or_default();
            let order: Dims = std::iter::once(0)
                .chain(order.iter().map(|axis| axis + 1))
                .collect();
            Attrs::one(ints(&order))
        }),
    },
    samples: &[Sample::with(
        || Attrs::one(ints(&[2, 0, 1])),
        &[(&[2, 3, 4], Domain::Real)],
    )],
};

/// Change of dtype.
pub static ASTYPE: OpDef = OpDef {
    name: "astype",
    class: "AsType",
    numpy: &["astype"],
    doc: "The values of `a` in another dtype.\n\nFloats become integers by truncation, numbers become bool by `!= 0`, as in NumPy. The gradient passes between float dtypes; none flows through integers or bool. Raises DTypeError for a dtype that needle does not have.",
    inputs: A,
    params: &[Param::required("dtype", ParamKind::DType)],
    run: Run::One {
        infer: |attrs, t| Ok(TensorType::new(t[0].shape, attrs.dtype(0))),
        forward: |_, x, ty| cast(x[0], ty.dtype),
    },
    derivative: Derivative::Rule {
        needs: Needs::NOTHING,
        // The engine casts adjoints to the dtype of their input; nothing is left to do.
        vjp: |s, g, _| if s.y().dtype().is_float() { g[0] } else { None },
        jvp: Tangent::Rule(|s, t| {
            let dtype = s.y().dtype();
            if dtype.is_float() {
                t[0].map(|t| t.cast(dtype))
            } else {
                None
            }
        }),
    },
    samples: &[
        Sample::with(
            || Attrs::one(Attr::DType(DType::F64)),
            &[(&[2, 3], Domain::Real)],
        ),
        Sample::with(
            || Attrs::one(Attr::DType(DType::I64)),
            &[(&[2, 3], Domain::Real)],
        ),
    ],
};
