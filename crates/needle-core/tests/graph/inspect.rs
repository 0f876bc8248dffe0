//! What an embedder sees of a graph: its objects, its order, its rules.

use crate::common::{
    add, backward, call, data, error, exp, mul, reshape, values, var, without_leak,
};
use needle_core::graph::{self, vjp_at};
use needle_core::ops::{arithmetic, elementary};

#[test]
fn the_embedders_word_is_found_by_the_node() {
    without_leak(|| {
        let x = var(&[1.0]);
        x.set_embedder(42);
        let y = exp(&x);
        y.set_embedder(43);
        let words: Vec<usize> = backward(&y)
            .iter()
            .map(|g| graph::embedder_of(g.node))
            .collect();
        assert_eq!(words, [43, 42]);
        assert_eq!(y.inputs()[0].embedder(), 42);
        // It goes with the handle that brought it, unless another took its place.
        let other = y.inputs().remove(0);
        drop(x);
        assert_eq!(y.inputs()[0].embedder(), 0);
        other.set_embedder(44);
        assert_eq!(other.embedder(), 44);
    });
}

#[test]
fn rules_can_be_called_directly() {
    without_leak(|| {
        let (a, b) = (var(&[2.0]), var(&[5.0]));
        let y = mul(&a, &b);
        let operation = y.operation().unwrap();
        let parts = vjp_at(&operation, &[Some(data(&[10.0]))], &y).unwrap();
        let parts: Vec<f64> = parts
            .iter()
            .map(|p| values(p.as_ref().unwrap())[0])
            .collect();
        assert_eq!(parts, [50.0, 20.0]);
        let text = error(vjp_at(&operation, &[Some(data(&[1.0]))], &data(&[1.0])));
        assert!(
            text.starts_with("Grad(multiply: the node has no inputs"),
            "{text}"
        );
    });
}

#[test]
fn topological_order_is_post_order() {
    without_leak(|| {
        let (a, b) = (var(&[1.0]), var(&[2.0]));
        let c = mul(&a, &b);
        let d = add(&call(&elementary::SIN, &[&b]), &c);
        let e = call(&arithmetic::ADD, &[&c, &reshape(&d, &[1])]);
        let order = graph::topological_order(&[&e]).unwrap();
        let names: Vec<String> = order
            .iter()
            .map(|t| {
                t.operation()
                    .map_or_else(|| "leaf".to_owned(), |op| op.name())
            })
            .collect();
        let expected = ["leaf", "leaf", "multiply", "sin", "add", "reshape", "add"];
        assert_eq!(names, expected);
        assert_eq!(order[0].node_id(), a.node_id());
    });
}
