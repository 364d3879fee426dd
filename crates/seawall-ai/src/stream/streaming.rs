//! A stream that is read as it is passed on.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use tokio::time::Instant;

use super::config::StreamConfig;
use super::error::{BoxError, Delivered, StreamError, StreamErrorKind};
use super::gap::{Gap, TimeLimit};
use super::reader::{End, Fault, StreamReader};
use super::state::LocalState;
use super::timer::Timer;
use crate::error_table::{ApiError, ErrorText};

/// How much of what is no event is looked at for an error in JSON, and how much of its message an
/// error has.
const LONGEST_REPORT: usize = 64 * 1024;
const LONGEST_MESSAGE: usize = 300;

pub(super) struct Streaming<B> {
    /// `None` once it has ended or failed.
    inner: Option<B>,
    /// What was read and is not passed on yet.
    held: VecDeque<Bytes>,
    /// How many bytes were read.
    read: u64,
    /// What follows them.
    trailers: Option<HeaderMap>,
    failure: Option<StreamError>,
    reader: StreamReader,
    gap: Gap,
    timer: Timer,
    config: Arc<StreamConfig>,
    state: LocalState,
}

/// What the beginning of a stream is.
pub(super) enum Head {
    /// It is to be passed on.
    Begun,
    /// It failed before there was any content.
    Failed(StreamError),
}

