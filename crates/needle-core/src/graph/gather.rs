//! What an eager operation reads of its inputs.

use super::arena;
use super::node::{Edge, Value};
use super::tensor::Tensor;
use crate::error::Result;
use smallvec::SmallVec;

/// The inputs of an eager operation, as they were in one moment.
#[derive(Default)]
pub(super) struct Gathered {
    pub values: SmallVec<[Value; 2]>,
    /// One for each input, or fewer where some input had no node or no value.
    pub edges: SmallVec<[Edge; 2]>,
    pub requires_grad: bool,
}

/// What an eager operation needs of its inputs, with one lock where all are there.
#[inline]
pub(super) fn gather(tensors: &[&Tensor]) -> Result<Gathered> {
    let mut gathered = Gathered::default();
    let mut arena = None;
    for tensor in tensors {
        if let Some(id) = tensor.node_id() {
            let node = arena.get_or_insert_with(arena::lock).node(id);
            gathered.requires_grad |= node.requires_grad;
            if let Some(value) = &node.value {
                gathered.values.push(value.clone());
                gathered.edges.push(Edge {
                    id,
                    version: node.version,
                });
                continue;
            }
        }
        // Other locks are taken, and values computed, without the arena's. The edge is
        // left to the recording, which gives the tensor a node if it has none.
        arena = None;
        gathered.requires_grad |= tensor.requires_grad();
        gathered.values.push(tensor.value()?);
    }
    Ok(gathered)
}
