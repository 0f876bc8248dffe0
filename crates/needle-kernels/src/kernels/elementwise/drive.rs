//! How row functions go over arrays: what they cannot read where it is, they get in tiles.
//!
//! Operands that lie row-major, and numbers, are read in place. Rows with another step, and
//! operands of another dtype than the function is computed in, are first brought into a *tile*:
//! memory on the stack that stays in the cache. Nothing here depends on the function, so all of
//! it is compiled once.

use super::function::{Compiled, Map, MapRow, Zip, ZipRows};
use crate::array::{Array, Strides};
use crate::dtype::{DType, Scalar};
use crate::error::Result;
use crate::kernels::cast::{gather_of, is_same_word};
use crate::kernels::copy::straighten;
use crate::kernels::layout::{self, GRAIN, broadcast_strides, collapse};
use crate::kernels::number::element;
use crate::kernels::threads::{self, Shared};
use crate::shape;
use std::mem::MaybeUninit;

/// Elements of a tile.
const TILE: usize = 512;
/// Rows of a map that are shorter are brought together in a tile.
const SHORT: usize = 64;
/// Memory for the elements of a tile, of any dtype, and a bit more: tiles a page apart would look
/// alike in the low bits of their addresses, and what is read from one wait for writes to another.
type Tile = MaybeUninit<[u64; TILE + 16]>;

/// `f` of each element, computed in `dtype`.
pub(super) fn map(f: &Map, x: &Array, dtype: DType) -> Result<Array> {
    let compiled = f.compiled(dtype)?;
    let out = Array::empty(dtype, x.shape())?;
    if x.dtype() == dtype && compiled.dtype == dtype && x.is_contiguous() {
        let (size, run, n) = (dtype.size(), compiled.run, out.size());
        if n <= GRAIN {
            // SAFETY: both have `n` elements of `compiled.dtype`, row-major; `out` is fresh.
            unsafe { run(x.address(), out.address(), n) };
            return Ok(out);
        }
        let (from, to) = (Shared::new(x.address()), Shared::new(out.address()));
        threads::for_each(n, f.cost, GRAIN, |range| {
            let at = range.start * size;
            // SAFETY: both have `n` elements of `compiled.dtype`, row-major; `out` is fresh, and
            // this range has its elements alone.
            unsafe { run(from.get().add(at), to.get().add(at), range.len()) };
        });
        return Ok(out);
    }
    map_planned(f, compiled, x, &out)?;
    Ok(out)
}

/// [`map`] of what is not read in place.
#[inline(never)]
fn map_planned(f: &Map, compiled: &Compiled<MapRow>, x: &Array, out: &Array) -> Result<()> {
    let x = straighten(x)?;
    let plan = Plan {
        dtypes: [x.dtype()],
        computed: compiled.dtype,
        stored: out.dtype(),
    };
    let from = Shared::new(x.address());
    let steps = [x.strides()];
    let size = compiled.dtype.size();
    plan.go(
        out,
        [from],
        &steps,
        f.cost,
        |[[down, along]], n, count| {
            [along == 1 && (n >= SHORT || count == 1 || down == n as isize)]
        },
        |[x], [[down, _]], to, n, count| {
            let (len, count) = if down == n as isize {
                (n * count, 1)
            } else {
                (n, count)
            };
            for row in 0..count {
                let x = x.wrapping_offset(row as isize * down * size as isize);
                // SAFETY: `go` hands over rows within the operand or in a tile, of
                // `compiled.dtype`, whose elements lie side by side; `to` is this block's part of
                // the fresh result, or a tile.
                unsafe { (compiled.run)(x, to.add(row * n * size), len) };
            }
        },
    );
    Ok(())
}

/// `f` of each pair of elements, broadcast together and computed in `dtype`.
pub(super) fn zip(f: &Zip, a: &Array, b: &Array, dtype: DType) -> Result<Array> {
    let compiled = f.compiled(dtype)?;
    let result = if f.is_truth { DType::Bool } else { dtype };
    if a.is_contiguous()
        && b.is_contiguous()
        && a.dtype() == dtype
        && b.dtype() == dtype
        && compiled.dtype == dtype
        && a.shape() == b.shape()
    {
        let out = Array::empty(result, a.shape())?;
        side_by_side(f.cost, compiled, [a.address(), b.address()], [1, 1], &out);
        return Ok(out);
    }
    zip_broadcast(f, compiled, a, b, result)
}

/// [`zip`] of operands that are broadcast or not read in place.
#[inline(never)]
fn zip_broadcast(
    f: &Zip,
    compiled: &Compiled<ZipRows>,
    a: &Array,
    b: &Array,
    result: DType,
) -> Result<Array> {
    let shape = shape::broadcast("broadcast", a.shape(), b.shape())?;
    let out = Array::empty(result, &shape)?;
    let (a, b) = (&straighten(a)?, &straighten(b)?);
    let from = [a, b].map(|x| Shared::new(x.address()));
    let steps = [a, b].map(|x| broadcast_strides(x, &shape));
    zip_plan(f, compiled, [a.dtype(), b.dtype()], &out, from, &steps);
    Ok(out)
}

