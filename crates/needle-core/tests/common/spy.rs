//! An op of an embedder that squares its input, and says what was asked of it.

use super::{Tensor, mul, scale};
use needle_core::graph::{self, ForeignOp, Value};
use needle_core::shape::TensorType;
use needle_core::{Array, Error, Result};
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The payload of this embedder's errors.
#[derive(Debug, PartialEq)]
pub struct OnPurpose(pub &'static str);

/// What the op does other than squaring.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Quirk {
    None,
    /// Its type is known only from its value.
    NoTypeRule,
    /// Its value is a tuple of the input and its square.
    Tuple,
    /// Its rule gives one adjoint too many.
    TwoAdjoints,
    /// Its rule gives an adjoint of this shape.
    Adjoint(&'static [usize]),
    /// Its rule gives none.
    NoAdjoint,
}

/// The square, with counters.
pub struct Spy {
    pub quirk: Quirk,
    pub forward: AtomicUsize,
    pub vjp: AtomicUsize,
    /// How many of the next calls fail.
    pub forward_failures: AtomicUsize,
    pub vjp_failures: AtomicUsize,
}

impl Spy {
    pub fn new(quirk: Quirk) -> Arc<Self> {
        let zero = AtomicUsize::default;
        let (forward, vjp, forward_failures, vjp_failures) = (zero(), zero(), zero(), zero());
        Arc::new(Self {
            quirk,
            forward,
            vjp,
            forward_failures,
            vjp_failures,
        })
    }

    pub fn call(self: &Arc<Self>, x: &Tensor) -> Tensor {
        self.try_call(x).unwrap()
    }

    pub fn try_call(self: &Arc<Self>, x: &Tensor) -> Result<Tensor> {
        let op: Arc<dyn ForeignOp> = Arc::clone(self) as _;
        graph::apply_foreign(op, &[x])
    }

    /// How often each of the two functions was called.
    pub fn calls(&self) -> (usize, usize) {
        (
            self.forward.load(Ordering::SeqCst),
            self.vjp.load(Ordering::SeqCst),
        )
    }

    fn fails(failures: &AtomicUsize, what: &'static str) -> Result<()> {
        let one_less = |n: usize| n.checked_sub(1);
        match failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less) {
            Ok(_) => Err(Error::Foreign(Box::new(OnPurpose(what)))),
            Err(_) => Ok(()),
        }
    }
}

impl ForeignOp for Spy {
    fn name(&self) -> String {
        "spy".to_owned()
    }

    fn is_tuple(&self) -> bool {
        self.quirk == Quirk::Tuple
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Option<TensorType>> {
        let unknown = matches!(self.quirk, Quirk::NoTypeRule | Quirk::Tuple);
        Ok((!unknown).then(|| inputs[0].clone()))
    }

    fn forward(&self, inputs: &[Value]) -> Result<Value> {
        self.forward.fetch_add(1, Ordering::SeqCst);
        Self::fails(&self.forward_failures, "forward")?;
        let x = &inputs[0].arrays()[0];
        let square: Vec<f64> = x.to_f64_vec().into_iter().map(|v| v * v).collect();
        let square = Array::from_slice(&square, x.shape())?;
        if self.is_tuple() {
            return Ok(Value::Many([x.clone(), square].into()));
        }
        Ok(Value::One(square))
    }

    fn vjp(&self, adjoints: Vec<Option<Tensor>>, node: Tensor) -> Result<Vec<Option<Tensor>>> {
        self.vjp.fetch_add(1, Ordering::SeqCst);
        Self::fails(&self.vjp_failures, "vjp")?;
        let x = node.inputs().remove(0);
        let square = |g: &Tensor| mul(g, &scale(&x, 2.0));
        let result = match (self.quirk, adjoints.as_slice()) {
            (Quirk::Tuple, [plain, squared]) => match (plain, squared.as_ref().map(square)) {
                (Some(a), Some(b)) => Some(super::add(a, &b)),
                (a, b) => a.clone().or(b),
            },
            (Quirk::Adjoint(shape), _) => {
                let ones = vec![1.0; shape.iter().product()];
                Some(Tensor::leaf(Array::from_slice(&ones, shape)?, false))
            }
            (Quirk::NoAdjoint, _) => None,
            (_, [g]) => g.as_ref().map(square),
            _ => None,
        };
        if self.quirk == Quirk::TwoAdjoints {
            return Ok(vec![result.clone(), result]);
        }
        Ok(vec![result])
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
