//! Whether a timeout is fixed or learned, and so whether calls are measured.
#![allow(
    private_interfaces,
    unnameable_types,
    reason = "what is sealed cannot be called or implemented outside"
)]

use seawall_core::striped::Anchor;
use seawall_core::{Classify, Rejectable};

use super::config::{Fixed, Learned};
use super::measurement::{Measure, Measurement, NotMeasured};
use super::state::State;

/// How the attempts of a service with a classifier `C` and results of `T` and `E` are measured.
/// Sealed.
pub trait Mode<C, T, E> {
    type Measurement: Measure<T, E>;

    /// The measurement of a call.
    fn measure(state: &Anchor<State, ()>, classifier: &C) -> Self::Measurement;

    /// The measurement of a call that is not made or not measured.
    fn not_measured(classifier: &C) -> Self::Measurement;
}

impl<C, T, E> Mode<C, T, E> for Fixed {
    type Measurement = NotMeasured;

    #[inline(always)]
    fn measure(_: &Anchor<State, ()>, _: &C) -> NotMeasured {
        NotMeasured
    }

    #[inline(always)]
    fn not_measured(_: &C) -> NotMeasured {
        NotMeasured
    }
}

impl<C, T, E> Mode<C, T, E> for Learned
where
    C: Classify<T, E> + Clone,
    E: Rejectable,
{
    type Measurement = Measurement<C>;

    fn measure(state: &Anchor<State, ()>, classifier: &C) -> Measurement<C> {
        Measurement::new(Some(state.local()), classifier.clone())
    }

    fn not_measured(classifier: &C) -> Measurement<C> {
        Measurement::new(None, classifier.clone())
    }
}
