//! The state of a circuit in one word, so that a call in the closed state loads just this.

/// What a circuit is doing.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Calls pass and are counted.
    Closed,
    /// Calls are refused until the open time is over.
    Open,
    /// A few calls pass as probes; their outcome decides.
    HalfOpen,
    /// Calls are refused until an operator says otherwise.
    ForcedOpen,
    /// Calls pass whatever they come to, until an operator says otherwise.
    ForcedClosed,
}

impl State {
    /// The state as a label value of metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::ForcedOpen => "forced_open",
            Self::ForcedClosed => "forced_closed",
        }
    }

    /// The value of the gauge `seawall_breaker_state`: 0 where calls pass, 1 half-open, 2 where
    /// they are refused.
    pub const fn gauge(self) -> u8 {
        match self {
            Self::Closed | Self::ForcedClosed => 0,
            Self::HalfOpen => 1,
            Self::Open | Self::ForcedOpen => 2,
        }
    }
}

/// A state and its generation, which every transition counts up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word(pub(crate) u64);

const KIND_BITS: u32 = 3;
const KIND_MASK: u64 = (1 << KIND_BITS) - 1;
/// The part of a generation that the stripe words carry.
const TAG_MASK: u64 = (1 << 24) - 1;

impl Word {
    pub(crate) const FIRST: Self = Self(0);

    pub(crate) const fn state(self) -> State {
        match self.0 & KIND_MASK {
            0 => State::Closed,
            1 => State::Open,
            2 => State::HalfOpen,
            3 => State::ForcedOpen,
            _ => State::ForcedClosed,
        }
    }

    /// Closed, or forced closed: both have their lower two bits clear.
    #[inline]
    pub(crate) const fn is_passing(self) -> bool {
        self.0 & 0b11 == 0
    }

    #[inline]
    pub(crate) const fn tag(self) -> u64 {
        (self.0 >> KIND_BITS) & TAG_MASK
    }

    /// The next generation, in the given state.
    pub(crate) const fn next(self, state: State) -> Self {
        let kind = match state {
            State::Closed => 0,
            State::Open => 1,
            State::HalfOpen => 2,
            State::ForcedOpen => 3,
            State::ForcedClosed => 4,
        };
        let generation = (self.0 >> KIND_BITS).wrapping_add(1);
        Self((generation << KIND_BITS) | kind)
    }
}

#[cfg(all(test, not(seawall_loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_state_survives_packing_and_only_two_of_them_pass() {
        let mut word = Word::FIRST;
        for state in [
            State::Closed,
            State::Open,
            State::HalfOpen,
            State::ForcedOpen,
            State::ForcedClosed,
        ] {
            let next = word.next(state);
            assert_eq!(next.state(), state);
            let passes = matches!(state, State::Closed | State::ForcedClosed);
            assert_eq!(next.is_passing(), passes);
            assert_eq!(next.tag(), word.tag() + 1);
            word = next;
        }
    }
}
