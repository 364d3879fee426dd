//! Reads bodies.

use std::future::poll_fn;
use std::pin::pin;

use bytes::{Bytes, BytesMut};
use http_body::Body;

/// Why a body was not read.
pub(crate) enum Unread<E> {
    /// It is longer than may be read.
    TooLong,
    /// It broke off.
    Broken(E),
}

/// Reads a body to its end, at most `most` bytes.
pub(crate) async fn read<B>(body: B, most: u32) -> Result<Bytes, Unread<B::Error>>
where
    B: Body<Data = Bytes>,
{
    let most = most as usize;
    let mut body = pin!(body);
    let (mut first, mut rest) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let Ok(data) = frame.map_err(Unread::Broken)?.into_data() else {
            continue;
        };
        if first.len() + rest.len() + data.len() > most {
            return Err(Unread::TooLong);
        }
        // Most come in one piece, which is not copied.
        if first.is_empty() && rest.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&std::mem::take(&mut first));
            }
            rest.extend_from_slice(&data);
        }
    }
    Ok(if rest.is_empty() {
        first
    } else {
        rest.freeze()
    })
}
