//! Writes down forward mode, along several directions at once.
//!
//! The directions go through an elementwise op together, stacked along a new first axis: its
//! factors then are computed once for all of them, and broadcasting does the rest; and through
//! linear ops that know how. Other ops take one direction after the other.

use super::super::forward::{elementwise, rule};
use super::super::node::Types;
use super::Program;
use super::outline::{MadeBy, Outline};
use super::writer::Writer;
use crate::array::Index;
use crate::dtype::DType;
use crate::error::Result;
use crate::ops::algebra::{Algebra, Expr, Id, Site};
use crate::ops::{Derivative, Tangent};
use crate::shape::TensorType;
use smallvec::SmallVec;

/// How one value moves along all directions.
#[derive(Clone)]
enum Tangents {
    Stacked(Id),
    Each(Vec<Id>),
}

impl Tangents {
    fn stacked(&self, writer: &Writer) -> Option<Id> {
        match self {
            Self::Stacked(id) => Some(*id),
            Self::Each(each) => {
                let parts: Vec<Expr> = each.iter().map(|id| writer.expr(*id)).collect();
                Expr::stack(&parts, 0).map(Expr::id)
            }
        }
    }

    fn one(&self, writer: &Writer, direction: usize) -> Id {
        match self {
            Self::Stacked(id) => {
                let index = [Index::At(direction as isize)];
                writer.expr(*id).index(&index).id()
            }
            Self::Each(each) => each[direction],
        }
    }
}

/// The program of the tangents of the roots, where all that is wanted moves along arguments.
pub(super) fn write(outline: &Outline, directions: usize) -> Result<Program> {
    let writer = Writer::default();
    let mut moved: Vec<Option<Tangents>> = vec![None; outline.nodes.len()];
    for wanted in &outline.wanted {
        let ty = match wanted.map(|number| &outline.nodes[number as usize].types) {
            Some(Types::One(ty)) => stacked_type(ty, directions),
            // Nothing depends on it, but it has its place among the arguments.
            _ => TensorType::new(&[], DType::F64),
        };
        let argument = writer.argument(ty);
        if let Some(number) = wanted {
            moved[*number as usize] = Some(Tangents::Stacked(argument));
        }
    }
    for &number in &outline.order {
        if moved[number as usize].is_none() {
            moved[number as usize] = push(&writer, outline, number, &moved, directions);
        }
    }
    let result = |root: &u32| moved[*root as usize].as_ref()?.stacked(&writer);
    let results: Vec<Option<Id>> = outline.roots.iter().map(result).collect();
    writer.finish(&results)
}

/// The type of stacked tangents of a value, as they are given.
pub(super) fn stacked_type(ty: &TensorType, directions: usize) -> TensorType {
    let mut shape = ty.shape.clone();
    shape.insert(0, directions);
    let dtype = ty.dtype.to_float();
    TensorType { shape, dtype }
}

/// How a node moves; `None` where it does not.
fn push(
    writer: &Writer,
    outline: &Outline,
    number: u32,
    moved: &[Option<Tangents>],
    directions: usize,
) -> Option<Tangents> {
    let node = &outline.nodes[number as usize];
    let MadeBy::Native(op, attrs) = &node.made_by else {
        return None;
    };
    let tangents = node
        .inputs
        .iter()
        .map(|&input| moved[input as usize].as_ref());
    let tangents: SmallVec<[Option<&Tangents>; 2]> = tangents.collect();
    if tangents.iter().all(Option::is_none) {
        return None;
    }
    let value = |&number: &u32| writer.node(number, &outline.nodes[number as usize].types);
    let inputs: SmallVec<[Id; 4]> = node.inputs.iter().map(value).collect();
    let outputs = [value(&number)];
    let site = Site {
        algebra: writer,
        attrs,
        inputs: &inputs,
        outputs: &outputs,
    };
    if let (Derivative::Elementwise(partials), Types::One(ty)) = (&op.derivative, &node.types) {
        let stacked = |tangents: Option<&Tangents>| {
            let stacked = writer.expr(tangents?.stacked(writer)?);
            Some(aligned(stacked, ty.shape.len()))
        };
        let t: SmallVec<[Option<Expr>; 2]> = tangents.iter().copied().map(stacked).collect();
        let mut shape = ty.shape.clone();
        shape.insert(0, directions);
        let result = elementwise(partials, &site, &t)?;
        return Some(Tangents::Stacked(result.broadcast_to(&shape).id()));
    }
    if let Derivative::Rule {
        jvp: Tangent::LinearAlong(attrs),
        ..
    } = &op.derivative
    {
        let mut inputs: SmallVec<[Id; 4]> = SmallVec::new();
        for (i, tangents) in tangents.iter().enumerate() {
            inputs.push(if let Some(tangents) = tangents {
                tangents.stacked(writer)?
            } else {
                let mut shape = site.x(i).shape();
                shape.insert(0, directions);
                site.x(i).constant(0.0).broadcast_to(&shape).id()
            });
        }
        let id = writer.apply(op, attrs(&site, directions), &inputs);
        return Some(Tangents::Stacked(id));
    }
    let one = |direction| {
        let tangent = |tangents: Option<&Tangents>| {
            let id = tangents?.one(writer, direction);
            Some(writer.expr(id))
        };
        let t: SmallVec<[Option<Expr>; 2]> = tangents.iter().copied().map(tangent).collect();
        let parts = match &node.types {
            Types::Many(types) => Some(types.len()),
            _ => None,
        };
        rule(op, &site, &t, parts).map(Expr::id)
    };
    // Whether something flows depends on the op and on who moves, not on the direction.
    let each: Option<Vec<Id>> = (0..directions).map(one).collect();
    each.map(Tangents::Each)
}

/// Stacked tangents of a value that is broadcast to `ndim` dimensions: the directions stay in
/// front.
fn aligned(stacked: Expr<'_>, ndim: usize) -> Expr<'_> {
    let own = stacked.shape();
    if own.len() == ndim + 1 {
        return stacked;
    }
    let mut shape = own.clone();
    shape.insert_many(1, std::iter::repeat_n(1, ndim + 1 - own.len()));
    stacked.reshape(&shape)
}
