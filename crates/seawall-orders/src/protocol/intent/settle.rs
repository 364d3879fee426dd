//! What is learned of an order, and how an intent ends by it.

use super::Lifecycle;
use super::phase::{Phase, Turn};
use crate::protocol::action::{
    Action, Alert, Answer, MarkKind, NotExecuted, Notice, Settlement, Via,
};
use crate::protocol::event::{OrderState, Report};

impl Lifecycle {
    /// A report of the order, from anywhere.
    pub(super) fn observe(&mut self, turn: &mut Turn<'_>, via: Via, report: Report) {
        if !report.state.is_accepted() {
            return self.rejection_reported(turn, via, report);
        }
        if self.copies == 0 {
            if via != Via::Reply {
                return self.id_taken(turn);
            }
            self.left_unasked(turn);
        }
        self.exists = true;
        if self.is_another(report) {
            turn.alert(Alert::SeveralOrders);
        }
        self.seen = Some(report);
        let is_news = !matches!(self.phase, Phase::Settled(Settlement::Confirmed(..)));
        match self.phase {
            Phase::Settled(Settlement::Confirmed(..)) => {}
            Phase::Settled(before) => {
                if before != Settlement::Abandoned {
                    turn.alert(Alert::Contradiction(before));
                }
                self.settle(turn, Settlement::Confirmed(via, report.state));
            }
            _ => self.settle(turn, Settlement::Confirmed(via, report.state)),
        }
        self.cancel_found(turn, report.state, is_news);
    }

    /// Nothing was sent, and the broker has an order of this id.
    fn id_taken(&mut self, turn: &mut Turn<'_>) {
        turn.alert(Alert::NotOurs);
        if self.settlement().is_none() {
            self.settle(turn, Settlement::Absent(NotExecuted::IdTaken));
        }
    }

    /// Whether it is not the order that was seen before. One that was cancelled has been replaced,
    /// at the brokers that replace an order by another one of the same id.
    pub(super) fn is_another(&self, report: Report) -> bool {
        let Some(seen) = self.seen else { return false };
        let replaced = seen.state == OrderState::Cancelled;
        let differ = seen.order.zip(report.order).is_some_and(|(a, b)| a != b);
        differ && !replaced
    }

    /// A report of a rejection is about one copy, and does not say which: it may be late, and about
    /// one that is known to be absent. With the broker's id of the order that was seen it is about that.
    fn rejection_reported(&mut self, turn: &mut Turn<'_>, via: Via, report: Report) {
        let seen = self.seen.and_then(|seen| seen.order);
        if seen.is_some() && seen == report.order {
            return self.not_open(turn, report);
        }
        let only = self.copies == 1 && !self.exists;
        let open = !matches!(
            self.phase,
            Phase::Writing | Phase::Waiting | Phase::Settled(_)
        );
        // Of several copies it says nothing; a call that runs goes on, and so do look-ups.
        if only && open {
            self.settle(turn, Settlement::Rejected(via));
        }
    }

    pub(super) fn settle(&mut self, turn: &mut Turn<'_>, settlement: Settlement) {
        self.leave_stack(turn);
        self.phase = Phase::Settled(settlement);
        let mark = match settlement {
            Settlement::Absent(_) if self.copies == 0 => MarkKind::Abandoned,
            _ => settlement.mark(),
        };
        // Not durable: without it the intent is looked up again, and ends alike.
        self.write(turn, mark);
        self.answer(turn, Answer::Settled(settlement));
        turn.act(Action::Notify(Notice::Settled(settlement)));
        self.cancel_settled(turn, settlement);
    }

    pub(super) fn leave_stack(&mut self, turn: &mut Turn<'_>) {
        if self.phase == Phase::Waiting {
            turn.act(Action::Withdraw);
        }
    }
}