impl<B> Streaming<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    pub(super) fn new(inner: B, gap: Gap, config: Arc<StreamConfig>, state: LocalState) -> Self {
        state.common().counters.streams.add();
        Self {
            inner: Some(inner),
            held: VecDeque::new(),
            read: 0,
            trailers: None,
            failure: None,
            reader: StreamReader::new(config.dialect(), config.max_event()),
            gap,
            timer: Timer::default(),
            config,
            state,
        }
    }

    /// Reads until there is content, or the stream is over, or no more of it may be held.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Head> {
        loop {
            if self.reader.contents() > 0 || self.reader.is_complete() {
                return Poll::Ready(Head::Begun);
            }
            if let Some(failure) = self.failure.take() {
                return Poll::Ready(Head::Failed(failure));
            }
            // Frames count as well: one of a byte takes more memory than that.
            let held = self.reader.events().max(self.held.len() as u64);
            let is_full =
                self.read > self.config.held_bytes() as u64 || held > self.config.held_events();
            if is_full {
                self.state.common().counters.released.add();
                return Poll::Ready(Head::Begun);
            }
            ready!(self.poll_read(cx));
        }
    }

    /// The next frame for the reader.
    pub(super) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StreamError>>> {
        loop {
            if let Some(data) = self.held.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            if let Some(failure) = self.failure.take() {
                return Poll::Ready(Some(Err(failure)));
            }
            if let Some(trailers) = self.trailers.take() {
                return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
            }
            if self.inner.is_none() {
                return Poll::Ready(None);
            }
            ready!(self.poll_read(cx));
        }
    }

    /// Whether everything was passed on.
    pub(super) fn is_over(&self) -> bool {
        self.inner.is_none()
            && self.held.is_empty()
            && self.failure.is_none()
            && self.trailers.is_none()
    }

    /// Reads one frame, or finds that there is none in time.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(inner) = &mut self.inner else {
            return Poll::Ready(());
        };
        let clock = self.state.common().clock;
        match Pin::new(&mut *inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let is_last = inner.is_end_stream();
                match frame.into_data() {
                    Ok(data) => self.accept(&data),
                    Err(frame) => self.trailers = frame.into_trailers().ok(),
                }
                let is_late = |gap: &Gap| gap.times_frames() && gap.is_over(clock.instant_now());
                if is_last && self.inner.is_some() {
                    self.ended();
                } else if self.inner.is_some() && is_late(&self.gap) {
                    self.time_out(TimeLimit::Total);
                }
            }
            Poll::Ready(None) => self.ended(),
            Poll::Ready(Some(Err(error))) if self.reader.is_complete() => {
                // All of it is there, whatever happens to the connection.
                drop(error);
                self.complete();
            }
            Poll::Ready(Some(Err(error))) => {
                let failure = self.fail(StreamErrorKind::Disconnected);
                self.failure = Some(failure.with_source(error));
            }
            Poll::Pending => {
                let due = self.gap.waits(|| clock.instant_now());
                let Some((at, limit)) = due else {
                    return Poll::Pending;
                };
                ready!(self.timer.poll(at, cx));
                self.time_out(limit);
            }
        }
        Poll::Ready(())
    }

    /// Reads a piece, and keeps what is good of it.
    fn accept(&mut self, data: &Bytes) {
        let left = self.config.max_bytes().saturating_sub(self.read);
        if data.len() as u64 > left {
            self.failure = Some(self.fail(StreamErrorKind::TooLong));
            return;
        }
        let (contents, end) = (self.reader.contents(), self.reader.end());
        let piece = self.reader.push(data);
        if piece.good > 0 {
            self.read += piece.good as u64;
            self.held.push_back(data.slice(..piece.good));
        }
        if self.reader.end() == End::Final && end != End::Final {
            self.gap.finish();
        } else if self.reader.contents() > contents {
            self.gap.content();
        } else if piece.has_progress {
            self.gap.step();
        }
        match piece.fault {
            None => {}
            Some(Fault::Malformed) => self.failure = Some(self.fail(StreamErrorKind::Malformed)),
            Some(Fault::EventTooLong) => {
                self.failure = Some(self.fail(StreamErrorKind::EventTooLong));
            }
            Some(Fault::Reported(report)) => self.reported(report),
        }
    }

    fn reported(&mut self, report: String) {
        let text = ErrorText::read(report.as_bytes());
        let api = self.config.errors().find(None, &HeaderMap::new(), &text);
        let message = text.message().map(excerpt);
        self.report(api, message, report);
    }

    fn report(&mut self, api: ApiError, message: Option<String>, report: String) {
        let failure = self.fail(StreamErrorKind::Reported);
        self.failure = Some(failure.with_report(api, message, report));
    }

    /// There is no more to read.
    fn ended(&mut self) {
        if self.reader.may_end() {
            self.complete();
        } else if self.reader.events() > 0 {
            self.failure = Some(self.fail(StreamErrorKind::CutOff));
        } else if let Some(report) = self.disguised() {
            self.reported(report);
        } else {
            self.failure = Some(self.fail(StreamErrorKind::Empty));
        }
    }

    /// An error in plain JSON, which some proxies send with the content type of the request.
    fn disguised(&self) -> Option<String> {
        if self.read > LONGEST_REPORT as u64 {
            return None;
        }
        let held: Vec<_> = self.held.iter().flatten().copied().collect();
        let value: serde_json::Value = serde_json::from_slice(&held).ok()?;
        value.get("error")?;
        String::from_utf8(held).ok()
    }

    fn time_out(&mut self, limit: TimeLimit) {
        if self.reader.is_complete() {
            // All of it is there: only the end of the connection is missing.
            return self.complete();
        }
        let kind = match limit {
            TimeLimit::FirstContent => StreamErrorKind::FirstContent,
            TimeLimit::BetweenContents => StreamErrorKind::BetweenContents,
            TimeLimit::Total => StreamErrorKind::Total,
        };
        self.failure = Some(self.fail(kind));
    }

    fn complete(&mut self) {
        self.inner = None;
        self.state.common().counters.completed.add();
    }

    /// Closes the connection, before the reader sees the error, and makes that.
    fn fail(&mut self, kind: StreamErrorKind) -> StreamError {
        self.inner = None;
        let delivered = Delivered {
            bytes: self.read,
            contents: self.reader.contents(),
        };
        let expected = self.reader.dialect().final_event();
        let limit = self.config.limit_of(kind);
        self.state.common().fail(kind, delivered, expected, limit)
    }
}

/// The beginning of a message.
fn excerpt(message: &str) -> String {
    message.chars().take(LONGEST_MESSAGE).collect()
}

/// When a wait of `limit` ends that has begun at `began`.
pub(super) fn end_of(
    began: Option<Instant>,
    limit: Option<std::time::Duration>,
) -> Option<Instant> {
    let (began, limit) = began.zip(limit)?;
    Some(seawall_core::deadline(began, limit))
}
