//! Reads orders and positions of responses.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use seawall_core::InvalidConfig;

use super::pick::{Field, Paths, Picked, Value, elements};
use super::rules::Meanings;
use super::spec::{ListRequest, Meaning, OrderFields, Page, PositionFields, ReplyRule, Text};
use super::template::{Known, Template};
use super::value::{decimal, is_before, side};
use super::write::offset;
use crate::broker::{BrokerPosition, FoundOrder, Listed};
use crate::protocol::{Decimal, OrderFigures, OrderState, Side};

const KEY: &str = "@key";
/// Why a list cannot be read.
pub(super) const UNREADABLE: &str = "an order cannot be read";

/// Where a value is, or that it is the key.
#[derive(Clone, Debug)]
enum Place {
    Key,
    At(Field),
}

impl Place {
    fn new(field: &str, path: &str, paths: &mut Paths) -> Result<Self, InvalidConfig> {
        match path {
            KEY => Ok(Self::Key),
            path => paths.add(field, path).map(Self::At),
        }
    }

    fn text<'a>(&self, key: &'a str, picked: &Picked<'a>) -> Option<Cow<'a, str>> {
        match self {
            Self::Key => (!key.is_empty()).then_some(Cow::Borrowed(key)),
            Self::At(field) => picked.text(field),
        }
    }

    /// Whether it has what can be no id.
    fn is_no_text(&self, picked: &Picked<'_>) -> bool {
        matches!(self, Self::At(field) if picked.is_no_text(field))
    }
}

/// Reads one order.
#[derive(Clone, Debug)]
pub(super) struct OrderReader {
    broker_id: Option<Place>,
    id: Option<Place>,
    symbol: Field,
    side: Field,
    state: Field,
    quantity: Field,
    filled: Field,
    state_unless_set: Option<OrderState>,
}

impl OrderReader {
    pub(super) fn new(fields: &OrderFields, paths: &mut Paths) -> Result<Self, InvalidConfig> {
        let broker_id = fields.broker_id.as_deref();
        let id = fields.id.as_deref();
        Ok(Self {
            broker_id: broker_id
                .map(|path| Place::new("broker_id", path, paths))
                .transpose()?,
            id: id.map(|path| Place::new("id", path, paths)).transpose()?,
            symbol: paths.add_some("symbol", fields.symbol.as_deref())?,
            side: paths.add_some("side", fields.side.as_deref())?,
            state: paths.add_some("state", fields.state.as_deref())?,
            quantity: paths.add_some("quantity", fields.quantity.as_deref())?,
            filled: paths.add_some("filled", fields.filled.as_deref())?,
            state_unless_set: fields.state_unless_set,
        })
    }

    /// Whether orders have a client order id.
    pub(super) const fn has_id(&self) -> bool {
        self.id.is_some()
    }

    /// An order of a list. One of which no more than its id can be read is marked as unread: the id still
    /// shows which order it is.
    pub(super) fn listed(
        &self,
        key: &str,
        picked: &Picked<'_>,
        states: &States,
        body: Bytes,
    ) -> Result<FoundOrder, &'static str> {
        // It may be any order.
        let place = self.id.as_ref().or(self.broker_id.as_ref());
        if place.is_some_and(|place| place.is_no_text(picked)) {
            return Err("an order has an id that is no text and no number");
        }
        if let Some(order) = self.read(key, picked, states, None, body.clone()) {
            return Ok(order);
        }
        let id = place.and_then(|place| place.text(key, picked));
        let id = id.ok_or(UNREADABLE)?;
        let (id, broker_id) = match self.has_id() {
            true => (Some(id), Cow::Borrowed("")),
            false => (None, id),
        };
        let figures = OrderFigures {
            state: OrderState::Rejected,
            quantity: Decimal::ZERO,
            filled: Decimal::ZERO,
        };
        let mut order = FoundOrder::new(id.map(Into::into), broker_id, figures, body);
        order.unread = true;
        Ok(order)
    }

    /// The order; `None` without an id of the broker's where there should be one, with a state that is
    /// not known, and with numbers that are none.
    pub(super) fn read(
        &self,
        key: &str,
        picked: &Picked<'_>,
        states: &States,
        known: Option<OrderState>,
        body: Bytes,
    ) -> Option<FoundOrder> {
        let broker_id = match &self.broker_id {
            Some(place) => place.text(key, picked)?,
            // What has no id at all must at least be a fill.
            None => picked.text(&self.filled).map(|_| Cow::Borrowed(""))?,
        };
        let number = |field: &Field| match picked.text(field) {
            Some(text) => decimal(&text).map(Some),
            None => Some(None),
        };
        let quantity = number(&self.quantity)?;
        let mut state = match picked.text(&self.state) {
            _ if known.is_some() => known?,
            Some(word) => states.of(&word)?,
            None => self.state_unless_set?,
        };
        let filled = match (number(&self.filled)?, state) {
            (Some(filled), _) => filled.abs(),
            (None, OrderState::Filled) => quantity.unwrap_or_default().abs(),
            (None, _) => Decimal::ZERO,
        };
        if state == OrderState::Open && filled > Decimal::ZERO {
            state = OrderState::PartiallyFilled;
        }
        if known == Some(OrderState::Filled) && quantity.is_some_and(|all| filled < all.abs()) {
            state = OrderState::PartiallyFilled;
        }
        let is_sold = quantity.is_some_and(|quantity| quantity < Decimal::ZERO);
        let word = picked.text(&self.side);
        let figures = OrderFigures {
            state,
            quantity: quantity.unwrap_or_default().abs(),
            filled,
        };
        let id = self.id.as_ref().and_then(|id| id.text(key, picked));
        let mut order = FoundOrder::new(id.map(Into::into), broker_id, figures, body);
        order.symbol = picked.text(&self.symbol).map(Into::into);
        order.side = word
            .and_then(|word| side(&word))
            .or(is_sold.then_some(Side::Sell));
        Some(order)
    }
}

