//! Matrix products: vectors, matrices and broadcast batches, transposes by strides.
//!
//! Products of floats go through the kernel in `gemm`, very small ones and the other dtypes
//! through a plain loop. Where there are no wide vectors, large ones go through
//! `library`, the one place that names the gemm library.

mod gemm;
mod library;
mod pack;
mod product;
mod tile;

use crate::array::{Array, Strides};
use crate::dispatch;
use crate::dtype::DType;
use crate::error::Result;
use crate::kernels::copy;
use crate::kernels::gather::add_rows;
use crate::kernels::isa::{self, Isa};
use crate::kernels::layout::{self, collapse};
use crate::kernels::number::Number;
use crate::kernels::threads::{self, Shared};
use crate::shape;
use library::LibraryElement;
use pack::with_space;
use product::{Product, cut};

/// Multiply-adds below which setting up a gemm costs more than a plain loop.
const SMALL: usize = 6 * 6 * 6;

/// `a @ b + bias`, the bias being one row that every row of the product gets: the product is
/// computed first, so that the bits are those of the two steps.
pub fn linear(a: &Array, b: &Array, bias: &Array) -> Result<Array> {
    debug_assert_eq!(bias.dtype(), b.dtype());
    debug_assert_eq!(Some(&bias.size()), b.shape().last());
    let out = matmul(a, b)?;
    let (n, bias) = (bias.size(), copy::contiguous(bias)?);
    dispatch!(unsigned: out.dtype(), T => {
        let (row, to) = (Shared::new(bias.address().cast::<T>()), Shared::new(out.address().cast::<T>()));
        let rows = out.size().checked_div(n).unwrap_or(0);
        threads::for_each(rows, n * COST, GRAIN, |range| {
            // SAFETY: the op's type rule has compared the bias with the columns of `b` and the op
            // cast all to one dtype, so `out` has `rows` rows as long as the bias; it is fresh, and
            // this range has its rows alone.
            unsafe {
                let to = to.get().add(range.start * n);
                add_rows::<T>(row.get(), to, [0, n], n, range.len());
            }
        });
    });
    Ok(out)
}

/// `a @ b` by the rules of Python's `@` on arrays; the shapes fit.
pub fn matmul(a: &Array, b: &Array) -> Result<Array> {
    debug_assert_eq!(a.dtype(), b.dtype());
    debug_assert!(shape::matmul("matmul", a.shape(), b.shape()).is_ok());
    if let (&[m, k], &[_, n]) = (a.shape(), b.shape()) {
        let out = Array::empty(a.dtype(), &[m, n])?;
        let (rows_a, rows_b) = (a.strides(), b.strides());
        let (a_steps, b_steps) = ([rows_a[0], rows_a[1]], [rows_b[0], rows_b[1]]);
        let product = Product {
            m,
            k,
            n,
            a: a_steps,
            b: b_steps,
        };
        // SAFETY: the op's type rule has compared the inner lengths and the op cast both to one
        // dtype, so the strides stay within; `out` is fresh.
        unsafe { one(&product, a, 0, b, 0, &out, 0, true) };
        return Ok(out);
    }
    let shape = shape::matmul("matmul", a.shape(), b.shape())?;
    let out = Array::empty(a.dtype(), &shape)?;
    let (rows_a, rows_b) = (a.strides(), b.strides());
    // A vector on the left is one row, on the right one column.
    let (batch_a, m, steps_a) = split(a, &rows_a, |step| [0, step]);
    let (batch_b, _, steps_b) = split(b, &rows_b, |step| [step, 0]);
    let k = a.shape()[a.ndim() - 1];
    let n = if b.ndim() == 1 {
        1
    } else {
        b.shape()[b.ndim() - 1]
    };
    let m = if a.ndim() == 1 { 1 } else { m };
    let product = Product {
        m,
        k,
        n,
        a: steps_a,
        b: steps_b,
    };
    if out.size() == 0 {
        return Ok(out);
    }
    let batch = &shape[..batch_a.len().max(batch_b.len())];
    let stretch = |own: &[usize], strides: &[isize]| -> Strides {
        let skip = batch.len() - own.len();
        (0..batch.len())
            .map(|axis| match axis.checked_sub(skip) {
                Some(i) if own[i] == batch[axis] => strides[i],
                _ => 0,
            })
            .collect()
    };
    let (over_a, over_b) = (stretch(batch_a, &rows_a), stretch(batch_b, &rows_b));
    let mut over_c = shape::contiguous_strides(batch);
    for step in &mut over_c {
        *step *= (m * n) as isize;
    }
    let dims = collapse(batch, [&over_c, &over_a, &over_b]);
    // Each thread takes products as a whole, where there are some for everybody.
    let count = layout::size(&dims);
    if count < threads::num_threads() {
        layout::for_each(&dims, |[c, i, j]| {
            // SAFETY: the lengths were compared above and the op cast both to one dtype, so the
            // strides stay within; `out` is fresh.
            unsafe { one(&product, a, i, b, j, &out, c, true) };
        });
    } else {
        threads::for_each(count, COST * m * n * k, 1, |range| {
            layout::for_each_in(&dims, range, |[c, i, j]| {
                // SAFETY: the lengths were compared above and the op cast both to one dtype, so the
                // strides stay within; `out` is fresh, and each product is one range's.
                unsafe { one(&product, a, i, b, j, &out, c, false) };
            });
        });
    }
    Ok(out)
}

