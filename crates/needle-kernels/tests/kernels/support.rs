//! Random arrays with every kind of stride, and values that a reference can compute with.

use needle_kernels::array::{Index, Slice};
use needle_kernels::dtype::{Bool, DType, Kind};
use needle_kernels::kernels::isa::{self, Isa};
use needle_kernels::{Array, dispatch};
use std::sync::{Mutex, PoisonError};

/// A small generator of random numbers (Marsaglia's xorshift), the same on every run.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 8
    }

    /// Below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// Between -1 and 1.
    pub fn unit(&mut self) -> f64 {
        (self.bits() % (1 << 20)) as f64 / f64::from(1 << 19) - 1.0
    }

    pub fn shape(&mut self, most_dims: usize) -> Vec<usize> {
        let ndim = self.below(most_dims + 1);
        (0..ndim)
            .map(|_| match self.below(12) {
                0 => 0,
                1 | 2 => 1,
                3 => 9 + self.below(80),
                _ => 2 + self.below(5),
            })
            .collect()
    }

    /// A number for an array; floats are special now and then if `wild`.
    fn number(&mut self, dtype: DType, wild: bool) -> f64 {
        match dtype.kind() {
            Kind::Bool => self.below(2) as f64,
            Kind::Unsigned => self.below(if wild { 256 } else { 5 }) as f64,
            Kind::Signed => {
                self.below(if wild { 256 } else { 9 }) as f64 - if wild { 128.0 } else { 4.0 }
            }
            Kind::Float if wild && self.chance(10) => {
                let special = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0];
                special[self.below(5)]
            }
            Kind::Float => self.unit() * if self.chance(20) { 50.0 } else { 2.0 },
        }
    }

    /// An array of exactly this shape, whose memory is laid out in some way or other.
    pub fn array(&mut self, dtype: DType, shape: &[usize], wild: bool) -> Array {
        // Make a larger one with the axes in another order, and cut the wanted one out.
        let ndim = shape.len();
        let mut order: Vec<usize> = (0..ndim).collect();
        if self.chance(50) {
            for i in (1..ndim).rev() {
                order.swap(i, self.below(i + 1));
            }
        }
        let plain = self.chance(40);
        let mut stored = vec![0; ndim];
        let mut cuts = vec![
            Slice {
                start: 0,
                step: 1,
                len: 0
            };
            ndim
        ];
        for (at, &axis) in order.iter().enumerate() {
            let len = shape[axis];
            let step: isize = if plain {
                1
            } else {
                [1, 1, 2, 3, -1, -2][self.below(6)]
            };
            let span = if len == 0 {
                0
            } else {
                (len - 1) * step.unsigned_abs() + 1
            };
            let before = if plain { 0 } else { self.below(3) };
            stored[at] = span + before + if plain { 0 } else { self.below(3) };
            let start = if step > 0 {
                before
            } else {
                before + span.max(1) - 1
            };
            cuts[at] = Slice {
                start: start as isize,
                step,
                len,
            };
            // Sometimes one element repeated.
            if !plain && len > 1 && self.chance(10) {
                stored[at] = 1;
                cuts[at] = Slice {
                    start: 0,
                    step: 1,
                    len: 1,
                };
            }
        }
        let size = stored.iter().product();
        let array = self.plain(dtype, &stored, size, wild);
        let index: Vec<Index> = cuts.iter().map(|&c| Index::Range(c)).collect();
        let cut = array.index("test", &index).unwrap();
        let mut back = vec![0; ndim];
        for (at, &axis) in order.iter().enumerate() {
            back[axis] = at;
        }
        let array = cut.permute(&back).broadcast_to(shape);
        assert_eq!(array.shape(), shape);
        array
    }

    fn plain(&mut self, dtype: DType, shape: &[usize], size: usize, wild: bool) -> Array {
        let numbers: Vec<f64> = (0..size).map(|_| self.number(dtype, wild)).collect();
        dispatch!(numeric: dtype, T => {
            let values: Vec<T> = numbers.iter().map(|&v| v as T).collect();
            Array::from_slice(&values, shape).unwrap()
        }, else {
            // Any byte but 0 is true.
            let values: Vec<Bool> = numbers.iter().map(|&v| Bool((v * 3.0) as u8)).collect();
            Array::from_slice(&values, shape).unwrap()
        })
    }

    /// A shape that broadcasts to `shape`.
    pub fn narrower(&mut self, shape: &[usize]) -> Vec<usize> {
        if self.chance(40) {
            return shape.to_vec();
        }
        let skip = self.below(shape.len() + 1);
        let mut own = shape[skip..].to_vec();
        for n in &mut own {
            if self.chance(30) {
                *n = 1;
            }
        }
        own
    }
}

/// A number that holds any element exactly.
#[derive(Clone, Copy, Debug)]
pub enum Value {
    Int(i128),
    Real(f64),
}

impl Value {
    pub fn real(self) -> f64 {
        match self {
            Self::Int(v) => v as f64,
            Self::Real(v) => v,
        }
    }

    pub fn int(self) -> i128 {
        match self {
            Self::Int(v) => v,
            Self::Real(v) => v as i128,
        }
    }

    /// The nearest value of a dtype; integers wrap.
    pub fn round(self, dtype: DType) -> Self {
        match (self, dtype) {
            (Self::Real(v), DType::F32) => Self::Real(f64::from(v as f32)),
            (Self::Real(_), _) => self,
            (Self::Int(v), DType::Bool) => Self::Int(i128::from(v != 0)),
            (Self::Int(v), _) => {
                let bits = dtype.size() as u32 * 8;
                let low = v & ((1i128 << bits) - 1);
                let negative = dtype.kind() == Kind::Signed && low >> (bits - 1) == 1;
                Self::Int(if negative { low - (1 << bits) } else { low })
            }
        }
    }

    pub fn same(self, other: Self) -> bool {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Real(a), Self::Real(b)) => a == b || (a.is_nan() && b.is_nan()),
            _ => false,
        }
    }

    /// Equal to a relative error.
    pub fn near(self, other: Self, tolerance: f64) -> bool {
        let (a, b) = (self.real(), other.real());
        self.same(other) || (a - b).abs() <= tolerance * a.abs().max(b.abs())
    }
}

/// All elements in row-major order.
pub fn values(x: &Array) -> Vec<Value> {
    match x.dtype() {
        DType::F32 | DType::F64 => x.to_f64_vec().into_iter().map(Value::Real).collect(),
        DType::Bool => x
            .to_vec::<Bool>()
            .iter()
            .map(|v| Value::Int(i128::from(v.get())))
            .collect(),
        dtype => dispatch!(numeric: dtype, T => {
            x.to_vec::<T>().into_iter().map(|v| Value::Int(v as i128)).collect()
        }, else unreachable!()),
    }
}

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Runs `test` under each instruction set of this machine, a number of times with a
/// different generator each.
pub fn each_isa(rounds: u64, mut test: impl FnMut(&mut Random)) {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let before = isa::active();
    for isa in Isa::ALL {
        if isa::force(isa) {
            for seed in 0..rounds {
                test(&mut Random::new(seed + 1));
            }
        }
    }
    isa::force(before);
}
