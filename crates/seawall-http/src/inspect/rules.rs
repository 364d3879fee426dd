//! What the layer, its services and their futures know.

use http::HeaderMap;
use http::response::Parts;
use http_body::Body;

use super::content::{is_event_stream, is_plain_json, is_untyped};
use super::encoding::Encoding;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules<I> {
    pub(super) inspector: I,
    pub(super) cap: usize,
    pub(super) wanted: Wanted,
    /// What else is written into the head of a response whose body was read.
    pub(super) annotate: fn(&mut Parts, &[u8]),
}

/// Which bodies are read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted {
    /// JSON by its content type or, without one, by its first byte.
    Json,
    /// Those whose headers are chosen.
    By(fn(&HeaderMap) -> bool),
}

/// How far a body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Nothing of it.
    Nothing,
    /// To its end, if it begins with a JSON object.
    Object,
    /// To its end.
    Everything,
}

impl<I> Rules<I> {
    /// How far the body of this response has to be read.
    pub(crate) fn extent<B: Body>(&self, headers: &HeaderMap, body: &B) -> Extent {
        let readable = self.cap > 0
            && !body.is_end_stream()
            && body.size_hint().lower() <= self.cap as u64
            && !is_event_stream(headers);
        match self.wanted {
            _ if !readable => Extent::Nothing,
            Wanted::By(wanted) if wanted(headers) => Extent::Everything,
            Wanted::Json if is_plain_json(headers) => Extent::Everything,
            Wanted::Json if is_untyped(headers) => match Encoding::of(headers) {
                Encoding::Identity => Extent::Object,
                Encoding::Unknown => Extent::Nothing,
                // The first byte shows nothing before it is decompressed.
                #[cfg(feature = "gzip")]
                Encoding::Gzip | Encoding::Deflate => Extent::Everything,
            },
            _ => Extent::Nothing,
        }
    }
}
