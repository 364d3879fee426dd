//! The limits by which a body can time out.

use seawall_core::Reason;

/// The limit at which a response timed out.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BodyLimit {
    /// There was no head within the time to the first byte.
    Head,
    /// There was a head, and no first byte in time.
    FirstByte,
    /// There was nothing to read for too long.
    Idle,
    /// The body took too long in total.
    Total,
    /// The deadline of the request passed.
    Deadline,
}

impl BodyLimit {
    /// Every limit.
    pub const ALL: [Self; 5] = [
        Self::Head,
        Self::FirstByte,
        Self::Idle,
        Self::Total,
        Self::Deadline,
    ];

    /// The limit as a label value of metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::FirstByte => "first_byte",
            Self::Idle => "idle",
            Self::Total => "total",
            Self::Deadline => "deadline",
        }
    }

    /// The reason of the rejection.
    pub const fn reason(self) -> Reason {
        match self {
            Self::Head => Reason::AttemptTimeout,
            Self::FirstByte | Self::Idle | Self::Total => Reason::BodyTimeout,
            Self::Deadline => Reason::DeadlineExceeded,
        }
    }
}
