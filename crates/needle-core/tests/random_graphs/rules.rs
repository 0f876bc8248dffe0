//! The naive engine's derivatives: rules of its own, and a sweep that keeps everything.

use crate::reference::{Op, Ref, apply, leaf};
use std::rc::Rc;

/// The derivative of `sum(node * g)` by input `i`, before it is summed to its shape.
fn rule(node: &Ref, g: &Ref, i: usize) -> Ref {
    let f = |op, x: &[&Ref]| apply(op, x, true);
    let one = leaf(vec![1.0], false);
    let x = &node.inputs;
    let minus = |g: &Ref| f(Op::Negate, &[g]);
    let times = |d: &Ref| f(Op::Multiply, &[g, d]);
    match (node.op, i) {
        (Op::Add | Op::Sum, _) | (Op::Subtract, 0) => Rc::clone(g),
        (Op::Subtract | Op::Negate, _) => minus(g),
        (Op::Multiply, _) => times(&x[1 - i]),
        // What depends on no variable is cut off: the parts must be needle's, 1 / b here.
        (Op::Divide, 0) => times(&f(Op::Divide, &[&one, &x[1]])),
        (Op::Divide, _) => times(&minus(&f(Op::Divide, &[node, &x[1]]))),
        (Op::Sin, _) => times(&f(Op::Cos, &[&x[0]])),
        (Op::Cos, _) => times(&minus(&f(Op::Sin, &[&x[0]]))),
        (Op::Exp, _) => times(node),
        // Functions of the argument: of the value, the node would get a gradient of its own.
        (Op::Tanh, _) => {
            let y = f(Op::Tanh, &[&x[0]]);
            times(&f(Op::Subtract, &[&one, &f(Op::Multiply, &[&y, &y])]))
        }
        (Op::Sigmoid, _) => {
            let y = f(Op::Sigmoid, &[&x[0]]);
            times(&f(Op::Multiply, &[&y, &f(Op::Subtract, &[&one, &y])]))
        }
        (Op::Relu, _) => times(&f(Op::Step, &[&x[0]])),
        (Op::Abs, _) => times(&f(Op::Sign, &[&x[0]])),
        (Op::Maximum, _) => times(&f(Op::Greater, &[&x[i], &x[1 - i]])),
        (Op::Minimum, _) => times(&f(Op::Greater, &[&x[1 - i], &x[i]])),
        (Op::Choose, _) => {
            // 1 where the first is greater, 0 at ties too.
            let yes = f(Op::Step, &[&f(Op::Subtract, &[&x[0], &x[1]])]);
            match i {
                0 => times(&yes),
                1 => times(&leaf(vec![0.0], false)),
                _ => times(&f(Op::Subtract, &[&one, &yes])),
            }
        }
        (Op::Mean, _) => f(
            Op::Divide,
            &[g, &leaf(vec![x[0].value.len() as f64], false)],
        ),
        (Op::Scale, _) => f(Op::Scale, &[g]),
        (Op::Spread, _) => f(Op::Sum, &[g]),
        (Op::Sign, _) => times(&leaf(vec![0.0], false)),
        (Op::Leaf | Op::Step | Op::Greater, _) => unreachable!("no gradient flows here"),
    }
}

/// Adjoints of everything that the sum of `root` depends on through what requires a
/// gradient, and of the leaves beside it.
pub fn gradients(root: &Ref) -> Vec<(Ref, Ref)> {
    let mut order = Vec::new();
    visit(root, &mut order);
    let seed = leaf(vec![1.0; root.value.len()], false);
    let mut adjoints: Vec<(Ref, Option<Ref>)> = order.into_iter().map(|n| (n, None)).collect();
    let position =
        |all: &[(Ref, Option<Ref>)], n: &Ref| all.iter().position(|e| Rc::ptr_eq(&e.0, n));
    if let Some(last) = adjoints.last_mut() {
        last.1 = Some(seed);
    }
    for k in (0..adjoints.len()).rev() {
        let (node, Some(g)) = adjoints[k].clone() else {
            continue;
        };
        if !node.requires_grad {
            continue;
        }
        for (i, input) in node.inputs.iter().enumerate() {
            let mut part = rule(&node, &g, i);
            if input.value.len() < part.value.len() {
                part = apply(Op::Sum, &[&part], true);
            } else if input.value.len() > part.value.len() {
                part = apply(Op::Spread, &[&part], true);
            }
            if let Some(at) = position(&adjoints, input) {
                adjoints[at].1 = Some(match adjoints[at].1.take() {
                    None => part,
                    Some(sum) => apply(Op::Add, &[&sum, &part], true),
                });
            }
        }
    }
    adjoints
        .into_iter()
        .filter_map(|(node, adjoint)| Some((node, adjoint?)))
        .collect()
}

fn visit(node: &Ref, order: &mut Vec<Ref>) {
    if order.iter().any(|seen| Rc::ptr_eq(seen, node)) {
        return;
    }
    if node.requires_grad {
        for input in &node.inputs {
            visit(input, order);
        }
    }
    order.push(Rc::clone(node));
}
