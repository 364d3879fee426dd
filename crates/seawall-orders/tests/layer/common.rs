//! A broker in memory, a stack of no layers around it, and the rules of a class.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use seawall_core::{Error, FailureKind, Outcome, Reason, Rejection};
use seawall_orders::broker::{
    Broker, BrokerPosition, FoundOrder, InvalidOrder, Listed, LookedUp, OrderReply, OrderRequest,
    SavedOrder, Target,
};
use seawall_orders::journal::{Journal, MemoryJournal, State};
use seawall_orders::protocol::{
    Decimal, DoubtCause, Duplicates, Operation, OrderFigures, OrderState, Query, Reply, Report,
    Rules, Side,
};
use seawall_orders::{OrderBody, OrderConfig, OrderHandle, OrderLayer, OrderService, Resend};
use serde_json::{Value, json};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt};

pub(crate) type Body = Full<Bytes>;
pub(crate) type Reply_ = Result<Response<OrderBody<Body>>, Error<Down>>;

/// What the broker does with the next order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Executed, and the connection breaks.
    Lost,
    /// Not executed, and the connection breaks.
    Dropped,
    /// The connection breaks, and what was written leaves, and is executed, after so many milliseconds.
    LeavesLate(u64),
    /// Executed after so many milliseconds; no answer ever.
    Stall(u64),
    /// Executed, and answered after so many milliseconds.
    Slow(u64),
    /// Executed, and a proxy answers 504.
    Gateway,
    /// Rejected by the broker.
    Reject,
    /// Throttled.
    Throttle,
    /// No connection.
    NotSent,
    /// The answer says that the id is known; the order is there.
    Duplicate,
    /// Executed; what reads the answer has a bug.
    Panic,
}

/// What becomes of a cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CancelFault {
    /// A layer rejects it: it does not leave.
    NotMade,
    /// The broker has an error.
    Fails,
    /// It is done, and the connection breaks.
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Down {
    NotSent,
    Reset,
}

#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) id: String,
    pub(crate) broker_id: String,
    pub(crate) state: &'static str,
    pub(crate) visible: Instant,
}

#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) orders: Vec<Placed>,
    pub(crate) faults: VecDeque<Fault>,
    pub(crate) creates: usize,
    /// The numbers of the copies that were marked as such.
    pub(crate) resends: Vec<u32>,
    pub(crate) queries: usize,
    pub(crate) failing_queries: usize,
    pub(crate) cancels: usize,
    /// What becomes of cancels until then.
    pub(crate) cancel_fault: Option<(CancelFault, Instant)>,
    /// How many responses to cancels cannot be read without a panic.
    pub(crate) bad_cancels: usize,
    /// Requests that are no order, no cancel and no query.
    pub(crate) others: usize,
    /// How long a query takes.
    pub(crate) query_takes: Duration,
    /// How long until an order is shown.
    pub(crate) delay: Duration,
    /// What new orders become.
    pub(crate) resting: bool,
    /// What is held; `None` while the list cannot be read.
    pub(crate) positions: Option<Vec<(&'static str, i32)>>,
}

/// The broker, as a client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Client(pub(crate) Arc<Mutex<World>>);

impl Client {
    pub(crate) fn world(&self) -> std::sync::MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    pub(crate) fn fault(&self, fault: Fault) {
        self.world().faults.push_back(fault);
    }

    pub(crate) fn executed(&self, id: &str) -> usize {
        let world = self.world();
        world.orders.iter().filter(|order| order.id == id).count()
    }

    fn execute(&self, id: &str) -> Placed {
        let mut world = self.world();
        let placed = Placed {
            id: id.to_owned(),
            broker_id: format!("b{}", world.orders.len() + 1),
            state: if world.resting { "open" } else { "filled" },
            visible: Instant::now() + world.delay,
        };
        world.orders.push(placed.clone());
        placed
    }

