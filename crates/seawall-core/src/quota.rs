//! What an upstream reports about its limits: one vocabulary for the code that reads it (headers,
//! bodies) and the code that acts on it (rate limits).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::Scope;

/// What a limit counts.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Each request as one.
    Requests,
    /// What a request weighs: [`RequestMeta::cost`](crate::RequestMeta), 1 unless it says otherwise.
    #[default]
    Cost,
    /// Tokens of an AI model, read and written: [`TokenCount::total`](crate::TokenCount::total).
    Tokens,
    /// Tokens that an AI model reads.
    InputTokens,
    /// Tokens that an AI model writes.
    OutputTokens,
    /// Anything else, by a name of your own: `"orders"`.
    Other(&'static str),
}

impl Unit {
    /// The unit as a label value of metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Cost => "cost",
            Self::Tokens => "tokens",
            Self::InputTokens => "input_tokens",
            Self::OutputTokens => "output_tokens",
            Self::Other(name) => name,
        }
    }
}

/// What an upstream reports about the state of one of its limits.
///
/// Every field may be missing: many providers report only some of them.
///
/// ```
/// use std::time::Duration;
/// use seawall_core::{ServerLimit, Unit};
///
/// let tokens = ServerLimit::new(Unit::Tokens)
///     .with_remaining(1_200)
///     .with_resets_in(Duration::from_secs(6));
/// assert_eq!(tokens.remaining, Some(1_200));
/// assert_eq!(tokens.limit, None);
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerLimit {
    /// What the limit counts.
    pub unit: Unit,
    /// The time over which it counts, where the upstream names it.
    pub window: Option<Duration>,
    /// How much is granted per window.
    pub limit: Option<u64>,
    /// How much of it is used.
    pub used: Option<u64>,
    /// How much is left.
    pub remaining: Option<u64>,
    /// When the limit is fully replenished, from now.
    pub resets_in: Option<Duration>,
}

impl ServerLimit {
    /// A limit of which nothing is known but what it counts.
    pub const fn new(unit: Unit) -> Self {
        Self {
            unit,
            window: None,
            limit: None,
            used: None,
            remaining: None,
            resets_in: None,
        }
    }

    /// Sets the time over which it counts.
    #[must_use]
    pub const fn with_window(mut self, window: Duration) -> Self {
        self.window = Some(window);
        self
    }

    /// Sets how much is granted per window.
    #[must_use]
    pub const fn with_limit(mut self, limit: u64) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Sets how much is used.
    #[must_use]
    pub const fn with_used(mut self, used: u64) -> Self {
        self.used = Some(used);
        self
    }

    /// Sets how much is left.
    #[must_use]
    pub const fn with_remaining(mut self, remaining: u64) -> Self {
        self.remaining = Some(remaining);
        self
    }

    /// Sets when it is fully replenished, from now.
    #[must_use]
    pub const fn with_resets_in(mut self, resets_in: Duration) -> Self {
        self.resets_in = Some(resets_in);
        self
    }
}

/// One thing that a response reports about limits.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaSignal {
    /// The state of a limit.
    Limit(ServerLimit),
    /// Nothing is accepted for so long: a throttle.
    Pause {
        /// How long, from now; `None` when the upstream does not say.
        lasts: Option<Duration>,
        /// What it covers.
        scope: Scope,
    },
    /// Nothing is accepted for longer than a throttle asks for: a ban of this client, a quota of hours
    /// that is used up.
    Ban {
        /// How long, from now; `None` when the upstream does not say.
        lasts: Option<Duration>,
        /// What it covers.
        scope: Scope,
    },
    /// What the call really used, where that was an estimate before.
    Used {
        /// What is counted.
        unit: Unit,
        /// How much in total, not in addition to the estimate.
        amount: u64,
    },
}

/// Corrects what was estimated for one call, when its usage is known only after its response: at the
/// end of a stream.
///
/// A rate limit makes it of what the call was granted: it corrects the windows of that time, of all
/// units at once. The first correction counts, also of clones. Dropped, it leaves the estimate taken.
/// A bucket gives back what has not flowed in since; a strict limit gives back all of it.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use seawall_core::{LateUsage, Unit};
///
/// let log = Arc::new(Mutex::new(Vec::new()));
/// let late = LateUsage::new({
///     let log = Arc::clone(&log);
///     move |used| log.lock().unwrap().extend_from_slice(used)
/// });
/// late.correct(&[(Unit::InputTokens, 9), (Unit::OutputTokens, 31)]);
/// late.clone().correct(&[(Unit::InputTokens, 9)]);
/// assert_eq!(log.lock().unwrap().len(), 2);
/// ```
#[derive(Clone)]
pub struct LateUsage(Arc<Late<Correct>>);

type Correct = dyn Fn(&[(Unit, u64)]) + Send + Sync;

struct Late<F: ?Sized> {
    done: AtomicBool,
    correct: F,
}

impl LateUsage {
    /// Corrects with this function, once; it is given how much was used in total, per unit.
    pub fn new(correct: impl Fn(&[(Unit, u64)]) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Late {
            done: AtomicBool::new(false),
            correct,
        }))
    }

    /// Corrects both: that of two limits.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::new(move |used| {
            self.correct(used);
            other.correct(used);
        })
    }

    /// So much was used in total, of each unit. What is estimated of other units stays.
    pub fn correct(&self, used: &[(Unit, u64)]) {
        if !self.0.done.swap(true, Ordering::Relaxed) {
            (self.0.correct)(used);
        }
    }
}

impl fmt::Debug for LateUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("LateUsage");
        debug.field("done", &self.0.done).finish_non_exhaustive()
    }
}

/// Reads from a result what it reports about limits.
///
/// Closures of the right shape are readers.
///
/// ```
/// use seawall_core::{QuotaSignal, ReadQuotaSignals, Unit};
///
/// struct Completion { tokens: u64 }
///
/// fn usage(result: Result<&Completion, &std::io::Error>, report: &mut dyn FnMut(QuotaSignal)) {
///     if let Ok(completion) = result {
///         report(QuotaSignal::Used { unit: Unit::Tokens, amount: completion.tokens });
///     }
/// }
///
/// let mut signals = Vec::new();
/// usage.read_signals(Ok(&Completion { tokens: 7 }), &mut |signal| signals.push(signal));
/// assert_eq!(signals, [QuotaSignal::Used { unit: Unit::Tokens, amount: 7 }]);
/// ```
pub trait ReadQuotaSignals<Res, Err> {
    /// Calls `report` for each signal in `result`. Called once per result.
    fn read_signals(&self, result: Result<&Res, &Err>, report: &mut dyn FnMut(QuotaSignal));

    /// Hands on what corrects the estimate of this call, to where its usage becomes known: for a
    /// response that has it at the end of its stream. Called once per response, after
    /// [`read_signals`](Self::read_signals). Does nothing by default.
    fn attach_late_usage(&self, response: &mut Res, late: &mut dyn FnMut() -> LateUsage) {
        let _ = (response, late);
    }
}

impl<F, Res, Err> ReadQuotaSignals<Res, Err> for F
where
    F: Fn(Result<&Res, &Err>, &mut dyn FnMut(QuotaSignal)),
{
    fn read_signals(&self, result: Result<&Res, &Err>, report: &mut dyn FnMut(QuotaSignal)) {
        self(result, report);
    }
}
