//! What is known of an intent, and which mark may follow which: the one table.

use std::fmt;

/// What the journal knows of an intent.
///
/// Open are those whose fate is not settled: [`Intent`](Self::Intent), [`Sent`](Self::Sent) and
/// [`Exhausted`](Self::Exhausted). The others are ended: retention may remove them.
///
/// ```
/// use seawall_orders::journal::State;
///
/// assert!(State::Sent.is_open());
/// assert!(State::Intent.allows(State::Sent));
/// assert!(!State::Intent.allows(State::Confirmed), "nothing has left");
/// assert!(State::Absent.allows(State::Sent), "a re-send");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum State {
    /// Written, and nothing has left.
    Intent,
    /// May have left: the request was about to be sent.
    Sent,
    /// The broker knows the order.
    Confirmed,
    /// The broker does not know the order, and the time after which it would be seen is over.
    Absent,
    /// The broker rejected the order.
    Rejected,
    /// Given up: before it left, or by a person that settled it by hand.
    Abandoned,
    /// May have left, and all attempts to find out are used up: a person has to look.
    Exhausted,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Intent,
        Self::Sent,
        Self::Confirmed,
        Self::Absent,
        Self::Rejected,
        Self::Abandoned,
        Self::Exhausted,
    ];

    /// Whether a mark of state `to` may follow.
    ///
    /// An order that the broker has is a fact, so that `Confirmed` follows whatever may have left,
    /// even what was thought to be absent, rejected or abandoned; a second one brings newer figures.
    /// It does not follow `Intent`: what is only written cannot be at the broker, and a caller that
    /// says so has sent before it wrote.
    #[must_use]
    pub const fn allows(self, to: Self) -> bool {
        use State::{Abandoned, Absent, Confirmed, Exhausted, Intent, Rejected, Sent};
        match self {
            Intent => matches!(to, Sent | Abandoned),
            Sent => !matches!(to, Intent),
            Exhausted => matches!(to, Confirmed | Absent | Rejected | Abandoned),
            Absent => matches!(to, Sent | Confirmed | Abandoned),
            Confirmed | Rejected | Abandoned => matches!(to, Confirmed),
        }
    }

    /// Whether the fate of the order is not settled.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Intent | Self::Sent | Self::Exhausted)
    }

    /// The state as a word of a label or a table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Sent => "sent",
            Self::Confirmed => "confirmed",
            Self::Absent => "absent",
            Self::Rejected => "rejected",
            Self::Abandoned => "abandoned",
            Self::Exhausted => "exhausted",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::State;

    /// The table, written out once more by hand.
    #[test]
    fn transitions() {
        let rows = [
            (State::Intent, "sent abandoned"),
            (
                State::Sent,
                "sent confirmed absent rejected abandoned exhausted",
            ),
            (State::Confirmed, "confirmed"),
            (State::Absent, "sent confirmed abandoned"),
            (State::Rejected, "confirmed"),
            (State::Abandoned, "confirmed"),
            (State::Exhausted, "confirmed absent rejected abandoned"),
        ];
        for (from, allowed) in rows {
            for to in State::ALL {
                let expected = allowed.split(' ').any(|word| word == to.as_str());
                assert_eq!(from.allows(to), expected, "{from} to {to}");
            }
        }
    }

    #[test]
    fn what_may_be_at_the_broker_can_be_confirmed() {
        for state in State::ALL {
            assert_eq!(state.allows(State::Confirmed), state != State::Intent);
            assert!(!state.allows(State::Intent));
        }
    }
}
