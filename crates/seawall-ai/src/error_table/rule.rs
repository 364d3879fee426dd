//! One rule of a table.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use http::StatusCode;

use super::reading::ErrorText;
use crate::error_class::ErrorClass;

/// Words that are part of the program, or of its configuration.
type Words = Vec<Cow<'static, str>>;

/// Which errors are of a class; see [`ErrorTable`](crate::ErrorTable).
///
/// Every kind of condition that is named must hold; of several conditions of one kind, one must.
/// Text is compared in any case. An error in a stream has no status, so a condition of the status
/// holds for it where there is another one.
///
/// ```
/// use http::{HeaderMap, StatusCode};
/// use seawall_ai::{ErrorClass, ErrorRule, ErrorTable};
///
/// let spent = ErrorRule::new(ErrorClass::QuotaExhausted)
///     .status(StatusCode::FORBIDDEN)
///     .code("plan_exhausted")
///     .message("monthly allowance");
/// let table = ErrorTable::compatible().rule(spent);
///
/// let body = br#"{"error": {"message": "The monthly allowance is gone", "code": "plan_exhausted"}}"#;
/// let error = table.classify(StatusCode::FORBIDDEN, &HeaderMap::new(), body);
/// assert_eq!(error.class, ErrorClass::QuotaExhausted);
/// ```
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorRule {
    class: ErrorClass,
    statuses: Vec<RangeInclusive<u16>>,
    codes: Words,
    types: Words,
    messages: Words,
}

impl ErrorRule {
    /// A rule without conditions yet, which holds for every error.
    pub const fn new(class: ErrorClass) -> Self {
        Self {
            class,
            statuses: Vec::new(),
            codes: Vec::new(),
            types: Vec::new(),
            messages: Vec::new(),
        }
    }

    /// The status is this one. The first one that is named is also the
    /// [`status`](crate::ApiError::status) of such an error in a stream.
    pub fn status(self, status: StatusCode) -> Self {
        let status = status.as_u16();
        self.statuses(status..=status)
    }

    /// The status is one of these.
    pub fn statuses(mut self, statuses: RangeInclusive<u16>) -> Self {
        self.statuses.push(statuses);
        self
    }

    /// `error.code` or `error.details.error_code` is this.
    pub fn code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.codes.push(code.into());
        self
    }

    /// `error.type` is this.
    pub fn error_type(mut self, error_type: impl Into<Cow<'static, str>>) -> Self {
        self.types.push(error_type.into());
        self
    }

    /// `error.message` contains this.
    pub fn message(mut self, part: impl Into<Cow<'static, str>>) -> Self {
        self.messages.push(part.into());
        self
    }

    /// The class of the errors for which it holds.
    pub const fn class(&self) -> ErrorClass {
        self.class
    }

    /// Whether it looks at the body, and not at the status alone.
    pub(super) const fn reads_body(&self) -> bool {
        self.width() < 2
    }

    /// How much it is about: one error, errors of a type, or those of a status.
    pub(super) const fn width(&self) -> u8 {
        match (
            self.codes.is_empty() && self.messages.is_empty(),
            self.types.is_empty(),
        ) {
            (false, _) => 0,
            (true, false) => 1,
            (true, true) => 2,
        }
    }

    pub(super) fn holds(&self, status: Option<StatusCode>, text: &ErrorText) -> bool {
        let has_status = match status {
            Some(status) => {
                let status = status.as_u16();
                self.statuses.is_empty() || self.statuses.iter().any(|all| all.contains(&status))
            }
            None => self.statuses.is_empty() || self.reads_body(),
        };
        let one_of = |words: &Words, has: &dyn Fn(&str) -> bool| {
            words.is_empty() || words.iter().any(|word| has(word))
        };
        has_status
            && one_of(&self.codes, &|code| text.has_code(code))
            && one_of(&self.types, &|error_type| text.has_type(error_type))
            && one_of(&self.messages, &|part| text.says(part))
    }

    /// The status that the API gives such an error.
    pub(super) fn first_status(&self) -> Option<StatusCode> {
        let first = self.statuses.first()?;
        StatusCode::from_u16(*first.start()).ok()
    }
}
