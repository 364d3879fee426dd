//! The time to the head of a response, of a call that is received by a stack.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::Response;
use seawall_core::{Rejection, deadline};
use tokio::time::{Instant, Sleep, sleep_until};

use super::BodyTimeoutLayer;
use super::body::{TimedBody, poll_timer};
use super::limit::BodyLimit;
use super::watch::Watch;

/// What the timer of a body begins with: when its call began, and its deadline.
pub(crate) struct HeadTimer {
    began: Option<Instant>,
    until: Option<Instant>,
    // Boxed, since few services limit the time to the first byte, and those respond slowly.
    timer: Option<Pin<Box<Sleep>>>,
}

impl BodyTimeoutLayer {
    /// The timer of a call that has this deadline. It begins with the first poll.
    #[inline]
    pub(crate) fn head_timer(&self, deadline: Option<Instant>) -> HeadTimer {
        let within = self.state.common().limits.within_deadline();
        HeadTimer {
            began: None,
            until: if within { deadline } else { None },
            timer: None,
        }
    }

    /// A call that departs, or whose response is not there.
    #[inline]
    pub(crate) fn begin_head(&self, timer: &mut HeadTimer) {
        let common = self.state.common();
        if timer.began.is_none() && common.limits.first_byte().is_some() {
            timer.began = Some(common.clock.instant_now());
        }
    }

    /// The response is not there: ready when it is too late for it.
    pub(crate) fn poll_head(&self, head: &mut HeadTimer, cx: &mut Context<'_>) -> Poll<Rejection> {
        let common = self.state.common();
        let Some((limit, began)) = common.limits.first_byte().zip(head.began) else {
            return Poll::Pending;
        };
        let timer = &mut head.timer;
        let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(deadline(began, limit))));
        poll_timer(timer.as_mut(), cx).map(|()| common.time_out(BodyLimit::Head))
    }

    /// The response is there: its body has to come in time. One that is complete has no limits.
    #[inline]
    pub(crate) fn time_body<B: http_body::Body>(
        &self,
        response: Response<B>,
        head: &HeadTimer,
    ) -> Response<TimedBody<B>> {
        response.map(|body| {
            if body.is_end_stream() {
                return TimedBody::unlimited(body);
            }
            let state = self.state.local();
            let common = state.common();
            let now = || common.clock.instant_now();
            let watch = Watch::new(&common.limits, head.began, head.until, now);
            TimedBody::new(body, watch, state)
        })
    }
}
