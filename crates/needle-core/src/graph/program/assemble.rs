//! From what was written down to a program: what somebody reads, each value in a register as long
//! as it is needed, and runs of elementwise functions on few elements as one step.

use super::super::node::{Operation, Types};
use super::writer::{Source, Written};
use super::{Output, Program, Register, Step};
use crate::dtype::DType;
use crate::kernels::elementwise::Function;
use crate::kernels::elementwise::fused::{self, Fused, Place};
use crate::ops::Run;
use crate::ops::algebra::Id;
use crate::shape::TensorType;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// The program that computes `results` from what was written.
pub(super) fn assemble(values: &[Written], arguments: usize, results: &[Option<Id>]) -> Program {
    let mut assembly = Assembly {
        values,
        last: last_readers(values, results),
        registers: vec![0; values.len()],
        free: Vec::new(),
        program: Program {
            arguments: vec![None; arguments],
            ..Program::default()
        },
    };
    assembly.give();
    let is_step = |at: &usize| {
        let op = matches!(values[*at].source, Source::Op(..));
        op && assembly.last[*at].is_some()
    };
    let steps: Vec<usize> = (0..values.len()).filter(is_step).collect();
    let mut rest = steps.as_slice();
    while let [first, ..] = rest {
        let fused = assembly.fuse(rest);
        if fused == 0 {
            assembly.step(*first);
        }
        rest = &rest[fused.max(1)..];
    }
    let output = |id: Id| Output {
        register: assembly.registers[id.0 as usize],
        is_constant: matches!(values[id.0 as usize].source, Source::Constant(_)),
    };
    assembly.program.results = results.iter().map(|id| id.map(output)).collect();
    assembly.program.written = steps.len();
    assembly.program
}

/// The last reader of what a program returns.
const CALLER: usize = usize::MAX;

/// The last step that reads each value; `None` where nobody does.
fn last_readers(values: &[Written], results: &[Option<Id>]) -> Vec<Option<usize>> {
    let mut last = vec![None; values.len()];
    for id in results.iter().flatten() {
        last[id.0 as usize] = Some(CALLER);
    }
    for (at, value) in values.iter().enumerate().rev() {
        if let (Some(_), Source::Op(_, _, inputs)) = (last[at], &value.source) {
            for input in inputs {
                last[input.0 as usize].get_or_insert(at);
            }
        }
    }
    last
}

struct Assembly<'a> {
    values: &'a [Written],
    last: Vec<Option<usize>>,
    /// The register of each value that has one.
    registers: Vec<Register>,
    free: Vec<Register>,
    program: Program,
}

