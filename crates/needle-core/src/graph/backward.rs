//! Reverse mode: one sweep over the recorded graph, newest node first.
//!
//! The sweep collects what a gradient flows through, makes sure that the values which the
//! rules read are there, and visits nodes by falling creation order, so that every adjoint
//! is complete when its node is reached. The rules record what they do: gradients are
//! tensors with history. Held leaves that do not require a gradient get a *pending* one:
//! recorded with the values as they are now, and computed when it is first read.

use super::adjoint::{Adjoints, Place, Wanted, pull_back};
use super::arena::{self, Arena, release_after};
use super::compute::tuple_index;
use super::mode::{Mode, current_mode, with_mode};
use super::node::{Node, NodeId, Operation, Types};
use super::realise::{self, Access};
use super::record::{self, saves_of};
use super::tape::Tape;
use super::tensor::Tensor;
use crate::array::Array;
use crate::dtype::Scalar;
use crate::error::{Error, Result};
use crate::ops::{Attr, Attrs, Needs, Run, arithmetic, tuple};
use crate::shape;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// The gradient of one tensor that somebody holds.
pub struct Gradient {
    /// The tensor's node.
    pub node: NodeId,
    /// The gradient.
    pub gradient: Tensor,
}

/// The gradients of the sum of `root` (weighted by `seed`) by every held tensor that it
/// depends on.
pub fn backward(root: &Tensor, seed: Option<Tensor>) -> Result<Vec<Gradient>> {
    if !root.requires_grad() {
        return Err(Error::Grad(
            "backward: the tensor does not require a gradient\nhint: make a leaf with requires_grad=True, and do not detach on the way"
                .to_owned(),
        ));
    }
    let seed = seed_for(root, seed)?;
    let mode = Mode {
        transient: true,
        ..current_mode()
    };
    with_mode(mode, || {
        let mut sweep = Sweep::collect(root.promote());
        sweep.prepare(mode.is_lazy())?;
        sweep.run(seed, mode)
    })
}

/// Ones of the root's shape and dtype, or the given adjoint after a check of its shape.
fn seed_for(root: &Tensor, seed: Option<Tensor>) -> Result<Tensor> {
    let ty = root.ty()?;
    let Some(seed) = seed else {
        let one = Array::scalar(Scalar::Int(1), ty.dtype)?;
        return Ok(Tensor::leaf(one.broadcast_to(&ty.shape), false));
    };
    let given = seed.ty()?;
    if given.shape != ty.shape {
        return Err(Error::shape(
            "backward",
            format_args!(
                "out_grad has shape {}, expected {}",
                shape::display(&given.shape),
                shape::display(&ty.shape)
            ),
        ));
    }
    if ty.dtype.is_float() && given.dtype != ty.dtype {
        let attrs = Attrs::one(Attr::DType(ty.dtype));
        return record::apply(&crate::ops::shaping::ASTYPE, attrs, &[&seed]);
    }
    Ok(seed)
}

/// What the sweep knows of a node it will visit.
struct Visit {
    id: NodeId,
    sequence: u64,
    /// A held leaf that requires no gradient: its adjoint is recorded, not computed.
    pending: bool,
    /// Whether a user holds the node.
    held: bool,
    /// Whether its rule reads values, which are saved until it has run.
    saves: bool,
    /// One adjoint for each output, as far as they have come.
    adjoints: Adjoints,
}

/// What the rules of a node will read in a sweep: those for the inputs that it reaches.
fn reads_of(arena: &Arena, node: &Node) -> Needs {
    let Some(Operation::Native(op, _)) = &node.operation else {
        return node.saves;
    };
    let mut reads = Needs::NOTHING;
    for (i, edge) in node.inputs.iter().enumerate() {
        let input = arena.node(edge.id);
        if input.requires_grad || (input.operation.is_none() && input.handles > 0) {
            reads = reads.and(op.needs(i));
        }
    }
    reads
}

struct Sweep {
    visits: Vec<Visit>,
    position: FxHashMap<NodeId, u32>,
}

