//! The world of the model: processes with a journal, a network, a broker, and a driver that does
//! what the protocol says. Time is in ticks of a second.

use std::time::Duration;

use seawall_orders::protocol::{
    Action as Act, Alert, Answer, CancelReply, CancelStep, DoubtCause, Duplicates, Event,
    Lifecycle, LookUp, MarkKind, Notice, Query, Reply, Report, Rules, Settlement, Via,
};

use crate::broker::Broker;

/// A request is executed at most so many ticks after its call ended.
pub(crate) const DELAY: u8 = 1;
/// A call takes at most so many ticks, and so does a query.
pub(crate) const CALL: u8 = 1;

/// A part of a query that is made in parts takes at most so many ticks: nearly all of its time.
pub(crate) const SLOW: u8 = 4;

/// For how long a process stands still.
pub(crate) const STANDSTILL: u8 = 3;

/// What is wrong with the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Bug {
    None,
    /// The order leaves before the intent is durable.
    JournalAfterSend,
    /// The window is shorter than orders take to appear.
    ShortWindow,
    /// A query that fails counts as one that found nothing.
    FailedIsNotFound,
    /// A duplicate counts as a rejection.
    DuplicateIsRejection,
    /// Only open orders are queried.
    OpenOrdersOnly,
    /// The journal has no lock.
    NoLock,
    /// A layer below sends again, and the protocol is not asked.
    HiddenRepeat,
    /// Exhausted counts as rejected.
    ExhaustedIsRejection,
    /// An intent without the mark of sending counts as not sent.
    UnmarkedIsUnsent,
    /// A timeout counts as not sent.
    TimeoutIsNotSent,
    /// What a query showed before it failed is forgotten.
    ShownIsForgotten,
    /// A query that was not made counts as one that failed.
    UnmadeCounts,
    /// A process that stood still does not notice it.
    UnnoticedStandstill,
}

/// What can go wrong in one run, and how often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Faults {
    pub(crate) crashes: u8,
    pub(crate) failed_queries: u8,
    /// Queries that fail after they have shown the order, if there is one.
    pub(crate) broken_queries: u8,
    /// Queries that do not leave.
    pub(crate) unmade_queries: u8,
    /// Queries that take longer, in parts.
    pub(crate) slow_queries: u8,
    pub(crate) cancels: u8,
    /// Cancels that are lost, or not made, with their responses or without.
    pub(crate) failed_cancels: u8,
    pub(crate) evidence: u8,
    pub(crate) proxy_repeats: u8,
    pub(crate) inner_repeats: u8,
    pub(crate) not_left: u8,
    pub(crate) drops: u8,
    pub(crate) disk_errors: u8,
    pub(crate) standstills: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Process {
    pub(crate) intent: Lifecycle,
    /// Until when the call waits at most.
    pub(crate) in_stack: Option<u8>,
    pub(crate) syncing: bool,
    /// Until when the call of the last copy has to end, and what it ends with.
    pub(crate) call: Option<(u8, Option<Reply>)>,
    /// Number, query, until when it has to end, and what it found.
    pub(crate) query: Option<(u32, Query, u8, Option<LookUp>)>,
    pub(crate) cancel_call: Option<(u8, Option<CancelReply>)>,
}

/// A request on its way; after its call ended it is executed or lost by `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Packet {
    pub(crate) owner: u8,
    pub(crate) copy: u32,
    pub(crate) until: Option<u8>,
}

/// What the world outside knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Known {
    pub(crate) reported: Option<Settlement>,
    pub(crate) answers: u8,
    pub(crate) exhausted: bool,
    /// A query showed the order before it failed, to a process that lives.
    pub(crate) shown: bool,
    pub(crate) several: bool,
    pub(crate) contradiction: bool,
    pub(crate) cancel_unconfirmed: bool,
    pub(crate) cancel_wanted: bool,
    /// Who has asked for it has no answer.
    pub(crate) cancel_waits: bool,
    pub(crate) resent: bool,
    pub(crate) forbidden_mark: bool,
    pub(crate) sent_after_cancel: bool,
    /// The broker rejected a copy, and its stream may say so.
    pub(crate) rejection: bool,
    pub(crate) unsent_by_cancel: bool,
    /// A process that knew of a cancel is gone.
    pub(crate) cancel_lost: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) now: u8,
    pub(crate) processes: [Option<Process>; 2],
    pub(crate) down_since: Option<u8>,
    pub(crate) durable: Vec<MarkKind>,
    pub(crate) pending: Vec<MarkKind>,
    pub(crate) creates: Vec<Packet>,
    pub(crate) cancels: Vec<Packet>,
    pub(crate) broker: Broker,
    pub(crate) left: Faults,
    pub(crate) known: Known,
}

