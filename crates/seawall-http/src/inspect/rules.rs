//! What the layer, its services and their futures know.

use http::HeaderMap;
use http::response::Parts;
use http_body::Body;

use super::content::is_event_stream;

#[derive(Clone, Copy, Debug)]
pub(super) struct Rules<I> {
    pub(super) inspector: I,
    pub(super) cap: usize,
    pub(super) wanted: fn(&HeaderMap) -> bool,
    /// What else is written into the head of a response whose body was read.
    pub(super) annotate: fn(&mut Parts, &[u8]),
}

impl<I> Rules<I> {
    /// Whether the body of this response has to be read.
    pub(super) fn reads<B: Body>(&self, head: &Parts, body: &B) -> bool {
        self.cap > 0
            && !body.is_end_stream()
            && body.size_hint().lower() <= self.cap as u64
            && !is_event_stream(&head.headers)
            && (self.wanted)(&head.headers)
    }
}
