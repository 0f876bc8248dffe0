//! Depth: a chain of a million operations is built, differentiated and freed on a stack of
//! 1 MB, because nothing recurses over the graph.

use crate::common::{
    Tensor, add, backward, call_with, eagerly, gradient, lazily, mul, of, scale, sum, values, var,
    without_leak,
};
use needle_core::graph;
use needle_core::ops::{Attr, Attrs, joining};

const LONG: usize = 1_000_000;

fn on_a_small_stack(f: impl FnOnce() + Send + 'static) {
    without_leak(|| {
        let thread = std::thread::Builder::new()
            .stack_size(1 << 20)
            .spawn(f)
            .unwrap();
        thread.join().unwrap();
    });
}

/// `factor^n x` one factor at a time, with its gradient.
fn a_chain_of_scalings() {
    let factor = 1.0 - 1e-6;
    let leaf = var(&[2.0, 1.0]);
    let mut y = scale(&leaf, factor);
    let mut expected = factor;
    for _ in 1..LONG {
        y = scale(&y, factor);
        expected *= factor;
    }
    assert!(graph::live_nodes() >= LONG);
    let gradients = backward(&y);
    assert_eq!(gradients.len(), 2, "the ends are held");
    assert_eq!(
        values(&of(&gradients, &leaf).unwrap()),
        [expected, expected]
    );
    // In reverse the factors come in another order.
    let value = values(&y)[1];
    assert!((value - expected).abs() < 1e-9, "{value} and {expected}");
}

#[test]
fn an_eager_chain() {
    on_a_small_stack(|| eagerly(a_chain_of_scalings));
}

#[test]
fn a_lazy_chain() {
    on_a_small_stack(|| lazily(a_chain_of_scalings));
}

/// `x^n`: its gradient has as long a history as itself, and is differentiated again.
fn a_chain_with_a_long_gradient() {
    let n = LONG / 10;
    let x = var(&[1.0]);
    let mut y = mul(&x, &x);
    for _ in 2..n {
        y = mul(&y, &x);
    }
    let first = gradient(&sum(&y), &x);
    drop(y);
    let second = gradient(&first, &x);
    assert_eq!(values(&first), [n as f64]);
    assert_eq!(values(&second), [n as f64 * (n as f64 - 1.0)]);
}

#[test]
fn an_eager_gradient_with_history() {
    on_a_small_stack(|| eagerly(a_chain_with_a_long_gradient));
}

#[test]
fn a_lazy_gradient_with_history() {
    on_a_small_stack(|| lazily(a_chain_with_a_long_gradient));
}

/// There are `2^depth` paths: whoever walked them all would not come back.
#[test]
fn diamonds_on_diamonds() {
    on_a_small_stack(|| {
        let depth = 1000;
        let x = var(&[1.0]);
        let mut y = add(&x, &x);
        for _ in 1..depth {
            y = add(&y, &y);
        }
        let two: f64 = 2.0;
        assert_eq!(values(&gradient(&y, &x)), [two.powi(depth)]);
        let tangent = graph::jvp(&[&y], &[(&x, &Tensor::leaf(x.array().unwrap(), false))]);
        assert_eq!(
            values(tangent.unwrap()[0].as_ref().unwrap()),
            [two.powi(depth)]
        );
        assert_eq!(
            graph::topological_order(&[&y]).unwrap().len(),
            depth as usize + 1
        );
    });
}

/// A hundred thousand nodes under one root, not in a row.
#[test]
fn a_wide_graph() {
    on_a_small_stack(|| {
        let x = var(&[1.0]);
        let parts: Vec<Tensor> = (0..LONG / 10).map(|_| scale(&x, 2.0)).collect();
        let first = Attrs::one(Attr::Int(0));
        let all = call_with(&joining::STACK, first, &parts.iter().collect::<Vec<_>>());
        drop(parts);
        assert_eq!(values(&gradient(&all, &x)), [2.0 * (LONG / 10) as f64]);
    });
}
