//! Readings of the broker's lists, which orders share whose look-ups send the same requests.
//!
//! An order that takes part sees nothing that it could not have seen alone: each request is the one that it
//! would have sent, the first one is sent after the order asked, and each further one after the response
//! before it has come. So a list without the order proves what it would prove to that order alone. What is
//! under way already when an order asks proves nothing to it, and is never joined.

mod asked;
mod page;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout, timeout_at};

use self::asked::Asked;
use self::page::Page;
use crate::broker::{FoundOrder, Listed};

pub(super) use self::page::{Answer, Missed};

/// Why a query has failed that takes too long.
pub(super) const TOO_LONG: &str = "it took too long";

/// The readings of a layer.
pub(super) struct Readings {
    sequences: Mutex<HashMap<Kind, Sequence>>,
    /// The share of the limits that look-ups take; it is never closed.
    permits: Semaphore,
}

/// What readings begin with that are alike, and how long each of their pages may take.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Kind {
    first: Arc<Asked>,
    limit: Duration,
}

/// The readings of one kind, of which one runs at a time.
#[derive(Default)]
struct Sequence {
    /// The one that has not begun, in which takes part what asks now, and its first page.
    next: Option<(Weak<Reading>, Arc<Page>)>,
    /// The one that has begun last, and until when its present page is waited for.
    running: Option<(Weak<Reading>, Instant)>,
    /// One has begun, or has ended.
    changed: Arc<Notify>,
}

impl Sequence {
    /// Until when one runs at most, unless it goes on to its next page by then.
    fn runs_until(&self) -> Option<Instant> {
        let (running, until) = self.running.as_ref()?;
        // One that is not polled any more ends by the time of its page alone.
        (running.strong_count() > 0 && Instant::now() < *until).then_some(*until)
    }

    fn is_over(&self) -> bool {
        let is_gone = |reading: &Weak<Reading>| reading.strong_count() == 0;
        self.next.as_ref().is_none_or(|(next, _)| is_gone(next))
            && self.running.as_ref().is_none_or(|(last, _)| is_gone(last))
    }
}

/// One reading. It ends when nothing takes part in it any more.
struct Reading {
    readings: Arc<Readings>,
    kind: Kind,
    changed: Arc<Notify>,
    /// Set once it has begun. It has a permit then, which it gives back at its end.
    has_begun: OnceLock<()>,
    /// Whether an answer, and whether a failure, was counted.
    counted: [AtomicBool; 2],
}

/// What a part has to do.
enum Turn {
    /// Read: it has begun.
    Read,
    /// Wait until the one before is over, or look again by then.
    Wait(Instant),
    Begin,
}

impl Readings {
    /// Of which so many run at once.
    pub(super) fn new(at_once: u32) -> Arc<Self> {
        Arc::new(Self {
            sequences: Mutex::default(),
            permits: Semaphore::new(at_once as usize),
        })
    }

    /// No reading may be dropped under this lock: it takes it then.
    fn sequences(&self) -> MutexGuard<'_, HashMap<Kind, Sequence>> {
        let sequences = self.sequences.lock();
        sequences.unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes part in the next reading that begins with `request`, each page of which may take `limit`.
    pub(super) fn take_part(self: &Arc<Self>, request: &Request<Bytes>, limit: Duration) -> Part {
        let first = Arc::new(Asked::by(request));
        let kind = Kind { first, limit };
        let mut sequences = self.sequences();
        let sequence = sequences.entry(kind.clone()).or_default();
        if let Some((next, page)) = &sequence.next
            && let Some(reading) = next.upgrade()
        {
            return Part::of(reading, Arc::clone(page));
        }
        let page = Arc::new(Page::of(Arc::clone(&kind.first)));
        let reading = Arc::new(Reading {
            readings: Arc::clone(self),
            kind,
            changed: Arc::clone(&sequence.changed),
            has_begun: OnceLock::new(),
            counted: Default::default(),
        });
        sequence.next = Some((Arc::downgrade(&reading), Arc::clone(&page)));
        Part::of(reading, page)
    }
}

impl Reading {
    fn turn(&self) -> Turn {
        if self.has_begun.get().is_some() {
            return Turn::Read;
        }
        let sequences = self.readings.sequences();
        let sequence = sequences.get(&self.kind);
        match sequence.and_then(Sequence::runs_until) {
            Some(until) => Turn::Wait(until),
            None => Turn::Begin,
        }
    }

