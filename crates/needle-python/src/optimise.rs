//! Steps of optimisers over many parameters in one call.

use crate::errors::OrRaise;
use crate::tensor::{PyTensor, handle};
use crate::user_code::Tensors;
use needle_core::Tensor;
use needle_core::array::Array;
use needle_core::graph::Value;
use needle_core::kernels::optimise::{self, Adagrad, Adam, Job, Lion, RmsProp, Sgd, Step};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use smallvec::SmallVec;

type States<'a, 'py> = &'a [&'a Bound<'py, PyDict>];

/// A parameter that has a gradient, and all else that a step reads, computed.
struct Found<'a, 'py> {
    param: &'a Bound<'py, PyTensor>,
    grad: Bound<'py, PyTensor>,
    states: SmallVec<[State<'py>; 3]>,
}

struct State<'py> {
    tensor: Bound<'py, PyTensor>,
    /// Whether it has to be put into the dict of its kind.
    is_new: bool,
}

/// The values of a [`Found`]: one handle on each memory, beside that of the tensor.
struct Values {
    param: Array,
    grad: Array,
    states: SmallVec<[Array; 3]>,
}

/// The step itself, the same for every rule, or with `only_check` all of it up to where something
/// changes. `states` has a dict for each kind of state, by parameter; a parameter that is not in it
/// gets its first state there.
fn take(
    step: &Step,
    params: &Tensors<'_>,
    states: States<'_, '_>,
    only_check: bool,
) -> PyResult<()> {
    let states = &states[..step.states()];
    // Values that wait to be computed may run Python code, which may replace data: all of it
    // runs before anybody reads a value or looks at who holds which memory.
    let mut list = Vec::with_capacity(params.len());
    for param in params.iter() {
        list.extend(find(step, param, states)?);
    }
    let values = list
        .iter()
        .map(Found::values)
        .collect::<PyResult<Vec<_>>>()?;
    // A tensor has one handle on its memory, and `values` the other.
    let jobs = values
        .iter()
        .map(|at| Job::new(step, &at.param, &at.grad, &at.states, 2))
        .collect::<needle_core::Result<Vec<_>>>()
        .or_raise()?;
    if only_check {
        return Ok(());
    }
    // SAFETY: the GIL is held since the jobs were made and no Python has run. Kernels of other
    // threads that run without it hold handles of their own, which `Job::new` has counted.
    unsafe { optimise::run(step, &jobs) };
    for (found, job) in list.into_iter().zip(jobs) {
        let (value, arrays) = job.results();
        handle(found.param)?.set_value(Value::One(value));
        for ((state, array), dict) in found.states.into_iter().zip(arrays).zip(states) {
            handle(&state.tensor)?.set_value(Value::One(array));
            if state.is_new {
                dict.set_item(found.param, state.tensor)?;
            }
        }
    }
    Ok(())
}

/// What a step reads of a parameter, `None` where it has no gradient.
fn find<'a, 'py>(
    step: &Step,
    param: &'a Bound<'py, PyTensor>,
    states: States<'_, 'py>,
) -> PyResult<Option<Found<'a, 'py>>> {
    let py = param.py();
    // A frozen parameter may have a gradient all the same, pending, which nobody asks for.
    if !handle(param)?.requires_grad() {
        return Ok(None);
    }
    let Some(grad) = param.as_super().get().grad(py) else {
        return Ok(None);
    };
    let mut found = Found {
        param,
        grad: grad.into_bound(py).cast_into()?,
        states: SmallVec::new(),
    };
    for dict in states {
        let kept = dict.get_item(param)?;
        let is_new = kept.is_none();
        let tensor = if let Some(tensor) = kept {
            tensor.cast_into()?
        } else {
            let value = handle(param)?.array().or_raise()?;
            let first = step.first_state(&value).or_raise()?;
            PyTensor::create(py, Tensor::leaf(first, false))?
        };
        found.states.push(State { tensor, is_new });
    }
    found.values()?;
    Ok(Some(found))
}

impl Found<'_, '_> {
    /// The values as they are now, computed if they were not.
    fn values(&self) -> PyResult<Values> {
        let array = |tensor| handle(tensor)?.array().or_raise();
        Ok(Values {
            param: array(self.param)?,
            grad: array(&self.grad)?,
            states: self
                .states
                .iter()
                .map(|state| array(&state.tensor))
                .collect::<PyResult<_>>()?,
        })
    }
}

/// Gradient descent over all parameters that have a gradient: with `h = grad + weight_decay p`
/// it is `u = momentum u + (1 - dampening) h` and `p = p - lr u`, or `p = p - lr (momentum u +
/// (1 - dampening) h)` with `nesterov`; without momentum `p = p - lr h`.
///
/// `velocities` is a dict with the `u` of each parameter; it gets those that are missing, as
/// zeros before the step. It stays as it is without momentum. Nothing is changed where an
/// error is raised, nor with `only_check`, which raises what the step would: ShapeError for a state of another shape than its parameter, DTypeError
/// for parameters that are not floats.
#[pyfunction]
#[allow(clippy::needless_pass_by_value, clippy::too_many_arguments)] // Made for the call; settings.
#[pyo3(signature = (
    params, velocities, *, lr, momentum, dampening, weight_decay, nesterov, only_check=false
))]
pub fn sgd_step(
    params: Tensors<'_>,
    velocities: &Bound<'_, PyDict>,
    lr: f64,
    momentum: f64,
    dampening: f64,
    weight_decay: f64,
    nesterov: bool,
    only_check: bool,
) -> PyResult<()> {
    let settings = Sgd {
        lr,
        momentum,
        dampening,
        weight_decay,
        nesterov,
    };
    take(
        &optimise::sgd(&settings),
        &params,
        &[velocities],
        only_check,
    )
}