impl Sweep {
    fn collect(root: NodeId) -> Self {
        let arena = arena::lock();
        let mut visits = Vec::new();
        let mut position = FxHashMap::default();
        let mut stack = vec![root];
        while let Some(id) = stack.pop() {
            let node = arena.node(id);
            let pending = !node.requires_grad;
            if pending && (node.operation.is_some() || node.handles == 0) {
                continue;
            }
            if position.insert(id, 0).is_some() {
                continue;
            }
            visits.push(Visit {
                id,
                sequence: node.sequence,
                pending,
                held: node.handles > 0,
                saves: false,
                adjoints: SmallVec::new(),
            });
            if !pending {
                stack.extend(node.inputs.iter().map(|edge| edge.id));
            }
        }
        drop(arena);
        visits.sort_unstable_by_key(|visit| std::cmp::Reverse(visit.sequence));
        for (i, visit) in visits.iter().enumerate() {
            position.insert(visit.id, i as u32);
        }
        Self { visits, position }
    }

    /// Saves and computes what the rules of this sweep will read.
    fn prepare(&mut self, lazy: bool) -> Result<()> {
        let mut missing = Vec::new();
        {
            let mut arena = arena::lock();
            for visit in self.visits.iter_mut().filter(|visit| !visit.pending) {
                visit.saves = save(&mut arena, visit.id, &mut missing)?;
            }
        }
        if !lazy && !missing.is_empty() {
            realise::realise(&missing, Access::Nodes)?;
        }
        Ok(())
    }

    fn run(&mut self, seed: Tensor, mode: Mode) -> Result<Vec<Gradient>> {
        let tape = Tape::default();
        let mut gradients = Vec::new();
        self.visits[0].adjoints.push(Some(seed));
        for at in 0..self.visits.len() {
            let adjoints = std::mem::take(&mut self.visits[at].adjoints);
            let visit = &self.visits[at];
            if adjoints.iter().any(Option::is_some) {
                // A tuple has one adjoint for each part, even if it has one part.
                if visit.held
                    && let [Some(gradient)] = adjoints.as_slice()
                    && !matches!(arena::lock().node(visit.id).types(), Types::Many(_))
                {
                    gradients.push(Gradient {
                        node: visit.id,
                        gradient: gradient.clone(),
                    });
                }
                if !visit.pending {
                    self.visit(&tape, at, adjoints, mode)?;
                }
            }
            let Visit { id, saves, .. } = self.visits[at];
            if saves {
                release_after(|arena, garbage, _| arena.unsave(id, garbage));
            }
        }
        Ok(gradients)
    }

    fn visit(&mut self, tape: &Tape, at: usize, mut adjoints: Adjoints, mode: Mode) -> Result<()> {
        let (operation, inputs, targets, output) = {
            let mut arena = arena::lock();
            let id = self.visits[at].id;
            let node = arena.node(id);
            let Some(operation) = node.operation.clone() else {
                return Ok(());
            };
            if let Types::Many(types) = node.types() {
                adjoints.resize_with(types.len(), || None);
            }
            let edges = node.inputs.clone();
            let targets: SmallVec<[Option<u32>; 4]> = edges
                .iter()
                .map(|edge| self.position.get(&edge.id).copied())
                .collect();
            let inputs: SmallVec<[Tensor; 4]> = edges
                .iter()
                .map(|edge| Tensor::adopt_more(&mut arena, edge.id))
                .collect();
            (
                operation,
                inputs,
                targets,
                Tensor::adopt_more(&mut arena, id),
            )
        };
        if let Operation::Native(op, attrs) = &operation
            && matches!(op.run, Run::Project)
        {
            return self.project(attrs.int(0), &inputs[0], targets[0], adjoints, mode);
        }
        let place = Place {
            operation,
            inputs,
            output,
        };
        let parts = pull_back(tape, place, adjoints, |i| match targets[i] {
            None => Wanted::No,
            Some(target) if self.visits[target as usize].pending => Wanted::Later,
            Some(_) => Wanted::Now,
        })?;
        for (part, target) in parts.into_iter().zip(targets) {
            if let (Some(part), Some(target)) = (part, target) {
                self.add_all(target as usize, part, mode)?;
            }
        }
        Ok(())
    }

