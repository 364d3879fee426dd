//! Streams to viewers: how many are open, and when they end.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use seawall_core::PartitionKey;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::problem::Problem;
use crate::rate::key_of;
use crate::{Identity, Role};

/// How long a stream lasts. In a server without a timeout for writes, one whose reader has stalled ends then.
const LASTS: Duration = Duration::from_secs(3_600);

/// What streams do: those of events and those of the dashboard.
///
/// ```
/// use seawall_admin::Admin;
/// use seawall_core::Registry;
///
/// let admin = Admin::builder("desk").registry(Registry::new("desk")).build()?;
/// assert_eq!(admin.stream_counts().open, 0);
/// # Ok::<(), seawall_admin::InvalidConfig>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamCounts {
    /// How many are open.
    pub open: usize,
    /// How many frames of the dashboard were serialized: one for all viewers together.
    pub frames_serialized: u64,
    /// How many frames of the dashboard were handed to viewers.
    pub frames_sent: u64,
}

/// Which streams are to end: those that began before the last change of this.
#[derive(Clone, Copy, Debug, Default)]
struct Ending {
    /// How often the tokens were changed.
    tokens: u64,
    /// Whether none begins any more.
    are_over: bool,
}

/// The streams that are open.
#[derive(Debug)]
pub(crate) struct Streams {
    /// By whom they are read.
    open: Mutex<HashMap<PartitionKey, usize>>,
    max: usize,
    max_per_caller: usize,
    ending: watch::Sender<Ending>,
    frames_serialized: AtomicU64,
    frames_sent: AtomicU64,
}

impl Streams {
    pub(crate) fn new(max: usize, max_per_caller: usize) -> Self {
        Self {
            open: Mutex::default(),
            max,
            max_per_caller,
            ending: watch::Sender::default(),
            frames_serialized: AtomicU64::new(0),
            frames_sent: AtomicU64::new(0),
        }
    }

    /// Opens one for a caller. A quarter of all is kept for callers that may command.
    pub(crate) fn open(
        self: &Arc<Self>,
        identity: Option<&Identity>,
        from: Option<SocketAddr>,
    ) -> Result<OpenStream, Problem> {
        let key = key_of(identity, from);
        let is_viewer = identity.is_some_and(|identity| identity.role < Role::Operator);
        let max = if is_viewer {
            self.max - self.max / 4
        } else {
            self.max
        };
        let ending = self.ending.subscribe();
        let mut open = self.lock();
        if open.values().sum::<usize>() >= max {
            let detail = "too many streams are open; close one, or try again later";
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(10));
        }
        let of_caller = open.entry(key).or_default();
        if *of_caller >= self.max_per_caller {
            let detail = format!(
                "{of_caller} streams of this token or this address are open, accepted is {}: close one",
                self.max_per_caller
            );
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).retry_after(10));
        }
        *of_caller += 1;
        Ok(OpenStream {
            key,
            ending,
            ends: Instant::now() + LASTS,
            session: None,
            streams: Arc::clone(self),
        })
    }

    /// Ends those that are open: the tokens are others.
    pub(crate) fn tokens_changed(&self) {
        self.ending.send_modify(|ending| ending.tokens += 1);
    }

    /// Ends those that are open, and those that are opened later.
    pub(crate) fn end_all(&self) {
        self.ending.send_modify(|ending| ending.are_over = true);
    }

    #[cfg(feature = "monitor")]
    pub(crate) fn count_serialized(&self) {
        self.frames_serialized.fetch_add(1, Ordering::Relaxed);
    }

    #[cfg(feature = "monitor")]
    pub(crate) fn count_sent(&self) {
        self.frames_sent.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn counts(&self) -> StreamCounts {
        StreamCounts {
            open: self.lock().values().sum(),
            frames_serialized: self.frames_serialized.load(Ordering::Relaxed),
            frames_sent: self.frames_sent.load(Ordering::Relaxed),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PartitionKey, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream that is open; dropped, it makes room for another one.
#[derive(Debug)]
pub(crate) struct OpenStream {
    key: PartitionKey,
    ending: watch::Receiver<Ending>,
    ends: Instant,
    /// Closed when the session ends that it is read by.
    session: Option<watch::Receiver<()>>,
    streams: Arc<Streams>,
}

impl OpenStream {
    /// Ends it with the session that it is read by.
    pub(crate) fn end_with(&mut self, ends: Instant, lives: watch::Receiver<()>) {
        self.ends = self.ends.min(ends);
        self.session = Some(lives);
    }

    /// Whether it is to end now.
    pub(crate) fn is_over(&self) -> bool {
        let session = self.session.as_ref();
        self.ending.borrow().are_over
            || self.ending.has_changed().unwrap_or(true)
            || session.is_some_and(|lives| lives.has_changed().is_err())
            || Instant::now() >= self.ends
    }

    /// Waits until it is to end.
    pub(crate) async fn over(&mut self) {
        if self.is_over() {
            return;
        }
        let session = async {
            match &mut self.session {
                Some(lives) => drop(lives.changed().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.ending.changed() => {}
            () = session => {}
            () = sleep_until(self.ends) => {}
        }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let mut open = self.streams.lock();
        if let Some(of_caller) = open.get_mut(&self.key) {
            *of_caller -= 1;
            if *of_caller == 0 {
                open.remove(&self.key);
            }
        }
    }
}
