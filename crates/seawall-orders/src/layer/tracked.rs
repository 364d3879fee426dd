//! What is known of one order, and what its caller waits for.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, Uri};
use tokio::sync::Notify;

use crate::broker::{FoundOrder, OrderRequest, SavedOrder};
use crate::journal::{self, Entry};
use crate::protocol::{
    Action, Answer, CancelStep, IntentState, Lifecycle, MarkKind, Operation, Report, Rules,
    Settlement,
};
use crate::safety::Admission;

/// No number of a journal: [`Journal::append`](crate::journal::Journal::append).
const UNWRITTEN: u64 = u64::MAX;

/// Where an order is in the book. The memory is used again, the number is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) slot: usize,
    pub(super) stamp: u64,
}

/// For how long the time of an order is counted from its beginning.
const COUNTED: Duration = Duration::from_secs(1);

/// What is known of an order.
pub(super) struct Tracked {
    pub(super) id: Arc<str>,
    /// Where it is in the book.
    pub(super) place: Place,
    /// Its place in the journal, or [`UNWRITTEN`].
    number: AtomicU64,
    pub(super) operation: Operation,
    pub(super) request: OrderRequest,
    pub(super) rules: Rules,
    pub(super) origin: Arc<Origin>,
    /// Until when its caller waits.
    pub(super) deadline: Option<Duration>,
    /// When its intent was written, and that in the time of the layer, unless it is of an earlier process.
    pub(super) since: SystemTime,
    pub(super) begun: Option<Duration>,
    pub(super) state: Mutex<State>,
    /// Whether it was reported to be in doubt.
    pub(super) doubted: AtomicBool,
    /// Something has changed that the task of the order waits for.
    pub(super) changed: Notify,
    /// A cancel has ended.
    pub(super) cancelled: Notify,
}

/// What of an order counts for the trading mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) in_doubt: bool,
    pub(super) exhausted: bool,
    /// It is of an earlier process, and still in doubt.
    pub(super) starting: bool,
}

impl Standing {
    pub(super) const fn of(state: IntentState, starting: bool) -> Self {
        Self {
            in_doubt: matches!(state, IntentState::InDoubt),
            exhausted: matches!(state, IntentState::Exhausted),
            starting,
        }
    }
}

/// Where an order went, for the requests that are about it.
#[derive(Default)]
pub(super) struct Origin {
    pub(super) scheme: Option<Scheme>,
    pub(super) authority: Option<Authority>,
    /// Headers of credentials; never written anywhere.
    pub(super) credentials: HeaderMap,
}

pub(super) struct State {
    pub(super) life: Lifecycle,
    /// Of an order that was taken over, what is to be done first; else empty.
    pub(super) actions: Vec<Action>,
    pub(super) written: Written,
    /// Marks that wait for the answer to the intent.
    pub(super) held: Vec<MarkKind>,
    /// How many of its marks wait until the journal can be written again; later ones wait behind them.
    pub(super) lost: u32,
    /// How many marks there are of copies that leave.
    pub(super) attempts: u32,
    /// What the layer has counted of it.
    pub(super) counted: Standing,
    /// Whether it is of an earlier process, and was in doubt ever since.
    pub(super) starting: bool,
    /// Whether it is among those that are settled.
    pub(super) kept: bool,
    /// The broker's own view of it, the last one.
    pub(super) found: Option<FoundOrder>,
    /// When it was confirmed by this process.
    pub(super) confirmed_at: Option<Duration>,
    /// What the caller has to do; the last word counts.
    pub(super) step: Option<Step>,
    pub(super) answer: Option<Answer>,
    pub(super) caller: Option<Waker>,
    /// Whether a task looks after the times of the order.
    pub(super) has_task: bool,
    /// Who sends the next cancel.
    pub(super) cancel_by: CancelBy,
    pub(super) cancel_over: Option<CancelStep>,
    pub(super) admission: Option<Admission>,
    /// What was last met with, for the mark of an exhausted one.
    pub(super) met: &'static str,
}

impl Origin {
    /// Whether a request to `uri` goes there.
    pub(super) fn is_of(&self, uri: &Uri) -> bool {
        uri.scheme() == self.scheme.as_ref() && uri.authority() == self.authority.as_ref()
    }
}

impl State {
    /// Whether a task has to look after its times. While its call runs, its caller does.
    pub(super) fn needs_task(&self, rules: &Rules) -> bool {
        let runs = matches!(
            self.life.state(),
            IntentState::Intended | IntentState::Waiting | IntentState::Sent
        );
        !self.has_task && !runs && self.life.wake(rules).is_some()
    }

    fn take_mail(&mut self) -> Option<Mail> {
        let answer = self.answer.take().map(Mail::Answer);
        answer.or_else(|| self.step.take().map(Mail::Step))
    }

