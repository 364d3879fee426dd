//! What a request is: whether it may be sent twice, what it costs, how much it matters.

use tokio::time::Instant;

use crate::{Operation, PartitionKey};

/// Whether a request may be sent a second time.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Replay {
    /// Sending it twice has the effect of sending it once, which is none: reads. It may also be answered by
    /// something else than the upstream, such as a cache or a fallback.
    Safe,
    /// Sending it twice has the effect of sending it once, and it has one: a cancel, a deletion. Only the
    /// upstream answers it: whatever else says "done" says what has not happened.
    SafeWithEffect,
    /// The upstream recognises a second copy by a key in it and responses with the first result.
    SafeWithKey,
    /// A second copy may be executed a second time: an order. Sent once, unless it is certain
    /// that the first copy never left.
    #[default]
    Never,
}

impl Replay {
    /// Whether a request whose fate is unknown may be sent again.
    pub const fn is_safe(self) -> bool {
        matches!(self, Self::Safe | Self::SafeWithEffect | Self::SafeWithKey)
    }

    /// Whether a request has no effect, and may be answered by something else than the upstream.
    pub const fn is_read(self) -> bool {
        matches!(self, Self::Safe)
    }
}

/// How much a request matters beside others, from 0 (first to go) to 255 (last to go).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(pub u8);

impl Priority {
    /// Background work.
    pub const LOW: Self = Self(64);
    /// Requests without a priority of their own.
    pub const NORMAL: Self = Self(128);
    /// Work that is waited for: cancels, closing orders.
    pub const HIGH: Self = Self(192);
    /// From here on a call may use the tokens that a rate limit reserves for such calls, and goes before
    /// every other one in its queue.
    pub const RESERVED: Self = Self(200);

    /// The same among those that may use reserved tokens: [normal](Self::NORMAL) becomes
    /// [`RESERVED`](Self::RESERVED), and what is higher stays higher. Background work, which is below
    /// normal, may not use them and stays as it is.
    ///
    /// ```
    /// use seawall_core::Priority;
    ///
    /// assert_eq!(Priority::NORMAL.reserved(), Priority::RESERVED);
    /// assert!(Priority::HIGH.reserved() > Priority::NORMAL.reserved());
    /// assert_eq!(Priority::LOW.reserved(), Priority::LOW);
    /// ```
    #[must_use]
    pub const fn reserved(self) -> Self {
        let (normal, reserved) = (Self::NORMAL.0 as u16, Self::RESERVED.0 as u16);
        match (self.0 as u16).checked_sub(normal) {
            // At most 255: the steps above normal are spread over those above reserved.
            Some(above) => Self((reserved + above * (255 - reserved) / (255 - normal)) as u8),
            None => self,
        }
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self::NORMAL
    }
}

/// Tokens of an AI model, in and out.
///
/// Providers limit them together or apart; what a response will take is not known before it is
/// there, so a limit takes an estimate and corrects it by what the response says.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TokenCount {
    /// Read by the model: the prompt.
    pub input: u32,
    /// Written by the model: the response, at most `max_tokens` of the request.
    pub output: u32,
}

impl TokenCount {
    /// No tokens.
    pub const NONE: Self = Self::new(0, 0);

    /// So many read and so many written.
    pub const fn new(input: u32, output: u32) -> Self {
        Self { input, output }
    }

    /// Both together; saturates.
    pub const fn total(self) -> u32 {
        self.input.saturating_add(self.output)
    }
}

/// What the layers know of one request.
///
/// ```
/// use seawall_core::{RequestMeta, Replay};
///
/// let quote = RequestMeta::new(Replay::Safe).with_cost(2);
/// assert_eq!(quote.cost, 2);
/// assert_eq!(RequestMeta::default().replay, Replay::Never);
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestMeta {
    /// Whether the request may be sent twice.
    pub replay: Replay,
    /// What it costs of a rate limit, in the limiter's units; 0 is free.
    pub cost: u32,
    /// How many tokens of an AI model it is expected to use.
    pub tokens: TokenCount,
    /// How much it matters.
    pub priority: Priority,
    /// What it belongs to.
    pub key: PartitionKey,
    /// When its response is no longer of use.
    pub deadline: Option<Instant>,
    /// What it does, for metrics.
    pub operation: Operation,
}

