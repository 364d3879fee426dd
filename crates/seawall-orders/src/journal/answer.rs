//! The future of a journal's answer.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::JournalError;

/// What the journal answers, as a future that borrows nothing.
///
/// The call that returned it has handed the operation over already. Dropping it, polled or not, loses
/// the answer and nothing else.
#[must_use = "the answer says whether it is written"]
pub struct Answer<T>(Inner<T>);

enum Inner<T> {
    Ready(Option<Result<T, JournalError>>),
    Pending(Pin<Box<dyn Future<Output = Result<T, JournalError>> + Send>>),
}

impl<T> Answer<T> {
    /// An answer that is there: allocates nothing.
    pub fn ready(result: Result<T, JournalError>) -> Self {
        Self(Inner::Ready(Some(result)))
    }

    /// An answer that comes. What `future` needs must be handed over already: it may be dropped
    /// without having been polled.
    pub fn pending(future: impl Future<Output = Result<T, JournalError>> + Send + 'static) -> Self {
        Self(Inner::Pending(Box::pin(future)))
    }
}

impl<T> Answer<T> {
    /// The answer, if it was there from the start.
    pub(crate) const fn take_ready(&mut self) -> Option<Result<T, JournalError>> {
        match &mut self.0 {
            Inner::Ready(result) => result.take(),
            Inner::Pending(_) => None,
        }
    }
}

// Nothing is pinned in place: the future is in its box.
impl<T> Unpin for Answer<T> {}

impl<T> Future for Answer<T> {
    type Output = Result<T, JournalError>;

    /// Polled again after it was ready, it answers [`JournalError::Closed`].
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = match &mut self.0 {
            Inner::Ready(result) => result.take().unwrap_or(Err(JournalError::Closed)),
            Inner::Pending(future) => std::task::ready!(future.as_mut().poll(cx)),
        };
        self.0 = Inner::Ready(None);
        Poll::Ready(result)
    }
}

impl<T> fmt::Debug for Answer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Inner::Ready(_) => "Answer(ready)",
            Inner::Pending(_) => "Answer(pending)",
        })
    }
}
