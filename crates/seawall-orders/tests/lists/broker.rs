//! A broker with lists in pages of two.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, Uri};
use http_body_util::Full;
use seawall_orders::Operation;
use seawall_orders::broker::{
    Broker, BrokerPosition, FoundOrder, InvalidOrder, Listed, LookedUp, OrderReply, OrderRequest,
    SavedOrder,
};
use seawall_orders::client::RequestSender;
use seawall_orders::protocol::{DoubtCause, OrderFigures, OrderState, Query, Reply, Rules, Side};
use tokio::time::sleep;
use tower::service_fn;

pub(crate) fn figures(state: OrderState, quantity: u32, filled: u32) -> OrderFigures {
    OrderFigures {
        state,
        quantity: quantity.into(),
        filled: filled.into(),
    }
}

/// An order at the broker: its client order id, its own id, its figures.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) id: Option<&'static str>,
    pub(crate) broker_id: String,
    pub(crate) figures: OrderFigures,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) orders: Vec<Placed>,
    pub(crate) positions: Vec<(&'static str, i64)>,
    /// What happens after so many further requests.
    pub(crate) events: Vec<(u32, Event)>,
    pub(crate) requests: u32,
    /// The requests that go wrong, by their number from 0.
    pub(crate) faults: Vec<(u32, Fault)>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// The order of this client order id is filled.
    Fill(&'static str),
    /// An order without id is placed at the front.
    Place,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    NoConnection,
    Stalls,
    Unreadable,
}

/// Which lists it has beside the one of open orders.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fake {
    pub(crate) state: Arc<Mutex<State>>,
    pub(crate) has_closed: bool,
    pub(crate) has_fills: bool,
    pub(crate) has_no_open: bool,
    pub(crate) has_positions: bool,
    /// Whether a page begins behind the last order of the one before, by the broker's ids; else it begins
    /// at a number, so that an order can be missed when one before it leaves the list.
    pub(crate) has_cursor: bool,
}

impl Fake {
    pub(crate) fn place(&self, id: impl Into<Option<&'static str>>, figures: OrderFigures) {
        let mut state = self.state.lock().unwrap();
        let broker_id = format!("b{}", state.orders.len());
        state.orders.push(Placed {
            id: id.into(),
            broker_id,
            figures,
        });
    }

    pub(crate) fn client(&self) -> RequestSender {
        let fake = self.clone();
        RequestSender::new(service_fn(move |request: Request<Bytes>| {
            let fake = fake.clone();
            async move { fake.answer(&request).await }
        }))
    }

    async fn answer(&self, request: &Request<Bytes>) -> std::io::Result<Response<Full<Bytes>>> {
        let fault = {
            let mut state = self.state.lock().unwrap();
            let number = state.requests;
            state.requests += 1;
            let fault = state.faults.iter().find(|(of, _)| *of == number);
            fault.map(|(_, fault)| *fault)
        };
        sleep(Duration::from_millis(100)).await;
        match fault {
            Some(Fault::NoConnection) => return Err(std::io::Error::other("connection refused")),
            Some(Fault::Stalls) => std::future::pending().await,
            Some(Fault::Unreadable) => return Ok(Response::new(Full::new("<html>".into()))),
            None => {}
        }
        let mut state = self.state.lock().unwrap();
        let page = self.page(&state, request.uri());
        let due: Vec<_> = state
            .events
            .extract_if(.., |(after, _)| *after == 0)
            .collect();
        state.events.iter_mut().for_each(|(after, _)| *after -= 1);
        for (_, event) in due {
            match event {
                Event::Fill(id) => {
                    for order in &mut state.orders {
                        if order.id == Some(id) {
                            order.figures.state = OrderState::Filled;
                            order.figures.filled = order.figures.quantity;
                        }
                    }
                }
                Event::Place => {
                    let broker_id = format!("b{}", state.orders.len());
                    let figures = figures(OrderState::Open, 1, 0);
                    let placed = Placed {
                        id: None,
                        broker_id,
                        figures,
                    };
                    state.orders.insert(0, placed);
                }
            }
        }
        Ok(Response::new(Full::new(page.into())))
    }

