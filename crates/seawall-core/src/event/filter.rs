//! Which events somebody wants.

use super::event_type::{CALLS, CHANGES};
use super::{Event, EventType};
use crate::InstanceName;

/// Which events a subscription or a listener receives: by type, by pattern, by name of the
/// instance. What each of the three asks for must hold.
///
/// A filter is asked where an event is emitted, so others cost neither a place in a subscription nor
/// a wake-up. Where nobody asks for what happens to single calls, no call builds an event.
///
/// ```
/// use seawall_core::{EventFilter, EventType, Events};
///
/// let events = Events::default();
/// let mut openings = events.subscribe_to(
///     EventFilter::changes()
///         .types([EventType::Transition])
///         .patterns(["breaker"])
///         .names(["alpaca"]),
/// );
/// assert!(openings.try_next().is_none());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFilter {
    types: u32,
    patterns: Option<Vec<String>>,
    names: Option<Vec<InstanceName>>,
}

impl EventFilter {
    const fn of(types: u32) -> Self {
        Self {
            types,
            patterns: None,
            names: None,
        }
    }

    /// Everything.
    pub const fn all() -> Self {
        Self::of(CALLS | CHANGES)
    }

    /// Every [change](EventType::is_change): what is rare, and kept.
    pub const fn changes() -> Self {
        Self::of(CHANGES)
    }

    /// What happens to single calls: as often as calls are.
    pub const fn calls() -> Self {
        Self::of(CALLS)
    }

    /// Only these types, of those that it had; none when the list is empty.
    #[must_use]
    pub fn types(mut self, types: impl IntoIterator<Item = EventType>) -> Self {
        self.types &= types.into_iter().fold(0, |set, one| set | one.bit());
        self
    }

    /// Only instances of these patterns (`"breaker"`, `"ratelimit"`); none when the list is empty.
    #[must_use]
    pub fn patterns<P: Into<String>>(mut self, patterns: impl IntoIterator<Item = P>) -> Self {
        self.patterns = Some(patterns.into_iter().map(Into::into).collect());
        self
    }

    /// Only instances of these names; none when the list is empty. Of names that come from outside
    /// of the program, take those that are [known](InstanceName::known).
    #[must_use]
    pub fn names<N: Into<InstanceName>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.names = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Whether this event is wanted.
    pub fn matches(&self, event: &Event) -> bool {
        let patterns = self.patterns.as_ref();
        self.types & event.kind.event_type().bit() != 0
            && patterns.is_none_or(|these| these.iter().any(|one| one == event.pattern))
            && self
                .names
                .as_ref()
                .is_none_or(|these| these.contains(&event.name))
    }

    pub(super) const fn wanted(&self) -> u32 {
        self.types
    }
}

impl Default for EventFilter {
    /// Everything.
    fn default() -> Self {
        Self::all()
    }
}
