//! The tasks of a monitor that was started.

use std::sync::{Arc, Weak};
use std::time::Duration;

use seawall_core::{EventFilter, EventType, ListenerGuard};
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::alert_view::AlertView;
use crate::history_file::Line;
use crate::shared::Shared;

/// What may make an alert.
const CHANGES: [EventType; 5] = [
    EventType::Transition,
    EventType::Commanded,
    EventType::CheckChanged,
    EventType::Order,
    EventType::OrdersDiffer,
];

/// How soon after an evaluation the next one may be: events come in crowds.
const AT_LEAST: Duration = Duration::from_millis(20);

/// Batches that wait for the history file.
const BATCHES: usize = 16;

/// Keeps a monitor running; dropped, it stops it.
#[derive(Debug)]
pub struct MonitorGuard {
    tasks: Vec<JoinHandle<()>>,
    shared: Weak<Shared>,
    round: u64,
}

impl Drop for MonitorGuard {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        if let Some(shared) = self.shared.upgrade() {
            shared.end(self.round);
        }
    }
}

/// Starts the tasks of a monitor.
pub(crate) fn start(shared: &Arc<Shared>) -> MonitorGuard {
    // First of all, since it may panic.
    let runtime = Handle::current();
    let round = shared.begin();
    let mut tasks = Vec::new();
    for slot in &shared.sinks {
        let (slot, weak) = (Arc::clone(slot), Arc::downgrade(shared));
        tasks.push(runtime.spawn(async move {
            let firing = |show: &mut dyn FnMut(&AlertView)| {
                if let Some(shared) = weak.upgrade() {
                    shared.show_firing(show);
                }
            };
            slot.run(firing).await;
        }));
    }
    let (batches, queue) = mpsc::channel(BATCHES);
    if let Some(write) = shared.writer() {
        tasks.push(runtime.spawn(write_history(queue, write)));
    }
    let weak = Arc::downgrade(shared);
    let changed = Arc::new(Notify::new());
    let listeners = listen(shared, &changed);
    tasks.push(runtime.spawn(async move {
        let _listeners = listeners;
        keep_sampling(weak, round, &changed, &batches).await;
    }));
    MonitorGuard {
        tasks,
        shared: Arc::downgrade(shared),
        round,
    }
}

fn listen(shared: &Shared, changed: &Arc<Notify>) -> Vec<ListenerGuard> {
    let own = shared.registries.iter().map(|registry| {
        let changed = Arc::clone(changed);
        let filter = EventFilter::changes().types(CHANGES);
        registry
            .events()
            .listen_to(filter, move |_| changed.notify_one())
    });
    own.collect()
}

async fn keep_sampling(
    shared: Weak<Shared>,
    round: u64,
    changed: &Notify,
    batches: &mpsc::Sender<Vec<Line>>,
) {
    let Some(every) = shared.upgrade().map(|shared| shared.config.interval()) else {
        return;
    };
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut earliest = Instant::now();
    loop {
        let is_tick = tokio::select! {
            biased;
            _ = ticks.tick() => true,
            () = changed.notified() => false,
        };
        let Some(shared) = shared.upgrade() else {
            return;
        };
        if !shared.is_current(round) {
            return;
        }
        if is_tick {
            let lines = shared.sample();
            if !lines.is_empty() && batches.try_send(lines).is_err() {
                let one = std::sync::atomic::Ordering::Relaxed;
                shared.unwritten.fetch_add(1, one);
            }
            continue;
        }
        if Instant::now() < earliest {
            drop(shared);
            // A tick that comes meanwhile is not missed.
            sleep_until(earliest).await;
            changed.notify_one();
            continue;
        }
        shared.evaluate();
        earliest = Instant::now() + AT_LEAST;
    }
}

/// Writes the history, one batch at a time, where it may block.
async fn write_history(
    mut batches: mpsc::Receiver<Vec<Line>>,
    write: impl Fn(&[Line]) + Clone + Send + 'static,
) {
    while let Some(lines) = batches.recv().await {
        let write = write.clone();
        // An error is a panic of the file system's code; the next batch is tried again.
        let _ = tokio::task::spawn_blocking(move || write(&lines)).await;
    }
}
