//! Realisation: computing values that are not there, in one plan, without recursion.

use super::arena::{self, Arena, release_after};
use super::compute;
use super::node::{Node, NodeId, Operation, Types, Value};
use crate::error::{Error, Result};
use crate::shape;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// What a realisation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The caller wants the values.
    Values,
    /// The values only have to be in their nodes.
    Nodes,
}

struct Step {
    id: NodeId,
    sequence: u64,
}

/// Computes the values of `targets`, and returns them in order if asked to.
///
/// Every node of the plan is guarded by a count, so that it stays while other threads work
/// on the same graph; two threads may compute one node, and the first to publish wins.
pub fn realise(targets: &[NodeId], access: Access) -> Result<Vec<Value>> {
    let mut plan = Plan::default();
    plan.collect(&mut arena::lock(), targets);
    let result = plan.run(targets, access);
    plan.end();
    result
}

#[derive(Default)]
struct Plan {
    steps: Vec<Step>,
    /// How many steps of the plan still read a node of the plan.
    readers: FxHashMap<NodeId, usize>,
    /// Values of the plan that some step will still read.
    values: FxHashMap<NodeId, Value>,
}

impl Plan {
    fn collect(&mut self, arena: &mut Arena, targets: &[NodeId]) {
        let mut stack: Vec<NodeId> = targets.to_vec();
        for &target in targets {
            // The caller reads it after the last step.
            *self.readers.entry(target).or_insert(0) += 1;
        }
        let mut planned = rustc_hash::FxHashSet::default();
        while let Some(id) = stack.pop() {
            let node = arena.node(id);
            if node.value.is_some() || !planned.insert(id) {
                continue;
            }
            self.steps.push(Step {
                id,
                sequence: node.sequence,
            });
            for (i, edge) in node.inputs.iter().enumerate() {
                if pin(node, i).is_none() && arena.node(edge.id).value.is_none() {
                    *self.readers.entry(edge.id).or_insert(0) += 1;
                    stack.push(edge.id);
                }
            }
            arena.node_mut(id).edges += 1;
        }
        // Creation order is a topological order.
        self.steps.sort_unstable_by_key(|step| step.sequence);
    }

    fn run(&mut self, targets: &[NodeId], access: Access) -> Result<Vec<Value>> {
        for i in 0..self.steps.len() {
            let id = self.steps[i].id;
            let Some((operation, inputs)) = self.inputs_of(id)? else {
                continue;
            };
            let value = compute::compute(&operation, &inputs)?;
            drop(inputs);
            check_type(id, &operation, &value)?;
            self.publish(id, value);
        }
        if access == Access::Nodes {
            return Ok(Vec::new());
        }
        let arena = arena::lock();
        let value = |id: &NodeId| {
            let value = arena.node(*id).value.as_ref().or(self.values.get(id));
            let lost = || Error::Grad("a value was lost while it was computed".to_owned());
            value.cloned().ok_or_else(lost)
        };
        targets.iter().map(value).collect()
    }

    /// The operation and the values it reads, or `None` where another thread was faster.
    fn inputs_of(&mut self, id: NodeId) -> Result<Option<(Operation, SmallVec<[Value; 2]>)>> {
        let arena = arena::lock();
        let node = arena.node(id);
        let Some(operation) = node.operation.clone() else {
            return Ok(None);
        };
        if node.value.is_some() {
            return Ok(None);
        }
        let mut values = SmallVec::new();
        for (i, edge) in node.inputs.iter().enumerate() {
            if let Some(value) = pin(node, i) {
                values.push(value.clone());
                continue;
            }
            let input = arena.node(edge.id);
            if input.version != edge.version {
                let name = operation.name();
                drop(arena);
                return Err(Error::Grad(format!(
                    "{name}: its value was released and cannot be computed again, because input {i} was replaced (`.data =`) after it was recorded\nhint: read the value before the assignment, or hold the result"
                )));
            }
            let value = input
                .value
                .clone()
                .or_else(|| self.values.get(&edge.id).cloned());
            let Some(value) = value else {
                // Released by another thread between planning and now: compute it by
                // itself and look again. Each look mends one input, so this ends.
                let missing = edge.id;
                drop(arena);
                if let Some(value) = realise(&[missing], Access::Values)?.pop() {
                    self.values.insert(missing, value);
                    *self.readers.entry(missing).or_insert(0) += 1;
                }
                return self.inputs_of(id);
            };
            values.push(value);
        }
        let mut done: SmallVec<[Value; 2]> = SmallVec::new();
        for (i, edge) in node.inputs.iter().enumerate() {
            if pin(node, i).is_some() {
                continue;
            }
            if let Some(left) = self.readers.get_mut(&edge.id) {
                // What was released in between was not counted for each of its readers; a
                // value that goes too early is computed again.
                *left = left.saturating_sub(1);
                if *left == 0 {
                    done.extend(self.values.remove(&edge.id));
                }
            }
        }
        // Memory that was lent may run code of the embedder when it goes.
        drop(arena);
        drop(done);
        Ok(Some((operation, values)))
    }

    /// Puts a value into its node if somebody needs it there, and keeps it for the steps
    /// of this plan that will read it.
    fn publish(&mut self, id: NodeId, value: Value) {
        let kept = self.readers.get(&id).is_some_and(|&left| left > 0);
        if kept {
            self.values.insert(id, value.clone());
        }
        release_after(|arena, garbage, work| {
            let node = arena.node_mut(id);
            let foreign = matches!(node.operation, Some(Operation::Foreign(_)));
            if node.value.is_none() && (node.handles > 0 || node.saved > 0 || foreign) {
                node.value = Some(value);
            } else {
                if node.value.is_none() {
                    node.types = value.types();
                }
                garbage.value(Some(value));
            }
            arena.unhold(id, garbage);
            // Without gradient the graph has served its purpose: the result is a leaf now.
            let node = arena.node(id);
            if !node.requires_grad && node.value.is_some() {
                arena.detach(id, garbage, work);
            }
        });
    }

    /// Takes the guards back.
    fn end(self) {
        drop(self.values);
        release_after(|arena, garbage, work| {
            for step in &self.steps {
                let node = arena.node_mut(step.id);
                node.edges -= 1;
                if node.edges == 0 && node.handles == 0 {
                    work.push(step.id);
                } else {
                    arena.drop_value_if_unneeded(step.id, garbage);
                }
            }
        });
    }
}

/// An embedder's op may have promised another type than it gives.
fn check_type(id: NodeId, operation: &Operation, value: &Value) -> Result<()> {
    if !matches!(operation, Operation::Foreign(_)) {
        return Ok(());
    }
    let promised = arena::lock().node(id).types.clone();
    let given = value.types();
    match (&promised, &given) {
        (Types::One(a), Types::One(b)) if a.shape != b.shape => Err(Error::Shape(format!(
            "{}: compute gave shape {}, but infer said {}",
            operation.name(),
            shape::display(&b.shape),
            shape::display(&a.shape)
        ))),
        (Types::One(a), Types::One(b)) if a.dtype != b.dtype => Err(Error::DType(format!(
            "{}: compute gave dtype {}, but infer said {}",
            operation.name(),
            b.dtype,
            a.dtype
        ))),
        _ => Ok(()),
    }
}

fn pin(node: &Node, i: usize) -> Option<&Value> {
    node.pins.as_ref().and_then(|pins| pins[i].as_ref())
}
