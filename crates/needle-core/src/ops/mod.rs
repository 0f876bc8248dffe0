//! Operators: one op, one place.
//!
//! An op is a value, an [`OpDef`]: its name, its documentation, how it is typed, run and
//! differentiated, and inputs to check it on. No field can be left out, so an op without
//! docs, derivative or samples does not compile. Everything that deals with ops in general
//! (the graph, the Python functions and classes, the gradient checks, the reference pages)
//! goes through [`ALL`], the only list of their names.
//!
//! Here are no element loops (those are kernels) and no graph (rules are written against
//! the [`algebra::Algebra`] trait, which the graph implements).

pub mod activation;
pub mod algebra;
pub mod arithmetic;
pub mod attrs;
pub mod comparison;
pub mod elementary;
pub mod entropy;
pub mod extrema;
pub mod gather;
pub mod indexing;
pub mod joining;
pub mod linalg;
pub mod logistic;
mod needs;
pub mod normalise;
pub mod power;
pub mod reduction;
pub mod sample;
pub mod shaping;
pub mod slopes;
pub mod softmax;
pub mod tuple;

use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernels::elementwise::Function;
use crate::shape::{self, TensorType};
use algebra::{Expr, Site};
pub use attrs::{Attr, Attrs, Constant, Param, ParamKind};
pub use needs::Needs;
pub use sample::{Domain, Sample};

/// All that is known of one operator.
pub struct OpDef {
    /// Name of the function, such as `exp`.
    pub name: &'static str,
    /// Name of the operator class, such as `Exp`.
    pub class: &'static str,
    /// What NumPy calls it: the functions ("sum", "linalg.norm"), ufuncs ("add") and reductions of
    /// ufuncs ("add.reduce") that this op answers to when they are called with a tensor. Their
    /// operands are the op's, in this order; what else the op takes has the same name there.
    pub numpy: &'static [&'static str],
    /// Documentation: the first line says what it computes, the rest shapes, dtypes,
    /// errors, and where a formula comes from.
    pub doc: &'static str,
    /// The operands.
    pub inputs: Inputs,
    /// The attributes, in the order of the constructor's arguments.
    pub params: &'static [Param],
    /// How it is typed and run.
    pub run: Run,
    /// How it is differentiated.
    pub derivative: Derivative,
    /// Inputs, away from kinks, on which derivatives are checked.
    pub samples: &'static [Sample],
}

/// The operands of an op.
pub enum Inputs {
    /// A fixed number, by name.
    Named(&'static [&'static str]),
    /// Any number of tensors under one name.
    Many(&'static str),
}

/// Type and data of one operand, as type rules see them.
#[derive(Clone, Copy)]
pub struct TypeRef<'a> {
    /// Lengths of the dimensions.
    pub shape: &'a [usize],
    /// Element type.
    pub dtype: DType,
}

/// The type of the output of an op, from its attributes and the types of its inputs.
pub type Infer = fn(&Attrs, &[TypeRef]) -> Result<TensorType>;

/// The types of the outputs of an op with several.
pub type InferMany = fn(&Attrs, &[TypeRef]) -> Result<Vec<TensorType>>;

/// The value of the output of an op, of the type that its [`Infer`] gave.
pub type Forward = fn(&Attrs, &[&Array], &TensorType) -> Result<Array>;

/// How an op is typed and run. `infer` sees no data and gives the teaching errors;
/// `forward` picks a kernel and may count on what `infer` has checked.
pub enum Run {
    /// One output.
    One {
        /// Type of the output.
        infer: Infer,
        /// Value of the output, of the type that `infer` gave.
        forward: Forward,
    },
    /// One output, a function of the elements of the inputs, which are cast to its dtype.
    Elementwise {
        /// Type of the output.
        infer: Infer,
        /// The function.
        function: fn(&Attrs) -> Function,
        /// The function at work, compiled for it.
        forward: Forward,
    },
    /// Several outputs.
    Many {
        /// Types of the outputs.
        infer: InferMany,
        /// Values of the outputs.
        forward: fn(&Attrs, &[&Array]) -> Result<Vec<Array>>,
    },
    /// Picks output `attrs[0]` of a node with several outputs; the graph does it itself.
    Project,
}

