//! What can happen in the world, and what must hold in it.

use seawall_orders::protocol::{
    CancelReply, DoubtCause, Duplicates, Event, LookUp, NotExecuted, OrderState, Reply, Report,
    Settlement, Via,
};
use stateright::{Model, Property};

use crate::broker::Order;
use crate::world::{Bug, SLOW, Setup, World, at};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    Tick,
    Wake(usize),
    Sync(usize, bool),
    Depart(usize),
    InnerRepeat(usize),
    /// The packet, whether the broker rejects it, and how many ticks later queries show the order.
    Execute(usize, bool, u8),
    ProxyRepeat(usize),
    Lose(usize),
    Reply(usize),
    /// The call ends without its response.
    Break(usize, DoubtCause),
    /// The client could not send.
    NotSent(usize),
    /// What was let out was not sent, and waits in the stack again.
    NotLeft(usize),
    Drop(usize),
    Fill(usize),
    Answer(usize),
    QueryEnds(usize),
    QueryFails(usize),
    QueryBreaks(usize),
    QueryGoesOn(usize),
    QueryNotMade(usize),
    Evidence(usize, usize),
    RejectionReported(usize),
    Cancel(usize),
    ExecuteCancel(usize),
    LoseCancel(usize),
    CancelReply(usize),
    CancelBreaks(usize),
    /// A layer has rejected the cancel before it left.
    CancelNotMade(usize),
    Crash(usize, usize),
    StandStill(usize),
    Open(usize),
}

impl World {
    fn process_steps(&self, setup: &Setup, index: usize, steps: &mut Vec<Step>) {
        let Some(process) = &self.processes[index] else {
            return;
        };
        if process
            .intent
            .wake(&setup.rules)
            .is_some_and(|due| due <= at(self.now))
        {
            steps.push(Step::Wake(index));
        }
        if process.syncing {
            steps.push(Step::Sync(index, true));
            if self.left.disk_errors > 0 {
                steps.push(Step::Sync(index, false));
            }
        }
        if process.in_stack.is_some() {
            steps.extend([Step::Depart(index), Step::NotSent(index)]);
        }
        if let Some((_, reply)) = &process.call {
            if reply.is_some() {
                steps.push(Step::Reply(index));
            }
            if self.left.inner_repeats > 0 {
                steps.push(Step::InnerRepeat(index));
            }
            if self.left.not_left > 0 && reply.is_none() && self.own_packet(index).is_some() {
                steps.push(Step::NotLeft(index));
            }
            steps.push(Step::Break(index, DoubtCause::Timeout));
        }
        match process.query {
            Some((_, _, _, None)) => steps.push(Step::Answer(index)),
            Some((_, _, _, Some(_))) => steps.push(Step::QueryEnds(index)),
            None => {}
        }
        if process.query.is_some() && self.left.failed_queries > 0 {
            steps.push(Step::QueryFails(index));
        }
        if let Some((_, _, _, Some(LookUp::Found(_)))) = process.query
            && self.left.broken_queries > 0
        {
            steps.push(Step::QueryBreaks(index));
        }
        if let Some((_, _, _, None)) = process.query
            && self.left.unmade_queries > 0
        {
            steps.push(Step::QueryNotMade(index));
        }
        if process.query.is_some() && self.left.slow_queries > 0 {
            steps.push(Step::QueryGoesOn(index));
        }
        if let Some((_, reply)) = process.cancel_call {
            if reply.is_some() {
                steps.push(Step::CancelReply(index));
            }
            if self.left.failed_cancels > 0 {
                steps.push(Step::CancelBreaks(index));
                if self.own_cancel(index).is_some() {
                    steps.push(Step::CancelNotMade(index));
                }
            }
        }
        if self.left.cancels > 0 {
            steps.push(Step::Cancel(index));
        }
        if self.left.drops > 0 && self.known.answers == 0 {
            steps.push(Step::Drop(index));
        }
        if self.left.evidence > 0 && self.known.rejection {
            steps.push(Step::RejectionReported(index));
        }
        if self.left.evidence > 0 {
            steps.extend((0..self.broker.orders.len()).map(|order| Step::Evidence(index, order)));
        }
        if self.left.standstills > 0 {
            steps.push(Step::StandStill(index));
        }
        if self.left.crashes > 0 {
            steps.extend((0..=self.pending.len()).map(|kept| Step::Crash(index, kept)));
        }
    }

