//! What went wrong, and whether the request may have been sent.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use http::StatusCode;
use hyper_util::client::legacy::Error as LegacyError;
use seawall_core::{FailureKind, InvalidConfig, Outcome, Rejection, Sent, Span, find_rejection};
use seawall_http::TransportError;

use super::sending::{AuthError, SendError};

type BoxError = Box<dyn StdError + Send + Sync>;

/// Why a call of a [`Client`](super::Client) has no result.
///
/// Its text has everything: the layer that rejected with its figures, what the transport reports, and
/// whether the request may have been sent.
#[non_exhaustive]
#[derive(Debug)]
pub enum ClientError {
    /// The request could not be made: a path, a header or a body that is not accepted.
    Invalid(InvalidConfig),
    /// A layer of the stack rejected the call, or ended it.
    Rejected(Rejection),
    /// The [auth hook](super::ClientBuilder::auth) failed; the attempt was not sent, but one before it
    /// may have been.
    Auth(BoxError),
    /// The connection could not be made, or broke before there was a response.
    Transport(BoxError),
    /// The body broke off or came too late. The response had begun.
    Body(BoxError),
    /// The body is longer than [`max_body`](super::ClientBuilder::max_body) allows.
    TooLarge {
        /// How many bytes are allowed.
        limit: usize,
    },
    /// The body has not ended within the [`timeout`](super::RequestBuilder::timeout) of the request. The
    /// response had begun.
    TimedOut {
        /// The timeout.
        within: Duration,
    },
    /// The response has a status of 4xx or 5xx; from
    /// [`error_for_status`](super::Response::error_for_status).
    Status {
        /// The status.
        status: StatusCode,
        /// The beginning of its body, as text.
        body: String,
        /// How long the response asks to wait.
        retry_after: Option<Duration>,
    },
    /// The body is not the JSON that was expected.
    Json {
        /// The status of the response.
        status: StatusCode,
        /// The line of what is wrong, from 1 on.
        line: usize,
        /// The column, from 1 on, in bytes; 0 where a line ended too early.
        column: usize,
        /// What is wrong with it.
        error: BoxError,
        /// The text around that position.
        near: String,
    },
    /// The body is no UTF-8.
    NotUtf8(std::str::Utf8Error),
}

impl ClientError {
    pub(super) fn json(status: StatusCode, error: serde_json::Error, body: &[u8]) -> Self {
        let (line, column) = (error.line(), error.column());
        Self::Json {
            status,
            line,
            column,
            near: near(body, line, column),
            error: error.into(),
        }
    }

    /// Of an error of the stack: before there was a response.
    pub(super) fn of_call(error: BoxError) -> Self {
        if let Some(rejection) = find_rejection(&*error) {
            return Self::Rejected(*rejection);
        }
        if find::<AuthError>(&*error).is_some() {
            return Self::Auth(error);
        }
        Self::Transport(error)
    }

    /// Of an error of a body.
    pub(super) fn of_body(error: BoxError) -> Self {
        match find_rejection(&*error) {
            Some(rejection) => Self::Rejected(*rejection),
            None => Self::Body(error),
        }
    }

    /// What the layer that rejected says, if one did.
    pub const fn rejection(&self) -> Option<&Rejection> {
        match self {
            Self::Rejected(rejection) => Some(rejection),
            _ => None,
        }
    }

    /// Whether the request may have reached the upstream: an order that was certainly not sent may be
    /// sent again, any other may have been executed.
    pub fn sent(&self) -> Sent {
        match self {
            Self::Invalid(_) => Sent::No,
            Self::Auth(error) => match find(&**error) {
                Some(AuthError { is_first: true, .. }) => Sent::No,
                _ => Sent::Maybe,
            },
            Self::Rejected(rejection) => rejection.sent(),
            Self::Transport(error) => {
                match find::<SendError>(&**error).map(TransportError::outcome) {
                    Some(Outcome::Failure(FailureKind::NotSent)) => Sent::No,
                    _ => Sent::Maybe,
                }
            }
            _ => Sent::Maybe,
        }
    }

