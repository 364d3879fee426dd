//! An unknown outcome: look-ups, re-sends, exhaustion.

use std::time::Duration;

use super::Lifecycle;
use super::phase::{Doubt, Next, Phase, Running, Turn};
use crate::protocol::action::{
    Action, Alert, Answer, MarkKind, NotExecuted, Notice, Settlement, Via,
};
use crate::protocol::event::{DoubtCause, LookUp, Report};

/// So often the window of a doubt begins again at most: on a machine that stands still all the time, the
/// order would never be settled.
const STANDSTILLS: u8 = 3;

impl Lifecycle {
    /// The last copy can exist, and its call is over.
    pub(super) fn doubt(&mut self, turn: &mut Turn<'_>, cause: DoubtCause) {
        self.leave_stack(turn);
        // From the end of the call: until then the request may still leave our side.
        self.visible_at = turn.now.saturating_add(turn.rules.window());
        let lost = cause != DoubtCause::LaterCopyRejected;
        let next = if lost && turn.rules.replays() && self.may_resend(turn) {
            Next::Resend {
                at: turn.now.saturating_add(turn.rules.backoff()),
            }
        } else {
            let wait = match cause {
                DoubtCause::Restart => Duration::ZERO,
                _ => turn.rules.first_look_up(),
            };
            Next::LookUp {
                at: turn.now.saturating_add(wait),
            }
        };
        let (done, not_made, standstills) = (0, 0, 0);
        self.phase = Phase::InDoubt(Doubt {
            next,
            done,
            not_made,
            standstills,
        });
        turn.act(Action::Notify(Notice::InDoubt(cause)));
    }

    /// Whether the order may be sent again now: while somebody waits for it and nobody has cancelled
    /// it, if no copy can exist, or the broker recognizes the second one.
    fn may_resend(&self, turn: &Turn<'_>) -> bool {
        let rules = turn.rules;
        let wanted = self.caller
            && !self.cancel.is_wanted()
            && self.deadline.is_none_or(|deadline| turn.now < deadline);
        let remembered = self
            .first_sent
            .is_none_or(|sent| turn.now.saturating_sub(sent) < rules.resend_within());
        let safe = self.open == 0 || (rules.replays() && remembered);
        wanted && safe && !self.exists && self.resends < rules.resends()
    }

    fn resend(&mut self, turn: &mut Turn<'_>) {
        self.resends += 1;
        self.phase = Phase::Writing;
        self.marked = MarkKind::Resent;
        // Durable, so that a later process knows how many copies there are.
        turn.act(Action::Write {
            mark: MarkKind::Resent,
            durable: true,
        });
        turn.act(Action::Notify(Notice::Resend(self.copies + 1)));
    }

    /// Does what is due.
    pub(super) fn proceed(&mut self, turn: &mut Turn<'_>, doubt: Doubt) {
        if turn.now < doubt.due(turn.rules) {
            return;
        }
        match doubt.next {
            Next::Resend { .. } if self.may_resend(turn) => self.resend(turn),
            Next::Resend { .. } | Next::LookUp { .. } => {
                self.query(turn, doubt, 0, turn.now);
            }
            Next::Running(_) => self.unsuccessful(turn, doubt),
        }
    }

    fn query(&mut self, turn: &mut Turn<'_>, doubt: Doubt, step: usize, begun: Duration) {
        let Some(query) = turn.rules.coverage().queries().get(step).copied() else {
            return;
        };
        self.queries += 1;
        let running = Running {
            number: self.queries,
            step,
            begun,
            queried: turn.now,
        };
        self.phase = Phase::InDoubt(Doubt {
            next: Next::Running(running),
            ..doubt
        });
        turn.act(Action::LookUp {
            number: self.queries,
            query,
        });
    }

    /// The query is made in parts, and has not ended.
    pub(super) fn goes_on(&mut self, turn: &Turn<'_>, number: u32) {
        if let Phase::InDoubt(doubt) = &mut self.phase
            && let Next::Running(running) = &mut doubt.next
            && running.number == number
        {
            running.queried = turn.now;
        }
        if let Some(check) = &mut self.check
            && check.number == number
        {
            check.queried = turn.now;
        }
    }

