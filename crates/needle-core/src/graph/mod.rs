//! The graph: an arena of nodes, handles on it, recording, realisation and the sweeps.
//!
//! What an embedder needs is re-exported here: [`Tensor`], [`apply`], [`backward`],
//! [`jvp`], [`gradients`] and [`tangents`] for many graphs of one structure, the modes, and
//! [`ForeignOp`] for ops that it defines itself.

mod adjoint;
mod arena;
mod backward;
mod compute;
mod eager;
mod foreign;
mod fork;
mod forward;
mod handle;
mod mode;
mod node;
mod program;
mod realise;
mod record;
mod scopes;
mod tape;
mod tensor;
mod topology;
mod versions;

pub use adjoint::{check_adjoints, vjp_at};
pub use arena::{embedder_of, live_nodes, live_nodes_without_object};
pub use backward::{Gradient, backward, backward_from};
pub use compute::set_unlock_hook;
pub use foreign::fit_gradients;
pub use fork::install_fork_handlers;
pub use forward::jvp;
pub use mode::{Mode, current_mode, is_lazy_default, replace_mode, set_lazy_default, with_mode};
pub use node::{ForeignOp, NodeId, Operation, Types, Value};
pub use program::{forget_programs, gradients, tangents};
pub use realise::{Access, realise};
pub use record::{apply, apply_bound, apply_foreign, subtract, subtract_from};
pub use scopes::{Scope, enter_scope, exit_scope};
pub use tensor::Tensor;
pub use topology::{elements, made_after, topological_order};