    /// How long to wait before a call can succeed, where that is known.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Rejected(rejection) => rejection.retry_after(),
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The status of the response, where there was one.
    pub const fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Status { status, .. } | Self::Json { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// An error that lies below the [`Error`](crate::Error) of the stack.
fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(failed) = error.downcast_ref() {
            return Some(failed);
        }
        next = error.source();
    }
    None
}

/// At most 60 bytes around a position that serde_json reports: line and column from 1 on, the
/// column in bytes.
fn near(body: &[u8], line: usize, column: usize) -> String {
    const AROUND: usize = 30;
    let mut start = 0;
    for _ in 1..line {
        let Some(end) = body[start..].iter().position(|byte| *byte == b'\n') else {
            break;
        };
        start += end + 1;
    }
    let at = start.saturating_add(column).min(body.len());
    let around = &body[at.saturating_sub(AROUND)..at.saturating_add(AROUND).min(body.len())];
    String::from_utf8_lossy(around).into_owned()
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(invalid) => write!(f, "{invalid}; nothing was sent"),
            // It says so itself.
            Self::Rejected(rejection) => rejection.fmt(f),
            Self::Auth(error) => {
                match find(&**error) {
                    Some(AuthError { error, .. }) => write!(f, "the auth hook failed: {error}"),
                    None => error.fmt(f),
                }?;
                f.write_str(match self.sent() {
                    Sent::No => "; nothing was sent",
                    Sent::Maybe => "; an attempt before it may have been sent",
                })
            }
            Self::Transport(error) => {
                let sent = self.sent();
                f.write_str(match sent {
                    Sent::No => "the request could not be sent",
                    Sent::Maybe => "no response",
                })?;
                write_chain(f, &**error)?;
                f.write_str(match sent {
                    Sent::No => "; nothing was sent",
                    Sent::Maybe => "; the request may have been sent",
                })
            }
            Self::Body(error) => {
                f.write_str("the body of the response broke off")?;
                write_chain(f, &**error)
            }
            Self::TooLarge { limit } => {
                write!(f, "the body of the response is longer than {limit} bytes")
            }
            Self::TimedOut { within } => write!(
                f,
                "the body of the response has not ended within the timeout of {}",
                Span(*within)
            ),
            Self::Status { status, body, .. } if body.is_empty() => {
                write!(f, "the response has the status {status}")
            }
            Self::Status { status, body, .. } => {
                write!(f, "the response has the status {status}: {}", OneLine(body))
            }
            // The error says line and column itself.
            Self::Json {
                status,
                error,
                near,
                ..
            } => write!(
                f,
                "the body of the response, of status {status}, is not the JSON that was expected: \
                 {error}, near `{}`",
                OneLine(near)
            ),
            Self::NotUtf8(error) => write!(f, "the body of the response is no UTF-8: {error}"),
        }
    }
}

/// A text of a server in a text of ours: without what would begin a line of a log, or colour one.
struct OneLine<'a>(&'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.chars() {
            match char.is_control() {
                true => write!(f, "{}", char.escape_default()),
                false => write!(f, "{char}"),
            }?;
        }
        Ok(())
    }
}

/// The texts of an error and of its sources, but for those that only repeat the one before.
fn write_chain(f: &mut fmt::Formatter<'_>, error: &(dyn StdError + 'static)) -> fmt::Result {
    let mut before = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        // That of hyper-util's client says the same as what is above it, in other words.
        if !error.is::<LegacyError>() && !before.contains(&text) {
            write!(f, ": {text}")?;
            before = text;
        }
        next = error.source();
    }
    Ok(())
}

impl StdError for ClientError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Invalid(error) => Some(error),
            Self::Rejected(error) => Some(error),
            Self::Auth(error)
            | Self::Transport(error)
            | Self::Body(error)
            | Self::Json { error, .. } => Some(&**error),
            Self::NotUtf8(error) => Some(error),
            Self::TooLarge { .. } | Self::TimedOut { .. } | Self::Status { .. } => None,
        }
    }
}

impl From<InvalidConfig> for ClientError {
    fn from(invalid: InvalidConfig) -> Self {
        Self::Invalid(invalid)
    }
}
