//! Basic indexing and its inverse.

use super::algebra::ints;
use super::{Attr, Attrs, Derivative, Domain, Inputs, Needs, OpDef, Param, ParamKind, Run, Sample};
use super::{Tangent, TypeRef};
use crate::array::{Index, Slice, index_shape};
use crate::error::{Error, Result};
use crate::kernels::join;
use crate::shape::{self, TensorType};

/// The ops of this file.
pub(super) const OPS: &[&OpDef] = &[&GETITEM, &PUT];

/// Basic indexing.
pub static GETITEM: OpDef = OpDef {
    name: "getitem",
    class: "GetItem",
    numpy: &[],
    doc: "`a[index]` for integers, slices, `...` and `None`, by NumPy's rules.\n\nA view: nothing is copied. Raises IndexError for an index out of range or too many of them.",
    inputs: Inputs::Named(&["a"]),
    params: &[Param::required("index", ParamKind::Index)],
    run: Run::One {
        infer: |attrs, t| {
            let shape = index_shape("getitem", t[0].shape, attrs.basic_index(0))?;
            Ok(TensorType {
                shape,
                dtype: t[0].dtype,
            })
        },
        forward: |attrs, x, _| x[0].index("getitem", attrs.basic_index(0)),
    },
    derivative: Derivative::Rule {
        needs: Needs::NOTHING,
        vjp: |s, g, _| Some(g[0]?.put(&s.x(0).shape(), s.attrs.basic_index(0))),
        jvp: Tangent::LinearAlong(|s, directions| {
            let all = Index::Range(Slice {
                start: 0,
                step: 1,
                len: directions,
            });
            let rest = s.attrs.basic_index(0).iter().copied();
            Attrs::one(Attr::Index(std::iter::once(all).chain(rest).collect()))
        }),
    },
    samples: &[
        Sample::with(
            || {
                let back = Slice {
                    start: 2,
                    step: -2,
                    len: 2,
                };
                Attrs::one(Attr::Index(
                    [Index::At(-1), Index::NewAxis, Index::Range(back)].into(),
                ))
            },
            &[(&[2, 3, 2], Domain::Real)],
        ),
        Sample::with(
            || Attrs::one(Attr::Index([].into())),
            &[(&[2], Domain::Real)],
        ),
    ],
};

fn put_type(attrs: &Attrs, types: &[TypeRef]) -> Result<TensorType> {
    let target = shape::lengths("put", attrs.ints(0).unwrap_or_default())?;
    let part = index_shape("put", &target, attrs.basic_index(1))?;
    if part.as_slice() != types[0].shape {
        return Err(Error::shape(
            "put",
            format_args!(
                "the index picks {} of {}, got {}",
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

/// Zeros with a part set.
pub static PUT: OpDef = OpDef {
    name: "put",
    class: "Put",
    numpy: &[],
    doc: "Zeros of `shape` with `a` at a basic `index`: the transpose of `getitem`.\n\nDtype of `a`. Raises ShapeError where the index picks another shape than `a` has, IndexError where it does not suit `shape`.",
    inputs: Inputs::Named(&["a"]),
    params: &[
        Param::required("shape", ParamKind::Shape),
        Param::required("index", ParamKind::Index),
    ],
    run: Run::One {
        infer: put_type,
        forward: |attrs, x, ty| join::put(&ty.shape, attrs.basic_index(1), x[0]),
    },
    derivative: Derivative::Rule {
        needs: Needs::NOTHING,
        vjp: |s, g, _| Some(g[0]?.index(s.attrs.basic_index(1))),
        jvp: Tangent::Linear,
    },
    samples: &[Sample::with(
        || Attrs::of([ints(&[3, 2]), Attr::Index([Index::At(1)].into())]),
        &[(&[2], Domain::Real)],
    )],
};
