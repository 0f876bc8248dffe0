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
    pub made_by: MadeBy,
    pub inputs: Numbers,
    pub types: Types,
}

/// What made a node, as far as that matters.
pub(super) enum MadeBy {
    /// It does not: a leaf, what no gradient flows through, or what is older than all that is
    /// asked about.
    Given,
    Native(&'static OpDef, Attrs),
    /// An op of the embedder's, on the way to nothing that is asked about.
    Foreign,
}

pub(super) type Numbers = SmallVec<[u32; 2]>;

/// A graph as it was walked.
pub(super) struct Walk {
    /// The nodes by number.
    pub nodes: Vec<NodeId>,
    roots: Vec<u32>,
    wanted: Vec<Option<u32>>,
    /// The nodes that have, or read, data that was replaced.
    replaced: Vec<u32>,
}

/// Why no program is written for a graph.
pub(super) enum Refused {
    /// An op of the embedder's is on the way: its name.
    Foreign(String),
    TooLarge,
}

impl Outline {
    /// The structure of a graph of at most so many nodes.
    pub fn of(
        arena: &mut Arena,
        roots: &[NodeId],
        wanted: &[&Tensor],
        most: usize,
    ) -> Result<std::result::Result<(Self, Walk), Refused>> {
        let mut nodes = Vec::new();
        let mut made = Vec::new();
        let walk = walk(arena, roots, wanted, |node, operation, inputs| {
            let made_by = match operation {
                Some(Operation::Native(op, attrs)) => MadeBy::Native(op, attrs.clone()),
                Some(Operation::Foreign(_)) => MadeBy::Foreign,
                None => MadeBy::Given,
            };
            nodes.push(Outlined {
                made_by,
                inputs: inputs.clone(),
                types: node.types(),
            });
            made.push(node.sequence);
            nodes.len() <= most
        });
        let Some(walk) = walk else {
            return Ok(Err(Refused::TooLarge));
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
        let leads = outline.leads();
        for (number, node) in outline.nodes.iter().enumerate() {
            let on_the_way = matches!(node.made_by, MadeBy::Foreign) && node.has(&leads);
            if on_the_way || node.types == Types::Unknown {
                let operation = &arena.node(walk.nodes[number]).operation;
                let name = operation.as_ref().map(Operation::name);
                return Ok(Err(Refused::Foreign(name.unwrap_or_default())));
            }
        }
        outline.check(arena, &walk)?;
        Ok(Ok((outline, walk)))
    }

    /// The nodes of another graph, if it has this structure.
    pub fn matches(
        &self,
        arena: &mut Arena,
        roots: &[NodeId],
        wanted: &[&Tensor],
    ) -> Result<Option<Walk>> {
        let mut own = self.nodes.iter();
        let walk = walk(arena, roots, wanted, |node, operation, inputs| {
            let own = own.next();
            own.is_some_and(|own| own.matches(node, operation, inputs))
        });
        let Some(walk) = walk else {
            return Ok(None);
        };
        let same = walk.nodes.len() == self.nodes.len()
            && walk.roots == self.roots
            && walk.wanted == self.wanted;
        if same {
            self.check(arena, &walk)?;
        }
        Ok(same.then_some(walk))
    }

    /// Which nodes are asked about, or made from such.
    pub fn leads(&self) -> Vec<bool> {
        let mut leads = vec![false; self.nodes.len()];
        for &number in self.wanted.iter().flatten() {
            leads[number as usize] = true;
        }
        for &number in &self.order {
            leads[number as usize] |= self.nodes[number as usize].has(&leads);
        }
        leads
    }

    /// Raises an error where a rule would read data that was replaced.
    fn check(&self, arena: &Arena, walk: &Walk) -> Result<()> {
        if walk.replaced.is_empty() {
            return Ok(());
        }
        let leads = self.leads();
        for &number in &walk.replaced {
            if self.nodes[number as usize].has(&leads) {
                versions::check(arena, arena.node(walk.nodes[number as usize]))?;
            }
        }
        Ok(())
    }
}

impl Outlined {
    /// Whether it has an input of these.
    fn has(&self, of: &[bool]) -> bool {
        self.inputs.iter().any(|&input| of[input as usize])
    }

    fn matches(&self, node: &Node, operation: Option<&Operation>, inputs: &Numbers) -> bool {
        let same_op = match (&self.made_by, operation) {
            (MadeBy::Native(op, attrs), Some(Operation::Native(other, others))) => {
                std::ptr::eq(*op, *other) && attrs.are(others)
            }
            (MadeBy::Foreign, Some(Operation::Foreign(_))) | (MadeBy::Given, None) => true,
            _ => false,
        };
        let same_types = || match (&self.types, node.type_ref()) {
            (Types::One(own), Some(other)) => {
                own.dtype == other.dtype && own.shape.as_slice() == other.shape
            }
            (Types::Many(_), None) => self.types == node.types(),
            _ => false,
        };
        // Element by element: these lists are too short for a call that compares memory. The types
        // are compared for results of ops too: an input may have been replaced since, by one of
        // another shape, and then does not say what the node's own value is.
        same_op && self.inputs.iter().eq(inputs) && same_types()
    }
}

/// Walks through a graph from the roots, and shows each node in turn to `see`, with its operation
/// if gradients flow through that, and the numbers of its inputs; until `see` returns false.
fn walk(
    arena: &mut Arena,
    roots: &[NodeId],
    wanted: &[&Tensor],
    mut see: impl FnMut(&Node, Option<&Operation>, &Numbers) -> bool,
) -> Option<Walk> {
    let sweep = arena.next_sweep();
    let mut nodes = Vec::new();
    let mut replaced = Vec::new();
    let number_of = |&root: &NodeId| number(arena.node_mut(root), root, &mut nodes, sweep);
    let roots = roots.iter().map(number_of).collect();
    // What is older than all that is asked about does not depend on it.
    let age = |tensor: &&Tensor| Some(arena.node(tensor.node_id()?).sequence);
    let oldest = wanted.iter().filter_map(age).min().unwrap_or(u64::MAX);
    let moves = |node: &Node| node.requires_grad && node.sequence >= oldest;
    let mut at = 0;
    // The numbered nodes are the queue of those to visit.
    while let Some(&id) = nodes.get(at) {
        let mut inputs = Numbers::new();
        let node = arena.node(id);
        if moves(node) {
            let mut is_replaced = node.replaced;
            for i in 0..node.inputs.len() {
                let edge = arena.node(id).inputs[i];
                let input = arena.node_mut(edge.id);
                is_replaced |= input.version != edge.version;
                inputs.push(number(input, edge.id, &mut nodes, sweep));
            }
            if is_replaced {
                replaced.push(at as u32);
            }
        }
        let node = arena.node(id);
        let operation = node.operation.as_ref().filter(|_| moves(node));
        if !see(node, operation, &inputs) {
            return None;
        }
        at += 1;
    }
    let found = |tensor: &&Tensor| {
        let node = arena.node(tensor.node_id()?);
        (node.sweep == sweep).then_some(node.place)
    };
    let wanted = wanted.iter().map(found).collect();
    Some(Walk {
        nodes,
        roots,
        wanted,
        replaced,
    })
}

/// The number of a node, the next if it has none.
fn number(node: &mut Node, id: NodeId, nodes: &mut Vec<NodeId>, sweep: u64) -> u32 {
    if std::mem::replace(&mut node.sweep, sweep) != sweep {
        node.place = nodes.len() as u32;
        nodes.push(id);
    }
    node.place
}
