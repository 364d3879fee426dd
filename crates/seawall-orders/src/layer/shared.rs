//! What the services, futures and tasks of a layer share.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use seawall_core::{
    Clock, EventSource, Figure, InstanceName, InvalidConfig, Reason, Rejection, ns,
};
use tokio::sync::{Notify, Semaphore, broadcast, watch};
use tokio::time::Instant;

use super::compared::AllCompared;
use super::config::OrderConfig;
use super::counts::OrderCounters;
use super::notices::{OrderNotice, Published};
use super::runtime::Tasks;
use super::tracked::{Standing, Tracked};
use super::unwritten::Unwritten;
use crate::broker::{Broker, Target};
use crate::client::{BoxError, RequestSender};
use crate::journal::Journal;
use crate::lists::OwnPositions;
use crate::protocol::{Alert, Decimal, Notice, Settlement};
use crate::safety::TradingControl;

/// Adds credentials to the requests that the layer makes itself.
pub(super) type Authorize = dyn Fn(&mut Request<Bytes>) + Send + Sync;

pub(super) struct Shared {
    pub(super) events: EventSource,
    pub(super) counters: OrderCounters,
    pub(super) broker: Arc<dyn Broker>,
    pub(super) journal: Arc<dyn Journal>,
    config: RwLock<OrderConfig>,
    pub(super) control: Arc<TradingControl>,
    /// What the user holds by its own books.
    pub(super) positions: Option<OwnPositions>,
    /// What the broker has in the paths of the account, where that is set.
    broker_account: Option<Box<str>>,
    /// The broker and the account, as intents are marked.
    pub(super) account: Arc<str>,
    pub(super) run: Arc<str>,
    /// Whether the stack below asks before a request leaves.
    pub(super) notes_departures: bool,
    /// Whether it has ever asked.
    pub(super) asked: std::sync::atomic::AtomicBool,
    pub(super) authorize: Option<Box<Authorize>>,
    pub(super) below: OnceLock<RequestSender>,
    pub(super) look_ups: Semaphore,
    pub(super) started: watch::Sender<Start>,
    pub(super) notices: broadcast::Sender<Published>,
    /// What differs from the broker's lists.
    pub(super) compared: Mutex<AllCompared>,
    /// By how much the broker has more of a symbol than we, of those that ever differed.
    pub(super) gaps: Mutex<BTreeMap<InstanceName, Decimal>>,
    /// Wakes the task that watches.
    pub(super) standing_changed: Arc<Notify>,
    pub(super) tasks: Tasks,
    clock: Clock,
    /// The last URI that an order went to, and its text.
    target: Mutex<Option<(Uri, Bytes)>>,
    book: Mutex<Book>,
    pub(super) unwritten: Unwritten,
}

/// How far the start is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// Nothing was read.
    Before,
    /// The journal is being read, or so many orders of it are being looked up.
    Reading,
    /// So many orders of an earlier process are still in doubt.
    LookingUp(u32),
    /// Every order of an earlier process is settled or exhausted.
    Over,
}

/// The orders in memory.
#[derive(Default)]
struct Book {
    orders: HashMap<Arc<str>, Arc<Tracked>>,
    by_broker_id: HashMap<Box<str>, Arc<Tracked>>,
    /// The last ones that were settled, and the broker's ids that they are found by.
    settled: VecDeque<(Arc<str>, Option<Box<str>>)>,
    // Two threads count what they did to one order in either order, so these may be below zero.
    in_doubt: i64,
    exhausted: i64,
    starting: i64,
}

pub(super) struct Parts {
    pub(super) name: InstanceName,
    pub(super) broker: Arc<dyn Broker>,
    pub(super) journal: Arc<dyn Journal>,
    pub(super) config: OrderConfig,
    pub(super) control: Arc<TradingControl>,
    pub(super) account: Arc<str>,
    pub(super) run: Arc<str>,
    pub(super) notes_departures: bool,
    pub(super) authorize: Option<Box<Authorize>>,
    pub(super) positions: Option<OwnPositions>,
    pub(super) broker_account: Option<Box<str>>,
}

