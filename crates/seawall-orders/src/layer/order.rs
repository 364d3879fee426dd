//! One order: what its life by the protocol asks to be done.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use seawall_core::{EventKind, Reason, Rejection, Sent};
use seawall_http::WatchDeparture;

use super::shared::Shared;
use super::tracked::{self, CancelBy, Marked, Step, Tracked, Written, keep_actions, spare_actions};
use crate::journal::{Answer, JournalError, State};
use crate::protocol::{
    Action, CancelReply, CancelStep, Event, IntentState, Lifecycle, MarkKind, Notice, OrderState,
    Reply, Rules, Settlement,
};

/// An order of a layer. Clones are the same one.
#[derive(Clone)]
pub(super) struct Order {
    pub(super) shared: Arc<Shared>,
    pub(super) it: Arc<Tracked>,
}

/// What a departure may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    Send,
    Withhold,
}

/// What is done once the order is not locked any more.
#[derive(Default)]
struct After {
    gate: Option<Gate>,
    /// A mark that has to be durable.
    durable: Option<(Marked, Answer<State>)>,
    /// One that is not written before others that were lost.
    not_durable: bool,
    /// A mark that was answered at once, and not taken.
    failed: Option<JournalError>,
    /// A mark that is answered later.
    handed: bool,
}

impl Order {
    /// Feeds an event to the protocol, and does what it asks for.
    pub(super) fn feed(&self, event: Event) {
        self.feed_for(event);
    }

    /// The same, and says whether a departure may go on.
    fn feed_for(&self, event: Event) -> Option<Gate> {
        let assumes = self.assumes_departure(event);
        self.advance(|life, rules, now, actions| {
            if assumes && life.state() == IntentState::Waiting {
                // Of long ago, so that its deadline does not withhold what may have left.
                life.handle(rules, Duration::ZERO, Event::Departing, actions);
            }
            life.handle(rules, now, event, actions);
        })
    }

    /// Whether a copy in the stack may have left without asking: the stack was to ask, and never has.
    fn assumes_departure(&self, event: Event) -> bool {
        let before = matches!(
            event,
            Event::Departing
                | Event::NotLeft
                | Event::Durable
                | Event::NotDurable
                | Event::Reply(Reply::NotSent)
        );
        self.shared.notes_departures && !before && !self.shared.asked.load(Relaxed)
    }

    /// Gives this handle of the order up; the order is kept small if it was the last one.
    pub(super) fn rest(self) {
        let Self { shared, it } = self;
        let place = it.place;
        drop(it);
        shared.rest(place);
    }

    /// Does what follows from what the journal has of an order that was taken over.
    pub(super) fn begin(&self) {
        self.advance(|_, _, _, _| {});
    }

    /// Takes what the journal answered to the intent.
    pub(super) fn written(&self, written: Result<u64, JournalError>) -> Result<(), JournalError> {
        match written {
            Ok(number) => {
                self.it.set_number(number);
                self.shared.counters.intended.add();
                let mut after = After::default();
                let mut state = self.it.lock();
                state.written = Written::Yes;
                for mark in std::mem::take(&mut state.held) {
                    let now = self.shared.now();
                    self.write(&mut state, (mark, false), now, &mut after);
                }
                drop(state);
                self.answered(&mut after);
                Ok(())
            }
            Err(error) => {
                self.it.set_unwritten();
                self.shared.wrote::<()>(&Err(error.clone()));
                Err(error)
            }
        }
    }

