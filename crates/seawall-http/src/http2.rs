//! What HTTP/2 proves about a request that failed.

use std::error::Error as StdError;

/// Whether an error of an HTTP/2 call proves that its request was not processed: the server reset
/// the stream with `REFUSED_STREAM`, or sent a `GOAWAY` whose last stream is an earlier one.
///
/// By RFC 9113, section 8.7, such a request was closed "prior to any processing having occurred", so
/// that even an order may be sent again. Any other reset (`CANCEL`, `INTERNAL_ERROR`) proves nothing,
/// and neither does a connection that breaks.
///
/// It is read from the chain of sources, from an error of `hyper` on; the error of a body proves
/// nothing, since the server has responded by then.
///
/// ```
/// use seawall_http::was_not_processed;
///
/// let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
/// assert!(!was_not_processed(&reset));
/// ```
pub fn was_not_processed(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            return by_hyper(error);
        }
        next = error.source();
    }
    false
}

/// The text of `hyper` for an error of an HTTP/2 call. Of its other errors those of a body can have
/// the same source, and no method shows which one it is.
const OF_A_CALL: &str = "http2 error";

fn by_hyper(error: &hyper::Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref());
    source.is_some_and(is_disowned) && error.to_string() == OF_A_CALL
}

/// `h2` reports a received `GOAWAY` for the streams after the last one that it names, and for
/// requests that it did not begin because of it; the streams before end with their own result, or
/// with an I/O error.
fn is_disowned(error: &h2::Error) -> bool {
    let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
    error.is_remote() && (refused || error.is_go_away())
}
