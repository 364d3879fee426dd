//! The extra attempts of a call, from the moment when there is one.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use seawall_core::Budget;
use tokio::time::Instant;
use tower_service::Service;

use crate::observe::Fate;

/// A token that was taken for an extra attempt, if attempts are paid for; given back when the
/// attempt was not sent.
pub(crate) struct Paid {
    budget: Option<Budget>,
}

impl Paid {
    /// `None` when the budget has no token.
    pub(crate) fn withdraw(budget: Option<&Budget>) -> Option<Self> {
        match budget {
            Some(budget) if !budget.withdraw() => None,
            budget => Some(Self {
                budget: budget.cloned(),
            }),
        }
    }

    /// The attempt was sent: the token is spent.
    fn spend(&mut self) -> Option<Budget> {
        self.budget.take()
    }
}

impl Drop for Paid {
    fn drop(&mut self) {
        if let Some(budget) = &self.budget {
            budget.refund();
        }
    }
}

/// An extra attempt. Boxed where it is under way, since few calls have one, and every future
/// would be as large.
pub(crate) enum Extra<S, Req, F> {
    /// Its service is not ready yet.
    Readying {
        service: S,
        request: Option<Req>,
        paid: Paid,
    },
    /// It was sent.
    Calling { attempt: Pin<Box<F>>, sent: Sending },
}

/// What is known of an extra attempt that was sent.
pub(crate) struct Sending {
    pub(crate) started: Instant,
    /// What to give the token back to, if it turns out that the attempt did not leave.
    pub(crate) spent: Option<Budget>,
}

/// What came of an extra attempt.
pub(crate) enum Came<T> {
    Pending,
    /// Its service failed before it was ready, or was ready too late.
    NotReady,
    Answer(T, Sending),
}

impl<S, Req, F> Extra<S, Req, F> {
    pub(crate) const fn new(service: S, request: Req, paid: Paid) -> Self {
        Self::Readying {
            service,
            request: Some(request),
            paid,
        }
    }

    /// When it was sent, if it was.
    pub(crate) const fn started(&self) -> Option<Instant> {
        match self {
            Self::Readying { .. } => None,
            Self::Calling { sent, .. } => Some(sent.started),
        }
    }

    /// Its fate, when the call ends without it.
    pub(crate) const fn fate(&self, if_sent: Fate) -> Fate {
        match self {
            Self::Readying { .. } => Fate::Unsent,
            Self::Calling { .. } => if_sent,
        }
    }
}

impl<S, Req> Extra<S, Req, S::Future>
where
    S: Service<Req>,
{
    /// Readies, sends before `end` and waits. To be dropped when it has come to an end.
    pub(crate) fn poll(
        &mut self,
        end: Option<Instant>,
        cx: &mut Context<'_>,
    ) -> Came<Result<S::Response, S::Error>> {
        loop {
            match self {
                // ## Readying => (Calling | end)
                Self::Readying {
                    service,
                    request,
                    paid,
                } => {
                    match service.poll_ready(cx) {
                        Poll::Pending => return Came::Pending,
                        Poll::Ready(Err(_)) => return Came::NotReady,
                        Poll::Ready(Ok(())) if is_over(end) => return Came::NotReady,
                        Poll::Ready(Ok(())) => {}
                    }
                    let Some(request) = request.take() else {
                        // Only after a panic of the service's `call`.
                        return Came::NotReady;
                    };
                    let attempt = Box::pin(service.call(request));
                    let sent = Sending {
                        started: Instant::now(),
                        spent: paid.spend(),
                    };
                    *self = Self::Calling { attempt, sent };
                }
                // ## Calling => end
                Self::Calling { attempt, sent } => {
                    let Poll::Ready(result) = attempt.as_mut().poll(cx) else {
                        return Came::Pending;
                    };
                    let sent = Sending {
                        started: sent.started,
                        spent: sent.spent.take(),
                    };
                    return Came::Answer(result, sent);
                }
            }
        }
    }
}

/// Whether `end` is there; the clock is read where there is one.
pub(crate) fn is_over(end: Option<Instant>) -> bool {
    end.is_some_and(|end| end <= Instant::now())
}

/// The extra attempts, and the bad answer of the first attempt once there is one.
pub(crate) struct Race<S, Req, F, T> {
    pub(crate) extras: Vec<Extra<S, Req, F>>,
    pub(crate) first: Option<T>,
    /// Whether an extra attempt that has ended may have reached the upstream.
    pub(crate) maybe_sent: bool,
}

impl<S, Req, F, T> Race<S, Req, F, T> {
    pub(crate) const fn new() -> Self {
        Self {
            extras: Vec::new(),
            first: None,
            maybe_sent: false,
        }
    }

    /// Whether an extra attempt is under way.
    pub(crate) fn is_on(&self) -> bool {
        self.extras.iter().any(|extra| extra.started().is_some())
    }
}
