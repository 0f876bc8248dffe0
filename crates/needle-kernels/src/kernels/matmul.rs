//! Matrix products: vectors, matrices and broadcast batches, transposes by strides.
//!
//! Large products of floats go through [`gemm_packed`], the one place that names the gemm
//! library, medium ones through the kernel without packing in `gemm`, small ones and the
//! other dtypes through a plain loop.

use super::copy;
use super::gather::add_rows;
use super::gemm::{self, GemmElement};
use super::layout::{self, collapse};
use super::number::Number;
use super::threads::{self, Shared};
use crate::array::{Array, Strides};
use crate::dispatch;
use crate::dtype::DType;
use crate::error::Result;
use crate::shape;

/// One product `c = a @ b`: sizes, and row and column steps of `a` and `b`. `c` is row-major.
#[derive(Clone, Copy)]
pub(super) struct Product {
    pub m: usize,
    pub k: usize,
    pub n: usize,
    pub a: [isize; 2],
    pub b: [isize; 2],
}

/// Multiply-adds below which setting up a gemm costs more than a plain loop.
const SMALL: usize = 6 * 6 * 6;

/// Rows of `a` from which it pays to copy `b` so that its rows lie side by side.
const ROWS_FOR_COPY: usize = 8;

/// `a @ b` by the rules of Python's `@` on arrays; the shapes fit.
pub fn matmul(a: &Array, b: &Array) -> Result<Array> {
    if let [.., m, _] = *a.shape()
        && let [.., k, n] = *b.shape()
        && let [ref batch @ .., _, step] = *b.strides()
        && m >= ROWS_FOR_COPY
        && n > 1
        && !matches!(step, 0 | 1)
        // A batch that is one matrix, repeated, would be copied for each repetition.
        && !batch.contains(&0)
        && a.dtype().is_float()
        && m * n * k > SMALL
    {
        return multiply(a, &copy::contiguous(b)?);
    }
    multiply(a, b)
}

/// `a @ b + bias`, the bias being one row that every row of the product gets: the product is
/// computed first, so that the bits are those of the two steps.
pub fn linear(a: &Array, b: &Array, bias: &Array) -> Result<Array> {
    let out = matmul(a, b)?;
    let (n, bias) = (bias.size(), copy::contiguous(bias)?);
    dispatch!(out.dtype(), T => {
        let (row, to) = (Shared::new(bias.ptr::<T>()), Shared::new(out.ptr_mut::<T>()));
        let rows = out.size().checked_div(n).unwrap_or(0);
        threads::for_each(rows, n * COST, GRAIN, |range| {
            // SAFETY: `out` is fresh and has `rows` rows as long as the bias.
            unsafe {
                let to = to.get().add(range.start * n);
                add_rows::<T>(row.get(), to, [0, n], n, range.len());
            }
        });
    });
    Ok(out)
}

