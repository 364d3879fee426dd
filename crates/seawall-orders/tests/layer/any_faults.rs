//! Random faults, cancels, reports, drops and restarts, in paused time and on threads.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use fastrand::Rng;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use seawall_bulkhead::{BulkheadConfig, BulkheadLayer};
use seawall_core::{DepartureLayer, Error, Reason, Sent};
use seawall_http::NoteDeparture;
use seawall_orders::broker::FoundOrder;
use seawall_orders::journal::{Journal, MemoryJournal, State};
use seawall_orders::protocol::{Decimal, Duplicates, OrderFigures, OrderState, Rules};
use seawall_orders::{Cancelled, OrderConfig, OrderHandle, OrderLayer, OrderService};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;
use tower::util::BoxCloneService;
use tower::{Service, ServiceBuilder, ServiceExt};

use crate::common::{Body, Classifier, Down, TestBroker, classify, order, respond};
use crate::journals::Faulty;

type Stack = BoxCloneService<Request<Body>, Response<Body>, Error<Down>>;
type Desk = OrderService<Stack, Classifier>;

/// One unit of time; all others are multiples of it.
#[derive(Clone, Copy)]
struct Scale {
    unit: Duration,
    orders: usize,
}

const WINDOW: u32 = 150;

#[derive(Clone, Debug)]
struct Placed {
    id: String,
    state: &'static str,
    visible: Duration,
}

/// A broker, whose time goes on across processes.
struct World {
    zero: Instant,
    before: Duration,
    unit: Duration,
    class: Duplicates,
    rng: Rng,
    orders: Vec<Placed>,
    /// Requests on their way.
    coming: Vec<(Duration, String)>,
}

impl World {
    fn now(&mut self) -> Duration {
        let now = self.before + Instant::now().duration_since(self.zero);
        self.coming.sort();
        while self.coming.first().is_some_and(|(at, _)| *at <= now) {
            let (at, id) = self.coming.remove(0);
            self.execute(&id, at);
        }
        now
    }

    /// Keeps the time, which the clock of the next process does not have.
    fn end(&mut self) {
        self.before = self.now();
        self.zero = Instant::now();
    }

    /// Executes an order, or says that the broker knows it already.
    fn execute(&mut self, id: &str, now: Duration) -> Option<usize> {
        let same = self.orders.iter().position(|order| order.id == id);
        let open = |order: &Placed| order.id == id && order.state == "open";
        match (self.class, same) {
            (Duplicates::ReturnFirst, Some(first)) => return Some(first),
            (Duplicates::RejectForATime, Some(_)) => return None,
            (Duplicates::RejectWhileOpen, Some(_)) if self.orders.iter().any(open) => return None,
            _ => {}
        }
        let visible = now + self.unit * self.rng.u32(0..WINDOW / 3);
        let state = if self.rng.bool() { "open" } else { "filled" };
        let id = id.to_owned();
        self.orders.push(Placed { id, state, visible });
        Some(self.orders.len() - 1)
    }

    fn json(&self, index: usize) -> Value {
        let order = &self.orders[index];
        let id = format!("b{}", index + 1);
        json!({ "id": id, "client_order_id": order.id, "status": order.state })
    }

    fn query(&mut self, id: &str) -> Response<Body> {
        let now = self.now();
        if self.rng.u8(0..4) == 0 {
            return respond(500, &json!("no"));
        }
        let found = self.orders.iter().enumerate();
        let found = found.filter(|(_, order)| order.id == id && order.visible <= now);
        respond(200, &found.map(|(index, _)| self.json(index)).collect())
    }

    fn cancel(&mut self, broker_id: &str) -> Response<Body> {
        self.now();
        let index = broker_id[1..].parse::<usize>().unwrap() - 1;
        match self.orders.get_mut(index) {
            Some(order) if order.state == "open" => {
                order.state = "cancelled";
                respond(204, &Value::Null)
            }
            _ => respond(404, &json!("no such order")),
        }
    }
}

#[derive(Clone)]
struct Sim(Arc<Mutex<World>>);

