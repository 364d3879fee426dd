//! What the services, futures and tasks of a layer share.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use seawall_core::{
    Clock, EventSource, Figure, InstanceName, InvalidConfig, Reason, Rejection, ns,
};
use tokio::sync::{Notify, broadcast, watch};
use tokio::time::Instant;

use super::book::Book;
use super::compared::AllCompared;
use super::config::OrderConfig;
use super::counts::OrderCounters;
use super::notices::{OrderNotice, Published};
use super::readings::Readings;
use super::runtime::Tasks;
use super::settled::View;
use super::template::Template;
use super::tracked::{NewOrder, Origin, Place, Standing, Tracked};
use super::unwritten::Unwritten;
use crate::broker::{Broker, Target};
use crate::client::{BoxError, RequestSender};
use crate::journal::Journal;
use crate::lists::OwnPositions;
use crate::protocol::{Alert, Decimal, Notice, Operation, Rules, Settlement};
use crate::safety::TradingControl;

/// Adds credentials to the requests that the layer makes itself.
pub(super) type Authorize = dyn Fn(&mut Request<Bytes>) + Send + Sync;

pub(super) struct Shared {
    pub(super) events: EventSource,
    pub(super) counters: OrderCounters,
    pub(super) broker: Arc<dyn Broker>,
    pub(super) journal: Arc<dyn Journal>,
    config: RwLock<OrderConfig>,
    /// What each order needs of the settings: the deadline in nanoseconds, and how many are remembered.
    deadline: AtomicU64,
    remembered: AtomicUsize,
    /// That of a running layer cannot change.
    pub(super) max_body: u32,
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
    pub(super) asked: AtomicBool,
    pub(super) authorize: Option<Box<Authorize>>,
    pub(super) below: OnceLock<RequestSender>,
    pub(super) readings: Arc<Readings>,
    pub(super) started: watch::Sender<Start>,
    /// Whether the start is over; it does not begin again.
    pub(super) is_started: AtomicBool,
    pub(super) notices: broadcast::Sender<Published>,
    /// How many are subscribed to notices.
    pub(super) subscribed: Arc<AtomicUsize>,
    /// What differs from the broker's lists.
    pub(super) compared: Mutex<AllCompared>,
    /// By how much the broker has more of a symbol than we, of those that ever differed.
    pub(super) gaps: Mutex<BTreeMap<InstanceName, Decimal>>,
    /// Wakes the task that watches.
    pub(super) standing_changed: Arc<Notify>,
    pub(super) tasks: Tasks,
    clock: Clock,
    /// Where the last order went.
    last: Mutex<Destination>,
    book: Mutex<Book>,
    pub(super) unwritten: Unwritten,
}