    fn execute_later(&self, id: String, ms: u64) {
        let late = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            late.execute(&id);
        });
    }

    async fn create(self, body: Bytes) -> Result<Response<Body>, Error<Down>> {
        let id = serde_json::from_slice::<Value>(&body).unwrap()["client_order_id"]
            .as_str()
            .unwrap()
            .to_owned();
        self.world().creates += 1;
        let fault = self.world().faults.pop_front();
        match fault {
            None => Ok(respond(200, &order_json(&self.execute(&id)))),
            Some(Fault::Lost) => {
                self.execute(&id);
                Err(Error::Inner(Down::Reset))
            }
            Some(Fault::Dropped) => Err(Error::Inner(Down::Reset)),
            Some(Fault::LeavesLate(ms)) => {
                self.execute_later(id, ms);
                Err(Error::Inner(Down::Reset))
            }
            Some(Fault::Stall(ms)) => {
                self.execute_later(id, ms);
                std::future::pending().await
            }
            Some(Fault::Slow(ms)) => {
                let placed = self.execute(&id);
                tokio::time::sleep(Duration::from_millis(ms)).await;
                Ok(respond(200, &order_json(&placed)))
            }
            Some(Fault::Gateway) => {
                self.execute(&id);
                Ok(respond(504, &json!("<html>gateway</html>")))
            }
            Some(Fault::Reject) => Ok(respond(422, &json!({ "message": "no funds" }))),
            Some(Fault::Throttle) => Ok(respond(429, &json!({ "message": "slow down" }))),
            Some(Fault::NotSent) => Err(Error::Inner(Down::NotSent)),
            Some(Fault::Panic) => {
                self.execute(&id);
                Ok(respond(418, &json!("a teapot")))
            }
            Some(Fault::Duplicate) => {
                self.execute(&id);
                Ok(respond(409, &json!({ "message": "duplicate" })))
            }
        }
    }

    fn query(&self, id: &str) -> Response<Body> {
        let mut world = self.world();
        world.queries += 1;
        if world.failing_queries > 0 {
            world.failing_queries -= 1;
            return respond(500, &json!("no"));
        }
        let now = Instant::now();
        let found: Vec<_> = world
            .orders
            .iter()
            .filter(|order| order.id == id && order.visible <= now)
            .map(order_json)
            .collect();
        respond(200, &Value::Array(found))
    }

    /// The open orders that are shown by now.
    fn list_open(&self) -> Response<Body> {
        let (world, now) = (self.world(), Instant::now());
        let shown = |order: &&Placed| order.state == "open" && order.visible <= now;
        let open: Vec<_> = world.orders.iter().filter(shown).map(order_json).collect();
        respond(200, &Value::Array(open))
    }

    fn list_positions(&self) -> Response<Body> {
        match &self.world().positions {
            Some(held) => {
                let held = held.iter();
                let held = held.map(|(symbol, qty)| json!({ "symbol": symbol, "qty": qty }));
                respond(200, &held.collect())
            }
            None => respond(500, &json!("no")),
        }
    }

    fn try_cancel(&self, broker_id: &str) -> Result<Response<Body>, Error<Down>> {
        let fault = self.world().cancel_fault;
        let fault = fault.filter(|(_, until)| Instant::now() < *until);
        match fault.map(|(fault, _)| fault) {
            None => Ok(self.cancel(broker_id)),
            Some(CancelFault::NotMade) => {
                let open = Rejection::new(Reason::CircuitOpen, "below");
                Err(Error::Rejected(open))
            }
            Some(CancelFault::Fails) => {
                self.world().cancels += 1;
                Ok(respond(500, &json!("no")))
            }
            Some(CancelFault::Lost) => {
                self.cancel(broker_id);
                Err(Error::Inner(Down::Reset))
            }
        }
    }

    fn cancel(&self, broker_id: &str) -> Response<Body> {
        let mut world = self.world();
        world.cancels += 1;
        if world.bad_cancels > 0 {
            world.bad_cancels -= 1;
            return respond(418, &json!("a teapot"));
        }
        let open = |order: &&mut Placed| order.broker_id == broker_id && order.state == "open";
        match world.orders.iter_mut().find(open) {
            Some(order) => {
                order.state = "cancelled";
                respond(204, &Value::Null)
            }
            None => respond(404, &json!({ "message": "no such order" })),
        }
    }
}

pub(crate) fn respond(status: u16, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

fn order_json(order: &Placed) -> Value {
    json!({ "id": order.broker_id, "client_order_id": order.id, "status": order.state })
}

impl Service<Request<Body>> for Client {
    type Response = Response<Body>;
    type Error = Error<Down>;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Error<Down>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error<Down>>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let client = self.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            if let Some(Resend(copy)) = head.extensions.get() {
                client.world().resends.push(*copy);
            }
            let body = body
                .collect()
                .await
                .unwrap_or_else(|never: Infallible| match never {});
            let last = head.uri.path().rsplit('/').next().unwrap().to_owned();
            match head.method {
                Method::POST if head.uri.path() == "/margins" => Ok(respond(200, &json!("margin"))),
                Method::POST => client.create(body.to_bytes()).await,
                Method::DELETE => client.try_cancel(&last),
                Method::PUT => {
                    client.world().others += 1;
                    Ok(respond(200, &json!("replaced")))
                }
                _ if head.uri.path() == "/quotes" => Ok(respond(200, &json!("quote"))),
                _ if head.uri.path() == "/accounts/7/positions" => Ok(client.list_positions()),
                _ if head.uri.path() == "/orders" => Ok(client.list_open()),
                _ => {
                    let takes = client.world().query_takes;
                    let response = client.query(&last);
                    tokio::time::sleep(takes).await;
                    Ok(response)
                }
            }
        })
    }
}

