//! What is wrong with a response.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use seawall_core::{FailureKind, InstanceName, Outcome, Span};
use seawall_http::{TransportError, outcome_of};

use crate::error_class::ErrorClass;
use crate::error_table::ApiError;

pub(super) type BoxError = Box<dyn StdError + Send + Sync>;

/// What is wrong with a response of an AI API.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamErrorKind {
    /// The stream reports an error.
    Reported,
    /// There was no content in time.
    FirstContent,
    /// There was content, and then none for too long.
    BetweenContents,
    /// The response took too long in total.
    Total,
    /// The stream has ended without its final event.
    CutOff,
    /// The connection broke off.
    Disconnected,
    /// An event is no JSON.
    Malformed,
    /// An event is longer than it may be.
    EventTooLong,
    /// The response is longer than it may be.
    TooLong,
    /// There is nothing in a response that means success.
    Empty,
    /// A page of HTML, with a status of success.
    Html,
}

impl StreamErrorKind {
    /// The kind as a label value of metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::FirstContent => "first_content",
            Self::BetweenContents => "between_contents",
            Self::Total => "total",
            Self::CutOff => "cut_off",
            Self::Disconnected => "disconnected",
            Self::Malformed => "malformed",
            Self::EventTooLong => "event_too_long",
            Self::TooLong => "too_long",
            Self::Empty => "empty",
            Self::Html => "html",
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Reported => "the API has reported an error",
            Self::FirstContent => "there was no content in time",
            Self::BetweenContents => "there was no further content in time",
            Self::Total => "the response took too long",
            Self::CutOff => "the stream has ended too early",
            Self::Disconnected => "the connection broke off",
            Self::Malformed => "an event is no JSON",
            Self::EventTooLong => "an event is too long",
            Self::TooLong => "the response is too long",
            Self::Empty => "the response is empty",
            Self::Html => "the response is a page of HTML",
        }
    }

    /// The class of it, where nothing is reported.
    const fn class(self) -> ErrorClass {
        match self {
            Self::FirstContent
            | Self::BetweenContents
            | Self::Total
            | Self::CutOff
            | Self::Disconnected => ErrorClass::Network,
            _ => ErrorClass::Server,
        }
    }
}

/// How much of a response came before its error. A body passes all of that on before the error.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// In bytes.
    pub bytes: u64,
    /// In events that have content.
    pub contents: u64,
}

/// A response failed; from a [`StreamBody`](super::StreamBody), or from the call where nothing of it
/// was passed on.
///
/// Where a limit of time is over, its [`source`](StdError::source) is a
/// [`Rejection`](seawall_core::Rejection), so that `find_rejection` finds it; where the connection broke
/// off, it is the error of the client's body.
#[derive(Debug)]
pub struct StreamError {
    // Boxed: it is in the result of every frame.
    inner: Box<Inner>,
}

#[derive(Debug)]
struct Inner {
    kind: StreamErrorKind,
    name: InstanceName,
    api: Option<ApiError>,
    expected: &'static str,
    delivered: Delivered,
    limit: Option<Duration>,
    report: Option<String>,
    message: Option<String>,
    source: Option<BoxError>,
}

impl StreamError {
    pub(super) fn new(kind: StreamErrorKind, name: InstanceName) -> Self {
        let inner = Inner {
            kind,
            name,
            api: None,
            expected: "",
            delivered: Delivered::default(),
            limit: None,
            report: None,
            message: None,
            source: None,
        };
        Self {
            inner: Box::new(inner),
        }
    }