impl Sim {
    fn world(&self) -> std::sync::MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    async fn create(self, id: String) -> Result<Response<Body>, Error<Down>> {
        let (fault, executed, wait) = {
            let mut world = self.world();
            let now = world.now();
            let fault = world.rng.u8(0..12);
            let late = world.unit * world.rng.u32(0..WINDOW / 2);
            let executes = match fault {
                // Of these it does.
                0..=4 => true,
                // Of those it does not.
                5 | 6 => false,
                _ => world.rng.bool(),
            };
            let late = if fault < 3 { Duration::ZERO } else { late };
            let mut executed = None;
            if executes && late.is_zero() {
                let index = world.execute(&id, now);
                executed = Some(index.map(|index| world.json(index)));
            } else if executes {
                world.coming.push((now + late, id.clone()));
            }
            (fault, executed, world.unit * world.rng.u32(0..20))
        };
        tokio::time::sleep(wait).await;
        match (fault, executed) {
            (0..=2, Some(Some(body))) => Ok(respond(200, &body)),
            (0..=2, _) => Ok(respond(409, &json!("known"))),
            (5, _) => Ok(respond(422, &json!("no funds"))),
            (6, _) => Err(Error::Inner(Down::NotSent)),
            (7, _) => Ok(respond(429, &json!("slow down"))),
            (8, _) => Ok(respond(504, &json!("gateway"))),
            (9, _) => std::future::pending().await,
            _ => Err(Error::Inner(Down::Reset)),
        }
    }
}

impl Service<Request<Body>> for Sim {
    type Response = Response<Body>;
    type Error = Error<Down>;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Error<Down>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error<Down>>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let sim = self.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let last = head.uri.path().rsplit('/').next().unwrap().to_owned();
            match head.method {
                Method::POST => {
                    let body: Value = serde_json::from_slice(&body).unwrap();
                    sim.create(body["client_order_id"].as_str().unwrap().to_owned())
                        .await
                }
                Method::DELETE => Ok(sim.world().cancel(&last)),
                _ => Ok(sim.world().query(&last)),
            }
        })
    }
}

/// What callers were promised: whether the order is executed.
#[derive(Clone, Default)]
struct Claimed(Arc<Mutex<HashMap<String, Claims>>>);

type Claims = Vec<(bool, String)>;

impl Claimed {
    fn note(&self, id: &str, executed: bool, how: String) {
        let mut claims = self.0.lock().unwrap();
        claims
            .entry(id.to_owned())
            .or_default()
            .push((executed, how));
    }

    fn answer(&self, id: &str, result: Result<u16, Error<Down>>) {
        match &result {
            Ok(200) => self.note(id, true, "200".into()),
            Ok(422 | 429) => self.note(id, false, format!("{result:?}")),
            Ok(status) => panic!("a status that says nothing passes: {status}"),
            Err(Error::Inner(Down::NotSent)) => self.note(id, false, "not sent".into()),
            Err(Error::Inner(Down::Reset)) => panic!("an unknown outcome passes as it is"),
            Err(Error::Rejected(rejection)) => match (rejection.reason(), rejection.sent()) {
                // Nothing is known, or it is about this request and not about the order of the id.
                (Reason::OutcomeUnknown | Reason::InvalidRequest | Reason::TradingMode, _) => {}
                (Reason::NotExecuted, _) | (_, Sent::No) => {
                    self.note(id, false, rejection.to_string());
                }
                (_, Sent::Maybe) => panic!("{rejection}"),
            },
        }
    }
}

fn desk(sim: &Sim, rng: &mut Rng, journal: &Arc<Faulty>) -> (Desk, OrderHandle) {
    let (unit, class) = {
        let world = sim.world();
        (world.unit, world.class)
    };
    let rules = Rules::builder(class)
        .window(unit * WINDOW)
        .first_look_up(unit * 5)
        .backoff(unit * 5)
        .max_backoff(unit * 40)
        .look_up_timeout(unit * 50)
        .look_ups(200)
        .build()
        .unwrap();
    let deadline = unit * rng.u32(20..600);
    let config = OrderConfig::builder()
        .deadline(deadline)
        .remembered(rng.u32(1..100))
        .build()
        .unwrap();
    let builder = OrderLayer::<Body>::builder("desk", TestBroker::new(rules))
        .journal(Arc::clone(journal))
        .config(config);
    let bulkhead = BulkheadConfig::builder()
        .max_concurrent(rng.u32(1..5))
        .max_waiting(1_000)
        .max_wait(unit * rng.u32(5..500))
        .build()
        .unwrap();
    let bulkhead = BulkheadLayer::new("desk", bulkhead);
    let (layer, stack): (OrderLayer<Body>, Stack) = match rng.u8(0..3) {
        0 => (builder.build().unwrap(), BoxCloneService::new(sim.clone())),
        1 => {
            let stack = ServiceBuilder::new().layer(bulkhead).service(sim.clone());
            (builder.build().unwrap(), BoxCloneService::new(stack))
        }
        _ => {
            let stack = ServiceBuilder::new()
                .layer(bulkhead)
                .layer(DepartureLayer::new(NoteDeparture))
                .service(sim.clone());
            let layer = builder.departures_noted().build().unwrap();
            (layer, BoxCloneService::new(stack))
        }
    };
    let layer = layer.classify(classify as Classifier);
    // Cancels and look-ups do not wait behind orders.
    let reserved = BoxCloneService::new(sim.clone());
    (layer.layer_with_reserved(stack, reserved), layer.handle())
}

