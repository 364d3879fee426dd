//! Rejections: what a layer returns in place of the inner service's result.

use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

use crate::clock::saturating_ns;
use crate::human::Wait;
use crate::{CircuitCause, Figure, InstanceName, Outcome};

/// Makes [`Reason`] from one table: the number, the label value, the pattern that gives the reason,
/// the reason in words, and what to do about it.
macro_rules! reasons {
    ($($(#[$doc:meta])* $Reason:ident = $number:literal, $label:literal, $pattern:literal, $text:literal,
        $advice:literal;)*) => {
        /// Why a layer rejected.
        #[non_exhaustive]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Reason {
            $($(#[$doc])* $Reason = $number,)*
        }

        impl Reason {
            /// Every reason, in the order of their numbers.
            pub const ALL: [Self; 21] = [$(Self::$Reason),*];

            /// The reason as a label value of metrics and logs.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$Reason => $label,)*
                }
            }

            /// The reason in words, after the pattern and the name.
            const fn text(self) -> &'static str {
                match self {
                    $(Self::$Reason => $text,)*
                }
            }

            /// What to do about it, in words.
            pub const fn advice(self) -> &'static str {
                match self {
                    $(Self::$Reason => $advice,)*
                }
            }

            /// The pattern that gives this reason, where the rejection does not name it.
            const fn pattern(self) -> &'static str {
                match self {
                    $(Self::$Reason => $pattern,)*
                }
            }
        }
    };
}

reasons! {
    /// The circuit is open, or half-open with every probe taken.
    CircuitOpen = 1, "circuit_open", "circuit breaker", "the circuit is open",
        "the upstream is failing: answer without it, and come back later";
    /// The circuit was open when readiness was polled; it may have closed since.
    NotReady = 2, "not_ready", "circuit breaker", "the circuit was open when readiness was polled",
        "poll readiness again: the circuit may have closed since";
    /// The rate is used up, and waiting for it is not allowed or would take too long.
    RateLimited = 3, "rate_limited", "rate limit", "the rate is used up",
        "come back later; if it is often so, send less, or raise the limit with the plan";
    /// Every permit is taken, and the queue is full.
    BulkheadFull = 4, "bulkhead_full", "bulkhead", "every permit is taken and the queue is full",
        "come back later; if it is often so, send fewer at once, or allow more";
    /// The call waited in a queue for as long as it may.
    QueueTimeout = 5, "queue_timeout", "queue",
        "the call waited in the queue for as long as it may",
        "come back later; if it is often so, let fewer calls wait, or allow more at once";
    /// One attempt took longer than an attempt may.
    AttemptTimeout = 6, "attempt_timeout", "attempt timeout", "the attempt timed out",
        "look the outcome up before the request is sent again, unless it may be repeated";
    /// The whole call, with its waits and attempts, took longer than it may.
    DeadlineExceeded = 7, "deadline_exceeded", "deadline", "the deadline of the call has passed",
        "look the outcome up if it may have been sent; allow more time if it is often so";
    /// The budget for extra attempts is used up.
    BudgetExhausted = 8, "budget_exhausted", "retry", "the budget for further attempts is used up",
        "do not try again now: the upstream has its share of retries";
    /// The request may have been executed; ask the upstream before it is sent again.
    OutcomeUnknown = 9, "outcome_unknown", "retry", "the outcome of the request is unknown",
        "look the outcome up before the request is sent again";
    /// The request costs more than the limiter can ever grant at once.
    TooExpensive = 10, "too_expensive", "rate limit",
        "the request costs more than the limit can ever grant",
        "split the request: waiting does not help";
    /// The response began, and then its body did not come in time.
    BodyTimeout = 11, "body_timeout", "body timeout", "the body of the response timed out",
        "the response began: read it again only where it may be repeated";
    /// The upstream has rejected so many calls recently that this one was not even tried.
    ClientThrottled = 12, "client_throttled", "adaptive throttle",
        "the upstream has rejected too many calls recently",
        "the upstream is overloaded: answer without it, and come back later";
    /// An operator has paused the layer, or the upstream asked for a pause.
    Paused = 13, "paused", "layer", "paused",
        "wait for the end of the pause, or for the operator";
    /// The layer accepts no new calls, since it is about to stop.
    Draining = 14, "draining", "layer", "draining, no new calls are accepted",
        "use another instance: this one stops";
    /// The quota of a day or of another long time is used up.
    QuotaExhausted = 15, "quota_exhausted", "rate limit", "the quota is used up",
        "do not try again before the quota is renewed";
    /// The code that was to make the call panicked.
    Panicked = 16, "panicked", "isolated bulkhead", "the call panicked",
        "look into the code that makes the call; look the outcome up if it may have been sent";
    /// Every route to the upstream is blocked, cools down, or has failed for this call.
    NoRoute = 17, "no_route", "router", "no route is available",
        "come back when the first route does; if it is often so, add a key, a deployment or a model";
    /// The request breaks a rule of the upstream, or cannot be read; nothing was sent.
    InvalidRequest = 18, "invalid_request", "order safety", "the request is not valid",
        "correct the request: the same one is rejected again";
    /// The request was certainly not executed, although it may have been sent.
    NotExecuted = 19, "not_executed", "order safety", "the request was not executed",
        "send a new request if it is still wanted";
    /// Trading is restricted to requests that are safe in the present state.
    TradingMode = 20, "trading_mode", "order safety", "the trading mode does not allow it",
        "look at what restricts trading; cancels and queries pass";
    /// A last guard of orders, such as a cap on their value, does not let it pass.
    Guarded = 21, "guarded", "order safety", "a guard does not let the order pass",
        "check the order; if it is meant, mark it so or raise the cap";
}

