//! The state of a circuit in one word, so that a call in the closed state loads just this.

use crate::config::BreakerConfig;

seawall_core::state_words! {
    /// What a circuit is doing.
    // The kinds of a `StateWord` are their numbers, in this order.
    pub enum CircuitState {
        /// Calls pass and are counted.
        Closed = "closed",
        /// Calls are rejected until the open time is over.
        Open = "open",
        /// A few calls pass as probes, or a growing share of all; their outcome decides.
        HalfOpen = "half_open",
        /// Calls are rejected by the command of an operator.
        ForcedOpen = "forced_open",
        /// All calls pass by the command of an operator, whatever their outcome; they are counted.
        ForcedClosed = "forced_closed",
    }
}

impl CircuitState {
    /// The value of the gauge `seawall_breaker_state`: 0 where calls pass, 1 half-open, 2 where
    /// they are rejected.
    pub const fn gauge(self) -> u8 {
        match self {
            Self::Closed | Self::ForcedClosed => 0,
            Self::HalfOpen => 1,
            Self::Open | Self::ForcedOpen => 2,
        }
    }

    /// Whether every call passes.
    pub(crate) const fn is_passing(self) -> bool {
        self.gauge() == 0
    }

    /// Whether every call is rejected.
    pub(crate) const fn is_rejecting(self) -> bool {
        self.gauge() == 2
    }
}

/// A state, what every call must know of the settings, and a generation of 58 bits, which every
/// transition and every change of settings increments: at a billion of them a second it lasts nine
/// years.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StateWord(pub(crate) u64);

const KIND_MASK: u64 = 0b111;
const PASSING_MASK: u64 = 0b11;
const SHADOW: u64 = 1 << 3;
/// The duration of calls is measured.
const MEASURES: u64 = 1 << 4;
/// There is a time window.
const WINDOW: u64 = 1 << 5;
const SETTINGS: u64 = SHADOW | MEASURES | WINDOW;
const GENERATION_SHIFT: u32 = 6;
/// The kind of a call that passed although the circuit rejects.
const UNJUDGED: u64 = 0b111;

impl StateWord {
    pub(crate) const FIRST: Self = Self(0);

    pub(crate) const fn state(self) -> CircuitState {
        match self.0 & KIND_MASK {
            0 => CircuitState::Closed,
            1 => CircuitState::Open,
            2 => CircuitState::HalfOpen,
            3 => CircuitState::ForcedOpen,
            _ => CircuitState::ForcedClosed,
        }
    }

    /// Closed or forced closed: both have their lower two bits clear.
    #[inline]
    pub(crate) const fn is_passing(self) -> bool {
        self.0 & PASSING_MASK == 0
    }

    /// Passing, where a success is counted without a look at the clock.
    #[inline]
    pub(crate) const fn is_passing_untimed(self) -> bool {
        self.0 & (PASSING_MASK | MEASURES | WINDOW) == 0
    }

    /// Open or forced open: of these alone the first bit is set and the third is clear.
    #[inline]
    pub(crate) const fn is_rejecting(self) -> bool {
        self.0 & 0b101 == 0b001
    }

    /// Whether the circuit is in shadow mode.
    #[inline]
    pub(crate) const fn is_shadow(self) -> bool {
        self.0 & SHADOW != 0
    }

    /// Whether the duration of calls is measured.
    #[inline]
    pub(crate) const fn measures(self) -> bool {
        self.0 & MEASURES != 0
    }

    #[inline]
    pub(crate) const fn generation(self) -> u64 {
        self.0 >> GENERATION_SHIFT
    }

    /// The next generation, in the given state.
    pub(crate) const fn next(self, state: CircuitState) -> Self {
        let generation = self.generation().wrapping_add(1);
        Self((generation << GENERATION_SHIFT) | (self.0 & SETTINGS) | state as u64)
    }

