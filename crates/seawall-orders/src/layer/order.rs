//! One order: its life by the protocol, and what that life asks to be done.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::uri::{Authority, Scheme};
use seawall_core::{EventKind, Reason, Rejection, Sent};
use seawall_http::WatchDeparture;
use tokio::sync::Notify;

use super::notices::OrderNotice;
use super::shared::{Shared, Standing};
use crate::broker::{FoundOrder, OrderRequest, SavedOrder};
use crate::journal::{self, JournalError};
use crate::protocol::{
    Action, Answer, CancelStep, Event, IntentState, Lifecycle, MarkKind, Notice, Operation, Query,
    Report, Rules, Settlement,
};
use crate::safety::Admission;

/// An order of a layer. Clones are the same one.
#[derive(Clone)]
pub(super) struct Order {
    pub(super) shared: Arc<Shared>,
    pub(super) it: Arc<Tracked>,
}

/// What is known of an order.
pub(super) struct Tracked {
    pub(super) id: Arc<str>,
    /// Its place in the journal; zero until it is known.
    pub(super) number: std::sync::atomic::AtomicU64,
    pub(super) operation: Operation,
    pub(super) request: OrderRequest,
    pub(super) rules: Rules,
    pub(super) origin: Origin,
    /// Whether it is of an earlier process.
    pub(super) restored: bool,
    /// Until when its caller waits.
    pub(super) deadline: Option<Duration>,
    /// When its intent was written.
    since: SystemTime,
    state: Mutex<State>,
    /// Something has changed that the task of the order waits for.
    changed: Notify,
    /// A cancel has ended.
    cancelled: Notify,
}

/// Where an order went, for the requests that are about it.
#[derive(Default)]
pub(super) struct Origin {
    pub(super) scheme: Option<Scheme>,
    pub(super) authority: Option<Authority>,
    /// Headers of credentials; never written anywhere.
    pub(super) credentials: HeaderMap,
}

struct State {
    life: Lifecycle,
    actions: Vec<Action>,
    /// The broker's own view of it, the last one.
    found: Option<FoundOrder>,
    /// What the caller has to do; the last word counts.
    step: Option<Step>,
    /// Whether the caller was told to let it into the stack.
    passed: bool,
    answer: Option<Answer>,
    caller: Option<Waker>,
    /// Whether a task looks after the times of the order.
    has_task: bool,
    /// Who sends the next cancel.
    cancel_by: CancelBy,
    cancel_over: Option<CancelStep>,
    admission: Option<Admission>,
    /// What was last met with, for the mark of an exhausted one.
    met: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum CancelBy {
    /// The layer, by a request of its own.
    Layer,
    /// A caller, whose request is about to pass.
    Caller,
    /// That caller was told to send it.
    CallerSends,
}

/// What the caller of an order has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Let this copy into the stack.
    Pass(u32),
    /// Take the call out of the stack.
    Withdraw,
}

/// What the caller of an order waits for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mail {
    Step(Step),
    Answer(Answer),
}

