//! The structure of a recorded graph, and whether another graph has the same.

use super::super::arena::Arena;
use super::super::node::{Node, NodeId, Operation, Types};
use super::super::tensor::Tensor;
use super::super::versions;
use crate::error::Result;
use crate::ops::{Attrs, OpDef};
use smallvec::SmallVec;

/// What lies between some roots and all that gradients flow to. Nodes are numbered in the order
/// in which a walk from the roots meets them: the same for all graphs of one structure.
pub(super) struct Outline {
    pub nodes: Vec<Outlined>,
    pub roots: Vec<u32>,
    /// The tensors that are asked about; `None` where the roots do not depend on one.
    pub wanted: Vec<Option<u32>>,
    /// The nodes, inputs before their consumers.
    pub order: Vec<u32>,
}

/// One node of an outline.
pub(super) struct Outlined {
    /// `None` for a leaf, and for what no gradient flows through.
    pub made_by: Option<(&'static OpDef, Attrs)>,
    pub inputs: Numbers,
    pub types: Types,
}

pub(super) type Numbers = SmallVec<[u32; 2]>;

/// A graph as it was walked.
pub(super) struct Walk {
    /// The nodes by number.
    pub nodes: Vec<NodeId>,
    roots: Vec<u32>,
    wanted: Vec<Option<u32>>,
}

/// What a graph with an op of the embedder's has instead of an outline: its name.
pub(super) struct Foreign(pub String);

impl Outline {
    /// The structure of a graph.
    pub fn of(
        arena: &mut Arena,
        roots: &[NodeId],
        wanted: &[&Tensor],
    ) -> Result<std::result::Result<(Self, Walk), Foreign>> {
        let mut nodes = Vec::new();
        let mut made = Vec::new();
        let mut foreign = None;
        let walk = walk(arena, roots, wanted, |_, node, inputs| {
            let types = node.types();
            let made_by = match what_moves(node) {
                Some(Operation::Native(op, attrs)) => Some((*op, attrs.clone())),
                None if types != Types::Unknown => None,
                _ => {
                    foreign = node.operation.as_ref().map(Operation::name);
                    return false;
                }
            };
            nodes.push(Outlined {
                made_by,
                inputs: inputs.clone(),
                types,
            });
            made.push(node.sequence);
            true
        })?;
        let Some(walk) = walk else {
            return Ok(Err(Foreign(foreign.unwrap_or_default())));
        };
        // Creation order is a topological order.
        let mut order: Vec<u32> = (0..nodes.len() as u32).collect();
        order.sort_unstable_by_key(|&number| made[number as usize]);
        let outline = Self {
            nodes,
            roots: walk.roots.clone(),
            wanted: walk.wanted.clone(),
            order,
        };
        Ok(Ok((outline, walk)))
    }

    /// The nodes of another graph, if it has this structure.
    pub fn matches(
        &self,
        arena: &mut Arena,
        roots: &[NodeId],
        wanted: &[&Tensor],
    ) -> Result<Option<Walk>> {
        let walk = walk(arena, roots, wanted, |number, node, inputs| {
            let own = self.nodes.get(number);
            own.is_some_and(|own| own.matches(node, inputs))
        })?;
        Ok(walk.filter(|walk| {
            walk.nodes.len() == self.nodes.len()
                && walk.roots == self.roots
                && walk.wanted == self.wanted
        }))
    }
}

impl Outlined {
    fn matches(&self, node: &Node, inputs: &Numbers) -> bool {
        let same_op = match (&self.made_by, what_moves(node)) {
            (Some((op, attrs)), Some(Operation::Native(other, others))) => {
                std::ptr::eq(*op, *other) && attrs.are(others)
            }
            (None, None) => true,
            _ => false,
        };
        // What an op gives has a type that follows from its inputs', unless it was replaced.
        let typed = self.made_by.is_some() && !node.replaced;
        let same_types = || match (&self.types, node.type_ref()) {
            (Types::One(own), Some(other)) => {
                own.dtype == other.dtype && own.shape.as_slice() == other.shape
            }
            (Types::Many(_), None) => self.types == node.types(),
            _ => false,
        };
        // Element by element: these lists are too short for a call that compares memory.
        same_op && self.inputs.iter().eq(inputs) && (typed || same_types())
    }
}

/// The operation of a node that gradients flow through.
fn what_moves(node: &Node) -> Option<&Operation> {
    node.operation.as_ref().filter(|_| node.requires_grad)
}

/// Walks through a graph from the roots, and shows each node with its number and those of its
/// inputs to `see`, until that returns false. Checks that no rule would read replaced data.
fn walk(
    arena: &mut Arena,
    roots: &[NodeId],
    wanted: &[&Tensor],
    mut see: impl FnMut(usize, &Node, &Numbers) -> bool,
) -> Result<Option<Walk>> {
    let sweep = arena.next_sweep();
    let mut nodes = Vec::new();
    let number_of = |&root: &NodeId| number(arena.node_mut(root), root, &mut nodes, sweep);
    let roots = roots.iter().map(number_of).collect();
    let mut at = 0;
    // The numbered nodes are the queue of those to visit.
    while let Some(&id) = nodes.get(at) {
        let mut inputs = Numbers::new();
        let node = arena.node(id);
        if what_moves(node).is_some() {
            let mut replaced = node.replaced;
            for i in 0..node.inputs.len() {
                let edge = arena.node(id).inputs[i];
                let input = arena.node_mut(edge.id);
                replaced |= input.version != edge.version;
                inputs.push(number(input, edge.id, &mut nodes, sweep));
            }
            if replaced {
                versions::check(arena, arena.node(id))?;
            }
        }
        if !see(at, arena.node(id), &inputs) {
            return Ok(None);
        }
        at += 1;
    }
    let found = |tensor: &&Tensor| {
        let node = arena.node(tensor.node_id()?);
        (node.sweep == sweep).then_some(node.place)
    };
    let wanted = wanted.iter().map(found).collect();
    Ok(Some(Walk {
        nodes,
        roots,
        wanted,
    }))
}

/// The number of a node, the next if it has none.
fn number(node: &mut Node, id: NodeId, nodes: &mut Vec<NodeId>, sweep: u64) -> u32 {
    if std::mem::replace(&mut node.sweep, sweep) != sweep {
        node.place = nodes.len() as u32;
        nodes.push(id);
    }
    node.place
}
