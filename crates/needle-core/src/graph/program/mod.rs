//! Programs: derivatives written down once, for all graphs of one structure.
//!
//! A sweep works out for every graph anew which ops the rules apply to what. A program that calls
//! a function many times, as a solver does, records the same graph each time, with other numbers
//! in it. So the rules are run once on types alone ([`writer`]); what they apply, each op on the
//! same values once, is a list of kernels to call ([`Program`]); and it serves as long as the
//! graph has the same structure ([`outline`]). The results are plain values: nothing is recorded.

mod assemble;
mod forward;
mod outline;
mod reverse;
mod writer;

use super::arena;
use super::backward::seed_for;
use super::compute;
use super::node::{NodeId, Operation, Types, Value};
use super::realise::{self, Access};
use super::tensor::Tensor;
use crate::array::Array;
use crate::error::{Error, Result};
use crate::kernels::cast::cast;
use crate::kernels::copy;
use crate::kernels::elementwise::fused::Fused;
use crate::shape;
use outline::{Outline, Refused, Walk};
use smallvec::SmallVec;
use std::cell::RefCell;
use std::rc::Rc;

thread_local! {
    /// Programs of the structures that came up last, the latest at the end.
    static KNOWN: RefCell<Vec<Rc<Known>>> = const { RefCell::new(Vec::new()) };
}

/// How many structures a thread keeps: a function may take this way or that.
const KEPT: usize = 8;
/// Ops up to which a program is kept.
const LONGEST: usize = 1 << 16;
/// Nodes of a graph up to which reverse mode is written down; a program takes more memory than
/// a sweep.
const MOST: usize = 1 << 16;

struct Known {
    what: What,
    outline: Outline,
    program: Program,
}

/// What a program computes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// Gradients of the sum of one root, weighted by an argument if it is `seeded`.
    Gradients { seeded: bool },
    /// How the roots move along so many directions of the wanted, which are arguments.
    Tangents { directions: usize },
}

/// The gradients of the sum of `root` (weighted by `seed`) by each of `leaves`; `None` where it
/// does not depend on one. Nothing is recorded.
///
/// `None` altogether where ops of the embedder are on the way, or the graph is very large:
/// [`super::backward()`] is for these.
pub fn gradients(
    root: &Tensor,
    seed: Option<Tensor>,
    leaves: &[&Tensor],
) -> Result<Option<Vec<Option<Tensor>>>> {
    let seeded = seed.is_some();
    let argument = match seed {
        Some(_) => Some(seed_for(root, seed)?.array()?),
        None => None,
    };
    // The seed of an integer keeps its own dtype.
    if argument
        .as_ref()
        .is_some_and(|seed| Some(seed.dtype()) != root.ty().ok().map(|ty| ty.dtype))
    {
        return Ok(None);
    }
    match known(What::Gradients { seeded }, &[root], leaves)? {
        Ok((known, walk)) => known.run(&walk, argument.as_slice()).map(Some),
        Err(_) => Ok(None),
    }
}

/// How `outputs` move when each input moves along its tangents: `directions` of them, stacked
/// along a new first axis, as are those of the outputs; `None` where an output does not depend on
/// any input. Nothing is recorded.
///
/// Raises an error where an op of the embedder's is on the way.
pub fn tangents(
    outputs: &[&Tensor],
    inputs: &[(&Tensor, &Tensor)],
    directions: usize,
) -> Result<Vec<Option<Tensor>>> {
    let wanted: Vec<&Tensor> = inputs.iter().map(|(input, _)| *input).collect();
    let mut arguments = Vec::with_capacity(inputs.len());
    for (input, tangents) in inputs {
        let expected = forward::stacked_type(&input.ty()?, directions);
        let given = tangents.array()?;
        if given.shape() != expected.shape.as_slice() {
            return Err(Error::Shape(format!(
                "tangents: one has shape {}, expected {}",
                shape::display(given.shape()),
                shape::display(&expected.shape)
            )));
        }
        arguments.push(cast(&given, expected.dtype)?);
    }
    match known(What::Tangents { directions }, outputs, &wanted)? {
        Ok((known, walk)) => known.run(&walk, &arguments),
        Err(Refused::Foreign(op)) => Err(super::forward::not_of_the_table(&op)),
        Err(Refused::TooLarge) => Err(Error::Grad("tangents: the graph is too large".to_owned())),
    }
}

