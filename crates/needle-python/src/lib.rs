//! `needle._core`: the Python face of needle-core.
//!
//! Only what Python needs stands here: classes, coercion, errors, NumPy. What ops there
//! are, and how they are typed, run and differentiated, is the core's; functions, methods
//! and op classes are made from its table when the module is loaded.

mod arguments;
mod autograd;
mod buffer;
mod call;
mod cell;
mod classes;
mod coerce;
mod dtype;
mod errors;
mod exchange;
mod foreign;
mod functions;
mod index;
mod machine;
mod numpy_protocols;
mod op;
mod op_protocol;
mod operators;
mod optimise;
mod refusals;
mod rules;
mod table;
mod tensor;
mod tuple;
mod user_code;
mod value;

use pyo3::prelude::*;

// Python objects here are guarded by the GIL, so a free-threaded Python turns it on.
#[pymodule(gil_used = true)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    autograd::install();
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<value::PyValue>()?;
    module.add_class::<tensor::PyTensor>()?;
    module.add_class::<tuple::PyTensorTuple>()?;
    module.add_class::<op::PyOp>()?;
    module.add_class::<op::PyTensorOp>()?;
    module.add_class::<op::PyTensorTupleOp>()?;
    classes::add_to(module)?;
    functions::add_to(module)?;
    functions::add_methods(module.py())?;
    module.add_function(wrap_pyfunction!(exchange::from_numpy, module)?)?;
    module.add_function(wrap_pyfunction!(exchange::from_dlpack, module)?)?;
    module.add_function(wrap_pyfunction!(exchange::_rebuild, module)?)?;
    module.add_function(wrap_pyfunction!(autograd::find_topo_sort, module)?)?;
    module.add_function(wrap_pyfunction!(autograd::gradients, module)?)?;
    module.add_function(wrap_pyfunction!(autograd::gradients_by, module)?)?;
    module.add_function(wrap_pyfunction!(autograd::made_after, module)?)?;
    module.add_function(wrap_pyfunction!(autograd::tangents, module)?)?;
    module.add_function(wrap_pyfunction!(autograd::graph_elements, module)?)?;
    module.add_function(wrap_pyfunction!(autograd::get_lazy_mode, module)?)?;
    module.add_function(wrap_pyfunction!(autograd::set_lazy_mode, module)?)?;
    module.add_function(wrap_pyfunction!(autograd::get_thread_mode, module)?)?;
    module.add_function(wrap_pyfunction!(autograd::enter_scope, module)?)?;
    module.add_function(wrap_pyfunction!(autograd::exit_scope, module)?)?;
    module.add_function(wrap_pyfunction!(autograd::get_tensor_counter, module)?)?;
    module.add_function(wrap_pyfunction!(autograd::set_tensor_counter, module)?)?;
    module.add_function(wrap_pyfunction!(autograd::empty_cache, module)?)?;
    module.add_function(wrap_pyfunction!(machine::get_num_threads, module)?)?;
    module.add_function(wrap_pyfunction!(machine::set_num_threads, module)?)?;
    module.add_function(wrap_pyfunction!(machine::get_isa, module)?)?;
    module.add_function(wrap_pyfunction!(optimise::sgd_step, module)?)?;
    module.add_function(wrap_pyfunction!(optimise::adam_step, module)?)?;
    module.add_function(wrap_pyfunction!(optimise::rmsprop_step, module)?)?;
    module.add_function(wrap_pyfunction!(optimise::adagrad_step, module)?)?;
    module.add_function(wrap_pyfunction!(optimise::lion_step, module)?)?;
    module.add_function(wrap_pyfunction!(optimise::global_norm, module)?)?;
    module.add_function(wrap_pyfunction!(table::op_table, module)?)?;
    module.add_function(wrap_pyfunction!(table::op_names, module)?)?;
    module.add_function(wrap_pyfunction!(numpy_protocols::numpy_names, module)?)?;
    module.add_function(wrap_pyfunction!(numpy_protocols::is_recorded, module)?)?;
    machine::warn_of_settings(module.py())
}
