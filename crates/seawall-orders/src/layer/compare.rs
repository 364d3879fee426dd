//! The broker's own lists beside our orders and positions, at start and periodically.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use seawall_core::{EventKind, InstanceName, Priority, Samples};
use tokio::time::Instant;

use super::shared::Shared;
use super::tracked::Origin;
use crate::broker::FoundOrder;
use crate::client::RequestSender;
use crate::journal::{Entry, Filter, JournalError, State};
use crate::lists::{
    Confirmations, ListedOrder, ListsConfig, OwnEntry, OwnView, OwnedDifference, Reading, compare,
    compare_positions,
};
use crate::protocol::{Decimal, Event, IntentState, Lifecycle, OrderFigures, OrderState, Query};

use super::compared::{AllCompared, ComparedSnapshot, Compares};
use super::look_up::send_to;
use super::notices::{DifferenceNotice, Published};

/// How far back our own orders are known: beyond the history of a list, so that none of ours is unknown.
const KNOWN: Duration = Duration::from_secs(48 * 3_600);
/// Of how many symbols the gap is kept for metrics.
const MAX_GAPS: usize = 256;

impl Shared {
    /// Begins to compare, until the layer and all that uses it are gone.
    pub(super) fn compare_lists(self: &Arc<Self>) {
        self.spawn_one(|tasks| &tasks.comparing, run(Arc::downgrade(self)));
    }

    async fn compare_orders(
        self: &Arc<Self>,
        client: &RequestSender,
        config: ListsConfig,
        confirmations: &mut Confirmations,
    ) {
        let account = self.broker_account();
        if self.broker.list(Query::Open, account.as_deref()).is_none() {
            // The broker has none, or the account is not known yet.
            return;
        }
        let compared = self.compare_once(client, account.as_deref(), config, confirmations);
        let compared = compared.await;
        match &compared {
            Ok(()) => self.counters.comparisons.add(),
            Err(_) => self.counters.failed_comparisons.add(),
        }
        self.note_comparison(Compares::Orders, compared.err());
    }

    async fn compare_once(
        self: &Arc<Self>,
        client: &RequestSender,
        account: Option<&str>,
        config: ListsConfig,
        confirmations: &mut Confirmations,
    ) -> Result<(), String> {
        let journalled = self.journalled_ids().await;
        let text = |error: JournalError| error.to_string();
        let journalled = journalled.map_err(text)?;
        let own = || self.own_view(journalled);
        let reading = compare(&*self.broker, client, account, config, own).await;
        let mut reading = reading.map_err(|error| error.to_string())?;
        // What has gone on at the broker is news, and no difference.
        let mut news = Vec::new();
        reading.differences.retain(|difference| match difference {
            OwnedDifference::Figures { ours, broker } if goes_on(ours, &broker.figures) => {
                news.push(broker.clone());
                false
            }
            _ => true,
        });
        for broker in news {
            self.learn_listed(broker).await.map_err(text)?;
        }
        let evidence = std::mem::take(&mut reading.evidence);
        self.differ(Compares::Orders, reading, confirmations);
        self.take_evidence(evidence).await.map_err(text)
    }

    /// Takes what the lists have of orders that may not have been executed by our view, or were not.
    async fn take_evidence(
        self: &Arc<Self>,
        mut evidence: Vec<ListedOrder>,
    ) -> Result<(), JournalError> {
        // What is accepted exists. A rejection is about one copy, and says nothing of an order that has ended.
        let in_doubt = |id: &str| {
            let state = self.find(id).map(|it| it.intent_state());
            matches!(state, Some(IntentState::InDoubt | IntentState::Exhausted))
        };
        evidence.retain(|listed| {
            let id = listed.id.as_deref();
            listed.figures.state.is_accepted() || id.is_some_and(in_doubt)
        });
        // Of several orders of an id, the one that works is the last word, and a rejected copy the first to go.
        let accepted = evidence.iter().filter(|of| of.figures.state.is_accepted());
        let accepted: HashSet<_> = accepted.map(|of| of.id.clone()).collect();
        evidence.retain(|of| of.figures.state.is_accepted() || !accepted.contains(&of.id));
        evidence.sort_by_key(|of| of.figures.state.is_live());
        for listed in evidence {
            self.learn_listed(listed).await?;
        }
        Ok(())
    }

    /// The user's own positions beside the broker's list.
    async fn compare_positions(
        &self,
        client: &RequestSender,
        config: ListsConfig,
        confirmations: &mut Confirmations,
    ) {
        let Some(own) = &self.positions else { return };
        let account = self.broker_account();
        let account = account.as_deref();
        let failed = match compare_positions(&*self.broker, client, account, config, own).await {
            // The broker has no list, or the account is not known yet.
            Ok(None) => return,
            Ok(Some(reading)) => {
                self.counters.position_comparisons.add();
                self.differ(Compares::Positions, reading, confirmations);
                None
            }
            Err(error) => {
                self.counters.failed_position_comparisons.add();
                Some(error.to_string())
            }
        };
        self.note_comparison(Compares::Positions, failed);
    }

