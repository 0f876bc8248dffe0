//! Gradient checks over the table of ops: derivatives against finite differences.
//!
//! [`gradient_check`] takes an op and one of its samples; [`check_function`] takes any
//! function of tensors, such as an op of an embedder. Both work in float64, in a few random
//! directions and in one direction for each input alone, and compare central differences
//! with reverse mode, forward mode, and, one order higher, with reverse and forward mode
//! over reverse mode; and both modes as programs ([`graph::gradients`], [`graph::tangents`]). They
//! run in the mode of the thread: call them eagerly and lazily.
//!
//! `tuple_get_item` has no sample of its own, because its input is no array; every op with
//! several outputs is checked through it.

mod slopes;

use crate::array::Array;
use crate::error::{Error, Result};
use crate::graph::{self, Tensor, Types, current_mode, with_mode};
use crate::kernels::cast::cast;
use crate::ops::{Attr, Attrs, Domain, OpDef, Sample, tuple};
use slopes::{
    Direction, Pairs, compare, difference, direction, gradients, inner, leaves, number, random,
    slope, tangents, written_gradients, written_tangents,
};

/// Directions that move all inputs at once.
const DIRECTIONS: u64 = 2;

/// A function of tensors with any number of results.
pub type Function<'a> = dyn Fn(&[Tensor]) -> Result<Vec<Tensor>> + 'a;

/// Checks the derivatives of an op on one of its samples.
///
/// An error says which slope is off, or what the op itself refused. Results of an op
/// without derivative must not require a gradient.
pub fn gradient_check(op: &'static OpDef, sample: &Sample) -> Result<()> {
    let inputs = sample_arrays(sample, 1)?;
    if !op.is_differentiable() {
        let results = outputs(op, sample, &leaves(&inputs))?;
        if results.iter().any(Tensor::requires_grad) {
            return Err(Error::Grad(format!(
                "{}: its result requires a gradient",
                op.name
            )));
        }
    }
    check_function(op.name, &|x| outputs(op, sample, x), &inputs)
}

/// Checks the derivatives of a function at a point. Inputs that are not float do not move.
pub fn check_function(name: &str, function: &Function, inputs: &[Array]) -> Result<()> {
    let x = leaves(inputs);
    let results = function(&x)?;
    let shapes = results
        .iter()
        .map(|y| Ok(y.ty()?.shape))
        .collect::<Result<Vec<_>>>()?;
    let weights = shapes
        .iter()
        .enumerate()
        .map(|(k, shape)| random(shape, 50 + k as u64))
        .collect::<Result<Vec<_>>>()?;
    // The adjoint of the gradient, for the second order.
    let cotangent = direction(inputs, 90, |_| true)?;
    let point = Point {
        name,
        function,
        weights,
        cotangent,
    };

    let moving: Vec<usize> = (0..inputs.len())
        .filter(|&i| inputs[i].dtype().is_float())
        .collect();
    for seed in 0..DIRECTIONS {
        point.check(inputs, &direction(inputs, 10 + seed, |_| true)?)?;
    }
    if moving.len() > 1 {
        for i in moving {
            point.check(inputs, &direction(inputs, 20, |j| i == j)?)?;
        }
    }
    Ok(())
}

/// The inputs of a sample as arrays, float64 unless their domain says otherwise. Always the
/// same ones for the same `seed`.
pub fn sample_arrays(sample: &Sample, seed: u64) -> Result<Vec<Array>> {
    let array = |(i, &(shape, domain)): (usize, &(&'static [usize], Domain))| {
        let values = domain.values(shape.iter().product(), seed + i as u64);
        cast(&Array::from_slice(&values, shape)?, domain.dtype())
    };
    sample.inputs.iter().enumerate().map(array).collect()
}

/// The results of an op with a sample's attributes: one tensor, or the parts of a tuple.
pub fn outputs(op: &'static OpDef, sample: &Sample, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    let result = graph::apply(op, (sample.attrs)(), &inputs)?;
    let Types::Many(types) = result.types()? else {
        return Ok(vec![result]);
    };
    (0..types.len() as isize)
        .map(|i| graph::apply(&tuple::TUPLE_GET_ITEM, Attrs::one(Attr::Int(i)), &[&result]))
        .collect()
}

/// The scalar whose slopes are compared: the weighted sum of all results of a function.
struct Point<'a> {
    name: &'a str,
    function: &'a Function<'a>,
    weights: Vec<Array>,
    cotangent: Direction,
}

impl Point<'_> {
    fn value(&self, inputs: &[Array]) -> Result<f64> {
        let mut mode = current_mode();
        mode.no_grad = true;
        with_mode(mode, || number(self.objective(&leaves(inputs))?.as_ref()))
    }

    fn objective(&self, x: &[Tensor]) -> Result<Option<Tensor>> {
        inner((self.function)(x)?.iter().zip(&self.weights))
    }

    /// `<gradient, cotangent>`, recorded.
    fn of_gradient(&self, x: &[Tensor]) -> Result<Option<Tensor>> {
        let Some(objective) = self.objective(x)? else {
            return Ok(None);
        };
        let gradients = gradients(&objective, x)?;
        inner(gradients.iter().pairs_with(&self.cotangent))
    }

    fn check(&self, inputs: &[Array], direction: &Direction) -> Result<()> {
        let named = |error| match error {
            Error::Grad(text) => Error::Grad(format!("{}: {text}", self.name)),
            other => other,
        };
        self.first_order(inputs, direction).map_err(named)?;
        self.second_order(inputs, direction).map_err(named)
    }

    fn first_order(&self, inputs: &[Array], direction: &Direction) -> Result<()> {
        let expected = difference(inputs, direction, |x| self.value(x))?;
        let x = leaves(inputs);
        if let Some(objective) = self.objective(&x)? {
            let reverse = slope(&gradients(&objective, &x)?, direction)?;
            compare("reverse mode", reverse, expected)?;
            let written = slope(&written_gradients(&objective, &x)?, direction)?;
            compare("reverse mode as a program", written, expected)?;
        }
        let results = (self.function)(&x)?;
        let results: Vec<&Tensor> = results.iter().collect();
        let tangents = tangents(&results, &x, direction)?;
        let weights: Direction = self.weights.iter().cloned().map(Some).collect();
        compare("forward mode", slope(&tangents, &weights)?, expected)?;
        for (scale, tangents) in written_tangents(&results, &x, direction)? {
            let written = slope(&tangents, &weights)?;
            compare("forward mode as a program", written, scale * expected)?;
        }
        Ok(())
    }

    fn second_order(&self, inputs: &[Array], direction: &Direction) -> Result<()> {
        let expected = difference(inputs, direction, |inputs| {
            number(self.of_gradient(&leaves(inputs))?.as_ref())
        })?;
        let x = leaves(inputs);
        // A gradient that depends on no input has no history: its slope is 0.
        let (mut reverse, mut forward) = (0.0, 0.0);
        if let Some(product) = self.of_gradient(&x)? {
            reverse = slope(&gradients(&product, &x)?, direction)?;
            forward = number(tangents(&[&product], &x, direction)?[0].as_ref())?;
        }
        compare("reverse mode over reverse mode", reverse, expected)?;
        compare("forward mode over reverse mode", forward, expected)
    }
}
