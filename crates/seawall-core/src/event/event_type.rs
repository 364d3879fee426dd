//! What events are about.

crate::state_words! {
    /// What an event is about: an [`EventKind`](crate::EventKind) without its figures.
    pub enum EventType {
        /// [`EventKind::Rejected`](crate::EventKind::Rejected).
        Rejected = "rejected",
        /// [`EventKind::Shadowed`](crate::EventKind::Shadowed).
        Shadowed = "shadowed",
        /// [`EventKind::Retry`](crate::EventKind::Retry).
        Retry = "retry",
        /// [`EventKind::Hedged`](crate::EventKind::Hedged).
        Hedged = "hedged",
        /// [`EventKind::BudgetExhausted`](crate::EventKind::BudgetExhausted).
        BudgetExhausted = "budget_exhausted",
        /// [`EventKind::Abandoned`](crate::EventKind::Abandoned).
        Abandoned = "abandoned",
        /// [`EventKind::Bounded`](crate::EventKind::Bounded).
        Bounded = "bounded",
        /// [`EventKind::Throttled`](crate::EventKind::Throttled).
        Throttled = "throttled",
        /// [`EventKind::Degraded`](crate::EventKind::Degraded).
        Degraded = "degraded",
        /// [`EventKind::OrderSettled`](crate::EventKind::OrderSettled).
        OrderSettled = "order_settled",
        /// [`EventKind::Transition`](crate::EventKind::Transition).
        Transition = "transition",
        /// [`EventKind::Commanded`](crate::EventKind::Commanded).
        Commanded = "commanded",
        /// [`EventKind::Misconfigured`](crate::EventKind::Misconfigured).
        Misconfigured = "misconfigured",
        /// [`EventKind::ClockJumped`](crate::EventKind::ClockJumped).
        ClockJumped = "clock_jumped",
        /// [`EventKind::FileNotWritten`](crate::EventKind::FileNotWritten).
        FileNotWritten = "file_not_written",
        /// [`EventKind::JournalRecovered`](crate::EventKind::JournalRecovered).
        JournalRecovered = "journal_recovered",
        /// [`EventKind::Order`](crate::EventKind::Order).
        Order = "order",
        /// [`EventKind::OrdersDiffer`](crate::EventKind::OrdersDiffer).
        OrdersDiffer = "orders_differ",
        /// [`EventKind::Reloaded`](crate::EventKind::Reloaded).
        Reloaded = "reloaded",
        /// [`EventKind::ReloadRejected`](crate::EventKind::ReloadRejected).
        ReloadRejected = "reload_rejected",
        /// [`EventKind::CheckChanged`](crate::EventKind::CheckChanged).
        CheckChanged = "check_changed",
        /// [`EventKind::Recovery`](crate::EventKind::Recovery).
        Recovery = "recovery",
        /// [`EventKind::Alert`](crate::EventKind::Alert).
        Alert = "alert",
    }
}

impl EventType {
    /// Every type; first those of what happens to one call.
    pub const ALL: [Self; 23] = [
        Self::Rejected,
        Self::Shadowed,
        Self::Retry,
        Self::Hedged,
        Self::BudgetExhausted,
        Self::Abandoned,
        Self::Bounded,
        Self::Throttled,
        Self::Degraded,
        Self::OrderSettled,
        Self::Transition,
        Self::Commanded,
        Self::Misconfigured,
        Self::ClockJumped,
        Self::FileNotWritten,
        Self::JournalRecovered,
        Self::Order,
        Self::OrdersDiffer,
        Self::Reloaded,
        Self::ReloadRejected,
        Self::CheckChanged,
        Self::Recovery,
        Self::Alert,
    ];

    /// The type of that word, as [`as_str`](Self::as_str) writes it.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == word)
    }

    /// Whether this is a change, which is kept and numbered; otherwise it happens to one call, and
    /// is built only where somebody listens to such.
    pub const fn is_change(self) -> bool {
        self.bit() & CHANGES != 0
    }

    pub(super) const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// Those of what happens to a call.
pub(super) const CALLS: u32 = EventType::Transition.bit() - 1;
/// Those of changes.
pub(super) const CHANGES: u32 = (1 << EventType::ALL.len()) - 1 - CALLS;
