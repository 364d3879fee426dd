//! Responses, and the many ways in which a body can go wrong.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body::Frame;
use serde_json::Value;
use tokio::time::Sleep;

use super::control::{ConnectionControl, Disconnect};
use crate::incident::Fault;

/// A response before any fault has touched it.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(&'static str, String)>,
    content_type: &'static str,
    pieces: Vec<Bytes>,
    pace: Duration,
    streamed: bool,
}

impl Reply {
    pub(crate) fn json(status: u16, value: &Value) -> Self {
        Self::whole(status, "application/json", value.to_string())
    }

    pub(crate) fn whole(status: u16, content_type: &'static str, body: String) -> Self {
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            headers: Vec::new(),
            content_type,
            pieces: if body.is_empty() {
                Vec::new()
            } else {
                vec![body.into()]
            },
            pace: Duration::ZERO,
            streamed: false,
        }
    }

    /// Server-sent events, one piece each, with a pause before each.
    pub(crate) fn events(events: Vec<String>, pace: Duration) -> Self {
        Self {
            pieces: events.into_iter().map(Bytes::from).collect(),
            pace,
            streamed: true,
            ..Self::whole(200, "text/event-stream", String::new())
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn into_response(
        self,
        fault: Option<Fault>,
        control: &Arc<ConnectionControl>,
    ) -> Response<SimBody> {
        let length: usize = self.pieces.iter().map(Bytes::len).sum();
        let mut body = SimBody {
            pieces: self.pieces.into(),
            pause: self.pace,
            sleep: None,
            disconnect: None,
            control: Arc::clone(control),
        };
        match fault {
            Some(Fault::ResetDuringBody { share }) => {
                body.end_early(length, share, Disconnect::Reset);
            }
            Some(Fault::TruncateBody { share }) => body.end_early(length, share, Disconnect::Close),
            Some(Fault::SlowBody { pause, pieces }) => body.slow_down(pause, pieces as usize),
            _ => {}
        }
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if self.status != StatusCode::NO_CONTENT {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
            // Announced in full also when the end will be missing: that is what truncated means.
            if !self.streamed {
                headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
            }
        }
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.append(HeaderName::from_static(name), value);
            }
        }
        response
    }
}

/// A body that is sent in pieces and may not reach its end.
#[derive(Debug)]
pub(crate) struct SimBody {
    pieces: VecDeque<Bytes>,
    pause: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
    disconnect: Option<Disconnect>,
    control: Arc<ConnectionControl>,
}

impl SimBody {
    fn end_early(&mut self, length: usize, share: f64, disconnect: Disconnect) {
        // At least one byte is missing, else nothing would be wrong.
        let mut left = ((length as f64 * share) as usize).min(length.saturating_sub(1));
        self.pieces.retain_mut(|piece| {
            piece.truncate(left);
            left -= piece.len();
            !piece.is_empty()
        });
        self.disconnect = Some(disconnect);
    }

    fn slow_down(&mut self, pause: Duration, pieces: usize) {
        let all: Bytes = self
            .pieces
            .iter()
            .flatten()
            .copied()
            .collect::<Vec<u8>>()
            .into();
        let size = all.len().div_ceil(pieces.max(1)).max(1);
        self.pieces = (0..all.len())
            .step_by(size)
            .map(|start| all.slice(start..(start + size).min(all.len())))
            .collect();
        self.pause = pause;
    }
}

impl http_body::Body for SimBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.pieces.is_empty() {
            return match self.disconnect {
                None => Poll::Ready(None),
                Some(cut) => {
                    // Pending makes hyper flush what is buffered in this same poll of the
                    // connection; its task looks at the request for a cut only afterwards.
                    self.control.request(cut);
                    Poll::Pending
                }
            };
        }
        if !self.pause.is_zero() {
            let pause = self.pause;
            let sleep = self
                .sleep
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
            ready!(sleep.as_mut().poll(cx));
            self.sleep = None;
        }
        Poll::Ready(self.pieces.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty() && self.disconnect.is_none()
    }
}
