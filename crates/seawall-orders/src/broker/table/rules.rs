//! What responses mean, before an order is read from them.

use http::StatusCode;
use seawall_core::InvalidConfig;

use super::pick::{Field, Paths, Picked};
use super::spec::{Meaning, ReplyRule, Text};
use crate::protocol::{DoubtCause, Operation};

/// The rules for the responses of an operation, or of queries.
#[derive(Clone, Debug)]
pub(super) struct Meanings(Vec<Rule>);

#[derive(Clone, Debug)]
struct Rule {
    means: Meaning,
    statuses: Vec<u16>,
    at: Option<Field>,
    equals: Vec<Text>,
    contains: Vec<Text>,
}

impl Meanings {
    /// The rules about `operation`, or about queries, whose paths are added to those of a response.
    pub(super) fn new(
        rules: &[ReplyRule],
        operation: Option<Operation>,
        paths: &mut Paths,
    ) -> Result<Self, InvalidConfig> {
        let about = |rule: &&ReplyRule| match operation {
            Some(operation) => rule.operation.is_none_or(|of| of == operation),
            None => rule.queries,
        };
        let rule = |rule: &ReplyRule| {
            let at = rule.at.as_deref();
            Ok(Rule {
                means: rule.means,
                statuses: rule.statuses.clone(),
                at: at.map(|path| paths.add("rule.at", path)).transpose()?,
                equals: rule.equals.clone(),
                contains: rule.contains.clone(),
            })
        };
        let all = rules.iter().filter(about).map(rule);
        all.collect::<Result<_, _>>().map(Self)
    }

    /// What a response means; `picked` is `None` where its body cannot be read.
    pub(super) fn of(&self, status: StatusCode, picked: Option<&Picked<'_>>) -> Option<Meaning> {
        let fits = |rule: &&Rule| {
            let status = status.as_u16();
            let is_status = rule.statuses.is_empty() || rule.statuses.contains(&status);
            is_status && rule.fits(picked)
        };
        self.0.iter().find(fits).map(|rule| rule.means)
    }

    /// Whether a rule names the status as one by which the broker accepts.
    pub(super) fn accept(&self, status: StatusCode) -> bool {
        self.0.iter().any(|rule| {
            matches!(rule.means, Meaning::Accepted(_)) && rule.statuses.contains(&status.as_u16())
        })
    }
}

impl Rule {
    fn fits(&self, picked: Option<&Picked<'_>>) -> bool {
        let Some(at) = &self.at else {
            return true;
        };
        let Some(text) = picked.and_then(|picked| picked.text(at)) else {
            return false;
        };
        let any = self.equals.is_empty() && self.contains.is_empty();
        any || self.equals.iter().any(|word| **word == *text)
            || self.contains.iter().any(|part| text.contains(&**part))
    }
}

/// What a status says of a request that may create or change an order, where no rule says more.
pub(super) fn by_status(status: StatusCode, is_page: bool) -> Option<Meaning> {
    match status.as_u16() {
        200..300 => None,
        429 => Some(Meaning::Throttled),
        // 408 and 425 may come from before the broker, 499 after the request passed; a conflict may
        // be about an order that exists.
        408 | 409 | 425 | 499 => Some(Meaning::Unknown),
        // A page for people is none of the broker's answers.
        400..500 if !is_page => Some(Meaning::Rejected),
        _ => Some(Meaning::Unknown),
    }
}

/// Why an outcome is unknown.
pub(super) const fn cause(status: StatusCode) -> DoubtCause {
    match status.as_u16() {
        408 | 504 => DoubtCause::Timeout,
        _ => DoubtCause::ServerError,
    }
}
