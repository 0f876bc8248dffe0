//! What of a node's values its derivative reads.

/// Which values a rule reads, so that all others can be released early.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Needs(u8);

impl Needs {
    /// Neither inputs nor output.
    pub const NOTHING: Self = Self(0);
    /// The first input.
    pub const X0: Self = Self(1);
    /// The second input.
    pub const X1: Self = Self(2);
    /// The third input.
    pub const X2: Self = Self(4);
    /// The output.
    pub const Y: Self = Self(128);
    /// Every input and the output: what an op that is not of the table may read.
    pub const ALL: Self = Self(255);

    /// Both sets.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether input `i` is read.
    pub const fn input(self, i: usize) -> bool {
        self.0 == Self::ALL.0 || (i < 7 && self.0 & (1 << i) != 0)
    }

    /// Whether nothing is read.
    pub const fn is_nothing(self) -> bool {
        self.0 == 0
    }

    /// Whether the output is read.
    pub const fn output(self) -> bool {
        self.0 & 128 != 0
    }
}
