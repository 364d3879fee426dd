//! The pure core: which limit ends the wait for the next piece, and when.

use std::time::Duration;

use seawall_core::deadline;
use tokio::time::Instant;

use super::limit::BodyLimit;
use super::state::Limits;

/// An end, and the limit that it is the end of.
pub(super) type End = (Instant, BodyLimit);

#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    /// In nanoseconds, since few bodies have to wait for it; zero is no limit.
    idle: u64,
    /// When the first byte must be there; `None` when it is, and without that limit.
    first: Option<Instant>,
    /// When the body must be complete.
    until: Option<End>,
    /// When the wait that has begun ends.
    due: Option<End>,
}

impl Watch {
    /// No limits.
    pub(super) const NOTHING: Self = Self {
        idle: 0,
        first: None,
        until: None,
        due: None,
    };

    /// The limits of a body whose call began at `began` and whose request has the deadline
    /// `request`. The clock is read by `now` when it is needed.
    pub(super) fn new(
        limits: &Limits,
        began: Option<Instant>,
        request: Option<Instant>,
        now: impl FnOnce() -> Instant,
    ) -> Self {
        let first = limits.first_byte().zip(began);
        let total = limits.total().map(|total| deadline(now(), total));
        Self {
            idle: limits.idle(),
            first: first.map(|(limit, began)| deadline(began, limit)),
            until: earlier(
                total.map(|at| (at, BodyLimit::Total)),
                request.map(|at| (at, BodyLimit::Deadline)),
            ),
            due: None,
        }
    }

    /// Data or trailers came.
    pub(super) const fn progress(&mut self) {
        self.first = None;
        self.due = None;
    }

    /// Whether a frame may come too late, so that the clock has to be read.
    pub(super) const fn times_frames(&self) -> bool {
        self.until.is_some()
    }

    /// The limit that was over before `now`.
    pub(super) fn over(&self, now: Instant) -> Option<BodyLimit> {
        self.until
            .filter(|(at, _)| *at < now)
            .map(|(_, limit)| limit)
    }

    /// When the wait ends that has begun by `now`.
    pub(super) fn waits(&mut self, now: impl FnOnce() -> Instant) -> Option<End> {
        if self.due.is_none() {
            let next = match self.first {
                Some(at) => Some((at, BodyLimit::FirstByte)),
                None if self.idle > 0 => {
                    let idle = Duration::from_nanos(self.idle);
                    Some((deadline(now(), idle), BodyLimit::Idle))
                }
                None => None,
            };
            self.due = earlier(next, self.until);
        }
        self.due
    }
}

fn earlier(one: Option<End>, other: Option<End>) -> Option<End> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if other.0 < one.0 { other } else { one }),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::super::BodyTimeoutConfig;
    use super::*;
    use proptest::prelude::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    proptest! {
        /// Against the obvious model: the earliest of all limits that are set.
        #[test]
        fn a_wait_ends_at_the_earliest_limit_that_is_set(
            first in proptest::option::of(1_u64..100),
            idle in proptest::option::of(1_u64..100),
            total in proptest::option::of(1_u64..100),
            request in proptest::option::of(0_u64..100),
            within: bool,
            (head, pause) in (0_u64..50, 0_u64..100),
            begun: bool,
        ) {
            // A longer idle time is rejected.
            let idle = idle.map(|n| total.map_or(n, |total| n.min(total)));
            let start = Instant::now();
            let mut config = BodyTimeoutConfig::builder().without_idle().within_deadline(within);
            if let Some(n) = first { config = config.first_byte(ms(n)); }
            if let Some(n) = idle { config = config.idle(ms(n)); }
            if let Some(n) = total { config = config.total(ms(n)); }
            let head_at = start + ms(head);
            let now = head_at + ms(pause);
            let request = request.map(|n| start + ms(n));
            let config = config.build().unwrap();
            let request = request.filter(|_| config.within_deadline());
            let limits = Limits::default();
            limits.store(&config);
            let mut watch = Watch::new(&limits, Some(start), request, || head_at);
            if begun {
                watch.progress();
            }
            let first = first.filter(|_| !begun).map(|n| start + ms(n));
            let idle = idle.filter(|_| first.is_none()).map(|n| now + ms(n));
            let total = total.map(|n| head_at + ms(n));
            let expected = [first, idle, total, request].into_iter().flatten().min();
            let due = watch.waits(|| now);
            prop_assert_eq!(due.map(|(at, _)| at), expected);
            prop_assert_eq!(watch.waits(|| now + ms(1)), due, "one wait, one end");
            let over = watch.over(now).is_some();
            prop_assert_eq!(over, [total, request].into_iter().flatten().any(|at| at < now));
            prop_assert_eq!(watch.times_frames(), total.or(request).is_some());
        }
    }
}
