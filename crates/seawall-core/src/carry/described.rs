//! A request with what it is.

use crate::RequestMeta;

/// A request with what its describer says of it.
// Exhaustive: it is this pair; layers take it apart and make it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Described<R> {
    /// The request.
    pub request: R,
    /// What it is. A layer may change it: the deadline of a call is written here.
    pub meta: RequestMeta,
}
