//! Steps of optimisers over many parameters in one call.

use crate::errors::OrRaise;
use crate::tensor::{PyTensor, handle};
use needle_core::array::Array;
use needle_core::graph::Value;
use needle_core::kernels::optimise::{self, Adam, Sgd};
use needle_core::{Result, Tensor};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyList;

type Params<'py> = Vec<Bound<'py, PyTensor>>;

/// A parameter that has a gradient: its place in the list, its value and the gradient's.
struct Found {
    place: usize,
    value: Array,
    grad: Array,
}

fn found(params: &Params<'_>) -> PyResult<Vec<Found>> {
    let mut list = Vec::new();
    for (place, param) in params.iter().enumerate() {
        let Some(grad) = param.as_super().get().grad(param.py()) else {
            continue;
        };
        let grad = grad.bind(param.py()).cast::<PyTensor>()?;
        list.push(Found {
            place,
            value: handle(param)?.array().or_raise()?,
            grad: handle(grad)?.array().or_raise()?,
        });
    }
    Ok(list)
}

/// The array of an entry of a list of states, `None` where there is none yet.
fn state(states: &Bound<'_, PyList>, place: usize) -> PyResult<Option<Array>> {
    let item = states.get_item(place)?;
    if item.is_none() {
        return Ok(None);
    }
    Ok(Some(handle(item.cast::<PyTensor>()?)?.array().or_raise()?))
}

/// Puts an array into a state, which keeps its identity.
fn put(states: &Bound<'_, PyList>, place: usize, array: Array) -> PyResult<()> {
    let item = states.get_item(place)?;
    if item.is_none() {
        let new = PyTensor::create(states.py(), Tensor::leaf(array, false))?;
        return states.set_item(place, new);
    }
    handle(item.cast::<PyTensor>()?)?.set_value(Value::One(array));
    Ok(())
}

fn check_length(op: &str, params: &Params<'_>, states: &Bound<'_, PyList>) -> PyResult<()> {
    if params.len() == states.len() {
        return Ok(());
    }
    Err(PyValueError::new_err(format!(
        "{op}: expected a state for each of {} parameters, got {}",
        params.len(),
        states.len()
    )))
}

/// Gradient descent over all parameters that have a gradient: `u = momentum u +
/// (1 - momentum) (grad + weight_decay p)` and `p = p - lr u`.
///
/// `velocities` is a list with the `u` of each parameter, `None` before its first step; new
/// ones are put into it. It stays as it is without momentum. Nothing is changed where an
/// error is raised: ShapeError for a state of another shape than its parameter, DTypeError
/// for parameters that are not floats, ValueError for a list of another length.
#[pyfunction]
#[allow(clippy::needless_pass_by_value)] // A list that was made for this call.
#[pyo3(signature = (params, velocities, *, lr, momentum=0.0, weight_decay=0.0))]
pub fn sgd_step(
    params: Params<'_>,
    velocities: &Bound<'_, PyList>,
    lr: f64,
    momentum: f64,
    weight_decay: f64,
) -> PyResult<()> {
    check_length("sgd", &params, velocities)?;
    let settings = Sgd {
        lr,
        momentum,
        weight_decay,
    };
    let mut done = Vec::new();
    for found in found(&params)? {
        let u = state(velocities, found.place)?;
        let result = optimise::sgd(&found.value, &found.grad, u.as_ref(), &settings);
        done.push((found.place, result.or_raise()?));
    }
    for (place, (value, velocity)) in done {
        handle(&params[place])?.set_value(Value::One(value));
        if let Some(velocity) = velocity {
            put(velocities, place, velocity)?;
        }
    }
    Ok(())
}

/// A step of Adam over all parameters that have a gradient (Kingma and Ba 2015, algorithm 1;
/// `weight_decay p` is added to the gradient).
///
/// `means` and `squares` are lists with the moments of each parameter, `None` before its
/// first step; new ones are put into them. `t` is the number of the step, from 1 on. Nothing
/// is changed where an error is raised: ShapeError for a state of another shape than its
/// parameter, DTypeError for parameters that are not floats, ValueError for a list of
/// another length or a step below 1.
#[pyfunction]
#[pyo3(signature = (params, means, squares, *, t, lr, beta1, beta2, eps, weight_decay=0.0))]
#[allow(clippy::too_many_arguments, clippy::needless_pass_by_value)] // As above; settings.
pub fn adam_step(
    params: Params<'_>,
    means: &Bound<'_, PyList>,
    squares: &Bound<'_, PyList>,
    t: i32,
    lr: f64,
    beta1: f64,
    beta2: f64,
    eps: f64,
    weight_decay: f64,
) -> PyResult<()> {
    check_length("adam", &params, means)?;
    check_length("adam", &params, squares)?;
    if t < 1 {
        return Err(PyValueError::new_err(format!(
            "adam: expected a step from 1 on, got {t}"
        )));
    }
    let settings = Adam {
        lr,
        beta1,
        beta2,
        eps,
        weight_decay,
        t,
    };
    let mut done = Vec::new();
    for found in found(&params)? {
        let moments = (state(means, found.place)?, state(squares, found.place)?);
        let moments = match &moments {
            (Some(m), Some(v)) => Some([m, v]),
            _ => None,
        };
        let result: Result<_> = optimise::adam(&found.value, &found.grad, moments, &settings);
        done.push((found.place, result.or_raise()?));
    }
    for (place, [value, mean, square]) in done {
        handle(&params[place])?.set_value(Value::One(value));
        put(means, place, mean)?;
        put(squares, place, square)?;
    }
    Ok(())
}
