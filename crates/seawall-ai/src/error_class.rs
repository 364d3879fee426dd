//! What an error of an AI API means, and what to do about it.

use http::StatusCode;

/// What kind of error an AI API has reported.
///
/// The variants are in the order in which they are looked for: a message about money also speaks of a
/// rate limit.
///
/// | class | [`fault`](Self::fault) | again, after a wait | another key | another model | vote |
/// |---|---|---|---|---|---|
/// | [`Credential`](Self::Credential) | account | no | yes | yes | no |
/// | [`QuotaExhausted`](Self::QuotaExhausted) | account | no | yes | yes | no |
/// | [`ContextLength`](Self::ContextLength) | request | no | no | yes | no |
/// | [`ContentPolicy`](Self::ContentPolicy) | request | no | no | no | no |
/// | [`ModelUnavailable`](Self::ModelUnavailable) | account | no | yes | yes | no |
/// | [`RateLimit`](Self::RateLimit) | account | yes | yes | yes | no |
/// | [`Overload`](Self::Overload) | provider | yes | no | yes | yes |
/// | [`Server`](Self::Server) | provider | yes | yes | yes | yes |
/// | [`Network`](Self::Network) | provider | yes | yes, but after a time-out | yes | yes |
/// | [`InvalidRequest`](Self::InvalidRequest) | request | no | no | no | no |
///
/// What a response says for itself goes before that: see [`ApiError`](crate::ApiError).
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorClass {
    /// The key is wrong, revoked or not allowed to do that. Not a 403 that does not say so: a firewall
    /// or a moderation forbids one prompt with the same status.
    Credential,
    /// The money or the quota of the account is used up; no wait of seconds helps.
    QuotaExhausted,
    /// The request is longer than the model reads, or than its account may send at once.
    ContextLength,
    /// The provider refuses the content of the prompt or of the response.
    ContentPolicy,
    /// The model does not exist, is retired, or is not open to this account or its region.
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
    /// Not where the provider has no capacity: its other keys share that. After a time-out a
    /// [router](crate::route) asks another provider, since the next key may be as silent.
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

    /// The status of a response of this class, where nothing names another.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Credential => StatusCode::UNAUTHORIZED,
            Self::QuotaExhausted | Self::RateLimit => StatusCode::TOO_MANY_REQUESTS,
            Self::ContextLength | Self::ContentPolicy | Self::InvalidRequest => {
                StatusCode::BAD_REQUEST
            }
            Self::ModelUnavailable => StatusCode::NOT_FOUND,
            Self::Overload => StatusCode::SERVICE_UNAVAILABLE,
            Self::Server => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Network => StatusCode::GATEWAY_TIMEOUT,
        }
    }
}

impl std::fmt::Display for ErrorClass {
    /// The class in words.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text())
    }
}

impl ErrorClass {
    /// The class in words.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Credential => "the key is not accepted",
            Self::QuotaExhausted => "money or quota is used up",
            Self::ContextLength => "the request is too long",
            Self::ContentPolicy => "the content is refused",
            Self::ModelUnavailable => "the model is not available",
            Self::RateLimit => "the rate limit is reached",
            Self::Overload => "the provider is overloaded",
            Self::Server => "the provider failed",
            Self::Network => "the connection failed or timed out",
            Self::InvalidRequest => "the request is not valid",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_the_variants_and_nothing_is_missing() {
        assert!(ErrorClass::ALL.is_sorted());
        let words: std::collections::HashSet<_> =
            ErrorClass::ALL.iter().map(|class| class.as_str()).collect();
        assert_eq!(words.len(), ErrorClass::ALL.len());
    }

    #[test]
    fn only_failures_of_the_provider_vote_and_content_is_never_taken_elsewhere() {
        for class in ErrorClass::ALL {
            assert_eq!(class.is_failure(), class.fault() == Fault::Provider);
            // What fails with this request fails with any key.
            let request = class.fault() == Fault::Request;
            assert!(
                !(request && class.may_succeed_with_another_key()),
                "{class:?}"
            );
            assert!(class.status().as_u16() >= 400);
        }
        assert!(!ErrorClass::ContentPolicy.may_succeed_with_another_model());
        assert!(ErrorClass::ContextLength.may_succeed_with_another_model());
        assert!(!ErrorClass::Overload.may_succeed_with_another_key());
    }
}