    /// Two lines, and the next page: `list?from`.
    fn page(&self, state: &State, uri: &Uri) -> String {
        let from = uri.query().unwrap_or("");
        let position = |(symbol, quantity): &(&str, i64)| {
            let line = format!("{symbol} {quantity}");
            ((*symbol).to_owned(), line)
        };
        let order = |order: &Placed| {
            let OrderFigures {
                state,
                quantity,
                filled,
            } = order.figures;
            let (id, broker_id) = (order.id.unwrap_or("-"), &order.broker_id);
            let state = state.as_str();
            let line = format!("{id} {broker_id} {state} {quantity} {filled}");
            (order.broker_id.clone(), line)
        };
        let has = |order: &&Placed| match uri.path() {
            "/open" => order.figures.state.is_live(),
            "/closed" => !order.figures.state.is_live(),
            _ => order.figures.filled > 0.into(),
        };
        let lines: Vec<(String, String)> = match uri.path() {
            "/positions" => state.positions.iter().map(position).collect(),
            _ => state.orders.iter().filter(has).map(order).collect(),
        };
        let begin = match self.has_cursor {
            true => lines.iter().take_while(|(id, _)| &**id <= from).count(),
            false => from.parse().unwrap_or(0).min(lines.len()),
        };
        let end = (begin + 2).min(lines.len());
        let mut page = "ok\n".to_owned();
        for (_, line) in &lines[begin..end] {
            page += line;
            page += "\n";
        }
        if end < lines.len() {
            let end_text = end.to_string();
            let next = if self.has_cursor {
                &lines[end - 1].0
            } else {
                &end_text
            };
            page += &format!("next {}?{next}\n", uri.path());
        }
        page
    }
}

fn get(path: &str) -> Request<Bytes> {
    Request::get(path).body(Bytes::new()).unwrap()
}

fn lines<T>(response: &Response<Bytes>, read: impl Fn(&[&str]) -> T) -> Listed<T> {
    let text = std::str::from_utf8(response.body()).unwrap();
    let Some(text) = text.strip_prefix("ok\n") else {
        return Listed::Failed("it is a page for people");
    };
    let (mut found, mut next) = (Vec::new(), None);
    for line in text.lines().filter(|line| !line.is_empty()) {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["next", path] => next = Some(get(path)),
            ref words => found.push(read(words)),
        }
    }
    match next {
        Some(next) => Listed::Page(found, next),
        None => Listed::All(found),
    }
}

impl Broker for Fake {
    fn name(&self) -> &str {
        "fake"
    }

    fn operation(&self, _: &Method, _: &Uri) -> Option<Operation> {
        None
    }

    fn read(&self, _: Operation, _: &Request<Bytes>) -> Result<OrderRequest, InvalidOrder> {
        Ok(OrderRequest::default())
    }

    fn new_id(&self) -> String {
        String::new()
    }

    fn write_id(&self, _: &mut Request<Bytes>, _: &str) -> Result<(), InvalidOrder> {
        Ok(())
    }

    fn rules(&self, _: Operation) -> Option<&Rules> {
        None
    }

    fn reply(&self, _: Operation, _: &Response<Bytes>) -> OrderReply {
        OrderReply::of(Reply::Unknown(DoubtCause::ServerError))
    }

    fn query(&self, _: Query, _: &SavedOrder<'_>) -> Option<Request<Bytes>> {
        None
    }

    fn looked_up(&self, _: Query, _: &SavedOrder<'_>, _: &Response<Bytes>) -> LookedUp {
        LookedUp::Failed("it has no look-ups")
    }

    fn cancel(&self, _: &SavedOrder<'_>) -> Option<Request<Bytes>> {
        None
    }

    fn list(&self, query: Query, _: Option<&str>) -> Option<Request<Bytes>> {
        let (path, has) = match query {
            Query::Open => ("/open", !self.has_no_open),
            Query::Closed => ("/closed", self.has_closed),
            _ => ("/fills", self.has_fills),
        };
        has.then(|| get(path))
    }

    fn listed(&self, _: Query, _: Option<&str>, response: &Response<Bytes>) -> Listed<FoundOrder> {
        lines(response, |words| {
            let [id, broker_id, state, quantity, filled] = words else {
                panic!("a line of {words:?}");
            };
            let states = [
                OrderState::Open,
                OrderState::PartiallyFilled,
                OrderState::Filled,
                OrderState::Cancelled,
                OrderState::Rejected,
            ];
            let state = states.into_iter().find(|of| of.as_str() == *state).unwrap();
            let [quantity, filled] = [quantity, filled].map(|of| of.parse().unwrap());
            let figures = OrderFigures {
                state,
                quantity,
                filled,
            };
            let id = (*id != "-").then(|| (*id).into());
            let mut found = FoundOrder::new(id, *broker_id, figures, Bytes::new());
            found.symbol = Some("AAPL".into());
            found.side = Some(Side::Buy);
            found
        })
    }

    fn positions(&self, _: Option<&str>) -> Option<Request<Bytes>> {
        self.has_positions.then(|| get("/positions"))
    }

    fn listed_positions(
        &self,
        _: Option<&str>,
        response: &Response<Bytes>,
    ) -> Listed<BrokerPosition> {
        lines(response, |words| {
            BrokerPosition::new(words[0], words[1].parse().unwrap())
        })
    }
}