pub(crate) struct Setup {
    pub(crate) rules: Rules,
    pub(crate) bug: Bug,
    pub(crate) faults: Faults,
    pub(crate) deadline: u64,
    /// How many ticks a call waits in the stack at most.
    pub(crate) stack_wait: u8,
    /// The one property that is checked; all of them if none is named.
    pub(crate) only: Option<&'static str>,
}

impl Setup {
    pub(crate) fn duplicates(&self) -> Duplicates {
        self.rules.duplicates()
    }
}

pub(crate) fn at(tick: u8) -> Duration {
    Duration::from_secs(tick.into())
}

/// Which mark a journal takes after another: nothing that has not left is confirmed, and what the
/// broker has stays so.
fn follows(last: Option<MarkKind>, mark: MarkKind) -> bool {
    match last {
        None => mark == MarkKind::Intended,
        Some(MarkKind::Intended) => matches!(mark, MarkKind::Sent | MarkKind::Abandoned),
        Some(MarkKind::Sent | MarkKind::Resent) => {
            !matches!(mark, MarkKind::Intended | MarkKind::Sent)
        }
        Some(MarkKind::Exhausted) => mark.is_settled(),
        Some(MarkKind::Confirmed) => false,
        Some(_) => mark == MarkKind::Confirmed,
    }
}

impl World {
    pub(crate) fn start(setup: &Setup) -> Self {
        let mut world = Self {
            now: 0,
            processes: [None, None],
            down_since: None,
            durable: Vec::new(),
            pending: Vec::new(),
            creates: Vec::new(),
            cancels: Vec::new(),
            broker: Broker::default(),
            left: setup.faults,
            known: Known::default(),
        };
        let mut out = Vec::new();
        let intent = Lifecycle::new(Some(Duration::from_secs(setup.deadline)), &mut out);
        world.enter(setup, 0, intent, out);
        world
    }

    fn enter(&mut self, setup: &Setup, index: usize, intent: Lifecycle, out: Vec<Act>) {
        self.processes[index] = Some(Process {
            intent,
            in_stack: None,
            syncing: false,
            call: None,
            query: None,
            cancel_call: None,
        });
        self.down_since = None;
        self.perform(setup, index, out);
    }

    /// Another process opens the journal. The lock lets only one in.
    pub(crate) fn open_journal(&mut self, setup: &Setup, index: usize) {
        let Some(&last) = self.durable.last() else {
            // Nothing is known, so nothing was sent.
            self.down_since = None;
            return;
        };
        if setup.bug == Bug::UnmarkedIsUnsent && last == MarkKind::Intended {
            let why = seawall_orders::protocol::NotExecuted::Journal;
            self.known.reported = Some(Settlement::Absent(why));
            self.down_since = None;
            return;
        }
        let mut out = Vec::new();
        let intent = Lifecycle::restore(&setup.rules, last, 0, at(self.now), &mut out);
        self.enter(setup, index, intent, out);
    }

    pub(crate) fn feed(&mut self, setup: &Setup, index: usize, event: Event) {
        let now = at(self.now);
        let Some(process) = &mut self.processes[index] else {
            return;
        };
        let event = match (setup.bug, event) {
            (
                Bug::FailedIsNotFound,
                Event::LookUp {
                    number,
                    found: LookUp::Failed,
                },
            ) => Event::LookUp {
                number,
                found: LookUp::NotFound,
            },
            (
                Bug::UnmadeCounts,
                Event::LookUp {
                    number,
                    found: LookUp::NotMade,
                },
            ) => Event::LookUp {
                number,
                found: LookUp::Failed,
            },
            (
                Bug::ShownIsForgotten,
                Event::LookUp {
                    number,
                    found: LookUp::Shown(_),
                },
            ) => Event::LookUp {
                number,
                found: LookUp::Failed,
            },
            (Bug::DuplicateIsRejection, Event::Reply(Reply::Duplicate)) => {
                Event::Reply(Reply::Rejected)
            }
            (Bug::TimeoutIsNotSent, Event::Reply(Reply::Unknown(DoubtCause::Timeout))) => {
                Event::Reply(Reply::NotSent)
            }
            (_, event) => event,
        };
        let mut out = Vec::new();
        process.intent.handle(&setup.rules, now, event, &mut out);
        self.perform(setup, index, out);
    }

