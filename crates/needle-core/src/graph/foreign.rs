//! What the rules of an embedder's ops return: one gradient for each input, in the input's shape.

use super::adjoint::{Adjoints, Place, Wanted, fit};
use super::node::{ForeignOp, Types};
use super::tape::Tape;
use super::tensor::Tensor;
use crate::error::{Error, Result};
use crate::shape::{TensorType, broadcasts_to, display};
use smallvec::SmallVec;

/// An embedder's rule runs once and now; its result may serve a pending gradient.
pub(super) fn pull_back(
    tape: &Tape,
    op: &dyn ForeignOp,
    place: &Place,
    adjoints: Adjoints,
    wanted: &[Wanted],
    mut give: impl FnMut(usize, Tensor) -> Result<()>,
) -> Result<()> {
    let inputs = place.inputs.iter().map(|id| tape.tensor(*id));
    let inputs = inputs.collect::<Result<SmallVec<[Tensor; 2]>>>()?;
    let node = tape.tensor(place.output)?;
    let given = op.vjp(adjoints.into_vec(), node.clone())?;
    check_count(op, given.len(), inputs.len())?;
    for (i, adjoint) in given.into_iter().enumerate() {
        if let Some(adjoint) = adjoint
            && wanted[i] != Wanted::No
        {
            give(i, fit_one(tape, op, &node, adjoint, i, &inputs[i])?)?;
        }
    }
    Ok(())
}

/// What the rule of an embedder's op gave for `node`, with each gradient in the shape of its input
/// and, for floats, in its dtype.
pub fn fit_gradients(
    op: &dyn ForeignOp,
    node: &Tensor,
    given: Vec<Option<Tensor>>,
) -> Result<Vec<Option<Tensor>>> {
    let inputs = node.inputs();
    check_count(op, given.len(), inputs.len())?;
    let tape = Tape::default();
    let fitted = given.into_iter().zip(&inputs).enumerate();
    fitted
        .map(|(i, (adjoint, input))| {
            let one = |adjoint| fit_one(&tape, op, node, adjoint, i, input);
            adjoint.map(one).transpose()
        })
        .collect()
}

fn check_count(op: &dyn ForeignOp, given: usize, inputs: usize) -> Result<()> {
    if given == inputs {
        return Ok(());
    }
    let plural = |n: usize| if n == 1 { "" } else { "s" };
    Err(Error::Grad(format!(
        "{}: gradient returned {given} value{} for {inputs} input{}\nhint: return one gradient for each input, in a tuple, and None where nothing flows",
        op.name(),
        plural(given),
        plural(inputs)
    )))
}

/// The gradient for input `i`, which may have come with any type. It is summed over axes along which
/// broadcasting has stretched the input; it is never repeated.
fn fit_one(
    tape: &Tape,
    op: &dyn ForeignOp,
    node: &Tensor,
    adjoint: Tensor,
    i: usize,
    input: &Tensor,
) -> Result<Tensor> {
    let (given, expected) = (adjoint.types()?, input.types()?);
    if given == expected {
        return Ok(adjoint);
    }
    let (Types::One(given), Types::One(expected)) = (&given, &expected) else {
        check_tuple(op, &given, i, &expected)?;
        return Ok(adjoint);
    };
    let types = node.types()?;
    let outputs = match &types {
        Types::One(output) => std::slice::from_ref(output),
        Types::Many(outputs) => outputs,
        Types::Unknown => &[],
    };
    let explains = |output: &TensorType| stretched(&expected.shape, &given.shape, &output.shape);
    if given.shape != expected.shape && !outputs.iter().any(explains) {
        return Err(wrong_shape(op, given, i, expected, outputs)?);
    }
    let (g, x) = (tape.expr(adjoint), tape.expr(input.clone()));
    tape.tensor(fit(g, x).id())
}

/// Whether `given` is `input` after broadcasting: along each axis that became longer, it is as long
/// as the output.
fn stretched(input: &[usize], given: &[usize], output: &[usize]) -> bool {
    let from_the_end = |shape: &[usize], k: usize| Some(shape[shape.len().checked_sub(k + 1)?]);
    let is_explained = |k: usize| {
        let length = from_the_end(given, k);
        length == Some(from_the_end(input, k).unwrap_or(1)) || length == from_the_end(output, k)
    };
    broadcasts_to(input, given) && (0..given.len()).all(is_explained)
}

#[cold]
fn wrong_shape(
    op: &dyn ForeignOp,
    given: &TensorType,
    i: usize,
    expected: &TensorType,
    outputs: &[TensorType],
) -> Result<Error> {
    let hint = if broadcasts_to(&given.shape, &expected.shape) {
        "return one entry for each of the input: a gradient is never repeated (and is None, not 0, where nothing flows)".to_owned()
    } else {
        let shapes: Vec<_> = outputs.iter().map(|ty| display(&ty.shape)).collect();
        format!(
            "return the shape of the input; a gradient is summed only along axes that broadcasting to the output, {}, has stretched",
            shapes.join(", ")
        )
    };
    Ok(Error::Shape(format!(
        "{}: gradient for {} has shape {}, but the input has shape {}\nhint: {hint}",
        op.name(),
        op.input_name(i)?,
        display(&given.shape),
        display(&expected.shape)
    )))
}

/// The gradient for an input that is a tuple, or one that is a tuple itself: both have to be, with
/// tensors of the same shapes.
fn check_tuple(op: &dyn ForeignOp, given: &Types, i: usize, expected: &Types) -> Result<()> {
    if let (Types::Many(given), Types::Many(expected)) = (given, expected)
        && given.len() == expected.len()
    {
        let differs = |slot: &usize| given[*slot].shape != expected[*slot].shape;
        let Some(slot) = (0..given.len()).find(differs) else {
            return Ok(());
        };
        return Err(Error::Shape(format!(
            "{}: gradient for {} has shape {} at place {slot}, but the input has shape {} there\nhint: return a tuple of tensors of the shapes of the input",
            op.name(),
            op.input_name(i)?,
            display(&given[slot].shape),
            display(&expected[slot].shape)
        )));
    }
    let shown = |types: &Types| match types {
        Types::One(ty) => format!("a tensor of shape {}", display(&ty.shape)),
        Types::Many(types) => {
            let shapes: Vec<_> = types.iter().map(|ty| display(&ty.shape)).collect();
            format!("a tuple of tensors of the shapes {}", shapes.join(", "))
        }
        Types::Unknown => "a value of unknown type".to_owned(),
    };
    Err(Error::Grad(format!(
        "{}: gradient for {} is {}, but the input is {}",
        op.name(),
        op.input_name(i)?,
        shown(given),
        shown(expected)
    )))
}