async fn place(desk: Desk, id: String, claims: Claimed, dropped_after: Option<Duration>) {
    let body = json!({ "symbol": "A", "qty": 1, "client_order_id": id });
    let placing = desk.oneshot(order(&body));
    let result = match dropped_after {
        Some(after) => match tokio::time::timeout(after, placing).await {
            Ok(result) => result,
            Err(_) => return,
        },
        None => placing.await,
    };
    claims.answer(&id, result.map(|response| response.status().as_u16()));
}

/// Something that happens to an order beside its call.
async fn happen(what: u8, id: String, sim: Sim, desk: Desk, handle: OrderHandle, claims: Claimed) {
    let known = {
        let mut world = sim.world();
        world.now();
        let index = world.orders.iter().position(|order| order.id == id);
        index.map(|index| (index, world.json(index)))
    };
    match (what, known) {
        (0, _) => {
            let limit = sim.world().unit * 300;
            if let Ok(Cancelled::NotSent) = handle.cancel(&id, limit).await {
                claims.note(&id, false, "cancelled unsent".into());
            }
        }
        (1, Some((index, _))) => {
            let uri = format!("http://broker/orders/b{}", index + 1);
            let cancel = Request::delete(uri).body(Body::default()).unwrap();
            let _ = desk.oneshot(cancel).await;
        }
        (_, Some((index, body))) => {
            let state = match body["status"].as_str() {
                Some("open") => OrderState::Open,
                Some("filled") => OrderState::Filled,
                _ => OrderState::Cancelled,
            };
            let figures = OrderFigures {
                state,
                quantity: Decimal::from(1),
                filled: Decimal::ZERO,
            };
            let broker_id = format!("b{}", index + 1);
            let text = body.to_string().into();
            let found = FoundOrder::new(Some(id.as_str().into()), broker_id, figures, text);
            let _ = handle.observe_order(&id, found).await;
        }
        _ => {}
    }
}

fn runtime(paused: bool) -> Runtime {
    if paused {
        let builder = &mut Builder::new_current_thread();
        return builder.enable_time().start_paused(true).build().unwrap();
    }
    let builder = &mut Builder::new_multi_thread();
    builder.worker_threads(4).enable_time().build().unwrap()
}

