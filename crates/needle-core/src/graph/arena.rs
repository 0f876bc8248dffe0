//! The arena: every live node, under one lock that is held for moments only.
//!
//! Nodes are never destroyed recursively: what becomes unreachable goes to a work list. The
//! lock is not held while anything of the embedder's is dropped; such things are handed out
//! as [`Garbage`], to be dropped after unlocking.

use super::node::{Edge, Node, NodeId, Operation, Types, Value};
use crate::ops::Needs;
use smallvec::SmallVec;
use std::sync::{Mutex, MutexGuard, PoisonError};

const CHUNK: usize = 1024;
/// Nodes that are released in one go before the lock is given up for a moment.
const RELEASE_BATCH: usize = 4096;

/// All nodes. Chunks keep addresses stable and growth cheap.
pub(super) struct Arena {
    chunks: Vec<Box<[Node]>>,
    free: Vec<u32>,
    sequence: u64,
    /// How many sweeps there were.
    sweeps: u64,
    live: usize,
    /// Nodes that an object of the embedder stands for.
    embedded: usize,
}

/// Nodes that may have become unreachable.
pub(super) type WorkList = SmallVec<[NodeId; 8]>;

/// Things to drop after the lock is gone.
#[derive(Default)]
pub(super) struct Garbage {
    values: SmallVec<[Value; 1]>,
    operations: SmallVec<[Operation; 1]>,
}

impl Garbage {
    /// Takes a value: at once where its memory is ours, later where it was lent.
    pub fn value(&mut self, value: Option<Value>) {
        if let Some(value) = value
            && value.is_lent()
        {
            self.values.push(value);
        }
    }

    fn operation(&mut self, operation: Option<Operation>) {
        if let Some(operation @ Operation::Foreign(_)) = operation {
            self.operations.push(operation);
        }
    }
}

static ARENA: Mutex<Arena> = Mutex::new(Arena {
    chunks: Vec::new(),
    free: Vec::new(),
    sequence: 0,
    sweeps: 0,
    live: 0,
    embedded: 0,
});

/// The arena, for moments: run no kernel and nothing of the embedder's under it.
#[inline]
pub(super) fn lock() -> MutexGuard<'static, Arena> {
    ARENA.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many nodes are alive.
pub fn live_nodes() -> usize {
    lock().live
}

/// The embedder's word of a node, 0 where it has none or is gone.
pub fn embedder_of(id: NodeId) -> usize {
    let arena = lock();
    let node = &arena.chunks[id.index as usize / CHUNK][id.index as usize % CHUNK];
    if node.generation == id.generation {
        node.embedder
    } else {
        0
    }
}

/// How many live nodes no object of the embedder stands for.
pub fn live_nodes_without_object() -> usize {
    let arena = lock();
    arena.live - arena.embedded
}

fn vacant() -> Node {
    Node {
        generation: 1,
        handles: 0,
        edges: 0,
        saved: 0,
        version: 0,
        type_version: 0,
        requires_grad: false,
        transient: false,
        replaced: false,
        saves: Needs::NOTHING,
        holds_inputs: false,
        place: 0,
        sweep: 0,
        sequence: 0,
        operation: None,
        inputs: SmallVec::new(),
        types: Types::Unknown,
        value: None,
        pins: None,
        embedder: 0,
    }
}

impl Arena {
    #[inline]
    pub fn node(&self, id: NodeId) -> &Node {
        let node = &self.chunks[id.index as usize / CHUNK][id.index as usize % CHUNK];
        debug_assert_eq!(node.generation, id.generation, "a count was lost");
        node
    }

    #[inline]
    pub fn node_mut(&mut self, id: NodeId) -> &mut Node {
        let node = &mut self.chunks[id.index as usize / CHUNK][id.index as usize % CHUNK];
        debug_assert_eq!(node.generation, id.generation, "a count was lost");
        node
    }

    /// A new node with one handle, which `fill` describes in place; everything that it
    /// leaves alone is absent. Its edges and saves are counted on its inputs here.
    #[inline]
    pub fn insert(&mut self, fill: impl FnOnce(&mut Node)) -> NodeId {
        let id = self.insert_bare(fill);
        let node = self.node(id);
        let (saves, holds) = (node.saves, node.holds_inputs);
        for i in 0..node.inputs.len() {
            let input = self.node(id).inputs[i].id;
            let input = self.node_mut(input);
            input.edges += 1;
            input.saved += u32::from(saves.input(i)) + u32::from(holds);
        }
        id
    }