    fn advance(
        &self,
        change: impl FnOnce(&mut Lifecycle, &Rules, Duration, &mut Vec<Action>),
    ) -> Option<Gate> {
        let it = &*self.it;
        let mut state = it.lock();
        let was_settled = state.life.settlement().is_some();
        let mut actions = match state.actions.is_empty() {
            true => spare_actions(),
            false => std::mem::take(&mut state.actions),
        };
        let now = self.shared.now();
        change(&mut state.life, &it.rules, now, &mut actions);
        let mut after = After::default();
        for action in &actions {
            self.act_locked(&mut state, *action, now, &mut after);
        }
        let settled = state.life.settlement();
        let admission = match settled {
            Some(settlement) if !was_settled => {
                let admission = state.admission.take();
                admission.filter(|_| matches!(settlement, Settlement::Absent(_)))
            }
            _ => None,
        };
        if matches!(settled, Some(Settlement::Confirmed(..))) {
            state.confirmed_at.get_or_insert(now);
        }
        let needs_task = state.needs_task(&it.rules);
        state.has_task |= needs_task;
        let (has_task, copies) = (state.has_task, state.life.copies());
        let has_mail = state.answer.is_some() || state.step.is_some();
        let caller = if has_mail { state.caller.take() } else { None };
        let counted = state.recount();
        let settled_now =
            settled.is_some() && !std::mem::replace(&mut state.kept, settled.is_some());
        drop(state);

        // Outside of the lock: listeners and tasks may come back here. What must happen goes first, in
        // case that one of them panics.
        if needs_task {
            self.shared.spawn(KeepsTime::of(self).run());
        }
        if let Some(caller) = caller {
            caller.wake();
        }
        if has_task {
            it.changed.notify_one();
        }
        self.answered(&mut after);
        if let Some(admission) = admission {
            self.shared.control.give_back(admission);
        }
        self.shared.moved(&self.it, counted, settled_now);
        if let (true, Some(settlement)) = (settled_now, settled) {
            self.cancel_settled(settlement);
        }
        for action in &actions {
            self.act_unlocked(*action, copies);
        }
        keep_actions(actions);
        after.gate
    }

    /// A cancel with rules of its own is settled, which is evidence about the order that it cancels.
    fn cancel_settled(&self, settlement: Settlement) {
        match settlement {
            Settlement::Confirmed(_, OrderState::Cancelled) => {
                self.reply_to_target(CancelReply::Cancelled);
            }
            Settlement::Absent(_) if self.it.copies() == 0 => {
                self.reply_to_target(CancelReply::NotMade);
            }
            // It was certainly not executed: the order may be filled, and another cancel is safe.
            Settlement::Rejected(_) | Settlement::Absent(_) => {
                self.reply_to_target(CancelReply::UnknownOrder);
            }
            // The broker works on it, or a person does.
            Settlement::Confirmed(..) | Settlement::Abandoned => {}
        }
    }

    pub(super) fn reply_to_target(&self, reply: CancelReply) {
        let target = self.it.request.target.as_ref();
        if let Some(target) = self.shared.target_of_cancel(self.it.operation, target) {
            target.feed(Event::CancelReply(reply));
            target.rest();
        }
    }

    fn act_locked(
        &self,
        state: &mut tracked::State,
        action: Action,
        now: Duration,
        after: &mut After,
    ) {
        match action {
            Action::Send { .. } => after.gate = Some(Gate::Send),
            Action::Withhold => after.gate = Some(Gate::Withhold),
            Action::Write { mark, durable } => self.write(state, (mark, durable), now, after),
            Action::Pass { copy } => state.step = Some(Step::Pass(copy)),
            Action::Withdraw => state.step = Some(Step::Withdraw),
            Action::Answer(answer) => state.answer = Some(answer),
            Action::Cancel(CancelStep::Send) if state.cancel_by == CancelBy::Caller => {
                state.cancel_by = CancelBy::CallerSends;
            }
            Action::Cancel(CancelStep::Send) => {}
            Action::Cancel(step) => state.cancel_over = Some(step),
            _ => {}
        }
    }

