//! Which entries to list.

use std::time::SystemTime;

use super::intent::Millis;
use super::{Entry, State};

/// The most entries that one page holds.
pub(super) const MAX_PAGE: usize = 10_000;
/// The most entries that are looked at for one page: a long journal does not hold up its writers.
pub(super) const MAX_SCAN: usize = 10_000;

/// Which entries to list: all, by default, in the order in which they were appended.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use seawall_orders::journal::{Filter, State};
///
/// let hour_ago = SystemTime::now() - Duration::from_secs(3600);
/// let rejected_lately = Filter::all().states([State::Rejected]).from(hour_ago);
/// let in_doubt = Filter::open();
/// # let _ = (rejected_lately, in_doubt);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    states: u8,
    from: Millis,
    until: Millis,
    pub(super) after: Option<u64>,
    pub(super) limit: usize,
}

/// Some entries, and where to go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// Those that were found, in the order in which they were appended.
    pub entries: Vec<Entry>,
    /// What to give to [`Filter::after`] for more; `None` at the end. A page may be short, even
    /// empty, and not the last one: one look at a long journal is bounded.
    pub next: Option<u64>,
}

impl Default for Filter {
    fn default() -> Self {
        Self::all()
    }
}

impl Filter {
    /// All entries.
    #[must_use]
    pub const fn all() -> Self {
        Self {
            states: u8::MAX,
            from: Millis(0),
            until: Millis(u64::MAX),
            after: None,
            limit: 1_000,
        }
    }

    /// The open ones, which no other entry makes slower to find.
    #[must_use]
    pub fn open() -> Self {
        Self::all().states(State::ALL.into_iter().filter(|state| state.is_open()))
    }

    /// Only entries in one of these states.
    #[must_use]
    pub fn states(mut self, states: impl IntoIterator<Item = State>) -> Self {
        self.states = states.into_iter().fold(0, |all, state| all | bit(state));
        self
    }

    /// Only entries whose intent is of this moment or later.
    #[must_use]
    pub fn from(mut self, from: SystemTime) -> Self {
        self.from = Millis::of(from);
        self
    }

    /// Only entries whose intent is of before this moment.
    #[must_use]
    pub fn until(mut self, until: SystemTime) -> Self {
        self.until = Millis::of(until);
        self
    }

    /// Only entries after the one of this number: [`Page::next`].
    #[must_use]
    pub fn after(mut self, seq: u64) -> Self {
        self.after = Some(seq);
        self
    }

    /// At most so many entries, from 1 to 10,000; 1,000 by default. What is outside counts as the
    /// nearest.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit.clamp(1, MAX_PAGE);
        self
    }

    /// Whether the filter lets the entry pass.
    #[must_use]
    pub fn matches(&self, entry: &Entry) -> bool {
        self.states & bit(entry.state()) != 0
            && (self.from..self.until).contains(&entry.intent.at)
            && self.after.is_none_or(|after| entry.seq > after)
    }

    /// Whether the index of open entries has all that match.
    pub(super) fn only_open(&self) -> bool {
        State::ALL
            .iter()
            .all(|state| state.is_open() || self.states & bit(*state) == 0)
    }

    /// The first number that may match.
    pub(super) fn start(&self) -> u64 {
        self.after.map_or(0, |after| after.saturating_add(1))
    }
}

impl Page {
    /// Takes entries in order until the page is full or enough were looked at.
    pub(super) fn collect<E>(
        filter: &Filter,
        entries: impl Iterator<Item = Result<Entry, E>>,
    ) -> Result<Self, E> {
        let mut page = Self::default();
        for (looked, entry) in entries.enumerate() {
            if page.entries.len() == filter.limit || looked == MAX_SCAN {
                return Ok(page);
            }
            let entry = entry?;
            page.next = Some(entry.seq);
            if filter.matches(&entry) {
                page.entries.push(entry);
            }
        }
        page.next = None;
        Ok(page)
    }
}

fn bit(state: State) -> u8 {
    1 << (state as u8)
}
