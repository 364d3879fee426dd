//! Why a call had no further attempt.

/// Why there was no further attempt.
///
/// A label of metrics, what [`AnnotateGiveUp`](crate::AnnotateGiveUp) is told, and what
/// [`RetryHandle::ended`](crate::RetryHandle::ended) counts.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StopReason {
    /// Nothing to try again: a success, or an answer that says nothing of the upstream.
    Answered,
    /// Trying again cannot help: banned, or the quota is used up.
    Hopeless,
    /// A layer below rejected.
    Rejected,
    /// The request may have been executed and must not be executed twice.
    Unsafe,
    /// All attempts were made.
    Attempts,
    /// There is no copy of the request that can be sent.
    NoCopy,
    /// The upstream asks for a longer wait than is allowed.
    RetryAfter,
    /// The wait, or the attempt, could not end before the deadline.
    Deadline,
    /// The budget has no token.
    Budget,
    /// The spare service failed to become ready.
    NotReady,
    /// The predicate said no.
    Advised,
    /// The request could not be prepared for its attempt.
    NoPrepare,
    /// The adaptive sending rate has no place for the attempt in time.
    Paced,
}

impl StopReason {
    /// Every reason.
    pub const ALL: [Self; 13] = [
        Self::Answered,
        Self::Hopeless,
        Self::Rejected,
        Self::Unsafe,
        Self::Attempts,
        Self::NoCopy,
        Self::RetryAfter,
        Self::Deadline,
        Self::Budget,
        Self::NotReady,
        Self::Advised,
        Self::NoPrepare,
        Self::Paced,
    ];

    /// The reason as a label value of metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Hopeless => "hopeless",
            Self::Rejected => "rejected",
            Self::Unsafe => "unsafe",
            Self::Attempts => "attempts",
            Self::NoCopy => "no_copy",
            Self::RetryAfter => "retry_after",
            Self::Deadline => "deadline",
            Self::Budget => "budget",
            Self::NotReady => "not_ready",
            Self::Advised => "advised",
            Self::NoPrepare => "unprepared",
            Self::Paced => "paced",
        }
    }
}

/// How a call ended that had no success: what [`AnnotateGiveUp`](crate::AnnotateGiveUp) is told.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Why there was no further attempt.
    pub end: StopReason,
    /// How many attempts were made; zero when the first one never was.
    pub attempts: u32,
}
