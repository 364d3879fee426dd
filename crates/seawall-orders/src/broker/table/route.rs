//! The routes that do something to orders.

use http::{Method, Uri};
use seawall_core::InvalidConfig;

use crate::protocol::Operation;

/// A method and a pattern of paths.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) method: Method,
    segments: Vec<Segment>,
    pub(super) operation: Operation,
    pub(super) handling: Handling,
    /// As it was written.
    pub(super) text: Box<str>,
}

/// What becomes of the requests of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handling {
    /// They are read.
    Orders,
    /// They place orders that cannot be looked up: they are rejected.
    Rejected,
    /// The same, and they pass as they are.
    Passes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Text(Box<str>),
    One(Name),
    Rest,
}

/// What a segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Account,
    Order,
    Any,
}

/// What the path of a request says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Captures<'a> {
    pub(super) account: Option<&'a str>,
    pub(super) order: Option<&'a str>,
}

impl Route {
    /// Reads `POST /v1/accounts/{account}/orders`.
    pub(super) fn new(
        field: &'static str,
        text: &str,
        operation: Operation,
        handling: Handling,
    ) -> Result<Self, InvalidConfig> {
        let accepted =
            "a method in capitals and a path such as `PUT /v1/accounts/{account}/orders/{order}`";
        let invalid = || InvalidConfig::new(field, text, accepted);
        let (method, path) = text.split_once(' ').ok_or_else(invalid)?;
        let is_capital = method.bytes().all(|byte| byte.is_ascii_uppercase());
        let method = method
            .parse()
            .ok()
            .filter(|_| is_capital)
            .ok_or_else(invalid)?;
        let mut segments = Vec::new();
        for part in path.strip_prefix('/').ok_or_else(invalid)?.split('/') {
            if segments.last() == Some(&Segment::Rest) {
                return Err(invalid());
            }
            segments.push(match part {
                "**" => Segment::Rest,
                "*" => Segment::One(Name::Any),
                "{account}" => Segment::One(Name::Account),
                "{order}" => Segment::One(Name::Order),
                part if part.contains(['*', '{', '}', '?']) => return Err(invalid()),
                part => Segment::Text(part.into()),
            });
        }
        Ok(Self {
            method,
            segments,
            operation,
            handling,
            text: text.into(),
        })
    }

    /// What the path of a request of this route says; `None` for one of another.
    pub(super) fn captures<'a>(&self, method: &Method, uri: &'a Uri) -> Option<Captures<'a>> {
        if *method != self.method {
            return None;
        }
        let mut captures = Captures::default();
        let mut parts = uri.path().strip_prefix('/')?.split('/');
        for segment in &self.segments {
            match (segment, parts.next()) {
                (Segment::Rest, _) => return Some(captures),
                (Segment::Text(text), Some(part)) if **text == *part => {}
                (Segment::One(name), Some(part)) if !part.is_empty() => match name {
                    Name::Account => captures.account = Some(part),
                    Name::Order => captures.order = Some(part),
                    Name::Any => {}
                },
                _ => return None,
            }
        }
        parts.next().is_none().then_some(captures)
    }
}
