//! Changes as they happen, as server-sent events.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_util::Stream;
use futures_util::future::select_all;
use futures_util::stream::unfold;
use http::{HeaderMap, StatusCode};
use seawall_core::{ChangeFeed, Changes, EventFilter};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::auth::{Viewing, open_stream};
use crate::extract::Query;
use crate::problem::{Problem, Streamed};
use crate::state::Shared;
use crate::streams::OpenStream;

/// A comment is sent after so long without a change, so that both sides notice when the other is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Where to go on from.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct From {
    /// The `id` of the last event that was seen, for clients that cannot send `Last-Event-ID`.
    last_event_id: Option<String>,
}

/// A change in a registry.
#[derive(Serialize, ToSchema)]
struct ChangeView<'a> {
    /// The service: the registry.
    service: &'a str,
    /// What happened, where and when.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    event: seawall_core::Event,
}

/// How many changes were missed.
#[derive(Serialize, ToSchema)]
struct MissedView<'a> {
    /// The service: the registry.
    service: &'a str,
    /// So many changes are not kept any more; `null` where the program has started again.
    missed: Option<u64>,
}

/// Every change from now on, or from `Last-Event-ID`, of what is registered: circuits, commands, reloads of a
/// configuration, orders.
///
/// Server-sent events of the types `change` and `missed`, each with an `id` to go on from. The last 1,024
/// changes are kept. What happens to single calls is not among them. A stream ends after an hour, with its
/// session, and when the tokens change. `/events` is the same.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "events", params(From),
    responses((status = OK, body = String, content_type = "text/event-stream"), Streamed),
)]
pub(crate) async fn events(
    Viewing(caller): Viewing,
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Query(from): Query<From>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let header = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let id = header.map(str::to_owned).or(from.last_event_id);
    let seen = match &id {
        Some(id) => Some(read(id, &shared).ok_or_else(|| {
            let detail = format!("`last_event_id` is {id:?}, accepted is the `id` of an event");
            Problem::new(StatusCode::BAD_REQUEST, detail)
        })?),
        None => None,
    };
    let stream = open_stream(&shared, &caller, &headers)?;
    let feed = Feed::new(&shared, seen.as_ref(), stream);
    let stream = unfold(feed, |mut feed| async {
        let event = feed.next().await?;
        Some((Ok(event), feed))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// Where a reader is.
struct Seen {
    /// The number of the last change of each registry.
    numbers: Vec<u64>,
    /// Whether they are those of an earlier run of the program, and so none of this one.
    is_earlier: bool,
}

/// Reads an id: `1796017494930-12.7`, the run of the program and a number of each registry.
fn read(id: &str, shared: &Shared) -> Option<Seen> {
    let (run, numbers) = id.split_once('-')?;
    let run: u64 = run.parse().ok()?;
    let numbers: Option<Vec<_>> = numbers
        .split('.')
        .map(|number| number.parse().ok())
        .collect();
    let numbers = numbers?;
    let (registries, is_earlier) = (shared.registries.len(), run != shared.run);
    if is_earlier {
        let numbers = vec![0; registries];
        return Some(Seen {
            numbers,
            is_earlier,
        });
    }
    let mut all = numbers.iter().zip(&shared.registries);
    let are_reached =
        all.all(|(number, registry)| *number <= registry.events().changes_since(u64::MAX).last);
    (numbers.len() == registries && are_reached).then_some(Seen {
        numbers,
        is_earlier,
    })
}

/// The changes of all registries, for one viewer.
struct Feed {
    registries: Vec<(&'static str, ChangeFeed)>,
    /// The number of the last change of each that was handed out.
    seen: Vec<u64>,
    waiting: VecDeque<Event>,
    stream: OpenStream,
    shared: Arc<Shared>,
}

impl Feed {
    fn new(shared: &Arc<Shared>, seen: Option<&Seen>, stream: OpenStream) -> Self {
        let mut registries = Vec::new();
        let mut numbers = Vec::new();
        for (index, registry) in shared.registries.iter().enumerate() {
            let events = registry.events();
            let number = match seen {
                Some(seen) => seen.numbers[index],
                None => events.changes_since(u64::MAX).last,
            };
            numbers.push(number);
            let feed = events.follow(EventFilter::changes(), number);
            registries.push((registry.service().as_str(), feed));
        }
        let mut waiting = VecDeque::new();
        if seen.is_some_and(|seen| seen.is_earlier) {
            for (service, _) in &registries {
                let missed = None;
                let data = json(&MissedView { service, missed });
                waiting.push_back(event(shared.run, "missed", &numbers, &data));
            }
        }
        Self {
            registries,
            seen: numbers,
            waiting,
            stream,
            shared: Arc::clone(shared),
        }
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            if self.stream.is_over() {
                return None;
            }
            let (index, changes) = {
                let feeds = self.registries.iter_mut();
                let nexts = feeds.map(|(_, feed)| Box::pin(feed.next()));
                let nexts: Vec<_> = nexts.collect();
                if nexts.is_empty() {
                    return None;
                }
                tokio::select! {
                    (changes, index, _) = select_all(nexts) => (index, changes?),
                    () = self.stream.over() => return None,
                }
            };
            self.take(index, &changes);
        }
    }

    fn take(&mut self, index: usize, changes: &Changes) {
        let service = self.registries[index].0;
        let run = self.shared.run;
        if changes.missed > 0 {
            let missed = Some(changes.missed);
            let data = json(&MissedView { service, missed });
            self.waiting
                .push_back(event(run, "missed", &self.seen, &data));
        }
        for change in &changes.events {
            let number = change.sequence.map_or(0, NonZeroU64::get);
            self.seen[index] = number;
            let event_view = *change;
            let write = || {
                json(&ChangeView {
                    service,
                    event: event_view,
                })
            };
            let data = self.shared.rendered.of(index, number, write);
            self.waiting
                .push_back(event(run, "change", &self.seen, &data));
        }
        self.seen[index] = changes.last;
    }
}

/// An event with the id to go on from.
fn event(run: u64, kind: &str, seen: &[u64], data: &str) -> Event {
    let numbers: Vec<_> = seen.iter().map(u64::to_string).collect();
    let id = format!("{run}-{}", numbers.join("."));
    Event::default().event(kind).id(id).data(data)
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