/// Forgets the programs that this thread keeps.
pub fn forget_programs() {
    // A thread that is ending has none any more.
    let _ = KNOWN.try_with(|known| known.borrow_mut().clear());
}

/// A program for this graph, and the graph by its numbers.
fn known(
    what: What,
    roots: &[&Tensor],
    wanted: &[&Tensor],
) -> Result<std::result::Result<(Rc<Known>, Walk), Refused>> {
    let roots: Vec<NodeId> = roots.iter().map(|root| root.promote()).collect();
    let all = KNOWN.with_borrow(Vec::clone);
    for known in all.iter().rev().filter(|known| known.what == what) {
        let walk = known.outline.matches(&mut arena::lock(), &roots, wanted)?;
        if let Some(walk) = walk {
            keep(known);
            return Ok(Ok((known.clone(), walk)));
        }
    }
    let most = match what {
        What::Gradients { .. } => MOST,
        // There is no sweep along many directions to take instead.
        What::Tangents { .. } => u32::MAX as usize,
    };
    let outline = Outline::of(&mut arena::lock(), &roots, wanted, most)?;
    let (outline, walk) = match outline {
        Ok(found) => found,
        Err(refused) => return Ok(Err(refused)),
    };
    let program = match what {
        What::Gradients { seeded } => reverse::write(&outline, seeded)?,
        What::Tangents { directions } => forward::write(&outline, directions)?,
    };
    let known = Rc::new(Known {
        what,
        outline,
        program,
    });
    if known.program.written <= LONGEST {
        keep(&known);
    }
    Ok(Ok((known, walk)))
}

/// Keeps a program as the latest.
fn keep(used: &Rc<Known>) {
    KNOWN.with_borrow_mut(|all| {
        if all.last().is_some_and(|last| Rc::ptr_eq(last, used)) {
            return;
        }
        all.retain(|known| !Rc::ptr_eq(known, used));
        if all.len() == KEPT {
            all.remove(0);
        }
        all.push(used.clone());
    });
}

impl Known {
    fn run(&self, walk: &Walk, arguments: &[Array]) -> Result<Vec<Option<Tensor>>> {
        let mut registers = Registers(vec![None; self.program.registers]);
        let mut missing = Vec::new();
        // Other threads, and ops of the embedder's that run while values are computed, may have
        // replaced what had the right type when the graph was compared.
        let mut read = |number: u32, register: Register, value: Value| {
            check_type(&value, &self.outline.nodes[number as usize].types)?;
            registers.set(register, value);
            Ok(())
        };
        {
            let arena = arena::lock();
            for &(number, register) in &self.program.nodes {
                let id = walk.nodes[number as usize];
                match &arena.node(id).value {
                    Some(value) => read(number, register, value.clone())?,
                    None => missing.push((id, (number, register))),
                }
            }
        }
        if !missing.is_empty() {
            let (ids, places): (Vec<NodeId>, Vec<_>) = missing.into_iter().unzip();
            let values = realise::realise(&ids, Access::Values)?;
            for ((number, register), value) in places.into_iter().zip(values) {
                read(number, register, value)?;
            }
        }
        self.program.run(registers, arguments)
    }
}

/// Refuses a value of another type than the program was written for: its kernels count on it, and the
/// types of all values between follow from it.
fn check_type(value: &Value, expected: &Types) -> Result<()> {
    if value.types() == *expected {
        return Ok(());
    }
    Err(Error::Grad(
        "data was replaced by data of another shape or dtype while derivatives were computed"
            .to_owned(),
    ))
}

/// A place for a value while a program runs.
type Register = u32;

