//! Slopes of scalars along directions: by differences, in reverse mode, in forward mode.

use crate::array::{Array, Index};
use crate::error::{Error, Result};
use crate::graph::{self, Tensor};
use crate::ops::{Attr, Attrs, Domain, arithmetic, indexing, reduction};

/// Half the distance between the two points of a difference: in float64 the error of the
/// formula (its square) and that of rounding (1e-16 over it) are then both below 1e-9.
const STEP: f64 = 1e-5;
/// How far two slopes may be apart, as part of their size (or of 1, if they are smaller).
const TOLERANCE: f64 = 1e-6;

/// One array for each input that moves.
pub(super) type Direction = Vec<Option<Array>>;

pub(super) fn leaves(arrays: &[Array]) -> Vec<Tensor> {
    arrays
        .iter()
        .map(|a| Tensor::leaf(a.clone(), a.dtype().is_float()))
        .collect()
}

pub(super) fn random(shape: &[usize], seed: u64) -> Result<Array> {
    Array::from_slice(&Domain::Nonzero.values(shape.iter().product(), seed), shape)
}

pub(super) fn direction(
    inputs: &[Array],
    seed: u64,
    moves: impl Fn(usize) -> bool,
) -> Result<Direction> {
    let part = |(i, x): (usize, &Array)| {
        let moves = x.dtype().is_float() && moves(i);
        moves
            .then(|| random(x.shape(), 7 * seed + i as u64))
            .transpose()
    };
    inputs.iter().enumerate().map(part).collect()
}

/// `inputs + step * direction`.
pub(super) fn moved(inputs: &[Array], direction: &Direction, step: f64) -> Result<Vec<Array>> {
    let part = |(x, d): (&Array, &Option<Array>)| {
        let Some(d) = d else { return Ok(x.clone()) };
        let pairs = x.to_f64_vec().into_iter().zip(d.to_f64_vec());
        Array::from_slice(
            &pairs.map(|(x, d)| x + step * d).collect::<Vec<_>>(),
            x.shape(),
        )
    };
    inputs.iter().zip(direction).map(part).collect()
}

/// The central difference of `f` at `inputs` along a direction.
pub(super) fn difference(
    inputs: &[Array],
    direction: &Direction,
    f: impl Fn(&[Array]) -> Result<f64>,
) -> Result<f64> {
    let (after, before) = (
        moved(inputs, direction, STEP)?,
        moved(inputs, direction, -STEP)?,
    );
    Ok((f(&after)? - f(&before)?) / (2.0 * STEP))
}

/// `sum over k of <tensors[k], weights[k]>`, recorded; `None` where there is nothing.
pub(super) fn inner<'a>(
    pairs: impl IntoIterator<Item = (&'a Tensor, &'a Array)>,
) -> Result<Option<Tensor>> {
    let mut total: Option<Tensor> = None;
    for (tensor, weight) in pairs {
        let weight = Tensor::leaf(weight.clone(), false);
        let product = graph::apply(&arithmetic::MULTIPLY, Attrs::none(), &[tensor, &weight])?;
        let all = Attrs::of([Attr::None, Attr::Bool(false)]);
        let term = graph::apply(&reduction::SUMMATION, all, &[&product])?;
        total = Some(match total {
            None => term,
            Some(sum) => graph::apply(&arithmetic::ADD, Attrs::none(), &[&sum, &term])?,
        });
    }
    Ok(total)
}

pub(super) fn number(tensor: Option<&Tensor>) -> Result<f64> {
    let Some(tensor) = tensor else { return Ok(0.0) };
    Ok(tensor.array()?.to_f64_vec().iter().sum())
}

/// `<gradient, direction>` for the gradients that there are, as a number.
pub(super) fn slope(gradients: &[Option<Tensor>], direction: &Direction) -> Result<f64> {
    number(inner(gradients.iter().pairs_with(direction))?.as_ref())
}

/// Pairs of what is there on both sides.
pub(super) trait Pairs<'a>: Iterator<Item = &'a Option<Tensor>> + Sized {
    fn pairs_with(self, other: &'a Direction) -> impl Iterator<Item = (&'a Tensor, &'a Array)> {
        self.zip(other)
            .filter_map(|(t, d)| Some((t.as_ref()?, d.as_ref()?)))
    }
}