    /// The adjoint of one element goes to its slot of the tuple.
    fn project(
        &mut self,
        index: isize,
        tuple: &Tensor,
        target: Option<u32>,
        mut adjoints: Adjoints,
        mode: Mode,
    ) -> Result<()> {
        let (Some(target), Types::Many(types)) = (target, tuple.types()?) else {
            return Ok(());
        };
        let slot = tuple_index(index, types.len())?;
        match adjoints.pop().flatten() {
            Some(adjoint) => self.add(target as usize, slot, types.len(), adjoint, mode),
            None => Ok(()),
        }
    }

    /// Adds a contribution to an input; one to a tuple goes to its slots.
    fn add_all(&mut self, target: usize, part: Tensor, mode: Mode) -> Result<()> {
        let Types::Many(types) = part.types()? else {
            return self.add(target, 0, 1, part, mode);
        };
        for slot in 0..types.len() {
            let attrs = Attrs::one(Attr::Int(slot as isize));
            let item = record::apply(&tuple::TUPLE_GET_ITEM, attrs, &[&part])?;
            self.add(target, slot, types.len(), item, mode)?;
        }
        Ok(())
    }

    /// Moves the first contribution, adds the others.
    fn add(
        &mut self,
        target: usize,
        slot: usize,
        slots: usize,
        part: Tensor,
        mode: Mode,
    ) -> Result<()> {
        let visit = &mut self.visits[target];
        visit.adjoints.resize_with(slots, || None);
        let sum = match visit.adjoints[slot].take() {
            None => part,
            Some(sum) => {
                let lazy = if visit.pending { Some(true) } else { mode.lazy };
                with_mode(Mode { lazy, ..mode }, || {
                    record::apply(&arithmetic::ADD, Attrs::none(), &[&sum, &part])
                })?
            }
        };
        self.visits[target].adjoints[slot] = Some(sum);
        Ok(())
    }
}

/// Counts what the rule of a node will read, and lists what of it is not there. Returns
/// whether it reads anything.
fn save(arena: &mut Arena, id: NodeId, missing: &mut Vec<NodeId>) -> Result<bool> {
    let node = arena.node(id);
    let Some(operation) = &node.operation else {
        return Ok(false);
    };
    if node.saves.is_nothing() {
        let saves = saves_of(arena, operation, &node.inputs);
        arena.save(id, saves);
    }
    let node = arena.node(id);
    let reads = reads_of(arena, node);
    for (i, edge) in node.inputs.iter().enumerate() {
        let input = arena.node(edge.id);
        // Every rule may read shapes and dtypes.
        if edge.version < input.type_version {
            let name = node
                .operation
                .as_ref()
                .map_or_else(String::new, Operation::name);
            return Err(Error::Grad(format!(
                "{name}: its gradient needs the shape and dtype of input {i}, which was replaced (`.data =`) by data of another after the operation was recorded\nhint: call backward() before the assignment, or record again after it"
            )));
        }
        if !reads.input(i) {
            continue;
        }
        if input.version != edge.version {
            let name = node
                .operation
                .as_ref()
                .map_or_else(String::new, Operation::name);
            return Err(Error::Grad(format!(
                "{name}: its gradient needs input {i}, which was replaced (`.data =`) after the operation was recorded\nhint: call backward() before the assignment, or record again after it"
            )));
        }
        if input.value.is_none() {
            missing.push(edge.id);
        }
    }
    if reads.output() && node.replaced {
        let name = node
            .operation
            .as_ref()
            .map_or_else(String::new, Operation::name);
        return Err(Error::Grad(format!(
            "{name}: its gradient needs its result, which was replaced (`.data =`)\nhint: call backward() before the assignment, or record again after it"
        )));
    }
    if reads.output() && node.value.is_none() {
        missing.push(id);
    }
    Ok(!node.saves.is_nothing())
}
