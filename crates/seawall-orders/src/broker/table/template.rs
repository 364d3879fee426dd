//! Requests with places for what is known of an order.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Method, Request};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};
use seawall_core::InvalidConfig;

/// All but what RFC 3986 does not reserve.
const ENCODED: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A request such as `GET /v2/orders:by_client_order_id?client_order_id={id}`, with a body behind a
/// second space.
#[derive(Clone, Debug)]
pub(super) struct Template {
    method: Method,
    target: Vec<Part>,
    body: Vec<Part>,
    is_json: bool,
}

#[derive(Clone, Debug)]
enum Part {
    Text(Box<str>),
    Place(Place),
}

/// What is put into a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Id,
    BrokerId,
    Symbol,
    Account,
    Since,
}

const PLACES: [(&str, Place); 5] = [
    ("{id}", Place::Id),
    ("{broker_id}", Place::BrokerId),
    ("{symbol}", Place::Symbol),
    ("{account}", Place::Account),
    ("{since}", Place::Since),
];

/// What is known of an order.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known<'a> {
    pub(super) id: Option<&'a str>,
    pub(super) broker_id: Option<&'a str>,
    pub(super) symbol: Option<&'a str>,
    pub(super) account: Option<&'a str>,
    pub(super) since: Option<&'a str>,
}

impl Known<'_> {
    const fn of(&self, place: Place) -> Option<&str> {
        match place {
            Place::Id => self.id,
            Place::BrokerId => self.broker_id,
            Place::Symbol => self.symbol,
            Place::Account => self.account,
            Place::Since => self.since,
        }
    }
}

impl Template {
    pub(super) fn new(field: &'static str, text: &str) -> Result<Self, InvalidConfig> {
        let accepted = "a method in capitals, a path, and a body if it has one, with `{id}`, \
            `{broker_id}`, `{symbol}`, `{account}` and `{since}` as places";
        let invalid = || InvalidConfig::new(field, text, accepted);
        let mut words = text.splitn(3, ' ');
        let (method, target) = words.next().zip(words.next()).ok_or_else(invalid)?;
        let body = words.next().unwrap_or("");
        let is_capital = method.bytes().all(|byte| byte.is_ascii_uppercase());
        let method = method
            .parse()
            .ok()
            .filter(|_| is_capital)
            .ok_or_else(invalid)?;
        let template = Self {
            method,
            target: parts(target),
            body: parts(body),
            is_json: body.starts_with(['{', '[']),
        };
        // Whatever the places are filled with, the rest must make a target.
        let example = Known {
            id: Some("1"),
            broker_id: Some("1"),
            symbol: Some("1"),
            account: Some("1"),
            since: Some("1"),
        };
        if !target.starts_with('/') || template.request(&example).is_none() {
            return Err(invalid());
        }
        Ok(template)
    }

    pub(super) fn has(&self, place: Place) -> bool {
        let mut parts = self.target.iter().chain(&self.body);
        parts.any(|part| matches!(part, Part::Place(at) if *at == place))
    }

    /// The request; `None` if something is not known that it needs.
    pub(super) fn request(&self, known: &Known<'_>) -> Option<Request<Bytes>> {
        self.request_with(known, None)
    }

    /// The same with a further parameter, for the next page.
    pub(super) fn request_with(
        &self,
        known: &Known<'_>,
        parameter: Option<(&str, &str)>,
    ) -> Option<Request<Bytes>> {
        let mut target = filled(&self.target, known, false)?;
        let mut body = filled(&self.body, known, self.is_json)?;
        if let Some((name, value)) = parameter {
            let (into, joint) = match (self.body.is_empty(), target.contains('?')) {
                (true, true) => (&mut target, "&"),
                (true, false) => (&mut target, "?"),
                (false, _) => (&mut body, "&"),
            };
            into.push_str(joint);
            into.push_str(name);
            into.push('=');
            into.extend(encoded(value));
        }
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(target)
            .header(ACCEPT, HeaderValue::from_static("application/json"));
        if !body.is_empty() {
            let kind = if self.is_json {
                "application/json"
            } else {
                "application/x-www-form-urlencoded"
            };
            request = request.header(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        request.body(body.into()).ok()
    }
}

fn parts(mut text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    while !text.is_empty() {
        let first = PLACES
            .iter()
            .filter_map(|(name, place)| Some((text.find(name)?, *name, *place)))
            .min_by_key(|(at, ..)| *at);
        let Some((at, name, place)) = first else {
            parts.push(Part::Text(text.into()));
            break;
        };
        let (before, after) = text.split_at(at);
        if !before.is_empty() {
            parts.push(Part::Text(before.into()));
        }
        parts.push(Part::Place(place));
        text = after.strip_prefix(name).unwrap_or("");
    }
    parts
}

fn filled(parts: &[Part], known: &Known<'_>, is_json: bool) -> Option<String> {
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Text(part) => text.push_str(part),
            Part::Place(place) if is_json => text.push_str(escaped(known.of(*place)?).as_str()),
            Part::Place(place) => text.extend(encoded(known.of(*place)?)),
        }
    }
    Some(text)
}

/// A text as it stands in paths, queries and forms.
pub(super) fn encoded(text: &str) -> percent_encoding::PercentEncode<'_> {
    percent_encoding::utf8_percent_encode(text, &ENCODED)
}

/// A text as it stands between the quotes of a JSON string.
pub(super) fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    let inner = quoted
        .strip_prefix('"')
        .and_then(|quoted| quoted.strip_suffix('"'));
    inner.unwrap_or_default().to_owned()
}
