//! What `needle.autograd` offers of the engine: backward, order, modes, counters.

use crate::coerce;
use crate::errors::{OrRaise, ShapeError};
use crate::tensor::{PyTensor, handle};
use crate::user_code::{self, Tensors};
use crate::value::{OBJECTS, PyValue, live_object, wrap};
use needle_core::graph::{self, Mode, NodeId, Scope};
use needle_core::ops::{Attrs, arithmetic};
use needle_core::{Tensor, shape};
use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyList;
use std::collections::HashMap;
use std::sync::atomic::{AtomicIsize, Ordering};

/// Runs the sweep and hands the gradients to the objects that are alive.
pub fn backward(
    root: &Bound<'_, PyTensor>,
    out_grad: Option<&Bound<'_, PyAny>>,
    accumulate: bool,
) -> PyResult<()> {
    let py = root.py();
    let seed = out_grad.map(|given| seed(root, given)).transpose()?;
    // First the objects, held: assigning a gradient drops the old one, which may run
    // anything, and so may the rules of the sweep; so no pointer is older than this pass.
    let found: Gradients<'_> = graph::backward(handle(root)?, seed)
        .or_raise()?
        .into_iter()
        .filter_map(|found| {
            // SAFETY: the word is read here, with the GIL, and nothing of Python runs in between.
            let object = unsafe { live_object(py, graph::embedder_of(found.node)) }?;
            Some((object, found.gradient))
        })
        .collect();
    let found = if accumulate { added(py, found)? } else { found };
    for (object, gradient) in found {
        let value = object.cast::<PyValue>()?;
        value.get().set_grad(Some(wrap(py, gradient)?.unbind()));
    }
    Ok(())
}

/// What a user gives as the adjoint of `root`.
fn seed(root: &Bound<'_, PyTensor>, given: &Bound<'_, PyAny>) -> PyResult<Tensor> {
    let input = coerce::input(given, Some(crate::tensor::dtype_of(handle(root)?)?))?;
    Ok(input.tensor()?.clone())
}

/// The gradients of the sum of all elements of `roots`, weighted by `seeds`, by each of `inputs`, as
/// `backward()` finds them; no `.grad` is written. None for one that no root depends on.
#[pyfunction]
#[allow(clippy::needless_pass_by_value)] // Lists that were made for this call.
pub fn gradients_by<'py>(
    py: Python<'py>,
    roots: Tensors<'py>,
    seeds: Vec<Option<Bound<'py, PyAny>>>,
    inputs: Tensors<'py>,
) -> PyResult<Found<'py>> {
    let seeded = roots.iter().zip(&seeds).map(|(root, given)| {
        let seed = given.as_ref().map(|given| seed(root, given)).transpose()?;
        Ok((handle(root)?, seed))
    });
    let seeded = seeded.collect::<PyResult<Vec<_>>>()?;
    let swept = graph::backward_from(&seeded).or_raise()?;
    let swept: HashMap<NodeId, Tensor> = swept.into_iter().map(|g| (g.node, g.gradient)).collect();
    let of = |input: &Tensor| input.node_id().and_then(|node| swept.get(&node).cloned());
    wrapped(py, handles(&inputs)?.into_iter().map(of).collect())
}

/// Whether an op made `tensor` after it made all of `others`, which so cannot depend on it.
#[pyfunction]
#[allow(clippy::needless_pass_by_value)] // A list that was made for this call.
pub fn made_after(tensor: &Bound<'_, PyTensor>, others: Tensors<'_>) -> PyResult<bool> {
    let others = handles(&others)?;
    Ok(graph::made_after(handle(tensor)?, &others))
}

/// Objects, held, each with a gradient.
type Gradients<'py> = Vec<(Bound<'py, PyAny>, Tensor)>;

