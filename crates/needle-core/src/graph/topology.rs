//! The order of a recorded graph.

use super::arena;
use super::node::NodeId;
use super::tensor::Tensor;
use crate::error::Result;
use rustc_hash::FxHashSet;

/// Every node that the roots depend on, inputs before their consumers: post-order
/// depth-first from left to right, each node once.
pub fn topological_order(roots: &[&Tensor]) -> Result<Vec<Tensor>> {
    let roots: Vec<NodeId> = roots.iter().map(|root| root.promote()).collect();
    let mut arena = arena::lock();
    let mut order = Vec::new();
    let mut seen = FxHashSet::default();
    let mut stack: Vec<(NodeId, usize)> = Vec::new();
    for root in roots {
        if !seen.insert(root) {
            continue;
        }
        stack.push((root, 0));
        while let Some((id, next)) = stack.last_mut() {
            if let Some(edge) = arena.node(*id).inputs.get(*next) {
                *next += 1;
                if seen.insert(edge.id) {
                    stack.push((edge.id, 0));
                }
            } else {
                order.push(*id);
                stack.pop();
            }
        }
    }
    Ok(order
        .into_iter()
        .map(|id| Tensor::adopt_more(&mut arena, id))
        .collect())
}

/// How many elements the values of all these nodes have; a value whose type is not known yet
/// counts as none.
pub fn elements(nodes: &[Tensor]) -> usize {
    let arena = arena::lock();
    let of = |node: &Tensor| {
        node.node_id()
            .map_or(0, |id| arena.node(id).types().elements())
    };
    nodes.iter().map(of).fold(0, usize::saturating_add)
}

/// Whether an op made `tensor` after all of `others` were made, which so cannot depend on it.
pub fn made_after(tensor: &Tensor, others: &[&Tensor]) -> bool {
    let arena = arena::lock();
    let made = |tensor: &Tensor| tensor.node_id().map(|id| arena.node(id));
    made(tensor).is_some_and(|node| {
        let is_before = |other: &&Tensor| made(other).is_none_or(|o| o.sequence < node.sequence);
        node.operation.is_some() && others.iter().all(is_before)
    })
}