/// The rules of that broker.
#[derive(Clone, Debug)]
pub(crate) struct TestBroker {
    rules: Rules,
    cancel_rules: Option<Rules>,
}

impl TestBroker {
    pub(crate) const fn new(rules: Rules) -> Self {
        let cancel_rules = None;
        Self {
            rules,
            cancel_rules,
        }
    }

    /// The same where repeating a cancel is not safe.
    pub(crate) fn with_cancel_rules(self) -> Self {
        let rules = Rules::builder(Duplicates::Accept).operation(Operation::Cancel);
        let cancel_rules = Some(rules.resends(0).build().unwrap());
        Self {
            cancel_rules,
            ..self
        }
    }
}

impl Broker for TestBroker {
    fn name(&self) -> &str {
        "test"
    }

    fn operation(&self, method: &Method, uri: &Uri) -> Option<Operation> {
        match (method, uri.path()) {
            (&Method::POST, "/orders") => Some(Operation::Create),
            (&Method::DELETE, _) => Some(Operation::Cancel),
            (&Method::PUT, _) => Some(Operation::Replace),
            _ => None,
        }
    }

    fn read(
        &self,
        operation: Operation,
        request: &Request<Bytes>,
    ) -> Result<OrderRequest, InvalidOrder> {
        let mut order = OrderRequest::default();
        if operation != Operation::Create {
            let id = request.uri().path().rsplit('/').next().unwrap();
            order.target = Some(match id.strip_prefix("client:") {
                Some(id) => Target::Client(id.into()),
                None => Target::Broker(id.into()),
            });
            return Ok(order);
        }
        let body: Value = serde_json::from_slice(request.body())
            .map_err(|_unread| InvalidOrder::new("body", "", "JSON"))?;
        if let Some(id) = body["client_order_id"].as_str() {
            if id.len() > 20 {
                return Err(InvalidOrder::new(
                    "client_order_id",
                    id,
                    "at most 20 characters",
                ));
            }
            order.id = Some(id.into());
        }
        order.symbol = body["symbol"].as_str().map(Into::into);
        order.side = Some(Side::Buy);
        order.quantity = body["qty"].as_u64().map(|qty| Decimal::from(qty as u32));
        Ok(order)
    }

    fn new_id(&self) -> String {
        format!("new-{}", fastrand::u32(..))
    }

    fn write_id(&self, request: &mut Request<Bytes>, id: &str) -> Result<(), InvalidOrder> {
        let mut body: Value = serde_json::from_slice(request.body())
            .map_err(|_unread| InvalidOrder::new("body", "", "JSON"))?;
        body["client_order_id"] = json!(id);
        *request.body_mut() = body.to_string().into();
        Ok(())
    }

    fn rules(&self, operation: Operation) -> Option<&Rules> {
        match operation {
            Operation::Create => Some(&self.rules),
            Operation::Cancel => self.cancel_rules.as_ref(),
            _ => None,
        }
    }

    fn reply(&self, operation: Operation, response: &Response<Bytes>) -> OrderReply {
        assert_ne!(response.status(), 418, "a bug of the implementation");
        if operation == Operation::Cancel {
            return OrderReply::of(match response.status().as_u16() {
                204 => Reply::Accepted(Report::of(OrderState::Cancelled)),
                404 => Reply::Rejected,
                _ => Reply::Unknown(DoubtCause::ServerError),
            });
        }
        match response.status().as_u16() {
            200 => {
                let body: Value = serde_json::from_slice(response.body()).unwrap();
                let found = found(&body);
                let report = Report::of(found.figures.state);
                OrderReply::of(Reply::Accepted(report)).with_order(found)
            }
            409 => OrderReply::of(Reply::Duplicate),
            422 => OrderReply::of(Reply::Rejected),
            429 => OrderReply::of(Reply::Throttled),
            _ => OrderReply::of(Reply::Unknown(DoubtCause::ServerError)),
        }
    }

    fn query(&self, _: Query, order: &SavedOrder<'_>) -> Option<Request<Bytes>> {
        let uri = format!("/orders/{}", order.id);
        Some(Request::get(uri).body(Bytes::new()).unwrap())
    }