    /// The next generation in the same state: its settings are new.
    pub(crate) const fn same_state(self) -> Self {
        self.next(self.state())
    }

    /// The same with these settings.
    pub(crate) fn with_settings(self, config: &BreakerConfig) -> Self {
        let bit = |bit: u64, on: bool| if on { bit } else { 0 };
        let settings = bit(SHADOW, config.is_shadow())
            | bit(MEASURES, config.measures())
            | bit(WINDOW, config.pace.reciprocal() != 0);
        Self((self.0 & !SETTINGS) | settings)
    }

    /// The word of a call that passes in shadow mode although the circuit rejects: it never votes,
    /// and equals no state word.
    pub(crate) const fn unjudged(self) -> Self {
        Self(self.0 | UNJUDGED)
    }

    #[inline]
    pub(crate) const fn is_unjudged(self) -> bool {
        self.0 & KIND_MASK == UNJUDGED
    }

    /// Whether a call of this word holds a probe slot, or is one of a ramp.
    #[inline]
    pub(crate) const fn is_probe(self) -> bool {
        !self.is_passing() && !self.is_unjudged()
    }
}

#[cfg(all(test, not(seawall_loom)))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::AbandonedPolicy;

    const STATES: [CircuitState; 5] = [
        CircuitState::Closed,
        CircuitState::Open,
        CircuitState::HalfOpen,
        CircuitState::ForcedOpen,
        CircuitState::ForcedClosed,
    ];

    fn config(shadow: bool, measures: bool, timed: bool) -> BreakerConfig {
        let hour = Duration::from_secs(3_600);
        let mut config = BreakerConfig::builder().shadow(shadow);
        config = match timed {
            true => config.failure_rate_over(0.5, hour),
            false => config.failure_rate(0.5, 10),
        };
        if measures {
            config = config.abandoned_policy(AbandonedPolicy::FailureAfter(hour));
        }
        config.build().expect("valid")
    }

    #[test]
    fn every_state_and_setting_survives_packing_and_only_two_states_pass() {
        for bits in 0..8 {
            let (shadow, measures, timed) = (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0);
            let config = config(shadow, measures, timed);
            let mut word = StateWord::FIRST.with_settings(&config);
            for state in STATES {
                let next = word.next(state);
                assert_eq!(next.state(), state);
                assert_eq!((next.is_shadow(), next.measures()), (shadow, measures));
                assert_eq!(next.is_passing(), state.is_passing());
                let untimed = state.is_passing() && !measures && !timed;
                assert_eq!(next.is_passing_untimed(), untimed);
                assert_eq!(next.is_rejecting(), state.is_rejecting());
                assert!(!next.unjudged().is_rejecting());
                assert_eq!(next.generation(), word.generation() + 1);
                assert!(!next.is_unjudged());
                let same = next.same_state();
                assert_eq!((same.state(), same.is_shadow()), (state, shadow));
                assert_eq!(same.generation(), next.generation() + 1);
                word = next;
            }
        }
    }

    #[test]
    fn the_word_of_an_unjudged_call_equals_no_state_word_and_does_not_pass() {
        for state in STATES {
            let word = StateWord::FIRST.next(state);
            let unjudged = word.unjudged();
            assert!(unjudged.is_unjudged() && !unjudged.is_passing());
            assert!(STATES.iter().all(|s| StateWord::FIRST.next(*s) != unjudged));
            assert_eq!(unjudged.generation(), word.generation());
        }
    }

    #[test]
    fn the_generation_is_wide_and_wraps_without_touching_the_state() {
        let last = StateWord(u64::MAX << GENERATION_SHIFT);
        assert_eq!(last.generation(), (1 << 58) - 1);
        assert_eq!(last.next(CircuitState::Open), StateWord(1));
        let config = config(true, true, true);
        let last = last.with_settings(&config);
        assert_eq!(last.same_state(), StateWord::FIRST.with_settings(&config));
    }
}
