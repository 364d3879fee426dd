//! Where one call is in the delays of a backoff.

use std::time::Duration;

use super::custom::{Maker, Walked};
use super::{Backoff, Growth, Jitter, SPREAD};
use crate::ns;

/// Where one call is in the delays of a [`Backoff`]: how many it has had, and the last one.
///
/// The caller keeps it for as long as it tries, and asks for one delay per extra attempt. It may
/// ask with another backoff each time, say a slower one when the upstream throttles: they share
/// the count and the delay before.
///
/// ```
/// use std::time::Duration;
/// use seawall_core::Backoff;
///
/// let backoff = Backoff::decorrelated(Duration::from_secs(1), Duration::from_secs(60))?;
/// let mut delays = backoff.start();
/// assert_eq!(delays.next(&backoff, 0.5), Some(Duration::from_millis(2_000)));
/// // From the base to three times the delay before.
/// assert_eq!(delays.next(&backoff, 0.5), Some(Duration::from_millis(3_500)));
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Default)]
pub struct Delays {
    given: u32,
    /// Nanoseconds; 0 before the first delay.
    before: u64,
    custom: Option<Box<Custom>>,
}

/// The iterator of one custom strategy, and those of others that were asked in the same walk.
struct Custom {
    maker: Maker,
    delays: Walked,
    others: Option<Box<Custom>>,
}

impl Backoff {
    /// The start of a walk through the delays of one call.
    pub const fn start(&self) -> Delays {
        Delays::new()
    }
}

impl Delays {
    pub(super) const fn new() -> Self {
        Self {
            given: 0,
            before: 0,
            custom: None,
        }
    }

    /// The next delay, for a draw `unit` from `[0, 1)`; `None` when a
    /// [custom](Backoff::custom) strategy has ended, and no further attempt is wanted. A draw
    /// outside of its range is taken as its nearer end.
    pub fn next(&mut self, backoff: &Backoff, unit: f64) -> Option<Duration> {
        Some(self.next_with_chance(backoff, unit)?.0)
    }

    /// The next delay as by [`next`](Self::next), and the part of it that is chance: what it is
    /// above the same delay for a draw of 0. Who must wait for another reason adds it to that.
    pub fn next_with_chance(
        &mut self,
        backoff: &Backoff,
        unit: f64,
    ) -> Option<(Duration, Duration)> {
        let ceiling = match &backoff.growth {
            Growth::Custom(maker) => self.custom(maker)?.min(backoff.cap),
            _ if backoff.jitter == Jitter::Decorrelated => self.spread(backoff),
            _ => backoff.ceiling(self.given),
        };
        let delay = backoff.draw(ceiling, unit);
        self.given = self.given.saturating_add(1);
        self.before = ns(delay);
        Some((delay, delay.saturating_sub(backoff.draw(ceiling, 0.0))))
    }

    /// Begins the walk again at its first delay: after a wait that the upstream has named, what
    /// was learned by waiting before says nothing any more.
    ///
    /// The delays of a [custom](Backoff::custom) strategy are the schedule of a call and go on
    /// where they are.
    pub const fn restart(&mut self) {
        self.given = 0;
        self.before = 0;
    }

    /// How many delays were given so far, or since the last [`restart`](Self::restart).
    pub const fn given(&self) -> u32 {
        self.given
    }

    /// Thrice the delay before, within base and cap.
    fn spread(&self, backoff: &Backoff) -> Duration {
        let before = Duration::from_nanos(self.before).max(backoff.base);
        before.saturating_mul(SPREAD as u32).min(backoff.cap)
    }

    fn custom(&mut self, maker: &Maker) -> Option<Duration> {
        let mut slot = &mut self.custom;
        while slot.as_ref().is_some_and(|custom| custom.maker != *maker) {
            slot = &mut slot.as_mut()?.others;
        }
        let custom = slot.get_or_insert_with(|| {
            Box::new(Custom {
                maker: maker.clone(),
                delays: maker.make(),
                others: None,
            })
        });
        custom.delays.next()
    }
}

crate::impl_debug!(Delays: |this|
    given = this.given,
    before = Duration::from_nanos(this.before),
);
