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
use super::node::{Edge, NodeId, Operation, Types, Value};
use super::realise::{self, Access};
use super::record::{self, saves_of};
use super::tape::{Slot, Tape};
use super::tensor::Tensor;
use super::versions;
use crate::array::Array;
use crate::dtype::Scalar;
use crate::error::{Error, Result};
use crate::ops::{Attr, Attrs, Run, arithmetic, tuple};
use crate::shape::{self, TensorType};
use smallvec::SmallVec;
use std::cell::Cell;

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
    backward_from(&[(root, seed)])
}

/// [`backward`] from several roots, each with its seed, in one sweep.
pub fn backward_from(roots: &[(&Tensor, Option<Tensor>)]) -> Result<Vec<Gradient>> {
    let mut seeds = Vec::with_capacity(roots.len());
    for (root, seed) in roots {
        if !root.requires_grad() {
            return Err(Error::Grad(
                "backward: the tensor does not require a gradient\nhint: it was computed within no_grad(), or from constants and detached tensors alone; make a leaf with requires_grad=True"
                    .to_owned(),
            ));
        }
        seeds.push(seed_for(root, seed.clone())?);
    }
    let nodes: Vec<NodeId> = roots.iter().map(|(root, _)| root.promote()).collect();
    let mut missing = Vec::new();
    let (mut sweep, places, keeps) = Sweep::collect(&nodes, &mut missing)?;
    let mode = Mode {
        transient: true,
        keeps,
        ..current_mode()
    };
    with_mode(mode, || {
        if !mode.is_lazy() && !missing.is_empty() {
            realise::realise(&missing, Access::Nodes)?;
        }
        for (place, seed) in places.into_iter().zip(seeds) {
            sweep.add(place as usize, 0, 1, seed, mode)?;
        }
        sweep.run(mode)
    })
}

/// The adjoint of a root for which none is given: ones of its shape, and of its dtype as derivatives
/// have it ([`crate::dtype::DType::of_derivatives`]).
pub(super) fn ones_for(ty: &TensorType) -> Result<Array> {
    let dtype = ty.dtype.of_derivatives();
    Ok(Array::scalar(Scalar::Int(1), dtype)?.broadcast_to(&ty.shape))
}