    /// Whether time can pass: what has to happen by now has happened.
    fn may_tick(&self, setup: &Setup) -> bool {
        let overdue = |until: Option<u8>| until.is_some_and(|until| until <= self.now);
        let packets = self.creates.iter().chain(&self.cancels);
        let calm = self.processes.iter().flatten().all(|process| {
            !process.syncing
                && !overdue(process.in_stack)
                && !overdue(process.call.as_ref().map(|call| call.0))
                && !overdue(process.query.as_ref().map(|query| query.2))
                && !overdue(process.cancel_call.as_ref().map(|call| call.0))
                && process
                    .intent
                    .wake(&setup.rules)
                    .is_none_or(|due| due > at(self.now))
        });
        let down = self.down_since.is_some_and(|since| since < self.now);
        calm && !down && !packets.map(|packet| packet.until).any(overdue)
    }
}

impl Model for Setup {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![World::start(self)]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        for index in 0..world.processes.len() {
            world.process_steps(self, index, steps);
        }
        let checks = self.duplicates() != Duplicates::Accept;
        for packet in 0..world.creates.len() {
            for late in [0, 1] {
                steps.push(Step::Execute(packet, false, late));
            }
            steps.extend([Step::Execute(packet, true, 0), Step::Lose(packet)]);
            if world.left.proxy_repeats > 0 && checks {
                steps.push(Step::ProxyRepeat(packet));
            }
        }
        for packet in 0..world.cancels.len() {
            steps.push(Step::ExecuteCancel(packet));
            // Its call has to break, or has ended.
            if world.left.failed_cancels > 0 || world.cancels[packet].until.is_some() {
                steps.push(Step::LoseCancel(packet));
            }
        }
        let live = |order: &usize| world.broker.orders[*order].state.is_live();
        steps.extend((0..world.broker.orders.len()).filter(live).map(Step::Fill));
        let locked = world.processes.iter().any(Option::is_some);
        let second = self.bug == Bug::NoLock && world.processes[1].is_none();
        if world.down_since.is_some() && !locked {
            steps.extend([Step::Open(0), Step::Open(1)]);
        } else if second && !world.durable.is_empty() {
            steps.push(Step::Open(1));
        }
        if !world.is_quiet(self) && world.may_tick(self) {
            steps.push(Step::Tick);
        }
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let mut world = world.clone();
        match step {
            Step::Tick => world.now += 1,
            Step::Wake(index) => world.feed(self, index, Event::Tick),
            Step::Sync(index, fine) => {
                world.left.disk_errors -= u8::from(!fine);
                world.sync(self, index, fine);
            }
            Step::Depart(index) => world.depart(self, index, true),
            Step::InnerRepeat(index) => {
                world.left.inner_repeats -= 1;
                world.depart(self, index, false);
            }
            Step::Execute(packet, rejects, late) => world.execute(self, packet, rejects, late),
            Step::ProxyRepeat(packet) => {
                world.left.proxy_repeats -= 1;
                world.proxy_repeat(self, packet);
            }
            Step::Lose(packet) => {
                world.creates.remove(packet);
            }
            Step::Reply(index) => {
                let reply = world.processes[index].as_ref()?.call.as_ref()?.1?;
                world.end_call(index);
                world.feed(self, index, Event::Reply(reply));
            }
            Step::Break(index, cause) => {
                world.end_call(index);
                world.feed(self, index, Event::Reply(Reply::Unknown(cause)));
            }
            Step::NotSent(index) => {
                world.processes[index].as_mut()?.in_stack = None;
                world.feed(self, index, Event::Reply(Reply::NotSent));
            }
            Step::NotLeft(index) => {
                world.left.not_left -= 1;
                let packet = world.own_packet(index)?;
                world.creates.remove(packet);
                world.processes[index].as_mut()?.call = None;
                world.feed(self, index, Event::NotLeft);
                let until = world.now + self.stack_wait;
                world.processes[index].as_mut()?.in_stack = Some(until);
            }
            Step::Drop(index) => {
                world.left.drops -= 1;
                world.end_call(index);
                world.feed(self, index, Event::Dropped);
                world.processes[index].as_mut()?.in_stack = None;
            }
            Step::Fill(order) => world.broker.orders[order].state = OrderState::Filled,
            Step::Answer(index) => world.answer_query(self, index),
            Step::QueryEnds(index) => {
                let (number, _, _, found) = world.processes[index].as_mut()?.query.take()?;
                world.feed(
                    self,
                    index,
                    Event::LookUp {
                        number,
                        found: found?,
                    },
                );
            }
            Step::QueryFails(index) => {
                world.left.failed_queries -= 1;
                let (number, ..) = world.processes[index].as_mut()?.query.take()?;
                let found = LookUp::Failed;
                world.feed(self, index, Event::LookUp { number, found });
            }
            Step::QueryGoesOn(index) => {
                world.left.slow_queries -= 1;
                let until = world.now + SLOW;
                let query = world.processes[index].as_mut()?.query.as_mut()?;
                query.2 = until;
                let number = query.0;
                world.feed(self, index, Event::LookUpGoesOn { number });
            }
            Step::QueryNotMade(index) => {
                world.left.unmade_queries -= 1;
                let (number, ..) = world.processes[index].as_mut()?.query.take()?;
                let found = LookUp::NotMade;
                world.feed(self, index, Event::LookUp { number, found });
            }
            Step::QueryBreaks(index) => {
                world.left.broken_queries -= 1;
                let (number, _, _, found) = world.processes[index].as_mut()?.query.take()?;
                let Some(LookUp::Found(report)) = found else {
                    return None;
                };
                world.known.shown |= report.state.is_accepted();
                let found = LookUp::Shown(report);
                world.feed(self, index, Event::LookUp { number, found });
            }
            Step::Evidence(index, order) => {
                world.left.evidence -= 1;
                let report = world.report(order);
                world.feed(self, index, Event::Evidence(report));
            }
            Step::RejectionReported(index) => {
                world.left.evidence -= 1;
                let report = Report::of(OrderState::Rejected);
                world.feed(self, index, Event::Evidence(report));
            }
            Step::Cancel(index) => {
                world.left.cancels -= 1;
                world.known.cancel_wanted = true;
                world.known.cancel_waits = true;
                world.feed(self, index, Event::Cancel);
            }
            Step::ExecuteCancel(packet) => world.execute_cancel(packet),
            Step::LoseCancel(packet) => {
                world.cancels.remove(packet);
            }
            Step::CancelReply(index) => {
                let reply = world.processes[index].as_ref()?.cancel_call?.1?;
                world.end_cancel(index);
                world.feed(self, index, Event::CancelReply(reply));
            }
            Step::CancelNotMade(index) => {
                world.left.failed_cancels -= 1;
                let packet = world.own_cancel(index)?;
                world.cancels.remove(packet);
                world.processes[index].as_mut()?.cancel_call = None;
                world.feed(self, index, Event::CancelReply(CancelReply::NotMade));
            }
            Step::CancelBreaks(index) => {
                world.left.failed_cancels -= 1;
                world.end_cancel(index);
                world.feed(self, index, Event::CancelReply(CancelReply::Unknown));
            }
            Step::Crash(index, kept) => {
                world.left.crashes -= 1;
                world.crash(index, kept);
            }
            Step::StandStill(index) => {
                world.left.standstills -= 1;
                world.stand_still(self, index);
            }
            Step::Open(index) => world.open_journal(self, index),
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = invariants();
        properties.extend(reached(self));
        properties.retain(|property| self.only.is_none_or(|only| property.name == only));
        properties
    }
}