    /// Waits until it has begun, and begins it when none of its kind runs. Every part can, so that none
    /// depends on another one to be polled.
    async fn begun(self: &Arc<Self>) {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            match self.turn() {
                Turn::Read => return,
                Turn::Wait(until) => {
                    // Whatever comes first.
                    let _ = timeout_at(until, changed).await;
                }
                Turn::Begin => {
                    let mut permit = pin!(self.readings.permits.acquire());
                    let permit = poll_fn(|cx| match permit.as_mut().poll(cx) {
                        Poll::Ready(permit) => Poll::Ready(permit.ok()),
                        Poll::Pending => changed.as_mut().poll(cx).map(|()| None),
                    });
                    if let Some(permit) = permit.await {
                        self.begin(permit);
                    }
                }
            }
        }
    }

    /// Begins it, unless it has begun, or another one has meanwhile. What asks from now on does not take part.
    fn begin(self: &Arc<Self>, permit: SemaphorePermit<'_>) {
        let mut sequences = self.readings.sequences();
        let sequence = sequences.entry(self.kind.clone()).or_default();
        // An error means that it has begun.
        if sequence.runs_until().is_some() || self.has_begun.set(()).is_err() {
            return;
        }
        permit.forget();
        sequence.running = Some((Arc::downgrade(self), self.page_ends()));
        sequence.next = None;
        drop(sequences);
        self.changed.notify_waiters();
    }

    /// When a page is out of time that is asked for now.
    fn page_ends(&self) -> Instant {
        seawall_core::deadline(Instant::now(), self.kind.limit)
    }

    /// Begins a page, and gives the time until which it is waited for: so long runs the reading at most.
    fn begin_page(self: &Arc<Self>) -> Instant {
        let ends = self.page_ends();
        let mut sequences = self.readings.sequences();
        let running = sequences.get_mut(&self.kind);
        if let Some((running, until)) = running.and_then(|sequence| sequence.running.as_mut())
            && std::ptr::eq(running.as_ptr(), Arc::as_ptr(self))
        {
            *until = ends;
        }
        ends
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut sequences = self.readings.sequences();
        if sequences.get(&self.kind).is_some_and(Sequence::is_over) {
            sequences.remove(&self.kind);
        }
        drop(sequences);
        if self.has_begun.get().is_some() {
            self.readings.permits.add_permits(1);
        }
        self.changed.notify_waiters();
    }
}

/// What one look-up has of a reading.
pub(super) struct Part {
    reading: Arc<Reading>,
    /// The page that is read now, or is the first to be.
    page: Arc<Page>,
    is_first: bool,
}

impl Part {
    const fn of(reading: Arc<Reading>, page: Arc<Page>) -> Self {
        Self {
            reading,
            page,
            is_first: true,
        }
    }

    /// Waits until the reading has begun, for `limit`; says whether it has.
    pub(super) async fn begun(&self, limit: Duration) -> bool {
        // What asks at the same moment takes part.
        tokio::task::yield_now().await;
        timeout(limit, self.reading.begun()).await.is_ok()
    }

    /// The response to the request of the next page, which `send` sends, unless another part does. The first
    /// request is that of the reading.
    pub(super) async fn next_page<F>(
        &mut self,
        request: Request<Bytes>,
        send: impl FnOnce(Request<Bytes>) -> F,
    ) -> Answer
    where
        F: Future<Output = Answer>,
    {
        if !std::mem::take(&mut self.is_first) {
            self.page = self.page.next(Asked::by(&request));
        }
        let until = self.page.until.get_or_init(|| self.reading.begin_page());
        let sending = send(request);
        // A part that is dropped while it sends is replaced by another one.
        let answer = self.page.answer.get_or_init(|| async {
            // When all are out of time, each would else send it once more, and be dropped.
            match Instant::now() >= *until {
                true => Err(Missed::Failed(TOO_LONG)),
                false => sending.await,
            }
        });
        match timeout_at(*until, answer).await {
            Ok(answer) => answer.clone(),
            Err(_) => Err(Missed::Failed(TOO_LONG)),
        }
    }

    /// What the page lists that was read last, by `read` unless another part has read it.
    pub(super) async fn listed(
        &self,
        read: impl FnOnce() -> Option<Listed<FoundOrder>>,
    ) -> Option<&Listed<FoundOrder>> {
        let listed = self.page.listed.get_or_init(async || read()).await;
        listed.as_ref()
    }

    /// Whether this is the first answer, or the first failure, that is counted of the reading.
    pub(super) fn counts(&self, answered: bool) -> bool {
        let [of_answers, of_failures] = &self.reading.counted;
        let counted = if answered { of_answers } else { of_failures };
        !counted.swap(true, Relaxed)
    }
}
