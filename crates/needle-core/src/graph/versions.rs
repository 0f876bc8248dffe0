//! Replaced data: a rule must not read another value than the one that was recorded.

use super::arena::Arena;
use super::node::{Node, Operation};
use crate::error::{Error, Result};
use crate::ops::Needs;

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

/// What the rules of a node read in a sweep, or the error that names what of it was
/// replaced since the node was recorded.
pub(super) fn check(arena: &Arena, node: &Node) -> Result<Needs> {
    let reads = reads_of(arena, node);
    for (i, edge) in node.inputs.iter().enumerate() {
        let input = arena.node(edge.id);
        // Every rule may read shapes and dtypes.
        if edge.version < input.type_version {
            return Err(replaced(
                node,
                format_args!("the shape and dtype of input {i}, which"),
                " by data of another after the operation was recorded",
            ));
        }
        if reads.input(i) && input.version != edge.version {
            return Err(replaced(
                node,
                format_args!("input {i}, which"),
                " after the operation was recorded",
            ));
        }
    }
    if reads.output() && node.replaced {
        return Err(replaced(node, format_args!("its result, which"), ""));
    }
    Ok(reads)
}

#[cold]
fn replaced(node: &Node, what: std::fmt::Arguments, when: &str) -> Error {
    let name = node
        .operation
        .as_ref()
        .map_or_else(String::new, Operation::name);
    Error::Grad(format!(
        "{name}: its gradient needs {what} was replaced (`.data =`){when}\nhint: call backward() before the assignment, or record again after it"
    ))
}
