//! Joining tensors and taking them apart.

use super::{
    Attr, Attrs, Derivative, Domain, Expr, Inputs, Needs, OpDef, Param, ParamKind, Run, Sample,
    Site, Tangent, TypeRef,
};
use crate::array::{Array, Index, Slice};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernels::cast::cast;
use crate::kernels::join;
use crate::shape::{self, Dims, TensorType};

/// The ops of this file.
pub(super) const OPS: &[&OpDef] = &[&STACK, &SPLIT, &CONCAT];

fn whole(n: usize) -> Index {
    Index::Range(Slice {
        start: 0,
        step: 1,
        len: n,
    })
}

/// The index of position `i` along `axis`.
fn at(shape: &[usize], axis: usize, entry: Index) -> Vec<Index> {
    let mut index: Vec<Index> = shape[..axis].iter().map(|&n| whole(n)).collect();
    index.push(entry);
    index
}

fn nonempty(op: &str, types: &[TypeRef]) -> Result<()> {
    if types.is_empty() {
        return Err(Error::Value(format!("{op}: needs at least one tensor")));
    }
    Ok(())
}

/// Bytes that each of many values takes at least: its type, its array, its place in the graph.
const PER_VALUE: usize = 256;

/// An empty list for `n` values of an op that has as many as an operand says. MemoryError where
/// there is no memory for all that comes with so many.
fn list<T>(op: &str, n: usize) -> Result<Vec<T>> {
    afford(op, n)?;
    let mut list = Vec::new();
    list.try_reserve_exact(n).map_err(|_| too_many(op, n))?;
    Ok(list)
}

/// MemoryError where there is no memory for `n` operands or results of one op. Whoever makes lists of
/// them, which cannot fail one by one, asks here first.
pub fn afford(op: &str, n: usize) -> Result<()> {
    const FEW: usize = 1 << 12;
    if n > FEW {
        let bytes = n.checked_mul(PER_VALUE).ok_or_else(|| too_many(op, n))?;
        let room = Vec::<u8>::new().try_reserve_exact(bytes);
        room.map_err(|_| too_many(op, n))?;
    }
    Ok(())
}

#[cold]
fn too_many(op: &str, n: usize) -> Error {
    Error::Memory(format!("{op}: no memory for {n} tensors"))
}

fn common_dtype(types: &[TypeRef]) -> DType {
    // Floats first, as NumPy does: int8, uint16 and float32 give float32, though int8 with
    // uint16 gives int32, which would need float64.
    let floats = types.iter().filter(|t| t.dtype.is_float());
    let others = types.iter().filter(|t| !t.dtype.is_float());
    let mut dtypes = floats.chain(others).map(|t| t.dtype);
    let first = dtypes.next().unwrap_or(DType::F64);
    dtypes.fold(first, DType::promote)
}

fn cast_all(x: &[&Array], dtype: DType) -> Result<Vec<Array>> {
    x.iter().map(|x| cast(x, dtype)).collect()
}

/// The axis of the site behind a new first one.
fn next_axis(s: &Site) -> Attrs {
    let axis = shape::normalize_axis("", s.attrs.int(0), s.y().shape().len());
    Attrs::one(Attr::Int(axis.unwrap_or(0) as isize + 1))
}

/// Tensors of one shape along a new axis.
pub static STACK: OpDef = OpDef {
    name: "stack",
    class: "Stack",
    numpy: &["stack"],
    doc: "Tensors of equal shape along a new `axis` (0 to ndim).\n\n`args` is a list or tuple of tensors, or a TensorTuple. The dtype is the promoted one. Raises ShapeError where the shapes differ, AxisError for an axis out of range, ValueError without tensors.",
    inputs: Inputs::Many("args"),
    params: &[Param::optional("axis", ParamKind::Int, "0")],
    run: Run::One {
        infer: |attrs, t| {
            nonempty("stack", t)?;
            if let Some(other) = t.iter().find(|other| other.shape != t[0].shape) {
                return Err(Error::shape(
                    "stack",
                    format_args!(
                        "all tensors need one shape, got {} and {}",
                        shape::display(t[0].shape),
                        shape::display(other.shape)
                    ),
                ));
            }
            let axis = shape::normalize_axis("stack", attrs.int(0), t[0].shape.len() + 1)?;
            let mut shape = Dims::from_slice(t[0].shape);
            shape.insert(axis, t.len());
            Ok(TensorType {
                shape,
                dtype: common_dtype(t),
            })
        },
        forward: |attrs, x, ty| {
            let axis = shape::normalize_axis("stack", attrs.int(0), ty.shape.len())?;
            let parts = cast_all(x, ty.dtype)?;
            join::stack(&parts.iter().collect::<Vec<_>>(), axis)
        },
    },
    derivative: Derivative::Rule {
        needs: Needs::NOTHING,
        vjp: |s, g, i| {
            let shape = g[0]?.shape();
            let axis = shape::normalize_axis("", s.attrs.int(0), shape.len()).unwrap_or(0);
            Some(g[0]?.index(&at(&shape, axis, Index::At(i as isize))))
        },
        jvp: Tangent::LinearAlong(|s, _| next_axis(s)),
    },
    samples: &[
        Sample::with(
            || Attrs::one(Attr::Int(1)),
            &[
                (&[2, 3], Domain::Real),
                (&[2, 3], Domain::Real),
                (&[2, 3], Domain::Real),
            ],
        ),
        Sample::with(
            || Attrs::one(Attr::Int(-1)),
            &[(&[2], Domain::Real), (&[2], Domain::Real)],
        ),
    ],
};