impl Tracked {
    pub(super) fn new(
        id: Arc<str>,
        (operation, rules): (Operation, Rules),
        request: OrderRequest,
        origin: Origin,
        (life, restored): (Lifecycle, bool),
        deadline: Option<Duration>,
        since: SystemTime,
    ) -> Self {
        Self {
            id,
            since,
            number: std::sync::atomic::AtomicU64::new(0),
            operation,
            request,
            rules,
            origin,
            restored,
            deadline,
            state: Mutex::new(State {
                life,
                actions: Vec::new(),
                found: None,
                step: None,
                passed: false,
                answer: None,
                caller: None,
                has_task: false,
                cancel_by: CancelBy::Layer,
                cancel_over: None,
                admission: None,
                met: "",
            }),
            changed: Notify::new(),
            cancelled: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn number(&self) -> u64 {
        self.number.load(std::sync::atomic::Ordering::Relaxed)
    }

    pub(super) fn intent_state(&self) -> IntentState {
        self.lock().life.state()
    }

    pub(super) fn settlement(&self) -> Option<Settlement> {
        self.lock().life.settlement()
    }

    pub(super) fn copies(&self) -> u32 {
        self.lock().life.copies()
    }

    pub(super) fn found(&self) -> Option<FoundOrder> {
        self.lock().found.clone()
    }

    pub(super) fn passed(&self) -> bool {
        self.lock().passed
    }

    pub(super) fn take_admission(&self) -> Option<Admission> {
        self.lock().admission.take()
    }

    pub(super) fn set_admission(&self, admission: Admission) {
        self.lock().admission = Some(admission);
    }

    /// Keeps the broker's own view of the order, and gives its report for the protocol.
    pub(super) fn learn(&self, found: FoundOrder) -> Report {
        let report = report_of(&found);
        self.lock().found = Some(found);
        report
    }

    pub(super) fn saved<'a>(&'a self, broker_id: Option<&'a str>) -> SavedOrder<'a> {
        SavedOrder {
            operation: self.operation,
            id: &self.id,
            broker_id,
            request: &self.request,
            since: self.since,
        }
    }

    /// Waits for what the caller has to do.
    pub(super) fn poll_mail(&self, cx: &mut Context<'_>) -> Poll<Mail> {
        let mut state = self.lock();
        if let Some(answer) = state.answer.take() {
            return Poll::Ready(Mail::Answer(answer));
        }
        if let Some(step) = state.step.take() {
            return Poll::Ready(Mail::Step(step));
        }
        match &mut state.caller {
            Some(waker) => waker.clone_from(cx.waker()),
            caller => *caller = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// When a tick is due.
    fn wake(&self) -> Option<Duration> {
        self.lock().life.wake(&self.rules)
    }

    /// How a cancel has ended, once it has.
    pub(super) async fn cancel_end(&self) -> CancelStep {
        loop {
            let cancelled = self.cancelled.notified();
            let mut cancelled = std::pin::pin!(cancelled);
            cancelled.as_mut().enable();
            let over = self.lock().cancel_over;
            if let Some(step) = over {
                return step;
            }
            cancelled.await;
        }
    }
}

/// The report of an order for the protocol; its number is a hash of the broker's id (FNV-1a).
pub(super) fn report_of(found: &FoundOrder) -> Report {
    let hash = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let bytes = found.broker_id.as_bytes();
    let number = bytes.iter().fold(0xcbf2_9ce4_8422_2325, hash);
    Report {
        order: (!bytes.is_empty()).then_some(number),
        state: found.figures.state,
    }
}

/// What a departure may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    Send,
    Withhold,
}

impl Order {
    /// Feeds an event to the protocol, and does what it asks for.
    pub(super) fn feed(&self, event: Event) {
        self.feed_for(event);
    }

    /// The same, and says whether a departure may go on.
    fn feed_for(&self, event: Event) -> Option<Gate> {
        self.advance(|life, rules, now, actions| life.handle(rules, now, event, actions))
    }

    /// Takes over what the journal has of an order of an earlier process, or of one that was forgotten.
    pub(super) fn restore(&self, mark: MarkKind, copies: u32) {
        self.advance(|life, rules, now, actions| {
            *life = Lifecycle::restore(rules, mark, copies, now, actions);
        });
    }

    fn advance(
        &self,
        change: impl FnOnce(&mut Lifecycle, &Rules, Duration, &mut Vec<Action>),
    ) -> Option<Gate> {
        let mut state = self.it.lock();
        let was_settled = state.life.settlement().is_some();
        let before = Standing::of(state.life.state(), self.it.restored);
        let mut actions = std::mem::take(&mut state.actions);
        change(
            &mut state.life,
            &self.it.rules,
            self.shared.now(),
            &mut actions,
        );
        let mut gate = None;
        for action in &actions {
            match action {
                Action::Send { .. } => gate = Some(Gate::Send),
                Action::Withhold => gate = Some(Gate::Withhold),
                _ => self.act_locked(&mut state, *action),
            }
        }
        let settled = state.life.settlement();
        let admission = match settled {
            Some(settlement) if !was_settled => {
                let admission = state.admission.take();
                admission.filter(|_| matches!(settlement, Settlement::Absent(_)))
            }
            _ => None,
        };
        let needs_task = !state.has_task
            && matches!(
                state.life.state(),
                IntentState::InDoubt | IntentState::Confirmed
            )
            && state.life.wake(&self.it.rules).is_some();
        state.has_task |= needs_task;
        let caller = match (
            state.answer.is_some() || state.step.is_some(),
            &mut state.caller,
        ) {
            (true, caller) => caller.take(),
            _ => None,
        };
        let after = Standing::of(state.life.state(), self.it.restored);
        drop(state);

        // Outside of the lock: listeners and tasks may come back here.
        if let Some(admission) = admission {
            self.shared.control.give_back(admission);
        }
        if let Some(caller) = caller {
            caller.wake();
        }
        for action in &actions {
            self.act_unlocked(*action);
        }
        let settled_now = settled.is_some() && !was_settled;
        self.shared.moved(self, (before, after), settled_now);
        if needs_task {
            self.shared.spawn(self.clone().keep_time());
        }
        self.it.changed.notify_one();
        actions.clear();
        self.it.lock().actions = actions;
        gate
    }

    fn act_locked(&self, state: &mut State, action: Action) {
        match action {
            Action::Write { mark, durable } => self.write(state, mark, durable),
            Action::Pass { copy } => {
                state.step = Some(Step::Pass(copy));
                state.passed = true;
            }
            Action::Withdraw => state.step = Some(Step::Withdraw),
            Action::Answer(answer) => state.answer = Some(answer),
            Action::Cancel(CancelStep::Send) if state.cancel_by == CancelBy::Caller => {
                state.cancel_by = CancelBy::CallerSends;
            }
            Action::Cancel(step @ (CancelStep::NotSent | CancelStep::Over)) => {
                state.cancel_over = Some(step);
            }
            _ => {}
        }
    }

    /// Hands a mark to the journal, which keeps the order of the calls.
    fn write(&self, state: &State, mark: MarkKind, durable: bool) {
        let at = SystemTime::now();
        let broker_id = || {
            let found = state.found.as_ref();
            found.map_or_else(String::new, |found| found.broker_id.to_string())
        };
        let figures = || state.found.as_ref().map(|found| found.body.clone());
        let mark = match mark {
            // Appended before the protocol begins.
            MarkKind::Intended => return,
            MarkKind::Sent => journal::Mark::sent(at, 1),
            MarkKind::Resent => journal::Mark::sent(at, state.life.copies() + 1),
            MarkKind::Exhausted => journal::Mark::exhausted(at, state.met),
            MarkKind::Confirmed => {
                journal::Mark::confirmed(at, broker_id(), figures().unwrap_or_default())
            }
            MarkKind::Rejected => journal::Mark::rejected(at, figures().unwrap_or_default()),
            MarkKind::Absent => journal::Mark::absent(at),
            MarkKind::Abandoned => journal::Mark::abandoned(at, reason_of(&state.life)),
        };
        let answer = self.shared.journal.mark(&self.it.id, mark);
        if durable {
            let order = self.clone();
            self.shared.spawn(async move {
                let written = answer.await;
                let event = match order.shared.wrote(&written) {
                    true => Event::Durable,
                    false => Event::NotDurable,
                };
                order.feed(event);
            });
        } else {
            self.shared.wrote_soon(answer);
        }
    }

    fn act_unlocked(&self, action: Action) {
        match action {
            Action::LookUp { number, query } => {
                let order = self.clone();
                self.shared
                    .spawn(async move { order.look_up(number, query).await });
            }
            Action::Cancel(CancelStep::Send) => {
                let by_layer = self.it.lock().cancel_by == CancelBy::Layer;
                if by_layer {
                    let order = self.clone();
                    self.shared.spawn(async move { order.send_cancel().await });
                }
            }
            Action::Cancel(_) => self.it.cancelled.notify_waiters(),
            Action::Notify(notice) => self.notify(notice),
            _ => {}
        }
    }

    fn notify(&self, notice: Notice) {
        let shared = &self.shared;
        shared.count(notice);
        let (state, reason) = words(notice);
        let (number, copy) = (self.it.number(), self.it.copies());
        shared.events.emit(|| EventKind::Order {
            number,
            copy,
            state,
            reason,
        });
        shared.tell(OrderNotice {
            id: Arc::clone(&self.it.id),
            number,
            notice,
        });
    }

    /// A copy is about to leave.
    pub(super) fn departs(&self) -> Gate {
        // The protocol always decides; if it did not, nothing would leave.
        self.feed_for(Event::Departing).unwrap_or(Gate::Withhold)
    }

    /// Looks after the times of an order: one task for each that needs it.
    async fn keep_time(self) {
        loop {
            let wake = {
                let mut state = self.it.lock();
                let wake = state.life.wake(&self.it.rules);
                state.has_task = wake.is_some();
                wake
            };
            let Some(wake) = wake else { return };
            let at = self.shared.instant(wake);
            // What comes first; a change may have moved the time.
            let _ = tokio::time::timeout_at(at, self.it.changed.notified()).await;
            if self.it.wake().is_some_and(|wake| wake <= self.shared.now()) {
                self.feed(Event::Tick);
            }
        }
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

    /// Cancels by the layer itself.
    pub(super) fn cancel(&self) {
        self.it.lock().cancel_over = None;
        self.feed(Event::Cancel);
    }

    /// What is found out of the failure of a query.
    pub(super) fn met(&self, with: &'static str) {
        self.it.lock().met = with;
    }

    /// A rejection with the number of the order: its outcome is unknown.
    pub(super) fn unknown(&self) -> Rejection {
        self.shared
            .events
            .rejection(Reason::OutcomeUnknown)
            .with_sent(Sent::Maybe)
            .with_reference(self.it.number())
    }

    pub(super) async fn look_up(self, number: u32, query: Query) {
        let found = super::look_up::look_up(&self, query).await;
        self.feed(Event::LookUp { number, found });
    }
}

/// Whether a caller's cancel is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CancelTurn {
    Send,
    Over(CancelStep),
}

impl WatchDeparture for Order {
    fn departs(&self) -> Result<(), Rejection> {
        let asked = &self.shared.asked;
        asked.store(true, std::sync::atomic::Ordering::Relaxed);
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

fn reason_of(life: &Lifecycle) -> &'static str {
    match life.settlement() {
        Some(Settlement::Absent(why)) => why.as_str(),
        _ => "by a person",
    }
}

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

/// Whether the journal took a mark: an entry that does not allow it is no fault of the store.
pub(super) const fn is_store_error(error: &JournalError) -> bool {
    !matches!(
        error,
        JournalError::UsedId { .. }
            | JournalError::UnknownId { .. }
            | JournalError::Forbidden { .. }
            | JournalError::WrongAttempt { .. }
            | JournalError::Invalid(_)
    )
}