impl Shared {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            events: EventSource::new("orders", parts.name),
            counters: OrderCounters::default(),
            broker: parts.broker,
            journal: parts.journal,
            control: parts.control,
            account: parts.account,
            run: parts.run,
            notes_departures: parts.notes_departures,
            asked: std::sync::atomic::AtomicBool::new(false),
            authorize: parts.authorize,
            positions: parts.positions,
            broker_account: parts.broker_account,
            below: OnceLock::new(),
            look_ups: Semaphore::new(parts.config.look_ups_at_once() as usize),
            config: RwLock::new(parts.config),
            started: watch::Sender::new(Start::Before),
            notices: broadcast::Sender::new(1_024),
            compared: Mutex::default(),
            gaps: Mutex::default(),
            standing_changed: Arc::new(Notify::new()),
            tasks: Tasks::default(),
            clock: Clock::start(),
            target: Mutex::default(),
            book: Mutex::default(),
            unwritten: Unwritten::default(),
        }
    }

    pub(super) fn now(&self) -> Duration {
        Duration::from_nanos(self.clock.now())
    }

    pub(super) fn instant(&self, at: Duration) -> Instant {
        self.clock.instant(ns(at))
    }

    /// The text of a URI. Most orders go to the same one, and share it.
    pub(super) fn target_of(&self, uri: &Uri) -> Bytes {
        let text = || Bytes::from(uri.to_string());
        if uri.query().is_some() {
            return text();
        }
        let mut last = self.target.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((known, text)) if known == uri => text.clone(),
            _ => {
                let text = text();
                *last = Some((uri.clone(), text.clone()));
                text
            }
        }
    }

    pub(super) fn config(&self) -> OrderConfig {
        *self.config.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what can be changed while orders are placed.
    pub(super) fn configure(&self, config: OrderConfig) -> Result<(), InvalidConfig> {
        let mut now = self.config.write().unwrap_or_else(PoisonError::into_inner);
        config.check_change(&now)?;
        *now = config;
        Ok(())
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A rejection by the layer, of a request that was not executed, in words of the program.
    pub(super) fn rejection(&self, reason: Reason, why: &str) -> Rejection {
        let because = Figure::Because(InstanceName::new(why));
        self.events.rejection(reason).with_figure(because)
    }

    /// Sends a request of the layer's own.
    pub(super) async fn send(
        &self,
        mut request: Request<Bytes>,
    ) -> Result<Response<Bytes>, BoxError> {
        let below = self.below.get();
        let below = below.ok_or("the layer has made no service yet")?;
        if let Some(authorize) = &self.authorize {
            authorize(&mut request);
        }
        below.send(request).await
    }

    /// Adds an order; `false` if there is one of its id.
    pub(super) fn add(&self, tracked: &Arc<Tracked>) -> bool {
        match self.book().orders.entry(Arc::clone(&tracked.id)) {
            Entry::Occupied(_) => false,
            Entry::Vacant(entry) => {
                entry.insert(Arc::clone(tracked));
                true
            }
        }
    }

    /// Forgets an order that was not written to the journal.
    pub(super) fn forget(&self, it: &Arc<Tracked>) {
        let mut book = self.book();
        if book
            .orders
            .get(&it.id)
            .is_some_and(|known| Arc::ptr_eq(known, it))
        {
            book.orders.remove(&it.id);
        }
    }

    pub(super) fn find(&self, id: &str) -> Option<Arc<Tracked>> {
        self.book().orders.get(id).cloned()
    }

    pub(super) fn find_target(&self, target: &Target) -> Option<Arc<Tracked>> {
        let book = self.book();
        match target {
            Target::Client(id) => book.orders.get(&**id).cloned(),
            Target::Broker(id) => book.by_broker_id.get(id).cloned(),
        }
    }

    /// The orders whose time is over, and of which nobody has noted it: their callers do not poll them.
    pub(super) fn overdue(&self) -> Vec<Arc<Tracked>> {
        let (book, now) = (self.book(), self.now());
        if book.orders.len() <= book.settled.len() {
            return Vec::new();
        }
        let overdue = book.orders.values().filter(|it| it.is_overdue(now));
        overdue.cloned().collect()
    }

    pub(super) fn all(&self) -> Vec<Arc<Tracked>> {
        self.book().orders.values().cloned().collect()
    }

    /// The order that was written last.
    pub(super) fn latest(&self) -> Option<Arc<Tracked>> {
        let book = self.book();
        book.orders.values().max_by_key(|it| it.number()).cloned()
    }

    /// What the broker has in the paths of the account: of the order that was written last, or what is set.
    pub(super) fn broker_account(&self) -> Option<Box<str>> {
        let latest = self.latest().and_then(|it| it.request.account.clone());
        latest.or_else(|| self.broker_account.clone())
    }

    /// The orders in doubt, exhausted, and those of an earlier process that are in doubt.
    pub(super) fn standing(&self) -> (u32, u32, u32) {
        let book = self.book();
        let count = |count: i64| u32::try_from(count).unwrap_or(0);
        (
            count(book.in_doubt),
            count(book.exhausted),
            count(book.starting),
        )
    }

    /// An order has changed.
    pub(super) fn moved(
        &self,
        it: &Arc<Tracked>,
        (before, now): (Standing, Standing),
        settled_now: bool,
    ) {
        if before == now && !settled_now {
            return;
        }
        let mut book = self.book();
        let count = |counter: &mut i64, before: bool, now: bool| {
            *counter += i64::from(now) - i64::from(before);
        };
        count(&mut book.in_doubt, before.in_doubt, now.in_doubt);
        count(&mut book.exhausted, before.exhausted, now.exhausted);
        count(&mut book.starting, before.starting, now.starting);
        if settled_now {
            book.settle(it, self.config().remembered() as usize);
        }
        drop(book);
        if before != now {
            self.give_standing();
        }
        if before.starting != now.starting {
            self.note_start(|start| matches!(start, Start::LookingUp(_)));
        }
        self.standing_changed.notify_one();
    }

    /// Notes how far the start is. Counted under the lock of what is noted: of two threads, the last one
    /// to note has the last count.
    pub(super) fn note_start(&self, notes: impl FnOnce(Start) -> bool) {
        self.started.send_if_modified(|start| {
            let (_, _, starting) = self.standing();
            let now = Start::LookingUp(starting);
            let changed = notes(*start) && *start != now;
            if changed {
                *start = now;
            }
            changed
        });
    }

    /// Gives the numbers of orders to the control. Two threads may do so at once, in either order, so each
    /// looks whether what it gave is still so.
    fn give_standing(&self) {
        loop {
            let given = self.standing();
            let (in_doubt, exhausted, starting) = given;
            self.control.set_in_doubt(in_doubt);
            self.control.set_exhausted(exhausted);
            self.control.set_starting(starting);
            if self.standing() == given {
                return;
            }
        }
    }

    pub(super) fn count(&self, notice: Notice) {
        let counters = &self.counters;
        let counter = match notice {
            Notice::InDoubt(_) => &counters.in_doubt,
            Notice::Resend(_) => &counters.resent,
            Notice::Settled(Settlement::Confirmed(..)) => &counters.confirmed,
            Notice::Settled(Settlement::Rejected(_)) => &counters.rejected,
            Notice::Settled(Settlement::Absent(_)) => &counters.absent,
            Notice::Settled(Settlement::Abandoned) => &counters.abandoned,
            Notice::Alert(Alert::Exhausted) => &counters.exhausted,
            Notice::Alert(_) => &counters.alerts,
        };
        counter.add();
    }

    pub(super) fn publish(&self, notice: OrderNotice) {
        // An error means that nobody is subscribed.
        let _ = self.notices.send(Published::Order(notice));
    }
}

impl Book {
    /// Keeps a settled order among the last ones.
    fn settle(&mut self, it: &Arc<Tracked>, most: usize) {
        let broker_id = it.broker_id();
        if let Some(id) = &broker_id {
            self.by_broker_id.insert(id.clone(), Arc::clone(it));
        }
        self.settled.push_back((Arc::clone(&it.id), broker_id));
        while self.settled.len() > most {
            let Some((oldest, broker_id)) = self.settled.pop_front() else {
                break;
            };
            if let Entry::Occupied(order) = self.orders.entry(oldest)
                && order.get().settlement().is_some()
            {
                order.remove();
            }
            if let Some(id) = broker_id {
                self.by_broker_id.remove(&id);
            }
        }
    }
}

seawall_core::impl_debug!(Shared: |this|
    name = this.events.name(),
    started = *this.started.borrow(),
);
