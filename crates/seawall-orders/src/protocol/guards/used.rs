//! How many orders have left.

use std::collections::VecDeque;
use std::time::Duration;

pub(super) const MINUTE: Duration = Duration::from_secs(60);

/// Orders that have left: those of the last minute, and those of the day.
#[derive(Clone, Debug, Default)]
pub(super) struct Used {
    /// In the order of time.
    minute: VecDeque<Duration>,
    pub(super) today: u32,
}

impl Used {
    fn forget(&mut self, now: Duration) {
        while let Some(first) = self.minute.front()
            && now.saturating_sub(*first) >= MINUTE
        {
            self.minute.pop_front();
        }
    }

    /// When the next order may leave, if not now.
    pub(super) fn wait(&mut self, now: Duration, cap: Option<u32>) -> Option<(u32, Duration)> {
        self.forget(now);
        let cap = cap?;
        // After a cap was lowered, more than one have to become older than a minute.
        let over = self.minute.len().checked_sub(cap as usize)?;
        let last = self.minute.get(over)?;
        Some((cap, (*last + MINUTE).saturating_sub(now)))
    }

    pub(super) fn spent(&self, cap: Option<u32>) -> Option<u32> {
        cap.filter(|cap| self.today >= *cap)
    }

    pub(super) fn count(&mut self, at: Duration, in_minute: bool, is_today: bool) {
        if is_today {
            self.today = self.today.saturating_add(1);
        }
        if in_minute {
            // Threads read the clock before they get here, so the order can be another one.
            let later = self.minute.iter().rev().take_while(|time| **time > at);
            self.minute.insert(self.minute.len() - later.count(), at);
        }
    }

    pub(super) fn give_back(&mut self, at: Duration, is_today: bool) {
        if is_today {
            self.today = self.today.saturating_sub(1);
        }
        if let Ok(place) = self.minute.binary_search(&at) {
            self.minute.remove(place);
        }
    }

    /// How many orders have left in the last minute.
    pub(super) fn in_minute(&self, now: Duration) -> usize {
        let old = |time: &Duration| now.saturating_sub(*time) >= MINUTE;
        self.minute.len() - self.minute.partition_point(old)
    }

    /// Whether nothing of it counts any more.
    pub(super) fn is_over(&mut self, now: Duration) -> bool {
        self.forget(now);
        self.today == 0 && self.minute.is_empty()
    }
}
