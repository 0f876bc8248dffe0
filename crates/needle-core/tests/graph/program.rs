//! Programs: what the sweeps find, for every op and for graphs of one structure and another.

use crate::common::*;
use needle_core::graph::{self, Derivatives};
