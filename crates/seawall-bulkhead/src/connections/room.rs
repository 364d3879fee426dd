//! A gate with a name, counters and patience: what a call takes from it and what it gives back.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use seawall_core::{
    EventKind, EventSource, Outcome, PartitionKey, Reason, Rejection, Samples, Vote, deadline,
};
use tokio::time::{Instant, Sleep, sleep_until};

use super::gate::{Gate, Ticket, Turn};

/// What every service of a layer shares.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) gate: Gate,
    pub(crate) observer: EventSource,
    pub(crate) patience: Duration,
    pub(crate) counters: Counters,
}

/// Plain counters: beside a connection or a task, a shared cache line costs nothing.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) success: AtomicU64,
    pub(crate) failure: AtomicU64,
    pub(crate) ignored: AtomicU64,
    pub(crate) panicked: AtomicU64,
    pub(crate) abandoned: AtomicU64,
    pub(crate) waited: AtomicU64,
    pub(crate) full: AtomicU64,
    pub(crate) timeout: AtomicU64,
}

impl Counters {
    pub(crate) fn settled(&self, outcome: &Outcome) {
        add(match outcome.vote() {
            Vote::Success => &self.success,
            Vote::Failure => &self.failure,
            Vote::Abstain => &self.ignored,
        });
    }
}

pub(crate) fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Room {
    pub(crate) fn new(gate: Gate, observer: EventSource, patience: Duration) -> Arc<Self> {
        Arc::new(Self {
            gate,
            observer,
            patience,
            counters: Counters::default(),
        })
    }

    /// A rejection of a call that had no place.
    #[cold]
    pub(crate) fn reject(&self, reason: Reason) -> Rejection {
        add(match reason {
            Reason::QueueTimeout => &self.counters.timeout,
            _ => &self.counters.full,
        });
        let rejection = self.observer.rejection(reason);
        self.observer.emit(|| EventKind::Rejected(rejection));
        rejection
    }

    /// The state in one word.
    pub(crate) fn state(&self) -> &'static str {
        if self.gate.waiting() > 0 {
            "queueing"
        } else if self.gate.in_flight() >= self.gate.sizes().total {
            "full"
        } else {
            "ok"
        }
    }

    pub(crate) fn samples(&self, sink: &mut Samples<'_>) {
        let layer = self.observer.pattern();
        let counters = &self.counters;
        let outcomes = [
            ("success", &counters.success),
            ("failure", &counters.failure),
            ("ignored", &counters.ignored),
            ("abandoned", &counters.abandoned),
        ];
        for (outcome, total) in outcomes {
            sink.counter(
                "seawall_calls_total",
                &[("layer", layer), ("outcome", outcome)],
                read(total),
            );
        }
        let rejections = [
            (Reason::BulkheadFull, &counters.full),
            (Reason::QueueTimeout, &counters.timeout),
            (Reason::Panicked, &counters.panicked),
        ];
        for (reason, total) in rejections {
            sink.counter(
                "seawall_rejections_total",
                &[("layer", layer), ("reason", reason.as_str())],
                read(total),
            );
        }
        sink.counter(
            "seawall_bulkhead_waited_total",
            &[("layer", layer)],
            read(&counters.waited),
        );
        let gauges = [
            (
                "seawall_bulkhead_in_flight",
                f64::from(self.gate.in_flight()),
            ),
            ("seawall_bulkhead_queue_depth", self.gate.waiting() as f64),
            (
                "seawall_bulkhead_max_concurrent",
                f64::from(self.gate.sizes().total),
            ),
        ];
        for (metric, value) in gauges {
            sink.gauge(metric, &[("layer", layer)], value);
        }
    }
}

/// A place that was taken; dropped, it is given back.
#[derive(Debug)]
pub(crate) struct Place {
    room: Arc<Room>,
    key: PartitionKey,
}

impl Place {
    /// The place that was taken of the room just now.
    pub(crate) const fn in_flight(room: Arc<Room>, key: PartitionKey) -> Self {
        Self { room, key }
    }

