//! The life of one intent.

mod cancel;
mod doubt;
mod phase;
mod settle;

use std::time::Duration;

use seawall_core::state_words;

use super::action::{Action, Alert, Answer, MarkKind, NotExecuted, Settlement, Via};
use super::event::{DoubtCause, Event, OrderState, Reply, Report, Verdict};
use super::rules::Rules;
use phase::{Cancel, Check, Phase, Turn};

state_words! {
    /// The state of an intent, as it is shown.
    pub enum IntentState {
        /// A mark is being made durable; nothing of this copy has left.
        Intended = "intended",
        /// The call is in the stack and has not left.
        Waiting = "waiting",
        /// It has left, and its call runs.
        Sent = "sent",
        /// The outcome is unknown, and is being looked up.
        InDoubt = "in_doubt",
        /// The outcome is unknown, and the look-ups are used up.
        Exhausted = "exhausted",
        /// The broker has it.
        Confirmed = "confirmed",
        /// The broker rejected it.
        Rejected = "rejected",
        /// It was certainly not executed.
        Absent = "absent",
        /// A person decided that it is not looked after any more.
        Abandoned = "abandoned",
    }
}

/// The life of one order from the intent to its settlement: takes events, gives actions.
///
/// Times are durations since any moment that stays the same for the life of the process. Actions are
/// appended to `out`, which a driver uses again.
///
/// ```
/// use std::time::Duration;
/// use seawall_orders::protocol::{
///     Action, Answer, DoubtCause, Duplicates, Event, Lifecycle, LookUp, MarkKind, NotExecuted, OrderState,
///     Reply, Report, Rules, Settlement, Via,
/// };
///
/// let rules = Rules::builder(Duplicates::RejectWhileOpen).resends(0).build()?;
/// let at = Duration::from_secs;
/// let mut out = Vec::new();
///
/// // Nothing is sent before the intent is on the disk.
/// let mut order = Lifecycle::new(None, &mut out);
/// assert_eq!(out, [Action::Write { mark: MarkKind::Intended, durable: true }]);
/// out.clear();
/// order.handle(&rules, at(0), Event::Durable, &mut out);
/// order.handle(&rules, at(0), Event::Departing, &mut out);
/// assert!(out.ends_with(&[Action::Send { copy: 1 }]));
/// out.clear();
///
/// // The response is lost: the order is looked up.
/// order.handle(&rules, at(1), Event::Reply(Reply::Unknown(DoubtCause::Reset)), &mut out);
/// let wake = order.wake(&rules).unwrap();
/// out.clear();
/// order.handle(&rules, wake, Event::Tick, &mut out);
/// let [Action::LookUp { number, .. }] = out[..] else { panic!("{out:?}") };
/// out.clear();
/// let found = LookUp::Found(Report::of(OrderState::Filled));
/// order.handle(&rules, at(3), Event::LookUp { number, found }, &mut out);
/// let filled = Settlement::Confirmed(Via::LookUp, OrderState::Filled);
/// assert!(out.contains(&Action::Answer(Answer::Settled(filled))));
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lifecycle {
    phase: Phase,
    deadline: Option<Duration>,
    /// A caller waits for an answer.
    caller: bool,
    /// How many copies have left.
    copies: u32,
    /// How many re-sends were begun.
    resends: u32,
    /// How many of the copies can exist, the last one among them.
    open: u32,
    /// The broker knows the id: it is never absent.
    exists: bool,
    seen: Option<Report>,
    first_sent: Option<Duration>,
    /// From when a look-up that finds nothing is believed.
    visible_at: Duration,
    cancel: Cancel,
    check: Option<Check>,
    /// The last mark.
    marked: MarkKind,
    /// How many queries were begun.
    queries: u32,
}

