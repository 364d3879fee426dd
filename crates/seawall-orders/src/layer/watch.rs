//! What goes on in the background: the trading mode follows its conditions, and gets better by queries.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::time::Duration;

use seawall_core::Rejection;
use tokio::time::Instant;

use super::look_up::send_to;
use super::order::Order;
use super::shared::{Shared, Start};
use super::tracked::Origin;
use crate::broker::Listed;
use crate::protocol::{Event, LookUp, ModeCause, Query};

/// How often the conditions of the mode are looked at, at least.
const REFRESH: Duration = Duration::from_secs(1);
/// What comes later than so much shows a standstill that may matter to some order.
const NOTICED: Duration = Duration::from_millis(20);
/// Between queries that validate.
const PAUSE: Duration = Duration::from_millis(200);
/// The longest wait after one that has failed; it doubles from [`REFRESH`].
const LONGEST: Duration = Duration::from_secs(30);

impl Shared {
    /// Begins to watch, until the layer and all that uses it are gone.
    pub(super) fn watch(self: &Arc<Self>) {
        self.spawn_one(|tasks| &tasks.watching, watch(Arc::downgrade(self)));
        self.compare_lists();
    }

    /// Asks the broker something of which the answer is known to be possible, which counts for the mode. The
    /// error, where it was not answered, is when what rejected it wants to be asked again.
    async fn validate(self: &Arc<Self>) -> Result<(), Option<Duration>> {
        let known = self.latest();
        let account = self.broker_account();
        let account = account.as_deref();
        if let Some(request) = self.broker.list(Query::Open, account) {
            let nowhere = Origin::default();
            let origin = known.as_ref().map_or(&nowhere, |it| &*it.origin);
            let response = send_to(self, origin, request).await;
            let listed =
                response.map(|response| self.broker.listed(Query::Open, account, &response));
            let clean = matches!(&listed, Ok(Listed::All(_) | Listed::Page(..)));
            self.control.queried(clean);
            return match listed {
                Ok(_) if clean => Ok(()),
                Ok(_) => Err(None),
                Err(error) => {
                    let rejection = error.downcast_ref::<Rejection>();
                    Err(rejection.and_then(Rejection::retry_after))
                }
            };
        }
        let Some(it) = known else {
            // There is nothing to ask for.
            self.control.queried(true);
            return Ok(());
        };
        let query = it.rules.coverage().queries()[0];
        let shared = Arc::clone(self);
        let found = super::look_up::ask(&Order { shared, it }, query).await;
        match found {
            LookUp::Failed | LookUp::NotMade | LookUp::Shown(_) => Err(None),
            _ => Ok(()),
        }
    }

    /// Notes that the time of orders is over whose callers have stopped to poll them.
    fn look_at_deadlines(self: &Arc<Self>) {
        for it in self.overdue() {
            let shared = Arc::clone(self);
            Order { shared, it }.feed(Event::Tick);
        }
    }

    /// Looks up again what is exhausted: the broker may answer by now.
    fn look_up_exhausted(self: &Arc<Self>) {
        for it in self.in_use() {
            let shared = Arc::clone(self);
            let order = Order { shared, it };
            if order.it.is_exhausted() {
                order.feed(Event::LookUpAgain);
            }
            order.rest();
        }
    }

    /// Notes that the process stood still, where this comes long after it was due: orders that are in doubt
    /// and wait for an answer would not notice.
    fn look_at_standstill(self: &Arc<Self>, due: Duration) {
        let late = self.now().saturating_sub(due);
        if late < NOTICED {
            return;
        }
        for it in self.in_use() {
            let shared = Arc::clone(self);
            let order = Order { shared, it };
            order.stood_still(late);
            order.rest();
        }
    }

    /// The start is over when the mode does not wait for it any more.
    fn look_at_start(&self) {
        let waits = self.control.snapshot(self.now()).cause == ModeCause::Starting;
        self.started.send_if_modified(|start| {
            let over = *start == Start::LookingUp(0) && !waits;
            if over {
                *start = Start::Over;
                self.is_started.store(true, Relaxed);
            }
            over
        });
    }
}

async fn watch(layer: Weak<Shared>) {
    let mut none_exhausted_at = Instant::now();
    loop {
        let Some(shared) = layer.upgrade() else {
            return;
        };
        shared.control.refresh();
        shared.look_at_start();
        shared.look_at_deadlines();
        let now = Instant::now();
        let every = shared.config().look_up_again_every();
        if shared.standing().1 == 0 {
            none_exhausted_at = now;
        } else if every
            .is_some_and(|every| now.saturating_duration_since(none_exhausted_at) >= every)
        {
            none_exhausted_at = now;
            shared.look_up_exhausted();
        }
        if shared.control.is_validating() {
            shared.spawn_one(|tasks| &tasks.validating, validate(Arc::downgrade(&shared)));
        }
        // Held by the task, the layer would never go.
        let changed = Arc::clone(&shared.standing_changed);
        let due = shared.now().saturating_add(REFRESH);
        drop(shared);
        let _ = tokio::time::timeout(REFRESH, changed.notified()).await;
        if let Some(shared) = layer.upgrade() {
            shared.look_at_standstill(due);
        }
    }
}

/// Makes queries until the mode gets better. Those that fail, or are not made, come ever later.
async fn validate(layer: Weak<Shared>) {
    let mut wait = REFRESH;
    loop {
        let Some(shared) = layer.upgrade() else {
            return;
        };
        if !shared.control.is_validating() {
            return;
        }
        let pause = match shared.validate().await {
            Ok(()) => {
                wait = REFRESH;
                PAUSE
            }
            Err(after) => {
                let pause = wait.max(after.unwrap_or_default()).min(LONGEST);
                wait = (2 * wait).min(LONGEST);
                pause
            }
        };
        shared.look_at_start();
        drop(shared);
        tokio::time::sleep(pause).await;
    }
}