/// One run of several processes on one journal.
fn run(seed: u64, scale: Scale, paused: bool) {
    let mut rng = Rng::with_seed(seed);
    let class = [
        Duplicates::ReturnFirst,
        Duplicates::RejectForATime,
        Duplicates::RejectWhileOpen,
        Duplicates::Accept,
    ][rng.usize(0..4)];
    let (unit, claims) = (scale.unit, Claimed::default());
    let sim = Sim(Arc::new(Mutex::new(World {
        zero: Instant::now(),
        before: Duration::ZERO,
        unit,
        class,
        rng: rng.fork(),
        orders: Vec::new(),
        coming: Vec::new(),
    })));
    let entries = Arc::new(MemoryJournal::default());
    let processes = rng.usize(1..4);
    for process in 0..processes {
        let runtime = runtime(paused);
        let journal = Arc::new(Faulty::on(Arc::clone(&entries)));
        let last = process + 1 == processes;
        runtime.block_on(async {
            sim.world().zero = Instant::now();
            let late = if rng.bool() {
                unit * rng.u32(0..10)
            } else {
                Duration::ZERO
            };
            journal.delay_ms.store(late.as_millis() as u64, SeqCst);
            let (desk, handle) = desk(&sim, &mut rng, &journal);
            let mut tasks = Vec::new();
            for number in 0..scale.orders {
                let id = format!("{process}-{number}");
                let starts = unit * rng.u32(0..300);
                let dropped = rng.bool().then(|| unit * rng.u32(0..400));
                for _ in 0..1 + usize::from(rng.u8(0..8) == 0) {
                    let (desk, id, claims) = (desk.clone(), id.clone(), claims.clone());
                    tasks.push(tokio::spawn(async move {
                        tokio::time::sleep(starts).await;
                        place(desk, id, claims, dropped).await;
                    }));
                }
                for _ in 0..rng.u8(0..3) {
                    let (what, after) = (rng.u8(0..3), starts + unit * rng.u32(0..300));
                    let (sim, desk, handle) = (sim.clone(), desk.clone(), handle.clone());
                    let (id, claims) = (id.clone(), claims.clone());
                    tasks.push(tokio::spawn(async move {
                        tokio::time::sleep(after).await;
                        happen(what, id, sim, desk, handle, claims).await;
                    }));
                }
            }
            if !last {
                tokio::time::sleep(unit * rng.u32(1..500)).await;
                // Killed: what is written from now on is lost.
                journal.fails.store(true, SeqCst);
                sim.world().end();
                return;
            }
            for task in tasks {
                task.await.unwrap();
            }
            handle.started().await;
            let quiet = async {
                while handle.snapshot().in_doubt > 0 {
                    tokio::time::sleep(unit * 10).await;
                }
            };
            let is_quiet = tokio::time::timeout(unit * 60_000, quiet).await;
            assert!(is_quiet.is_ok(), "seed {seed}: {:?}", handle.in_doubt());
            tokio::time::sleep(unit * WINDOW).await;
            let snapshot = handle.snapshot();
            let left = (
                snapshot.in_doubt,
                snapshot.exhausted,
                snapshot.of_earlier_process,
            );
            assert_eq!(left, (0, 0, 0), "seed {seed}");
            sim.world().now();
            check(seed, &sim, &entries, &claims, processes * scale.orders).await;
        });
        runtime.shutdown_timeout(Duration::from_secs(5));
        assert_eq!(
            Arc::strong_count(&sim.0),
            1,
            "seed {seed}: something is left"
        );
        assert_eq!(
            Arc::strong_count(&journal),
            1,
            "seed {seed}: something is left"
        );
    }
}

async fn check(seed: u64, sim: &Sim, journal: &MemoryJournal, claims: &Claimed, orders: usize) {
    let ids: Vec<_> = claims.0.lock().unwrap().keys().cloned().collect();
    let world = sim.world().orders.clone();
    for order in &world {
        assert!(
            journal.entry(&order.id).await.unwrap().is_some(),
            "seed {seed}"
        );
    }
    let page = journal.list(&seawall_orders::journal::Filter::all().limit(10_000));
    let entries = page.await.unwrap().entries;
    assert!(entries.len() <= orders);
    for entry in &entries {
        let id = entry.intent().id();
        let executed = world.iter().filter(|order| order.id == id).count();
        let what = format!(
            "seed {seed}, {id}: executed {executed} times, {}",
            entry.state()
        );
        assert!(executed <= 1, "{what}");
        match entry.state() {
            State::Confirmed => assert_eq!(executed, 1, "{what}"),
            State::Absent | State::Abandoned | State::Rejected => assert_eq!(executed, 0, "{what}"),
            _ => panic!("{what}"),
        }
    }
    for id in ids {
        let executed = world.iter().any(|order| order.id == id);
        for (claim, how) in &claims.0.lock().unwrap()[&id] {
            assert_eq!(*claim, executed, "seed {seed}, {id}: {how}");
        }
    }
}

#[test]
fn in_paused_time() {
    let scale = Scale {
        unit: Duration::from_millis(100),
        orders: 8,
    };
    let first = fastrand::u64(..);
    for seed in first..first.saturating_add(150) {
        run(seed, scale, true);
    }
}

#[test]
fn on_threads() {
    let scale = Scale {
        unit: Duration::from_micros(400),
        orders: 120,
    };
    let first = fastrand::u64(..);
    for seed in first..first.saturating_add(3) {
        run(seed, scale, false);
    }
}
