//! What viewers of the dashboard are sent: each overview is serialized once, however many they are.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use seawall_monitor::{Monitor, Overview};
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep, sleep_until};

use crate::reading::reading;
use crate::streams::{OpenStream, Streams};

/// After so long without a frame a viewer is sent that the stream is alive.
const HEARTBEAT: Duration = Duration::from_secs(5);
const HEARTBEAT_EVENT: Bytes = Bytes::from_static(b"event: heartbeat\ndata: {}\n\n");
/// The shortest time between two frames: where much happens at once, an overview is evaluated more often.
const PACE: Duration = Duration::from_millis(200);

/// The overviews of a monitor, serialized when a viewer wants them.
#[derive(Debug)]
pub(crate) struct Frames {
    pub(crate) monitor: Monitor,
    pace: Duration,
    /// Held while it is serialized, so that this is done once.
    last: Mutex<Option<Last>>,
}

/// An overview, and its forms that were wanted so far.
#[derive(Debug)]
struct Last {
    /// The number of the change that it shows.
    number: u64,
    made: Instant,
    overview: Arc<Overview>,
    full: Option<Bytes>,
    frame: Option<Bytes>,
}

/// What a viewer was sent last.
#[derive(Clone, Copy, Debug)]
struct Seen {
    number: u64,
    samples: u64,
}

enum Next {
    Frame(Bytes, Seen),
    /// There is none before that.
    Wait(Instant),
    Nothing,
}

impl Frames {
    pub(crate) fn new(monitor: Monitor) -> Self {
        // As long as half an interval, a sample would be left out now and then.
        let pace = PACE.min(monitor.config().interval() / 2);
        Self {
            monitor,
            pace,
            last: Mutex::new(None),
        }
    }

    /// What to send a viewer: everything at first and after a gap, else what is new.
    async fn next(&self, newest: u64, seen: Option<Seen>, streams: &Streams) -> Next {
        let mut last = self.last.lock().await;
        let made = Instant::now();
        let is_due = last.as_ref().is_none_or(|last| {
            last.number < newest && made.saturating_duration_since(last.made) >= self.pace
        });
        if is_due {
            let monitor = self.monitor.clone();
            let Ok(overview) = reading(move || monitor.overview()).await else {
                return Next::Nothing;
            };
            *last = Some(Last {
                number: newest,
                made,
                overview,
                full: None,
                frame: None,
            });
        }
        let Some(last) = &mut *last else {
            return Next::Nothing;
        };
        if seen.is_some_and(|seen| seen.number >= last.number) {
            return if last.number < newest {
                Next::Wait(last.made + self.pace)
            } else {
                Next::Nothing
            };
        }
        let samples = last.overview.monitor.samples;
        // A viewer that has missed a sample has a gap in its sparklines.
        let has_all = seen.is_some_and(|seen| seen.samples + 1 >= samples);
        let (form, event) = if has_all {
            (&mut last.frame, "frame")
        } else {
            (&mut last.full, "overview")
        };
        if form.is_none() {
            let overview = Arc::clone(&last.overview);
            let written = reading(move || {
                if has_all {
                    event_of(event, &overview.with_last_sparks(1))
                } else {
                    event_of(event, &overview)
                }
            });
            *form = written.await.ok().flatten();
            streams.count_serialized();
        }
        let now = Seen {
            number: last.number,
            samples,
        };
        match form {
            Some(bytes) => Next::Frame(bytes.clone(), now),
            None => Next::Nothing,
        }
    }
}

fn event_of(event: &str, overview: &Overview) -> Option<Bytes> {
    let mut bytes = format!("event: {event}\ndata: ").into_bytes();
    serde_json::to_writer(&mut bytes, overview).ok()?;
    bytes.extend_from_slice(b"\n\n");
    Some(bytes.into())
}

/// A viewer: it is sent the newest frame when it takes one, and never a queue of them.
#[derive(Debug)]
pub(crate) struct Viewer {
    frames: Arc<Frames>,
    changes: watch::Receiver<u64>,
    seen: Option<Seen>,
    stream: OpenStream,
    streams: Arc<Streams>,
}

impl Viewer {
    pub(crate) fn new(frames: &Arc<Frames>, stream: OpenStream, streams: &Arc<Streams>) -> Self {
        Self {
            frames: Arc::clone(frames),
            changes: frames.monitor.changes(),
            seen: None,
            stream,
            streams: Arc::clone(streams),
        }
    }

    /// What to send next; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        let mut is_first = self.seen.is_none();
        loop {
            if self.stream.is_over() {
                return None;
            }
            if !is_first {
                tokio::select! {
                    changed = self.changes.changed() => changed.ok()?,
                    () = self.stream.over() => return None,
                    () = sleep(HEARTBEAT) => return Some(HEARTBEAT_EVENT),
                }
            }
            is_first = false;
            loop {
                let newest = *self.changes.borrow_and_update();
                match self.frames.next(newest, self.seen, &self.streams).await {
                    Next::Frame(bytes, seen) => {
                        self.seen = Some(seen);
                        self.streams.count_sent();
                        return Some(bytes);
                    }
                    Next::Wait(until) => tokio::select! {
                        () = sleep_until(until) => {}
                        () = self.stream.over() => return None,
                    },
                    Next::Nothing => break,
                }
            }
        }
    }
}