    /// Publishes what differs, and what does not any more.
    fn differ(&self, compares: Compares, reading: Reading, confirmations: &mut Confirmations) {
        let confirmed = confirmations.take(reading);
        let open = confirmations.open().cloned().collect();
        self.compared().of(compares).differences = open;
        let reported = confirmed.differences.into_iter().map(|of| (of, false));
        let gone = confirmed.gone.into_iter().map(|of| (of, true));
        for (difference, is_gone) in gone.chain(reported) {
            match compares {
                _ if is_gone => {}
                Compares::Orders => self.counters.differences.add(),
                Compares::Positions => self.counters.position_differences.add(),
            }
            self.note_gap(&difference, is_gone);
            let what = difference.as_str();
            self.events
                .emit(|| EventKind::OrdersDiffer { what, is_gone });
            let difference = Arc::new(difference);
            let notice = DifferenceNotice {
                difference,
                is_gone,
            };
            // An error means that nobody is subscribed.
            let _ = self.notices.send(Published::Difference(notice));
        }
    }

    /// Keeps what the broker has more of a symbol than we, for metrics: of one that agrees again that is zero.
    fn note_gap(&self, difference: &OwnedDifference, is_gone: bool) {
        let OwnedDifference::Position {
            symbol,
            ours,
            broker,
        } = difference
        else {
            return;
        };
        let gap = if is_gone {
            Decimal::ZERO
        } else {
            *broker - *ours
        };
        let mut gaps = self.gaps.lock().unwrap_or_else(PoisonError::into_inner);
        // A name is kept for the life of the process, so there is a bound.
        if gaps.len() < MAX_GAPS || gaps.keys().any(|known| known.as_str() == &**symbol) {
            gaps.insert(InstanceName::new(symbol), gap);
        }
    }

    pub(super) fn sample_differences(&self, sink: &mut Samples<'_>) {
        for (of, compares) in [
            ("orders", Compares::Orders),
            ("positions", Compares::Positions),
        ] {
            let open = self.compared().of(compares).differences.len();
            let open = u32::try_from(open).unwrap_or(u32::MAX);
            sink.gauge("seawall_orders_different", &[("of", of)], f64::from(open));
        }
        let gaps = self
            .gaps
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for (symbol, gap) in gaps {
            // Rounded: the exact figures are in the notices.
            let gap = gap.to_string().parse().unwrap_or(f64::NAN);
            let labels = [("symbol", symbol.as_str())];
            sink.gauge("seawall_orders_position_gap", &labels, gap);
        }
    }

    fn compared(&self) -> MutexGuard<'_, AllCompared> {
        self.compared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_comparison(&self, compares: Compares, failed: Option<String>) {
        let mut compared = self.compared();
        let compared = compared.of(compares);
        if failed.is_none() {
            compared.at = Some(SystemTime::now());
        }
        compared.failed = failed;
    }

    pub(super) fn compared_now(&self) -> ComparedSnapshot {
        self.compared().snapshot()
    }

    /// The ids of our orders in the journal, and what it proves that a list has it.
    async fn journalled_ids(&self) -> Result<HashMap<Box<str>, Proof>, JournalError> {
        let since = SystemTime::now().checked_sub(KNOWN);
        let mut filter = Filter::all()
            .from(since.unwrap_or(SystemTime::UNIX_EPOCH))
            .limit(10_000);
        let mut ids = HashMap::new();
        loop {
            let page = self.journal.list(&filter).await?;
            ids.extend(page.entries.iter().map(|entry| {
                let proof = match self.is_ours(entry) {
                    true => Proof::of_entry(entry),
                    false => Proof::Nothing,
                };
                (Box::from(entry.intent().id()), proof)
            }));
            match page.next {
                Some(next) => filter = filter.after(next),
                None => return Ok(ids),
            }
        }
    }

    /// Our view: orders in memory with their figures, and those that only the journal has by their ids.
    fn own_view(&self, mut journalled: HashMap<Box<str>, Proof>) -> OwnView {
        let (wall, now) = (SystemTime::now(), self.now());
        let mut orders = Vec::new();
        self.each(|it| {
            journalled.remove(&**it.id);
            let age = wall.duration_since(it.since).unwrap_or_default();
            let figures = it.found.map_or(NO_FIGURES, |found| found.figures);
            let entry = OwnEntry::new(&**it.id, figures, age);
            let entry = match it.confirmed_at {
                Some(at) if it.found.is_some() => entry.confirmed_for(now.saturating_sub(at)),
                _ => entry,
            };
            orders.extend(Proof::of_life(it.life).about(entry));
        });
        let journalled = journalled.into_iter();
        orders.extend(
            journalled.filter_map(|(id, proof)| proof.about(OwnEntry::new(id, NO_FIGURES, KNOWN))),
        );
        OwnView::of(orders)
    }

