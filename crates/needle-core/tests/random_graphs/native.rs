//! What needle does for each operation of a program.

use crate::reference::{Op, WIDTH};
use needle_core::Tensor;
use needle_core::graph;
use needle_core::ops::{
    Attr, Attrs, Constant, OpDef, arithmetic, comparison, elementary, extrema, reduction, shaping,
};

pub type Native = fn(&[&Tensor]) -> needle_core::Result<Tensor>;

/// How many operands an operation has, and what does it.
pub fn native(op: Op) -> (usize, Native) {
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
        Op::Maximum => (2, |x| plain(&extrema::MAXIMUM, x)),
        Op::Minimum => (2, |x| plain(&extrema::MINIMUM, x)),
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
