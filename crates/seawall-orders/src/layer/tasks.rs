//! The tasks of a layer, and the runtime that they run in.
//!
//! A runtime may end while the process lives. What its tasks looked after is taken up by the next call or
//! command that comes with a runtime.

use std::future::Future;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;

use super::order::Order;
use super::runtime::Tasks;
use super::shared::{Shared, Start};
use crate::journal::{Answer, Entry, JournalError};

/// How long until a journal is read again that could not be read.
const AGAIN: Duration = Duration::from_secs(1);

impl Shared {
    /// Remembers the runtime for what is spawned where there is none, as when a future is dropped, and takes
    /// up what an earlier one has left.
    pub(super) fn enter(self: &Arc<Self>) {
        if !self.tasks.live.load(Acquire) {
            self.enter_here();
        }
    }

    #[cold]
    fn enter_here(self: &Arc<Self>) {
        let Ok(here) = Handle::try_current() else {
            return;
        };
        *self.tasks.runtime() = Some(here);
        if !self.tasks.live.swap(true, AcqRel) {
            self.take_up();
        }
    }

    /// Whether a runtime was seen.
    pub(super) fn has_runtime(&self) -> bool {
        self.tasks.runtime().is_some()
    }

    /// Begins again what has lost its task.
    fn take_up(self: &Arc<Self>) {
        self.begin();
        if matches!(*self.started.borrow(), Start::LookingUp(_) | Start::Over) {
            self.watch();
        }
        let unheard = std::mem::take(&mut *self.tasks.unheard());
        for it in unheard {
            let shared = Arc::clone(self);
            Hearing::of(Order { shared, it }).again();
        }
        self.recover();
        for it in self.in_use() {
            let shared = Arc::clone(self);
            let order = Order { shared, it };
            order.begin();
            order.rest();
        }
    }

    /// Runs a task, in the runtime where it is called if there is one, else in the last one that was seen.
    /// Without one, and where that ends first, the next call with a runtime takes up what it was for.
    pub(super) fn spawn(self: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        let ends = Ends {
            shared: Arc::downgrade(self),
            over: false,
        };
        // In this order they are dropped.
        let both = (task, ends);
        let task = async move {
            let (task, mut ends) = both;
            task.await;
            ends.over = true;
        };
        let runtime = match Handle::try_current() {
            Ok(here) => Some(here),
            Err(_) => self.tasks.runtime().clone(),
        };
        if let Some(runtime) = runtime {
            drop(runtime.spawn(task));
        }
    }

    /// Runs a task of which there is one.
    pub(super) fn spawn_one(
        self: &Arc<Self>,
        runs: fn(&Tasks) -> &AtomicBool,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        if runs(&self.tasks).swap(true, AcqRel) {
            return;
        }
        let shared = Arc::downgrade(self);
        let one = One { shared, runs };
        self.spawn(async move {
            let _one = one;
            task.await;
        });
    }
}

/// Notes that a task was dropped before its end.
struct Ends {
    shared: Weak<Shared>,
    over: bool,
}

impl Drop for Ends {
    fn drop(&mut self) {
        if let (false, Some(shared)) = (self.over, self.shared.upgrade()) {
            shared.tasks.live.store(false, Release);
        }
    }
}

struct One {
    shared: Weak<Shared>,
    runs: fn(&Tasks) -> &AtomicBool,
}

impl Drop for One {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            (self.runs)(&shared.tasks).store(false, Release);
        }
    }
}

/// Waits for what the journal answers to an intent whose caller is gone.
pub(super) struct Hearing {
    order: Order,
    heard: bool,
}

impl Hearing {
    pub(super) const fn of(order: Order) -> Self {
        Self {
            order,
            heard: false,
        }
    }

    /// Waits for the answer.
    pub(super) fn to(mut self, answer: Answer<u64>) {
        let shared = Arc::clone(&self.order.shared);
        shared.spawn(async move {
            let written = answer.await;
            self.hear(written);
            self.rest();
        });
    }

    /// Reads what the journal has, since the answer is lost.
    fn again(mut self) {
        let shared = Arc::clone(&self.order.shared);
        shared.spawn(async move {
            let written = loop {
                let order = &self.order;
                match order.shared.journal.entry(&order.it.id).await {
                    Ok(Some(entry)) if order.is_of(&entry) => break Ok(entry.seq()),
                    Ok(_) => {
                        let id = Arc::clone(&order.it.id);
                        break Err(JournalError::UnknownId { id });
                    }
                    Err(error) => order.shared.wrote::<()>(&Err(error)),
                };
                tokio::time::sleep(AGAIN).await;
            };
            self.hear(written);
            self.rest();
        });
    }

    fn hear(&mut self, written: Result<u64, JournalError>) {
        self.heard = true;
        // An entry that is another order's is not this one's to be found by.
        if self.order.written(written).is_err() {
            self.order.shared.forget(&self.order.it);
        }
    }
}

impl Hearing {
    fn rest(self) {
        let order = self.order.clone();
        drop(self);
        order.rest();
    }
}

impl Drop for Hearing {
    fn drop(&mut self) {
        if !self.heard {
            let it = Arc::clone(&self.order.it);
            self.order.shared.tasks.unheard().push(it);
        }
    }
}

impl Order {
    /// Whether an entry of the journal is this order's, and not of an earlier one of its id.
    fn is_of(&self, entry: &Entry) -> bool {
        let intent = entry.intent();
        let apart = self.it.since.duration_since(intent.at());
        // The journal keeps milliseconds.
        let same = apart.is_ok_and(|apart| apart < Duration::from_millis(1));
        same && self.shared.is_ours(entry) && intent.run_name() == &*self.shared.run
    }
}
