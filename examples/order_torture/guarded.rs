//! Seawall: every order is in a journal before it leaves, and is looked up where its fate is unknown.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use seawall::{Error, FailureKind, Outcome, Reason, Rejection, Sent};
use seawall_orders::journal::durable::{DurableConfig, DurableJournal};
use seawall_orders::protocol::{ModePolicy, OrderState, Settlement, TradingMode};
use seawall_orders::safety::TradingControl;
use seawall_orders::{
    OrderBody, OrderConfig, OrderError, OrderHandle, OrderLayer, OrderNotices, ReceivedNotice,
    Reconciled, ReconciledHow,
};
use tokio::time::{Instant, sleep, timeout};
use tower::util::{BoxCloneSyncService, MapErr};
use tower::{Layer, ServiceExt};

use crate::broker::alpaca_like;
use crate::contender::{Contender, OrderResult};
use crate::http_client::{ATTEMPT_TIMEOUT, Body, CallError, Client, create, replace};
use crate::plain::{Urls, url};
use crate::plan::{Class, Order};
use crate::trace::Trace;
use crate::traced::Traced;

/// How long a caller waits for the outcome of an order.
const DEADLINE: Duration = Duration::from_secs(4);
/// The same for orders of one class: too short to find out that there is no order.
const SHORT_DEADLINE: Duration = Duration::from_millis(400);
/// Callers of every so many orders give up at once: their futures are dropped.
const DROPPED: u32 = 23;
/// How long an order that is to be replaced is waited for.
const TARGET_WITHIN: Duration = Duration::from_secs(2);
/// How long the last reconciliation may take, on a machine that is busy with other things, too.
const SETTLED_WITHIN: Duration = Duration::from_secs(120);

type StackError = Error<CallError>;
type Service = BoxCloneSyncService<Request<Body>, Response<OrderBody<Body>>, StackError>;

struct Account {
    service: Service,
    orders: OrderHandle,
}

/// One journal, and one layer for each broker.
pub(crate) struct Guarded {
    accounts: BTreeMap<Class, Account>,
    urls: Urls,
}

impl Guarded {
    /// With the journal of earlier processes, whose orders are looked up before new ones leave.
    pub(crate) async fn open(urls: Urls, directory: &Path) -> Result<Self, Box<dyn StdError>> {
        let path = directory.join("orders.journal");
        let journal = DurableJournal::open(path, DurableConfig::default()).await?;
        let trace = Arc::new(Trace::open(directory)?);
        let mut accounts = BTreeMap::new();
        for class in urls.keys() {
            accounts.insert(*class, Account::new(*class, &journal, &trace)?);
        }
        Ok(Self { accounts, urls })
    }

    fn account(&self, order: &Order) -> Option<&Account> {
        self.accounts.get(&order.class)
    }
}

impl Account {
    fn new(
        class: Class,
        journal: &DurableJournal,
        trace: &Arc<Trace>,
    ) -> Result<Self, seawall::InvalidConfig> {
        let deadline = match class {
            Class::RejectForATime => SHORT_DEADLINE,
            _ => DEADLINE,
        };
        let config = OrderConfig::builder()
            .deadline(deadline)
            .look_ups_at_once(16)
            .look_up_again_every(Duration::from_secs(5))
            .build()?;
        // A desk that stops while many orders are in doubt would not show what becomes of them.
        let policy = ModePolicy::builder()
            .on_exhausted(TradingMode::Normal)
            .reduce_from(100_000)
            .cancel_from(100_000)
            .clean_queries(0)
            .build()?;
        let layer = OrderLayer::<Body>::builder(class.name(), alpaca_like(class)?)
            .journal(journal.clone())
            .config(config)
            .control(TradingControl::builder().policy(policy).build())
            .build()?
            .classify(classify as Classifier);
        let orders = layer.handle();
        tokio::spawn(note_all(orders.subscribe(), Arc::clone(trace)));
        let client = Traced::new(Client::new(ATTEMPT_TIMEOUT), Arc::clone(trace));
        let client = MapErr::new(client, Error::Inner as Wrap);
        let service = BoxCloneSyncService::new(layer.layer(client));
        Ok(Self { service, orders })
    }

    async fn place(&self, request: Request<Body>) -> OrderResult {
        match self.service.clone().oneshot(request).await {
            Ok(response) => response_result(response).await,
            Err(Error::Rejected(rejection)) => rejected(&rejection),
            Err(Error::Inner(CallError::NotSent(_))) => OrderResult::NotExecuted,
            Err(Error::Inner(_)) => OrderResult::InDoubt,
        }
    }

    /// The request that an order is sent with; `None` where the order that it replaces is not at the
    /// broker.
    async fn request(&self, url: &str, order: &Order) -> Option<Request<Body>> {
        let Some(target) = &order.replaces else {
            return Some(create(url, order));
        };
        let until = Instant::now() + TARGET_WITHIN;
        while Instant::now() < until {
            // It is not known yet where this is an error.
            if let Ok(target) = self.orders.order(target).await {
                match (target.settlement, target.found) {
                    (Some(Settlement::Confirmed(..)), Some(found)) => {
                        return Some(replace(url, &found.broker_id, order));
                    }
                    (Some(_), _) => return None,
                    (None, _) => {}
                }
            }
            sleep(Duration::from_millis(20)).await;
        }
        None
    }

