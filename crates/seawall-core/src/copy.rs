//! How a request is copied for another attempt.

/// Copies a request, so that it can be sent again.
///
/// Closures and `fn` pointers `Fn(&Req) -> Option<Req>` are copiers; a `fn` pointer keeps the type
/// of the stack nameable. It is a policy and not `Clone`, since many request types cannot be
/// cloned, or only while their body has not been read.
///
/// ```
/// use seawall_core::CopyRequest;
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
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot copy requests of type `{Req}`",
    label = "not a copier of this service's requests",
    note = "the default copier needs `{Req}: Clone`; for other requests set one with `.copy(..)`: a `fn(&Request) -> Option<Request>` or a type that implements `CopyRequest`"
)]
pub trait CopyRequest<Req> {
    /// A copy of `request`, or `None` when there can be none; the request is then sent once.
    ///
    /// Asked when a request is sent that may have to be sent again, and of that copy when another
    /// attempt is wanted, to see whether it can still be sent. A copy that cannot be sent any more
    /// (its stream is too long by now, or another one reads it) has none.
    fn copy(&self, request: &Req) -> Option<Req>;

    /// Whether a copy could be had now. Makes one and drops it, unless implemented; to be
    /// implemented where it is known without.
    fn can_copy(&self, request: &Req) -> bool {
        self.copy(request).is_some()
    }
}

#[diagnostic::do_not_recommend]
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

    fn can_copy(&self, _: &Req) -> bool {
        true
    }
}