    fn perform(&mut self, setup: &Setup, index: usize, actions: Vec<Act>) {
        for action in actions {
            let now = self.now;
            let Some(process) = &mut self.processes[index] else {
                return;
            };
            match action {
                Act::Write { mark, durable } => {
                    let last = self.pending.last().or(self.durable.last());
                    self.known.forbidden_mark |= !follows(last.copied(), mark);
                    self.pending.push(mark);
                    process.syncing |= durable;
                    if durable && setup.bug == Bug::JournalAfterSend {
                        self.feed(setup, index, Event::Durable);
                    }
                }
                Act::Pass { .. } => process.in_stack = Some(now + setup.stack_wait),
                Act::Withdraw => process.in_stack = None,
                Act::Send { copy } => self.send(index, copy),
                Act::LookUp { number, query } => {
                    process.query = Some((number, query, now + CALL, None));
                }
                Act::Cancel(CancelStep::Send) => {
                    process.cancel_call = Some((now + CALL, None));
                    let owner = index as u8;
                    self.cancels.push(Packet {
                        owner,
                        copy: 0,
                        until: None,
                    });
                }
                Act::Cancel(step) => {
                    self.known.cancel_waits = false;
                    self.known.unsent_by_cancel |= step == CancelStep::NotSent;
                }
                Act::Answer(answer) => {
                    self.known.answers += 1;
                    self.end_call(index);
                    if let (Answer::Settled(settlement), Some(process)) =
                        (answer, &mut self.processes[index])
                    {
                        process.in_stack = None;
                        self.known.reported = Some(settlement);
                    }
                }
                Act::Notify(notice) => self.notice(setup, notice),
                _ => {}
            }
        }
    }

    fn notice(&mut self, setup: &Setup, notice: Notice) {
        match notice {
            Notice::Settled(settlement) => {
                self.known.reported = Some(settlement);
                self.known.exhausted = false;
            }
            Notice::Resend(_) => self.known.resent = true,
            Notice::Alert(Alert::Exhausted) => {
                self.known.exhausted = true;
                if setup.bug == Bug::ExhaustedIsRejection {
                    self.known.reported = Some(Settlement::Rejected(Via::LookUp));
                }
            }
            Notice::Alert(Alert::SeveralOrders) => self.known.several = true,
            Notice::Alert(Alert::Contradiction(_)) => self.known.contradiction = true,
            Notice::Alert(Alert::CancelUnconfirmed) => self.known.cancel_unconfirmed = true,
            _ => {}
        }
    }

    fn send(&mut self, index: usize, copy: u32) {
        let owner = index as u8;
        self.known.sent_after_cancel |= self.known.cancel_wanted;
        self.creates.push(Packet {
            owner,
            copy,
            until: None,
        });
        if let Some(process) = &mut self.processes[index] {
            process.in_stack = None;
            process.call = Some((self.now + CALL, None));
        }
    }

    /// A copy is about to leave.
    pub(crate) fn depart(&mut self, setup: &Setup, index: usize, first: bool) {
        self.feed(setup, index, Event::Departing);
        if !first && setup.bug == Bug::HiddenRepeat {
            let owner = index as u8;
            self.creates.push(Packet {
                owner,
                copy: 9,
                until: None,
            });
        }
    }

    /// The request of the present call, while nobody has received it.
    pub(crate) fn own_packet(&self, index: usize) -> Option<usize> {
        let own = |p: &Packet| usize::from(p.owner) == index && p.until.is_none();
        self.creates.iter().position(own)
    }

    pub(crate) fn end_call(&mut self, index: usize) {
        let until = Some(self.now + DELAY);
        if let Some(process) = &mut self.processes[index] {
            process.call = None;
        }
        let own = self
            .creates
            .iter_mut()
            .filter(|p| usize::from(p.owner) == index);
        own.filter(|p| p.until.is_none())
            .for_each(|p| p.until = until);
    }

    /// The request of the present cancel, while nobody has received it.
    pub(crate) fn own_cancel(&self, index: usize) -> Option<usize> {
        let own = |p: &Packet| usize::from(p.owner) == index && p.until.is_none();
        self.cancels.iter().position(own)
    }

