//! Orders through their layer, with a journal in memory and a client that responds at once.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt::Write;
use std::future::{Future, Ready, ready};
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Method, Request, Response, Uri};
use http_body_util::Full;
use seawall_core::Error;
use seawall_orders::broker::{
    Broker, BrokerPosition, FoundOrder, InvalidOrder, Listed, LookedUp, OrderReply, OrderRequest,
    SavedOrder,
};
use seawall_orders::protocol::{Duplicates, Operation, OrderState, Query, Reply, Report, Rules};
use seawall_orders::{OrderLayer, OrderService};
use tower_layer::Layer;
use tower_service::Service;

use super::{Subject, until_ready};

type Body = Full<Bytes>;

pub(super) fn subjects() -> Vec<Subject> {
    vec![
        // The request is made for each call, in all of them.
        Subject::function("raw/orders/placed", || placing(Client)),
        Subject::function("parts/orders/placed", || placing(around())),
        Subject::function("parts/orders/placed-noted", || placing(noted())),
        Subject::function("raw/orders/remembered", remembering),
        Subject::function("raw/orders/passed", || passing(Client)),
        Subject::function("parts/orders/passed", || passing(around())),
    ]
}

fn around() -> OrderService<Client> {
    begun(
        &OrderLayer::<Body>::builder("bench", Plain::new())
            .build()
            .expect("valid"),
    )
}

/// The stack is to ask before a request leaves; this one does not, so that the rows are comparable.
fn noted() -> OrderService<Client> {
    let builder = OrderLayer::<Body>::builder("bench", Plain::new());
    begun(&builder.departures_noted().build().expect("valid"))
}

/// A service whose journal was read, so that no order waits.
fn begun(layer: &OrderLayer<Body>) -> OrderService<Client> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let service = layer.layer(Client);
        service.handle().started().await;
        service
    })
}

/// Places orders, each with an id of its own.
fn placing<S>(template: S) -> impl FnMut(u64) -> bool + Clone + Send + 'static
where
    S: Service<Request<Body>> + Clone + Send + 'static,
{
    let mut number = any_number();
    let mut service = template;
    move |_| {
        number += 1;
        let mut id = String::with_capacity(24);
        let _ = write!(id, "bench-{number:016x}");
        let request = Request::post("http://broker/orders")
            .body(Body::from(id))
            .expect("valid");
        call(&mut service, request)
    }
}

/// The least that it costs to remember as many orders as a layer and its journal do by default: nothing but
/// to write one over the oldest one, in cold memory, and to find it by its id.
fn remembering() -> impl FnMut(u64) -> bool + Clone + Send + 'static {
    let mut number = any_number();
    let mut layer = Remembered::<LAYER>::new(4_096);
    let mut journal = Remembered::<JOURNAL>::new(10_000);
    move |_| {
        number += 1;
        let mut id = String::with_capacity(24);
        let _ = write!(id, "bench-{number:016x}");
        let id = Arc::<str>::from(id);
        layer.add(number, &id) & journal.add(number, &id)
    }
}

/// What is kept of an order, in words of 8 bytes.
const LAYER: usize = 74;
const JOURNAL: usize = 73;

#[derive(Clone)]
struct Remembered<const WORDS: usize> {
    ring: Vec<(u64, Option<Arc<str>>, [u64; WORDS])>,
    by_hash: HashMap<u64, usize, BuildHasherDefault<Hashed>>,
    hasher: RandomState,
    next: usize,
}

impl<const WORDS: usize> Remembered<WORDS> {
    fn new(count: usize) -> Self {
        Self {
            ring: vec![(0, None, [0; WORDS]); count],
            by_hash: HashMap::with_capacity_and_hasher(count * 2, BuildHasherDefault::default()),
            hasher: RandomState::new(),
            next: 0,
        }
    }

    fn add(&mut self, number: u64, id: &Arc<str>) -> bool {
        let slot = self.next;
        self.next = (slot + 1) % self.ring.len();
        let place = &mut self.ring[slot];
        self.by_hash.remove(&place.0);
        let hash = self.hasher.hash_one(&**id);
        *place = (hash, Some(Arc::clone(id)), [number; WORDS]);
        self.by_hash.insert(hash, slot);
        black_box(place);
        true
    }
}

/// A hash of what is one.
#[derive(Clone, Copy, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

fn passing<S>(template: S) -> impl FnMut(u64) -> bool + Clone + Send + 'static
where
    S: Service<Request<Body>> + Clone + Send + 'static,
{
    let mut service = template;
    move |_| {
        let request = Request::get("http://broker/quotes").body(Body::default());
        call(&mut service, request.expect("valid"))
    }
}

/// Clones begin elsewhere, so that no id is used twice.
fn any_number() -> u64 {
    RandomState::new().hash_one(0) >> 1
}

fn call<S: Service<Request<Body>>>(service: &mut S, request: Request<Body>) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    let _ = until_ready(|| service.poll_ready(&mut cx));
    let mut call = pin!(service.call(request));
    black_box(until_ready(|| call.as_mut().poll(&mut cx))).is_ok()
}

#[derive(Clone)]
struct Client;

impl Service<Request<Body>> for Client {
    type Response = Response<Body>;
    type Error = Error<Infallible>;
    type Future = Ready<Result<Response<Body>, Error<Infallible>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        black_box(request);
        ready(Ok(Response::new(Body::from("{}"))))
    }
}

/// A broker whose requests are their client order id: what is measured is the layer, not JSON.
#[derive(Debug)]
struct Plain(Rules);

impl Plain {
    fn new() -> Self {
        Self(Rules::builder(Duplicates::Accept).build().expect("valid"))
    }
}

impl Broker for Plain {
    fn name(&self) -> &str {
        "plain"
    }

    fn operation(&self, method: &Method, _: &Uri) -> Option<Operation> {
        (method == Method::POST).then_some(Operation::Create)
    }

    fn read(&self, _: Operation, request: &Request<Bytes>) -> Result<OrderRequest, InvalidOrder> {
        let mut order = OrderRequest::default();
        order.id = std::str::from_utf8(request.body()).ok().map(Into::into);
        Ok(order)
    }

    fn new_id(&self) -> String {
        String::new()
    }

    fn write_id(&self, _: &mut Request<Bytes>, _: &str) -> Result<(), InvalidOrder> {
        Ok(())
    }

    fn rules(&self, _: Operation) -> Option<&Rules> {
        Some(&self.0)
    }

    fn reply(&self, _: Operation, _: &Response<Bytes>) -> OrderReply {
        OrderReply::of(Reply::Accepted(Report::of(OrderState::Filled)))
    }

    fn query(&self, _: Query, _: &SavedOrder<'_>) -> Option<Request<Bytes>> {
        None
    }

    fn looked_up(&self, _: Query, _: &SavedOrder<'_>, _: &Response<Bytes>) -> LookedUp {
        LookedUp::Failed("no queries")
    }

    fn cancel(&self, _: &SavedOrder<'_>) -> Option<Request<Bytes>> {
        None
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