    pub(super) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.inner.source = Some(source.into());
        self
    }

    pub(super) fn with_delivered(mut self, delivered: Delivered, expected: &'static str) -> Self {
        self.inner.delivered = delivered;
        self.inner.expected = expected;
        self
    }

    pub(super) fn with_limit(mut self, limit: Option<Duration>) -> Self {
        self.inner.limit = limit;
        self
    }

    pub(super) fn with_report(
        mut self,
        api: ApiError,
        message: Option<String>,
        report: String,
    ) -> Self {
        self.inner.api = Some(api);
        self.inner.message = message;
        self.inner.report = Some(report);
        self
    }

    /// What is wrong.
    pub fn kind(&self) -> StreamErrorKind {
        self.inner.kind
    }

    /// The class of the error, which says whose fault it is and what may help.
    pub fn class(&self) -> ErrorClass {
        let api = self.inner.api;
        api.map_or_else(|| self.inner.kind.class(), |api| api.class)
    }

    /// What the API has reported, classified.
    pub fn api_error(&self) -> Option<ApiError> {
        self.inner.api
    }

    /// What the API has reported, as it came: the data of the event.
    pub fn report(&self) -> Option<&str> {
        self.inner.report.as_deref()
    }

    /// The limit of time that is over: of the setting that has the name of the [kind](Self::kind).
    pub fn limit(&self) -> Option<Duration> {
        self.inner.limit
    }

    /// The event for which the stream was read, in words; empty where it is not known to be one.
    pub fn expected(&self) -> &'static str {
        self.inner.expected
    }

    /// How much of the response came before.
    pub fn delivered(&self) -> Delivered {
        self.inner.delivered
    }

    /// The name of the layer.
    pub fn name(&self) -> InstanceName {
        self.inner.name
    }
}

impl TransportError for StreamError {
    fn outcome(&self) -> Outcome {
        let inner = &self.inner;
        match (inner.kind, &inner.api, &inner.source) {
            (_, Some(api), _) => api.outcome(),
            (
                StreamErrorKind::FirstContent
                | StreamErrorKind::BetweenContents
                | StreamErrorKind::Total,
                _,
                Some(source),
            ) => outcome_of(&**source),
            (StreamErrorKind::Html, ..) => Outcome::Failure(FailureKind::Server),
            _ => Outcome::Failure(FailureKind::Body),
        }
    }
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.inner;
        write!(f, "stream `{}`: {}", inner.name, inner.kind.text())?;
        if let Some(limit) = inner.limit {
            write!(f, " (`{}` is {})", inner.kind.as_str(), Span(limit))?;
        }
        if let Some(api) = inner.api {
            write!(f, ": {}", api.class)?;
        }
        if let Some(message) = &inner.message {
            write!(f, " ({message:?})")?;
        }
        if let Some(source) = &inner.source
            && inner.kind == StreamErrorKind::Disconnected
        {
            write!(f, " ({source})")?;
        }
        if inner.kind != StreamErrorKind::Reported && !inner.expected.is_empty() {
            write!(f, ", before {}", inner.expected)?;
        }
        let Delivered { bytes, contents } = inner.delivered;
        if bytes > 0 {
            write!(f, "; {bytes} bytes with {contents} contents came before")?;
        }
        Ok(())
    }
}

impl StdError for StreamError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let source = self.inner.source.as_deref();
        source.map(|source| source as &(dyn StdError + 'static))
    }
}

/// A call failed: in the client, or since its response is none.
// Exhaustive: it is the client's error or ours.
#[derive(Debug)]
pub enum CallError<E> {
    /// The client failed.
    Client(E),
    /// There was a response, and something is wrong with it; nothing of it was passed on.
    Stream(StreamError),
}

impl<E> CallError<E> {
    /// The error of the response, if it is one.
    pub const fn stream_error(&self) -> Option<&StreamError> {
        match self {
            Self::Stream(error) => Some(error),
            Self::Client(_) => None,
        }
    }
}

impl<E: TransportError> TransportError for CallError<E> {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Client(error) => error.outcome(),
            Self::Stream(error) => error.outcome(),
        }
    }
}

impl<E: fmt::Display> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(error) => error.fmt(f),
            Self::Stream(error) => error.fmt(f),
        }
    }
}

impl<E: StdError + 'static> StdError for CallError<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Client(error) => Some(error),
            Self::Stream(error) => Some(error),
        }
    }
}
