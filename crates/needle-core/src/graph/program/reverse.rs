//! Writes down reverse mode: the sweep of [`super::super::backward`], on types alone.

use super::super::adjoint::{fit, rule};
use super::super::backward::ones_for;
use super::super::compute::tuple_index;
use super::super::node::Types;
use super::Program;
use super::outline::{MadeBy, Outline};
use super::writer::Writer;
use crate::error::Result;
use crate::ops::Run;
use crate::ops::algebra::{Algebra, Expr, Id, Site};
use smallvec::SmallVec;

/// The adjoints of a node: one for each part of a tuple, else one, as far as they have come.
type Adjoints = SmallVec<[Option<Id>; 1]>;

/// The program of the gradients of the root by all that is wanted.
pub(super) fn write(outline: &Outline, seed: bool) -> Result<Program> {
    let writer = Writer::default();
    let mut adjoints: Vec<Adjoints> = vec![Adjoints::new(); outline.nodes.len()];
    let root = outline.roots[0] as usize;
    if let Types::One(ty) = &outline.nodes[root].types {
        let seed = if seed {
            writer.argument(ty.clone())
        } else {
            writer.constant(ones_for(ty)?)
        };
        adjoints[root].push(Some(seed));
    }
    let leads = outline.leads();
    for &number in outline.order.iter().rev() {
        let node = &outline.nodes[number as usize];
        let MadeBy::Native(op, attrs) = &node.made_by else {
            continue;
        };
        let mut own = adjoints[number as usize].clone();
        if own.iter().all(Option::is_none) {
            continue;
        }
        if let Types::Many(parts) = &node.types {
            own.resize(parts.len(), None);
        }
        if matches!(op.run, Run::Project) {
            let tuple = node.inputs[0] as usize;
            if let Types::Many(parts) = &outline.nodes[tuple].types {
                let part = tuple_index(attrs.int(0), parts.len())?;
                adjoints[tuple].resize(parts.len(), None);
                add(&writer, &mut adjoints[tuple][part], own[0]);
            }
            continue;
        }
        let value = |&number: &u32| writer.node(number, &outline.nodes[number as usize].types);
        let inputs: SmallVec<[Id; 4]> = node.inputs.iter().map(value).collect();
        let site = Site {
            algebra: &writer,
            attrs,
            inputs: &inputs,
            outputs: &[value(&number)],
        };
        let own = own.iter().map(|adjoint| adjoint.map(|id| writer.expr(id)));
        let own: SmallVec<[Option<Expr>; 1]> = own.collect();
        for (i, &input) in node.inputs.iter().enumerate() {
            let target = &mut adjoints[input as usize];
            if leads[input as usize]
                && let Some(adjoint) = rule(&op.derivative, &site, &own, i)
            {
                target.resize(1, None);
                add(&writer, &mut target[0], Some(fit(adjoint, site.x(i)).id()));
            }
        }
    }
    let gradient = |wanted: &Option<u32>| {
        let number = (*wanted)? as usize;
        adjoints[number].first().copied().flatten()
    };
    let gradients: Vec<Option<Id>> = outline.wanted.iter().map(gradient).collect();
    writer.finish(&gradients)
}

/// Adds a contribution to an adjoint.
fn add(writer: &Writer, sum: &mut Option<Id>, part: Option<Id>) {
    *sum = match (*sum, part) {
        (Some(sum), Some(part)) => Some((writer.expr(sum) + writer.expr(part)).id()),
        (sum, part) => sum.or(part),
    };
}