    /// [`Self::insert`] of a node on these inputs as they are now, of which its rule will read
    /// what `saves` says. `fill` describes the rest.
    #[inline]
    pub fn insert_on(
        &mut self,
        inputs: impl Iterator<Item = NodeId>,
        saves: Needs,
        fill: impl FnOnce(&mut Node),
    ) -> NodeId {
        let id = self.insert_bare(|node| {
            node.saves = saves;
            fill(node);
        });
        for (i, input) in inputs.enumerate() {
            let from = self.node_mut(input);
            from.edges += 1;
            from.saved += u32::from(saves.input(i));
            let version = from.version;
            self.node_mut(id).inputs.push(Edge { id: input, version });
        }
        id
    }

    /// A node with one handle that is not yet counted on its inputs.
    #[inline]
    fn insert_bare(&mut self, fill: impl FnOnce(&mut Node)) -> NodeId {
        let index = self.free.pop().unwrap_or_else(|| self.grow());
        self.sequence += 1;
        self.live += 1;
        let sequence = self.sequence;
        let node = &mut self.chunks[index as usize / CHUNK][index as usize % CHUNK];
        node.handles = 1;
        node.sequence = sequence;
        fill(node);
        node.saved = u32::from(node.saves.output());
        let id = NodeId {
            index,
            generation: node.generation,
        };
        self.embedded += usize::from(node.embedder != 0);
        id
    }

    /// A number for a new sweep, never 0.
    pub fn next_sweep(&mut self) -> u64 {
        self.sweeps += 1;
        self.sweeps
    }

    /// One more chunk; returns the index of its first node, the others are free.
    #[cold]
    fn grow(&mut self) -> u32 {
        let first = (self.chunks.len() * CHUNK) as u32;
        self.chunks
            .push(std::iter::repeat_with(vacant).take(CHUNK).collect());
        self.free.extend((first + 1..first + CHUNK as u32).rev());
        first
    }

    /// Sets the embedder's word of a node.
    pub fn set_embedder(&mut self, id: NodeId, word: usize) {
        let before = std::mem::replace(&mut self.node_mut(id).embedder, word);
        self.embedded += usize::from(word != 0);
        self.embedded -= usize::from(before != 0);
    }

    /// Drops the value of a node if nothing needs it any more.
    pub fn drop_value_if_unneeded(&mut self, id: NodeId, garbage: &mut Garbage) {
        let node = self.node_mut(id);
        if node.can_drop_value() {
            let value = node.value.take();
            node.types = value.as_ref().map_or(Types::Unknown, Value::types);
            garbage.value(value);
        }
    }

    /// Whether all of `reads`, what the rule of a node will read, is small.
    pub fn reads_small(&self, id: NodeId, reads: Needs) -> bool {
        let node = self.node(id);
        let inputs = node.inputs.iter().enumerate();
        (!reads.output() || node.is_small())
            && inputs
                .filter(|(i, _)| reads.input(*i))
                .all(|(_, edge)| self.node(edge.id).is_small())
    }

    /// Counts what the rule of a node will read.
    pub fn save(&mut self, id: NodeId, saves: Needs) {
        let node = self.node_mut(id);
        node.saves = saves;
        node.saved += u32::from(saves.output());
        for i in 0..self.node(id).inputs.len() {
            if saves.input(i) {
                let input = self.node(id).inputs[i].id;
                self.node_mut(input).saved += 1;
            }
        }
    }

    /// Gives up what [`Self::save`] or the recording counted, and values that go with it.
    pub fn unsave(&mut self, id: NodeId, garbage: &mut Garbage) {
        let saves = std::mem::replace(&mut self.node_mut(id).saves, Needs::NOTHING);
        if saves.output() {
            self.node_mut(id).saved -= 1;
            self.drop_value_if_unneeded(id, garbage);
        }
        for i in 0..self.node(id).inputs.len() {
            if saves.input(i) {
                let input = self.node(id).inputs[i].id;
                self.node_mut(input).saved -= 1;
                self.drop_value_if_unneeded(input, garbage);
            }
        }
    }

