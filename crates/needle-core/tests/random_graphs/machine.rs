//! One program on both engines, with the comparison after each step.

use crate::common::{array, no_grad};
use crate::compare::{Outcome, Tally, compare, is_tame};
use crate::native::native;
use crate::reference::{Op, Ref, WIDTH, apply, leaf};
use needle_core::Tensor;
use needle_core::graph::{Value, current_mode, replace_mode};
use proptest::prelude::*;
use std::rc::Rc;

/// One step; places are taken modulo the number of variables.
#[derive(Clone, Debug)]
pub enum Action {
    Leaf {
        scalar: bool,
        requires_grad: bool,
        values: [i8; 4],
    },
    Apply {
        op: Op,
        operands: [usize; 3],
        no_grad: bool,
    },
    Drop(usize),
    Backward {
        root: usize,
        keep: usize,
        read: bool,
    },
    Set {
        at: usize,
        values: [i8; 4],
    },
    Lazy(bool),
    Read(usize),
}

/// A tensor that the program holds.
#[allow(clippy::struct_excessive_bools)]
pub struct Variable {
    pub tensor: Tensor,
    /// What it was and is: a new one whenever it is replaced.
    pub versions: Vec<Ref>,
    /// Whether the program made it as a leaf.
    pub is_leaf: bool,
    /// Whether a gradient went into it.
    pub derived: bool,
    /// Whether it comes from a derivative that is 0 wherever it exists, such as that of relu's
    /// slope: needle may follow it, the naive engine does not, so their sweeps visit other nodes.
    pub cut: bool,
    /// Whether it may be an error, because it comes from a replaced leaf.
    pub fallible: bool,
}

impl Variable {
    pub fn now(&self) -> &Ref {
        self.versions.last().expect("there is one from the start")
    }
}

#[derive(Default)]
pub struct Machine {
    pub variables: Vec<Variable>,
    pub stale: Vec<Ref>,
    pub tally: Tally,
}

fn numbers(values: [i8; 4], width: usize) -> Vec<f64> {
    values[..width]
        .iter()
        .map(|&v| f64::from(v) / 4.0)
        .collect()
}

impl Machine {
    pub fn run(&mut self, action: &Action) -> Outcome {
        let n = self.variables.len();
        match *action {
            Action::Leaf {
                scalar,
                requires_grad,
                values,
            } => {
                let shape: &[usize] = if scalar { &[] } else { &[WIDTH] };
                let values = numbers(values, if scalar { 1 } else { WIDTH });
                let tensor = Tensor::leaf(array(&values, shape), requires_grad);
                let versions = vec![leaf(values, requires_grad)];
                self.variables.push(Variable {
                    tensor,
                    versions,
                    is_leaf: true,
                    derived: false,
                    cut: false,
                    fallible: false,
                });
            }
            Action::Lazy(lazy) => {
                let mut mode = current_mode();
                mode.lazy = Some(lazy);
                replace_mode(mode);
            }
            _ if n == 0 => {}
            Action::Apply {
                op,
                operands,
                no_grad,
            } => {
                return self.apply(op, operands.map(|at| at % n), no_grad);
            }
            Action::Drop(at) => drop(self.variables.swap_remove(at % n)),
            Action::Backward { root, keep, read } => return self.backward(root % n, keep, read),
            Action::Set { at, values } => {
                let variable = &mut self.variables[at % n];
                if variable.is_leaf {
                    let old = variable.now();
                    let (width, requires_grad) = (old.value.len(), old.requires_grad);
                    self.stale.push(Rc::clone(old));
                    let values = numbers(values, width);
                    let shape = variable.tensor.ty().unwrap().shape;
                    variable
                        .tensor
                        .set_value(Value::One(array(&values, &shape)));
                    variable.versions.push(leaf(values, requires_grad));
                }
            }
            Action::Read(at) => {
                let variable = &self.variables[at % n];
                return compare(&variable.tensor, variable.now(), variable.fallible);
            }
        }
        Ok(())
    }

    pub fn read_all(&self) -> Outcome {
        self.variables
            .iter()
            .try_for_each(|v| compare(&v.tensor, v.now(), v.fallible))
    }

    fn apply(&mut self, op: Op, operands: [usize; 3], silent: bool) -> Outcome {
        let (width, native) = native(op);
        let operands = operands.map(|at| &self.variables[at]);
        let operands = &operands[..width];
        let references: Vec<&Ref> = operands.iter().map(|v| v.now()).collect();
        if op == Op::Spread && references[0].value.len() != 1 {
            return Ok(());
        }
        let reference = match references.as_slice() {
            // Two operations: nothing flows on where the negation is not recorded.
            [a, b] if op == Op::Subtract => {
                let negated = apply(Op::Negate, &[b], !silent);
                apply(Op::Add, &[a, &negated], !silent)
            }
            operands => apply(op, operands, !silent),
        };
        if !is_tame(&reference, 1e3) {
            return Ok(());
        }
        let tensors: Vec<&Tensor> = operands.iter().map(|v| &v.tensor).collect();
        let tensor = if silent {
            no_grad(|| native(&tensors))
        } else {
            native(&tensors)
        };
        let derived = operands.iter().any(|v| v.derived);
        let fallible = operands.iter().any(|v| v.fallible);
        if fallible && tensor.is_err() {
            return Ok(());
        }
        let tensor = tensor.map_err(|error| TestCaseError::fail(format!("{op:?}: {error:?}")))?;
        prop_assert!(
            derived || tensor.requires_grad() == reference.requires_grad,
            "{op:?}"
        );
        let cut =
            operands.iter().any(|v| v.cut) || tensor.requires_grad() != reference.requires_grad;
        let versions = vec![reference];
        self.variables.push(Variable {
            tensor,
            versions,
            is_leaf: false,
            derived,
            cut,
            fallible,
        });
        Ok(())
    }
}