/// Batch lengths, number of rows and matrix strides of an operand.
fn split<'a>(
    x: &'a Array,
    strides: &[isize],
    vector: impl Fn(isize) -> [isize; 2],
) -> (&'a [usize], usize, [isize; 2]) {
    match *strides {
        [step] => (&[], 1, vector(step)),
        [.., row, column] => {
            let batch = x.ndim() - 2;
            (&x.shape()[..batch], x.shape()[batch], [row, column])
        }
        [] => (&[], 1, [0, 0]),
    }
}

/// One matrix product at offsets into the arrays, on several `threads` where that pays.
///
/// # Safety
/// All are of one dtype. From the offsets on, the strides stay within the operands, and `out` has
/// `m * n` elements that nobody else sees.
#[allow(clippy::too_many_arguments)]
unsafe fn one(
    p: &Product,
    a: &Array,
    i: isize,
    b: &Array,
    j: isize,
    out: &Array,
    c: isize,
    threads: bool,
) {
    let large = p.m * p.n * p.k > SMALL;
    // SAFETY: the caller's promise.
    unsafe {
        match a.dtype() {
            DType::F32 if large => {
                let (a, b) = (a.ptr::<f32>().offset(i), b.ptr::<f32>().offset(j));
                floats(p, a, b, out.ptr_mut::<f32>().offset(c), threads);
            }
            DType::F64 if large => {
                let (a, b) = (a.ptr::<f64>().offset(i), b.ptr::<f64>().offset(j));
                floats(p, a, b, out.ptr_mut::<f64>().offset(c), threads);
            }
            dtype => dispatch!(unsigned: dtype, T => {
                let at = |x: &Array, offset| x.address().cast::<T>().offset(offset);
                plain::<T>(p, at(a, i), at(b, j), at(out, c));
            }),
        }
    }
}

/// Picoseconds for a multiplication with addition, roughly.
const COST: usize = 12;
/// The same where a matrix is read once, for a product with a vector.
const DOT_COST: usize = 60;
/// Rows or columns of a result that a thread takes at least.
const GRAIN: usize = 16;
/// Work, in picoseconds, that a thread takes at least.
const SHARE: usize = 4_000_000;
/// Bytes of `b` up to which our own kernel is best on the baseline too.
const DIRECT: usize = 1 << 20;
/// Elements of a result up to which the gemm library may take another way, with other bits.
const FEW: usize = 256;

