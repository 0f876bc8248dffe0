//! The element types, listed once: names, sizes, NumPy's promotion, and the dispatch
//! macros that turn a run-time [`DType`] into a type parameter.

use std::fmt;

/// A boolean as NumPy stores it: one byte, false exactly when it is zero.
///
/// Rust's `bool` would be undefined behaviour for other bytes, and Python may write any
/// byte through an alias of our memory.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct Bool(pub u8);

impl Bool {
    /// The truth value.
    #[inline]
    pub fn get(self) -> bool {
        self.0 != 0
    }
}

impl From<bool> for Bool {
    #[inline]
    fn from(value: bool) -> Self {
        Self(u8::from(value))
    }
}

impl PartialEq for Bool {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl PartialOrd for Bool {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.get().partial_cmp(&other.get())
    }
}

/// The list of dtypes: variant, Rust type, NumPy name, kind. Everything else follows from it.
macro_rules! for_each_dtype {
    ($macro:ident) => {
        $macro! {
            Bool, $crate::dtype::Bool, "bool", Bool;
            I8, i8, "int8", Signed;
            I16, i16, "int16", Signed;
            I32, i32, "int32", Signed;
            I64, i64, "int64", Signed;
            U8, u8, "uint8", Unsigned;
            U16, u16, "uint16", Unsigned;
            U32, u32, "uint32", Unsigned;
            U64, u64, "uint64", Unsigned;
            F32, f32, "float32", Float;
            F64, f64, "float64", Float;
        }
    };
}

pub(crate) use for_each_dtype;

/// What kind of number a dtype holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Truth values.
    Bool,
    /// Integers without sign.
    Unsigned,
    /// Integers with sign.
    Signed,
    /// IEEE floating point.
    Float,
}

macro_rules! define_dtype {
    ($($variant:ident, $type:ty, $name:literal, $kind:ident;)*) => {
        /// An element type.
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum DType {
            $(#[doc = $name] $variant,)*
        }

        impl DType {
            /// Every dtype.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// NumPy's name, such as `float32`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Bytes per element.
            pub const fn size(self) -> usize {
                match self { $(Self::$variant => size_of::<$type>(),)* }
            }

            /// Bool, unsigned, signed or float.
            pub const fn kind(self) -> Kind {
                match self { $(Self::$variant => Kind::$kind,)* }
            }
        }

        $(impl Element for $type { const DTYPE: DType = DType::$variant; })*
    };
}

/// A Rust type that is the element type of arrays.
pub trait Element: Copy + Send + Sync + PartialEq + PartialOrd + fmt::Debug + 'static {
    /// The dtype of arrays of this type.
    const DTYPE: DType;
}

for_each_dtype!(define_dtype);

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Debug for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl DType {
    /// Whether this is float32 or float64.
    #[inline]
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64)
    }

    /// The dtype of a result of operands of `self` and `other`: NumPy's `promote_types`.
    #[inline]
    pub fn promote(self, other: Self) -> Self {
        if self == other {
            return self;
        }
        self.promote_unequal(other)
    }

    fn promote_unequal(self, other: Self) -> Self {
        // Order the pair by kind, then by size: bool < unsigned < signed < float.
        let key = |d: Self| (d.kind(), d.size());
        let (low, high) = if key(self) <= key(other) {
            (self, other)
        } else {
            (other, self)
        };
        match (low.kind(), high.kind()) {
            (Kind::Bool, _) => high,
            (a, b) if a == b => high,
            // float32 holds every 8- and 16-bit integer exactly, and no wider one.
            (_, Kind::Float) if low.size() <= 2 => high,
            (_, Kind::Float) => Self::F64,
            // An unsigned integer needs a signed one that is wider than itself.
            _ if high.size() > low.size() => high,
            _ => match low.size() {
                1 => Self::I16,
                2 => Self::I32,
                4 => Self::I64,
                _ => Self::F64,
            },
        }
    }

    /// The dtype in which functions with real values (`exp`, division, mean) work: floats
    /// keep theirs; integers of up to 16 bits and bool give float32, wider ones float64.
    /// NumPy says float16 for bool and 8-bit integers; needle has no float16.
    #[inline]
    pub fn to_float(self) -> Self {
        match self {
            Self::F32 | Self::F64 => self,
            _ if self.size() <= 2 => Self::F32,
            _ => Self::F64,
        }
    }

    /// The dtype of derivatives of what has this one: floats keep theirs. Those of bool and integers
    /// are counts, may be negative, and larger than a narrow dtype holds: int64, or float64 for
    /// uint64, whose numbers int64 does not hold.
    #[inline]
    pub fn of_derivatives(self) -> Self {
        match self {
            Self::F32 | Self::F64 => self,
            Self::U64 => Self::F64,
            _ => Self::I64,
        }
    }

    /// The dtype of a sum: as NumPy, integers are summed in 64 bits.
    #[inline]
    pub fn accumulator(self) -> Self {
        match self.kind() {
            Kind::Float => self,
            Kind::Unsigned => Self::U64,
            Kind::Bool | Kind::Signed => Self::I64,
        }
    }
}