    /// What was counted of it, and what is from now on.
    pub(super) fn recount(&mut self) -> (Standing, Standing) {
        let state = self.life.state();
        // Looked up once more later, it does not hold new orders back.
        self.starting &= state == IntentState::InDoubt;
        let now = Standing::of(state, self.starting);
        (std::mem::replace(&mut self.counted, now), now)
    }

    /// A mark of the moment `at`; `None` for the one that is no mark.
    pub(super) fn mark(&mut self, kind: MarkKind, at: SystemTime) -> Option<Marked> {
        let attempt = match kind {
            // Appended before the protocol begins.
            MarkKind::Intended => return None,
            MarkKind::Sent | MarkKind::Resent => {
                self.attempts += 1;
                self.attempts
            }
            _ => 0,
        };
        Some(Marked { kind, attempt, at })
    }

    /// A mark as the journal takes it.
    pub(super) fn mark_of(&self, Marked { kind, attempt, at }: Marked) -> journal::Mark {
        let found = self.found.as_ref();
        let figures = || found.map(|found| found.body.clone()).unwrap_or_default();
        match kind {
            MarkKind::Intended | MarkKind::Sent | MarkKind::Resent => {
                journal::Mark::sent(at, attempt)
            }
            MarkKind::Exhausted => journal::Mark::exhausted(at, self.met),
            MarkKind::Confirmed => {
                let broker_id = found.map_or_else(Bytes::new, broker_id_of);
                journal::Mark::confirmed(at, broker_id, figures())
            }
            MarkKind::Rejected => journal::Mark::rejected(at, figures()),
            MarkKind::Absent => journal::Mark::absent(at),
            MarkKind::Abandoned => journal::Mark::abandoned(at, self.reason()),
        }
    }

    fn reason(&self) -> &'static str {
        match self.life.settlement() {
            Some(Settlement::Absent(why)) => why.as_str(),
            _ => "by a person",
        }
    }
}

thread_local! {
    /// The memory of a list of actions, which every order of the thread uses again.
    static ACTIONS: Cell<Vec<Action>> = const { Cell::new(Vec::new()) };
}

/// An empty list of actions.
pub(super) fn spare_actions() -> Vec<Action> {
    ACTIONS.try_with(Cell::take).unwrap_or_default()
}

/// Keeps the memory of a list for the next one.
pub(super) fn keep_actions(mut actions: Vec<Action>) {
    actions.clear();
    // Where the thread ends, it is freed.
    let _ = ACTIONS.try_with(|spare| spare.set(actions));
}

/// A mark, without what the order knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marked {
    pub(super) kind: MarkKind,
    /// The number of the copy that leaves, from 1; else 0.
    attempt: u32,
    at: SystemTime,
}

