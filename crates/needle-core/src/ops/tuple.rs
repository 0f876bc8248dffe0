//! Several values as one, and back.

use super::algebra::sum_of;
use super::{
    Attr, Attrs, Constant, Derivative, Domain, Inputs, Needs, OpDef, Param, ParamKind, Run, Sample,
    Tangent,
};
use crate::kernels::cast::cast;
use crate::kernels::elementwise;
use crate::shape::TensorType;

/// The ops of this file.
pub(super) const OPS: &[&OpDef] = &[&MAKE_TUPLE, &TUPLE_GET_ITEM, &FUSED_ADD_SCALARS];

/// Tensors as a tuple.
pub static MAKE_TUPLE: OpDef = OpDef {
    name: "make_tuple",
    class: "MakeTensorTuple",
    numpy: &[],
    doc: "A TensorTuple of the given tensors, which may differ in shape and dtype.",
    inputs: Inputs::Many("args"),
    params: &[],
    run: Run::Many {
        infer: |_, t| {
            Ok(t.iter()
                .map(|t| TensorType::new(t.shape, t.dtype))
                .collect())
        },
        forward: |_, x| Ok(x.iter().map(|&x| x.clone()).collect()),
    },
    derivative: Derivative::Rule {
        needs: Needs::NOTHING,
        vjp: |_, g, i| g[i],
        jvp: Tangent::Linear,
    },
    samples: &[Sample::plain(&[
        (&[2, 3], Domain::Real),
        (&[2], Domain::Real),
    ])],
};

/// One element of a tuple.
pub static TUPLE_GET_ITEM: OpDef = OpDef {
    name: "tuple_get_item",
    class: "TupleGetItem",
    numpy: &[],
    doc: "Element `index` of a TensorTuple.\n\nOf a tuple that `make_tuple` built, that very tensor, unless `fold_const` is false. Raises AssertionError for anything but a TensorTuple, IndexError for an index out of range.",
    inputs: Inputs::Named(&["value"]),
    params: &[Param::required("index", ParamKind::Int)],
    run: Run::Project,
    derivative: Derivative::Rule {
        needs: Needs::NOTHING,
        // The sweep adds the adjoint to its slot of the tuple; no algebra is involved.
        vjp: |_, _, _| None,
        jvp: Tangent::Linear,
    },
    samples: &[],
};

/// Two sums at once.
pub static FUSED_ADD_SCALARS: OpDef = OpDef {
    name: "fused_add_scalars",
    class: "FusedAddScalars",
    numpy: &[],
    doc: "The TensorTuple `(a + c0, a + c1)`.\n\nThe dtypes are those of the sums with a scalar.",
    inputs: Inputs::Named(&["a"]),
    params: &[
        Param::required("c0", ParamKind::Scalar),
        Param::required("c1", ParamKind::Scalar),
    ],
    run: Run::Many {
        infer: |attrs, t| {
            (0..2)
                .map(|i| {
                    let dtype = attrs.constant(i).promote("fused_add_scalars", t[0].dtype)?;
                    Ok(TensorType::new(t[0].shape, dtype))
                })
                .collect()
        },
        forward: |attrs, x| {
            (0..2)
                .map(|i| {
                    let c = attrs.constant(i);
                    let x = cast(x[0], c.promote("fused_add_scalars", x[0].dtype())?)?;
                    elementwise::ADD.with(&x, c.value)
                })
                .collect()
        },
    },
    derivative: Derivative::Rule {
        needs: Needs::NOTHING,
        vjp: |_, g, _| sum_of([g[0], g[1]]),
        jvp: Tangent::Rule(|_, t| t[0]),
    },
    samples: &[Sample::with(
        || {
            Attrs::of([
                Attr::Scalar(Constant::float(1.5)),
                Attr::Scalar(Constant::float(-2.0)),
            ])
        },
        &[(&[2, 3], Domain::Real)],
    )],
};