    pub(super) fn looked_up(&mut self, turn: &mut Turn<'_>, number: u32, found: LookUp) {
        let check = self.check.take_if(|check| check.number == number);
        // An order that was found exists, however old the query is.
        match found {
            LookUp::Found(report) if report.state.is_accepted() => {
                return self.observe(turn, Via::LookUp, report);
            }
            LookUp::Several(state) => {
                turn.alert(Alert::SeveralOrders);
                return self.observe(turn, Via::LookUp, Report::of(state));
            }
            LookUp::Shown(report) if report.state.is_accepted() => self.shown(turn, report),
            _ => {}
        }
        let Phase::InDoubt(doubt) = self.phase else {
            return self.checked(turn, check, found);
        };
        let Next::Running(running) = doubt.next else {
            return;
        };
        if running.number != number {
            return;
        }
        // Before the window is over, another copy may still appear.
        let final_ = running.begun >= self.visible_at && !self.exists;
        match found {
            LookUp::NotMade => {
                let not_made = doubt.not_made.saturating_add(1);
                let wait = turn.rules.wait(doubt.done.saturating_add(not_made));
                let next = Next::LookUp {
                    at: turn.now.saturating_add(wait),
                };
                self.phase = Phase::InDoubt(Doubt {
                    next,
                    not_made,
                    ..doubt
                });
            }
            LookUp::Found(_) if final_ || (self.copies == 1 && !self.exists) => {
                self.settle(turn, Settlement::Rejected(Via::LookUp));
            }
            LookUp::NotFound if running.step + 1 < turn.rules.coverage().queries().len() => {
                self.query(turn, doubt, running.step + 1, running.begun);
            }
            LookUp::NotFound if final_ => self.absent(turn),
            _ => self.unsuccessful(turn, doubt),
        }
    }

    /// A query showed the order before it failed. While there are further look-ups, one may show all.
    fn shown(&mut self, turn: &mut Turn<'_>, report: Report) {
        if !matches!(self.phase, Phase::InDoubt(_)) {
            return self.observe(turn, Via::LookUp, report);
        }
        self.exists = true;
        if self.is_another(report) {
            turn.alert(Alert::SeveralOrders);
        }
        self.seen = Some(report);
    }

    /// The order is what was shown of it, if it was: whether there was more is not found out any more.
    pub(super) fn settle_as_shown(&mut self, turn: &mut Turn<'_>) -> bool {
        let Some(report) = self.seen else {
            return false;
        };
        self.observe(turn, Via::LookUp, report);
        true
    }

    /// No copy that left was executed.
    fn absent(&mut self, turn: &mut Turn<'_>) {
        self.open = 0;
        if self.may_resend(turn) {
            self.resend(turn);
        } else {
            self.settle(turn, Settlement::Absent(NotExecuted::LookedUp));
        }
    }

    /// A look-up that is not the last one ended without an outcome.
    fn unsuccessful(&mut self, turn: &mut Turn<'_>, doubt: Doubt) {
        let done = doubt.done.saturating_add(1);
        // One that began before the end of the window could not settle it: that would be too early.
        let conclusive = matches!(doubt.next, Next::Running(run) if run.begun >= self.visible_at);
        if done >= turn.rules.look_ups() && conclusive {
            if !self.settle_as_shown(turn) {
                self.exhausted(turn);
            }
            return;
        }
        let mut at = turn.now.saturating_add(turn.rules.wait(done));
        if turn.now < self.visible_at {
            at = at.min(self.visible_at);
        }
        let next = Next::LookUp { at };
        self.phase = Phase::InDoubt(Doubt {
            next,
            done,
            not_made: 0,
            ..doubt
        });
    }

    /// The window begins again: what was to leave before leaves now.
    pub(super) fn stood_still(&mut self, turn: &Turn<'_>) {
        let again = turn.now.saturating_add(turn.rules.window());
        // It has begun again just now.
        if !turn
            .rules
            .is_standstill(again.saturating_sub(self.visible_at))
        {
            return;
        }
        match &mut self.phase {
            Phase::InDoubt(doubt) if doubt.standstills < STANDSTILLS => doubt.standstills += 1,
            Phase::Exhausted => {}
            _ => return,
        }
        self.visible_at = again;
    }

    fn exhausted(&mut self, turn: &mut Turn<'_>) {
        self.phase = Phase::Exhausted;
        self.write(turn, MarkKind::Exhausted);
        turn.alert(Alert::Exhausted);
        self.answer(turn, Answer::Unknown);
    }

    pub(super) fn look_up_again(&mut self, turn: &mut Turn<'_>) {
        if self.phase == Phase::Exhausted {
            let doubt = Doubt {
                next: Next::LookUp { at: turn.now },
                done: 0,
                not_made: 0,
                standstills: 0,
            };
            self.query(turn, doubt, 0, turn.now);
        }
    }
}