/// The gradients added to those that the objects have: all of them before any is assigned, so that
/// an error changes none.
fn added<'py>(py: Python<'py>, found: Gradients<'py>) -> PyResult<Gradients<'py>> {
    let add = |(object, gradient): (Bound<'py, PyAny>, Tensor)| {
        let old = object.cast::<PyValue>()?.get().grad(py);
        let Some(old) = old else {
            return Ok((object, gradient));
        };
        let old = old.bind(py).cast::<PyValue>()?;
        let terms = [old.get().tensor()?, &gradient];
        // The data may have been replaced by some of another shape: no broadcasting.
        let (had, has) = (terms[0].ty().or_raise()?, terms[1].ty().or_raise()?);
        if had.shape != has.shape {
            return Err(ShapeError::new_err(format!(
                "backward: accumulate: the gradient so far has shape {}, the new one {}",
                shape::display(&had.shape),
                shape::display(&has.shape)
            )));
        }
        // As if the sweep had added it.
        let mode = Mode {
            transient: true,
            ..graph::current_mode()
        };
        let add = || graph::apply(&arithmetic::ADD, Attrs::none(), &terms);
        Ok((object, graph::with_mode(mode, add).or_raise()?))
    };
    found.into_iter().map(add).collect()
}

/// The gradients of the sum of `root`, weighted by `seed`, by each of `leaves`: see
/// [`graph::gradients`].
#[pyfunction]
#[pyo3(signature = (root, leaves, seed = None))]
#[allow(clippy::needless_pass_by_value)] // A list that was made for this call.
pub fn gradients<'py>(
    root: &Bound<'py, PyTensor>,
    leaves: Tensors<'py>,
    seed: Option<&Bound<'py, PyTensor>>,
) -> PyResult<Option<Found<'py>>> {
    let seed = seed.map(handle).transpose()?.cloned();
    let found = graph::gradients(handle(root)?, seed, &handles(&leaves)?).or_raise()?;
    found.map(|found| wrapped(root.py(), found)).transpose()
}

/// Forward mode in several directions at once: see [`graph::tangents`].
#[pyfunction]
#[allow(clippy::needless_pass_by_value)] // Lists that were made for this call.
pub fn tangents<'py>(
    py: Python<'py>,
    outputs: Tensors<'py>,
    inputs: Tensors<'py>,
    tangents: Tensors<'py>,
) -> PyResult<Found<'py>> {
    if inputs.len() != tangents.len() {
        return Err(PyValueError::new_err(format!(
            "tangents: expected {} of them, got {}",
            inputs.len(),
            tangents.len()
        )));
    }
    let (inputs, tangents) = (handles(&inputs)?, handles(&tangents)?);
    let Some(first) = tangents.first() else {
        return Err(PyValueError::new_err(
            "tangents: expected at least one input, got none",
        ));
    };
    let directions = first.ty().or_raise()?.shape.first().copied().unwrap_or(1);
    if directions == 0 {
        return Err(PyValueError::new_err(
            "tangents: expected at least one direction, got none",
        ));
    }
    let pairs: Vec<_> = inputs.into_iter().zip(tangents).collect();
    let found = graph::tangents(&handles(&outputs)?, &pairs, directions);
    wrapped(py, found.or_raise()?)
}

/// Tensors, or `None` where there is none.
type Found<'py> = Vec<Option<Bound<'py, PyAny>>>;

