//! Normalisation along an axis and its adjoint, in one pass over rows that stay in the cache,
//! or over columns side by side. Runs of elements whose variance is no number of the dtype, or
//! too small beside the mean, are done again, in [`scaled`].

mod scaled;

use super::copy::contiguous;
use super::fold::{SumOf, fold};
use super::number::{Float, Number};
use super::threads::{self, Shared};
use crate::array::Array;
use crate::dispatch;
use crate::dtype::Scalar;
use crate::error::{Error, Result};

/// Picoseconds for an element, roughly.
const COST: usize = 400;

/// What squares are taken from.
pub(super) trait Centre: Sync {
    /// Whether it is the mean, and not 0.
    const IS_MEAN: bool;
}

struct Mean;
impl Centre for Mean {
    const IS_MEAN: bool = true;
}

struct Origin;
impl Centre for Origin {
    const IS_MEAN: bool = false;
}

/// `(x - mean) / sqrt(variance + eps)` along an axis; the variance is the biased one.
pub fn layer_norm(x: &Array, axis: usize, eps: f64) -> Result<Array> {
    norm::<Mean>("layer_norm", x, axis, eps)
}

/// `x / sqrt(mean(x^2) + eps)` along an axis.
pub fn rms_norm(x: &Array, axis: usize, eps: f64) -> Result<Array> {
    norm::<Origin>("rms_norm", x, axis, eps)
}

/// The adjoint of [`layer_norm`]: with `y` and `r = 1 / sqrt(variance + eps)` of a run of
/// elements along the axis, `r (g - mean(g) - y mean(g y))`.
pub fn layer_norm_gradient(g: &Array, x: &Array, axis: usize, eps: f64) -> Result<Array> {
    norm_gradient::<Mean>("layer_norm_gradient", g, x, axis, eps)
}

/// The adjoint of [`rms_norm`]: with `y` and `r = 1 / sqrt(mean(x^2) + eps)`, `r (g - y mean(g y))`.
pub fn rms_norm_gradient(g: &Array, x: &Array, axis: usize, eps: f64) -> Result<Array> {
    norm_gradient::<Origin>("rms_norm_gradient", g, x, axis, eps)
}

fn norm<C: Centre>(op: &str, x: &Array, axis: usize, eps: f64) -> Result<Array> {
    let x = contiguous(x)?;
    let out = Array::empty(x.dtype(), x.shape())?;
    dispatch!(float: x.dtype(), T => {
        along::<T, 1>([&x], axis, &out, |[x], out, run| {
            // SAFETY: `contiguous` laid `x` row-major, T is its dtype; `out` is fresh, of the same
            // shape, and this run is nobody else's.
            unsafe {
                match run.width {
                    None => norm_row::<T, C>(x, out, run.n, eps),
                    Some(width) => norm_columns::<T, C>(x, out, [run.n, run.step, width], eps),
                }
            }
        });
    }, else return Err(Error::undefined(op, x.dtype())));
    Ok(out)
}

fn norm_gradient<C: Centre>(
    op: &str,
    g: &Array,
    x: &Array,
    axis: usize,
    eps: f64,
) -> Result<Array> {
    debug_assert_eq!((g.shape(), g.dtype()), (x.shape(), x.dtype()));
    let (g, x) = (contiguous(g)?, contiguous(x)?);
    let out = Array::empty(x.dtype(), x.shape())?;
    dispatch!(float: x.dtype(), T => {
        along::<T, 2>([&g, &x], axis, &out, |[g, x], out, run| {
            // SAFETY: the op's type rule has compared both shapes, the op cast both to one dtype,
            // and `contiguous` laid them row-major; `out` is fresh, and this run is nobody else's.
            unsafe {
                match run.width {
                    None => norm_gradient_row::<T, C>(g, x, out, run.n, eps),
                    Some(width) => {
                        norm_gradient_columns::<T, C>(g, x, out, [run.n, run.step, width], eps);
                    }
                }
            }
        });
    }, else return Err(Error::undefined(op, x.dtype())));
    Ok(out)
}

/// `n` elements, `step` apart, alone or as the first of `width` columns side by side.
struct Run {
    n: usize,
    step: usize,
    width: Option<usize>,
}

/// Columns that are normalised side by side.
const SIDE: usize = 64;