/// A step of Adam over all parameters that have a gradient (Kingma and Ba 2015, algorithm 1):
/// `weight_decay p` is added to the gradient or, if `decoupled`, `lr weight_decay p` is
/// subtracted from the parameter (AdamW, Loshchilov and Hutter 2019).
///
/// `means` and `squares` are dicts with the moments of each parameter, as for `sgd_step`. `t`
/// is the number of the step, from 1 on. Errors as for `sgd_step`, and ValueError for a
/// step below 1.
#[pyfunction]
#[pyo3(signature = (
    params, means, squares, *, t, lr, beta1, beta2, eps, weight_decay, decoupled, only_check=false
))]
#[allow(clippy::needless_pass_by_value, clippy::too_many_arguments)] // As above.
pub fn adam_step(
    params: Tensors<'_>,
    means: &Bound<'_, PyDict>,
    squares: &Bound<'_, PyDict>,
    t: i32,
    lr: f64,
    beta1: f64,
    beta2: f64,
    eps: f64,
    weight_decay: f64,
    decoupled: bool,
    only_check: bool,
) -> PyResult<()> {
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
        decoupled,
        t,
    };
    take(
        &optimise::adam(&settings),
        &params,
        &[means, squares],
        only_check,
    )
}

/// A step of RMSProp over all parameters that have a gradient: with `h = grad +
/// weight_decay p` it is `v = alpha v + (1 - alpha) h^2` and `p = p - lr h / (sqrt(v) + eps)`.
/// If `centered`, the square of the mean of `h` is subtracted from `v` there; with momentum
/// the step is `u = momentum u + h / (sqrt(v) + eps)`.
///
/// `squares`, `means` and `velocities` are dicts, as for `sgd_step`; the last two are used
/// where they are needed. Errors as for `sgd_step`.
#[pyfunction]
#[pyo3(signature = (
    params, squares, means, velocities, *, lr, alpha, eps, momentum, weight_decay, centered,
    only_check=false
))]
#[allow(clippy::needless_pass_by_value, clippy::too_many_arguments)] // As above.
pub fn rmsprop_step(
    params: Tensors<'_>,
    squares: &Bound<'_, PyDict>,
    means: &Bound<'_, PyDict>,
    velocities: &Bound<'_, PyDict>,
    lr: f64,
    alpha: f64,
    eps: f64,
    momentum: f64,
    weight_decay: f64,
    centered: bool,
    only_check: bool,
) -> PyResult<()> {
    let settings = RmsProp {
        lr,
        alpha,
        eps,
        momentum,
        weight_decay,
        centered,
    };
    let states = if centered {
        [squares, means, velocities]
    } else {
        [squares, velocities, means]
    };
    take(&optimise::rms_prop(&settings), &params, &states, only_check)
}

/// A step of Adagrad over all parameters that have a gradient: with `h = grad +
/// weight_decay p` it is `s = s + h^2` and `p = p - lr h / (sqrt(s) + eps)`.
///
/// `sums` is a dict with the `s` of each parameter, as for `sgd_step`; one that is missing
/// begins with `start`. Errors as for `sgd_step`.
#[pyfunction]
#[allow(clippy::needless_pass_by_value)] // As above.
#[pyo3(signature = (params, sums, *, lr, eps, weight_decay, start, only_check=false))]
pub fn adagrad_step(
    params: Tensors<'_>,
    sums: &Bound<'_, PyDict>,
    lr: f64,
    eps: f64,
    weight_decay: f64,
    start: f64,
    only_check: bool,
) -> PyResult<()> {
    let settings = Adagrad {
        lr,
        eps,
        weight_decay,
        start,
    };
    take(&optimise::adagrad(&settings), &params, &[sums], only_check)
}

/// A step of Lion over all parameters that have a gradient (Chen et al. 2023): `p = p -
/// lr (sign(beta1 m + (1 - beta1) grad) + weight_decay p)` and `m = beta2 m +
/// (1 - beta2) grad`.
///
/// `means` is a dict with the `m` of each parameter, as for `sgd_step`. Errors as there.
#[pyfunction]
#[allow(clippy::needless_pass_by_value)] // As above.
#[pyo3(signature = (params, means, *, lr, beta1, beta2, weight_decay, only_check=false))]
pub fn lion_step(
    params: Tensors<'_>,
    means: &Bound<'_, PyDict>,
    lr: f64,
    beta1: f64,
    beta2: f64,
    weight_decay: f64,
    only_check: bool,
) -> PyResult<()> {
    let settings = Lion {
        lr,
        beta1,
        beta2,
        weight_decay,
    };
    take(&optimise::lion(&settings), &params, &[means], only_check)
}

/// The L2 norm of all elements of all tensors together, computed in float64.
#[pyfunction]
#[allow(clippy::needless_pass_by_value)] // As above.
pub fn global_norm(tensors: Tensors<'_>) -> PyResult<f64> {
    let arrays = tensors
        .iter()
        .map(|tensor| handle(tensor)?.array().or_raise())
        .collect::<PyResult<Vec<_>>>()?;
    optimise::norm(&arrays).or_raise()
}