/// A single number with a Python-like type: what scalar ops hold as their constant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar {
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer beyond the signed ones.
    UInt(u64),
    /// A real number.
    Float(f64),
    /// An integer beyond 64 bits, as the nearest real number: only floats can hold it.
    Huge(f64),
}

impl Scalar {
    /// The value as a float.
    #[inline]
    pub fn to_f64(self) -> f64 {
        match self {
            Self::Bool(value) => f64::from(u8::from(value)),
            Self::Int(value) => value as f64,
            Self::UInt(value) => value as f64,
            Self::Float(value) | Self::Huge(value) => value,
        }
    }
}

/// Calls `$body` with `$T` bound to the Rust type of a dtype: `dispatch!(dtype, T => body)`.
/// `dispatch!(numeric: ...)` and `dispatch!(float: ...)` take a fallback for the rest:
/// `dispatch!(float: dtype, T => body, else fallback)`. `dispatch!(unsigned: ...)` gives integers
/// the unsigned type of their width, for work that depends on their bits alone.
#[macro_export]
macro_rules! dispatch {
    (unsigned: $dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            $crate::DType::Bool => { type $T = $crate::dtype::Bool; $body }
            $crate::DType::I8 | $crate::DType::U8 => { type $T = u8; $body }
            $crate::DType::I16 | $crate::DType::U16 => { type $T = u16; $body }
            $crate::DType::I32 | $crate::DType::U32 => { type $T = u32; $body }
            $crate::DType::I64 | $crate::DType::U64 => { type $T = u64; $body }
            $crate::DType::F32 => { type $T = f32; $body }
            $crate::DType::F64 => { type $T = f64; $body }
        }
    };
    (float: $dtype:expr, $T:ident => $body:expr, else $fallback:expr) => {
        match $dtype {
            $crate::DType::F32 => { type $T = f32; $body }
            $crate::DType::F64 => { type $T = f64; $body }
            _ => $fallback,
        }
    };
    (numeric: $dtype:expr, $T:ident => $body:expr, else $fallback:expr) => {
        match $dtype {
            $crate::DType::Bool => $fallback,
            $crate::DType::I8 => { type $T = i8; $body }
            $crate::DType::I16 => { type $T = i16; $body }
            $crate::DType::I32 => { type $T = i32; $body }
            $crate::DType::I64 => { type $T = i64; $body }
            $crate::DType::U8 => { type $T = u8; $body }
            $crate::DType::U16 => { type $T = u16; $body }
            $crate::DType::U32 => { type $T = u32; $body }
            $crate::DType::U64 => { type $T = u64; $body }
            $crate::DType::F32 => { type $T = f32; $body }
            $crate::DType::F64 => { type $T = f64; $body }
        }
    };
    ($dtype:expr, $T:ident => $body:expr) => {
        $crate::dispatch!(numeric: $dtype, $T => $body, else {
            type $T = $crate::dtype::Bool;
            $body
        })
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promotion_is_numpys() {
        use DType::*;
        for (a, b, expected) in [
            (Bool, F32, F32),
            (U8, F32, F32),
            (I16, F32, F32),
            (I32, F32, F64),
            (U8, I8, I16),
            (U8, I16, I16),
            (U32, I32, I64),
            (U64, I8, F64),
            (U8, U32, U32),
            (F32, F64, F64),
            (Bool, Bool, Bool),
        ] {
            assert_eq!(a.promote(b), expected, "{a} with {b}");
            assert_eq!(b.promote(a), expected, "{b} with {a}");
        }
    }
}