/// The words of states.
#[derive(Clone, Debug, Default)]
pub(super) struct States(pub(super) Vec<(Text, OrderState)>);

impl States {
    fn of(&self, word: &str) -> Option<OrderState> {
        let mut words = self.0.iter();
        let known = words.find(|(known, _)| known.eq_ignore_ascii_case(word));
        known.map(|(_, state)| *state)
    }
}

/// Makes the requests of a list, and takes its responses apart.
#[derive(Clone, Debug)]
pub(super) struct ListReader {
    pub(super) request: Template,
    envelope: Paths,
    meanings: Meanings,
    list: Field,
    is_keyed: bool,
    items: Paths,
    most: Option<usize>,
    next: Option<Next>,
    times: Option<Place>,
    pub(super) reach: Option<Duration>,
}

#[derive(Clone, Debug)]
enum Next {
    Cursor {
        parameter: Text,
        at: Field,
        more: Option<Field>,
    },
    Last {
        parameter: Text,
        field: Place,
    },
}

/// The elements of one response, and the parameter of the next page.
pub(super) struct PageOf<'l, T> {
    pub(super) items: Vec<T>,
    next: Option<(&'l str, String)>,
}

impl ListReader {
    pub(super) fn new(
        field: &'static str,
        spec: &ListRequest,
        rules: &[ReplyRule],
        items: Paths,
    ) -> Result<Self, InvalidConfig> {
        let mut envelope = Paths::default();
        let mut items = items;
        let list = envelope.add("at", &spec.at)?;
        envelope.note_errors("at", &spec.at)?;
        let next = match &spec.page {
            None => None,
            Some(Page::Cursor {
                parameter,
                at,
                more,
            }) => Some(Next::Cursor {
                parameter: parameter.clone(),
                at: envelope.add("cursor", at)?,
                more: match more {
                    Some(path) => Some(envelope.add("more", path)?),
                    None => None,
                },
            }),
            Some(Page::Last { .. }) if spec.most.is_none() => {
                let accepted = "the number of orders of a full page";
                return Err(InvalidConfig::new("most", "not set", accepted));
            }
            Some(Page::Last { parameter, field }) => Some(Next::Last {
                parameter: parameter.clone(),
                field: Place::new("after_last", field, &mut items)?,
            }),
        };
        let times = spec.times.as_deref();
        Ok(Self {
            times: times
                .map(|path| Place::new("latest_first", path, &mut items))
                .transpose()?,
            reach: spec.reach,
            request: Template::new(field, &spec.request)?,
            meanings: Meanings::new(rules, None, &mut envelope)?,
            envelope,
            list,
            is_keyed: spec.is_keyed,
            items,
            most: spec.most,
            next,
        })
    }

    /// Whether the times of its orders decide which page is the last one.
    pub(super) const fn has_times(&self) -> bool {
        self.times.is_some()
    }