    /// Takes what a list has of one of our orders.
    async fn learn_listed(self: &Arc<Self>, listed: ListedOrder) -> Result<(), JournalError> {
        let order = match listed.id.as_deref() {
            Some(id) => self.order(id).await?,
            None => None,
        };
        if let Some(order) = order {
            let found = FoundOrder::new(listed.id, listed.broker_id, listed.figures, Bytes::new());
            let report = order.it.learn(found);
            order.feed(Event::Evidence(report));
            order.rest();
        }
        Ok(())
    }
}

/// What it proves that a list has an order of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    /// Nothing but its figures: the broker has it by our view, or it is on its way.
    Nothing,
    /// That it was executed, which is in doubt, or is news.
    Executed,
    /// That it is another program's: none of ours was sent.
    NotOurs,
}

impl Proof {
    fn of_life(life: &Lifecycle) -> Self {
        match (life.state(), life.copies()) {
            (IntentState::Confirmed | IntentState::Sent, _) => Self::Nothing,
            // Of one that is to be sent again, an earlier copy.
            (IntentState::Intended | IntentState::Waiting, 0) => Self::Nothing,
            (_, 0) => Self::NotOurs,
            _ => Self::Executed,
        }
    }

    /// Of an order that is not in memory; all that are open are.
    fn of_entry(entry: &Entry) -> Self {
        match (entry.state(), entry.attempts()) {
            (State::Abandoned, 0) => Self::NotOurs,
            (State::Absent | State::Rejected | State::Abandoned, _) => Self::Executed,
            _ => Self::Nothing,
        }
    }

    /// Our view of an order; `None` if the broker cannot have it from us.
    fn about(self, entry: OwnEntry) -> Option<OwnEntry> {
        match self {
            Self::Nothing => Some(entry),
            Self::Executed => Some(entry.listed_is_evidence()),
            Self::NotOurs => None,
        }
    }
}

/// How often a comparison that is off is looked at.
const OFF: Duration = Duration::from_secs(5);

const NO_FIGURES: OrderFigures = OrderFigures {
    state: OrderState::Open,
    quantity: Decimal::ZERO,
    filled: Decimal::ZERO,
};

/// Whether an order can get from `ours` to `broker` by going on: it is filled, or it ends.
fn goes_on(ours: &OrderFigures, broker: &OrderFigures) -> bool {
    ours.state.is_live() && broker.filled >= ours.filled
}

/// Sends to where orders go, with their credentials.
pub(super) fn request_sender(shared: &Arc<Shared>) -> RequestSender {
    let shared = Arc::downgrade(shared);
    RequestSender::from_fn(move |request| {
        let shared = Weak::clone(&shared);
        Box::pin(async move {
            let shared = shared.upgrade().ok_or("the layer is gone")?;
            let latest = shared.latest();
            let nowhere = Origin::default();
            let origin = latest.as_ref().map_or(&nowhere, |it| &*it.origin);
            send_to(&shared, origin, request).await
        })
    })
}

/// The same for what can wait: up to a hundred pages of lists use no tokens that are reserved for cancels.
fn in_background(client: RequestSender) -> RequestSender {
    RequestSender::from_fn(move |mut request| {
        let client = client.clone();
        request.extensions_mut().insert(Priority::LOW);
        Box::pin(async move { client.send(request).await })
    })
}

async fn run(layer: Weak<Shared>) {
    let [mut orders, mut positions] = [(); 2].map(|()| Confirmations::new(Duration::ZERO));
    let mut window = None;
    loop {
        let Some(shared) = layer.upgrade() else {
            return;
        };
        let config = shared.config();
        let next = match config.compare_every() {
            Some(every) => {
                let lists = config.lists();
                if window.replace(lists.window()) != Some(lists.window()) {
                    [orders, positions] = [(); 2].map(|()| Confirmations::new(lists.window()));
                }
                let client = in_background(request_sender(&shared));
                shared.compare_orders(&client, lists, &mut orders).await;
                shared
                    .compare_positions(&client, lists, &mut positions)
                    .await;
                let now = Instant::now();
                let again = [orders.read_again_at(), positions.read_again_at()];
                let again = again.into_iter().flatten().map(|at| at.max(now));
                let next = seawall_core::deadline(now, every);
                again.fold(next, Instant::min)
            }
            None => seawall_core::deadline(Instant::now(), OFF),
        };
        drop(shared);
        tokio::time::sleep_until(next).await;
    }
}
