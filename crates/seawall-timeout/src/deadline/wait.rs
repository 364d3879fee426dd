//! How long one instance has waited for readiness on behalf of its next call.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use seawall_core::deadline;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::race::poll_timer;

#[derive(Debug, Default)]
pub(crate) enum Wait {
    /// Readiness was not asked for, or was had at once.
    #[default]
    None,
    /// The inner service was not ready when it was asked at `since`.
    Waiting {
        since: Instant,
        // Boxed, since a service must be movable, and reached only by calls that wait.
        timer: Pin<Box<Sleep>>,
    },
    /// The inner service became ready after this long.
    Waited(Duration),
    /// The time is used up: the next call is rejected.
    Spent,
}

impl Wait {
    /// ## Waiting => Waited
    ///
    /// The inner service is ready. What was waited is charged to the call; idling between here
    /// and the call is not, and neither is a wait that was given up.
    pub(crate) fn ready(&mut self, timeout: Duration) {
        if let Self::Waiting { since, .. } = self {
            let waited = Instant::now().saturating_duration_since(*since);
            *self = if given_up(waited, timeout) {
                Self::None
            } else {
                Self::Waited(waited)
            };
        }
    }

    /// ## (None | Waited) => Waiting => Spent
    ///
    /// The inner service is not ready. Answers `Ready` when the time is used up; on `Pending` the
    /// task is woken then.
    pub(crate) fn pending(&mut self, timeout: Duration, cx: &mut Context<'_>) -> Poll<()> {
        if let Self::Waiting { since, timer } = self {
            if poll_timer(timer.as_mut(), cx).is_pending() {
                return Poll::Pending;
            }
            let waited = Instant::now().saturating_duration_since(*since);
            if !given_up(waited, timeout) {
                *self = Self::Spent;
                return Poll::Ready(());
            }
        }
        // Readiness that was had and lost again goes on being charged.
        let before = match *self {
            Self::Waited(waited) => waited,
            _ => Duration::ZERO,
        };
        let now = Instant::now();
        let mut timer = Box::pin(sleep_until(deadline(now, timeout.saturating_sub(before))));
        let polled = poll_timer(timer.as_mut(), cx);
        *self = if polled.is_ready() {
            Self::Spent
        } else {
            Self::Waiting {
                since: now.checked_sub(before).unwrap_or(now),
                timer,
            }
        };
        polled
    }
}

/// A task that waits is woken when the time is used up. When nobody has looked for as long again,
/// nobody was waiting any more, and the next request pays nothing for the one that was given up.
fn given_up(waited: Duration, timeout: Duration) -> bool {
    waited >= timeout.saturating_mul(2)
}
