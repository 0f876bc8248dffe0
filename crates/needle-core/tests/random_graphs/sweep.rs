//! A sweep on both engines, with the gradients of all variables compared.

use crate::common::of;
use crate::compare::{Outcome, bump, compare, is_tame};
use crate::machine::{Machine, Variable};
use crate::reference::{Op, Ref, apply, leaf};
use crate::rules::gradients;
use needle_core::graph::{self, Gradient};
use needle_core::{Error, Tensor};
use proptest::prelude::*;
use std::rc::Rc;

impl Machine {
    /// Whether anything that `root` was made from has been replaced since.
    fn is_stale(&self, root: &Ref) -> bool {
        let mut stack = vec![root];
        let mut seen: Vec<&Ref> = Vec::new();
        while let Some(node) = stack.pop() {
            if seen.iter().any(|other| Rc::ptr_eq(other, node)) {
                continue;
            }
            seen.push(node);
            if self.stale.iter().any(|old| Rc::ptr_eq(old, node)) {
                return true;
            }
            stack.extend(&node.inputs);
        }
        false
    }

    pub fn backward(&mut self, root: usize, keep: usize, read: bool) -> Outcome {
        let variable = &self.variables[root];
        let expected = gradients(variable.now());
        let result = graph::backward(&variable.tensor, None);
        if !variable.tensor.requires_grad() {
            prop_assert!(matches!(result, Err(Error::Grad(_))));
            return Ok(());
        }
        let fallible = variable.fallible || self.is_stale(variable.now());
        let found = match result {
            Err(Error::Grad(_)) if fallible => {
                bump(&self.tally.refused);
                return Ok(());
            }
            Err(error) => return Err(TestCaseError::fail(format!("backward: {error:?}"))),
            Ok(found) => found,
        };
        if variable.cut
            || !is_tame(variable.now(), 1e6)
            || !expected.iter().all(|(_, g)| is_tame(g, 1e6))
        {
            return Ok(());
        }
        let derived = variable.derived;
        let mut kept = Vec::new();
        for variable in &self.variables {
            let pair =
                self.compare_gradient(variable, &found, &expected, read, (derived, fallible))?;
            kept.extend(pair);
        }
        if !kept.is_empty() {
            let (tensor, reference) = kept.swap_remove(keep % kept.len());
            let (is_leaf, derived) = (false, true);
            let cut = tensor.requires_grad() != reference.requires_grad;
            let versions = vec![reference];
            self.variables.push(Variable {
                tensor,
                versions,
                is_leaf,
                derived,
                cut,
                fallible,
            });
        }
        Ok(())
    }

    /// The gradient by one variable: all its versions are one node of the graph.
    fn compare_gradient(
        &self,
        variable: &Variable,
        found: &[Gradient],
        expected: &[(Ref, Ref)],
        read: bool,
        (derived, fallible): (bool, bool),
    ) -> Result<Option<(Tensor, Ref)>, TestCaseError> {
        let mut sum: Option<Ref> = None;
        for (node, adjoint) in expected {
            if variable
                .versions
                .iter()
                .any(|version| Rc::ptr_eq(version, node))
            {
                sum = Some(match sum {
                    None => Rc::clone(adjoint),
                    Some(sum) => apply(Op::Add, &[&sum, adjoint], true),
                });
            }
        }
        let zero = || leaf(vec![0.0; variable.now().value.len()], false);
        let gets_one = variable.is_leaf || variable.tensor.requires_grad();
        let found = of(found, &variable.tensor);
        let sum = match (&found, sum) {
            (None, Some(sum)) => {
                let nothing = !gets_one || sum.value.iter().all(|&v| v == 0.0);
                prop_assert!(nothing, "no gradient, expected {:?}", sum.value);
                return Ok(None);
            }
            (_, sum) => sum.unwrap_or_else(zero),
        };
        let Some(found) = found else { return Ok(None) };
        if !read {
            bump(&self.tally.late);
            return Ok(Some((found, sum)));
        }
        compare(&found, &sum, fallible)?;
        bump(&self.tally.gradients);
        if derived {
            bump(&self.tally.higher);
        }
        if !variable.tensor.requires_grad() {
            bump(&self.tally.pending);
        }
        Ok(Some((found, sum)))
    }
}
