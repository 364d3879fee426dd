//! A cancel of an order, whatever is known of the order.

use std::time::Duration;

use super::Lifecycle;
use super::phase::{Cancel, Phase, Turn};
use crate::protocol::action::{Action, Alert, CancelStep, NotExecuted, Settlement, Via};
use crate::protocol::event::{CancelReply, OrderState, Report};

impl Lifecycle {
    fn is_live(&self) -> bool {
        match (self.seen, self.phase) {
            (Some(report), _) => report.state.is_live(),
            (None, Phase::Settled(Settlement::Confirmed(_, state))) => state.is_live(),
            (None, _) => false,
        }
    }

    fn send_cancel(&mut self, turn: &mut Turn<'_>, sends: u32) {
        let sends = sends.saturating_add(1);
        self.cancel = Cancel::Sent { sends };
        turn.act(Action::Cancel(CancelStep::Send));
    }

    fn end_cancel(&mut self, turn: &mut Turn<'_>, step: CancelStep) {
        self.cancel = Cancel::Over;
        turn.act(Action::Cancel(step));
    }

    pub(super) fn cancel(&mut self, turn: &mut Turn<'_>) {
        let sends = match self.cancel {
            // The one that is on its way answers both.
            Cancel::Sent { .. } => return,
            Cancel::Missed { sends, .. } => sends,
            Cancel::No | Cancel::Over => 0,
        };
        match self.phase {
            Phase::Writing | Phase::Waiting if self.open == 0 => {
                self.end_cancel(turn, CancelStep::NotSent);
                self.settle(turn, Settlement::Absent(NotExecuted::Cancelled));
            }
            Phase::Writing | Phase::Waiting => {
                self.send_cancel(turn, sends);
                self.unsent(turn, NotExecuted::Cancelled);
            }
            Phase::Settled(Settlement::Absent(_) | Settlement::Rejected(_)) => {
                self.end_cancel(turn, CancelStep::NotSent);
            }
            Phase::Settled(Settlement::Confirmed(..)) if !self.is_live() => {
                self.end_cancel(turn, CancelStep::Over);
            }
            _ => self.send_cancel(turn, sends),
        }
    }

    pub(super) fn cancel_replied(&mut self, turn: &mut Turn<'_>, reply: CancelReply) {
        if reply == CancelReply::Cancelled {
            let order = self.seen.and_then(|seen| seen.order);
            let state = OrderState::Cancelled;
            return self.observe(turn, Via::Evidence, Report { order, state });
        }
        let Cancel::Sent { sends } = self.cancel else {
            return;
        };
        let again_at = turn.now.saturating_add(turn.rules.wait(sends));
        self.cancel = Cancel::Missed { sends, again_at };
        match self.phase {
            Phase::Settled(Settlement::Absent(_) | Settlement::Rejected(_)) => {
                self.end_cancel(turn, CancelStep::NotSent);
            }
            Phase::Settled(Settlement::Confirmed(..)) if !self.is_live() => {
                self.end_cancel(turn, CancelStep::Over);
            }
            Phase::Settled(_) if sends >= turn.rules.cancels() => {
                self.cancel = Cancel::Over;
                turn.alert(Alert::CancelUnconfirmed);
            }
            // In doubt, it is sent again when the order is found.
            _ => {}
        }
    }

    /// The order is at the broker, in this state.
    pub(super) fn cancel_found(&mut self, turn: &mut Turn<'_>, state: OrderState) {
        match self.cancel {
            Cancel::Sent { .. } | Cancel::Missed { .. } if !state.is_live() => {
                self.end_cancel(turn, CancelStep::Over);
            }
            Cancel::Missed { sends, .. } => self.send_cancel(turn, sends),
            _ => {}
        }
    }

    pub(super) fn cancel_settled(&mut self, turn: &mut Turn<'_>, settlement: Settlement) {
        let not_executed = matches!(settlement, Settlement::Absent(_) | Settlement::Rejected(_));
        if not_executed && matches!(self.cancel, Cancel::Missed { .. }) {
            self.end_cancel(turn, CancelStep::NotSent);
        }
    }

    pub(super) const fn cancel_due(&self) -> Option<Duration> {
        match self.cancel {
            Cancel::Missed { again_at, .. } => Some(again_at),
            _ => None,
        }
    }

    pub(super) fn cancel_again(&mut self, turn: &mut Turn<'_>) {
        match self.cancel {
            Cancel::Missed { sends, again_at } if turn.now >= again_at => {
                self.send_cancel(turn, sends);
            }
            _ => {}
        }
    }
}
