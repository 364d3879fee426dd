//! Rules by which bodies are classified, as data.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::response::Parts;
use seawall_core::Outcome;

use super::content::is_html;
use super::inspector::Inspector;

/// An [`Inspector`] made of rules, of which the first one that holds decides. Clones share them.
///
/// For providers that are described by data, as those in the catalogue of the crate `seawall` are, and
/// where a closure would do little more than look for a few words.
///
/// ```
/// use std::time::Duration;
/// use http::{Response, StatusCode};
/// use seawall_core::{Outcome, Scope};
/// use seawall_http::inspect::{BodyRule, BodyRules, Inspector};
///
/// let wait = Some(Duration::from_secs(5));
/// let throttled = Outcome::Throttled { retry_after: wait, scope: Scope::Account };
/// let rules: BodyRules = [
///     BodyRule::new(throttled).first_key("error").before("]").contains(":Rate limit exceeded"),
///     BodyRule::new(Outcome::Banned { lasts: None }).first_key("error").contains("lockout"),
/// ]
/// .into_iter()
/// .collect();
///
/// let (head, ()) = Response::new(()).into_parts();
/// let body = br#"{"error": ["EAPI:Rate limit exceeded"]}"#;
/// assert_eq!(rules.inspect(&head, body), Some(throttled));
/// assert_eq!(rules.inspect(&head, br#"{"error": [], "result": {}}"#), None);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BodyRules {
    // `None` where there are none, so that clones share nothing.
    rules: Option<Arc<[BodyRule]>>,
}

impl BodyRules {
    /// Whether there is no rule.
    pub const fn is_empty(&self) -> bool {
        self.rules.is_none()
    }

    /// Whether a rule is about text that is no JSON.
    pub(super) fn read_text(&self) -> bool {
        self.iter()
            .any(|rule| rule.is_html || !rule.begins_with.is_empty())
    }

    fn iter(&self) -> impl Iterator<Item = &BodyRule> {
        self.rules.iter().flat_map(|rules| rules.iter())
    }
}

impl FromIterator<BodyRule> for BodyRules {
    fn from_iter<I: IntoIterator<Item = BodyRule>>(rules: I) -> Self {
        let rules: Arc<[BodyRule]> = rules.into_iter().collect();
        Self {
            rules: (!rules.is_empty()).then_some(rules),
        }
    }
}

impl Inspector for BodyRules {
    fn inspect(&self, head: &Parts, body: &[u8]) -> Option<Outcome> {
        self.iter().find_map(|rule| rule.outcome_of(head, body))
    }
}

/// What a response means whose status and body are like this; see [`BodyRules`].
///
/// Every kind of condition that is named must hold; of several conditions of one kind, one must.
/// Without any condition it holds for every response whose body is read. Text is compared in any
/// case. A text in quotes is only found as a complete JSON string, since quotes within a string are
/// escaped.
#[must_use]
#[derive(Clone, Debug, PartialEq)]
pub struct BodyRule {
    outcome: Outcome,
    statuses: Vec<StatusCode>,
    is_html: bool,
    first_keys: Vec<String>,
    before: Option<String>,
    contains: Vec<String>,
    begins_with: Vec<String>,
    reads_wait: bool,
}

impl BodyRule {
    /// A rule without conditions yet.
    pub const fn new(outcome: Outcome) -> Self {
        Self {
            outcome,
            statuses: Vec::new(),
            is_html: false,
            first_keys: Vec::new(),
            before: None,
            contains: Vec::new(),
            begins_with: Vec::new(),
            reads_wait: false,
        }
    }

    /// The status is this one.
    pub fn status(mut self, status: StatusCode) -> Self {
        self.statuses.push(status);
        self
    }

    /// The content type is `text/html`.
    pub const fn html(mut self) -> Self {
        self.is_html = true;
        self
    }

    /// The body is a JSON object that begins with this key, in exactly this case.
    pub fn first_key(mut self, key: impl Into<String>) -> Self {
        self.first_keys.push(key.into());
        self
    }

    /// Only what comes before the first `end` is searched by [`contains`](Self::contains): the
    /// errors of a list, and not the data behind it.
    pub fn before(mut self, end: impl Into<String>) -> Self {
        self.before = Some(end.into());
        self
    }

    /// The body contains this.
    pub fn contains(mut self, text: impl Into<String>) -> Self {
        self.contains.push(text.into());
        self
    }

