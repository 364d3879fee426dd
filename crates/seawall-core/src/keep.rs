//! What is kept of the response of an attempt while another one is tried.

use std::future::{Future, Ready, ready};

use tokio::time::Instant;

use crate::Rejection;

/// Keeps the response of an attempt that is tried again, until it is known that the next attempt
/// leaves.
///
/// Another attempt may be rejected before it leaves: by a limit, by a circuit that this very
/// response has opened, by the deadline. The caller then gets the last response of the upstream,
/// with its status, its headers and its text, [marked](Self::mark) with the rejection, and not the
/// rejection alone.
///
/// What is kept must hold nothing of the layers below. A response whose body still holds a permit
/// of a bulkhead would make the next attempt wait for that permit, and so for itself, forever: a
/// keeper of such responses reads them to their end, or drops what holds the permit, before
/// [`keep`](Self::keep) is done. So the default, [`DropResponse`], keeps none; `seawall-http` has
/// `KeepBody`, which reads bodies within bounds of size and time and thereby leaves their
/// connections to be used again, and `seawall-grpc` has `KeepStatus`; [`KeepWhole`] keeps plain values as they are. Errors are always
/// kept, without any keeper.
///
/// Closures and `fn` pointers `Fn(&mut Res, Rejection)` are keepers that keep the whole response
/// and mark it:
///
/// ```
/// use seawall_core::{Policy, Rejection};
///
/// struct Reply { status: u16, rejected: Option<Rejection> }
///
/// fn mark(reply: &mut Reply, rejection: Rejection) {
///     reply.rejected = Some(rejection);
/// }
/// let policy = Policy::new().keep(mark as fn(&mut Reply, Rejection));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot keep responses of type `{Res}`",
    label = "not a keeper of this service's responses",
    note = "`DropResponse` and `KeepWhole` take every response; `KeepBody` of `seawall-http` takes `http::Response<B>` where `B: http_body::Body<Data = Bytes> + From<Bytes>`, `KeepStatus` of `seawall-grpc` where `B: Default`"
)]
pub trait KeepResponse<Res> {
    /// Ends with what is kept, and holds nothing of the layers below any more; `None` where
    /// nothing is kept.
    type Keeping: Future<Output = Option<Res>>;

    /// Takes over a response whose call is tried again.
    ///
    /// The wait before the next attempt begins at the same time, and the next attempt is not made
    /// before the future has ended: it must be bounded in time. It may be dropped at any time.
    fn keep(&self, response: Res) -> Self::Keeping;

    /// As [`keep`](Self::keep), for a call that ends at `deadline` if it has one: the future ends
    /// before, with what it has by then, since the caller would get the rejection alone
    /// otherwise. Timers fire on whole milliseconds, so leave one.
    ///
    /// Unless implemented the deadline is not looked at, which is right where keeping takes no
    /// time.
    fn keep_until(&self, response: Res, deadline: Option<Instant>) -> Self::Keeping {
        let _ = deadline;
        self.keep(response)
    }

    /// Marks a response which the caller gets although another attempt was wanted: `rejection` says
    /// why there was none. Does nothing unless implemented.
    fn mark(&self, response: &mut Res, rejection: Rejection) {
        let _ = (response, rejection);
    }
}

#[diagnostic::do_not_recommend]
impl<F, Res> KeepResponse<Res> for F
where
    F: Fn(&mut Res, Rejection),
{
    type Keeping = Ready<Option<Res>>;

    fn keep(&self, response: Res) -> Self::Keeping {
        ready(Some(response))
    }

    fn mark(&self, response: &mut Res, rejection: Rejection) {
        self(response, rejection);
    }
}

/// The default keeper: drops responses whose call is tried again, and with them whatever they hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DropResponse;

impl<Res> KeepResponse<Res> for DropResponse {
    type Keeping = Ready<Option<Res>>;

    fn keep(&self, _: Res) -> Self::Keeping {
        ready(None)
    }
}

/// Keeps responses as they are, without a mark: for plain values, which hold no permit and no
/// connection. See [`KeepResponse`] for what happens otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeepWhole;

impl<Res> KeepResponse<Res> for KeepWhole {
    type Keeping = Ready<Option<Res>>;

    fn keep(&self, response: Res) -> Self::Keeping {
        ready(Some(response))
    }
}
