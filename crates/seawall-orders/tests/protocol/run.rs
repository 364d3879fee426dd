//! An intent with its rules, its clock and what it did last.

use std::time::Duration;

use seawall_orders::protocol::{
    Action, Alert, Answer, Duplicates, Event, Lifecycle, LookUp, MarkKind, Notice, OrderState,
    Query, Reply, Report, Rules, RulesBuilder, Settlement,
};

pub(crate) struct Run {
    pub(crate) intent: Lifecycle,
    pub(crate) rules: Rules,
    pub(crate) now: Duration,
    pub(crate) out: Vec<Action>,
}

/// A window of 10 s, look-ups after 1 s and then each second, three of them.
pub(crate) fn rules(duplicates: Duplicates) -> RulesBuilder {
    Rules::builder(duplicates)
        .window(Duration::from_secs(10))
        .max_backoff(Duration::from_secs(1))
        .look_ups(3)
}

impl Run {
    pub(crate) fn new(rules: RulesBuilder, deadline: Option<u64>) -> Self {
        let mut out = Vec::new();
        let intent = Lifecycle::new(deadline.map(Duration::from_secs), &mut out);
        let rules = rules.build().expect("these rules are accepted");
        let now = Duration::ZERO;
        Self {
            intent,
            rules,
            now,
            out,
        }
    }

    /// One that has left.
    pub(crate) fn sent(rules: RulesBuilder) -> Self {
        let mut run = Self::new(rules, None);
        run.feed(Event::Durable);
        run.feed(Event::Departing);
        assert!(run.out.contains(&Action::Send { copy: 1 }));
        run
    }

    /// One that has left, and whose response is lost.
    pub(crate) fn in_doubt(rules: RulesBuilder) -> Self {
        let mut run = Self::sent(rules);
        run.lose();
        run
    }

    pub(crate) fn lose(&mut self) {
        let cause = seawall_orders::protocol::DoubtCause::Timeout;
        self.feed(Event::Reply(Reply::Unknown(cause)));
    }

    pub(crate) fn feed(&mut self, event: Event) {
        self.out.clear();
        self.intent
            .handle(&self.rules, self.now, event, &mut self.out);
    }

    /// Goes to when something is due, and lets it happen.
    pub(crate) fn wake(&mut self) {
        self.now = self.intent.wake(&self.rules).expect("something is due");
        self.feed(Event::Tick);
    }

    /// The query that was asked for.
    pub(crate) fn query(&self) -> Option<(u32, Query)> {
        self.out.iter().find_map(|action| match action {
            Action::LookUp { number, query } => Some((*number, *query)),
            _ => None,
        })
    }

    pub(crate) fn look_up(&mut self, found: LookUp) {
        let (number, _) = self
            .query()
            .unwrap_or_else(|| panic!("no query in {:?}", self.out));
        self.feed(Event::LookUp { number, found });
    }

    /// Wakes and looks up, with this result, until something else follows.
    pub(crate) fn look_up_all(&mut self, found: LookUp) {
        while self.intent.settlement().is_none() && self.intent.wake(&self.rules).is_some() {
            self.wake();
            while self.query().is_some() {
                self.look_up(found);
            }
            if self.wrote(MarkKind::Resent) {
                return;
            }
        }
    }

    pub(crate) fn observe(&mut self, state: OrderState) {
        self.feed(Event::Evidence(Report::of(state)));
    }

    pub(crate) fn wrote(&self, wanted: MarkKind) -> bool {
        self.out
            .iter()
            .any(|act| matches!(act, Action::Write { mark, .. } if *mark == wanted))
    }

    pub(crate) fn alerts(&self, alert: Alert) -> bool {
        self.out.contains(&Action::Notify(Notice::Alert(alert)))
    }

    pub(crate) fn answers(&self) -> Option<Answer> {
        self.out.iter().find_map(|action| match action {
            Action::Answer(answer) => Some(*answer),
            _ => None,
        })
    }

    pub(crate) fn answers_with(&self, settlement: Settlement) -> bool {
        self.answers() == Some(Answer::Settled(settlement))
    }
}
