//! The start: orders of an earlier process are looked up before new ones pass.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::uri::Uri;
use http::{Method, Request};

use super::order::{Order, Origin, Tracked};
use super::shared::{Shared, Start};
use crate::broker::OrderRequest;
use crate::journal::{Entry, Filter, JournalError, SavedRequest, State};
use crate::protocol::{Lifecycle, MarkKind, Rules};

/// Orders that are younger count for caps again.
const DAY: Duration = Duration::from_secs(24 * 3_600);

impl Shared {
    /// Reads the journal, once, and looks up what is open. Without a runtime, the first call begins.
    pub(super) fn begin(self: &Arc<Self>) {
        if *self.started.borrow() != Start::Before || !self.enter() {
            return;
        }
        let begins = self.started.send_if_modified(|start| {
            let before = *start == Start::Before;
            if before {
                *start = Start::Reading;
            }
            before
        });
        if begins {
            let shared = Arc::clone(self);
            self.spawn(async move { shared.read_journal().await });
        }
    }

    async fn read_journal(self: Arc<Self>) {
        while let Err(error) = self.restore_all().await {
            self.wrote::<()>(&Err(error));
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let (_, _, starting) = self.standing();
        self.started.send_replace(Start::LookingUp(starting));
        // One may have ended between the count and its note.
        let (_, _, starting) = self.standing();
        self.started.send_replace(Start::LookingUp(starting));
        self.watch();
    }

    async fn restore_all(self: &Arc<Self>) -> Result<(), JournalError> {
        let day_ago = SystemTime::now()
            .checked_sub(DAY)
            .unwrap_or(SystemTime::UNIX_EPOCH);
        let mut recent = Filter::all().from(day_ago).limit(10_000);
        loop {
            let page = self.journal.list(&recent).await?;
            for entry in page.entries.iter().filter(|entry| self.is_ours(entry)) {
                let not_executed = matches!(
                    entry.state(),
                    State::Absent | State::Rejected | State::Abandoned
                );
                // Those that are open are counted when they are taken over.
                if not_executed || entry.state().is_open() {
                    continue;
                }
                if let Some(request) = self.request_of(entry) {
                    let (operation, at) = (entry.intent().kind(), entry.intent().at());
                    let wall = SystemTime::now();
                    self.control
                        .restore(self.now(), wall, &request, operation, at);
                }
            }
            match page.next {
                Some(next) => recent = recent.after(next),
                None => break,
            }
        }
        let mut open = Filter::open().limit(10_000);
        loop {
            let page = self.journal.list(&open).await?;
            for entry in page.entries.iter().filter(|entry| self.is_ours(entry)) {
                self.take_over(entry, true);
            }
            match page.next {
                Some(next) => open = open.after(next),
                None => return Ok(()),
            }
        }
    }

    fn is_ours(&self, entry: &Entry) -> bool {
        entry.intent().account_name() == &*self.account
    }

    fn request_of(&self, entry: &Entry) -> Option<OrderRequest> {
        let request = http_request(entry.intent().saved_request())?;
        self.broker.read(entry.intent().kind(), &request).ok()
    }

    /// Takes over what the journal has of an order; `None` if it is in memory already.
    pub(super) fn take_over(self: &Arc<Self>, entry: &Entry, restored: bool) -> Option<Order> {
        let intent = entry.intent();
        let operation = intent.kind();
        // One whose request cannot be read is looked up by its id alone.
        let request = self.request_of(entry).unwrap_or_default();
        let saved = http_request(intent.saved_request());
        let uri = saved
            .map(|request| request.uri().clone())
            .unwrap_or_default();
        let origin = Origin {
            scheme: uri.scheme().cloned(),
            authority: uri.authority().cloned(),
            ..Origin::default()
        };
        let rules = self.broker.rules(operation).copied();
        let rules = rules.unwrap_or_else(Rules::strictest);
        let life = Lifecycle::new(None, &mut Vec::new());
        let id = Arc::from(intent.id());
        let counts = restored.then(|| {
            let wall = SystemTime::now();
            self.control
                .restore(self.now(), wall, &request, operation, intent.at())
        });
        let it = Tracked::new(
            id,
            (operation, rules),
            request,
            origin,
            (life, restored),
            None,
            intent.at(),
        );
        it.number
            .store(entry.seq(), std::sync::atomic::Ordering::Relaxed);
        let order = Order {
            shared: Arc::clone(self),
            it: Arc::new(it),
        };
        if !self.add(&order.it) {
            return None;
        }
        if let Some(admission) = counts {
            order.it.set_admission(admission);
        }
        order.restore(mark_of(entry.state()), entry.attempts());
        Some(order)
    }
}

const fn mark_of(state: State) -> MarkKind {
    match state {
        State::Intent => MarkKind::Intended,
        State::Sent => MarkKind::Sent,
        State::Confirmed => MarkKind::Confirmed,
        State::Absent => MarkKind::Absent,
        State::Rejected => MarkKind::Rejected,
        State::Abandoned => MarkKind::Abandoned,
        State::Exhausted => MarkKind::Exhausted,
    }
}

/// The request of an intent, as it is read again.
fn http_request(saved: &SavedRequest) -> Option<Request<Bytes>> {
    let mut request = Request::new(saved.body_bytes());
    *request.method_mut() = Method::from_bytes(saved.method()).ok()?;
    *request.uri_mut() = Uri::try_from(saved.target()).ok()?;
    for (name, value) in saved.headers() {
        let name = http::HeaderName::from_bytes(name.as_bytes()).ok()?;
        let value = http::HeaderValue::from_bytes(value).ok()?;
        request.headers_mut().append(name, value);
    }
    Some(request)
}