impl Assembly<'_> {
    /// A register for a value.
    fn register(&mut self, at: usize) -> Register {
        let register = self.free.pop().unwrap_or_else(|| {
            self.program.registers += 1;
            self.program.registers as Register - 1
        });
        self.registers[at] = register;
        register
    }

    /// Registers for all that is given: they are filled before the first step.
    fn give(&mut self) {
        for (at, value) in self.values.iter().enumerate() {
            if self.last[at].is_none() {
                continue;
            }
            match &value.source {
                Source::Op(..) => {}
                Source::Node(number) => {
                    let register = self.register(at);
                    self.program.nodes.push((*number, register));
                }
                Source::Argument(i) => {
                    let register = self.register(at);
                    self.program.arguments[*i as usize] = Some((register, value.types.clone()));
                }
                Source::Constant(value) => {
                    let register = self.register(at);
                    self.program.constants.push((value.clone(), register));
                }
            }
        }
    }

    /// The registers of operands that nobody reads after step `at`, which are free then.
    fn end(&mut self, operands: impl Iterator<Item = usize>, at: usize) -> SmallVec<[Register; 2]> {
        let mut ends = SmallVec::new();
        for operand in operands {
            let register = self.registers[operand];
            if self.last[operand].is_some_and(|last| last <= at) && !ends.contains(&register) {
                ends.push(register);
            }
        }
        self.free.extend(ends.iter().copied());
        ends
    }

    /// A step of its own.
    fn step(&mut self, at: usize) {
        let Written {
            source: Source::Op(op, attrs, operands),
            types,
        } = &self.values[at]
        else {
            return;
        };
        let operands = operands.iter().map(|id| id.0 as usize);
        let inputs = operands
            .clone()
            .map(|operand| self.registers[operand])
            .collect();
        let ends = self.end(operands, at);
        let step = Step::Op {
            operation: Operation::Native(op, attrs.clone()),
            inputs,
            types: types.clone(),
            output: self.register(at),
            ends,
        };
        self.program.steps.push(step);
    }

    /// One step for as many of `steps` as are elementwise functions on few elements of one dtype;
    /// returns how many, and does nothing where it is not worth it.
    fn fuse(&mut self, steps: &[usize]) -> usize {
        let Some((_, ty)) = steps.get(..2).and_then(|two| self.fusible(two[0])) else {
            return 0;
        };
        let Some(mut run) = Fused::new(ty.dtype) else {
            return 0;
        };
        let dtype = ty.dtype;
        let mut places: FxHashMap<usize, Place> = FxHashMap::default();
        let mut given = Vec::new();
        let mut count = 0;
        for &at in steps {
            let added = self.fusible(at).filter(|(_, ty)| ty.dtype == dtype);
            let added = added.and_then(|(function, ty)| {
                self.add_to(&mut run, at, function, ty, &mut places, &mut given)
            });
            match added {
                Some(place) => places.insert(at, place),
                None => break,
            };
            count += 1;
        }
        if count < 2 {
            return 0;
        }
        let inputs = given.iter().map(|&at| self.registers[at]).collect();
        let end = steps[count - 1];
        let ends = self.end(given.into_iter(), end);
        let mut outputs = Vec::new();
        for &at in &steps[..count] {
            if self.last[at].is_some_and(|last| last > end) {
                run.output(places[&at].clone());
                outputs.push(self.register(at));
            }
        }
        self.program.steps.push(Step::Fused {
            run,
            inputs,
            outputs,
            ends,
        });
        count
    }

    /// Another function of a run, unless it is one of a kind that runs do not have.
    fn add_to(
        &self,
        run: &mut Fused,
        at: usize,
        function: Function,
        ty: &TensorType,
        places: &mut FxHashMap<usize, Place>,
        given: &mut Vec<usize>,
    ) -> Option<Place> {
        for operand in self.operands(at) {
            let Types::One(own) = &self.values[operand].types else {
                return None;
            };
            places.entry(operand).or_insert_with(|| {
                given.push(operand);
                run.input(&own.shape)
            });
        }
        let operands = self.operands(at).map(|operand| &places[&operand]);
        let place = run.push(function, &operands.collect::<Vec<_>>(), &ty.shape)?;
        for operand in self.operands(at) {
            if self.last[operand] == Some(at) {
                run.free(&places[&operand]);
            }
        }
        Some(place)
    }

    fn operands(&self, at: usize) -> impl Iterator<Item = usize> {
        let operands = match &self.values[at].source {
            Source::Op(_, _, operands) => operands.as_slice(),
            _ => &[],
        };
        operands.iter().map(|id| id.0 as usize)
    }

    /// The function of a step that can be fused, and its type: floats, all of one dtype, and few.
    fn fusible(&self, at: usize) -> Option<(Function, &TensorType)> {
        let (Source::Op(op, attrs, _), Types::One(ty)) =
            (&self.values[at].source, &self.values[at].types)
        else {
            return None;
        };
        let Run::Elementwise { function, .. } = op.run else {
            return None;
        };
        let few = ty.shape.iter().product::<usize>() <= fused::MOST;
        let of_dtype = |operand: usize| match &self.values[operand].types {
            Types::One(own) => own.dtype == ty.dtype,
            _ => false,
        };
        let fits = few && matches!(ty.dtype, DType::F32 | DType::F64);
        (fits && self.operands(at).all(of_dtype)).then(|| (function(attrs), ty))
    }
}
