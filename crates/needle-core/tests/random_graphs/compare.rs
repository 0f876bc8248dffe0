//! Comparing the two engines, and counting what was compared.

use crate::reference::Ref;
use needle_core::{Error, Tensor};
use proptest::prelude::*;
use std::cell::Cell;

pub type Outcome = Result<(), TestCaseError>;

/// How often each thing was compared.
#[derive(Debug, Default)]
pub struct Tally {
    pub gradients: Cell<usize>,
    pub higher: Cell<usize>,
    pub pending: Cell<usize>,
    pub refused: Cell<usize>,
    pub late: Cell<usize>,
}

impl Tally {
    fn cells(&self) -> [&Cell<usize>; 5] {
        [
            &self.gradients,
            &self.higher,
            &self.pending,
            &self.refused,
            &self.late,
        ]
    }

    pub fn add(&self, other: &Self) {
        for (mine, theirs) in self.cells().into_iter().zip(other.cells()) {
            mine.set(mine.get() + theirs.get());
        }
    }

    /// Whether all that is counted happened often.
    pub fn is_rich(&self) -> bool {
        self.cells().iter().all(|cell| cell.get() >= 20) && self.gradients.get() >= 500
    }
}

pub fn bump(cell: &Cell<usize>) {
    cell.set(cell.get() + 1);
}

/// Beyond this, differences of roundings could be as large as what is compared.
pub fn is_tame(node: &Ref, limit: f64) -> bool {
    !node.doubtful && node.value.iter().all(|v| v.abs() < limit)
}

fn agree(found: &[f64], expected: &[f64]) -> Outcome {
    let near = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-7 * b.abs().max(1.0);
    let fits = found.len() == expected.len() && found.iter().zip(expected).all(near);
    prop_assert!(fits, "{found:?}, expected {expected:?}");
    Ok(())
}

pub fn compare(tensor: &Tensor, expected: &Ref, fallible: bool) -> Outcome {
    match tensor.array() {
        Ok(array) if is_tame(expected, 1e6) => agree(&array.to_f64_vec(), &expected.value),
        Ok(_) => Ok(()),
        Err(Error::Grad(_)) if fallible => Ok(()),
        Err(error) => Err(TestCaseError::fail(format!("{error:?}"))),
    }
}
