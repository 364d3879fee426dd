//! Why a body could not be sent again.

use std::fmt;

/// Why a [`ReplayBody`](crate::ReplayBody) could not be read.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayError<E> {
    /// The stream failed.
    Body(E),
    /// The stream was longer than the cap, so what was sent is not kept any more.
    TooLong,
    /// The stream failed while another copy read it.
    Broken,
    /// Another copy is in the middle of the stream.
    InUse,
}

impl<E> fmt::Display for ReplayError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Body(_) => "the stream of the request body failed",
            Self::TooLong => "the request body is too long to be sent again",
            Self::Broken => "the stream of the request body failed in another attempt",
            Self::InUse => "the request body is still being sent by another attempt",
        })
    }
}

impl<E: std::error::Error + 'static> std::error::Error for ReplayError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Body(error) => Some(error),
            Self::TooLong | Self::Broken | Self::InUse => None,
        }
    }
}

/// Why the beginning of a stream is not kept any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    TooLong,
    Broken,
}

impl<E> From<Lost> for ReplayError<E> {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::TooLong => Self::TooLong,
            Lost::Broken => Self::Broken,
        }
    }
}
