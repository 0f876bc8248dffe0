//! One program on both engines, with the comparison after each step.

use crate::common::{array, no_grad, of};
use crate::reference::{Op, Ref, WIDTH, apply, gradients, leaf};
use needle_core::graph::{self, Gradient, Value, current_mode, replace_mode};
use needle_core::ops::{
    Attr, Attrs, Constant, OpDef, arithmetic, comparison, elementary, reduction, shaping,
};
use needle_core::{Error, Tensor};
use proptest::prelude::*;
use std::cell::Cell;
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

/// How often each thing was compared.
#[derive(Debug, Default)]
pub struct Tally {
    gradients: Cell<usize>,
    higher: Cell<usize>,
    pending: Cell<usize>,
    refused: Cell<usize>,
    late: Cell<usize>,
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

/// A tensor that the program holds.
struct Variable {
    tensor: Tensor,
    /// What it was and is: a new one whenever it is replaced.
    versions: Vec<Ref>,
    /// Whether the program made it as a leaf.
    is_leaf: bool,
    /// Whether a gradient went into it.
    derived: bool,
    /// Whether it may be an error, because it comes from a replaced leaf.
    fallible: bool,
}

impl Variable {
    fn now(&self) -> &Ref {
        self.versions.last().expect("there is one from the start")
    }
}

#[derive(Default)]
pub struct Machine {
    variables: Vec<Variable>,
    stale: Vec<Ref>,
    pub tally: Tally,
}

pub type Outcome = Result<(), TestCaseError>;

fn bump(cell: &Cell<usize>) {
    cell.set(cell.get() + 1);
}

/// Beyond this, differences of roundings could be as large as what is compared.
fn is_tame(node: &Ref, limit: f64) -> bool {
    !node.doubtful && node.value.iter().all(|v| v.abs() < limit)
}

fn agree(found: &[f64], expected: &[f64]) -> Outcome {
    let near = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-7 * b.abs().max(1.0);
    let fits = found.len() == expected.len() && found.iter().zip(expected).all(near);
    prop_assert!(fits, "{found:?}, expected {expected:?}");
    Ok(())
}

fn compare(tensor: &Tensor, expected: &Ref, fallible: bool) -> Outcome {
    match tensor.array() {
        Ok(array) if is_tame(expected, 1e6) => agree(&array.to_f64_vec(), &expected.value),
        Ok(_) => Ok(()),
        Err(Error::Grad(_)) if fallible => Ok(()),
        Err(error) => Err(TestCaseError::fail(format!("{error:?}"))),
    }
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
                let (derived, fallible) = (false, false);
                self.variables.push(Variable {
                    tensor,
                    versions,
                    is_leaf: true,
                    derived,
                    fallible,
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
        let versions = vec![reference];
        self.variables.push(Variable {
            tensor,
            versions,
            is_leaf: false,
            derived,
            fallible,
        });
        Ok(())
    }

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

    fn backward(&mut self, root: usize, keep: usize, read: bool) -> Outcome {
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
        if !is_tame(variable.now(), 1e6) || !expected.iter().all(|(_, g)| is_tame(g, 1e6)) {
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
            let versions = vec![reference];
            let (is_leaf, derived) = (false, true);
            self.variables.push(Variable {
                tensor,
                versions,
                is_leaf,
                derived,
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

type Native = fn(&[&Tensor]) -> needle_core::Result<Tensor>;

/// How many operands an operation has, and what does it.
fn native(op: Op) -> (usize, Native) {
    fn plain(op: &'static OpDef, x: &[&Tensor]) -> needle_core::Result<Tensor> {
        graph::apply(op, Attrs::none(), x)
    }
    const fn whole() -> [Attr; 2] {
        [Attr::None, Attr::Bool(false)]
    }
    match op {
        Op::Add => (2, |x| plain(&arithmetic::ADD, x)),
        Op::Subtract => (2, |x| graph::subtract(x[0], x[1])),
        Op::Multiply => (2, |x| plain(&arithmetic::MULTIPLY, x)),
        Op::Divide => (2, |x| plain(&arithmetic::DIVIDE, x)),
        Op::Maximum => (2, |x| plain(&arithmetic::MAXIMUM, x)),
        Op::Minimum => (2, |x| plain(&arithmetic::MINIMUM, x)),
        Op::Negate => (1, |x| plain(&arithmetic::NEGATE, x)),
        Op::Sin => (1, |x| plain(&elementary::SIN, x)),
        Op::Cos => (1, |x| plain(&elementary::COS, x)),
        Op::Exp => (1, |x| plain(&elementary::EXP, x)),
        Op::Tanh => (1, |x| plain(&elementary::TANH, x)),
        Op::Sigmoid => (1, |x| plain(&elementary::SIGMOID, x)),
        Op::Relu => (1, |x| plain(&elementary::RELU, x)),
        Op::Abs => (1, |x| plain(&elementary::ABS, x)),
        Op::Sum => (1, |x| {
            graph::apply(&reduction::SUMMATION, Attrs::of(whole()), x)
        }),
        Op::Mean => (1, |x| graph::apply(&reduction::MEAN, Attrs::of(whole()), x)),
        Op::Spread => (1, |x| {
            let shape = Attr::Ints([WIDTH as isize].into());
            graph::apply(&shaping::BROADCAST_TO, Attrs::one(shape), x)
        }),
        Op::Scale => (1, |x| {
            graph::apply(
                &arithmetic::MUL_SCALAR,
                Attrs::scalar(Constant::float(1.5)),
                x,
            )
        }),
        Op::Choose => (3, |x| {
            let greater = plain(&comparison::GREATER, &x[..2])?;
            graph::apply(&comparison::WHERE, Attrs::none(), &[&greater, x[0], x[2]])
        }),
        Op::Leaf | Op::Step | Op::Sign | Op::Greater => unreachable!("no program has it"),
    }
}