/// `f` of each element and a number on the right, which takes the dtype.
pub(super) fn zip_with(f: &Zip, x: &Array, number: Scalar, dtype: DType) -> Result<Array> {
    if dtype.is_float()
        && let Some(f) = f.as_map.and_then(|as_map| as_map(number.to_f64()))
    {
        return map(f, x, dtype);
    }
    zip_number::<false>(f, x, number, dtype)
}

/// `f` of a number on the left, which takes the array's dtype, and each element.
pub(super) fn zip_from(f: &Zip, number: Scalar, x: &Array) -> Result<Array> {
    zip_number::<true>(f, x, number, x.dtype())
}

fn zip_number<const LEFT: bool>(f: &Zip, x: &Array, number: Scalar, dtype: DType) -> Result<Array> {
    let compiled = f.compiled(dtype)?;
    let result = if f.is_truth { DType::Bool } else { dtype };
    let out = Array::empty(result, x.shape())?;
    let number = element(number, dtype);
    let at = (&raw const number).cast::<u8>();
    if f.repeats && x.is_contiguous() && x.dtype() == dtype && compiled.dtype == dtype {
        let x = x.address().cast_const();
        let (operands, steps) = if LEFT {
            ([at, x], [0, 1])
        } else {
            ([x, at], [1, 0])
        };
        side_by_side(f.cost, compiled, operands, steps, &out);
        return Ok(out);
    }
    zip_number_planned::<LEFT>(f, compiled, x, (at, dtype), &out)?;
    Ok(out)
}

/// [`zip_number`] of what is not read in place.
#[inline(never)]
fn zip_number_planned<const LEFT: bool>(
    f: &Zip,
    compiled: &Compiled<ZipRows>,
    x: &Array,
    (number, dtype): (*const u8, DType),
    out: &Array,
) -> Result<()> {
    let x = straighten(x)?;
    let still: Strides = x.shape().iter().map(|_| 0).collect();
    let mut operands = [x.address().cast_const(), number];
    let mut dtypes = [x.dtype(), dtype];
    let mut steps = [x.strides(), still];
    if LEFT {
        operands.reverse();
        dtypes.reverse();
        steps.reverse();
    }
    zip_plan(f, compiled, dtypes, out, operands.map(Shared::new), &steps);
    Ok(())
}

/// One row over all elements, which lie side by side in each operand that is not repeated. Both are
/// of `compiled.dtype`; one that steps has as many elements as `out`, a fresh array of what the
/// rows write.
#[inline(always)]
fn side_by_side(
    cost: usize,
    compiled: &Compiled<ZipRows>,
    [a, b]: [*const u8; 2],
    [step_a, step_b]: [isize; 2],
    out: &Array,
) {
    let n = out.size();
    if n <= GRAIN {
        let (steps_a, steps_b) = ([0, step_a], [0, step_b]);
        // SAFETY: `zip` and `zip_number` looked at shapes and dtypes: operands have `n` elements
        // side by side, or one that stays; `out` is fresh.
        unsafe { (compiled.run)(a, steps_a, b, steps_b, out.address(), n, 1) };
        return;
    }
    let (size, size_out, run) = (compiled.dtype.size(), out.dtype().size(), compiled.run);
    let (a, b, to) = (Shared::new(a), Shared::new(b), Shared::new(out.address()));
    threads::for_each(n, cost, GRAIN, |range| {
        // SAFETY: `zip` and `zip_number` looked at shapes and dtypes: operands have `n` elements
        // side by side, or one that stays; `out` is fresh, and this range has its elements alone.
        unsafe {
            let a = a.get().add(range.start * size * step_a as usize);
            let b = b.get().add(range.start * size * step_b as usize);
            let to = to.get().add(range.start * size_out);
            run(a, [0, step_a], b, [0, step_b], to, range.len(), 1);
        }
    });
}

fn zip_plan(
    f: &Zip,
    compiled: &Compiled<ZipRows>,
    dtypes: [DType; 2],
    out: &Array,
    from: [Shared<u8>; 2],
    steps: &[Strides; 2],
) {
    let plan = Plan {
        dtypes,
        computed: compiled.dtype,
        // The rows of a comparison write truth values themselves.
        stored: if f.is_truth {
            compiled.dtype
        } else {
            out.dtype()
        },
    };
    plan.go(
        out,
        from,
        steps,
        f.cost,
        |[[_, a], [_, b]], _, _| f.reads([a, b]),
        |[a, b], [steps_a, steps_b], to, n, count| {
            // SAFETY: `go` hands over rows within the operands (whose strides broadcast to `out`)
            // or in tiles, of `compiled.dtype`, by steps that `reads` allows; `to` is this block's
            // part of the fresh result, or a tile.
            unsafe { (compiled.run)(a, steps_a, b, steps_b, to, n, count) };
        },
    );
}