impl Reason {
    const fn from_bits(bits: u64) -> Self {
        let index = (bits & 0xff) as usize;
        if index >= 1 && index <= Self::ALL.len() {
            Self::ALL[index - 1]
        } else {
            // Only `Rejection::new` writes these bits, from a `Reason`.
            Self::OutcomeUnknown
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// Whether a rejected request can have reached the upstream.
// Exhaustive: it is certain that nothing was sent, or it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sent {
    /// Certainly not: it was rejected before the inner service was called.
    No,
    /// It may have been sent, and so executed.
    Maybe,
}

/// A rejection by one layer: the reason, which instance of which pattern it was, when to come
/// back, and whether the request may have been sent.
///
/// Two plain words, `Copy`, made without allocating. Layers never change the error type of a
/// service; they turn a `Rejection` into it by `From` (see [`Rejectable`](crate::Rejectable)).
///
/// ```
/// use std::time::Duration;
/// use seawall_core::{Reason, Rejection, Sent};
///
/// let rejected = Rejection::new(Reason::RateLimited, "alpaca")
///     .with_retry_after(Duration::from_millis(250));
/// assert_eq!(rejected.reason(), Reason::RateLimited);
/// assert_eq!(rejected.sent(), Sent::No);
/// assert_eq!(
///     rejected.to_string(),
///     "rate limit `alpaca`: the rate is used up; retry in 250 ms; nothing was sent",
/// );
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rejection {
    // Name, sent and reason in one word, so that moves of an enclosing enum stay aligned: with
    // small fields at odd offsets the copies stall store forwarding.
    word: NonZeroU64,
    retry_ns: u64,
}

const NO_RETRY: u64 = u64::MAX;
// The word: name (27 bits), pattern (5), cause (23), sent (1), reason (8).
const SENT: u64 = 1 << 8;
const CAUSE_SHIFT: u32 = 9;
const CAUSE: u64 = ((1 << CircuitCause::BITS) - 1) << CAUSE_SHIFT;
const PATTERN_SHIFT: u32 = 32;
const PATTERN_BITS: u32 = 5;
const PATTERN: u64 = ((1 << PATTERN_BITS) - 1) << PATTERN_SHIFT;
const NAME_SHIFT: u32 = PATTERN_SHIFT + PATTERN_BITS;
const _: () = assert!(CAUSE_SHIFT + CircuitCause::BITS <= PATTERN_SHIFT);
/// In place of a cause: the second word has a cost and a capacity. No cause has these bits.
const COST: u64 = 31 << CAUSE_SHIFT;
/// In place of a cause: the second word is the number of what the rejection is about.
const REFERENCE: u64 = 26 << CAUSE_SHIFT;

/// The patterns that a rejection can name: their ids, from 1 on, and their names in words.
const PATTERNS: [(&str, &str); 20] = [
    ("breaker", "circuit breaker"),
    ("gate", "circuit breaker"),
    ("bulkhead", "bulkhead"),
    ("ratelimit", "rate limit"),
    ("ratelimit_per_key", "rate limit per key"),
    ("throttle", "adaptive throttle"),
    ("retry", "retry"),
    ("hedge", "hedge"),
    ("attempt_timeout", "attempt timeout"),
    ("deadline", "deadline"),
    ("body_timeout", "body timeout"),
    ("connections", "connection limit"),
    ("isolated", "isolated bulkhead"),
    ("blocking", "blocking bulkhead"),
    ("fallback", "fallback"),
    ("cache", "cache"),
    ("orders", "order safety"),
    ("stream", "stream"),
    ("spend", "spend budget"),
    ("router", "router"),
];
const _: () = assert!(PATTERNS.len() < 1 << PATTERN_BITS);

/// A pattern as a rejection names it; 0 for those that it does not know.
pub(crate) fn pattern_bits(pattern: &str) -> u8 {
    let known = PATTERNS.iter().position(|(id, _)| *id == pattern);
    known.map_or(0, |index| index as u8 + 1)
}

impl Rejection {
    /// A rejection by the layer instance `name`, of a request that was not sent.
    pub fn new(reason: Reason, name: impl Into<InstanceName>) -> Self {
        Self::of(reason, name.into(), 0)
    }

    /// Names the pattern of the instance, such as `"breaker"` or `"bulkhead"`; others than those
    /// of Seawall's own layers are left out.
    #[must_use]
    pub fn with_pattern(self, pattern: &str) -> Self {
        self.with_bits(PATTERN, u64::from(pattern_bits(pattern)) << PATTERN_SHIFT)
    }

    /// The pattern of the instance that rejected, where it is known: `"breaker"`, `"bulkhead"`.
    pub const fn pattern(&self) -> Option<&'static str> {
        match self.known_pattern() {
            Some((id, _)) => Some(id),
            None => None,
        }
    }

    const fn known_pattern(&self) -> Option<(&'static str, &'static str)> {
        let number = ((self.word.get() & PATTERN) >> PATTERN_SHIFT) as usize;
        if number >= 1 && number <= PATTERNS.len() {
            Some(PATTERNS[number - 1])
        } else {
            None
        }
    }

    #[inline]
    pub(crate) const fn of(reason: Reason, name: InstanceName, pattern: u8) -> Self {
        let name = (name.id() as u64) << NAME_SHIFT;
        let bits = name | (pattern as u64) << PATTERN_SHIFT | reason as u64;
        let word = match NonZeroU64::new(bits) {
            Some(word) => word,
            // Reasons count from 1, so this arm is never taken.
            None => NonZeroU64::MIN,
        };
        Self {
            word,
            retry_ns: NO_RETRY,
        }
    }

    /// Says when a call may succeed: not before `wait` from now. Saturates at 584 years.
    #[must_use]
    pub const fn with_retry_after(self, wait: Duration) -> Self {
        self.with_retry_after_ns(saturating_ns(wait))
    }

    /// As [`with_retry_after`](Self::with_retry_after), with the time in nanoseconds.
    #[inline]
    #[must_use]
    pub const fn with_retry_after_ns(mut self, wait_ns: u64) -> Self {
        if self.has_no_wait() {
            self = self.with_bits(CAUSE, 0);
        }
        self.retry_ns = if wait_ns == NO_RETRY {
            NO_RETRY - 1
        } else {
            wait_ns
        };
        self
    }

    /// Says what the request costs, and how much can be granted at most. In place of a time to come
    /// back, since none helps, and of a cause.
    #[must_use]
    pub const fn with_cost(self, cost: u32, capacity: u32) -> Self {
        let mut costly = self.with_bits(CAUSE, COST);
        costly.retry_ns = (cost as u64) << 32 | capacity as u64;
        costly
    }

    /// What the request costs, and how much can be granted at most: of rejections with
    /// [`Reason::TooExpensive`].
    ///
    /// ```
    /// use seawall_core::{Reason, Rejection};
    ///
    /// let rejected = Rejection::new(Reason::TooExpensive, "model").with_cost(12_000, 10_000);
    /// assert_eq!(rejected.cost_and_capacity(), Some((12_000, 10_000)));
    /// assert_eq!(
    ///     rejected.to_string(),
    ///     "rate limit `model`: the request costs more than the limit can ever grant \
    ///      (12000 of at most 10000); nothing was sent",
    /// );
    /// ```
    pub const fn cost_and_capacity(&self) -> Option<(u32, u32)> {
        if self.word.get() & CAUSE == COST {
            Some(((self.retry_ns >> 32) as u32, self.retry_ns as u32))
        } else {
            None
        }
    }

    /// Says by a number what the rejection is about: the intent of an order in its journal. In place of
    /// a time to come back, of a cost and of a cause, as those are in place of it.
    #[must_use]
    pub const fn with_reference(self, number: u64) -> Self {
        let mut about = self.with_bits(CAUSE, REFERENCE);
        about.retry_ns = number;
        about
    }

    /// The number of what the rejection is about: of those by order safety that have an entry in its
    /// journal.
    ///
    /// ```
    /// use seawall_core::{Reason, Rejection, Sent};
    ///
    /// let unknown = Rejection::new(Reason::OutcomeUnknown, "alpaca")
    ///     .with_pattern("orders")
    ///     .with_sent(Sent::Maybe)
    ///     .with_reference(42);
    /// assert_eq!(unknown.reference(), Some(42));
    /// assert_eq!(
    ///     unknown.to_string(),
    ///     "order safety `alpaca`: the outcome of the request is unknown (number 42); \
    ///      the request may have been sent",
    /// );
    /// ```
    pub const fn reference(&self) -> Option<u64> {
        if self.word.get() & CAUSE == REFERENCE {
            Some(self.retry_ns)
        } else {
            None
        }
    }

    /// Whether the second word has something else than a time to come back.
    #[inline]
    const fn has_no_wait(&self) -> bool {
        matches!(self.word.get() & CAUSE, COST | REFERENCE)
    }

    /// Says whether the request may have been sent.
    #[must_use]
    pub const fn with_sent(self, sent: Sent) -> Self {
        self.with_bits(SENT, if matches!(sent, Sent::No) { 0 } else { SENT })
    }

    /// Says what made the layer reject.
    #[must_use]
    pub const fn with_cause(self, cause: CircuitCause) -> Self {
        self.with_cause_bits(cause.to_bits())
    }

    /// As [`with_cause`](Self::with_cause), with what [`CircuitCause::to_bits`] gave: for a layer
    /// that keeps a cause in an atomic word and rejects often. Other numbers say nothing.
    #[must_use]
    #[inline]
    pub const fn with_cause_bits(mut self, bits: u32) -> Self {
        if self.has_no_wait() {
            // A cost or a reference would be read as a wait.
            self.retry_ns = NO_RETRY;
        }
        self.with_bits(CAUSE, (bits as u64) << CAUSE_SHIFT & CAUSE)
    }

    /// Says how much it was that made the layer reject, in place of a cause.
    #[must_use]
    pub fn with_figure(self, figure: Figure) -> Self {
        self.with_cause_bits(figure.to_bits())
    }

    /// With `bits` in place of those under `mask`.
    #[inline]
    const fn with_bits(mut self, mask: u64, bits: u64) -> Self {
        // The reason is never 0, so there always is such a word.
        if let Some(word) = NonZeroU64::new(self.word.get() & !mask | bits) {
            self.word = word;
        }
        self
    }

    /// What made the layer reject, where it says so: circuits do.
    pub const fn cause(&self) -> Option<CircuitCause> {
        CircuitCause::from_bits(self.cause_bits())
    }

    /// How much it was that made the layer reject, where it says so: timeouts and retries do.
    pub fn figure(&self) -> Option<Figure> {
        Figure::from_bits(self.cause_bits())
    }

    const fn cause_bits(&self) -> u32 {
        ((self.word.get() & CAUSE) >> CAUSE_SHIFT) as u32
    }

    /// Why the call was rejected.
    pub const fn reason(&self) -> Reason {
        Reason::from_bits(self.word.get())
    }

    /// The layer instance that rejected.
    pub const fn name(&self) -> InstanceName {
        InstanceName::from_id((self.word.get() >> NAME_SHIFT) as u32)
    }

    /// How long to wait before a call can succeed, where the layer knows it.
    pub const fn retry_after(&self) -> Option<Duration> {
        if self.retry_ns == NO_RETRY || self.has_no_wait() {
            None
        } else {
            Some(Duration::from_nanos(self.retry_ns))
        }
    }

    /// Whether the request may have reached the upstream.
    pub const fn sent(&self) -> Sent {
        if self.word.get() & SENT == 0 {
            Sent::No
        } else {
            Sent::Maybe
        }
    }

    /// Whether no program may send the same request again by itself, however long it waits: one that
    /// order safety rejected, unless it is certain that nothing was sent and only the wait was too long.
    ///
    /// Retries end at such a rejection, and servers respond with statuses that clients do not repeat.
    ///
    /// ```
    /// use seawall_core::{Reason, Rejection, Sent};
    ///
    /// let of_orders = |reason| Rejection::new(reason, "alpaca").with_pattern("orders");
    /// assert!(of_orders(Reason::Guarded).is_final());
    /// assert!(of_orders(Reason::OutcomeUnknown).is_final());
    /// assert!(of_orders(Reason::DeadlineExceeded).with_sent(Sent::Maybe).is_final());
    /// assert!(!of_orders(Reason::DeadlineExceeded).is_final(), "not sent");
    /// assert!(!Rejection::new(Reason::OutcomeUnknown, "alpaca").with_pattern("retry").is_final());
    /// ```
    pub const fn is_final(&self) -> bool {
        let is_by_orders = match self.pattern() {
            Some(pattern) => matches!(pattern.as_bytes(), b"orders"),
            None => false,
        };
        match self.reason() {
            Reason::InvalidRequest
            | Reason::NotExecuted
            | Reason::TradingMode
            | Reason::Guarded => true,
            Reason::OutcomeUnknown => is_by_orders,
            _ => is_by_orders && matches!(self.sent(), Sent::Maybe),
        }
    }

    /// What this rejection says about the *upstream*.
    ///
    /// A local rejection says nothing ([`Outcome::Ignored`]): no breaker counts it and no budget
    /// is charged for it. Only an attempt that timed out, a body that timed out, a call that
    /// panicked after it was made, or a request whose fate is unknown does.
    pub const fn outcome(&self) -> Outcome {
        match (self.reason(), self.sent()) {
            (Reason::AttemptTimeout | Reason::OutcomeUnknown | Reason::BodyTimeout, _)
            | (Reason::Panicked, Sent::Maybe) => Outcome::Unknown,
            _ => Outcome::Ignored,
        }
    }
}

impl fmt::Display for Rejection {
    /// Which pattern and instance, why with its figures, when to come back, and whether the
    /// request may have been sent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = self.reason();
        let pattern = self
            .known_pattern()
            .map_or(reason.pattern(), |known| known.1);
        write!(f, "{pattern} `{}`: {reason}", self.name())?;
        if let Some(cause) = self.cause() {
            write!(f, " ({cause})")?;
        }
        if let Some((cost, capacity)) = self.cost_and_capacity() {
            if self.pattern() == Some("spend") {
                // Of money it is in hundredths.
                let [cost, most] = [cost, capacity].map(|of| (of / 100, of % 100));
                write!(
                    f,
                    " (it costs {}.{:02} of at most {}.{:02})",
                    cost.0, cost.1, most.0, most.1
                )?;
            } else {
                write!(f, " ({cost} of at most {capacity})")?;
            }
        }
        if let Some(figure) = self.figure() {
            write!(f, " ({figure})")?;
        }
        if let Some(number) = self.reference() {
            write!(f, " (number {number})")?;
        }
        if let Some(wait) = self.retry_after() {
            write!(f, "; retry in {}", Wait(wait))?;
        }
        f.write_str(match self.sent() {
            Sent::No => "; nothing was sent",
            Sent::Maybe => "; the request may have been sent",
        })
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejection")
            .field("reason", &self.reason())
            .field("name", &self.name())
            .field("cause", &self.cause())
            .field("figure", &self.figure())
            .field("reference", &self.reference())
            .field("retry_after", &self.retry_after())
            .field("sent", &self.sent())
            .finish()
    }
}

impl std::error::Error for Rejection {}

#[cfg(test)]
mod tests;
