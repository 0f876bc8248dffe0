//! Runs of elementwise functions on few elements, which make no array between them.
//!
//! On a few elements, making the array of a result takes longer than the function. So what lies
//! between the operands and the results of a run is kept in one piece of memory, and each function
//! is a call of the loop that [`super::loops`] has for it.

use super::function::Function;
use super::functions as f;
use super::loops::{Map, Zip, map_row, zip_rows};
use super::{Binary, Slope, Unary, pick_binary, pick_power, pick_slope, pick_unary};
use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernels::copy::contiguous;
use crate::kernels::layout::{Dim, Dims as Nest, collapse};
use crate::kernels::number::Float;
use crate::shape::{Dims, contiguous_strides, size};
use smallvec::SmallVec;

/// Elements up to which fusing pays: more hide what an array costs.
pub const MOST: usize = 512;

/// Elementwise functions, one after the other, in one dtype.
pub struct Fused(Machine);

enum Machine {
    F32(Code<f32>),
    F64(Code<f64>),
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

struct Code<T> {
    calls: Vec<Call<T>>,
    constants: Vec<T>,
    inputs: Vec<Dims>,
    outputs: Vec<Place>,
    /// Elements between.
    between: usize,
    /// Where pieces of it are free again, and how long they are.
    free: Vec<(usize, usize)>,
}

/// One function on rows of elements.
struct Call<T> {
    kernel: Kernel<T>,
    out: usize,
    rows: usize,
    len: usize,
}

enum Kernel<T> {
    Map(MapRow<T>, Operand),
    Zip(ZipRows<T>, [Operand; 2]),
}

type MapRow<T> = unsafe fn(*const T, isize, *mut T, usize);
type ZipRows<T> =
    unsafe fn(*const T, [isize; 2], *const T, [isize; 2], *mut T, isize, usize, usize);

/// Where an operand begins, and its steps from row to row and within a row.
#[derive(Clone, Copy)]
struct Operand {
    base: usize,
    offset: usize,
    steps: [isize; 2],
}

/// Calls the method for the dtype of a run.
macro_rules! either {
    ($machine:expr, $code:ident => $body:expr) => {
        match $machine {
            Machine::F32($code) => $body,
            Machine::F64($code) => $body,
        }
    };
}

impl Fused {
    /// A run without functions; `None` where the dtype is no float.
    pub fn new(dtype: DType) -> Option<Self> {
        match dtype {
            DType::F32 => Some(Self(Machine::F32(Code::new()))),
            DType::F64 => Some(Self(Machine::F64(Code::new()))),
            _ => None,
        }
    }

    /// The next operand of the run.
    pub fn input(&mut self, shape: &[usize]) -> Place {
        either!(&mut self.0, code => code.input(shape))
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
        either!(&mut self.0, code => code.push(function, operands, shape))
    }

    /// Says that no function to come, and no result, reads a place. Saying it twice does no harm
    /// as long as no function was added in between.
    pub fn free(&mut self, place: &Place) {
        either!(&mut self.0, code => code.free(place));
    }

    /// Makes a place of this run the next result. It is not free from now on.
    pub fn output(&mut self, place: Place) {
        either!(&mut self.0, code => code.output(place));
    }