    /// Reads a response; the error says why it says nothing.
    pub(super) fn read<T>(
        &self,
        response: &Response<Bytes>,
        known: &Known<'_>,
        mut read: impl FnMut(&str, &Picked<'_>, Bytes) -> Result<T, &'static str>,
    ) -> Result<PageOf<'_, T>, &'static str> {
        let body = response.body();
        let text = std::str::from_utf8(body).map_err(|_not_text| "the response is no JSON")?;
        let envelope = self.envelope.json(text).ok();
        let none = PageOf {
            items: Vec::new(),
            next: None,
        };
        let status = response.status();
        match self.meanings.of(status, envelope.as_ref()) {
            Some(Meaning::NotFound) => return Ok(none),
            Some(Meaning::Accepted(_)) | None => {}
            Some(_) => return Err("the broker answered with an error"),
        }
        // Others than 200 are no whole list: a part, what is in work, what another server says.
        if status != StatusCode::OK && !self.meanings.accept(status) {
            return Err("the status is not that of a list");
        }
        let envelope = envelope.ok_or("the response is no JSON")?;
        if envelope.says_error {
            return Err("the response says an error beside its list");
        }
        let list = envelope.value(&self.list).and_then(Value::json);
        let list = list.and_then(|list| elements(list, self.is_keyed));
        let list = list.ok_or("the response has no list where it should be")?;
        let mut items = Vec::with_capacity(list.len());
        let (mut last, mut is_back) = (None, false);
        for (key, item) in &list {
            let unreadable = "an element of the list cannot be read";
            let picked = self.items.json(item).map_err(|_invalid| unreadable)?;
            let at = offset(text, item).ok_or(unreadable)?;
            items.push(read(key, &picked, body.slice(at..at + item.len()))?);
            if let Some(Next::Last { field, .. }) = &self.next {
                last = field.text(key, &picked).map(Cow::into_owned);
            }
            if let (Some(times), Some(since)) = (&self.times, known.since) {
                let time = times.text(key, &picked).ok_or("an order has no time")?;
                is_back |= is_before(&time, since).ok_or("a time cannot be read")?;
            }
        }
        if is_back {
            return Ok(PageOf { items, next: None });
        }
        let next = self.next(&envelope, items.len(), last)?;
        Ok(PageOf { items, next })
    }

    fn next(
        &self,
        envelope: &Picked<'_>,
        length: usize,
        last: Option<String>,
    ) -> Result<Option<(&str, String)>, &'static str> {
        let is_full = self.most.is_some_and(|most| length >= most);
        let no_place = "the response says not where the next page is";
        match &self.next {
            Some(Next::Cursor {
                parameter,
                at,
                more,
            }) => {
                let is_more = more.as_ref().map(|more| envelope.text(more));
                let is_more = match &is_more {
                    None => None,
                    Some(Some(Cow::Borrowed("false"))) => return Ok(None),
                    Some(Some(Cow::Borrowed("true"))) => Some(true),
                    Some(None) => return Err(no_place),
                    Some(Some(_)) => return Err("whether there are more pages cannot be read"),
                };
                match (is_more, envelope.text(at)) {
                    (None, None) => Ok(None),
                    (Some(_), None) => Err(no_place),
                    (_, Some(cursor)) => Ok(Some((parameter, cursor.into_owned()))),
                }
            }
            Some(Next::Last { parameter, .. }) if is_full => {
                Ok(Some((parameter, last.ok_or(no_place)?)))
            }
            None if is_full => Err("the list is longer than what is listed"),
            _ => Ok(None),
        }
    }

    /// The request of the next page; `None` after the last one.
    pub(super) fn next_page<T>(
        &self,
        page: &PageOf<'_, T>,
        known: &Known<'_>,
    ) -> Result<Option<Request<Bytes>>, &'static str> {
        let Some((name, value)) = &page.next else {
            return Ok(None);
        };
        let request = self.request.request_with(known, Some((name, value)));
        request
            .map(Some)
            .ok_or("there is no request for the next page")
    }
}

/// Reads positions.
#[derive(Clone, Debug)]
pub(super) struct PositionReader {
    pub(super) list: ListReader,
    symbol: Place,
    quantity: Field,
    side: Field,
}

impl PositionReader {
    pub(super) fn new(
        spec: &ListRequest,
        fields: &PositionFields,
        rules: &[ReplyRule],
    ) -> Result<Self, InvalidConfig> {
        let mut items = Paths::default();
        let symbol = Place::new("positions.symbol", &fields.symbol, &mut items)?;
        let quantity = items.add("positions.quantity", &fields.quantity)?;
        let side = items.add_some("positions.side", fields.side.as_deref())?;
        let list = ListReader::new("positions", spec, rules, items)?;
        Ok(Self {
            list,
            symbol,
            quantity,
            side,
        })
    }

    pub(super) fn read(
        &self,
        response: &Response<Bytes>,
        known: &Known<'_>,
    ) -> Listed<BrokerPosition> {
        let read = self.list.read(response, known, |key, picked, _| {
            let position = self.position(key, picked);
            position.ok_or("a position cannot be read")
        });
        let next = read.and_then(|page| Ok((self.list.next_page(&page, known)?, page.items)));
        match next {
            Err(reason) => Listed::Failed(reason),
            Ok((Some(next), positions)) => Listed::Page(positions, next),
            Ok((None, positions)) => Listed::All(positions),
        }
    }

    fn position(&self, key: &str, picked: &Picked<'_>) -> Option<BrokerPosition> {
        let symbol = self.symbol.text(key, picked)?;
        let mut quantity = None;
        for text in picked.texts(&self.quantity) {
            quantity = Some(quantity.unwrap_or(Decimal::ZERO) + decimal(&text)?);
        }
        let quantity = quantity?;
        let is_short = picked
            .text(&self.side)
            .is_some_and(|side| side.eq_ignore_ascii_case("short"));
        let quantity = if is_short {
            Decimal::ZERO - quantity.abs()
        } else {
            quantity
        };
        Some(BrokerPosition::new(symbol, quantity))
    }
}
