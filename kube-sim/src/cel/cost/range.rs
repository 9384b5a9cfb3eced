//! Ranges of costs and of sizes.

/// A range of costs or sizes, from `min` to `max`. Arithmetic saturates at [`u64::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cel) struct Range {
    pub(in crate::cel) min: u64,
    pub(in crate::cel) max: u64,
}

impl Range {
    /// The range of a size that is not known.
    pub(in crate::cel) const UNKNOWN: Self = Self { min: 0, max: u64::MAX };
    pub(in crate::cel) const ZERO: Self = Self::fixed(0);
    pub(in crate::cel) const ONE: Self = Self::fixed(1);
    /// The range without values: the identity element of [`Self::union`].
    pub(in crate::cel) const EMPTY: Self = Self { min: u64::MAX, max: 0 };

    /// The range that contains only `value`.
    pub(in crate::cel) const fn fixed(value: u64) -> Self {
        Self { min: value, max: value }
    }

    /// The range of the sums of a value in `self` and a value in `other`.
    pub(in crate::cel) fn plus(self, other: Self) -> Self {
        Self { min: self.min.saturating_add(other.min), max: self.max.saturating_add(other.max) }
    }

    /// The range of the products of a value in `self` and a value in `other`.
    pub(in crate::cel) fn times(self, other: Self) -> Self {
        Self { min: self.min.saturating_mul(other.min), max: self.max.saturating_mul(other.max) }
    }

    /// Multiplies `min` and `max` by `factor`, and rounds both up.
    pub(in crate::cel) fn scaled(self, factor: f64) -> Self {
        Self { min: scaled(self.min, factor), max: scaled(self.max, factor) }
    }

    /// The smallest range that contains `self` and `other`.
    pub(in crate::cel) fn union(self, other: Self) -> Self {
        Self { min: self.min.min(other.min), max: self.max.max(other.max) }
    }
}

/// `value` times `factor`, rounded up; saturates.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "costs are estimates in floating point, and the conversion saturates"
)]
pub(in crate::cel) fn scaled(value: u64, factor: f64) -> u64 {
    (value as f64 * factor).ceil() as u64
}