impl Default for RequestMeta {
    fn default() -> Self {
        Self::new(Replay::default())
    }
}

impl RequestMeta {
    /// A request of cost 1 and normal priority, without key and deadline.
    pub const fn new(replay: Replay) -> Self {
        Self {
            replay,
            cost: 1,
            tokens: TokenCount::NONE,
            priority: Priority::NORMAL,
            key: PartitionKey(0),
            deadline: None,
            operation: Operation::OTHER,
        }
    }

    /// A request that may be sent again: sending it twice has the effect of sending it once, as
    /// reads have and deletions. Short for [`new`](Self::new) with [`Replay::Safe`].
    pub const fn idempotent() -> Self {
        Self::new(Replay::Safe)
    }

    /// A request that must be executed at most once, such as an order: the default. Short for
    /// [`new`](Self::new) with [`Replay::Never`].
    pub const fn non_idempotent() -> Self {
        Self::new(Replay::Never)
    }

    /// Sets the cost.
    #[must_use]
    pub const fn with_cost(mut self, cost: u32) -> Self {
        self.cost = cost;
        self
    }

    /// Sets how many tokens of an AI model the request is expected to use.
    #[must_use]
    pub const fn with_tokens(mut self, tokens: TokenCount) -> Self {
        self.tokens = tokens;
        self
    }

    /// Sets the priority.
    #[must_use]
    pub const fn with_priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Sets the key.
    #[must_use]
    pub const fn with_key(mut self, key: PartitionKey) -> Self {
        self.key = key;
        self
    }

    /// Sets what the request does.
    #[must_use]
    pub const fn with_operation(mut self, operation: Operation) -> Self {
        self.operation = operation;
        self
    }

    /// Sets the deadline.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }
}

/// Says what a request is. Closures and `fn` pointers `Fn(&Req) -> RequestMeta` are describers.
///
/// ```
/// use seawall_core::{Describe, RequestMeta, Replay};
///
/// fn by_verb(request: &&str) -> RequestMeta {
///     RequestMeta::new(if request.starts_with("GET") { Replay::Safe } else { Replay::Never })
/// }
/// assert_eq!(by_verb.describe(&"GET /quotes").replay, Replay::Safe);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not describe requests of type `{Req}`",
    label = "not a describer of this service's requests",
    note = "a describer is a `fn(&Request) -> RequestMeta`, a closure of that shape, `ConstMeta`, or a type that implements `Describe`"
)]
pub trait Describe<Req: ?Sized> {
    /// Whether this is no description at all, as [`DefaultMeta`] is; `false` unless implemented.
    ///
    /// Retry and hedge warn when they make no further attempt for this reason alone.
    const IS_DEFAULT: bool = false;

    /// What `request` is. Called once per layer and call, on the hot path.
    fn describe(&self, request: &Req) -> RequestMeta;
}

#[diagnostic::do_not_recommend]
impl<F, Req: ?Sized> Describe<Req> for F
where
    F: Fn(&Req) -> RequestMeta,
{
    fn describe(&self, request: &Req) -> RequestMeta {
        self(request)
    }
}

/// The default describer: every request costs 1 and is never sent twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DefaultMeta;

impl<Req: ?Sized> Describe<Req> for DefaultMeta {
    const IS_DEFAULT: bool = true;

    fn describe(&self, _: &Req) -> RequestMeta {
        RequestMeta::default()
    }
}

/// A describer that says the same of every request.
///
/// ```
/// use seawall_core::{ConstMeta, Describe, RequestMeta, Replay};
///
/// let reads_only = ConstMeta(RequestMeta::new(Replay::Safe));
/// assert!(reads_only.describe("anything").replay.is_safe());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConstMeta(pub RequestMeta);

impl<Req: ?Sized> Describe<Req> for ConstMeta {
    fn describe(&self, _: &Req) -> RequestMeta {
        self.0
    }
}
