//! The classes of priority.

use seawall_core::Priority;

/// The classes of priority that a throttle counts separately, from the one that is rejected first
/// to the one that is rejected last.
///
/// A [`Priority`] belongs to the highest class whose lower bound it reaches:
///
/// ```
/// use seawall_core::Priority;
/// use seawall_throttle::PriorityClass;
///
/// assert_eq!(PriorityClass::of(Priority(63)), PriorityClass::Lowest);
/// assert_eq!(PriorityClass::of(Priority::LOW), PriorityClass::Low);
/// assert_eq!(PriorityClass::of(Priority::NORMAL), PriorityClass::Normal);
/// assert_eq!(PriorityClass::of(Priority(255)), PriorityClass::High);
/// ```
// Exhaustive: `Priority`'s constants divide its range into these; `ALL` has as many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum PriorityClass {
    /// Below [`Priority::LOW`].
    Lowest,
    /// From [`Priority::LOW`].
    Low,
    /// From [`Priority::NORMAL`].
    Normal,
    /// From [`Priority::HIGH`].
    High,
}

impl PriorityClass {
    /// Every class, from the lowest to the highest.
    pub const ALL: [Self; 4] = [Self::Lowest, Self::Low, Self::Normal, Self::High];

    /// The class of a priority.
    #[inline]
    pub const fn of(priority: Priority) -> Self {
        match priority {
            Priority(192..) => Self::High,
            Priority(128..) => Self::Normal,
            Priority(64..) => Self::Low,
            Priority(_) => Self::Lowest,
        }
    }

    /// The class as a label value of metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lowest => "lowest",
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }

    pub(crate) const fn steps_above_normal(self) -> i32 {
        self as i32 - Self::Normal as i32
    }
}