    /// Hands a mark to the journal, which keeps the order of the calls.
    fn write(
        &self,
        state: &mut tracked::State,
        (mark, durable): (MarkKind, bool),
        now: Duration,
        after: &mut After,
    ) {
        match state.written {
            Written::Yes => {}
            Written::Unknown => return state.held.push(mark),
            Written::No => return,
        }
        if durable && state.lost > 0 {
            after.not_durable = true;
            return;
        }
        let Some(marked) = state.mark(mark, self.it.wall(now)) else {
            return;
        };
        if state.lost > 0 {
            return self.lose(state, marked);
        }
        let mut answer = self.shared.journal.mark(&self.it.id, state.mark_of(marked));
        if durable {
            after.durable = Some((marked, answer));
            return;
        }
        let mut context = Context::from_waker(Waker::noop());
        match Pin::new(&mut answer).poll(&mut context) {
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(error)) => {
                self.keep_lost(state, marked, &error);
                after.failed = Some(error);
            }
            Poll::Pending => {
                let handed = (Arc::clone(&self.it), marked, answer);
                self.shared.unwritten.handed().marks.push_back(handed);
                after.handed = true;
            }
        }
    }

    /// What the journal answered to marks.
    fn answered(&self, after: &mut After) {
        if let Some((marked, answer)) = after.durable.take() {
            let mut waits = WaitsForMark {
                order: self.clone(),
                marked: Some(marked),
                event: Event::NotDurable,
            };
            self.shared
                .spawn(async move { waits.answered(&answer.await) });
        }
        if let Some(error) = after.failed.take() {
            self.shared.wrote::<()>(&Err(error));
        }
        if after.handed {
            self.shared.hear_marks();
        }
        if after.not_durable {
            self.feed(Event::NotDurable);
        }
    }

    fn act_unlocked(&self, action: Action, copies: u32) {
        match action {
            Action::LookUp { number, query } => {
                let order = self.clone();
                self.shared
                    .spawn(async move { order.look_up(number, query).await });
            }
            Action::Cancel(CancelStep::Send) => {
                let by_layer = self.it.lock().cancel_by == CancelBy::Layer;
                if by_layer {
                    self.shared.spawn(Cancelling::new(self.clone()).send());
                }
            }
            Action::Cancel(_) => self.it.cancelled.notify_waiters(),
            Action::Notify(notice) => self.notify(notice, copies),
            _ => {}
        }
    }

    fn notify(&self, notice: Notice, copy: u32) {
        let shared = &self.shared;
        shared.count(notice);
        let (state, reason) = words(notice);
        let number = self.it.number();
        let settled = matches!(notice, Notice::Settled(_));
        if settled && !self.it.doubted.load(Relaxed) {
            shared.events.emit_call(|| EventKind::OrderSettled {
                number,
                copy,
                state,
                reason,
            });
        } else {
            self.it.doubted.store(true, Relaxed);
            shared.events.emit(|| EventKind::Order {
                number,
                copy,
                state,
                reason,
            });
        }
        shared.publish(&self.it, notice);
    }

    /// A copy is about to leave.
    pub(super) fn departs(&self) -> Gate {
        let held = self
            .shared
            .control
            .holds_back(&self.it.request, self.it.operation);
        if held {
            self.feed(Event::HeldBack);
        }
        // The protocol always decides; if it did not, nothing would leave.
        self.feed_for(Event::Departing).unwrap_or(Gate::Withhold)
    }

    /// Cancels by the request of a caller: whether that has to be sent.
    pub(super) fn cancel_by_caller(&self) -> CancelTurn {
        self.it.lock().cancel_by = CancelBy::Caller;
        self.it.lock().cancel_over = None;
        self.feed(Event::Cancel);
        let mut state = self.it.lock();
        let sends = state.cancel_by == CancelBy::CallerSends;
        state.cancel_by = CancelBy::Layer;
        match (sends, state.cancel_over) {
            (true, _) | (false, None) => CancelTurn::Send,
            (false, Some(step)) => CancelTurn::Over(step),
        }
    }

    /// What looks after its time comes so late.
    pub(super) fn stood_still(&self, late: Duration) {
        if self.it.rules.is_standstill(late) {
            self.feed(Event::StoodStill);
        }
    }

    /// Cancels by the layer itself.
    pub(super) fn cancel(&self) {
        self.it.lock().cancel_over = None;
        self.feed(Event::Cancel);
    }

    /// What is found out of the failure of a query.
    pub(super) fn met(&self, with: &'static str) {
        self.it.lock().met = with;
    }

    /// A rejection with the number of the order, where it has one: its outcome is unknown.
    pub(super) fn unknown(&self) -> Rejection {
        let rejection = self.shared.events.rejection(Reason::OutcomeUnknown);
        let rejection = rejection.with_sent(Sent::Maybe);
        match self.it.number() {
            Some(number) => rejection.with_reference(number),
            None => rejection,
        }
    }
}

/// Whether a caller's cancel is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CancelTurn {
    Send,
    Over(CancelStep),
}

/// Waits until a mark is durable. Where it ends early, with its runtime, the copy does not leave.
struct WaitsForMark {
    order: Order,
    marked: Option<Marked>,
    event: Event,
}

impl WaitsForMark {
    fn answered(&mut self, written: &Result<State, JournalError>) {
        if let Some(marked) = self.marked.take()
            && self.order.marked(marked, written)
        {
            self.event = Event::Durable;
        }
    }
}