impl Lifecycle {
    /// A new intent with the deadline of its call. The first action is to write it.
    pub fn new(deadline: Option<Duration>, out: &mut Vec<Action>) -> Self {
        out.push(Action::Write {
            mark: MarkKind::Intended,
            durable: true,
        });
        Self {
            phase: Phase::Writing,
            deadline,
            caller: true,
            copies: 0,
            resends: 0,
            open: 0,
            exists: false,
            seen: None,
            first_sent: None,
            visible_at: Duration::ZERO,
            cancel: Cancel::No,
            check: None,
            marked: MarkKind::Intended,
            queries: 0,
        }
    }

    /// An intent of an earlier process, by the last of its marks and the number of copies that were
    /// to leave. One that is not settled is looked up, whether it was marked as sent or not: that
    /// mark need not have reached the disk, and it is written again. It is never sent again: nobody
    /// waits for it, and the market has moved.
    ///
    /// Of a confirmed one the state is not known; it counts as open, so that a cancel passes.
    ///
    /// ```
    /// use std::time::Duration;
    /// use seawall_orders::protocol::{
    ///     Action, DoubtCause, Duplicates, Lifecycle, IntentState, MarkKind, Notice, Rules,
    /// };
    ///
    /// let rules = Rules::builder(Duplicates::ReturnFirst).build()?;
    /// let mut out = Vec::new();
    /// let order = Lifecycle::restore(&rules, MarkKind::Intended, 0, Duration::ZERO, &mut out);
    /// assert_eq!(order.state(), IntentState::InDoubt);
    /// assert_eq!(out, [
    ///     Action::Write { mark: MarkKind::Sent, durable: false },
    ///     Action::Notify(Notice::InDoubt(DoubtCause::Restart)),
    /// ]);
    /// # Ok::<(), seawall_core::InvalidConfig>(())
    /// ```
    pub fn restore(
        rules: &Rules,
        mark: MarkKind,
        copies: u32,
        now: Duration,
        out: &mut Vec<Action>,
    ) -> Self {
        let mut intent = Self::new(None, &mut Vec::new());
        intent.caller = false;
        intent.marked = mark;
        intent.copies = copies.max(1 + u32::from(mark == MarkKind::Resent));
        intent.open = intent.copies;
        let settled = match mark {
            MarkKind::Confirmed => Settlement::Confirmed(Via::Journal, OrderState::Open),
            MarkKind::Rejected => Settlement::Rejected(Via::Journal),
            MarkKind::Absent => Settlement::Absent(NotExecuted::Journal),
            MarkKind::Abandoned => Settlement::Abandoned,
            MarkKind::Intended | MarkKind::Sent | MarkKind::Resent | MarkKind::Exhausted => {
                let turn = &mut Turn { rules, now, out };
                if mark == MarkKind::Intended {
                    intent.write(turn, MarkKind::Sent);
                }
                intent.doubt(turn, DoubtCause::Restart);
                return intent;
            }
        };
        intent.phase = Phase::Settled(settled);
        intent
    }

    /// The state.
    pub const fn state(&self) -> IntentState {
        match self.phase {
            Phase::Writing => IntentState::Intended,
            Phase::Waiting => IntentState::Waiting,
            Phase::Sent => IntentState::Sent,
            Phase::InDoubt(_) => IntentState::InDoubt,
            Phase::Exhausted => IntentState::Exhausted,
            Phase::Settled(Settlement::Confirmed(..)) => IntentState::Confirmed,
            Phase::Settled(Settlement::Rejected(_)) => IntentState::Rejected,
            Phase::Settled(Settlement::Absent(_)) => IntentState::Absent,
            Phase::Settled(Settlement::Abandoned) => IntentState::Abandoned,
        }
    }

    /// How it ended.
    pub const fn settlement(&self) -> Option<Settlement> {
        match self.phase {
            Phase::Settled(settlement) => Some(settlement),
            _ => None,
        }
    }

    /// How many copies have left.
    pub const fn copies(&self) -> u32 {
        self.copies
    }

    /// What the broker last reported.
    pub const fn report(&self) -> Option<Report> {
        self.seen
    }

