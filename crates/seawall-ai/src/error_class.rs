//! What an error of an AI API means, and what to do about it.

/// What kind of error an AI API has reported.
///
/// The variants are in the order in which they are looked for: a message about money also speaks of a
/// rate limit.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The key is wrong, revoked or not allowed to do that.
    Credential,
    /// The money or the quota of the account is used up; no wait of seconds helps.
    QuotaExhausted,
    /// The prompt is longer than the model reads.
    ContextLength,
    /// The provider refuses the content of the prompt or of the response.
    ContentPolicy,
    /// The model does not exist, is retired, or is not open to this account.
    ModelUnavailable,
    /// More requests or tokens than the limits of this key or account allow.
    RateLimit,
    /// The provider has no capacity, for anybody.
    Overload,
    /// The provider failed.
    Server,
    /// The connection failed, or no response came in time.
    Network,
    /// The request is wrong, for a reason that is none of the others.
    InvalidRequest,
}

/// Whose error it is.
// Exhaustive: a caller that routes has a case for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The request: it fails everywhere.
    Request,
    /// The key or its account: another key may do.
    Account,
    /// The provider, or what lies before it.
    Provider,
}

impl ErrorClass {
    /// Every class, in the order in which they are looked for.
    pub const ALL: [Self; 10] = [
        Self::Credential,
        Self::QuotaExhausted,
        Self::ContextLength,
        Self::ContentPolicy,
        Self::ModelUnavailable,
        Self::RateLimit,
        Self::Overload,
        Self::Server,
        Self::Network,
        Self::InvalidRequest,
    ];

    /// The class as a label value of metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Credential => "credential",
            Self::QuotaExhausted => "quota_exhausted",
            Self::ContextLength => "context_length",
            Self::ContentPolicy => "content_policy",
            Self::ModelUnavailable => "model_unavailable",
            Self::RateLimit => "rate_limit",
            Self::Overload => "overload",
            Self::Server => "server",
            Self::Network => "network",
            Self::InvalidRequest => "invalid_request",
        }
    }

    /// Whose error it is.
    pub const fn fault(self) -> Fault {
        match self {
            Self::ContextLength | Self::ContentPolicy | Self::InvalidRequest => Fault::Request,
            Self::Credential | Self::QuotaExhausted | Self::ModelUnavailable | Self::RateLimit => {
                Fault::Account
            }
            Self::Overload | Self::Server | Self::Network => Fault::Provider,
        }
    }

    /// Whether the same request may succeed with the same key, after a wait.
    pub const fn is_transient(self) -> bool {
        matches!(
            self,
            Self::RateLimit | Self::Overload | Self::Server | Self::Network
        )
    }

    /// Whether the same model may respond to another key or account.
    ///
    /// Not where the provider has no capacity: its other keys share that.
    pub const fn may_succeed_with_another_key(self) -> bool {
        matches!(self.fault(), Fault::Account) || matches!(self, Self::Server | Self::Network)
    }

    /// Whether another model, or the same at another provider, may respond.
    ///
    /// A prompt that is too long may fit into another model. Content that a provider refuses is not
    /// taken elsewhere: that would be a way around the refusal.
    pub const fn may_succeed_with_another_model(self) -> bool {
        !matches!(self, Self::ContentPolicy | Self::InvalidRequest)
    }

    /// Whether it is a failure of the provider, which counts for a breaker.
    pub const fn is_failure(self) -> bool {
        matches!(self.fault(), Fault::Provider)
    }
}