    pub(crate) fn room(&self) -> &Room {
        &self.room
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.gate.release(self.key);
    }
}

/// One call, which is counted once; dropped before it has ended, it counts as abandoned.
#[derive(Debug)]
pub(crate) struct Call {
    room: Option<Arc<Room>>,
}

impl Call {
    pub(crate) const fn of(room: Arc<Room>) -> Self {
        Self { room: Some(room) }
    }

    /// A call that was counted already.
    pub(crate) const fn counted() -> Self {
        Self { room: None }
    }

    /// Counts the end of the call, and lets go of the room.
    pub(crate) fn end<T>(&mut self, count: impl FnOnce(&Room) -> T) -> Option<T> {
        self.room.take().map(|room| count(&room))
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end(|room| {
            add(&room.counters.abandoned);
            room.observer.emit(|| EventKind::Abandoned);
        });
    }
}

/// What has to be ready before a place is taken.
pub(crate) trait Below {
    type Error;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>>;

    /// Lets go of what it has reserved.
    fn give_up(&mut self);
}

/// Why a waiter got no place.
#[derive(Debug)]
pub(crate) enum Denied<E> {
    /// The line was full or its patience is over; not counted yet.
    Rejected(Reason),
    /// What is below failed its readiness.
    Failed(E),
}

pin_project! {
    /// A waiter. It joins the line at its first poll and leaves it when it is dropped.
    #[derive(Debug)]
    pub(crate) struct Waiting {
        room: Arc<Room>,
        key: PartitionKey,
        ticket: Option<Ticket>,
        #[pin]
        timeout: Option<Sleep>,
    }

    impl PinnedDrop for Waiting {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(ticket) = this.ticket.take() {
                this.room.gate.leave(ticket);
            }
        }
    }
}

impl Waiting {
    pub(crate) const fn new(room: Arc<Room>, key: PartitionKey) -> Self {
        Self {
            room,
            key,
            ticket: None,
            timeout: None,
        }
    }

    /// Waits for the turn: readiness first, the place last, so that no place is held by a call
    /// that cannot go.
    pub(crate) fn poll<B: Below>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        below: &mut B,
    ) -> Poll<Result<Place, Denied<B::Error>>> {
        let mut this = self.project();
        let gate = &this.room.gate;
        let ticket = match *this.ticket {
            Some(ticket) => ticket,
            None => {
                let Some(ticket) = gate.join(*this.key, cx.waker()) else {
                    return Poll::Ready(Err(Denied::Rejected(Reason::BulkheadFull)));
                };
                *this.ticket = Some(ticket);
                add(&this.room.counters.waited);
                ticket
            }
        };
        let mut late = false;
        loop {
            let mut stuck = false;
            if gate.turn(ticket, late, cx.waker()) == Turn::Go {
                match below.poll_ready(cx) {
                    Poll::Pending => {
                        gate.stand_aside(ticket);
                        stuck = true;
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(Denied::Failed(error))),
                    Poll::Ready(Ok(())) => {
                        if gate.take(ticket, late, cx.waker()) {
                            *this.ticket = None;
                            let place = Place::in_flight(Arc::clone(this.room), *this.key);
                            return Poll::Ready(Ok(place));
                        }
                        // It had stood aside, and the place is gone by now.
                        below.give_up();
                    }
                }
            }
            if this.timeout.is_none() {
                let until = deadline(Instant::now(), this.room.patience);
                this.timeout.set(Some(sleep_until(until)));
            }
            if !late
                && let Some(timeout) = this.timeout.as_mut().as_pin_mut()
                && timeout.poll(cx).is_pending()
            {
                return Poll::Pending;
            }
            if late || stuck {
                return Poll::Ready(Err(Denied::Rejected(Reason::QueueTimeout)));
            }
            // The last chance: it takes a place that is free, ahead of those who were called for
            // it and are not polled.
            late = true;
        }
    }
}
