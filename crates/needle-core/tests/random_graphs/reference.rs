//! A naive engine to compare with: recursive, eager, nothing released, its own rules.
//!
//! Tensors have four elements or one (no dimensions). Gradients are built from the same
//! operations, so that they can be differentiated again.

use std::rc::Rc;

pub const WIDTH: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Leaf,
    Add,
    Subtract,
    Multiply,
    Divide,
    Negate,
    Sin,
    Cos,
    Exp,
    Tanh,
    Sigmoid,
    Relu,
    Abs,
    Maximum,
    Minimum,
    /// `where(a > b, a, c)`
    Choose,
    Sum,
    Mean,
    /// A number for all elements.
    Spread,
    /// `a * 1.5`
    Scale,
    /// An op of its own in needle, with the derivative 0.
    Sign,
    /// Derivatives of the pieces: 1, 0 or in between, made of comparisons.
    Step,
    Greater,
}

pub type Ref = Rc<Node>;

pub struct Node {
    pub op: Op,
    pub inputs: Vec<Ref>,
    pub value: Vec<f64>,
    pub requires_grad: bool,
    /// Whether every engine gets these very bits: no series and no order of a sum in it.
    pub exact: bool,
    /// Whether rounding may have decided between two sides of a kink or pole.
    pub doubtful: bool,
}

pub fn leaf(value: Vec<f64>, requires_grad: bool) -> Ref {
    let (op, inputs) = (Op::Leaf, Vec::new());
    Rc::new(Node {
        op,
        inputs,
        value,
        requires_grad,
        exact: true,
        doubtful: false,
    })
}

fn at(x: &Ref, i: usize) -> f64 {
    x.value[if x.value.len() == 1 { 0 } else { i }]
}

/// An operation; with `records` false its result is a constant.
pub fn apply(op: Op, x: &[&Ref], records: bool) -> Ref {
    let n = x.iter().map(|x| x.value.len()).max().unwrap_or(1);
    let each = |f: &dyn Fn(usize) -> f64| (0..n).map(f).collect::<Vec<f64>>();
    let (a, b) = (|i| at(x[0], i), |i| at(x[1], i));
    let value = match op {
        Op::Leaf => unreachable!("leaves are made by `leaf`"),
        Op::Add => each(&|i| a(i) + b(i)),
        Op::Subtract => each(&|i| a(i) - b(i)),
        Op::Multiply => each(&|i| a(i) * b(i)),
        Op::Divide => each(&|i| a(i) / b(i)),
        Op::Negate => each(&|i| -a(i)),
        Op::Sin => each(&|i| a(i).sin()),
        Op::Cos => each(&|i| a(i).cos()),
        Op::Exp => each(&|i| a(i).exp()),
        Op::Tanh => each(&|i| a(i).tanh()),
        Op::Sigmoid => each(&|i| 1.0 / (1.0 + (-a(i)).exp())),
        Op::Relu => each(&|i| a(i).max(0.0)),
        Op::Abs => each(&|i| a(i).abs()),
        Op::Maximum => each(&|i| a(i).max(b(i))),
        Op::Minimum => each(&|i| a(i).min(b(i))),
        Op::Choose => each(&|i| if a(i) > b(i) { a(i) } else { at(x[2], i) }),
        Op::Sum => vec![x[0].value.iter().sum()],
        Op::Mean => vec![x[0].value.iter().sum::<f64>() / x[0].value.len() as f64],
        Op::Spread => vec![a(0); WIDTH],
        Op::Scale => each(&|i| a(i) * 1.5),
        Op::Step => each(&|i| f64::from(a(i) > 0.0)),
        Op::Sign => each(&|i| f64::from(a(i) > 0.0) - f64::from(a(i) < 0.0)),
        Op::Greater => each(&|i| 0.5 + 0.5 * (f64::from(a(i) > b(i)) - f64::from(a(i) < b(i)))),
    };
    let rounds = matches!(
        op,
        Op::Sin | Op::Cos | Op::Exp | Op::Tanh | Op::Sigmoid | Op::Sum | Op::Mean
    );
    let exact = !rounds && x.iter().all(|x| x.exact);
    let beside = match op {
        // What should be 0 may be a rounding, and then a quotient is anything.
        Op::Divide => each(&b),
        Op::Relu | Op::Abs | Op::Step | Op::Sign => each(&a),
        Op::Maximum | Op::Minimum | Op::Choose | Op::Greater => each(&|i| a(i) - b(i)),
        _ => vec![1.0],
    };
    let same = op != Op::Divide && x.len() > 1 && Rc::ptr_eq(x[0], x[1]);
    let near = beside.iter().any(|d| d.abs() < 1e-6) && !same && x.iter().any(|x| !x.exact);
    let flows = |i| match op {
        Op::Step | Op::Greater => false,
        Op::Choose => i != 1,
        _ => true,
    };
    Rc::new(Node {
        op,
        inputs: x.iter().map(|&x| Rc::clone(x)).collect(),
        value,
        requires_grad: records && (0..x.len()).any(|i| flows(i) && x[i].requires_grad),
        exact,
        doubtful: near || x.iter().any(|x| x.doubtful),
    })
}
