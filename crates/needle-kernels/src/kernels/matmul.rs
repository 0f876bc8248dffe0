//! Matrix products: vectors, matrices and broadcast batches, transposes by strides.
//!
//! Floats go through [`gemm_float`], the one place that names the gemm library; small
//! products and the other dtypes through a plain loop.

use super::layout::{self, collapse};
use super::number::Number;
use crate::array::{Array, Strides};
use crate::dispatch;
use crate::dtype::DType;
use crate::error::Result;
use crate::shape;

/// One product `c = a @ b`: sizes, and row and column steps of `a` and `b`. `c` is row-major.
#[derive(Clone, Copy)]
struct Product {
    m: usize,
    k: usize,
    n: usize,
    a: [isize; 2],
    b: [isize; 2],
}

/// Multiply-adds below which setting up a gemm costs more than a plain loop.
const SMALL: usize = 6 * 6 * 6;

/// `a @ b` by the rules of Python's `@` on arrays; the shapes fit.
pub fn matmul(a: &Array, b: &Array) -> Result<Array> {
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
    layout::for_each(&dims, |[c, i, j]| {
        // SAFETY: the strides stay within the arrays, and `out` is fresh.
        unsafe { one(&product, a, i, b, j, &out, c) };
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
                gemm_float(p, a, b, out.ptr_mut::<f32>().offset(c), 1.0);
            }
            DType::F64 if large => {
                let (a, b) = (a.ptr::<f64>().offset(i), b.ptr::<f64>().offset(j));
                gemm_float(p, a, b, out.ptr_mut::<f64>().offset(c), 1.0);
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

/// The gemm library. One thread; never reads what `c` held before.
unsafe fn gemm_float<T: Number>(p: &Product, a: *const T, b: *const T, c: *mut T, one: T) {
    let mut start = 0;
    loop {
        let depth = (p.k - start).min(BLOCK);
        let at = start as isize;
        // SAFETY: the caller's promise; the blocks cover `k` once.
        unsafe {
            gemm::gemm(
                p.m,
                p.n,
                depth,
                c,
                1,
                p.n as isize,
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
                gemm::Parallelism::None,
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