impl Drop for WaitsForMark {
    fn drop(&mut self) {
        if let Some(marked) = self.marked.take() {
            self.order.unheard(marked);
        }
        self.order.feed(self.event);
    }
}

/// Looks after the times of an order: one task for each that needs it. Where it ends early, with its
/// runtime, the next event, or the next call with a runtime, makes another one.
struct KeepsTime {
    shared: Weak<Shared>,
    it: Option<Arc<Tracked>>,
}

impl KeepsTime {
    fn of(order: &Order) -> Self {
        Self {
            shared: Arc::downgrade(&order.shared),
            it: Some(Arc::clone(&order.it)),
        }
    }

    async fn run(mut self) {
        while let (Some(shared), Some(it)) = (self.shared.upgrade(), &self.it) {
            let it = Arc::clone(it);
            let order = Order { shared, it };
            let (wake, only_cancels) = {
                let mut state = order.it.lock();
                let wake = state.life.wake(&order.it.rules);
                state.has_task = wake.is_some();
                (wake, state.life.only_cancels())
            };
            let Some(wake) = wake else {
                self.it = None;
                return order.rest();
            };
            let at = order.shared.instant(wake);
            let Order { shared, it } = order;
            // Looked after to its end, but for a cancel that need not have one: that ends with the layer.
            let shared = (!only_cancels).then_some(shared);
            // What comes first; a change may have moved the time.
            let _ = tokio::time::timeout_at(at, it.changed.notified()).await;
            let Some(shared) = shared.or_else(|| self.shared.upgrade()) else {
                return;
            };
            let order = Order { shared, it };
            let (due, now) = (order.it.wake(), order.shared.now());
            if let Some(late) = due.and_then(|due| now.checked_sub(due)) {
                order.stood_still(late);
                order.feed(Event::Tick);
            }
        }
    }
}

impl Drop for KeepsTime {
    fn drop(&mut self) {
        if let Some(it) = &self.it {
            it.lock().has_task = false;
        }
    }
}

/// A cancel that is on its way; dropped, it was not made, or may have been done or not.
pub(super) struct Cancelling {
    pub(super) order: Order,
    /// What it ends with by itself.
    unheard: Option<CancelReply>,
}

impl Cancelling {
    pub(super) const fn new(order: Order) -> Self {
        Self {
            order,
            unheard: Some(CancelReply::NotMade),
        }
    }

    pub(super) fn replied(&mut self, reply: CancelReply) {
        self.unheard = None;
        self.order.feed(Event::CancelReply(reply));
    }

    /// From now on it may have left.
    pub(super) const fn leaves(&mut self) {
        self.unheard = Some(CancelReply::Unknown);
    }

    /// Sends the layer's own.
    async fn send(mut self) {
        self.leaves();
        let reply = self.order.send_cancel().await;
        self.replied(reply);
        self.rest();
    }

    /// Ends it.
    pub(super) fn rest(self) {
        let order = self.order.clone();
        drop(self);
        order.rest();
    }
}

impl Drop for Cancelling {
    fn drop(&mut self) {
        if let Some(reply) = self.unheard {
            self.order.feed(Event::CancelReply(reply));
        }
    }
}

impl WatchDeparture for Order {
    fn departs(&self) -> Result<(), Rejection> {
        self.shared.asked.store(true, Relaxed);
        match Self::departs(self) {
            Gate::Send => Ok(()),
            Gate::Withhold => Err(self.shared.rejection(Reason::NotExecuted, WITHHELD)),
        }
    }

    fn was_not_sent(&self) {
        self.feed(Event::NotLeft);
    }
}

/// Why a copy was not let out.
pub(super) const WITHHELD: &str = "withdrawn before it left";

/// The words of an event.
fn words(notice: Notice) -> (&'static str, &'static str) {
    match notice {
        Notice::InDoubt(cause) => ("in_doubt", cause.as_str()),
        Notice::Resend(_) => ("resent", ""),
        Notice::Settled(Settlement::Confirmed(via, _)) => ("confirmed", via.as_str()),
        Notice::Settled(Settlement::Rejected(via)) => ("rejected", via.as_str()),
        Notice::Settled(Settlement::Absent(why)) => ("absent", why.as_str()),
        Notice::Settled(Settlement::Abandoned) => ("abandoned", "person"),
        Notice::Alert(alert) => ("alert", alert.as_str()),
    }
}