    /// What the journal has of an order; `None` for one that was never asked for.
    async fn settled(&self, id: &str, limit: Duration) -> Option<OrderResult> {
        let until = Instant::now() + limit;
        self.orders.started().await;
        loop {
            match self.orders.order(id).await {
                Ok(order) => {
                    if let Some(settlement) = order.settlement {
                        return Some(settlement_result(settlement));
                    }
                }
                Err(OrderError::UnknownOrder) => return None,
                // It is asked again.
                Err(_) => {}
            }
            if Instant::now() >= until {
                return Some(OrderResult::InDoubt);
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Notes what becomes of orders.
async fn note_all(mut notices: OrderNotices, trace: Arc<Trace>) {
    while let Some(received) = notices.next().await {
        if let ReceivedNotice::Notice(notice) = received {
            trace.note(&notice.id, format_args!("{:?}", notice.notice));
        }
    }
}

type Wrap = fn(CallError) -> StackError;
type Classifier = fn(Result<&Response<bytes::Bytes>, &StackError>) -> Outcome;

/// Whether a request was certainly not sent.
fn classify(result: Result<&Response<bytes::Bytes>, &StackError>) -> Outcome {
    match result {
        Ok(_) => Outcome::Success,
        Err(Error::Inner(CallError::NotSent(_))) => Outcome::Failure(FailureKind::NotSent),
        Err(_) => Outcome::Unknown,
    }
}

async fn response_result(response: Response<OrderBody<Body>>) -> OrderResult {
    let (head, body) = response.into_parts();
    let reconciled = head.extensions.get::<Reconciled>();
    let how = reconciled.map(|reconciled| reconciled.how);
    if let Some(ReconciledHow::Order(_, OrderState::Rejected)) = how {
        return OrderResult::Rejected;
    }
    match head.status {
        status if status.is_success() && body.collect().await.is_ok() => OrderResult::Executed,
        status if status.is_success() => OrderResult::InDoubt,
        StatusCode::TOO_MANY_REQUESTS => OrderResult::NotExecuted,
        status if status.is_client_error() => OrderResult::Rejected,
        _ => OrderResult::InDoubt,
    }
}

fn rejected(rejection: &Rejection) -> OrderResult {
    match (rejection.reason(), rejection.sent()) {
        (Reason::NotExecuted, _) | (_, Sent::No) => OrderResult::NotExecuted,
        _ => OrderResult::InDoubt,
    }
}

fn settlement_result(settlement: Settlement) -> OrderResult {
    match settlement {
        Settlement::Confirmed(..) => OrderResult::Executed,
        Settlement::Rejected(_) => OrderResult::Rejected,
        Settlement::Absent(_) => OrderResult::NotExecuted,
        Settlement::Abandoned => OrderResult::InDoubt,
    }
}

impl Contender for Guarded {
    async fn place(&self, order: &Order) -> OrderResult {
        let Some(account) = self.account(order) else {
            return OrderResult::NotExecuted;
        };
        let Some(request) = account.request(&url(&self.urls, order), order).await else {
            return OrderResult::NotExecuted;
        };
        let placed = account.place(request);
        if !order.number.is_multiple_of(DROPPED) {
            return placed.await;
        }
        let dropped_after = Duration::from_micros(u64::from(order.number) * 37 % 30_000);
        match timeout(dropped_after, placed).await {
            Ok(result) => result,
            // Not in doubt for long: the order goes on without its caller, or never left.
            Err(_) => {
                let settled = account.settled(&order.id, DEADLINE).await;
                settled.unwrap_or(OrderResult::NotExecuted)
            }
        }
    }

    /// What is in the journal is settled from it; what is not there was never sent.
    async fn recover(&self, order: &Order) -> OrderResult {
        let Some(account) = self.account(order) else {
            return OrderResult::NotExecuted;
        };
        match account.settled(&order.id, DEADLINE).await {
            Some(result) => result,
            None => self.place(order).await,
        }
    }

    async fn settle(&self, order: &Order) -> OrderResult {
        let Some(account) = self.account(order) else {
            return OrderResult::NotExecuted;
        };
        // One whose look-ups are used up; for all others this is an error and does nothing.
        let _ = account.orders.look_up_again(&order.id).await;
        let settled = account.settled(&order.id, SETTLED_WITHIN).await;
        settled.unwrap_or(OrderResult::InDoubt)
    }

    async fn cancel(&self, order: &Order) {
        if let Some(account) = self.account(order) {
            // Of an order that is gone, or was never asked for, there is nothing to cancel.
            let _ = account.orders.cancel(&order.id, DEADLINE).await;
        }
    }
}
