//! One table for what a layer counts: the counters of a stripe, their sums, and their metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Outcome, Rejection, Sent};

/// A counter that only grows. Relaxed: it orders nothing, and nothing depends on it.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts one.
    #[inline]
    pub fn add(&self) {
        self.add_n(1);
    }

    /// Counts `n`; wraps around after 2^64.
    #[inline]
    pub fn add_n(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The count now.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A counter of a stripe that the thread which [has it alone](crate::striped::Anchor::here_alone)
/// counts into without an atomic read-modify-write, which would cost more than the rest.
#[derive(Debug, Default)]
pub struct OwnedCounter {
    alone: AtomicU64,
    shared: Counter,
}

impl OwnedCounter {
    /// Counts one. Of all threads that have it alone for any of their calls there must be one.
    #[inline]
    pub fn add_here(&self, alone: bool) {
        if alone {
            let count = self.alone.load(Ordering::Relaxed);
            self.alone.store(count.wrapping_add(1), Ordering::Relaxed);
        } else {
            self.shared.add();
        }
    }

    /// Counts one, on any thread.
    #[inline]
    pub fn add(&self) {
        self.shared.add();
    }

    /// The count now.
    #[inline]
    pub fn get(&self) -> u64 {
        let alone = self.alone.load(Ordering::Relaxed);
        alone.wrapping_add(self.shared.get())
    }
}

/// Counters of calls or attempts by their [`Outcome`], with local rejections apart.
///
/// ```
/// use seawall_core::{Outcome, Reason, Rejection, Sent, counters::ByOutcome};
///
/// let attempts: ByOutcome = ByOutcome::default();
/// attempts.add(&Outcome::Success, None);
/// let open = Rejection::new(Reason::CircuitOpen, "alpaca");
/// attempts.add(&Outcome::Ignored, Some(&open));
/// attempts.add(&Outcome::Ignored, Some(&open.with_sent(Sent::Maybe)));
/// let counts = attempts.get();
/// assert_eq!((counts.success, counts.rejected, counts.unknown), (1, 1, 1));
/// ```
pub type ByOutcome = OutcomeStripe;

crate::counters! {
    /// How many calls or attempts there were of each outcome.
    pub struct OutcomeCounts;

    /// The counters of one stripe.
    #[derive(Debug, Default)]
    pub struct OutcomeStripe {
        /// The upstream did what it was asked to do.
        success: OwnedCounter => "seawall_calls_total" [outcome = "success"],
        /// The upstream failed.
        failure => "seawall_calls_total" [outcome = "failure"],
        /// The upstream asked for fewer requests.
        throttled => "seawall_calls_total" [outcome = "throttled"],
        /// The upstream has banned this client.
        banned => "seawall_calls_total" [outcome = "banned"],
        /// A quota was used up.
        quota_exhausted => "seawall_calls_total" [outcome = "quota_exhausted"],
        /// The result says nothing about the upstream.
        ignored => "seawall_calls_total" [outcome = "ignored"],
        /// The request may have been executed.
        unknown => "seawall_calls_total" [outcome = "unknown"],
        /// It was answered by something else than the upstream's answer to it.
        degraded => "seawall_calls_total" [outcome = "degraded"],
        /// A layer below rejected it, or the layer itself, and nothing was sent.
        rejected => "seawall_calls_total" [outcome = "rejected"],
    }
}

impl OutcomeStripe {
    /// Counts one of that outcome. An [`Outcome::Ignored`] that was a local rejection counts as
    /// rejected, or as unknown where it may have been sent: what was rejected then is another
    /// attempt, and the call has failed.
    #[inline]
    pub fn add(&self, outcome: &Outcome, rejection: Option<&Rejection>) {
        match outcome {
            Outcome::Success => self.success.add(),
            _ => self.of(outcome, rejection).add(),
        }
    }

    fn of(&self, outcome: &Outcome, rejection: Option<&Rejection>) -> &Counter {
        match outcome {
            Outcome::Failure(_) => &self.failure,
            Outcome::Throttled { .. } => &self.throttled,
            Outcome::Banned { .. } => &self.banned,
            Outcome::QuotaExhausted { .. } => &self.quota_exhausted,
            Outcome::Unknown => &self.unknown,
            Outcome::Degraded => &self.degraded,
            Outcome::Ignored => match rejection.map(Rejection::sent) {
                Some(Sent::No) => &self.rejected,
                Some(Sent::Maybe) => &self.unknown,
                None => &self.ignored,
            },
            Outcome::Success => &self.ignored,
        }
    }

    /// The counts now.
    pub fn get(&self) -> OutcomeCounts {
        OutcomeCounts::sum([self])
    }
}

impl OutcomeCounts {
    /// All of them; saturates.
    pub fn total(&self) -> u64 {
        self.by_label()
            .iter()
            .fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Each count with the value of the label `outcome` that metrics give it.
    pub const fn by_label(&self) -> [(&'static str, u64); 9] {
        [
            ("success", self.success),
            ("failure", self.failure),
            ("throttled", self.throttled),
            ("banned", self.banned),
            ("quota_exhausted", self.quota_exhausted),
            ("ignored", self.ignored),
            ("unknown", self.unknown),
            ("degraded", self.degraded),
            ("rejected", self.rejected),
        ]
    }
}

/// Declares what a layer counts, each counter once: a struct of the sums that users read, a
/// struct of the counters of one stripe, and the metric of each.
///
/// Each line is a field of both structs: `name => "metric" [label = "value", ..],`. A counter
/// without a metric of its own is written `name => (),`. The stripe's fields are
/// [`Counter`](crate::counters::Counter)s, or of another type that is named: `name: OwnedCounter => ..`. The struct of the sums is `#[non_exhaustive]` and `Copy`,
/// has `sum(stripes)`, `merge(other)` and `samples(sink)`, and derives `serde::Serialize` under the
/// calling crate's feature `serde`.
///
/// ```
/// seawall_core::counters! {
///     /// What became of the parcels.
///     pub struct ParcelCounts;
///
///     /// The counters of one stripe.
///     #[derive(Debug, Default)]
///     pub(crate) struct ParcelStripe {
///         /// Delivered.
///         delivered => "parcels_total" [outcome = "delivered"],
///         /// Lost on the way.
///         lost => "parcels_total" [outcome = "lost"],
///     }
/// }
/// # fn main() {
/// let stripes = [ParcelStripe::default(), ParcelStripe::default()];
/// stripes[0].delivered.add();
/// stripes[1].delivered.add();
/// assert_eq!(ParcelCounts::sum(&stripes).delivered, 2);
/// # }
/// ```
#[macro_export]
macro_rules! counters {
    (
        $(#[$counts_meta:meta])*
        $counts_vis:vis struct $Counts:ident;

        $(#[$stripe_meta:meta])*
        $stripe_vis:vis struct $Stripe:ident {
            $(
                $(#[$field_meta:meta])*
                $field:ident $(: $Counter:ty)? => $metric:tt $([$($label:ident = $value:literal),* $(,)?])?,
            )*
        }
    ) => {
        $(#[$counts_meta])*
        #[non_exhaustive]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[cfg_attr(feature = "serde", derive(::serde::Serialize))]
        $counts_vis struct $Counts {
            $(
                $(#[$field_meta])*
                pub $field: u64,
            )*
        }

        $(#[$stripe_meta])*
        $stripe_vis struct $Stripe {
            $(
                $(#[$field_meta])*
                pub $field: $crate::counters!(@type $($Counter)?),
            )*
        }

        impl $Counts {
            /// Adds up the counters of all stripes.
            #[allow(dead_code, reason = "the macro offers what a layer may not need")]
            $stripe_vis fn sum<'a>(stripes: impl IntoIterator<Item = &'a $Stripe>) -> Self {
                let mut sum = Self::default();
                for stripe in stripes {
                    $(sum.$field = sum.$field.wrapping_add(stripe.$field.get());)*
                }
                sum
            }

            /// Adds the counts of another instance; wraps around after 2^64.
            #[allow(dead_code, reason = "the macro offers what a layer may not need")]
            $stripe_vis fn merge(&mut self, other: &Self) {
                $(self.$field = self.$field.wrapping_add(other.$field);)*
            }

            /// Hands every counter that has a metric to `sink`.
            #[allow(dead_code, reason = "the macro offers what a layer may not need")]
            $stripe_vis fn samples(&self, sink: &mut $crate::Samples<'_>) {
                $($crate::counters!(@sample self, sink, $field, $metric $([$($label = $value),*])?);)*
                let _ = sink;
            }
        }
    };
    (@type) => { $crate::counters::Counter };
    (@type $Counter:ty) => { $Counter };
    (@sample $counts:ident, $sink:ident, $field:ident, ()) => {};
    (@sample $counts:ident, $sink:ident, $field:ident, $metric:literal) => {
        $sink.counter($metric, &[], $counts.$field)
    };
    (@sample $counts:ident, $sink:ident, $field:ident, $metric:literal
        [$($label:ident = $value:literal),*]) => {
        $sink.counter($metric, &[$((stringify!($label), $value)),*], $counts.$field)
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::striped::{Shared, Stripes};
    use crate::{FailureKind, Sample, Samples, Value};

    counters! {
        /// Counts.
        struct TestCounts;

        #[derive(Debug, Default)]
        struct TestStripe {
            /// With labels.
            labelled => "labelled_total" [layer = "test", cause = "none"],
            /// Without labels.
            plain => "plain_total",
            /// Without a metric.
            hidden => (),
        }
    }

    #[test]
    fn stripes_are_added_up_and_each_metric_is_handed_out_once() {
        let stripes = [TestStripe::default(), TestStripe::default()];
        stripes[0].labelled.add();
        stripes[1].labelled.add_n(2);
        stripes[1].plain.add();
        stripes[0].hidden.add();
        let counts = TestCounts::sum(&stripes);
        assert_eq!((counts.labelled, counts.plain, counts.hidden), (3, 1, 1));
        let mut both = counts;
        both.merge(&counts);
        assert_eq!((both.labelled, both.plain, both.hidden), (6, 2, 2));

        let mut seen = Vec::new();
        let mut keep = |s: Sample<'_>| seen.push((s.metric, s.labels.to_vec(), s.value));
        counts.samples(&mut Samples::new(&mut keep));
        let labels = vec![("layer", "test"), ("cause", "none")];
        assert_eq!(
            seen,
            [
                ("labelled_total", labels, Value::Counter(3)),
                ("plain_total", Vec::new(), Value::Counter(1)),
            ]
        );
    }

    #[test]
    fn threads_with_a_stripe_of_their_own_and_others_lose_no_count() {
        for stripes in [1, 64] {
            let stripes = Stripes::new(stripes);
            let counters = Shared::new((), stripes, OwnedCounter::default).anchor();
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        for _ in 0..10_000 {
                            let (counter, alone) = counters.here_alone();
                            counter.add_here(alone);
                        }
                        counters.here_alone().0.add();
                    });
                }
            });
            let sum: u64 = counters.stripes().map(OwnedCounter::get).sum();
            assert_eq!(sum, 80_008);
        }
    }

    #[test]
    fn outcomes_have_a_counter_each_and_rejections_one_of_their_own() {
        let attempts = ByOutcome::default();
        for outcome in [
            Outcome::Success,
            Outcome::Failure(FailureKind::Server),
            Outcome::Throttled {
                retry_after: None,
                scope: crate::Scope::Upstream,
            },
            Outcome::Banned { lasts: None },
            Outcome::QuotaExhausted { renews_in: None },
            Outcome::Ignored,
            Outcome::Unknown,
            Outcome::Degraded,
        ] {
            attempts.add(&outcome, None);
            let counts = attempts.get().by_label();
            let of = counts.iter().find(|(label, _)| *label == outcome.as_str());
            assert_eq!(of, Some(&(outcome.as_str(), 1)));
        }
        let open = Rejection::new(crate::Reason::CircuitOpen, "x");
        attempts.add(&Outcome::Ignored, Some(&open));
        assert_eq!((attempts.get().rejected, attempts.get().total()), (1, 9));
        let earlier_was_sent = open.with_sent(Sent::Maybe);
        attempts.add(&Outcome::Ignored, Some(&earlier_was_sent));
        assert_eq!((attempts.get().rejected, attempts.get().unknown), (1, 2));
        // What an upstream does is known: a local rejection on the way changes nothing of it.
        attempts.add(&Outcome::Failure(FailureKind::Server), Some(&open));
        assert_eq!((attempts.get().failure, attempts.get().total()), (2, 11));
    }
}
