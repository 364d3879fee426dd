//! The extra attempts of a call, from the moment when there is one.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use seawall_core::{Outcome, Withdrawal};
use tokio::time::Instant;
use tower_service::Service;

/// An extra attempt. Boxed where it is under way, since few calls have one, and every future
/// would be as large.
pub(crate) enum ExtraAttempt<S, Req, F> {
    /// Its service is not ready yet.
    Readying {
        service: S,
        request: Option<Req>,
        payment: Option<Withdrawal>,
    },
    /// It was sent.
    Calling {
        attempt: Pin<Box<F>>,
        sent: SentAttempt,
    },
}

/// What is known of an extra attempt that was sent.
pub(crate) struct SentAttempt {
    pub(crate) started: Instant,
    /// What it cost; given back if it turns out that the attempt did not leave.
    pub(crate) payment: Option<Withdrawal>,
}

/// What came of polling an extra attempt.
pub(crate) enum ExtraPoll<T> {
    Pending,
    /// Its service failed before it was ready, or was ready too late.
    NotReady,
    Completed(T, SentAttempt),
}

impl<S, Req, F> ExtraAttempt<S, Req, F> {
    pub(crate) const fn new(service: S, request: Req, payment: Withdrawal) -> Self {
        Self::Readying {
            service,
            request: Some(request),
            payment: Some(payment),
        }
    }

    /// When it was sent, if it was.
    pub(crate) const fn started(&self) -> Option<Instant> {
        match self {
            Self::Readying { .. } => None,
            Self::Calling { sent, .. } => Some(sent.started),
        }
    }
}

impl<S, Req> ExtraAttempt<S, Req, S::Future>
where
    S: Service<Req>,
{
    /// Readies, sends before `end` and waits. To be dropped when it is not pending any more.
    pub(crate) fn poll(
        &mut self,
        end: Option<Instant>,
        cx: &mut Context<'_>,
    ) -> ExtraPoll<Result<S::Response, S::Error>> {
        loop {
            match self {
                // ## Readying => (Calling | end)
                Self::Readying {
                    service,
                    request,
                    payment,
                } => {
                    match service.poll_ready(cx) {
                        Poll::Pending => return ExtraPoll::Pending,
                        Poll::Ready(Err(_)) => return ExtraPoll::NotReady,
                        Poll::Ready(Ok(())) if is_over(end) => return ExtraPoll::NotReady,
                        Poll::Ready(Ok(())) => {}
                    }
                    let Some(request) = request.take() else {
                        // Only after a panic of the service's `call`.
                        return ExtraPoll::NotReady;
                    };
                    let attempt = Box::pin(service.call(request));
                    let mut payment = payment.take();
                    if let Some(payment) = &mut payment {
                        payment.set_spent(true);
                    }
                    let started = Instant::now();
                    let sent = SentAttempt { started, payment };
                    *self = Self::Calling { attempt, sent };
                }
                // ## Calling => end
                Self::Calling { attempt, sent } => {
                    let Poll::Ready(result) = attempt.as_mut().poll(cx) else {
                        return ExtraPoll::Pending;
                    };
                    let sent = SentAttempt {
                        started: sent.started,
                        payment: sent.payment.take(),
                    };
                    return ExtraPoll::Completed(result, sent);
                }
            }
        }
    }
}

/// Whether `end` has come; the clock is read where there is one.
pub(crate) fn is_over(end: Option<Instant>) -> bool {
    end.is_some_and(|end| end <= Instant::now())
}

/// The extra attempts, and the bad result of the first attempt once there is one.
pub(crate) struct Race<S, Req, F, T, E, K> {
    pub(crate) extras: Vec<ExtraAttempt<S, Req, F>>,
    pub(crate) first: Option<Result<T, E>>,
    /// The upstream's last result to an extra attempt, and what it meant: the result of the call
    /// if the first attempt turns out not to have been sent.
    pub(crate) answer: Option<(Outcome, Result<T, E>)>,
    /// Bad responses of extra attempts that are read, so that nothing below is held by them.
    pub(crate) keeping: Vec<(Outcome, Pin<Box<K>>)>,
    /// Whether an extra attempt that has ended may have reached the upstream.
    pub(crate) maybe_sent: bool,
}

impl<S, Req, F, T, E, K> Race<S, Req, F, T, E, K> {
    pub(crate) const fn new() -> Self {
        Self {
            extras: Vec::new(),
            first: None,
            answer: None,
            keeping: Vec::new(),
            maybe_sent: false,
        }
    }

    /// Reads further what is kept.
    pub(crate) fn poll_keeping(&mut self, cx: &mut Context<'_>)
    where
        K: Future<Output = Option<T>>,
    {
        let answer = &mut self.answer;
        self.keeping.retain_mut(|(outcome, keeping)| {
            let Poll::Ready(kept) = keeping.as_mut().poll(cx) else {
                return true;
            };
            if let Some(response) = kept {
                *answer = Some((*outcome, Ok(response)));
            }
            false
        });
    }

    /// Whether an extra attempt is under way.
    pub(crate) fn is_on(&self) -> bool {
        self.extras.iter().any(|extra| extra.started().is_some())
    }
}