    /// Makes a node whose value was released, and such nodes before it, wait with the
    /// values that their inputs have now: something is recorded on it that is computed
    /// later, perhaps after a leaf was replaced.
    pub fn pin_released(&mut self, id: NodeId) {
        let mut work: SmallVec<[NodeId; 4]> = SmallVec::from_slice(&[id]);
        while let Some(id) = work.pop() {
            let node = self.node(id);
            if node.value.is_some() || node.holds_inputs || node.operation.is_none() {
                continue;
            }
            let edges = node.inputs.clone();
            // A leaf that was replaced already is left out: computing says what is wrong.
            let pin = |edge: &Edge| {
                let input = self.node(edge.id);
                input
                    .value
                    .clone()
                    .filter(|_| input.version == edge.version)
            };
            let pins = edges.iter().map(pin).collect();
            let node = self.node_mut(id);
            node.pins = Some(pins);
            node.holds_inputs = true;
            for edge in edges {
                self.node_mut(edge.id).saved += 1;
                work.push(edge.id);
            }
        }
    }

    /// A node is computed: its pins, and the counts it held on unrealised inputs, go.
    pub fn unhold(&mut self, id: NodeId, garbage: &mut Garbage) {
        if let Some(pins) = self.node_mut(id).pins.take() {
            for pin in pins {
                garbage.value(pin);
            }
        }
        if std::mem::take(&mut self.node_mut(id).holds_inputs) {
            for i in 0..self.node(id).inputs.len() {
                let input = self.node(id).inputs[i].id;
                self.node_mut(input).saved -= 1;
                self.drop_value_if_unneeded(input, garbage);
            }
        }
    }

    /// Cuts a computed node off its inputs, which makes it a leaf.
    pub fn detach(&mut self, id: NodeId, garbage: &mut Garbage, work: &mut WorkList) {
        let node = self.node_mut(id);
        node.saved -= u32::from(node.saves.output());
        self.cut(id, garbage, work);
    }

    /// Gives up the inputs of a node, and what it holds and saves of them.
    fn cut(&mut self, id: NodeId, garbage: &mut Garbage, work: &mut WorkList) {
        let node = self.node_mut(id);
        garbage.operation(node.operation.take());
        let saves = std::mem::replace(&mut node.saves, Needs::NOTHING);
        let holds = std::mem::take(&mut node.holds_inputs);
        for pin in node.pins.take().into_iter().flatten() {
            garbage.value(pin);
        }
        for i in 0..node.inputs.len() {
            let edge = self.node(id).inputs[i].id;
            let input = self.node_mut(edge);
            input.edges -= 1;
            input.saved -= u32::from(saves.input(i)) + u32::from(holds);
            if input.handles > 0 {
                continue;
            }
            // Only with the last edge: an input that is there twice is listed once.
            if input.edges == 0 {
                work.push(edge);
            } else {
                self.drop_value_if_unneeded(edge, garbage);
            }
        }
        self.node_mut(id).inputs.clear();
    }

    /// Frees the nodes of the work list that nothing refers to, and what follows from it;
    /// stops after a batch. Returns whether work is left.
    fn release(&mut self, work: &mut WorkList, garbage: &mut Garbage) -> bool {
        for _ in 0..RELEASE_BATCH {
            let Some(id) = work.pop() else { return false };
            let node = self.node(id);
            if node.handles > 0 || node.edges > 0 {
                continue;
            }
            self.cut(id, garbage, work);
            self.set_embedder(id, 0);
            let node = self.node_mut(id);
            garbage.value(node.value.take());
            node.types = Types::Unknown;
            node.version = 0;
            node.type_version = 0;
            node.saved = 0;
            node.requires_grad = false;
            node.transient = false;
            node.replaced = false;
            // A generation that wraps skips 0, so that a packed id is never 0.
            node.generation = node.generation.wrapping_add(1).max(1);
            self.live -= 1;
            self.free.push(id.index);
        }
        !work.is_empty()
    }
}

/// Runs `f` on the arena, then frees what it put on the work list, in batches, and drops
/// what is the embedder's without the lock.
pub(super) fn release_after<R>(f: impl FnOnce(&mut Arena, &mut Garbage, &mut WorkList) -> R) -> R {
    let mut work = WorkList::new();
    let mut garbage = Garbage::default();
    let mut arena = lock();
    let result = f(&mut arena, &mut garbage, &mut work);
    while arena.release(&mut work, &mut garbage) {
        drop(arena);
        drop(std::mem::take(&mut garbage));
        arena = lock();
    }
    drop(arena);
    result
}
