//! Readiness of one instance of the gate or the breaker.

use std::task::{Context, Poll};

use seawall_core::{Reason, Rejection};
use tower_service::Service;

use crate::circuit::Asks;
use crate::parking::Parked;
use crate::shared::Anchored;
use crate::word::Word;

/// What the last `poll_ready` of this instance came to.
#[derive(Clone, Copy, Debug)]
enum Seen {
    /// Nothing yet, or `call` has used it up.
    Nothing,
    /// The inner service is ready.
    InnerReady,
    /// The circuit refuses; the inner service was not polled. The wait is in nanoseconds.
    Refuses { word: Word, wait: Option<u64> },
}

/// Readiness of one instance. A clone starts anew.
#[derive(Debug)]
pub(crate) struct Readiness {
    seen: Seen,
    parked: Parked,
}

impl Readiness {
    pub(crate) const fn new() -> Self {
        Self {
            seen: Seen::Nothing,
            parked: Parked::new(),
        }
    }

    /// Asks the circuit first: an open one answers without polling the inner service, which may
    /// be the thing that is stuck.
    #[inline]
    pub(crate) fn poll<S: Service<Req>, Req>(
        &mut self,
        anchor: &Anchored,
        asks: Asks,
        inner: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), S::Error>> {
        self.seen = Seen::Nothing;
        loop {
            let common = anchor.common();
            let word = common.word();
            if !word.is_passing()
                && let Some(wait) = common.would_refuse(word, asks)
            {
                self.parked.leave();
                self.seen = Seen::Refuses { word, wait };
                return Poll::Ready(Ok(()));
            }
            match inner.poll_ready(cx) {
                Poll::Ready(Ok(())) => {
                    self.parked.leave();
                    self.seen = Seen::InnerReady;
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Err(error)) => {
                    self.parked.leave();
                    return Poll::Ready(Err(error));
                }
                Poll::Pending => {
                    self.parked.park(&common.parking, cx.waker());
                    // A transition between the look at the state and the parking woke nobody.
                    if common.word() == word {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    /// Uses readiness up for one call, unless the circuit refused when it was asked for.
    #[inline]
    pub(crate) fn take_inner_ready(&mut self) -> bool {
        if matches!(self.seen, Seen::Refuses { .. }) {
            return false;
        }
        self.seen = Seen::Nothing;
        true
    }

    /// Uses readiness up for one call: the refusal, if that is what was seen.
    #[inline]
    pub(crate) fn take(&mut self, anchor: &Anchored, asks: Asks) -> Option<Rejection> {
        match std::mem::replace(&mut self.seen, Seen::Nothing) {
            Seen::Nothing | Seen::InnerReady => None,
            Seen::Refuses { word, wait } => {
                let common = anchor.common();
                let refused = common.refusal(asks, wait);
                if common.word() == word {
                    return Some(refused);
                }
                // The circuit has changed since. The inner service was not made ready, so the
                // call is refused all the same, but with another reason and without a wait.
                Some(Rejection::new(Reason::NotReady, refused.name()))
            }
        }
    }
}
