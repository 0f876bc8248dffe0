//! Typing and running an operation on values. No lock is held here.

use super::node::{Operation, Types, Value};
use crate::array::Array;
use crate::error::{Error, Result};
use crate::ops::{Attrs, Forward, OpDef, Run, TypeRef};
use crate::shape::{self, TensorType};
use smallvec::SmallVec;
use std::sync::OnceLock;

/// Elements (or multiply-adds / 16) from which an operation counts as long: some 50 us.
const LONG: usize = 1 << 17;

/// Runs a closure while other threads of the embedder may run.
pub type UnlockHook = fn(&mut dyn FnMut());

static UNLOCK: OnceLock<UnlockHook> = OnceLock::new();

/// Tells the core how to let other threads of the embedder run during long kernels.
pub fn set_unlock_hook(hook: UnlockHook) {
    // A second call (the module loaded again) means the same hook.
    let _ = UNLOCK.set(hook);
}

/// The types of the results of an operation on inputs of the given types.
pub(super) fn infer(operation: &Operation, inputs: &[Types]) -> Result<Types> {
    match operation {
        Operation::Native(op, attrs) => {
            if matches!(op.run, Run::Project) {
                return project_type(op, attrs.int(0), inputs);
            }
            let types = inputs
                .iter()
                .map(|types| one(op, types))
                .collect::<Result<SmallVec<[&TensorType; 4]>>>()?;
            let refs: SmallVec<[TypeRef; 4]> = types
                .iter()
                .map(|ty| TypeRef {
                    shape: &ty.shape,
                    dtype: ty.dtype,
                })
                .collect();
            match &op.run {
                Run::One { infer, .. } | Run::Elementwise { infer, .. } => {
                    Ok(Types::One(op.infer_one(*infer, attrs, &refs)?))
                }
                Run::Many { infer, .. } => {
                    Ok(Types::Many(op.infer_many(*infer, attrs, &refs)?.into()))
                }
                Run::Project => project_type(op, attrs.int(0), inputs),
            }
        }
        Operation::Foreign(op) => {
            let types: Option<Vec<TensorType>> = inputs
                .iter()
                .map(|types| match types {
                    Types::One(ty) => Some(ty.clone()),
                    _ => None,
                })
                .collect();
            match types {
                Some(types) => {
                    let ty = op.infer(&types)?;
                    if let Some(ty) = &ty {
                        shape::check(&op.name(), &ty.shape)?;
                    }
                    Ok(ty.map_or(Types::Unknown, Types::One))
                }
                None => Ok(Types::Unknown),
            }
        }
    }
}

fn one<'a>(op: &OpDef, types: &'a Types) -> Result<&'a TensorType> {
    match types {
        Types::One(ty) => Ok(ty),
        _ => Err(Error::dtype(
            op.name,
            "expected a tensor, got a tuple of tensors",
        )),
    }
}

/// The position that an index means in a tuple of `n`.
pub(super) fn tuple_index(index: isize, n: usize) -> Result<usize> {
    let i = if index < 0 { index + n as isize } else { index };
    if i < 0 || i >= n as isize {
        return Err(Error::Index(format!(
            "tuple_get_item: index {index} is out of range for a tuple of {n}"
        )));
    }
    Ok(i as usize)
}

fn project_type(op: &OpDef, index: isize, inputs: &[Types]) -> Result<Types> {
    match inputs {
        [Types::Many(types)] => Ok(Types::One(types[tuple_index(index, types.len())?].clone())),
        [Types::Unknown] => Ok(Types::Unknown),
        _ => Err(Error::dtype(op.name, "expected a tuple of tensors")),
    }
}

/// The value of an operation.
pub(super) fn compute(operation: &Operation, inputs: &[Value]) -> Result<Value> {
    match operation {
        Operation::Foreign(op) => op.forward(inputs),
        Operation::Native(op, attrs) => {
            if let Run::Project = op.run {
                return match inputs {
                    [Value::Many(arrays)] => {
                        let i = tuple_index(attrs.int(0), arrays.len())?;
                        Ok(Value::One(arrays[i].clone()))
                    }
                    _ => Err(Error::dtype(op.name, "expected a tuple of tensors")),
                };
            }
            let mut arrays: SmallVec<[&Array; 4]> = SmallVec::new();
            let mut refs: SmallVec<[TypeRef; 4]> = SmallVec::new();
            for value in inputs {
                let Value::One(array) = value else {
                    return Err(Error::dtype(
                        op.name,
                        "expected a tensor, got a tuple of tensors",
                    ));
                };
                arrays.push(array);
                refs.push(TypeRef {
                    shape: array.shape(),
                    dtype: array.dtype(),
                });
            }
            match &op.run {
                Run::One { infer, forward } | Run::Elementwise { infer, forward, .. } => {
                    let ty = op.infer_one(*infer, attrs, &refs)?;
                    run_one(*forward, attrs, &arrays, &ty).map(Value::One)
                }
                Run::Many { infer, forward } => {
                    op.infer_many(*infer, attrs, &refs)?;
                    forward(attrs, &arrays).map(|arrays| Value::Many(arrays.into()))
                }
                Run::Project => Err(Error::dtype(op.name, "expected a tuple of tensors")),
            }
        }
    }
}

/// The value of an op with one output, of the type that its type rule gave.
#[inline]
pub(super) fn run_one(
    forward: Forward,
    attrs: &Attrs,
    arrays: &[&Array],
    ty: &TensorType,
) -> Result<Array> {
    let long = is_long(arrays, ty);
    unlocked(long, || forward(attrs, arrays, ty))
}

/// A rough measure: elements touched, or for products the multiply-adds.
fn is_long(inputs: &[&Array], output: &TensorType) -> bool {
    let result: usize = output.shape.iter().product();
    let largest = inputs.iter().map(|a| a.size()).max().unwrap_or(0);
    if largest.max(result) < 64 {
        return false;
    }
    // sqrt(|a| |b| |y|) is the number of multiply-adds of a matrix product; elementwise
    // work stays well below the bound by it.
    let product = match inputs {
        [a, b] => (a.size() as f64 * b.size() as f64 * result as f64).sqrt() as usize / 16,
        _ => 0,
    };
    largest.max(result).max(product) >= LONG
}

/// Runs `f`, letting the embedder's other threads run if it is long.
fn unlocked<R>(long: bool, f: impl FnOnce() -> R) -> R {
    let Some(hook) = UNLOCK.get().filter(|_| long) else {
        return f();
    };
    let mut f = Some(f);
    let mut result = None;
    hook(&mut || result = f.take().map(|f| f()));
    match result.or_else(|| f.map(|f| f())) {
        Some(result) => result,
        // The hook either called the closure, which sets the result, or left `f` in place.
        None => unreachable!("one of both arms has run"),
    }
}