/// [`Run::Elementwise`] from its type rule and its function.
macro_rules! elementwise {
    (infer: $infer:expr, function: |$attrs:pat_param| $function:expr $(,)?) => {
        $crate::ops::Run::Elementwise {
            infer: $infer,
            function: |$attrs| $function,
            forward: |$attrs, x, ty| $function.run(x, ty.dtype),
        }
    };
}
use elementwise;

/// The derivative of an elementwise op by one input. The engine multiplies it with the
/// adjoint (or tangent) by the *chain product*, which is 0 where either factor is 0.
pub enum Partial {
    /// No derivative by this input: a condition, say.
    Zero,
    /// 1 everywhere: the adjoint passes unchanged.
    One,
    /// -1 everywhere.
    MinusOne,
    /// The chain product itself, where that takes less than an array of the derivative, or its
    /// factors in an order that stays in range.
    Scaled(Needs, for<'a> fn(&Site<'a>, Expr<'a>) -> Expr<'a>),
    /// A value for each element, from what it says it needs.
    Of(Needs, for<'a> fn(&Site<'a>) -> Expr<'a>),
    /// An op that computes the chain product of the adjoint and the derivative in one pass, from
    /// the adjoint and the first input.
    Fused(&'static OpDef),
}

/// A reverse rule for one input: from the adjoints of the outputs (`None` where one got
/// none) to the adjoint of input `i`, or `None` where nothing flows.
pub type Vjp = for<'a> fn(&Site<'a>, &[Option<Expr<'a>>], usize) -> Option<Expr<'a>>;

/// A forward rule: from the tangents of the inputs to the tangent of the output.
pub type Jvp = for<'a> fn(&Site<'a>, &[Option<Expr<'a>>]) -> Option<Expr<'a>>;

/// How an op is differentiated.
pub enum Derivative {
    /// Nowhere (a comparison): results need no gradient.
    None,
    /// Elementwise, with one partial derivative per input.
    Elementwise(&'static [Partial]),
    /// Any other rule.
    Rule {
        /// What `vjp` reads to give the adjoint of any of its inputs.
        needs: Needs,
        /// Reverse mode.
        vjp: Vjp,
        /// Forward mode.
        jvp: Tangent,
    },
}

/// Forward mode of a [`Derivative::Rule`].
pub enum Tangent {
    /// The op is linear in all its inputs together: apply it to the tangents.
    Linear,
    /// The same, and with these attributes it applies to tangents along so many directions, that
    /// are stacked along a new first axis.
    LinearAlong(fn(&Site, usize) -> Attrs),
    /// The op is linear in each input alone: the sum of itself with one input replaced.
    Multilinear,
    /// Any other rule.
    Rule(Jvp),
}

impl Partial {
    /// The chain product of an adjoint or tangent `g` and this derivative; `None` for zero.
    pub fn times<'a>(&self, site: &Site<'a>, g: Expr<'a>) -> Option<Expr<'a>> {
        match self {
            Self::Zero => None,
            Self::One => Some(g),
            Self::MinusOne => Some(-g),
            Self::Scaled(_, scale) => Some(scale(site, g)),
            Self::Of(_, derivative) => Some(g.chain(derivative(site))),
            Self::Fused(op) => Some(g.with(op, Attrs::none(), site.x(0))),
        }
    }
}

impl OpDef {
    /// Refuses another number of operands than the op has: rules and kernels count on it.
    #[inline]
    pub fn check_count(&self, count: usize) -> Result<()> {
        match self.inputs {
            Inputs::Named(names) if names.len() != count => {
                let expected = names.len();
                let plural = if expected == 1 { "" } else { "s" };
                let what = format_args!("expected {expected} operand{plural}, got {count}");
                Err(Error::dtype(self.name, what))
            }
            _ => Ok(()),
        }
    }

    /// The type of its one output by its [`Infer`]; refuses a shape that no array can have.
    /// Every type rule is called from here or from [`Self::infer_many`]: kernels may count on
    /// lengths that multiply without wrapping.
    #[inline]
    pub fn infer_one(&self, infer: Infer, attrs: &Attrs, types: &[TypeRef]) -> Result<TensorType> {
        let ty = infer(attrs, types)?;
        shape::check(self.name, &ty.shape)?;
        Ok(ty)
    }

    /// The types of its several outputs.
    pub fn infer_many(
        &self,
        infer: InferMany,
        attrs: &Attrs,
        types: &[TypeRef],
    ) -> Result<Vec<TensorType>> {
        let types = infer(attrs, types)?;
        for ty in &types {
            shape::check(self.name, &ty.shape)?;
        }
        Ok(types)
    }

    /// How it is typed and run, for an op with one output.
    #[inline]
    pub fn one(&self) -> Option<(Infer, Forward)> {
        match self.run {
            Run::One { infer, forward } | Run::Elementwise { infer, forward, .. } => {
                Some((infer, forward))
            }
            Run::Many { .. } | Run::Project => None,
        }
    }

    /// What the rule for input `i` reads.
    pub fn needs(&self, i: usize) -> Needs {
        match &self.derivative {
            Derivative::None => Needs::NOTHING,
            Derivative::Elementwise(partials) => match partials[i] {
                Partial::Of(needs, _) | Partial::Scaled(needs, _) => needs,
                Partial::Fused(_) => Needs::X0,
                _ => Needs::NOTHING,
            },
            Derivative::Rule { needs, .. } => *needs,
        }
    }

    /// Whether results can need a gradient.
    #[inline]
    pub fn is_differentiable(&self) -> bool {
        !matches!(self.derivative, Derivative::None)
    }

    /// Whether the op has several outputs.
    pub fn has_many_outputs(&self) -> bool {
        matches!(self.run, Run::Many { .. })
    }

    /// The op of this function or class name.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        ALL.iter()
            .copied()
            .find(|op| op.name == name || op.class == name)
    }
}

/// The ops by family: each file lists its own.
const FAMILIES: &[&[&OpDef]] = &[
    arithmetic::OPS,
    power::OPS,
    extrema::OPS,
    elementary::OPS,
    activation::UNARY,
    activation::OPS,
    comparison::COMPARISONS,
    comparison::OPS,
    reduction::OPS,
    shaping::OPS,
    linalg::OPS,
    softmax::OPS,
    normalise::OPS,
    entropy::OPS,
    logistic::OPS,
    slopes::SLOPES,
    slopes::OPS,
    joining::OPS,
    indexing::OPS,
    gather::OPS,
    tuple::OPS,
];

const COUNT: usize = {
    let (mut count, mut family) = (0, 0);
    while family < FAMILIES.len() {
        count += FAMILIES[family].len();
        family += 1;
    }
    count
};

/// Every op, in the order of the reference pages.
pub static ALL: &[&OpDef] = &{
    let mut all = [FAMILIES[0][0]; COUNT];
    let (mut at, mut family) = (0, 0);
    while family < FAMILIES.len() {
        let mut i = 0;
        while i < FAMILIES[family].len() {
            all[at] = FAMILIES[family][i];
            at += 1;
            i += 1;
        }
        family += 1;
    }
    all
};

#[cfg(test)]
mod tests {
    use super::ALL;
    use std::path::Path;

    /// The names of all ops that the files beside this one define, from their text: of statics,
    /// and of rows of macros, which begin with a static's name and the op's.
    fn defined() -> Vec<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ops");
        let mut names = Vec::new();
        for file in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            for line in text.lines() {
                let item = line.strip_prefix("pub static ");
                let name = item.and_then(|item| item.split_once(": OpDef = "));
                names.extend(name.map(|(name, _)| name.to_lowercase()));
                let row = line.trim_start().split_once(", \"");
                let is_static = |name: &str| {
                    let mut letters = name.chars();
                    name.len() > 1
                        && letters.all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
                };
                let row = row.filter(|(item, _)| is_static(item));
                names.extend(row.and_then(|(_, rest)| Some(rest.split_once('"')?.0.to_owned())));
            }
        }
        names
    }

    #[test]
    fn every_op_is_in_the_table() {
        let defined = defined();
        for name in &defined {
            let known = ALL.iter().any(|op| op.name == name);
            assert!(known, "{name}: missing from the list of its file");
        }
        assert_eq!(defined.len(), ALL.len());
    }
}
