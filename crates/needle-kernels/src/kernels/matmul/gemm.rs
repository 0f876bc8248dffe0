//! Products of matrices of floats.
//!
//! A tile of the result stays in registers: rows of `b` are loaded as vectors, elements of
//! `a` are repeated over one. Around the tiles are blocks that fit the caches. A block of `b`
//! is packed, which transposes it where it has to, if there are rows enough to read it again;
//! `a` is read where it is, whatever its strides, unless the result is wide.

use super::pack::pack;
use super::product::{GemmElement, Product, cut};
use super::tile::Tile;
use crate::kernels::simd::Simd;
use crate::kernels::vector::Vector;

/// Terms of a dot product that are summed before they are added to the result, at most.
const DEPTH: usize = 256;
/// Columns of `b` that are packed at a time, at most.
const COLUMNS: usize = 1024;
/// Rows of `a` that are packed at a time: with [`DEPTH`], a part of a core's own cache.
const ROWS: usize = 256;
/// Vectors across a strip of `b`, which every tile of the strip reads from the start.
const ACROSS: usize = 3;
/// Rows of the result from which it pays to pack `b`.
const ROWS_FOR_PACKING: usize = 512;
/// Terms of a sum from which it pays to pack `a`, for a wide result.
const TERMS_FOR_PACKING: usize = 32;
/// Bytes of `b` that are as good where they are: they stay in the innermost cache.
const NEAR: usize = 16 << 10;

/// Elements that a product packs into.
pub(super) const SPACE: usize = DEPTH * (COLUMNS + ROWS);

simd! {
    /// `c = a @ b` for rows of `c` that are `row` apart. The bits of an element depend on
    /// its row of `a` and its column of `b` alone.
    ///
    /// # Safety
    /// The steps of `p` stay within `a` and `b`, `c` has `p.m` rows of `p.n` elements, `space` has
    /// room for [`SPACE`], and nobody else sees it or these rows.
    pub(super) unsafe fn multiply<S>[T: GemmElement](
        p: &Product, row: usize, a: *const T, b: *const T, c: *mut T, space: *mut T
    ) {
        let len = <T::Of<S> as Vector<T>>::LEN;
        let (panels, blocks) = (p.n.div_ceil(COLUMNS), p.k.div_ceil(DEPTH).max(1));
        for panel in 0..panels {
            let vectors = cut(p.n.div_ceil(len), panels, panel);
            let columns = vectors.start * len..p.n.min(vectors.end * len);
            // For `k = 0` there is one empty block, which writes zeros.
            for block in 0..blocks {
                let terms = cut(p.k, blocks, block);
                let (j, k) = (columns.start as isize, terms.start as isize);
                let part = Product { k: terms.len(), n: columns.len(), ..*p };
                let a = a.wrapping_offset(k * p.a[1]);
                let b = b.wrapping_offset(k * p.b[0] + j * p.b[1]);
                // SAFETY: the caller's promise; the blocks cover the sums once.
                unsafe { add_block::<S, T>(&part, row, a, b, c.offset(j), space, block > 0) };
            }
        }
    }
}