/// [`ones_for`] the root, or the given adjoint after a check of its shape.
pub(super) fn seed_for(root: &Tensor, seed: Option<Tensor>) -> Result<Tensor> {
    let ty = root.ty()?;
    let Some(seed) = seed else {
        return Ok(Tensor::leaf(ones_for(&ty)?, false));
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
///
/// The handles of the roots keep all of these nodes and their inputs as long as the sweep runs,
/// so that no handle is counted for them.
struct Visit {
    id: NodeId,
    /// A held leaf that requires no gradient: its adjoint is recorded, not computed.
    pending: bool,
    /// Whether a user holds the node.
    held: bool,
    /// Whether its rule reads values that are saved until it has run, and no longer.
    saves: bool,
    /// Where the inputs stand among the visits, or [`NOWHERE`].
    targets: SmallVec<[u32; 2]>,
    /// One adjoint for each output, as far as they have come.
    adjoints: Adjoints,
}

/// No gradient flows to this input.
const NOWHERE: u32 = u32::MAX;

struct Sweep {
    visits: Vec<Visit>,
}

/// Sweeps after one that differentiated a gradient, for which small values are kept: the
/// program does so in every step, it seems.
const EXPECTED: u32 = 16;

thread_local! {
    static LEFT: Cell<u32> = const { Cell::new(0) };
}

/// Whether values should be kept for later sweeps; `higher` if this one differentiates a
/// gradient. A program that never does pays nothing.
fn keeps_values(higher: bool) -> bool {
    let left = if higher { EXPECTED } else { LEFT.get() };
    LEFT.set(left.saturating_sub(1));
    left > 0
}

impl Sweep {
    /// The visits from the newest node to the oldest, with what their rules will read
    /// saved; the values of it that are not there are listed. Where the roots stand among them, and
    /// whether small values should be kept for later sweeps.
    fn collect(roots: &[NodeId], missing: &mut Vec<NodeId>) -> Result<(Self, Vec<u32>, bool)> {
        let mut arena = arena::lock();
        let sweep = arena.next_sweep();
        let mut order: Vec<(u64, NodeId)> = Vec::new();
        let mut stack = roots.to_vec();
        let mut higher = false;
        while let Some(id) = stack.pop() {
            let node = arena.node_mut(id);
            if !node.requires_grad && (node.operation.is_some() || node.handles == 0) {
                continue;
            }
            if std::mem::replace(&mut node.sweep, sweep) == sweep {
                continue;
            }
            order.push((node.sequence, id));
            higher |= node.transient;
            if node.requires_grad {
                stack.extend(node.inputs.iter().map(|edge| edge.id));
            }
        }
        order.sort_unstable_by_key(|&(sequence, _)| std::cmp::Reverse(sequence));
        for (place, (_, id)) in order.iter().enumerate() {
            arena.node_mut(*id).place = place as u32;
        }
        let keeps = keeps_values(higher);
        let mut visits = Vec::with_capacity(order.len());
        for (_, id) in order {
            let node = arena.node(id);
            let pending = !node.requires_grad;
            let held = node.handles > 0;
            let place = |edge: &Edge| {
                let input = arena.node(edge.id);
                if input.sweep == sweep {
                    input.place
                } else {
                    NOWHERE
                }
            };
            let targets = node.inputs.iter().map(place).collect();
            let saves = !pending && save(&mut arena, id, missing)? && {
                let reads = arena.node(id).saves;
                !(keeps && arena.reads_small(id, reads))
            };
            visits.push(Visit {
                id,
                pending,
                held,
                saves,
                targets,
                adjoints: SmallVec::new(),
            });
        }
        let places = roots.iter().map(|&root| arena.node(root).place).collect();
        Ok((Self { visits }, places, keeps))
    }

    fn run(&mut self, mode: Mode) -> Result<Vec<Gradient>> {
        let tape = Tape::default();
        let mut gradients = Vec::new();
        // What the rule before has read is given up under the lock that is taken anyway.
        let mut read = None;
        for at in 0..self.visits.len() {
            let Visit {
                id,
                pending,
                held,
                saves,
                ..
            } = self.visits[at];
            let mut adjoints = std::mem::take(&mut self.visits[at].adjoints);
            let reached = adjoints.iter().any(Option::is_some);
            let (place, tuple) = release_after(|arena, garbage, _| {
                if let Some(read) = read.take() {
                    arena.unsave(read, garbage);
                }
                if reached {
                    look(arena, &tape, id, &mut adjoints)
                } else {
                    Ok((None, false))
                }
            })?;
            read = saves.then_some(id);
            if !reached {
                continue;
            }
            // A tuple has one adjoint for each part, even if it has one part.
            if held
                && !tuple
                && let [Some(gradient)] = adjoints.as_slice()
            {
                gradients.push(Gradient {
                    node: id,
                    gradient: gradient.clone(),
                });
            }
            if !pending && let Some(place) = place {
                self.visit(&tape, at, &place, adjoints, mode)?;
            }
        }
        if let Some(read) = read {
            release_after(|arena, garbage, _| arena.unsave(read, garbage));
        }
        Ok(gradients)
    }

    fn visit(
        &mut self,
        tape: &Tape,
        at: usize,
        place: &Place,
        adjoints: Adjoints,
        mode: Mode,
    ) -> Result<()> {
        let targets = std::mem::take(&mut self.visits[at].targets);
        if let Operation::Native(op, attrs) = &place.operation
            && matches!(op.run, Run::Project)
        {
            let tuple = tape.tensor(place.inputs[0])?;
            tape.clear();
            return self.project(attrs.int(0), &tuple, targets[0], adjoints, mode);
        }
        let wanted = |target: &u32| match *target {
            NOWHERE => Wanted::No,
            target if self.visits[target as usize].pending => Wanted::Later,
            _ => Wanted::Now,
        };
        let wanted: SmallVec<[Wanted; 4]> = targets.iter().map(wanted).collect();
        pull_back(tape, place, adjoints, &wanted, |i, part| {
            self.add_all(targets[i] as usize, part, mode)
        })
    }

    /// The adjoint of one element goes to its slot of the tuple.
    fn project(
        &mut self,
        index: isize,
        tuple: &Tensor,
        target: u32,
        mut adjoints: Adjoints,
        mode: Mode,
    ) -> Result<()> {
        let Types::Many(types) = tuple.types()? else {
            return Ok(());
        };
        if target == NOWHERE {
            return Ok(());
        }
        let slot = tuple_index(index, types.len())?;
        match adjoints.pop().flatten() {
            Some(adjoint) => self.add(target as usize, slot, types.len(), adjoint, mode),
            None => Ok(()),
        }
    }

    /// Adds a contribution to an input; one to a tuple goes to its slots.
    fn add_all(&mut self, target: usize, part: Tensor, mode: Mode) -> Result<()> {
        if !part.is_tuple() {
            return self.add(target, 0, 1, part, mode);
        }
        let Types::Many(types) = part.types()? else {
            return Ok(());
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

/// What the rule of a node needs to run, unless it is a leaf, and whether the node is a
/// tuple, which gets a place for the adjoint of each of its parts.
///
/// An op of the embedder may have replaced data since the sweep began: that is looked for
/// again.
fn look(
    arena: &Arena,
    tape: &Tape,
    id: NodeId,
    adjoints: &mut Adjoints,
) -> Result<(Option<Place>, bool)> {
    let node = arena.node(id);
    if node.requires_grad && node.operation.is_some() {
        versions::check(arena, node)?;
    }
    let tuple = match (&node.value, &node.types) {
        (Some(Value::Many(arrays)), _) => Some(arrays.len()),
        (None, Types::Many(types)) => Some(types.len()),
        _ => None,
    };
    if let Some(parts) = tuple {
        adjoints.resize_with(parts, || None);
    }
    let push = |id: NodeId| tape.push(Slot::Node(id));
    let place = node.operation.clone().map(|operation| Place {
        operation,
        inputs: node.inputs.iter().map(|edge| push(edge.id)).collect(),
        output: push(id),
    });
    Ok((place, tuple.is_some()))
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
    let reads = versions::check(arena, node)?;
    for (i, edge) in node.inputs.iter().enumerate() {
        if reads.input(i) && arena.node(edge.id).value.is_none() {
            missing.push(edge.id);
        }
    }
    if reads.output() && node.value.is_none() {
        missing.push(id);
    }
    Ok(!node.saves.is_nothing())
}
