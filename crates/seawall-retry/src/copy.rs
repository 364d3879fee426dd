//! How a request is copied for another attempt.

/// Copies a request, so that it can be sent again.
///
/// Closures and `fn` pointers `Fn(&Req) -> Option<Req>` are copiers; a `fn` pointer keeps the type
/// of the stack nameable. It is a policy and not `Clone`, since many request types cannot be
/// cloned, or only while their body has not been read.
///
/// ```
/// use seawall_retry::CopyRequest;
///
/// enum Body { Bytes(&'static [u8]), Stream }
///
/// fn unless_streamed(body: &Body) -> Option<Body> {
///     match body {
///         Body::Bytes(bytes) => Some(Body::Bytes(bytes)),
///         Body::Stream => None,
///     }
/// }
/// assert!(unless_streamed.copy(&Body::Bytes(b"{}")).is_some());
/// assert!(unless_streamed.copy(&Body::Stream).is_none());
/// ```
pub trait CopyRequest<Req> {
    /// A copy of `request`, or `None` when there can be none; the request is then sent once.
    ///
    /// Called before an attempt that can be followed by another one, never before the last; and on
    /// that copy when another attempt is wanted, to see whether it can still be sent. A copy that
    /// cannot be sent any more (its stream is too long by now, or another one reads it) has none.
    fn copy(&self, request: &Req) -> Option<Req>;
}

impl<F, Req> CopyRequest<Req> for F
where
    F: Fn(&Req) -> Option<Req>,
{
    fn copy(&self, request: &Req) -> Option<Req> {
        self(request)
    }
}

/// The default copier: clones the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CloneRequest;

impl<Req: Clone> CopyRequest<Req> for CloneRequest {
    fn copy(&self, request: &Req) -> Option<Req> {
        Some(request.clone())
    }
}