    /// The body begins with this, but for white space.
    pub fn begins_with(mut self, text: impl Into<String>) -> Self {
        self.begins_with.push(text.into());
        self
    }

    /// The time to stay away is the first one in words behind what the body
    /// [contains](Self::contains), "try again in 9 minutes"; of throttles alone. Where there is
    /// none, the time of the outcome counts.
    pub const fn wait_in_words(mut self) -> Self {
        self.reads_wait = true;
        self
    }

    fn outcome_of(&self, head: &Parts, body: &[u8]) -> Option<Outcome> {
        let has_status = self.statuses.is_empty() || self.statuses.contains(&head.status);
        if !has_status || (self.is_html && !is_html(&head.headers)) {
            return None;
        }
        let first_key = || self.first_keys.iter().any(|key| has_first_key(body, key));
        let begins = || self.begins_with.iter().any(|text| begins(body, text));
        if !(self.first_keys.is_empty() || first_key())
            || !(self.begins_with.is_empty() || begins())
        {
            return None;
        }
        let searched = self.before.as_ref().and_then(|end| {
            let end = find(body, end)?;
            body.get(..end)
        });
        let searched = searched.unwrap_or(body);
        if self.contains.is_empty() {
            return Some(self.outcome);
        }
        let at = self.contains.iter().find_map(|text| find(searched, text))?;
        Some(self.with_wait(searched.get(at..).unwrap_or_default()))
    }

    /// The outcome, with the time in words that is in `text`.
    fn with_wait(&self, text: &[u8]) -> Outcome {
        match self.outcome {
            Outcome::Throttled { retry_after, scope } if self.reads_wait => Outcome::Throttled {
                retry_after: wait_in_words(text).or(retry_after),
                scope,
            },
            outcome => outcome,
        }
    }
}

/// Whether `body` is an object that begins with `key`.
fn has_first_key(body: &[u8], key: &str) -> bool {
    let object = body.trim_ascii_start().strip_prefix(b"{");
    let text = object.and_then(|object| object.trim_ascii_start().strip_prefix(b"\""));
    let rest = text.and_then(|text| text.strip_prefix(key.as_bytes()));
    rest.is_some_and(|rest| rest.first() == Some(&b'"'))
}

/// Where `text` contains `part`, in any case.
fn find(text: &[u8], part: &str) -> Option<usize> {
    let part = part.as_bytes();
    if part.is_empty() {
        return Some(0);
    }
    text.windows(part.len())
        .position(|window| window.eq_ignore_ascii_case(part))
}

fn begins(body: &[u8], text: &str) -> bool {
    let body = body.trim_ascii_start();
    body.get(..text.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(text.as_bytes()))
}

