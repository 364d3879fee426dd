//! The start: orders of an earlier process are looked up before new ones pass.

use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::uri::Uri;
use http::{Method, Request};

use super::order::Order;
use super::shared::{Shared, Start};
use super::tracked::{NewOrder, Origin, Tracked};
use crate::broker::OrderRequest;
use crate::journal::{Entry, Filter, JournalError, SavedRequest, State};
use crate::protocol::MarkKind;

/// Orders that are younger count for caps again.
const DAY: Duration = Duration::from_secs(24 * 3_600);
/// How many entries are read at once.
const PAGE: usize = 10_000;

impl Shared {
    /// Reads the journal, once, and looks up what is open. Without a runtime, the first call begins.
    pub(super) fn begin(self: &Arc<Self>) {
        // Without a service there is nothing to look up with: the first one begins.
        let waits = *self.started.borrow() != Start::Before || self.below.get().is_none();
        if waits {
            return;
        }
        self.enter();
        if !self.has_runtime() {
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
            self.spawn(Reads::of(self).run());
        }
    }

    /// Counts the orders of the last day that may have been executed. Those that are open are counted
    /// when they are taken over.
    fn count_recent(&self, entries: &[Entry]) {
        for entry in entries.iter().filter(|entry| self.is_ours(entry)) {
            if entry.state() != State::Confirmed {
                continue;
            }
            if let Some(request) = self.request_of(entry) {
                let (operation, at) = (entry.intent().kind(), entry.intent().at());
                let wall = SystemTime::now();
                self.control
                    .restore(self.now(), wall, &request, operation, at);
            }
        }
    }

    pub(super) fn is_ours(&self, entry: &Entry) -> bool {
        entry.intent().account_name() == &*self.account
    }

    fn request_of(&self, entry: &Entry) -> Option<OrderRequest> {
        let request = http_request(entry.intent().saved_request())?;
        self.broker.read(entry.intent().kind(), &request).ok()
    }

    /// The order of an id, in memory or in the journal.
    pub(super) async fn order(self: &Arc<Self>, id: &str) -> Result<Option<Order>, JournalError> {
        let of = |it| Order {
            shared: Arc::clone(self),
            it,
        };
        if let Some(it) = self.find(id) {
            return Ok(Some(of(it)));
        }
        let entry = self.journal.entry(id).await?;
        let Some(entry) = entry.filter(|entry| self.is_ours(entry)) else {
            return Ok(None);
        };
        // If there is none, somebody else has taken it over meanwhile.
        let taken_over = self.take_over(&entry);
        Ok(taken_over.or_else(|| self.find(id).map(of)))
    }

    /// Takes over what the journal has of an order; `None` if it is in memory already.
    pub(super) fn take_over(self: &Arc<Self>, entry: &Entry) -> Option<Order> {
        let (intent, state) = (entry.intent(), entry.state());
        let operation = intent.kind();
        // One whose request cannot be read is looked up by its id alone.
        let request = self.request_of(entry).unwrap_or_default();
        let saved = http_request(intent.saved_request());
        let uri = saved
            .map(|request| request.uri().clone())
            .unwrap_or_default();
        let origin = Arc::new(Origin {
            scheme: uri.scheme().cloned(),
            authority: uri.authority().cloned(),
            ..Origin::default()
        });
        let rules = self.rules(operation);
        let starting = state.is_open() && *self.started.borrow() != Start::Over;
        let admission = starting.then(|| {
            let wall = SystemTime::now();
            self.control
                .restore(self.now(), wall, &request, operation, intent.at())
        });
        let new = NewOrder {
            id: Arc::from(intent.id()),
            operation,
            rules,
            request,
            origin,
            admission,
            deadline: None,
            since: intent.at(),
            begun: None,
        };
        let now = self.now();
        let restore = |it: &mut Tracked| it.restore(entry, mark_of(state), now, starting);
        let it = match self.add(new, restore) {
            Ok(it) => it,
            Err(new) => {
                self.give_back(new.admission);
                return None;
            }
        };
        let shared = Arc::clone(self);
        let order = Order { shared, it };
        order.begin();
        Some(order)
    }
}

/// Reads the journal, page by page, as long as the layer is there. Where it ends early, with its runtime,
/// the next order begins again.
struct Reads {
    shared: Weak<Shared>,
    over: bool,
}

impl Reads {
    fn of(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::downgrade(shared),
            over: false,
        }
    }

    async fn run(mut self) {
        let day_ago = SystemTime::now()
            .checked_sub(DAY)
            .unwrap_or(SystemTime::UNIX_EPOCH);
        let recent = Filter::all().from(day_ago).limit(PAGE);
        let count = |shared: &Arc<Shared>, entries: &[Entry]| shared.count_recent(entries);
        let take_over = |shared: &Arc<Shared>, entries: &[Entry]| {
            for entry in entries.iter().filter(|entry| shared.is_ours(entry)) {
                // One that is there already may have lost its task with an earlier runtime.
                if shared.take_over(entry).is_none()
                    && let Some(it) = shared.find(entry.intent().id())
                {
                    let shared = Arc::clone(shared);
                    Order { shared, it }.begin();
                }
            }
        };
        if self.each(recent, count).await.is_none() {
            return;
        }
        let open = Filter::open().limit(PAGE);
        if self.each(open, take_over).await.is_none() {
            return;
        }
        if let Some(shared) = self.shared.upgrade() {
            shared.note_start(|start| start == Start::Reading);
            shared.watch();
            self.over = true;
        }
    }

    /// Gives every page to `each`; `None` when the layer is gone. One that cannot be read is tried again.
    async fn each(&self, mut filter: Filter, each: impl Fn(&Arc<Shared>, &[Entry])) -> Option<()> {
        loop {
            let shared = self.shared.upgrade()?;
            match shared.journal.list(&filter).await {
                Ok(page) => {
                    each(&shared, &page.entries);
                    let Some(next) = page.next else {
                        return Some(());
                    };
                    filter = filter.after(next);
                }
                Err(error) => {
                    shared.wrote::<()>(&Err(error));
                    drop(shared);
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }
}

impl Drop for Reads {
    fn drop(&mut self) {
        if let (false, Some(shared)) = (self.over, self.shared.upgrade()) {
            shared.started.send_replace(Start::Before);
        }
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