impl<'a, I: Iterator<Item = &'a Option<Tensor>>> Pairs<'a> for I {}

/// Gradients of `root` by each of `x`, checked for shape and dtype.
pub(super) fn gradients(root: &Tensor, x: &[Tensor]) -> Result<Vec<Option<Tensor>>> {
    let mut found = if root.requires_grad() {
        graph::backward(root, None)?
    } else {
        Vec::new()
    };
    x.iter()
        .map(|x| {
            let Some(at) = found.iter().position(|g| Some(g.node) == x.node_id()) else {
                return Ok(None);
            };
            let gradient = found.swap_remove(at).gradient;
            if gradient.ty()? != x.ty()? {
                let (given, expected) = (gradient.ty()?, x.ty()?);
                return Err(Error::Grad(format!(
                    "a gradient is {given:?}, expected {expected:?}"
                )));
            }
            Ok(x.requires_grad().then_some(gradient))
        })
        .collect()
}

/// [`gradients`] as [`graph::gradients`] finds them.
pub(super) fn written_gradients(root: &Tensor, x: &[Tensor]) -> Result<Vec<Option<Tensor>>> {
    let leaves: Vec<&Tensor> = x.iter().collect();
    let found = graph::gradients(root, None, &leaves)?;
    found.ok_or_else(|| Error::Grad("no program was made".to_owned()))
}

/// The tangents of `outputs` along multiples of a direction, with the factors, as
/// [`graph::tangents`] finds them all at once.
pub(super) fn written_tangents(
    outputs: &[&Tensor],
    x: &[Tensor],
    direction: &Direction,
) -> Result<Vec<(f64, Vec<Option<Tensor>>)>> {
    const SCALES: [f64; 3] = [1.0, -2.0, 0.5];
    let mut moving = Vec::new();
    for (x, d) in x.iter().zip(direction) {
        if let Some(d) = d {
            let numbers = d.to_f64_vec();
            let all = SCALES
                .iter()
                .flat_map(|s| numbers.iter().map(move |d| s * d));
            let shape = [&[SCALES.len()], d.shape()].concat();
            let all = Array::from_slice(&all.collect::<Vec<_>>(), &shape)?;
            moving.push((x, Tensor::leaf(all, false)));
        }
    }
    let pairs: Vec<(&Tensor, &Tensor)> = moving.iter().map(|(x, d)| (*x, d)).collect();
    let found = graph::tangents(outputs, &pairs, SCALES.len())?;
    let along = |(i, scale): (usize, f64)| {
        let one = |stacked: &Option<Tensor>| {
            let index = Attrs::one(Attr::Index([Index::At(i as isize)].into()));
            let part = |stacked| graph::apply(&indexing::GETITEM, index, &[stacked]);
            stacked.as_ref().map(part).transpose()
        };
        Ok((scale, found.iter().map(one).collect::<Result<_>>()?))
    };
    SCALES.into_iter().enumerate().map(along).collect()
}

/// The tangents of `outputs` along a direction, each of the type of its output.
pub(super) fn tangents(
    outputs: &[&Tensor],
    x: &[Tensor],
    direction: &Direction,
) -> Result<Vec<Option<Tensor>>> {
    let moving = x.iter().zip(direction);
    let moving: Vec<(&Tensor, Tensor)> = moving
        .filter_map(|(x, d)| Some((x, Tensor::leaf(d.clone()?, false))))
        .collect();
    let pairs: Vec<(&Tensor, &Tensor)> = moving.iter().map(|(x, d)| (*x, d)).collect();
    let result = graph::jvp(outputs, &pairs)?;
    for (tangent, output) in result.iter().zip(outputs) {
        let Some(tangent) = tangent else { continue };
        if tangent.ty()? != output.ty()? {
            let (given, expected) = (tangent.ty()?, output.ty()?);
            return Err(Error::Grad(format!(
                "a tangent is {given:?}, expected {expected:?}"
            )));
        }
    }
    Ok(result)
}

/// An error unless two slopes agree; NaN agrees with nothing.
pub(super) fn compare(what: &str, found: f64, expected: f64) -> Result<()> {
    if (found - expected).abs() <= TOLERANCE * found.abs().max(expected.abs()).max(1.0) {
        return Ok(());
    }
    Err(Error::Grad(format!(
        "{what} gives the slope {found}, finite differences {expected}"
    )))
}