/// Whether the journal has the intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It has not answered. The entry of the id may be another order's, so nothing is marked.
    Unknown,
    Yes,
    /// It has not, or has another one of the id: nothing may be written to that.
    No,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum CancelBy {
    /// The layer, by a request of its own.
    Layer,
    /// A caller, whose request is about to pass.
    Caller,
    /// That caller sends it.
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

/// What an order begins with.
pub(super) struct NewOrder {
    pub(super) id: Arc<str>,
    pub(super) operation: Operation,
    pub(super) rules: Rules,
    pub(super) request: OrderRequest,
    pub(super) origin: Arc<Origin>,
    pub(super) admission: Option<Admission>,
    pub(super) deadline: Option<Duration>,
    pub(super) since: SystemTime,
    pub(super) begun: Option<Duration>,
}

/// One that is to begin.
impl Default for Tracked {
    fn default() -> Self {
        Self {
            id: Arc::default(),
            place: Place::default(),
            number: AtomicU64::new(UNWRITTEN),
            operation: Operation::Create,
            request: OrderRequest::default(),
            rules: Rules::strictest(),
            origin: Arc::default(),
            deadline: None,
            since: SystemTime::UNIX_EPOCH,
            begun: None,
            state: Mutex::new(State {
                life: Lifecycle::new(None, &mut Vec::new()),
                actions: Vec::new(),
                written: Written::Unknown,
                held: Vec::new(),
                lost: 0,
                attempts: 0,
                counted: Standing::default(),
                starting: false,
                kept: false,
                found: None,
                confirmed_at: None,
                step: None,
                answer: None,
                caller: None,
                has_task: false,
                cancel_by: CancelBy::Layer,
                cancel_over: None,
                admission: None,
                met: "",
            }),
            doubted: AtomicBool::new(false),
            changed: Notify::new(),
            cancelled: Notify::new(),
        }
    }
}

impl Tracked {
    /// Makes it a new order, whatever it was: values are used again, and are too large to be moved about.
    pub(super) fn begin(&mut self, place: Place, new: NewOrder) {
        self.id = new.id;
        self.place = place;
        *self.number.get_mut() = UNWRITTEN;
        self.operation = new.operation;
        self.request = new.request;
        self.rules = new.rules;
        self.origin = new.origin;
        self.deadline = new.deadline;
        self.since = new.since;
        self.begun = new.begun;
        *self.doubted.get_mut() = false;
        self.changed = Notify::new();
        self.cancelled = Notify::new();
        let mut actions = spare_actions();
        let state = self.state_mut();
        state.life = Lifecycle::new(new.deadline, &mut actions);
        state.actions.clear();
        state.written = Written::Unknown;
        state.held.clear();
        state.lost = 0;
        state.attempts = 0;
        state.counted = Standing::default();
        state.starting = false;
        state.kept = false;
        state.found = None;
        state.confirmed_at = None;
        state.step = None;
        state.answer = None;
        state.caller = None;
        state.has_task = false;
        state.cancel_by = CancelBy::Layer;
        state.cancel_over = None;
        state.admission = new.admission;
        state.met = "";
        // The intent, which is appended by other means than a mark.
        keep_actions(actions);
    }

    /// Makes it what the journal has of it, with what follows from that as its first actions.
    pub(super) fn restore(&mut self, entry: &Entry, mark: MarkKind, now: Duration, starting: bool) {
        *self.number.get_mut() = entry.seq();
        let (attempts, rules) = (entry.attempts(), self.rules);
        let state = self.state_mut();
        state.life = Lifecycle::restore(&rules, mark, attempts, now, &mut state.actions);
        state.attempts = attempts;
        state.written = Written::Yes;
        state.starting = starting;
    }

    /// The moment `now` on the calendar. Shortly after the intent it is counted from that, which is the same
    /// and takes less time than to read the system's clock.
    pub(super) fn wall(&self, now: Duration) -> SystemTime {
        let after = self.begun.and_then(|begun| now.checked_sub(begun));
        let after = after.filter(|after| *after < COUNTED);
        let at = after.and_then(|after| self.since.checked_add(after));
        at.unwrap_or_else(SystemTime::now)
    }

    pub(super) fn state_mut(&mut self) -> &mut State {
        let state = self.state.get_mut();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its place in the journal, once the journal has it.
    pub(super) fn number(&self) -> Option<u64> {
        let number = self.number.load(Ordering::Relaxed);
        (number != UNWRITTEN).then_some(number)
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

    /// The broker's id of it, where it is known.
    pub(super) fn with_broker_id<T>(&self, look: impl FnOnce(&str) -> T) -> Option<T> {
        let state = self.lock();
        let id = &*state.found.as_ref()?.broker_id;
        (!id.is_empty()).then(|| look(id))
    }

    /// Whether a copy has left whose call runs.
    pub(super) fn has_left(&self) -> bool {
        self.intent_state() == IntentState::Sent
    }

    pub(super) fn found(&self) -> Option<FoundOrder> {
        self.lock().found.clone()
    }

    pub(super) fn take_admission(&self) -> Option<Admission> {
        self.lock().admission.take()
    }

    pub(super) fn set_number(&self, number: u64) {
        self.number.store(number, Ordering::Relaxed);
    }

    /// The journal has not taken the intent.
    pub(super) fn set_unwritten(&self) {
        let mut state = self.lock();
        state.written = Written::No;
        state.held.clear();
    }

    /// Whether its time is over, and neither its caller nor a task has looked.
    pub(super) fn is_overdue(&self, now: Duration) -> bool {
        let Some(deadline) = self.deadline else {
            return false;
        };
        if now < deadline {
            return false;
        }
        let state = self.lock();
        !state.has_task && state.life.wake(&self.rules).is_some_and(|wake| wake <= now)
    }

    /// Whether its look-ups are used up.
    pub(super) fn is_exhausted(&self) -> bool {
        matches!(self.lock().life.state(), IntentState::Exhausted)
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

    /// What the caller has to do, if there is something.
    pub(super) fn take_mail(&self) -> Option<Mail> {
        self.lock().take_mail()
    }

    /// Waits for what the caller has to do.
    pub(super) fn poll_mail(&self, cx: &mut Context<'_>) -> Poll<Mail> {
        let mut state = self.lock();
        if let Some(mail) = state.take_mail() {
            return Poll::Ready(mail);
        }
        match &mut state.caller {
            Some(waker) => waker.clone_from(cx.waker()),
            caller => *caller = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// When a tick is due.
    pub(super) fn wake(&self) -> Option<Duration> {
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

/// The broker's id of an order: a part of what the broker sent, where it is soon found in that, which is
/// kept anyway.
fn broker_id_of(found: &FoundOrder) -> Bytes {
    let (id, body) = (found.broker_id.as_bytes(), &found.body);
    if id.is_empty() {
        return Bytes::new();
    }
    let first = body.get(..SEARCHED).unwrap_or(body);
    match first.windows(id.len()).position(|part| part == id) {
        Some(from) => body.slice(from..from + id.len()),
        None => Bytes::copy_from_slice(id),
    }
}

/// In so much of a response the broker's id is searched for.
const SEARCHED: usize = 256;

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
