//! The limits by which a response can time out.

use seawall_core::Reason;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyLimit {
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
    /// The reason of the rejection.
    pub(super) const fn reason(self) -> Reason {
        match self {
            Self::Head => Reason::AttemptTimeout,
            Self::FirstByte | Self::Idle | Self::Total => Reason::BodyTimeout,
            Self::Deadline => Reason::DeadlineExceeded,
        }
    }
}