    /// The results for these operands, which have the shapes and the dtype they were said to.
    pub fn run(&self, inputs: &[&Array]) -> Result<Vec<Array>> {
        either!(&self.0, code => code.run(inputs))
    }
}

impl<T: Float> Code<T>
where
    f::Exp: Map<T>,
{
    fn new() -> Self {
        Self {
            calls: Vec::new(),
            constants: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            between: 0,
            free: Vec::new(),
        }
    }

    fn input(&mut self, shape: &[usize]) -> Place {
        self.inputs.push(Dims::from_slice(shape));
        Place {
            base: INPUTS + self.inputs.len() - 1,
            offset: 0,
            shape: Dims::from_slice(shape),
        }
    }

    /// Whether a place is one of this run.
    fn owns(&self, place: &Place) -> bool {
        match place.base {
            BETWEEN => place.offset + place.len() <= self.between,
            CONSTANTS => false,
            base => self.inputs.get(base - INPUTS) == Some(&place.shape) && place.offset == 0,
        }
    }

    fn free(&mut self, place: &Place) {
        let piece = (place.offset, place.len());
        if place.base == BETWEEN && self.owns(place) && !self.free.contains(&piece) {
            self.free.push(piece);
        }
    }

    fn output(&mut self, place: Place) {
        assert!(self.owns(&place), "a place of another run");
        self.outputs.push(place);
    }

    fn push(&mut self, function: Function, operands: &[&Place], shape: &[usize]) -> Option<Place> {
        let arity = match function {
            Function::Unary(_) | Function::Scalar(..) => 1,
            Function::Binary(_) | Function::Slope(_) => 2,
        };
        let few = size(shape).is_some_and(|size| size <= MOST);
        if !few || operands.len() != arity || !operands.iter().all(|place| self.owns(place)) {
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
        let operand = |i: usize| {
            let step = |dim: Option<&Dim<3>>| dim.map_or(0, |dim| dim.steps[i + 1]);
            let place = operands[i];
            Operand {
                base: place.base,
                offset: place.offset,
                steps: [step(rows), step(row)],
            }
        };
        let kernel = match function {
            Function::Unary(op) => Kernel::Map(map_of(op), operand(0)),
            Function::Binary(op) => Kernel::Zip(zip_of(op), [operand(0), operand(1)]),
            Function::Slope(op) => Kernel::Zip(slope_of(op), [operand(0), operand(1)]),
            Function::Scalar(op, number) => match power_of(op, number.to_f64()) {
                Some(map) => Kernel::Map(map, operand(0)),
                None => Kernel::Zip(
                    zip_of(op),
                    [operand(0), self.constant(T::from_scalar(number))],
                ),
            },
        };
        let offset = self.take(size(shape)?);
        self.calls.push(Call {
            kernel,
            out: offset,
            rows: rows.map_or(1, |rows| rows.len),
            len: row.map_or(1, |row| row.len),
        });
        Some(Place {
            base: BETWEEN,
            offset,
            shape: Dims::from_slice(shape),
        })
    }

    fn constant(&mut self, number: T) -> Operand {
        self.constants.push(number);
        Operand {
            base: CONSTANTS,
            offset: self.constants.len() - 1,
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

    fn run(&self, inputs: &[&Array]) -> Result<Vec<Array>> {
        let fits = |(array, shape): (&&Array, &Dims)| {
            array.dtype() == T::DTYPE && array.shape() == shape.as_slice()
        };
        if inputs.len() != self.inputs.len() || !inputs.iter().zip(&self.inputs).all(fits) {
            return Err(Error::Shape(
                "a fused run got other operands than planned".to_owned(),
            ));
        }
        let mut between: Vec<T> = Vec::with_capacity(self.between);
        let mut bases: Vec<*const T> = Vec::with_capacity(INPUTS + inputs.len());
        bases.extend([between.as_ptr(), self.constants.as_ptr()]);
        // Copies of what does not lie row-major live as long as the pointers to them.
        let mut copies = Vec::new();
        for array in inputs {
            if array.is_contiguous() {
                bases.push(array.ptr::<T>());
            } else {
                let copy = contiguous(array)?;
                bases.push(copy.ptr::<T>());
                copies.push(copy);
            }
        }
        let to = between.as_mut_ptr();
        for call in &self.calls {
            // SAFETY: `push` has checked that every operand stays within its place, and places
            // lie within `between` (which has this capacity), the constants, or an input of the
            // shape that was compared above. What is read between was written by a call before,
            // and `take` gives no place to a result that an operand still has.
            unsafe {
                let at = |operand: &Operand| bases[operand.base].add(operand.offset);
                let (out, n) = (to.add(call.out), call.len);
                match &call.kernel {
                    Kernel::Map(map, x) => {
                        for row in 0..call.rows {
                            let from = at(x).offset(row as isize * x.steps[0]);
                            map(from, x.steps[1], out.add(row * n), n);
                        }
                    }
                    Kernel::Zip(zip, [a, b]) => {
                        zip(
                            at(a),
                            a.steps,
                            at(b),
                            b.steps,
                            out,
                            n as isize,
                            n,
                            call.rows,
                        );
                    }
                }
            }
        }
        let mut results = Vec::with_capacity(self.outputs.len());
        for place in &self.outputs {
            let array = Array::empty(T::DTYPE, &place.shape)?;
            // SAFETY: as above, and the fresh array has as many elements as the place.
            unsafe {
                let from = bases[place.base].add(place.offset);
                array
                    .ptr_mut::<T>()
                    .copy_from_nonoverlapping(from, place.len());
            }
            results.push(array);
        }
        drop(copies);
        Ok(results)
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

fn map_fn<T: Float, F: Map<T>>(_: F) -> MapRow<T> {
    map_row::<T, F>
}

fn zip_fn<T: Float, F: Zip<T, T>>(_: F) -> ZipRows<T> {
    zip_rows::<T, T, F>
}

fn map_of<T: Float>(op: Unary) -> MapRow<T>
where
    f::Exp: Map<T>,
{
    pick_unary!(op, map_fn::<T, _>,)
}

fn zip_of<T: Float>(op: Binary) -> ZipRows<T> {
    pick_binary!(op, zip_fn::<T, _>,)
}

fn slope_of<T: Float>(op: Slope) -> ZipRows<T> {
    pick_slope!(op, zip_fn::<T, _>,)
}

/// A power that has a function of its own.
fn power_of<T: Float>(op: Binary, exponent: f64) -> Option<MapRow<T>> {
    if op != Binary::Power {
        return None;
    }
    pick_power!(exponent, map_fn::<T, _>,)
}