/// Where the last order went.
#[derive(Default)]
struct Destination {
    /// Its URI, and the text of that.
    target: Option<(Uri, Bytes)>,
    origin: Arc<Origin>,
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
            asked: AtomicBool::new(false),
            authorize: parts.authorize,
            positions: parts.positions,
            broker_account: parts.broker_account,
            below: OnceLock::new(),
            readings: Readings::new(parts.config.look_ups_at_once()),
            deadline: AtomicU64::new(ns(parts.config.deadline())),
            remembered: AtomicUsize::new(parts.config.remembered() as usize),
            max_body: parts.config.max_body(),
            config: RwLock::new(parts.config),
            started: watch::Sender::new(Start::Before),
            is_started: AtomicBool::new(false),
            notices: broadcast::Sender::new(1_024),
            subscribed: Arc::default(),
            compared: Mutex::default(),
            gaps: Mutex::default(),
            standing_changed: Arc::new(Notify::new()),
            tasks: Tasks::default(),
            clock: Clock::start(),
            last: Mutex::default(),
            book: Mutex::new(Book::new(parts.config.remembered() as usize)),
            unwritten: Unwritten::default(),
        }
    }

    pub(super) fn now(&self) -> Duration {
        Duration::from_nanos(self.clock.now())
    }

    pub(super) fn instant(&self, at: Duration) -> Instant {
        self.clock.instant(ns(at))
    }

    /// The text of the URI of a request, and what requests about its order need. Most orders go to the same
    /// place by the same credentials, and share both.
    pub(super) fn destination(&self, template: &Template) -> (Bytes, Arc<Origin>) {
        let uri = template.uri();
        let text = || Bytes::from(uri.to_string());
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let last = &mut *last;
        let known = last.target.as_ref().filter(|(known, _)| known == uri);
        let is_there = known.is_some() || last.origin.is_of(uri);
        if !is_there || !template.has_credentials(&last.origin.credentials) {
            last.origin = Arc::new(template.origin());
        }
        let target = match known {
            Some((_, text)) => text.clone(),
            None if uri.query().is_some() => text(),
            None => {
                let text = text();
                last.target = Some((uri.clone(), text.clone()));
                text
            }
        };
        (target, Arc::clone(&last.origin))
    }

    /// How long the caller of an order waits.
    pub(super) fn deadline(&self) -> Duration {
        Duration::from_nanos(self.deadline.load(Relaxed))
    }

    pub(super) fn config(&self) -> OrderConfig {
        *self.config.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what can be changed while orders are placed.
    pub(super) fn configure(&self, config: OrderConfig) -> Result<(), InvalidConfig> {
        let mut now = self.config.write().unwrap_or_else(PoisonError::into_inner);
        config.check_change(&now)?;
        self.deadline.store(ns(config.deadline()), Relaxed);
        self.remembered.store(config.remembered() as usize, Relaxed);
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

    /// Adds an order, with what `begins` makes of it, or gives it back if there is one of its id.
    pub(super) fn add(
        &self,
        new: NewOrder,
        begins: impl FnOnce(&mut Tracked),
    ) -> Result<Arc<Tracked>, Box<NewOrder>> {
        self.book().add(new, begins)
    }

    /// Forgets an order that was not written to the journal.
    pub(super) fn forget(&self, it: &Tracked) {
        self.book().forget(it.place);
    }

    /// The rules of an operation that is written to the journal.
    pub(super) fn rules(&self, operation: Operation) -> Rules {
        let rules = self.broker.rules(operation).copied();
        rules.unwrap_or_else(Rules::strictest)
    }

    pub(super) fn find(&self, id: &str) -> Option<Arc<Tracked>> {
        self.book().find(id, |of| self.rules(of))
    }

    pub(super) fn find_target(&self, target: &Target) -> Option<Arc<Tracked>> {
        self.book().find_target(target, |of| self.rules(of))
    }

    /// Keeps less of an order from now on, if it is settled and nobody uses it.
    pub(super) fn rest(&self, place: Place) {
        self.book().rest(place);
    }

    /// The orders whose time is over, and of which nobody has noted it: their callers do not poll them.
    pub(super) fn overdue(&self) -> Vec<Arc<Tracked>> {
        let (book, now) = (self.book(), self.now());
        book.overdue(now)
    }

    /// The orders that are not settled, or that somebody uses.
    pub(super) fn in_use(&self) -> Vec<Arc<Tracked>> {
        self.book().in_use().cloned().collect()
    }

    /// Shows each order in memory. Nothing else may be asked of the layer meanwhile.
    pub(super) fn each(&self, look: impl FnMut(View<'_>)) {
        self.book().each(look);
    }

    /// The order that was written last.
    pub(super) fn latest(&self) -> Option<Arc<Tracked>> {
        self.book().latest(|of| self.rules(of))
    }

    /// What the broker has in the paths of the account: of the order that was written last, or what is set.
    pub(super) fn broker_account(&self) -> Option<Box<str>> {
        let latest = self.latest().and_then(|it| it.request.account.clone());
        latest.or_else(|| self.broker_account.clone())
    }

    /// The orders in doubt, exhausted, and those of an earlier process that are in doubt.
    pub(super) fn standing(&self) -> (u32, u32, u32) {
        self.book().standing()
    }

    /// An order has changed.
    pub(super) fn moved(
        &self,
        it: &Tracked,
        (before, now): (Standing, Standing),
        settled_now: bool,
    ) {
        if before == now && !settled_now {
            return;
        }
        let mut book = self.book();
        book.recount(before, now);
        if settled_now {
            book.settle(it, self.remembered.load(Relaxed));
        }
        drop(book);
        if before == now {
            return;
        }
        self.give_standing();
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

    /// Publishes what happened to an order, where somebody is subscribed.
    pub(super) fn publish(&self, it: &Tracked, notice: Notice) {
        if self.subscribed.load(Relaxed) == 0 {
            return;
        }
        let notice = OrderNotice {
            id: Arc::clone(&it.id),
            number: it.number(),
            notice,
        };
        // An error means that nobody is subscribed any more.
        let _ = self.notices.send(Published::Order(notice));
    }
}

seawall_core::impl_debug!(Shared: |this|
    name = this.events.name(),
    started = *this.started.borrow(),
);