    pub(crate) fn end_cancel(&mut self, index: usize) {
        let until = Some(self.now + DELAY);
        if let Some(process) = &mut self.processes[index] {
            process.cancel_call = None;
        }
        let own = self
            .cancels
            .iter_mut()
            .filter(|p| usize::from(p.owner) == index);
        own.filter(|p| p.until.is_none())
            .for_each(|p| p.until = until);
    }

    pub(crate) fn sync(&mut self, setup: &Setup, index: usize, fine: bool) {
        if let Some(process) = &mut self.processes[index] {
            process.syncing = false;
        }
        if fine {
            self.durable.append(&mut self.pending);
        }
        if setup.bug != Bug::JournalAfterSend {
            self.feed(
                setup,
                index,
                if fine {
                    Event::Durable
                } else {
                    Event::NotDurable
                },
            );
        }
    }

    /// The process stands still; what its calls had written leaves only when it goes on.
    pub(crate) fn stand_still(&mut self, setup: &Setup, index: usize) {
        self.now += STANDSTILL;
        let until = Some(self.now + DELAY);
        for packets in [&mut self.creates, &mut self.cancels] {
            let own = packets.iter_mut().filter(|p| usize::from(p.owner) == index);
            own.filter(|p| p.until.is_some())
                .for_each(|p| p.until = until);
        }
        if setup.bug != Bug::UnnoticedStandstill {
            self.feed(setup, index, Event::StoodStill);
        }
    }

    /// The process ends; of what was not synchronized the first `kept` marks are on the disk.
    pub(crate) fn crash(&mut self, index: usize, kept: usize) {
        self.end_call(index);
        self.end_cancel(index);
        self.processes[index] = None;
        self.pending.truncate(kept);
        self.durable.append(&mut self.pending);
        self.down_since = Some(self.now);
        self.known.cancel_lost |= self.known.cancel_wanted;
        self.known.shown = false;
    }

    /// The broker executes or rejects a copy; the response is on its way if its call still runs.
    pub(crate) fn execute(&mut self, setup: &Setup, packet: usize, rejects: bool, late: u8) {
        let packet = self.creates.remove(packet);
        self.known.rejection |= rejects;
        let reply = if rejects {
            Reply::Rejected
        } else {
            self.broker.create(setup.duplicates(), self.now + late)
        };
        self.respond(packet, reply);
    }

    fn respond(&mut self, packet: Packet, reply: Reply) {
        let call = self.processes[usize::from(packet.owner)]
            .as_mut()
            .and_then(|process| process.call.as_mut())
            .filter(|_| packet.until.is_none());
        if let Some((_, waiting)) = call {
            *waiting = Some(reply);
        }
    }

    /// A proxy sends the request twice; the response of the second is what arrives.
    pub(crate) fn proxy_repeat(&mut self, setup: &Setup, packet: usize) {
        let packet = self.creates.remove(packet);
        self.broker.create(setup.duplicates(), self.now);
        let reply = self.broker.create(setup.duplicates(), self.now);
        self.respond(packet, reply);
    }

    pub(crate) fn execute_cancel(&mut self, packet: usize) {
        let packet = self.cancels.remove(packet);
        let reply = self.broker.cancel();
        let call = self.processes[usize::from(packet.owner)]
            .as_mut()
            .and_then(|process| process.cancel_call.as_mut())
            .filter(|_| packet.until.is_none());
        if let Some((_, waiting)) = call {
            *waiting = Some(reply);
        }
    }

    /// The broker answers a query by what is visible now; the answer arrives later.
    pub(crate) fn answer_query(&mut self, setup: &Setup, index: usize) {
        let found = |query| {
            let query = match setup.bug {
                Bug::OpenOrdersOnly => Query::Open,
                _ => query,
            };
            self.broker.look_up(query, self.now)
        };
        let Some(process) = &mut self.processes[index] else {
            return;
        };
        if let Some((_, query, _, waiting)) = &mut process.query {
            *waiting = Some(found(*query));
        }
    }

    pub(crate) fn report(&self, order: usize) -> Report {
        self.broker.orders[order].report(order)
    }

    /// Nothing is on its way, and nothing is due.
    pub(crate) fn is_quiet(&self, setup: &Setup) -> bool {
        let idle = |process: &Process| {
            process.in_stack.is_none()
                && !process.syncing
                && process.call.is_none()
                && process.query.is_none()
                && process.cancel_call.is_none()
                && process.intent.wake(&setup.rules).is_none()
        };
        self.creates.is_empty()
            && self.cancels.is_empty()
            && self.down_since.is_none()
            && self.processes.iter().flatten().all(idle)
    }
}