/// A product of floats.
///
/// # Safety
/// The strides stay within the operands, `c` has `m * n` elements, and nobody else sees these.
unsafe fn floats<T: LibraryElement>(
    p: &Product,
    a: *const T,
    b: *const T,
    c: *mut T,
    threads: bool,
) {
    if p.n == 1 && p.m > 1 && p.a[0] == 1 && p.a[1] != 1 {
        // A matrix whose columns lie in order, times a vector: as a row times its transpose it
        // is read in order, with whole vectors.
        let turned = Product {
            m: 1,
            k: p.k,
            n: p.m,
            a: [0, p.b[0]],
            b: [p.a[1], 1],
        };
        // SAFETY: the caller's promise; one column and one row of `c` lie alike.
        return unsafe { floats(&turned, b, a, c, threads) };
    }
    // Dot products of rows that lie in order: with one column, or the same turned around.
    let dots = if p.n == 1 && p.a[1] == 1 && p.b[0] == 1 {
        Some((p.m, p.a[0], a, b))
    } else if p.m == 1 && p.a[1] == 1 && p.b[0] == 1 {
        Some((p.n, p.b[1], b, a))
    } else {
        None
    };
    if let Some((count, step, rows, vector)) = dots {
        let (rows, vector, c) = (Shared::new(rows), Shared::new(vector), Shared::new(c));
        threads::for_each(count, p.k * DOT_COST, GRAIN, |range| {
            // SAFETY: the caller's promise; rows and vector have steps of 1 here, and each element
            // of `c` is written by one thread.
            unsafe {
                let rows = rows.get().offset(range.start as isize * step);
                let c = c.get().add(range.start);
                gemm::dots(range.len(), p.k, step, rows, vector.get(), c);
            }
        });
        return;
    }
    let work = COST * p.m * p.n * p.k;
    let most = if threads { threads::num_threads() } else { 1 };
    let [across, down] = grid(p, most.min(work / SHARE).max(1));
    // By the whole product, so that the number of threads makes no difference.
    let own = isa::active() != Isa::Scalar || p.k * p.n * size_of::<T>() <= DIRECT;
    let (a, b, c) = (Shared::new(a), Shared::new(b), Shared::new(c));
    threads::for_each(across * down, work / (across * down), 1, |range| {
        for i in range {
            let rows = cut(p.m, down, i / across);
            let grains = cut(p.n.div_ceil(GRAIN), across, i % across);
            let columns = grains.start * GRAIN..p.n.min(grains.end * GRAIN);
            let part = Product {
                m: rows.len(),
                n: columns.len(),
                ..*p
            };
            // SAFETY: the caller's promise, for a part within the sizes; each element of `c` is in
            // one part, and `space` is this thread's.
            unsafe {
                let a = a.get().offset(rows.start as isize * p.a[0]);
                let b = b.get().offset(columns.start as isize * p.b[1]);
                let c = c.get().add(rows.start * p.n + columns.start);
                if own {
                    with_space(gemm::SPACE, |space| {
                        gemm::multiply(&part, p.n, a, b, c, space);
                    });
                } else {
                    library::multiply(&part, p.n, a, b, c);
                }
            }
        }
    });
}

/// Into how many parts a result is split for at most `threads`, along its rows and along its
/// columns: so that the largest part takes least.
fn grid(p: &Product, threads: usize) -> [usize; 2] {
    // Every part packs its own columns of `b`; that takes as long as some rows of the result.
    let packing = if p.b[1] == 1 { 2 } else { 5 };
    let vectors = p.n.div_ceil(GRAIN);
    // Columns of the narrowest part: parts end at multiples of the grain.
    let narrowest = |across| match across {
        1 => p.n,
        _ => p.n / GRAIN / across * GRAIN,
    };
    (1..=threads.min(p.m / GRAIN).max(1))
        .map(|down| [(threads / down).min(p.n / GRAIN).max(1), down])
        .filter(|&[across, down]| p.m / down * narrowest(across) > FEW)
        .min_by_key(|[across, down]| (p.m.div_ceil(*down) + packing) * vectors.div_ceil(*across))
        .unwrap_or([1, 1])
}

simd! {
    /// Row by row: a row of `c` gathers multiples of rows of `b`.
    ///
    /// # Safety
    /// The strides stay within the operands, `c` has `m * n` elements, and nobody else sees these.
    unsafe fn plain<S>[T: Number](p: &Product, a: *const T, b: *const T, c: *mut T) {
        for i in 0..p.m {
            // SAFETY: the caller's promise.
            unsafe {
                let (a, c) = (a.offset(i as isize * p.a[0]), c.add(i * p.n));
                for j in 0..p.n {
                    c.add(j).write(T::ZERO);
                }
                for k in 0..p.k as isize {
                    let (factor, b) = (a.offset(k * p.a[1]).read(), b.offset(k * p.b[0]));
                    if p.b[1] == 1 {
                        add_multiple(factor, b, 1, c, p.n);
                    } else {
                        add_multiple(factor, b, p.b[1], c, p.n);
                    }
                }
            }
        }
    }
}

/// `c += factor * b`.
///
/// # Safety
/// `b` has `n` elements, `step` apart, `c` has `n` side by side, and nobody else sees these.
#[inline(always)]
unsafe fn add_multiple<T: Number>(factor: T, b: *const T, step: isize, c: *mut T, n: usize) {
    for j in 0..n {
        // SAFETY: the caller's promise.
        unsafe {
            let term = factor.mul(b.offset(j as isize * step).read());
            c.add(j).write(c.add(j).read().add(term));
        }
    }
}