fn multiply(a: &Array, b: &Array) -> Result<Array> {
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
        // SAFETY: the strides stay within the arrays, and `out` is fresh.
        unsafe { one(&product, a, 0, b, 0, &out, 0) };
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
    let several = if count >= threads::num_threads() {
        COST * m * n * k
    } else {
        0
    };
    threads::for_each(count, several, 1, |range| {
        layout::for_each_in(&dims, range, |[c, i, j]| {
            // SAFETY: the strides stay within the arrays, and `out` is fresh.
            unsafe { one(&product, a, i, b, j, &out, c) };
        });
    });
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

/// One matrix product at offsets into the arrays.
unsafe fn one(p: &Product, a: &Array, i: isize, b: &Array, j: isize, out: &Array, c: isize) {
    let large = p.m * p.n * p.k > SMALL;
    // SAFETY: the caller's promise.
    unsafe {
        match a.dtype() {
            DType::F32 if large => {
                let (a, b) = (a.ptr::<f32>().offset(i), b.ptr::<f32>().offset(j));
                gemm_parts(p, a, b, out.ptr_mut::<f32>().offset(c), 1.0);
            }
            DType::F64 if large => {
                let (a, b) = (a.ptr::<f64>().offset(i), b.ptr::<f64>().offset(j));
                gemm_parts(p, a, b, out.ptr_mut::<f64>().offset(c), 1.0);
            }
            dtype => dispatch!(dtype, T => {
                let (a, b) = (a.ptr::<T>().offset(i), b.ptr::<T>().offset(j));
                plain::<T>(p, a, b, out.ptr_mut::<T>().offset(c));
            }),
        }
    }
}

/// Terms of a dot product that the gemm library sums in one go. It would choose by the size
/// of the result; fixed blocks give the same bits however a result is split among threads.
const BLOCK: usize = 512;

/// Picoseconds for a multiplication with addition, roughly.
const COST: usize = 12;
/// The same where a matrix is read once, for a product with a vector.
const DOT_COST: usize = 60;
/// Rows or columns of a result that a thread takes at least.
const GRAIN: usize = 16;
/// Bytes of `b` up to which a product is computed without packing: they stay in the cache of
/// one core.
const DIRECT: usize = 1 << 20;
/// Elements of a result up to which the gemm library may take another way, with other bits.
const FEW: usize = 256;

/// A product on several threads where that pays: each takes rows, or columns, of the result.
unsafe fn gemm_parts<T: GemmElement>(p: &Product, a: *const T, b: *const T, c: *mut T, one: T) {
    if p.n == 1 && p.a[1] == 1 && p.b[0] == 1 {
        let (a, b, c) = (Shared::new(a), Shared::new(b), Shared::new(c));
        threads::for_each(p.m, p.k * DOT_COST, GRAIN, |rows| {
            let (start, count) = (rows.start, rows.len());
            // SAFETY: the caller's promise; each element is written by one thread.
            unsafe {
                let a = a.get().offset(start as isize * p.a[0]);
                gemm::dots(count, p.k, p.a[0], a, b.get(), c.get().add(start));
            }
        });
        return;
    }
    let (long, short) = (p.m.max(p.n), p.m.min(p.n));
    let least = GRAIN.max(FEW / short.max(1) + 1);
    let parts = threads::num_threads().min(long / least).max(1);
    let (a, b, c) = (Shared::new(a), Shared::new(b), Shared::new(c));
    // By the whole product, so that the number of threads makes no difference.
    let direct = p.b[1] == 1 && p.k * p.n * size_of::<T>() <= DIRECT;
    threads::for_each(parts, long * short * p.k / parts * COST, 1, |range| {
        for i in range {
            let (start, end) = (long * i / parts, long * (i + 1) / parts);
            let (mut part, mut at_a, mut at_b, mut at_c) = (*p, 0, 0, start);
            if p.m >= p.n {
                part.m = end - start;
                at_a = start as isize * p.a[0];
                at_c = start * p.n;
            } else {
                part.n = end - start;
                at_b = start as isize * p.b[1];
            }
            // SAFETY: the caller's promise; each element is written by one thread.
            unsafe {
                let (a, b) = (a.get().offset(at_a), b.get().offset(at_b));
                let c = c.get().add(at_c);
                if direct {
                    gemm::multiply(&part, p.n, a, b, c);
                } else {
                    gemm_packed(&part, p.n, a, b, c, one);
                }
            }
        }
    });
}

/// The gemm library, on one thread; never reads what `c`, whose rows are `row` apart, held
/// before.
unsafe fn gemm_packed<T: Number>(
    p: &Product,
    row: usize,
    a: *const T,
    b: *const T,
    c: *mut T,
    one: T,
) {
    let mut start = 0;
    loop {
        let depth = (p.k - start).min(BLOCK);
        let at = start as isize;
        // SAFETY: the caller's promise; the blocks cover `k` once.
        unsafe {
            ::gemm::gemm(
                p.m,
                p.n,
                depth,
                c,
                1,
                row as isize,
                start > 0,
                a.wrapping_offset(at * p.a[1]),
                p.a[1],
                p.a[0],
                b.wrapping_offset(at * p.b[0]),
                p.b[1],
                p.b[0],
                one,
                one,
                false,
                false,
                false,
                ::gemm::Parallelism::None,
            );
        }
        start += depth;
        // Once through for k = 0 too: that writes the zeros.
        if start >= p.k {
            return;
        }
    }
}

simd! {
    /// Row by row: a row of `c` gathers multiples of rows of `b`.
    ///
    /// # Safety
    /// All addresses are valid, and nobody else sees `c`.
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