/// Calls `body` with the addresses of each run along `axis`, or of several side by side, in
/// the operands and in the fresh result.
fn along<T: Number, const N: usize>(
    operands: [&Array; N],
    axis: usize,
    out: &Array,
    body: impl Fn([*const T; N], *mut T, &Run) + Sync,
) {
    let shape = out.shape();
    let (n, step) = (shape[axis], shape[axis + 1..].iter().product::<usize>());
    let outer = out.size().checked_div(n * step).unwrap_or(0);
    let from = operands.map(|x| Shared::new(x.ptr::<T>()));
    let to = Shared::new(out.ptr_mut::<T>());
    // Columns are taken in groups whose bounds do not depend on the threads.
    let groups = if step == 1 { 1 } else { step.div_ceil(SIDE) };
    threads::for_each(
        outer * groups,
        n * step / groups.max(1) * COST,
        1,
        |range| {
            for i in range {
                let first = i % groups * SIDE;
                let start = i / groups * n * step + first;
                let width = (step > 1).then(|| SIDE.min(step - first));
                let at = from.map(|x| x.get().wrapping_add(start).cast_const());
                body(at, to.get().wrapping_add(start), &Run { n, step, width });
            }
        },
    );
}

/// `1 / sqrt(variance + eps)`.
#[inline(always)]
fn scale_of<T: Float>(variance: T, eps: f64) -> T {
    let eps = T::from_scalar(Scalar::Float(eps));
    T::ONE.div(variance.add(eps).sqrt())
}

/// Whether the squares behind a scale have neither overflowed nor lost digits below the normal
/// numbers, and are not those of what rounding did to the mean.
#[inline(always)]
fn is_sound<T: Float>(mean: T, scale: T) -> bool {
    let most = T::from_scalar(Scalar::Float((T::EPSILON / T::SMALLEST).sqrt()));
    let ratio = T::from_scalar(Scalar::Float(0.125 / T::EPSILON));
    scale > T::ZERO && scale <= most && mean.abs().mul(scale) <= ratio
}

/// The mean of a row, or 0, and `1 / sqrt(variance + eps)`; `scratch` has room for the row.
///
/// # Safety
/// Both have `n` elements; nobody else sees `scratch`.
#[inline(always)]
unsafe fn moments<T: Float, C: Centre>(x: *const T, scratch: *mut T, n: usize, eps: f64) -> (T, T) {
    let divisor = T::from_scalar(Scalar::UInt(n as u64));
    // SAFETY: the caller's promise.
    unsafe {
        let mean = if C::IS_MEAN {
            fold::<T, SumOf>(x, n).div(divisor)
        } else {
            T::ZERO
        };
        for i in 0..n {
            let d = x.add(i).read().sub(mean);
            scratch.add(i).write(d.mul(d));
        }
        let variance = fold::<T, SumOf>(scratch, n).div(divisor);
        (mean, scale_of(variance, eps))
    }
}

simd! {
    /// # Safety
    /// Both rows have `n` elements, and nobody else sees `out`.
    unsafe fn norm_row<S>[T: Float, C: Centre](x: *const T, out: *mut T, n: usize, eps: f64) {
        // SAFETY: the caller's promise.
        unsafe {
            let (mean, scale) = moments::<T, C>(x, out, n, eps);
            if !is_sound(mean, scale) {
                scaled::norm::<T, C>(x, out, [n, 1], eps);
                return;
            }
            for i in 0..n {
                out.add(i).write(x.add(i).read().sub(mean).mul(scale));
            }
        }
    }
}

simd! {
    /// # Safety
    /// All rows have `n` elements, and nobody else sees `out`.
    unsafe fn norm_gradient_row<S>[T: Float, C: Centre](
        g: *const T, x: *const T, out: *mut T, n: usize, eps: f64
    ) {
        let divisor = T::from_scalar(Scalar::UInt(n as u64));
        // SAFETY: the caller's promise.
        unsafe {
            let (mean, scale) = moments::<T, C>(x, out, n, eps);
            if !is_sound(mean, scale) {
                scaled::gradient::<T, C>([g, x], out, [n, 1], eps);
                return;
            }
            let y = |i: usize| x.add(i).read().sub(mean).mul(scale);
            for i in 0..n {
                out.add(i).write(g.add(i).read().mul(y(i)));
            }
            let along = fold::<T, SumOf>(out, n).div(divisor);
            let level = if C::IS_MEAN {
                fold::<T, SumOf>(g, n).div(divisor)
            } else {
                T::ZERO
            };
            for i in 0..n {
                let rest = g.add(i).read().sub(level).sub(y(i).mul(along));
                out.add(i).write(rest.mul(scale));
            }
        }
    }
}

