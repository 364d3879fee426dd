//! What is wrong with how a layer is set up, although it works.

use std::fmt;

crate::state_words! {
    /// A mistake in how a layer is set up: it works, and does not do what was probably wanted.
    ///
    /// It is found without asking anything of a call that does not fail: when the layer is made, when
    /// it makes a service, or when it would have acted for the first time. It is logged once as a
    /// `tracing` warning, emitted once as [`EventKind::Misconfigured`](crate::EventKind), and from
    /// then on in what the handle knows ([`InstanceHandle::misconfigured`](crate::InstanceHandle)),
    /// also in a [registry's snapshot](crate::Snapshot). `Display` says what to do.
    ///
    /// ```
    /// use seawall_core::{EventSource, Misconfiguration};
    ///
    /// let source = EventSource::new("breaker", "");
    /// assert_eq!(source.misconfigured(), [Misconfiguration::Unnamed]);
    /// ```
    pub enum Misconfiguration {
        /// The layer has no classifier, and by its type the service reports failures inside of `Ok`:
        /// every one counts as a success.
        Unclassified = "unclassified",
        /// The layer would have sent a request again, but has no describer that says whether it may
        /// be sent twice.
        Undescribed = "undescribed",
        /// The name is empty, so the layer is called `unnamed` in rejections, events and metrics, as
        /// every other one without a name.
        Unnamed = "unnamed",
    }
}

impl Misconfiguration {
    pub(super) const ALL: [Self; 3] = [Self::Unclassified, Self::Undescribed, Self::Unnamed];

    /// Its bit in a set of them.
    pub(crate) const fn bit(self) -> u8 {
        1 << self as u8
    }

    /// Those of a set.
    pub(crate) fn of(set: u8) -> impl Iterator<Item = Self> {
        let all = Self::ALL.into_iter();
        all.filter(move |one| set & one.bit() != 0)
    }

    /// What is wrong, what comes of it, and what to do.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Unclassified => {
                "no classifier is set, so every response is a success, also one that reports a \
                 failure: set one with `classify`, for HTTP an `HttpClassifier`"
            }
            Self::Undescribed => {
                "nothing is sent again, cached or shared, since no describer says whether a request may be sent \
                 twice: set one with `describe`, or use `assume_idempotent` if every request may"
            }
            Self::Unnamed => {
                "the name is empty, so rejections, events and metrics show `unnamed`: give each \
                 layer a name"
            }
        }
    }
}

impl fmt::Display for Misconfiguration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.advice())
    }
}