/// How the operands of a function get into the dtype it is computed in, and the result out.
struct Plan<const N: usize> {
    dtypes: [DType; N],
    computed: DType,
    /// What the result of a row is stored as.
    stored: DType,
}

impl<const N: usize> Plan<N> {
    /// Calls `run` with the addresses of operands and result for all elements of `out`, a fresh
    /// array: `count` rows of `n` elements. `reads` says of which steps (from row to row and within
    /// a row) it reads which operand in place; all others come side by side.
    fn go(
        &self,
        out: &Array,
        from: [Shared<u8>; N],
        steps: &[Strides; N],
        cost: usize,
        reads: impl Fn([[isize; 2]; N], usize, usize) -> [bool; N] + Sync,
        run: impl Fn([*const u8; N], [[isize; 2]; N], *mut u8, usize, usize) + Sync,
    ) {
        let own = out.strides();
        let (to, size) = (Shared::new(out.address()), out.dtype().size());
        // The result is not in `N`; its place follows from that of the first index.
        let dims = collapse(
            out.shape(),
            std::array::from_fn::<&[isize], 3, _>(|i| match i {
                0 => &own,
                i => &steps[(i - 1).min(N - 1)],
            }),
        );
        layout::for_each_block(&dims, cost, |at, rows, row| {
            let operands = std::array::from_fn::<_, N, _>(|i| {
                from[i]
                    .get()
                    .cast_const()
                    .wrapping_offset(at[i + 1] * self.dtypes[i].size() as isize)
            });
            // A single element has any step.
            let along = |i: usize| if row.len == 1 { 1 } else { row.steps[i + 1] };
            let steps = std::array::from_fn(|i| [rows.steps[i + 1], along(i)]);
            let is_read = reads(steps, row.len, rows.len);
            let direct =
                std::array::from_fn(|i| is_read[i] && is_same_word(self.dtypes[i], self.computed));
            let to = to.get().wrapping_offset(at[0] * size as isize);
            self.block(operands, steps, direct, to, size, [row.len, rows.len], &run);
        });
    }

    /// One block of `count` rows of `n` elements, the operands where they are if `direct`.
    #[allow(clippy::too_many_arguments)]
    fn block(
        &self,
        operands: [*const u8; N],
        steps: [[isize; 2]; N],
        direct: [bool; N],
        to: *mut u8,
        size: usize,
        [n, count]: [usize; 2],
        run: &impl Fn([*const u8; N], [[isize; 2]; N], *mut u8, usize, usize),
    ) {
        let is_stored = is_same_word(self.computed, self.stored);
        if direct == [true; N] && is_stored {
            return run(operands, steps, to, n, count);
        }
        let mut tiles: [Tile; N] = [const { MaybeUninit::uninit() }; N];
        let mut result: Tile = MaybeUninit::uninit();
        let (wide, high) = (n.min(TILE), (TILE / n).clamp(1, count));
        for row in (0..count).step_by(high) {
            let rows = high.min(count - row);
            for column in (0..n).step_by(wide) {
                let len = wide.min(n - column);
                let mut inner = steps;
                let operands = std::array::from_fn(|i| {
                    let [down, along] = steps[i];
                    let offset = row as isize * down + column as isize * along;
                    let from = operands[i].wrapping_offset(offset * self.dtypes[i].size() as isize);
                    if direct[i] {
                        return from;
                    }
                    let tile = tiles[i].as_mut_ptr().cast::<u8>();
                    inner[i] = [len as isize, 1];
                    let gather = gather_of(self.dtypes[i], self.computed);
                    // SAFETY: the strides broadcast to `out`, so they stay within the operand; a
                    // tile has room for `rows * len` elements of any dtype, and is this operand's
                    // alone.
                    unsafe { gather(from, [down, along], tile, len, rows) };
                    tile.cast_const()
                });
                let to = to.wrapping_add((row * n + column) * size);
                // Rows that lie side by side everywhere are one long row.
                let (len, rows) = if inner == [[len as isize, 1]; N] {
                    (len * rows, 1)
                } else {
                    (len, rows)
                };
                if is_stored {
                    run(operands, inner, to, len, rows);
                    continue;
                }
                let (store, tile) = (
                    gather_of(self.computed, self.stored),
                    result.as_mut_ptr().cast::<u8>(),
                );
                run(operands, inner, tile, len, rows);
                // SAFETY: `run` has written `rows * len` elements of the tile; `to` is this block's
                // part of the fresh result.
                unsafe { store(tile, [len as isize, 1], to, len, rows) };
            }
        }
    }
}
