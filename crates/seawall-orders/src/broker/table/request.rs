//! Reads and writes what a request says of an order.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Uri};
use percent_encoding::percent_decode_str;
use seawall_core::InvalidConfig;

use super::pick::{Field, Paths, Picked, Step, steps};
use super::route::Captures;
use super::spec::{RequestFields, Text};
use super::value::{decimal, set_length, side};
use super::write::{into_form, into_json};
use crate::broker::{InvalidOrder, OrderRequest, Target};
use crate::ids::IdRules;
use crate::protocol::{Decimal, Operation, Side};

/// Reads the requests of an operation.
#[derive(Clone, Debug)]
pub(super) struct RequestReader {
    paths: Paths,
    id: Field,
    id_path: Option<IdPath>,
    target_id: Field,
    target_broker_id: Field,
    symbol: Field,
    side: Field,
    quantity: Field,
    price: Field,
    notional: Field,
    account: Field,
    reduces: Field,
    reduce_word: Text,
}

/// Where an id is written.
#[derive(Clone, Debug)]
struct IdPath {
    name: Box<str>,
    steps: Vec<Step>,
}

impl RequestReader {
    pub(super) fn new(spec: &RequestFields) -> Result<Self, InvalidConfig> {
        let mut paths = Paths::default();
        let first = spec.id.as_deref().map(|path| path.split('|').next());
        let id_path = match first.flatten().map(str::trim) {
            Some(name) => Some(IdPath {
                name: name.into(),
                steps: steps("id", name)?,
            }),
            None => None,
        };
        if id_path
            .as_ref()
            .is_some_and(|path| path.steps.contains(&Step::Any))
        {
            let accepted = "a path without `*`, at which an id can be written";
            return Err(InvalidConfig::new(
                "id",
                spec.id.clone().unwrap_or_default(),
                accepted,
            ));
        }
        let (reduces, reduce_word) = spec.reduces.clone().unzip();
        let mut add = |field: &str, path: &Option<Text>| paths.add_some(field, path.as_deref());
        Ok(Self {
            id: add("id", &spec.id)?,
            target_id: add("target_id", &spec.target_id)?,
            target_broker_id: add("target_broker_id", &spec.target_broker_id)?,
            symbol: add("symbol", &spec.symbol)?,
            side: add("side", &spec.side)?,
            quantity: add("quantity", &spec.quantity)?,
            price: add("price", &spec.price)?,
            notional: add("notional", &spec.notional)?,
            account: add("account", &spec.account)?,
            reduces: add("reduces", &reduces)?,
            reduce_word: reduce_word.unwrap_or_default(),
            id_path,
            paths,
        })
    }

    pub(super) const fn writes_id(&self) -> bool {
        self.id_path.is_some()
    }