    /// When [`Event::Tick`] is due; `None` if nothing happens by time alone.
    pub fn wake(&self, rules: &Rules) -> Option<Duration> {
        let deadline = self.deadline.filter(|_| self.caller);
        let doubt = match &self.phase {
            Phase::InDoubt(doubt) => Some(doubt.due(rules)),
            _ => None,
        };
        [deadline, doubt, self.cancel_due()]
            .into_iter()
            .flatten()
            .min()
    }

    /// What follows from an event. Any event may come in any state; one that says nothing new there
    /// has no actions.
    pub fn handle(&mut self, rules: &Rules, now: Duration, event: Event, out: &mut Vec<Action>) {
        let turn = &mut Turn { rules, now, out };
        match event {
            Event::Durable => {
                if self.phase == Phase::Writing {
                    self.phase = Phase::Waiting;
                    turn.act(Action::Pass {
                        copy: self.copies + 1,
                    });
                }
            }
            Event::NotDurable => {
                if self.phase == Phase::Writing {
                    self.unsent(turn, NotExecuted::NotJournalled);
                }
            }
            Event::Departing => self.depart(turn),
            Event::NotLeft => self.not_left(),
            Event::HeldBack => {
                if matches!(self.phase, Phase::Writing | Phase::Waiting) {
                    self.unsent(turn, NotExecuted::HeldBack);
                }
            }
            Event::Reply(reply) => self.reply(turn, reply),
            Event::Dropped => self.dropped(turn),
            Event::LookUp { number, found } => self.looked_up(turn, number, found),
            Event::LookUpGoesOn { number } => self.goes_on(turn, number),
            Event::Evidence(report) => self.observe(turn, Via::Evidence, report),
            Event::Cancel => self.cancel(turn),
            Event::CancelReply(reply) => self.cancel_replied(turn, reply),
            Event::Resolve(verdict) => self.resolve(turn, verdict),
            Event::LookUpAgain => self.look_up_again(turn),
            Event::StoodStill => self.stood_still(turn),
            Event::Tick => self.tick(turn),
        }
    }

    fn depart(&mut self, turn: &mut Turn<'_>) {
        if self.phase != Phase::Waiting {
            turn.act(Action::Withhold);
            // After a settlement it is the call that was to be withdrawn.
            if self.settlement().is_none() {
                turn.alert(Alert::UnexpectedDeparture);
            }
            return;
        }
        if self.deadline.is_some_and(|deadline| turn.now >= deadline) {
            turn.act(Action::Withhold);
            return self.unsent(turn, NotExecuted::Deadline);
        }
        self.phase = Phase::Sent;
        self.copies += 1;
        self.open += 1;
        self.first_sent.get_or_insert(turn.now);
        if self.copies == 1 {
            // Not durable: an intent without this mark is looked up as well.
            self.write(turn, MarkKind::Sent);
        }
        turn.act(Action::Send { copy: self.copies });
    }

    fn not_left(&mut self) {
        if self.phase == Phase::Sent {
            self.copies -= 1;
            self.open -= 1;
            self.phase = Phase::Waiting;
            if self.copies == 0 {
                self.first_sent = None;
            }
        }
    }