/// What holds in every state.
fn invariants() -> Vec<Property<Setup>> {
    vec![
        Property::always("executed at most once", |_, world: &World| {
            world.broker.orders.len() <= 1
        }),
        Property::always("not executed means not executed", |_, world: &World| {
            let not_executed = matches!(
                world.known.reported,
                Some(Settlement::Rejected(_) | Settlement::Absent(_))
            );
            !not_executed || (world.broker.orders.is_empty() && !world.known.contradiction)
        }),
        Property::always("confirmed means executed", |_, world: &World| {
            let confirmed = matches!(world.known.reported, Some(Settlement::Confirmed(..)));
            !confirmed || !world.broker.orders.is_empty()
        }),
        Property::always("nothing leaves before the journal", |_, world: &World| {
            let left = !world.creates.is_empty() || !world.broker.orders.is_empty();
            !left || !world.durable.is_empty()
        }),
        Property::always("every intent ends", |setup, world: &World| {
            if !world.is_quiet(setup) {
                return world.now < 40;
            }
            let unresolved =
                world.known.exhausted && world.left.failed_queries < setup.faults.failed_queries;
            let unknown_to_all = world.durable.is_empty() && world.broker.orders.is_empty();
            let exists_only =
                world.known.exhausted && world.left.proxy_repeats < setup.faults.proxy_repeats;
            world.known.reported.is_some() || unresolved || exists_only || unknown_to_all
        }),
        Property::always("what was shown is confirmed", |setup, world: &World| {
            let reported = world.known.reported;
            let confirmed = matches!(reported, Some(Settlement::Confirmed(..)));
            let open = reported.is_none() && !world.is_quiet(setup);
            !world.known.shown || confirmed || open
        }),
        Property::always("what is not made does not count", |setup, world: &World| {
            let failed = setup.faults.failed_queries - world.left.failed_queries;
            let broken = setup.faults.broken_queries - world.left.broken_queries;
            let tried = failed + broken > 0;
            let others = setup.faults.proxy_repeats > 0 || setup.faults.crashes > 0;
            !world.known.exhausted || tried || others
        }),
        Property::always("the journal takes each mark", |_, world: &World| {
            !world.known.forbidden_mark
        }),
        Property::always("nothing leaves after a cancel", |_, world: &World| {
            !world.known.sent_after_cancel
        }),
        Property::always("one answer for one caller", |_, world: &World| {
            world.known.answers <= 1
        }),
        Property::always("no alarm without a cause", |_, world: &World| {
            !world.known.several && !world.known.contradiction
        }),
        Property::always("a cancel ends the order", |setup, world: &World| {
            let live = world
                .broker
                .orders
                .iter()
                .any(|order| order.state.is_live());
            let known = &world.known;
            let excused = known.cancel_lost || known.exhausted;
            !(known.cancel_wanted && world.is_quiet(setup) && live) || excused
        }),
        Property::always("a cancel is answered", |setup, world: &World| {
            let known = &world.known;
            let excused = known.cancel_lost || known.exhausted;
            !(known.cancel_waits && world.is_quiet(setup)) || excused
        }),
    ]
}