    fn looked_up(&self, _: Query, _: &SavedOrder<'_>, response: &Response<Bytes>) -> LookedUp {
        if response.status() != 200 {
            return LookedUp::Failed("an error of the broker");
        }
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        LookedUp::Orders(body.as_array().unwrap().iter().map(found).collect())
    }

    fn cancel(&self, order: &SavedOrder<'_>) -> Option<Request<Bytes>> {
        let uri = format!("/orders/{}", order.broker_id?);
        Some(Request::delete(uri).body(Bytes::new()).unwrap())
    }

    fn list(&self, _: Query, _: Option<&str>) -> Option<Request<Bytes>> {
        None
    }

    fn listed(&self, _: Query, _: Option<&str>, _: &Response<Bytes>) -> Listed<FoundOrder> {
        Listed::Failed("no lists")
    }

    fn positions(&self, _: Option<&str>) -> Option<Request<Bytes>> {
        None
    }

    fn listed_positions(&self, _: Option<&str>, _: &Response<Bytes>) -> Listed<BrokerPosition> {
        Listed::Failed("no lists")
    }
}

fn found(order: &Value) -> FoundOrder {
    let state = match order["status"].as_str().unwrap() {
        "filled" => OrderState::Filled,
        "cancelled" => OrderState::Cancelled,
        _ => OrderState::Open,
    };
    let figures = OrderFigures {
        state,
        quantity: Decimal::from(1),
        filled: Decimal::ZERO,
    };
    FoundOrder::new(
        order["client_order_id"].as_str().map(Into::into),
        order["id"].as_str().unwrap(),
        figures,
        order.to_string().into(),
    )
}

pub(crate) type Classifier = fn(Result<&Response<Bytes>, &Error<Down>>) -> Outcome;

pub(crate) fn classify(result: Result<&Response<Bytes>, &Error<Down>>) -> Outcome {
    match result {
        Err(Error::Inner(Down::NotSent)) => Outcome::Failure(FailureKind::NotSent),
        Err(_) => Outcome::Unknown,
        Ok(_) => Outcome::Success,
    }
}

/// A layer around a broker of a class.
pub(crate) struct Desk {
    pub(crate) client: Client,
    pub(crate) journal: Arc<MemoryJournal>,
    pub(crate) service: OrderService<Client, Classifier>,
    pub(crate) handle: OrderHandle,
}

pub(crate) fn rules(class: Duplicates) -> Rules {
    Rules::builder(class).build().unwrap()
}

impl Desk {
    pub(crate) fn new(class: Duplicates) -> Self {
        Self::with(Client::default(), Arc::default(), rules(class))
    }

    pub(crate) fn with(client: Client, journal: Arc<MemoryJournal>, rules: Rules) -> Self {
        let config = OrderConfig::builder()
            .deadline(Duration::from_secs(120))
            .build()
            .unwrap();
        let layer: OrderLayer<Body> = OrderLayer::<Body>::builder("desk", TestBroker::new(rules))
            .journal(Arc::clone(&journal))
            .config(config)
            .build()
            .unwrap();
        Self::of(client, journal, layer)
    }

    pub(crate) fn of(client: Client, journal: Arc<MemoryJournal>, layer: OrderLayer<Body>) -> Self {
        let layer = layer.classify(classify as Classifier);
        Self {
            service: layer.layer(client.clone()),
            handle: layer.handle(),
            client,
            journal,
        }
    }

    pub(crate) fn place(&self, id: &str) -> impl Future<Output = Reply_> + Send + use<> {
        let request = order(&json!({ "symbol": "AAPL", "qty": 1, "client_order_id": id }));
        self.service.clone().oneshot(request)
    }

    pub(crate) async fn journalled(&self, id: &str) -> Option<State> {
        self.journal
            .entry(id)
            .await
            .unwrap()
            .map(|entry| entry.state())
    }
}

pub(crate) fn order(body: &Value) -> Request<Body> {
    Request::post("http://broker/orders")
        .body(Body::from(body.to_string()))
        .unwrap()
}

pub(crate) async fn text(response: Response<OrderBody<Body>>) -> String {
    let body = response.into_body().collect().await;
    let body = body.unwrap_or_else(|never: Infallible| match never {});
    String::from_utf8(body.to_bytes().to_vec()).unwrap()
}

pub(crate) fn rejection(result: Reply_) -> Rejection {
    match result {
        Err(Error::Rejected(rejection)) => rejection,
        other => panic!("{other:?}"),
    }
}

impl fmt::Display for Down {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Down {}
