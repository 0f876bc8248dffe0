//! What the tests of the graph share: short names, and a lock for those who count nodes.

// Each test binary compiles this file and uses its own part of it.
#![allow(dead_code)]

pub mod spy;

use needle_core::graph::{self, Gradient, Mode, Types, Value, current_mode, with_mode};
use needle_core::ops::{
    Attr, Attrs, Constant, OpDef, arithmetic, elementary, reduction, shaping, tuple,
};
pub use needle_core::{Array, Result, Tensor};
use std::sync::{Mutex, MutexGuard, PoisonError};

static ALONE: Mutex<()> = Mutex::new(());

/// A test that holds this runs alone in its binary: live nodes are counted for the process.
pub fn alone() -> MutexGuard<'static, ()> {
    // A test that failed has poisoned the lock; the others can still run.
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `f` alone, and checks that no node is left behind.
pub fn without_leak(f: impl FnOnce()) {
    let _alone = alone();
    let before = graph::live_nodes();
    f();
    assert_eq!(graph::live_nodes(), before, "nodes are left behind");
}

/// Runs `f` in eager and in lazy mode, each without leak.
pub fn in_both_modes(f: impl Fn()) {
    without_leak(|| eagerly(&f));
    without_leak(|| lazily(&f));
}

pub fn eagerly<R>(f: impl FnOnce() -> R) -> R {
    with(|mode| mode.lazy = Some(false), f)
}

pub fn lazily<R>(f: impl FnOnce() -> R) -> R {
    with(|mode| mode.lazy = Some(true), f)
}

pub fn no_grad<R>(f: impl FnOnce() -> R) -> R {
    with(|mode| mode.no_grad = true, f)
}

fn with<R>(set: impl FnOnce(&mut Mode), f: impl FnOnce() -> R) -> R {
    let mut mode = current_mode();
    set(&mut mode);
    with_mode(mode, f)
}

pub fn array(values: &[f64], shape: &[usize]) -> Array {
    Array::from_slice(values, shape).unwrap()
}

/// A vector that requires a gradient.
pub fn var(values: &[f64]) -> Tensor {
    Tensor::leaf(array(values, &[values.len()]), true)
}

/// A vector that requires none.
pub fn data(values: &[f64]) -> Tensor {
    Tensor::leaf(array(values, &[values.len()]), false)
}

pub fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.array().unwrap().to_f64_vec()
}

/// Equal up to a few roundings.
#[track_caller]
pub fn assert_close(found: &[f64], expected: &[f64]) {
    let near = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-14 * b.abs();
    let fits = found.len() == expected.len() && found.iter().zip(expected).all(near);
    assert!(fits, "{found:?}, expected {expected:?}");
}

pub fn set(tensor: &Tensor, values: &[f64]) {
    let shape = tensor.ty().unwrap().shape;
    tensor.set_value(Value::One(array(values, &shape)));
}

pub fn call(op: &'static OpDef, inputs: &[&Tensor]) -> Tensor {
    graph::apply(op, Attrs::none(), inputs).unwrap()
}

pub fn call_with(op: &'static OpDef, attrs: Attrs, inputs: &[&Tensor]) -> Tensor {
    graph::apply(op, attrs, inputs).unwrap()
}

pub fn add(a: &Tensor, b: &Tensor) -> Tensor {
    call(&arithmetic::ADD, &[a, b])
}

pub fn mul(a: &Tensor, b: &Tensor) -> Tensor {
    call(&arithmetic::MULTIPLY, &[a, b])
}

pub fn scale(a: &Tensor, factor: f64) -> Tensor {
    call_with(
        &arithmetic::MUL_SCALAR,
        Attrs::scalar(Constant::float(factor)),
        &[a],
    )
}

pub fn exp(a: &Tensor) -> Tensor {
    call(&elementary::EXP, &[a])
}

pub fn sum(a: &Tensor) -> Tensor {
    call_with(
        &reduction::SUMMATION,
        Attrs::of([Attr::None, Attr::Bool(false)]),
        &[a],
    )
}

pub fn reshape(a: &Tensor, shape: &[isize]) -> Tensor {
    call_with(
        &shaping::RESHAPE,
        Attrs::one(Attr::Ints(shape.into())),
        &[a],
    )
}

pub fn item(tuple: &Tensor, index: isize) -> Tensor {
    call_with(
        &tuple::TUPLE_GET_ITEM,
        Attrs::one(Attr::Int(index)),
        &[tuple],
    )
}

pub fn backward(root: &Tensor) -> Vec<Gradient> {
    graph::backward(root, None).unwrap()
}

/// The gradient of one tensor out of all.
pub fn of(gradients: &[Gradient], x: &Tensor) -> Option<Tensor> {
    gradients
        .iter()
        .find(|g| Some(g.node) == x.node_id())
        .map(|g| g.gradient.clone())
}

/// The gradient of `root` by `x`.
pub fn gradient(root: &Tensor, x: &Tensor) -> Tensor {
    of(&backward(root), x).expect("the sweep reaches x")
}

/// The text of the error that an operation gives.
pub fn error<T>(result: Result<T>) -> String {
    match result {
        Ok(_) => panic!("expected an error"),
        Err(error) => format!("{error:?}"),
    }
}

/// How many outputs a tuple has.
pub fn width(tuple: &Tensor) -> usize {
    match tuple.types().unwrap() {
        Types::Many(types) => types.len(),
        other => panic!("not a tuple: {other:?}"),
    }
}