fn wrapped(py: Python<'_>, found: Vec<Option<Tensor>>) -> PyResult<Found<'_>> {
    let wrapped = |tensor: Option<Tensor>| tensor.map(|tensor| wrap(py, tensor)).transpose();
    found.into_iter().map(wrapped).collect()
}

fn handles<'a>(tensors: &'a [Bound<'_, PyTensor>]) -> PyResult<Vec<&'a Tensor>> {
    tensors.iter().map(handle).collect()
}

/// How many elements all values have that `outputs` depend on, their own included: what a sweep
/// may have to keep for one direction.
#[pyfunction]
#[allow(clippy::needless_pass_by_value)] // A list that was made for this call.
pub fn graph_elements(outputs: Tensors<'_>) -> PyResult<usize> {
    let order = graph::topological_order(&handles(&outputs)?).or_raise()?;
    Ok(graph::elements(&order))
}

/// The nodes that `node_list` depends on, inputs before their consumers: post-order
/// depth-first from left to right, each once, the last of the list at the end.
#[pyfunction]
pub fn find_topo_sort<'py>(node_list: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
    let py = node_list.py();
    let objects = user_code::collect(node_list)?;
    let values = objects
        .iter()
        .map(|object| Ok(object.cast::<PyValue>()?.get()))
        .collect::<PyResult<Vec<_>>>()?;
    let roots = values
        .iter()
        .map(|value| value.tensor())
        .collect::<PyResult<Vec<_>>>()?;
    let order = graph::topological_order(&roots).or_raise()?;
    let order = order
        .into_iter()
        .map(|tensor| wrap(py, tensor))
        .collect::<PyResult<Vec<_>>>()?;
    PyList::new(py, order)
}

/// Whether results wait until they are read, in threads that have not said otherwise.
#[pyfunction]
pub fn get_lazy_mode() -> bool {
    graph::is_lazy_default()
}

/// Sets what `get_lazy_mode` gives.
#[pyfunction]
pub fn set_lazy_mode(lazy: bool) {
    graph::set_lazy_default(lazy);
}

/// The mode of this thread: (lazy or None for the process's, no_grad).
#[pyfunction]
pub fn get_thread_mode() -> (Option<bool>, bool) {
    let mode = graph::current_mode();
    (mode.lazy, mode.no_grad)
}

/// Begins a scope in this thread, and returns its number. `None` leaves a part of the mode as it
/// is.
#[pyfunction]
#[pyo3(signature = (lazy, no_grad))]
pub fn enter_scope(lazy: Option<bool>, no_grad: Option<bool>) -> u64 {
    graph::enter_scope(Scope { lazy, no_grad })
}

/// Ends the scope of that number, of whatever thread; one that has ended is left alone.
#[pyfunction]
pub fn exit_scope(number: u64) {
    graph::exit_scope(number);
}

static OFFSET: AtomicIsize = AtomicIsize::new(0);

fn counted() -> isize {
    OBJECTS.load(Ordering::Relaxed) + graph::live_nodes_without_object() as isize
}

/// Live tensor objects plus live nodes without one.
#[pyfunction]
pub fn get_tensor_counter() -> isize {
    counted() + OFFSET.load(Ordering::Relaxed)
}

/// Makes the counter stand at `value` now.
#[pyfunction]
pub fn set_tensor_counter(value: isize) {
    OFFSET.store(value - counted(), Ordering::Relaxed);
}

/// Returns the memory that waits for reuse to the system.
#[pyfunction]
pub fn empty_cache() {
    graph::forget_programs();
    needle_core::array::pool::empty_cache();
}

/// A long kernel, to be run without the GIL.
struct Kernel<'a>(&'a mut dyn FnMut());

// SAFETY: it stays on its thread: `detach` asks for Send to keep Python's objects out, and kernels
// of the op table touch none. A handle on lent memory that they drop is never the last: their
// caller has one.
unsafe impl Send for Kernel<'_> {}

impl Kernel<'_> {
    fn run(self) {
        (self.0)();
    }
}

/// Lets other Python threads run during a long kernel.
fn unlocked(body: &mut dyn FnMut()) {
    // A kernel may run on a thread that Python does not know.
    // SAFETY: asking whether this thread holds the GIL is always allowed.
    if unsafe { ffi::PyGILState_Check() } == 0 {
        return body();
    }
    let kernel = Kernel(body);
    Python::attach(|py| py.detach(|| kernel.run()));
}

/// Sets up what the core asks of its embedder.
pub fn install() {
    graph::set_unlock_hook(unlocked);
    graph::install_fork_handlers();
}