/// `c = a @ b`, or `c += a @ b`, for a block that fits `space`.
///
/// # Safety
/// As [`multiply`], for at most [`DEPTH`] terms and [`COLUMNS`] columns, on a processor with the
/// instructions of `S`.
#[inline(always)]
unsafe fn add_block<S: Simd, T: GemmElement>(
    p: &Product,
    row: usize,
    a: *const T,
    b: *const T,
    c: *mut T,
    space: *mut T,
    add: bool,
) {
    let len = <T::Of<S> as Vector<T>>::LEN;
    let vectors = p.n.div_ceil(len);
    // Strips of nearly the same width: a narrow last one would waste registers.
    let strips = vectors.div_ceil(ACROSS);
    let pack_b = packs_b(p, len, size_of::<T>());
    if pack_b {
        for i in 0..strips {
            let strip = cut(vectors, strips, i);
            let j = strip.start * len;
            let size = [p.n.min(strip.end * len) - j, p.k];
            let b = b.wrapping_offset(j as isize * p.b[1]);
            // SAFETY: the caller's promise; packed strips follow each other, in whole vectors, and
            // end within [`DEPTH`] times [`COLUMNS`] elements.
            unsafe {
                let to = space.add(j * p.k);
                pack::<S, T>(size, b, [p.b[1], p.b[0]], to, strip.len() * len);
            }
        }
    }
    // Packed rows of `a` lie side by side in panels: as many as a vector or a tile has.
    let panel = len.max(S::REGISTERS / 4);
    let pack_a = 2 * p.n > COLUMNS && p.k >= TERMS_FOR_PACKING;
    let panels = space.wrapping_add(DEPTH * COLUMNS);
    for top in (0..p.m).step_by(ROWS) {
        let rows = ROWS.min(p.m - top);
        let a = a.wrapping_offset(top as isize * p.a[0]);
        let height = if pack_a { panel } else { rows };
        if pack_a {
            for i in (0..rows).step_by(panel) {
                let size = [panel.min(rows - i), p.k];
                // SAFETY: the caller's promise; panels follow each other behind the strips, and end
                // within [`DEPTH`] times [`ROWS`] elements.
                unsafe {
                    let a = a.wrapping_offset(i as isize * p.a[0]);
                    pack::<S, T>(size, a, p.a, panels.add(i * p.k), panel);
                }
            }
        }
        for i in 0..strips {
            let strip = cut(vectors, strips, i);
            let j = strip.start * len;
            for i in (0..rows).step_by(height) {
                let mut tile = Tile {
                    k: p.k,
                    a,
                    a_steps: p.a,
                    b: b.wrapping_add(j),
                    b_row: p.b[0],
                    c: c.wrapping_add((top + i) * row + j),
                    c_row: row,
                    columns: p.n.min(strip.end * len) - j,
                    add,
                };
                if pack_a {
                    tile.a = panels.wrapping_add(i * p.k);
                    tile.a_steps = [1, panel as isize];
                }
                if pack_b {
                    tile.b = space.wrapping_add(j * p.k);
                    tile.b_row = (strip.len() * len) as isize;
                }
                // SAFETY: the caller's promise; tiles cover the result once, and what was packed
                // for them stands in `space`. A strip has 1 to [`ACROSS`] vectors.
                unsafe { tile.rows::<S>(strip.len(), height.min(rows - i)) };
            }
        }
    }
}

/// Whether `b` is better packed than where it is.
#[inline(always)]
fn packs_b(p: &Product, len: usize, size: usize) -> bool {
    let whole = p.n.is_multiple_of(len) && p.b[0].unsigned_abs() * p.k * size <= NEAR;
    p.b[1] != 1 || (p.m >= ROWS_FOR_PACKING && !whole)
}

simd! {
    /// `c[i] = a[i, :] . b` for `m` rows of `a`, which are `row` apart. The bits of an element
    /// depend on its row of `a` and on `b` alone.
    ///
    /// # Safety
    /// The rows of `a`, and `b`, have `k` elements with steps of 1, `c` has `m`, and nobody else
    /// sees these.
    pub(super) unsafe fn dots<S>[T: GemmElement](
        m: usize, k: usize, row: isize, a: *const T, b: *const T, c: *mut T
    ) {
        let len = <T::Of<S> as Vector<T>>::LEN;
        let whole = k / (4 * len) * (4 * len);
        for i in 0..m {
            // SAFETY: the caller's promise, for all of it.
            unsafe {
                let a = a.offset(i as isize * row);
                let mut sums = [T::Of::<S>::splat(T::ZERO); 4];
                for at in (0..whole).step_by(4 * len) {
                    for (j, sum) in sums.iter_mut().enumerate() {
                        let at = at + j * len;
                        let (a, b) = (T::Of::<S>::load(a.add(at)), T::Of::<S>::load(b.add(at)));
                        *sum = sum.add_product(a, b);
                    }
                }
                for at in (whole..k).step_by(len) {
                    let rest = len.min(k - at);
                    let a = T::Of::<S>::load_first(a.add(at), rest);
                    let b = T::Of::<S>::load_first(b.add(at), rest);
                    sums[0] = sums[0].add_product(a, b);
                }
                let sum = sums[0].add(sums[1]).add(sums[2].add(sums[3]));
                c.add(i).write(sum.total());
            }
        }
    }
}
