//! Runs of elementwise functions on few elements, which make no array between them.
//!
//! On a few elements, making the array of a result takes longer than the function. So what lies
//! between the operands and the results of a run is kept in one piece of memory, and each function
//! is a call of its row function.

use super::function::{Function, MapRow, ZipRows};
use crate::array::Array;
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::kernels::cast::{Gather, gather_of};
use crate::kernels::copy::contiguous;
use crate::kernels::layout::{Dim, Dims as Nest, collapse};
use crate::kernels::number::element;
use crate::shape::{Dims, contiguous_strides, size};
use smallvec::SmallVec;

/// Elements up to which fusing pays: more hide what an array costs.
pub const MOST: usize = 512;

/// Elementwise functions, one after the other, in one dtype.
pub struct Fused {
    dtype: DType,
    calls: Vec<Call>,
    /// Numbers, each in a word of its own.
    constants: Vec<u64>,
    inputs: Vec<Dims>,
    outputs: Vec<Place>,
    /// Elements between.
    between: usize,
    /// Where pieces of it are free again, and how long they are.
    free: Vec<(usize, usize)>,
}

/// Where a value of a run is, row-major.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    base: usize,
    offset: usize,
    shape: Dims,
}

impl Place {
    fn len(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Bases of places: between, constants, and from here on the inputs.
const BETWEEN: usize = 0;
const CONSTANTS: usize = 1;
const INPUTS: usize = 2;

/// One function on rows of elements.
struct Call {
    kernel: Kernel,
    out: usize,
    rows: usize,
    len: usize,
}

enum Kernel {
    Map(MapRow, Operand),
    Zip(ZipRows, [Operand; 2]),
    Gather(Gather, Operand),
}

/// Where an operand begins, in bytes, and its steps from row to row and within a row.
#[derive(Clone, Copy)]
struct Operand {
    base: usize,
    offset: usize,
    steps: [isize; 2],
}

impl Fused {
    /// A run without functions; `None` where the dtype is no float.
    pub fn new(dtype: DType) -> Option<Self> {
        dtype.is_float().then(|| Self {
            dtype,
            calls: Vec::new(),
            constants: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            between: 0,
            free: Vec::new(),
        })
    }

    /// The next operand of the run.
    pub fn input(&mut self, shape: &[usize]) -> Place {
        self.inputs.push(Dims::from_slice(shape));
        Place {
            base: INPUTS + self.inputs.len() - 1,
            offset: 0,
            shape: Dims::from_slice(shape),
        }
    }

    /// Another function, of places that broadcast to `shape`; `None`, and nothing added, where
    /// they do so in a way that is not provided for, are not of this run, or give more than
    /// [`MOST`] elements.
    pub fn push(
        &mut self,
        function: Function,
        operands: &[&Place],
        shape: &[usize],
    ) -> Option<Place> {
        let few = size(shape).is_some_and(|size| size <= MOST);
        if !few
            || operands.len() != function.arity()
            || !operands.iter().all(|place| self.owns(place))
        {
            return None;
        }
        let steps = operands.iter().map(|place| stretched(&place.shape, shape));
        let mut steps = steps.collect::<Option<SmallVec<[_; 2]>>>()?;
        if let [one] = steps.as_slice() {
            let again = one.clone();
            steps.push(again);
        }
        let own = contiguous_strides(shape);
        let (first, last) = (steps.first()?, steps.last()?);
        let nest: Nest<3> = collapse(shape, [&own, first, last]);
        let (rows, row) = match nest.as_slice() {
            [] => (None, None),
            [row] => (None, Some(row)),
            [rows, row] => (Some(rows), Some(row)),
            _ => return None,
        };
        let (count, n) = (
            rows.map_or(1, |rows| rows.len),
            row.map_or(1, |row| row.len),
        );
        let function = match function {
            Function::With(f, number) => {
                match f.as_map.and_then(|as_map| as_map(number.to_f64())) {
                    Some(map) => Function::Map(map),
                    None => function,
                }
            }
            _ => function,
        };
        // Asked before anything is added.
        let is_defined = match function {
            Function::Map(f) => f.compiled(self.dtype).is_ok(),
            Function::Zip(f) | Function::With(f, _) => {
                !f.is_truth && f.compiled(self.dtype).is_ok()
            }
        };
        if !is_defined {
            return None;
        }
        let operand = |i: usize| {
            let step = |dim: Option<&Dim<3>>| dim.map_or(0, |dim| dim.steps[i + 1]);
            let place = operands[i];
            Operand {
                base: place.base,
                offset: place.offset * self.dtype.size(),
                // A single element has any step.
                steps: [step(rows), if n == 1 { 1 } else { step(row) }],
            }
        };
        let first = operand(0);
        let mut copies = SmallVec::<[Operand; 2]>::new();
        let mut in_place = |run: &mut Self, operand: Operand, is_so: bool| {
            if is_so {
                return operand;
            }
            let copy = run.copy(operand, n, count);
            copies.push(copy);
            copy
        };
        let kernel = match function {
            Function::Map(f) => {
                let side_by_side = count == 1 || first.steps[0] == n as isize;
                let x = in_place(self, first, side_by_side && first.steps[1] == 1);
                Kernel::Map(f.compiled(self.dtype).ok()?.run, x)
            }
            Function::Zip(f) => {
                let second = operand(1);
                let [a, b] = f.reads([first.steps[1], second.steps[1]]);
                let operands = [in_place(self, first, a), in_place(self, second, b)];
                Kernel::Zip(f.compiled(self.dtype).ok()?.run, operands)
            }
            Function::With(f, number) => {
                let number = self.constant(number);
                let [a, b] = f.reads([first.steps[1], 0]);
                let operands = [in_place(self, first, a), in_place(self, number, b)];
                Kernel::Zip(f.compiled(self.dtype).ok()?.run, operands)
            }
        };
        let offset = self.take(size(shape)?);
        self.calls.push(Call {
            kernel,
            out: offset,
            rows: count,
            len: n,
        });
        // Nobody else reads the copies; the result has its place already.
        for copy in copies {
            self.free.push((copy.offset / self.dtype.size(), n * count));
        }
        Some(Place {
            base: BETWEEN,
            offset,
            shape: Dims::from_slice(shape),
        })
    }

    /// Says that no function to come, and no result, reads a place. Saying it twice does no harm
    /// as long as no function was added in between.
    pub fn free(&mut self, place: &Place) {
        let piece = (place.offset, place.len());
        if place.base == BETWEEN && self.owns(place) && !self.free.contains(&piece) {
            self.free.push(piece);
        }
    }

    /// Makes a place of this run the next result. It is not free from now on.
    ///
    /// # Panics
    /// For a place of another run.
    pub fn output(&mut self, place: Place) {
        assert!(self.owns(&place), "a place of another run");
        self.outputs.push(place);
    }

    /// The results for these operands, which have the shapes and the dtype they were said to.
    pub fn run(&self, inputs: &[&Array]) -> Result<Vec<Array>> {
        let fits = |(array, shape): (&&Array, &Dims)| {
            array.dtype() == self.dtype && array.shape() == shape.as_slice()
        };
        if inputs.len() != self.inputs.len() || !inputs.iter().zip(&self.inputs).all(fits) {
            return Err(Error::Shape(
                "a fused run got other operands than planned".to_owned(),
            ));
        }
        let size = self.dtype.size();
        let mut between: Vec<u64> = Vec::with_capacity((self.between * size).div_ceil(8));
        let mut bases: Vec<*const u8> = Vec::with_capacity(INPUTS + inputs.len());
        bases.extend([between.as_ptr().cast(), self.constants.as_ptr().cast()]);
        // Copies of what does not lie row-major live as long as the pointers to them.
        let mut copies = Vec::new();
        for array in inputs {
            if array.is_contiguous() {
                bases.push(array.address());
            } else {
                let copy = contiguous(array)?;
                bases.push(copy.address());
                copies.push(copy);
            }
        }
        let to = between.as_mut_ptr().cast::<u8>();
        for call in &self.calls {
            // SAFETY: `push` has checked that every operand stays within its place, and places
            // lie within `between` (which has this capacity), the constants, or an input of the
            // shape that was compared above. What is read between was written by a call before,
            // and `take` gives no place to a result that an operand still has.
            unsafe {
                let at = |operand: &Operand| bases[operand.base].add(operand.offset);
                let (out, n, count) = (to.add(call.out * size), call.len, call.rows);
                match &call.kernel {
                    Kernel::Map(map, x) => map(at(x), out, n * count),
                    Kernel::Zip(zip, [a, b]) => {
                        zip(at(a), a.steps, at(b), b.steps, out, n, count);
                    }
                    Kernel::Gather(gather, x) => gather(at(x), x.steps, out, n, count),
                }
            }
        }
        let mut results = Vec::with_capacity(self.outputs.len());
        for place in &self.outputs {
            let array = Array::empty(self.dtype, &place.shape)?;
            // SAFETY: `output` has checked that the place is one of this run; it was written by a
            // call above, or is an input. The fresh array has as many elements.
            unsafe {
                let from = bases[place.base].add(place.offset * size);
                array
                    .address()
                    .copy_from_nonoverlapping(from, place.len() * size);
            }
            results.push(array);
        }
        drop(copies);
        Ok(results)
    }

    /// Whether a place is one of this run.
    fn owns(&self, place: &Place) -> bool {
        match place.base {
            BETWEEN => place.offset + place.len() <= self.between,
            CONSTANTS => false,
            base => self.inputs.get(base - INPUTS) == Some(&place.shape) && place.offset == 0,
        }
    }

    /// A copy of an operand whose rows lie side by side.
    fn copy(&mut self, operand: Operand, n: usize, count: usize) -> Operand {
        let out = self.take(n * count);
        self.calls.push(Call {
            kernel: Kernel::Gather(gather_of(self.dtype, self.dtype), operand),
            out,
            rows: count,
            len: n,
        });
        Operand {
            base: BETWEEN,
            offset: out * self.dtype.size(),
            steps: [n as isize, 1],
        }
    }

    fn constant(&mut self, number: Scalar) -> Operand {
        self.constants.push(element(number, self.dtype));
        Operand {
            base: CONSTANTS,
            offset: (self.constants.len() - 1) * size_of::<u64>(),
            steps: [0, 0],
        }
    }

    /// Room between for so many elements.
    fn take(&mut self, len: usize) -> usize {
        if let Some(at) = self.free.iter().rposition(|(_, free)| *free == len) {
            return self.free.swap_remove(at).0;
        }
        self.between += len;
        self.between - len
    }
}

/// The steps of a row-major operand of shape `own` that is stretched to `shape`.
fn stretched(own: &[usize], shape: &[usize]) -> Option<SmallVec<[isize; 4]>> {
    let skip = shape.len().checked_sub(own.len())?;
    let strides = contiguous_strides(own);
    let mut steps: SmallVec<[isize; 4]> = SmallVec::from_elem(0, shape.len());
    for (axis, (&n, &stride)) in own.iter().zip(&strides).enumerate() {
        if n == shape[skip + axis] {
            steps[skip + axis] = stride;
        } else if n != 1 {
            return None;
        }
    }
    Some(steps)
}
