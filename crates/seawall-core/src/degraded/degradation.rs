//! Why an answer is degraded, and a value that may be.

use std::time::Duration;

use crate::{FailureKind, InstanceName, Outcome, Reason, Rejection};

/// Why and how an answer is degraded: it is not the upstream's answer to this call.
///
/// It is written into a response by a [`MarkDegraded`](crate::MarkDegraded). `Display` is the value of the
/// HTTP header `x-seawall-degraded`, in the syntax of
/// [RFC 9651](https://www.rfc-editor.org/rfc/rfc9651.html): an item, the reason, with the parameters `age`
/// and `source`. [`ParsedDegradation`](crate::ParsedDegradation) reads it.
///
/// ```
/// use std::time::Duration;
/// use seawall_core::{Degradation, Outcome, Reason, Rejection};
///
/// let rejected = Rejection::new(Reason::CircuitOpen, "prices");
/// let stale = Degradation::new(Degradation::reason_of(rejected.outcome(), Some(&rejected)), "last_good")
///     .with_age(Duration::from_millis(12_900));
/// assert_eq!(stale.to_string(), "circuit_open;age=12;source=last_good");
///
/// let made = Degradation::new(Degradation::reason_of(Outcome::Unknown, None), "Börse 2");
/// assert_eq!(made.to_string(), "unknown;source=%\"B%c3%b6rse 2\"");
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Degradation {
    /// The failure in a word: of an [`Outcome`], of a [`FailureKind`] or of a [`Reason`];
    /// [`STALE`](Self::STALE) where nothing has failed.
    pub reason: &'static str,
    /// Where the answer comes from: `last_good`, `cache`, the name of a backup.
    pub source: InstanceName,
    /// How old its data is; `None` where it was made for this call.
    pub age: Option<Duration>,
}

impl Degradation {
    /// The reason of an answer that is older than it should be while a new one is fetched.
    pub const STALE: &str = "stale";

    /// An answer of `source`, made for this call since it failed for `reason`; see
    /// [`reason_of`](Self::reason_of).
    pub fn new(reason: &'static str, source: impl Into<InstanceName>) -> Self {
        Self {
            reason,
            source: source.into(),
            age: None,
        }
    }

    /// Says how old the data is.
    #[must_use]
    pub const fn with_age(mut self, age: Duration) -> Self {
        self.age = Some(age);
        self
    }

    /// A failed result in one word: the reason of a rejection, the kind of a failure, or any other
    /// outcome.
    pub const fn reason_of(outcome: Outcome, rejection: Option<&Rejection>) -> &'static str {
        match (rejection, outcome) {
            (Some(rejection), _) => rejection.reason().as_str(),
            (None, Outcome::Failure(kind)) => kind.as_str(),
            (None, outcome) => outcome.as_str(),
        }
    }

    /// The word as [`reason_of`](Self::reason_of) writes it, for text from outside of the program; `other`
    /// for every other word.
    pub(crate) fn known_reason(word: &str) -> &'static str {
        let outcomes = Outcome::WORDS.into_iter();
        let kinds = FailureKind::ALL.into_iter().map(FailureKind::as_str);
        let reasons = Reason::ALL.into_iter().map(Reason::as_str);
        let mut known = outcomes.chain(kinds).chain(reasons).chain([Self::STALE]);
        known.find(|one| *one == word).unwrap_or("other")
    }
}

/// A value that may be degraded: the response of a typed service whose answers can come from elsewhere.
///
/// A service that knows nothing of it is wrapped by `map_response(Degraded::fresh)`.
///
/// ```
/// use seawall_core::{Degradation, Degraded};
///
/// let price = Degraded::fresh(101.25);
/// assert!(!price.is_degraded());
///
/// let last = Degraded::marked(101.0, Degradation::new("circuit_open", "last_good"));
/// assert_eq!(last.degradation().map(|d| d.reason), Some("circuit_open"));
/// assert_eq!(last.into_value(), 101.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Degraded<T> {
    value: T,
    degradation: Option<Degradation>,
}

impl<T> Degraded<T> {
    /// The upstream's answer to this call.
    pub const fn fresh(value: T) -> Self {
        let degradation = None;
        Self { value, degradation }
    }

    /// An answer that is degraded.
    pub const fn marked(value: T, degradation: Degradation) -> Self {
        let degradation = Some(degradation);
        Self { value, degradation }
    }

    /// The value.
    pub const fn value(&self) -> &T {
        &self.value
    }

    /// The value, mutably.
    pub const fn value_mut(&mut self) -> &mut T {
        &mut self.value
    }

    /// The value by itself, degraded or not.
    pub fn into_value(self) -> T {
        self.value
    }

    /// The value, unless it is degraded.
    pub fn into_fresh(self) -> Result<T, Degradation> {
        self.degradation.map_or(Ok(self.value), Err)
    }

    /// Whether it is degraded.
    pub const fn is_degraded(&self) -> bool {
        self.degradation.is_some()
    }

    /// Why and how it is degraded.
    pub const fn degradation(&self) -> Option<Degradation> {
        self.degradation
    }

    /// Changes the value; it is degraded as before.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Degraded<U> {
        Degraded {
            value: change(self.value),
            degradation: self.degradation,
        }
    }

    /// Marks it as degraded, unless it is already: the older mark is closer to where it comes from.
    pub fn mark(&mut self, degradation: Degradation) {
        self.degradation.get_or_insert(degradation);
    }
}