/// Slices along an axis.
pub static SPLIT: OpDef = OpDef {
    name: "split",
    class: "Split",
    numpy: &[],
    doc: "The slices of `a` along `axis`, without that axis, as a TensorTuple.\n\nThe inverse of `stack`. Raises AxisError for an axis that `a` does not have.",
    inputs: Inputs::Named(&["a"]),
    params: &[Param::optional("axis", ParamKind::Int, "0")],
    run: Run::Many {
        infer: |attrs, t| {
            let axis = shape::normalize_axis("split", attrs.int(0), t[0].shape.len())?;
            let mut shape = Dims::from_slice(t[0].shape);
            let n = shape.remove(axis);
            let mut types = list("split", n)?;
            types.resize(
                n,
                TensorType {
                    shape,
                    dtype: t[0].dtype,
                },
            );
            Ok(types)
        },
        forward: |attrs, x| {
            let axis = shape::normalize_axis("split", attrs.int(0), x[0].ndim())?;
            let n = x[0].shape()[axis];
            let mut parts = list("split", n)?;
            for i in 0..n {
                let place = at(x[0].shape(), axis, Index::At(i as isize));
                parts.push(x[0].index("split", &place)?);
            }
            Ok(parts)
        },
    },
    derivative: Derivative::Rule {
        needs: Needs::NOTHING,
        vjp: |s, g, _| {
            let some = (*g.iter().find(|g| g.is_some())?)?;
            let axis = shape::normalize_axis("", s.attrs.int(0), s.x(0).shape().len()).unwrap_or(0);
            let parts: Vec<Expr> = g
                .iter()
                .map(|g| g.unwrap_or_else(|| some.full_like(0.0)))
                .collect();
            Expr::stack(&parts, axis)
        },
        jvp: Tangent::Linear,
    },
    samples: &[Sample::with(
        || Attrs::one(Attr::Int(1)),
        &[(&[2, 3], Domain::Real)],
    )],
};

/// Tensors one after the other.
pub static CONCAT: OpDef = OpDef {
    name: "concat",
    class: "Concat",
    numpy: &["concatenate"],
    doc: "Tensors one after the other along an existing `axis`.\n\n`args` is a list or tuple of tensors whose shapes agree in every other axis. The dtype is the promoted one. Raises ShapeError where they do not agree and for single numbers, AxisError for an axis out of range, ValueError without tensors.",
    inputs: Inputs::Many("args"),
    params: &[Param::optional("axis", ParamKind::Int, "0")],
    run: Run::One {
        infer: |attrs, t| {
            nonempty("concat", t)?;
            if t[0].shape.is_empty() {
                return Err(Error::shape(
                    "concat",
                    "single numbers have no axis to be joined along\nhint: use stack",
                ));
            }
            let axis = shape::normalize_axis("concat", attrs.int(0), t[0].shape.len())?;
            let mut shape = Dims::from_slice(t[0].shape);
            for other in &t[1..] {
                let fits = other.shape.len() == shape.len()
                    && (0..shape.len()).all(|i| i == axis || other.shape[i] == shape[i]);
                if !fits {
                    return Err(Error::shape(
                        "concat",
                        format_args!(
                            "shapes {} and {} differ outside of axis {axis}",
                            shape::display(t[0].shape),
                            shape::display(other.shape)
                        ),
                    ));
                }
                // Too long a sum is refused as any shape that no array can have.
                shape[axis] = shape[axis].saturating_add(other.shape[axis]);
            }
            Ok(TensorType {
                shape,
                dtype: common_dtype(t),
            })
        },
        forward: |attrs, x, ty| {
            let axis = shape::normalize_axis("concat", attrs.int(0), ty.shape.len())?;
            let parts = cast_all(x, ty.dtype)?;
            join::concat(&parts.iter().collect::<Vec<_>>(), axis)
        },
    },
    derivative: Derivative::Rule {
        needs: Needs::NOTHING,
        vjp: |s, g, i| {
            let shape = g[0]?.shape();
            let axis = shape::normalize_axis("", s.attrs.int(0), shape.len()).unwrap_or(0);
            let start: usize = (0..i).map(|j| s.x(j).shape()[axis]).sum();
            let len = s.x(i).shape()[axis];
            let range = Slice {
                start: start as isize,
                step: 1,
                len,
            };
            Some(g[0]?.index(&at(&shape, axis, Index::Range(range))))
        },
        jvp: Tangent::LinearAlong(|s, _| next_axis(s)),
    },
    samples: &[
        Sample::with(
            || Attrs::one(Attr::Int(1)),
            &[
                (&[2, 3], Domain::Real),
                (&[2, 1], Domain::Real),
                (&[2, 2], Domain::Real),
            ],
        ),
        Sample::with(|| Attrs::one(Attr::Int(0)), &[(&[2], Domain::Real)]),
    ],
};
