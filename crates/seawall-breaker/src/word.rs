//! The state of a circuit in one word, so that a call in the closed state loads just this.

/// What a circuit is doing.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Calls pass and are counted.
    Closed,
    /// Calls are rejected until the open time is over.
    Open,
    /// A few calls pass as probes, or a growing share of all; their outcome decides.
    HalfOpen,
    /// Calls are rejected because an operator said so.
    ForcedOpen,
    /// Calls pass whatever they come to, because an operator said so; they are still counted.
    Disabled,
}

impl State {
    /// The state as a label value of metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::ForcedOpen => "forced_open",
            Self::Disabled => "disabled",
        }
    }

    /// The value of the gauge `seawall_breaker_state`: 0 where calls pass, 1 half-open, 2 where
    /// they are rejected.
    pub const fn gauge(self) -> u8 {
        match self {
            Self::Closed | Self::Disabled => 0,
            Self::HalfOpen => 1,
            Self::Open | Self::ForcedOpen => 2,
        }
    }

    /// Whether calls pass without being asked for.
    pub(crate) const fn is_passing(self) -> bool {
        matches!(self, Self::Closed | Self::Disabled)
    }
}

/// A state, whether rejections are only told (shadow), and a generation of 60 bits, which every
/// transition and every change of settings counts up: at a billion of them a second it lasts 36
/// years.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word(pub(crate) u64);

const KIND_MASK: u64 = 0b111;
const SHADOW: u64 = 1 << 3;
const GENERATION_SHIFT: u32 = 4;
/// The kind of the ticket of a call that passed although the circuit rejected.
const OUTSIDE: u64 = 0b111;

impl Word {
    pub(crate) const FIRST: Self = Self(0);

    pub(crate) const fn state(self) -> State {
        match self.0 & KIND_MASK {
            0 => State::Closed,
            1 => State::Open,
            2 => State::HalfOpen,
            3 => State::ForcedOpen,
            _ => State::Disabled,
        }
    }

    /// Closed or disabled: both have their lower two bits clear.
    #[inline]
    pub(crate) const fn is_passing(self) -> bool {
        self.0 & 0b11 == 0
    }

    /// Whether rejections are told, and the calls let pass.
    #[inline]
    pub(crate) const fn is_shadow(self) -> bool {
        self.0 & SHADOW != 0
    }

    #[inline]
    pub(crate) const fn generation(self) -> u64 {
        self.0 >> GENERATION_SHIFT
    }

    /// The next generation, in the given state.
    pub(crate) const fn next(self, state: State) -> Self {
        let kind = match state {
            State::Closed => 0,
            State::Open => 1,
            State::HalfOpen => 2,
            State::ForcedOpen => 3,
            State::Disabled => 4,
        };
        let generation = self.generation().wrapping_add(1);
        Self((generation << GENERATION_SHIFT) | (self.0 & SHADOW) | kind)
    }

    /// The next generation in the same state: its settings are new.
    pub(crate) const fn again(self) -> Self {
        self.next(self.state())
    }

    pub(crate) const fn with_shadow(self, on: bool) -> Self {
        Self(if on {
            self.0 | SHADOW
        } else {
            self.0 & !SHADOW
        })
    }

    /// The word for the ticket of a call that passes although the circuit rejects: it never
    /// votes, and equals no state word.
    pub(crate) const fn outside(self) -> Self {
        Self(self.0 | OUTSIDE)
    }

    #[inline]
    pub(crate) const fn is_outside(self) -> bool {
        self.0 & KIND_MASK == OUTSIDE
    }
}

#[cfg(all(test, not(seawall_loom)))]
mod tests {
    use super::*;

    const STATES: [State; 5] = [
        State::Closed,
        State::Open,
        State::HalfOpen,
        State::ForcedOpen,
        State::Disabled,
    ];

    #[test]
    fn every_state_survives_packing_and_only_two_of_them_pass() {
        for shadow in [false, true] {
            let mut word = Word::FIRST.with_shadow(shadow);
            for state in STATES {
                let next = word.next(state);
                assert_eq!(next.state(), state);
                assert_eq!(next.is_shadow(), shadow);
                assert_eq!(next.is_passing(), state.is_passing());
                assert_eq!(next.generation(), word.generation() + 1);
                assert!(!next.is_outside());
                let again = next.again();
                assert_eq!((again.state(), again.is_shadow()), (state, shadow));
                assert_eq!(again.generation(), next.generation() + 1);
                word = next;
            }
        }
    }

    #[test]
    fn the_word_of_a_call_outside_equals_no_state_word_and_does_not_pass() {
        for state in STATES {
            let word = Word::FIRST.next(state);
            let outside = word.outside();
            assert!(outside.is_outside() && !outside.is_passing());
            assert!(STATES.iter().all(|s| Word::FIRST.next(*s) != outside));
            assert_eq!(outside.generation(), word.generation());
        }
    }

    #[test]
    fn the_generation_is_wide_and_wraps_without_touching_the_state() {
        let last = Word(u64::MAX << GENERATION_SHIFT);
        assert_eq!(last.generation(), (1 << 60) - 1);
        assert_eq!(last.next(State::Open), Word(1));
        assert_eq!(
            last.with_shadow(true).again(),
            Word::FIRST.with_shadow(true)
        );
    }
}
