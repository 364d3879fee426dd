//! Reads a body that is there at once.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http_body::Body;

/// The most that is read of a request: 8 MiB. A longer body counts by its length.
const LONGEST: usize = 8 * 1024 * 1024;

/// What `body` has at once; `None` when it is not all there, or too long.
///
/// A body of one piece, as clients of JSON have, is not copied.
pub(crate) fn peek<B: Body<Data = Bytes> + Unpin>(mut body: B) -> Option<Bytes> {
    let mut cx = Context::from_waker(Waker::noop());
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    loop {
        match Pin::new(&mut body).poll_frame(&mut cx) {
            Poll::Pending | Poll::Ready(Some(Err(_))) => return None,
            Poll::Ready(None) => break,
            Poll::Ready(Some(Ok(frame))) => {
                let Ok(data) = frame.into_data() else {
                    continue;
                };
                if first.len() + all.len() + data.len() > LONGEST {
                    return None;
                }
                if first.is_empty() && all.is_empty() {
                    first = data;
                } else {
                    if all.is_empty() {
                        all.extend_from_slice(&std::mem::take(&mut first));
                    }
                    all.extend_from_slice(&data);
                }
            }
        }
    }
    Some(if all.is_empty() { first } else { all.freeze() })
}

/// How long a body is that could not be read, as far as it says so.
pub(crate) fn announced<B: Body>(body: &B) -> u64 {
    let hint = body.size_hint();
    hint.upper().unwrap_or_else(|| hint.lower())
}
