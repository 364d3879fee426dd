//! How long one instance has waited for readiness on behalf of its next call.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use seawall_core::deadline;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::limit::BYPASSED;
use crate::race::poll_timer;

#[derive(Debug, Default)]
pub(super) enum Wait {
    /// Readiness was not polled, or was there at once.
    #[default]
    None,
    /// The inner service was not ready when it was polled at `since`.
    Waiting {
        since: Instant,
        // Boxed, since a service must be movable, and reached only by calls that wait.
        timer: Pin<Box<Sleep>>,
    },
    /// The inner service became ready after this long.
    Waited(Duration),
    /// The time is used up: the next call is rejected.
    TimedOut,
}

impl Wait {
    /// ## Waiting => Waited
    ///
    /// The inner service is ready. What was waited is charged to the call; idling between here
    /// and the call is not, and neither is a wait that was given up.
    pub(super) fn ready(&mut self, timeout_ns: u64) {
        if let Self::Waiting { since, .. } = self {
            let waited = Instant::now().saturating_duration_since(*since);
            *self = if given_up(waited, timeout_ns) {
                Self::None
            } else {
                Self::Waited(waited)
            };
        }
    }

    /// ## (None | Waited) => Waiting => TimedOut
    ///
    /// The inner service is not ready. Returns `Ready` when the time is used up; on `Pending` the
    /// task is woken then.
    pub(super) fn pending(&mut self, timeout_ns: u64, cx: &mut Context<'_>) -> Poll<()> {
        if timeout_ns == BYPASSED {
            *self = Self::None;
            return Poll::Pending;
        }
        if let Self::Waiting { since, timer } = self {
            if poll_timer(timer.as_mut(), cx).is_pending() {
                return Poll::Pending;
            }
            let waited = Instant::now().saturating_duration_since(*since);
            if !given_up(waited, timeout_ns) {
                *self = Self::TimedOut;
                return Poll::Ready(());
            }
        }
        // Readiness that was lost again goes on being charged.
        let before = match *self {
            Self::Waited(waited) => waited,
            _ => Duration::ZERO,
        };
        let now = Instant::now();
        let left = Duration::from_nanos(timeout_ns).saturating_sub(before);
        let mut timer = Box::pin(sleep_until(deadline(now, left)));
        let polled = poll_timer(timer.as_mut(), cx);
        *self = if polled.is_ready() {
            Self::TimedOut
        } else {
            Self::Waiting {
                since: now.checked_sub(before).unwrap_or(now),
                timer,
            }
        };
        polled
    }
}

/// A task that waits is woken when the time is used up. When it has not polled for the same time
/// again, it was not waiting any more, and the next request pays nothing for the one that was
/// given up.
fn given_up(waited: Duration, timeout_ns: u64) -> bool {
    waited >= Duration::from_nanos(timeout_ns).saturating_mul(2)
}
