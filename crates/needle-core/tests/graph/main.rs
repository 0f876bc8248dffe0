//! The graph: what is recorded, computed, differentiated, kept and released.
//!
//! Every test holds a lock of this binary, because live nodes are counted for the process.

#[path = "../common/mod.rs"]
mod common;

mod depth;
mod foreign;
mod foreign_errors;
mod inspect;
mod lazy;
mod pending;
mod program;
mod release;
mod replace;
mod subtract;
mod sweep;
mod threads;
mod tuples;