/// The first time in a text: "9 minutes", "1 second".
fn wait_in_words(text: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(text).ok()?;
    let mut number = None::<u64>;
    for word in text.split(|c: char| !c.is_ascii_alphanumeric()) {
        if let Some(n) = number {
            let unit = word.strip_suffix('s').unwrap_or(word);
            let per_unit = match unit {
                "millisecond" => Some(Duration::from_millis(1)),
                "second" => Some(Duration::from_secs(1)),
                "minute" => Some(Duration::from_secs(60)),
                "hour" => Some(Duration::from_secs(3_600)),
                _ => None,
            };
            if let Some(unit) = per_unit {
                return Some(unit.saturating_mul(u32::try_from(n).unwrap_or(u32::MAX)));
            }
        }
        number = word.parse().ok();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Response;
    use seawall_core::Scope;

    const BAN: Outcome = Outcome::Banned { lasts: None };

    fn head(status: u16, content_type: &str) -> Parts {
        let response = Response::builder()
            .status(status)
            .header("content-type", content_type);
        response.body(()).expect("valid").into_parts().0
    }

    fn holds(rule: BodyRule, status: u16, content_type: &str, body: &str) -> bool {
        let rules: BodyRules = [rule].into_iter().collect();
        rules.inspect(&head(status, content_type), body.as_bytes()) == Some(BAN)
    }

    #[test]
    fn every_kind_of_condition_must_hold_and_one_of_each_kind() {
        let json = "application/json";
        let rule = || {
            BodyRule::new(BAN)
                .status(StatusCode::OK)
                .status(StatusCode::FORBIDDEN)
                .first_key("error")
                .contains("LOCKED")
                .contains("banned")
        };
        assert!(holds(
            rule(),
            200,
            json,
            r#" { "error": "account Banned" }"#
        ));
        assert!(holds(rule(), 403, json, r#"{"error":"locked"}"#));
        assert!(!holds(rule(), 429, json, r#"{"error":"locked"}"#));
        assert!(!holds(rule(), 200, json, r#"{"errors":"locked"}"#));
        assert!(!holds(rule(), 200, json, r#"{"error":"slow down"}"#));
        assert!(!holds(rule(), 200, json, r#"{"data":1,"error":"locked"}"#));
        for other in ["", "{", "{\"error", "[]", "[\"locked\"]", "locked"] {
            assert!(!holds(rule(), 200, json, other), "{other}");
        }
    }

    #[test]
    fn text_is_compared_at_its_beginning_and_by_its_type() {
        let edge = || BodyRule::new(BAN).begins_with("Too Many Requests");
        assert!(holds(edge(), 200, "text/plain", "\r\n too many requests"));
        assert!(!holds(edge(), 200, "text/plain", "Not Too Many Requests"));
        assert!(!holds(edge(), 200, "text/plain", "Too Many"));
        let page = || BodyRule::new(BAN).html().contains("Threshold Exceeded");
        assert!(holds(
            page(),
            403,
            "text/html; charset=utf-8",
            "<p>Threshold exceeded"
        ));
        assert!(!holds(page(), 403, "text/plain", "Threshold Exceeded"));
    }

    #[test]
    fn a_list_is_searched_to_its_end_and_a_quoted_text_is_a_whole_string() {
        let rule = || BodyRule::new(BAN).before("]").contains("\"locked\"");
        let json = "application/json";
        assert!(holds(
            rule(),
            200,
            json,
            r#"{"error":["locked"],"result":1}"#
        ));
        assert!(!holds(
            rule(),
            200,
            json,
            r#"{"error":[],"result":["locked"]}"#
        ));
        assert!(!holds(rule(), 200, json, r#"{"error":["say \"locked\""]}"#));
        assert!(holds(rule(), 200, json, r#"{"error":"locked"}"#), "no list");
    }

    #[test]
    fn a_wait_in_words_is_read_behind_what_was_found() {
        let throttled = |seconds| Outcome::Throttled {
            retry_after: Some(Duration::from_secs(seconds)),
            scope: Scope::Endpoint,
        };
        let rule = BodyRule::new(throttled(7))
            .contains("RATELIMIT")
            .wait_in_words();
        let rules: BodyRules = [rule].into_iter().collect();
        let found = |body: &str| rules.inspect(&head(200, "application/json"), body.as_bytes());
        let text = r#"{"2 hours ago": [["RATELIMIT", "try again in 9 minutes."]]}"#;
        assert_eq!(found(text), Some(throttled(540)));
        let second = r#"["RATELIMIT", "Take a break for 1 second before trying again."]"#;
        assert_eq!(found(second), Some(throttled(1)));
        let short = r#"["RATELIMIT", "Take a break for 3000 milliseconds"]"#;
        assert_eq!(found(short), Some(throttled(3)));
        for nothing in [
            r#"["RATELIMIT", "later"]"#,
            r#"["RATELIMIT", "3 deep breaths"]"#,
        ] {
            assert_eq!(found(nothing), Some(throttled(7)));
        }
        assert_eq!(found(r#"["OTHER", "in 9 minutes"]"#), None);
        let huge = format!(r#"["RATELIMIT", "in {} hours"]"#, u64::MAX);
        assert!(matches!(found(&huge), Some(Outcome::Throttled { .. })));
    }

    #[test]
    fn the_first_rule_that_holds_decides_and_without_rules_nothing_is_found() {
        let rules: BodyRules = [
            BodyRule::new(Outcome::Ignored).contains("premium"),
            BodyRule::new(BAN),
        ]
        .into_iter()
        .collect();
        let head = head(200, "application/json");
        assert_eq!(
            rules.inspect(&head, b"a premium endpoint"),
            Some(Outcome::Ignored)
        );
        assert_eq!(rules.inspect(&head, b"anything"), Some(BAN));
        let none: BodyRules = std::iter::empty().collect();
        assert!(none.is_empty() && !rules.is_empty());
        assert_eq!(none.inspect(&head, b"anything"), None);
    }
}
