//! A cancel of an order, whatever is known of the order.

use std::time::Duration;

use super::Lifecycle;
use super::phase::{Cancel, Check, Phase, Tries, Turn};
use crate::protocol::action::{Action, Alert, CancelStep, NotExecuted, Settlement, Via};
use crate::protocol::event::{CancelReply, LookUp, OrderState, Report};

impl Lifecycle {
    /// Whether nothing is due but a cancel without an outcome that was an alert: that goes on
    /// for as long as somebody is there.
    pub(crate) const fn only_cancels(&self) -> bool {
        match self.cancel {
            Cancel::Sent(tries) | Cancel::Missed { tries, .. } => {
                tries.alerted && matches!(self.phase, Phase::Settled(_))
            }
            Cancel::No | Cancel::Over => false,
        }
    }

    fn is_live(&self) -> bool {
        match (self.seen, self.phase) {
            (Some(report), _) => report.state.is_live(),
            (None, Phase::Settled(Settlement::Confirmed(_, state))) => state.is_live(),
            (None, _) => false,
        }
    }

    fn send_cancel(&mut self, turn: &mut Turn<'_>, mut tries: Tries) {
        tries.all = tries.all.saturating_add(1);
        self.cancel = Cancel::Sent(tries);
        turn.act(Action::Cancel(CancelStep::Send));
    }

    fn end_cancel(&mut self, turn: &mut Turn<'_>, step: CancelStep) {
        self.cancel = Cancel::Over;
        self.check = None;
        turn.act(Action::Cancel(step));
    }

    pub(super) fn cancel(&mut self, turn: &mut Turn<'_>) {
        let tries = match self.cancel {
            // The one that is on its way answers both.
            Cancel::Sent(_) => return,
            Cancel::Missed { tries, .. } => tries,
            Cancel::No | Cancel::Over => Tries::default(),
        };
        match self.phase {
            Phase::Writing | Phase::Waiting if self.open == 0 => {
                self.end_cancel(turn, CancelStep::NotSent);
                self.settle(turn, Settlement::Absent(NotExecuted::Cancelled));
            }
            Phase::Writing | Phase::Waiting => {
                self.send_cancel(turn, tries);
                self.unsent(turn, NotExecuted::Cancelled);
            }
            Phase::Settled(Settlement::Absent(_) | Settlement::Rejected(_)) => {
                self.end_cancel(turn, CancelStep::NotSent);
            }
            Phase::Settled(Settlement::Confirmed(..)) if !self.is_live() => {
                self.end_cancel(turn, CancelStep::Over);
            }
            _ => self.send_cancel(turn, tries),
        }
    }

    pub(super) fn cancel_replied(&mut self, turn: &mut Turn<'_>, reply: CancelReply) {
        if reply == CancelReply::Cancelled {
            let order = self.seen.and_then(|seen| seen.order);
            let state = OrderState::Cancelled;
            return self.observe(turn, Via::Evidence, Report { order, state });
        }
        let Cancel::Sent(mut tries) = self.cancel else {
            return;
        };
        let was_made = reply != CancelReply::NotMade;
        tries.sent = tries.sent.saturating_add(u32::from(was_made));
        let again_at = turn.now.saturating_add(turn.rules.wait(tries.all));
        self.cancel = Cancel::Missed {
            tries,
            again_at,
            was_made,
        };
        match self.phase {
            Phase::Settled(Settlement::Absent(_) | Settlement::Rejected(_)) => {
                self.end_cancel(turn, CancelStep::NotSent);
            }
            Phase::Settled(Settlement::Confirmed(..)) if !self.is_live() => {
                self.end_cancel(turn, CancelStep::Over);
            }
            Phase::Settled(Settlement::Abandoned) if tries.all >= turn.rules.cancels() => {
                turn.alert(Alert::CancelUnconfirmed);
                self.end_cancel(turn, CancelStep::Unconfirmed);
            }
            Phase::Settled(_) if was_made => {
                if tries.sent >= turn.rules.cancels() {
                    turn.alert(Alert::CancelUnconfirmed);
                    (tries.sent, tries.alerted) = (0, true);
                    self.cancel = Cancel::Missed {
                        tries,
                        again_at,
                        was_made,
                    };
                }
                // It may be filled, or cancelled by a request whose response was lost.
                if tries.alerted || reply == CancelReply::UnknownOrder {
                    self.check(turn);
                }
            }
            // In doubt, it is sent again when the order is found.
            _ => {}
        }
    }

    /// Looks up an order that is settled, unless that is under way.
    fn check(&mut self, turn: &mut Turn<'_>) {
        let runs = self.check.is_some_and(|check| {
            turn.now < check.queried.saturating_add(turn.rules.look_up_timeout())
        });
        if !runs {
            self.check_by(turn, 0);
        }
    }

    fn check_by(&mut self, turn: &mut Turn<'_>, step: usize) {
        let query = turn.rules.coverage().queries().get(step).copied();
        self.check = query.map(|query| {
            self.queries += 1;
            let number = self.queries;
            turn.act(Action::LookUp { number, query });
            Check {
                number,
                step,
                queried: turn.now,
            }
        });
    }

    /// A query that does not settle the order has ended, without an order that the broker has accepted.
    pub(super) fn checked(&mut self, turn: &mut Turn<'_>, check: Option<Check>, found: LookUp) {
        let Some(check) = check else { return };
        match found {
            LookUp::NotFound => self.check_by(turn, check.step + 1),
            // Accepted first, and rejected then: of several copies it may be about another one.
            LookUp::Found(report) if self.copies == 1 && !self.is_another(report) => {
                self.not_open(turn, report);
            }
            _ => {}
        }
    }

    /// A confirmed order does not work any more, by a report that is about itself.
    pub(super) fn not_open(&mut self, turn: &mut Turn<'_>, report: Report) {
        if matches!(self.phase, Phase::Settled(Settlement::Confirmed(..))) {
            self.seen = Some(report);
            self.cancel_found(turn, report.state, false);
        }
    }

    /// The order is at the broker, in this state, which may be news.
    pub(super) fn cancel_found(&mut self, turn: &mut Turn<'_>, state: OrderState, is_news: bool) {
        match self.cancel {
            Cancel::Sent(_) | Cancel::Missed { .. } if !state.is_live() => {
                self.end_cancel(turn, CancelStep::Over);
            }
            Cancel::Missed { tries, .. } if is_news => self.send_cancel(turn, tries),
            _ => {}
        }
    }

    pub(super) fn cancel_settled(&mut self, turn: &mut Turn<'_>, settlement: Settlement) {
        let not_executed = matches!(settlement, Settlement::Absent(_) | Settlement::Rejected(_));
        if not_executed && matches!(self.cancel, Cancel::Missed { .. }) {
            self.end_cancel(turn, CancelStep::NotSent);
        }
    }

    /// When the cancel is sent again. Where the broker has seen one of an order in doubt, it waits until the
    /// order is found.
    pub(super) fn cancel_due(&self) -> Option<Duration> {
        let Cancel::Missed {
            again_at, was_made, ..
        } = self.cancel
        else {
            return None;
        };
        let waits = match self.phase {
            Phase::Settled(_) => false,
            Phase::InDoubt(_) | Phase::Exhausted => was_made,
            Phase::Writing | Phase::Waiting | Phase::Sent => true,
        };
        (!waits).then_some(again_at)
    }

    pub(super) fn cancel_again(&mut self, turn: &mut Turn<'_>) {
        if self.cancel_due().is_some_and(|due| turn.now >= due)
            && let Cancel::Missed { tries, .. } = self.cancel
        {
            self.send_cancel(turn, tries);
        }
    }
}
