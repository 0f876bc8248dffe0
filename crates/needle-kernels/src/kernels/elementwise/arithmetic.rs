//! Arithmetic, extrema and comparisons: functions whose formulas are single operations.

use super::formula::{maps, zips};
use super::function::CHEAP;

maps! {
    /// `-x`.
    numbers_but_bool NEGATE CHEAP, |x, S| x.negate();
    /// Magnitude.
    numbers ABS CHEAP, |x, S| x.abs();
    /// -1, 0 or 1; NaN for NaN.
    numbers SIGN CHEAP, |x, S| x.sign();
    /// 0 where `x <= 0`, else `x`; NaN for NaN.
    numbers RELU CHEAP, |x, S| x.relu();
}

zips! {
    /// Sum; or for bool.
    pairs_by_width ADD CHEAP, |a, b| a.add(b);
    /// Difference.
    pairs_but_bool SUBTRACT CHEAP, |a, b| a.sub(b);
    /// Product; and for bool.
    pairs_by_width MULTIPLY CHEAP, |a, b| a.mul(b);
    /// The product of the chain rule: 0 where either factor is exactly 0.
    pairs CHAIN CHEAP, |a, b| a.chain(b);
    /// Quotient.
    float_pairs DIVIDE 300, Float |a, b| a.div(b);
    /// The larger; NaN if either is.
    pairs MAXIMUM CHEAP, |a, b| a.maximum(b);
    /// The smaller; NaN if either is.
    pairs MINIMUM CHEAP, |a, b| a.minimum(b);
    /// `a` where `b` is above 0, else 0: an adjoint behind a rectifier of `b`.
    pairs RELU_GRADIENT CHEAP, |a, b| if b > T::ZERO { a } else { T::ZERO };
    /// `a` where it is above 0, else `a b`; NaN for NaN.
    float_pairs LEAKY_RELU CHEAP, |a, b| if a <= T::ZERO { a.mul(b) } else { a };
    /// `==`.
    pairs_by_width EQUAL CHEAP, |a, b| -> Bool a == b;
    /// `!=`; true for NaN.
    pairs_by_width NOT_EQUAL CHEAP, |a, b| -> Bool a != b;
    /// `<`; false for NaN, as the following.
    pairs LESS CHEAP, |a, b| -> Bool a < b;
    /// `<=`.
    pairs LESS_EQUAL CHEAP, |a, b| -> Bool a <= b;
}