/// What happens in some run: without it, the rest would say little.
fn reached(setup: &Setup) -> Vec<Property<Setup>> {
    let mut reached = vec![
        Property::sometimes("found by a look-up", |_, world: &World| {
            matches!(
                world.known.reported,
                Some(Settlement::Confirmed(Via::LookUp, _))
            )
        }),
        Property::sometimes("absent after the window", |_, world: &World| {
            world.known.reported == Some(Settlement::Absent(NotExecuted::LookedUp))
        }),
    ];
    if setup.rules.resends() > 0 {
        reached.push(Property::sometimes(
            "sent again, and executed",
            |_, world: &World| world.known.resent && !world.broker.orders.is_empty(),
        ));
    }
    if setup.faults.broken_queries > 0 {
        reached.push(Property::sometimes("shown", |_, world: &World| {
            world.known.shown
        }));
    }
    if setup.faults.failed_queries > 1 {
        reached.push(Property::sometimes("exhausted", |_, world: &World| {
            world.known.exhausted
        }));
    }
    if setup.faults.cancels > 0 {
        reached.push(Property::sometimes(
            "cancelled unsent",
            |_, world: &World| world.known.unsent_by_cancel,
        ));
    }
    if setup.faults.failed_cancels >= setup.rules.cancels() as u8 {
        reached.push(Property::sometimes(
            "cancelled after the alert",
            |_, world: &World| {
                let cancelled = |order: &Order| order.state == OrderState::Cancelled;
                world.known.cancel_unconfirmed && world.broker.orders.iter().any(cancelled)
            },
        ));
    }
    if setup.faults.evidence > 0 {
        reached.push(Property::sometimes(
            "settled by evidence",
            |_, world: &World| {
                matches!(
                    world.known.reported,
                    Some(Settlement::Confirmed(Via::Evidence, _))
                )
            },
        ));
    }
    reached
}