/// Kernels to call, one after the other.
#[derive(Default)]
struct Program {
    constants: Vec<(Value, Register)>,
    /// Which nodes of the graph are read.
    nodes: Vec<(u32, Register)>,
    /// `None` for an argument that nothing depends on.
    arguments: Vec<Option<(Register, Types)>>,
    steps: Vec<Step>,
    results: Vec<Option<Output>>,
    registers: usize,
    /// How many ops were written down for it.
    written: usize,
}

/// A result of a program.
struct Output {
    register: Register,
    /// Whether it is a constant of the program, which stays as it is.
    is_constant: bool,
}

/// `ends` are the registers that nobody reads after a step.
enum Step {
    Op {
        operation: Operation,
        inputs: SmallVec<[Register; 3]>,
        types: Types,
        output: Register,
        ends: SmallVec<[Register; 2]>,
    },
    Fused {
        run: Fused,
        inputs: Vec<Register>,
        outputs: Vec<Register>,
        ends: SmallVec<[Register; 2]>,
    },
}

/// The values that there are while a program runs.
struct Registers(Vec<Option<Value>>);

impl Program {
    fn run(&self, mut registers: Registers, arguments: &[Array]) -> Result<Vec<Option<Tensor>>> {
        for (value, register) in &self.constants {
            registers.set(*register, value.clone());
        }
        for (argument, register) in arguments.iter().zip(&self.arguments) {
            if let Some((register, types)) = register {
                let value = Value::One(argument.clone());
                check_type(&value, types)?;
                registers.set(*register, value);
            }
        }
        for step in &self.steps {
            step.run(&mut registers)?;
        }
        let value = |output: &Output| {
            if output.is_constant {
                // The caller may write into what it gets.
                return copy::fresh(registers.array(output.register)?).map(Value::One);
            }
            registers.value(output.register).cloned()
        };
        let tensor = |output| value(output).map(|value| Tensor::from_value(value, false));
        let results = self.results.iter();
        results
            .map(|output| output.as_ref().map(tensor).transpose())
            .collect()
    }
}

impl Step {
    fn run(&self, registers: &mut Registers) -> Result<()> {
        match self {
            Self::Op {
                operation,
                inputs,
                types,
                output,
                ends,
            } => {
                let value = registers.compute(operation, inputs, types)?;
                registers.end(ends);
                registers.set(*output, value);
            }
            Self::Fused {
                run,
                inputs,
                outputs,
                ends,
            } => {
                let inputs = inputs.iter().map(|input| registers.array(*input));
                let found = run.run(&inputs.collect::<Result<Vec<_>>>()?)?;
                registers.end(ends);
                for (output, array) in outputs.iter().zip(found) {
                    registers.set(*output, Value::One(array));
                }
            }
        }
        Ok(())
    }
}

impl Registers {
    fn set(&mut self, register: Register, value: Value) {
        self.0[register as usize] = Some(value);
    }

    fn end(&mut self, registers: &[Register]) {
        for register in registers {
            self.0[*register as usize] = None;
        }
    }

    fn value(&self, register: Register) -> Result<&Value> {
        // No program of `assemble` reads what was not written.
        let unset = || Error::Grad("a program read a value that is not there".to_owned());
        self.0[register as usize].as_ref().ok_or_else(unset)
    }

    fn array(&self, register: Register) -> Result<&Array> {
        match self.value(register)? {
            Value::One(array) => Ok(array),
            Value::Many(_) => Err(Error::Grad("a program met a tuple".to_owned())),
        }
    }

    fn compute(&self, operation: &Operation, inputs: &[Register], types: &Types) -> Result<Value> {
        if let (Operation::Native(op, attrs), Types::One(ty)) = (operation, types)
            && let Some((_, forward)) = op.one()
        {
            let arrays = inputs.iter().map(|input| self.array(*input));
            let arrays = arrays.collect::<Result<SmallVec<[&Array; 4]>>>()?;
            return compute::run_one(forward, attrs, &arrays, ty).map(Value::One);
        }
        let values = inputs.iter().map(|input| self.value(*input).cloned());
        compute::compute(
            operation,
            &values.collect::<Result<SmallVec<[Value; 4]>>>()?,
        )
    }
}