/// Rows whose elements are added up before they are added to the sum of a column.
const ROWS: usize = 128;

/// The mean of each of `width` columns of `n` elements.
#[inline(always)]
fn column_means<T: Float>(n: usize, width: usize, at: impl Fn(usize, usize) -> T) -> [T; SIDE] {
    let mut means = [T::ZERO; SIDE];
    for start in (0..n).step_by(ROWS) {
        let mut sums = [T::ZERO; SIDE];
        for row in start..n.min(start + ROWS) {
            for (i, sum) in sums.iter_mut().enumerate().take(width) {
                *sum = sum.add(at(row, i));
            }
        }
        for (mean, sum) in means.iter_mut().zip(sums) {
            *mean = mean.add(sum);
        }
    }
    let divisor = T::from_scalar(Scalar::UInt(n as u64));
    means.map(|sum| sum.div(divisor))
}

/// The mean of each column, or 0, and `1 / sqrt(variance + eps)`.
#[inline(always)]
fn column_moments<T: Float, C: Centre>(
    n: usize,
    width: usize,
    eps: f64,
    x: impl Fn(usize, usize) -> T,
) -> ([T; SIDE], [T; SIDE]) {
    let means = if C::IS_MEAN {
        column_means(n, width, &x)
    } else {
        [T::ZERO; SIDE]
    };
    let variances = column_means(n, width, |row, i| {
        let d = x(row, i).sub(means[i]);
        d.mul(d)
    });
    (means, variances.map(|v| scale_of(v, eps)))
}

simd! {
    /// # Safety
    /// For `sizes` of `[n, step, width]` both have `n` rows of `width` columns, `step` apart;
    /// nobody else sees those of `out`.
    unsafe fn norm_columns<S>[T: Float, C: Centre](
        x: *const T, out: *mut T, sizes: [usize; 3], eps: f64
    ) {
        let [n, step, width] = sizes;
        // SAFETY: the caller's promise; it is asked for rows below `n` and columns below `width`.
        let at = |row: usize, i: usize| unsafe { x.add(row * step + i).read() };
        let (means, scales) = column_moments::<T, C>(n, width, eps, at);
        for row in 0..n {
            for i in 0..width {
                let value = at(row, i).sub(means[i]).mul(scales[i]);
                // SAFETY: the caller's promise: a column of a row of `out`.
                unsafe { out.add(row * step + i).write(value) };
            }
        }
        for (i, &scale) in scales.iter().enumerate().take(width) {
            if !is_sound(means[i], scale) {
                // SAFETY: the caller's promise: a column.
                unsafe { scaled::norm::<T, C>(x.add(i), out.add(i), [n, step], eps) };
            }
        }
    }
}

simd! {
    /// # Safety
    /// As [`norm_columns`], for all three.
    unsafe fn norm_gradient_columns<S>[T: Float, C: Centre](
        g: *const T, x: *const T, out: *mut T, sizes: [usize; 3], eps: f64
    ) {
        let [n, step, width] = sizes;
        // SAFETY: the caller's promise; it is asked for rows below `n` and columns below `width`.
        let at = |row: usize, i: usize| unsafe { x.add(row * step + i).read() };
        // SAFETY: the caller's promise; it is asked for rows below `n` and columns below `width`.
        let adjoint = |row: usize, i: usize| unsafe { g.add(row * step + i).read() };
        let (means, scales) = column_moments::<T, C>(n, width, eps, at);
        let y = |row: usize, i: usize| at(row, i).sub(means[i]).mul(scales[i]);
        let levels = if C::IS_MEAN {
            column_means(n, width, adjoint)
        } else {
            [T::ZERO; SIDE]
        };
        let shares = column_means(n, width, |row, i| adjoint(row, i).mul(y(row, i)));
        for row in 0..n {
            for i in 0..width {
                let rest = adjoint(row, i).sub(levels[i]).sub(y(row, i).mul(shares[i]));
                // SAFETY: the caller's promise: a column of a row of `out`.
                unsafe { out.add(row * step + i).write(rest.mul(scales[i])) };
            }
        }
        for (i, &scale) in scales.iter().enumerate().take(width) {
            if !is_sound(means[i], scale) {
                // SAFETY: the caller's promise: a column.
                unsafe {
                    let operands = [g.add(i), x.add(i)];
                    scaled::gradient::<T, C>(operands, out.add(i), [n, step], eps);
                }
            }
        }
    }
}