    /// What a request says.
    pub(super) fn read(
        &self,
        operation: Operation,
        captures: Captures<'_>,
        request: &Request<Bytes>,
        ids: &IdRules,
        client_prefix: Option<&str>,
    ) -> Result<OrderRequest, InvalidOrder> {
        let picked = self.picked(request)?;
        if operation == Operation::Create && picked.is_empty() {
            let accepted = "JSON or a form with the fields of an order";
            return Err(InvalidOrder::new("body", start(request.body()), accepted));
        }
        let text = |field: &Field| picked.text(field).map(Box::<str>::from);
        let id = picked.text(&self.id).map(|id| Arc::from(&*id));
        if let Some(id) = &id {
            ids.check(id)?;
        }
        let number = |name: &'static str, field: &Field| {
            let Some(text) = picked.text(field) else {
                return Ok(None);
            };
            let invalid = || InvalidOrder::new(name, text.as_ref(), "a decimal number");
            decimal(&text).map(Some).ok_or_else(invalid)
        };
        let quantity = number("quantity", &self.quantity)?;
        let side = match picked.text(&self.side) {
            Some(word) => Some(side(&word).ok_or_else(|| {
                InvalidOrder::new(
                    "side",
                    word.as_ref(),
                    "a word that begins with `buy` or `sell`",
                )
            })?),
            None => quantity.filter(|_| self.side.is_empty()).map(|quantity| {
                if quantity < Decimal::ZERO {
                    Side::Sell
                } else {
                    Side::Buy
                }
            }),
        };
        let in_path = |segment: Option<&str>| {
            segment.map(|s| percent_decode_str(s).decode_utf8_lossy().into_owned())
        };
        let captured = in_path(captures.order).map(|order| {
            match client_prefix.and_then(|prefix| order.strip_prefix(prefix)) {
                Some(id) => Target::Client(id.into()),
                None => Target::Broker(order.into()),
            }
        });
        let target = captured
            .or_else(|| text(&self.target_broker_id).map(Target::Broker))
            .or_else(|| text(&self.target_id).map(Target::Client));
        let reduces = picked.text(&self.reduces);
        Ok(OrderRequest {
            id,
            target,
            symbol: text(&self.symbol),
            side,
            quantity: quantity.map(Decimal::abs),
            price: number("price", &self.price)?,
            notional: number("notional", &self.notional)?,
            reduces: reduces.is_some_and(|word| word.eq_ignore_ascii_case(&self.reduce_word)),
            account: in_path(captures.account)
                .map(Into::into)
                .or_else(|| text(&self.account)),
        })
    }

    fn picked<'a>(&self, request: &'a Request<Bytes>) -> Result<Picked<'a>, InvalidOrder> {
        let body = request.body();
        let invalid = |accepted| InvalidOrder::new("body", start(body), accepted);
        let mut picked = if is_json(body) {
            let text = std::str::from_utf8(body).map_err(|_not_text| invalid("JSON in UTF-8"))?;
            self.paths.json(text).map_err(|_invalid| invalid("JSON"))?
        } else {
            let mut picked = Picked::default();
            self.paths.form(body, &mut picked);
            picked
        };
        // Beside JSON a query is no part of the order: an id there would not be the order's.
        if !is_json(body) {
            self.paths.form(query(request.uri()), &mut picked);
        }
        if picked.twice {
            return Err(invalid("each field once"));
        }
        if picked.several {
            return Err(invalid("one order in a request"));
        }
        Ok(picked)
    }

    /// Writes an id into a request without one.
    pub(super) fn write_id(
        &self,
        request: &mut Request<Bytes>,
        id: &str,
    ) -> Result<(), InvalidOrder> {
        let Some(path) = &self.id_path else {
            let accepted = "nothing in such a request";
            return Err(InvalidOrder::new("client order id", id, accepted));
        };
        let body = request.body();
        let invalid =
            || InvalidOrder::new("body", start(body), "an order without a client order id");
        let in_query = body.is_empty() && request.uri().query().is_some();
        let form = if in_query {
            query(request.uri())
        } else {
            &body[..]
        };
        let text = std::str::from_utf8(form).map_err(|_not_text| invalid())?;
        let written = if is_json(body) {
            into_json(text, &path.steps, id).ok_or_else(invalid)?
        } else if form_urlencoded::parse(form).any(|(name, _)| *name == *path.name) {
            return Err(invalid());
        } else {
            into_form(text, &path.name, id)
        };
        if in_query {
            let uri = with_query(request.uri(), &written).ok_or_else(invalid)?;
            *request.uri_mut() = uri;
        } else {
            set_length(request.headers_mut(), written.len());
            *request.body_mut() = written.into();
        }
        Ok(())
    }

    /// Whether a request has a field, a header or a parameter of this name: a signature.
    pub(super) fn has(request: &Request<Bytes>, name: &str) -> bool {
        let mut pairs = form_urlencoded::parse(query(request.uri()));
        let in_form = |body: &[u8]| {
            !is_json(body) && form_urlencoded::parse(body).any(|(known, _)| known == name)
        };
        request.headers().contains_key(name)
            || pairs.any(|(known, _)| known == name)
            || in_form(request.body())
    }
}

fn query(uri: &Uri) -> &[u8] {
    uri.query().unwrap_or_default().as_bytes()
}

fn with_query(uri: &Uri, query: &str) -> Option<Uri> {
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{}?{query}", uri.path()).parse().ok()?);
    Uri::from_parts(parts).ok()
}

fn is_json(body: &[u8]) -> bool {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    matches!(first, Some(b'{' | b'['))
}

/// The first characters of a body, for an error.
fn start(body: &[u8]) -> String {
    let start = body.get(..64).unwrap_or(body);
    let text: Cow<'_, str> = String::from_utf8_lossy(start);
    text.into_owned()
}
