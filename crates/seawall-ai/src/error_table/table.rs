//! A table of rules.

use std::sync::Arc;

use http::response::Parts;
use http::{HeaderMap, StatusCode};
use seawall_core::Outcome;
use seawall_http::HttpClassifier;
use seawall_http::inspect::Inspector;

use super::api_error::ApiError;
use super::providers;
use super::reading::ErrorText;
use super::rule::ErrorRule;
use crate::error_class::ErrorClass;

/// Classifies the errors of an AI API by rules, as data. Clones share them.
///
/// The rules of codes and messages are looked through first, then those of types, which are wider,
/// then those of the status alone: each in the order of [`ErrorClass::ALL`]. The first that holds
/// decides. So a 429 whose body says that the money is gone is no rate limit, and one whose body is
/// cut off or a page of a proxy is one.
/// Where no rule holds, a 4xx is [`ErrorClass::InvalidRequest`] and any other is [`ErrorClass::Server`].
///
/// A table is an [`Inspector`], so a stack learns from it what a body says:
///
/// ```
/// use seawall_ai::ErrorTable;
/// use seawall_http::inspect::InspectLayer;
///
/// let layer = InspectLayer::new(16 * 1024, ErrorTable::anthropic());
/// // or, of a stack: `seawall::provider("anthropic")?.build()?.inspect(ErrorTable::anthropic())`
/// # let _ = layer;
/// ```
///
/// It can be asked directly, too, for a response or for an `error` event of a stream:
///
/// ```
/// use http::{HeaderMap, StatusCode};
/// use seawall_ai::{ErrorClass, ErrorTable};
///
/// let table = ErrorTable::anthropic();
/// let body = br#"{"type":"error","error":{"type":"invalid_request_error",
///     "message":"Your credit balance is too low to access the Anthropic API."}}"#;
/// let error = table.classify(StatusCode::BAD_REQUEST, &HeaderMap::new(), body);
/// assert_eq!(error.class, ErrorClass::QuotaExhausted);
/// assert!(!error.may_retry());
///
/// let event = br#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
/// let error = table.classify_event(event);
/// assert_eq!((error.class, error.status.as_u16()), (ErrorClass::Overload, 529));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorTable {
    rules: Arc<[ErrorRule]>,
}

impl ErrorTable {
    /// The errors of OpenAI.
    pub fn openai() -> Self {
        let rules = providers::openai();
        rules.into_iter().chain(providers::by_status()).collect()
    }

    /// The errors of Anthropic.
    pub fn anthropic() -> Self {
        let rules = providers::anthropic();
        rules.into_iter().chain(providers::by_status()).collect()
    }

    /// The errors of servers and gateways that are compatible with OpenAI or Anthropic: theirs, and
    /// those that only other servers have.
    pub fn compatible() -> Self {
        let rules = providers::openai().into_iter();
        let rules = rules.chain(providers::anthropic());
        let rules = rules.chain(providers::compatible());
        rules.chain(providers::by_status()).collect()
    }

    /// What the status alone says, to build a table of one's own on.
    pub fn by_status() -> Self {
        providers::by_status().into_iter().collect()
    }

    /// Adds a rule.
    #[must_use]
    pub fn rule(self, rule: ErrorRule) -> Self {
        let rules = self.rules.iter().cloned();
        rules.chain([rule]).collect()
    }

    /// The rules, in the order in which they are looked through.
    pub fn rules(&self) -> impl Iterator<Item = &ErrorRule> {
        self.rules.iter()
    }

    /// Classifies a response that is an error, by its head and as much as there is of its body: it
    /// may be cut off, empty, or no text.
    pub fn classify(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ApiError {
        self.find(Some(status), headers, &ErrorText::read(body))
    }

    /// Classifies the data of an `error` event of a stream, or of a chunk that has an `error`.
    pub fn classify_event(&self, data: &[u8]) -> ApiError {
        self.find(None, &HeaderMap::new(), &ErrorText::read(data))
    }

    /// The same, of a stream whose response has these headers.
    pub(crate) fn find(
        &self,
        status: Option<StatusCode>,
        headers: &HeaderMap,
        text: &ErrorText,
    ) -> ApiError {
        let rule = self.rules.iter().find(|rule| rule.holds(status, text));
        let class = match (rule, status) {
            (Some(rule), _) => rule.class(),
            (None, Some(status)) if status.is_client_error() => ErrorClass::InvalidRequest,
            (None, _) => ErrorClass::Server,
        };
        let usual = || rule.and_then(ErrorRule::first_status);
        let status = status.or_else(usual).unwrap_or_else(|| class.status());
        let waits = HttpClassifier::new();
        let retry_after = match class {
            ErrorClass::QuotaExhausted => waits.ban_wait(headers),
            _ => waits.throttle_wait(status, headers),
        };
        ApiError {
            class,
            status,
            retry_after,
            should_retry: should_retry(headers),
            is_explained: rule.is_some_and(ErrorRule::reads_body),
        }
    }
}

impl Default for ErrorTable {
    /// That of [`compatible`](Self::compatible) servers.
    fn default() -> Self {
        Self::compatible()
    }
}

impl FromIterator<ErrorRule> for ErrorTable {
    fn from_iter<I: IntoIterator<Item = ErrorRule>>(rules: I) -> Self {
        let mut rules: Vec<_> = rules.into_iter().collect();
        rules.sort_by_key(|rule| (rule.width(), rule.class()));
        Self {
            rules: rules.into(),
        }
    }
}

impl Inspector for ErrorTable {
    /// What the body says; `None` where the status says it all, so that rules of the status are
    /// applied. A body of a success is an error where it begins as one.
    fn inspect(&self, head: &Parts, body: &[u8]) -> Option<Outcome> {
        let is_error = head.status.is_client_error() || head.status.is_server_error();
        if !is_error && !begins_as_error(body) {
            return None;
        }
        let status = is_error.then_some(head.status);
        let error = self.find(status, &head.headers, &ErrorText::read(body));
        (error.is_explained || !is_error).then(|| error.outcome())
    }
}

/// Whether a body of a success begins with `{"error": {`, `{"error": "` or `{"type": "error"`.
fn begins_as_error(body: &[u8]) -> bool {
    let object = after(body, "{");
    let value = |key| object.and_then(|rest| after(after(rest, key)?, ":"));
    let is_error = |rest: &[u8]| matches!(rest.first(), Some(b'{' | b'"'));
    value("\"error\"").is_some_and(is_error)
        || value("\"type\"").is_some_and(|rest| rest.starts_with(b"\"error\""))
}

/// What follows `token`, where `text` begins with it, without white space.
fn after<'a>(text: &'a [u8], token: &str) -> Option<&'a [u8]> {
    let rest = text.trim_ascii_start().strip_prefix(token.as_bytes())?;
    Some(rest.trim_ascii_start())
}

/// What the API says for itself about another attempt.
fn should_retry(headers: &HeaderMap) -> Option<bool> {
    match headers.get("x-should-retry")?.as_bytes() {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    }
}