    fn reply(&mut self, turn: &mut Turn<'_>, reply: Reply) {
        match (reply, &self.phase) {
            (Reply::Accepted(report), _) => self.observe(turn, Via::Reply, report),
            (_, Phase::Settled(_)) => {}
            (Reply::Duplicate, _) => {
                if self.copies == 0 {
                    self.left_unasked(turn);
                }
                self.exists = true;
                match self.phase {
                    Phase::InDoubt(_) | Phase::Exhausted => {}
                    _ => self.doubt(turn, DoubtCause::Duplicate),
                }
            }
            (_, Phase::Writing) => {}
            (Reply::Throttled, Phase::Waiting) => self.unsent(turn, NotExecuted::Throttled),
            (_, Phase::Waiting) => self.unsent(turn, NotExecuted::NotSent),
            (Reply::Rejected, Phase::Sent) if self.open > 1 => {
                self.doubt(turn, DoubtCause::LaterCopyRejected);
            }
            // Whatever copy it is about, there is no other.
            (Reply::Rejected, _) if self.copies == 1 && !self.exists => {
                self.settle(turn, Settlement::Rejected(Via::Reply));
            }
            (Reply::Rejected, Phase::Sent) => {
                self.settle(turn, Settlement::Rejected(Via::Reply));
            }
            (Reply::Throttled, Phase::Sent) if turn.rules.throttle_rejects() => {
                self.never_left(turn, NotExecuted::Throttled);
            }
            (Reply::Throttled, Phase::Sent) => self.doubt(turn, DoubtCause::Throttled),
            (Reply::NotSent, Phase::Sent) => self.never_left(turn, NotExecuted::NotSent),
            (Reply::Unknown(cause), Phase::Sent) => self.doubt(turn, cause),
            // Of a call that was over before.
            (_, Phase::InDoubt(_) | Phase::Exhausted) => {}
        }
    }

    /// The broker replied to a copy that has not asked before it left.
    fn left_unasked(&mut self, turn: &mut Turn<'_>) {
        self.copies = 1;
        self.open = 1;
        turn.alert(Alert::UnexpectedDeparture);
        self.write(turn, MarkKind::Sent);
    }

    /// The copy that left was certainly not executed.
    fn never_left(&mut self, turn: &mut Turn<'_>, why: NotExecuted) {
        self.open = self.open.saturating_sub(1);
        self.unsent(turn, why);
    }

    /// The present copy was not sent and will not be.
    fn unsent(&mut self, turn: &mut Turn<'_>, why: NotExecuted) {
        if self.open == 0 {
            self.settle(turn, Settlement::Absent(why));
        } else {
            self.doubt(turn, DoubtCause::ResendNotSent);
        }
    }

    fn dropped(&mut self, turn: &mut Turn<'_>) {
        self.caller = false;
        match self.phase {
            Phase::Writing | Phase::Waiting => self.unsent(turn, NotExecuted::Dropped),
            Phase::Sent => self.doubt(turn, DoubtCause::Dropped),
            Phase::InDoubt(_) | Phase::Exhausted | Phase::Settled(_) => {}
        }
    }

    fn resolve(&mut self, turn: &mut Turn<'_>, verdict: Verdict) {
        if self.settlement().is_some() {
            return;
        }
        let settlement = match verdict {
            Verdict::Executed(state) => {
                if self.copies == 0 {
                    self.copies = 1;
                    self.write(turn, MarkKind::Sent);
                }
                Settlement::Confirmed(Via::Person, state)
            }
            Verdict::NotExecuted => Settlement::Absent(NotExecuted::Person),
            Verdict::Abandon => Settlement::Abandoned,
        };
        self.settle(turn, settlement);
    }

    fn tick(&mut self, turn: &mut Turn<'_>) {
        if self.caller && self.deadline.is_some_and(|deadline| turn.now >= deadline) {
            match self.phase {
                Phase::Writing | Phase::Waiting => self.unsent(turn, NotExecuted::Deadline),
                Phase::Sent => self.doubt(turn, DoubtCause::Timeout),
                Phase::InDoubt(_) => _ = self.settle_as_shown(turn),
                Phase::Exhausted | Phase::Settled(_) => {}
            }
            self.answer(turn, Answer::Unknown);
        }
        if let Phase::InDoubt(doubt) = self.phase {
            self.proceed(turn, doubt);
        }
        self.cancel_again(turn);
    }

    /// Writes a mark that need not be durable, unless it is there.
    fn write(&mut self, turn: &mut Turn<'_>, mark: MarkKind) {
        if self.marked != mark {
            self.marked = mark;
            let durable = false;
            turn.act(Action::Write { mark, durable });
        }
    }

    /// Answers the caller, unless it has its answer.
    fn answer(&mut self, turn: &mut Turn<'_>, answer: Answer) {
        if std::mem::take(&mut self.caller) {
            turn.act(Action::Answer(answer));
        }
    }
}
