//! What a journal costs, beside a bare write and sync on the same file system.
//!
//! ```sh
//! cargo run --release -p seawall-orders --features durable --example journal_speed -- [FOLDER [SECONDS]]
//! ```
//!
//! Beside it is what no journal can go below: the same callers at the same pace, where one thread writes a
//! page for all that wait and syncs it, and nothing else. An order that comes while a sync runs waits for
//! that one and for its own.
//!
//! Bars: durable with group commit 5,000 orders per second, 99 % of the added times within two syncs;
//! in memory 1 us an order; 100,000 entries of which 100 are open are opened in one second.
#![allow(
    clippy::disallowed_methods,
    reason = "measures real time, on purpose outside of the one clock"
)]

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use seawall_orders::Operation;
use seawall_orders::journal::durable::{DurableConfig, DurableJournal, FsyncPolicy};
use seawall_orders::journal::{
    Filter, Intent, Journal, JournalError, Mark, MemoryJournal, SavedRequest,
};
use tokio::sync::oneshot;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// How long each part measures, in seconds, unless a second argument says so.
const SECONDS: u64 = 4;

fn span() -> Duration {
    let seconds = std::env::args().nth(2).and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(SECONDS).max(1))
}

const ENTRIES: usize = 100_000;
const OPEN: usize = 100;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Outcome<()> {
    let parent = std::env::args()
        .nth(1)
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = parent.join(format!("journal-speed-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let measured = measure(&folder).await;
    std::fs::remove_dir_all(&folder)?;
    measured
}

async fn measure(folder: &Path) -> Outcome<()> {
    memory().await?;
    println!(
        "\n{:<34}{:>9}{:>9}{:>9}{:>9}{:>12}{:>7}{:>13}{:>7}",
        "time until an intent is durable",
        "orders/s",
        "p50 ms",
        "p90 ms",
        "p99 ms",
        "sync p99 ms",
        "ratio",
        "group p99 ms",
        "ratio"
    );
    let group = FsyncPolicy::Group {
        max_delay: Duration::ZERO,
    };
    let loads = [
        ("one after the other", group, 1, None),
        ("1,000 a second", group, 64, Some(1_000)),
        ("5,000 a second", group, 64, Some(5_000)),
        ("10,000 a second", group, 128, Some(10_000)),
        ("64 at once, as fast as they can", group, 64, None),
        ("256 at once, as fast as they can", group, 256, None),
        ("a sync for each, 16 at once", FsyncPolicy::Always, 16, None),
    ];
    for (n, (name, fsync, callers, rate)) in loads.into_iter().enumerate() {
        // The disk of a shared machine changes from one second to the next: a bare loop before and
        // one after, the same file system, the same run.
        let mut syncs = bare(folder).await?;
        let load = Load {
            fsync,
            callers,
            rate,
        };
        let mut groups = load.group(folder).await?;
        let times = load.run(&folder.join(n.to_string())).await?;
        groups.extend(load.group(folder).await?);
        syncs.extend(bare(folder).await?);
        times.print(
            name,
            &Times::new(syncs, span()),
            &Times::new(groups, span()),
        );
    }
    start(folder).await
}

/// Times from the call to the answer.
struct Times {
    sorted: Vec<Duration>,
    span: Duration,
}

impl Times {
    fn new(mut times: Vec<Duration>, span: Duration) -> Self {
        times.sort_unstable();
        Self {
            sorted: times,
            span,
        }
    }

    fn at(&self, share: f64) -> f64 {
        let last = self.sorted.len().saturating_sub(1);
        let at = (last as f64 * share) as usize;
        self.sorted
            .get(at)
            .map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    }

    fn print(&self, name: &str, syncs: &Self, groups: &Self) {
        let rate = self.sorted.len() as f64 / self.span.as_secs_f64();
        let [p50, p90, p99] = [0.5, 0.9, 0.99].map(|share| self.at(share));
        let sync = syncs.at(0.99);
        let group = groups.at(0.99);
        let (to_sync, to_group) = (p99 / sync, p99 / group);
        println!(
            "{name:<34}{rate:>9.0}{p50:>9.2}{p90:>9.2}{p99:>9.2}{sync:>12.2}{to_sync:>7.1}{group:>13.2}{to_group:>7.1}"
        );
    }
}

fn intent(id: impl Into<Arc<str>>, at: SystemTime) -> Intent {
    // Clones of what is there once: a client has the bytes of its request anyway.
    let request = SavedRequest::new(&b"POST"[..], &b"/v2/orders"[..]).body(
        &br#"{"symbol":"AAPL","qty":"100","side":"buy","type":"limit","limit_price":"187.20"}"#[..],
    );
    Intent::new(id, Operation::Create, at).request(request)
}

/// The same journey of an order, in memory.
async fn memory() -> Outcome<()> {
    let journal = MemoryJournal::default();
    let at = SystemTime::now();
    let count = 500_000_usize;
    let mut best = f64::MAX;
    let mut ids = (0..count * 3)
        .map(|n| Arc::<str>::from(format!("desk-{n}")))
        .collect::<Vec<_>>();
    for _ in 0..3 {
        let ids = ids.split_off(ids.len() - count);
        let start = Instant::now();
        for id in ids {
            journal.append_sent(intent(Arc::clone(&id), at)).await?;
            journal
                .mark(&id, Mark::confirmed(at, &b"904837e3"[..], &b""[..]))
                .await?;
        }
        best = best.min(start.elapsed().as_secs_f64() / count as f64);
    }
    println!(
        "in memory, intent and outcome: {:.0} ns an order",
        best * 1e9
    );
    Ok(())
}

/// A loop of nothing but a write of a page and a sync, for a part of the span.
async fn bare(folder: &Path) -> Outcome<Vec<Duration>> {
    let path = folder.join("bare");
    let work = move || -> Outcome<Vec<Duration>> {
        let mut file = File::create(path)?;
        let page = [b'x'; 4096];
        file.set_len(64 * 4096)?;
        let mut times = Vec::new();
        let (start, span) = (Instant::now(), span() / 2);
        while start.elapsed() < span {
            let write = Instant::now();
            file.seek(SeekFrom::Start((times.len() % 64 * page.len()) as u64))?;
            file.write_all(&page)?;
            file.sync_data()?;
            times.push(write.elapsed());
        }
        Ok(times)
    };
    tokio::task::spawn_blocking(work).await?
}

/// Callers that each place one order after the other.
#[derive(Clone, Copy)]
struct Load {
    fsync: FsyncPolicy,
    callers: u32,
    /// Orders per second of all callers; as many as they can where it is not set.
    rate: Option<u32>,
}

impl Load {
    /// The times until an intent is durable, which is what the journal adds before a request may
    /// leave. The outcome is handed over, too, and not waited for.
    async fn run(self, path: &Path) -> Outcome<Times> {
        let config = DurableConfig::default().fsync(self.fsync)?;
        let journal = DurableJournal::open(path, config).await?;
        let start = Instant::now();
        let tasks: Vec<_> = (0..self.callers)
            .map(|caller| tokio::spawn(self.call(caller, journal.clone(), start)))
            .collect();
        let mut all = Vec::new();
        for task in tasks {
            all.extend(task.await??);
        }
        let times = Times::new(all, start.elapsed());
        journal.close().await?;
        Ok(times)
    }

    /// The same callers, where a thread does nothing but to write a page for all that wait, and to sync it;
    /// for a part of the span.
    async fn group(self, folder: &Path) -> Outcome<Vec<Duration>> {
        let (waits, waiting) = std::sync::mpsc::channel::<oneshot::Sender<()>>();
        let mut file = File::create(folder.join("group"))?;
        file.set_len(64 * 4096)?;
        let always = matches!(self.fsync, FsyncPolicy::Always);
        let writer = tokio::task::spawn_blocking(move || -> Outcome<()> {
            let mut pages = (0..64_u64).cycle();
            while let Ok(first) = waiting.recv() {
                let mut all = vec![first];
                if !always {
                    all.extend(waiting.try_iter());
                }
                let page = pages.next().unwrap_or_default();
                file.seek(SeekFrom::Start(page * 4096))?;
                file.write_all(&[b'x'; 4096])?;
                file.sync_data()?;
                for one in all {
                    // A caller that is gone does not wait.
                    let _ = one.send(());
                }
            }
            Ok(())
        });
        let start = Instant::now();
        let tasks: Vec<_> = (0..self.callers)
            .map(|caller| tokio::spawn(self.wait_for_group(caller, waits.clone(), start)))
            .collect();
        drop(waits);
        let mut all = Vec::new();
        for task in tasks {
            all.extend(task.await?);
        }
        writer.await??;
        Ok(all)
    }

    async fn wait_for_group(
        self,
        caller: u32,
        waits: std::sync::mpsc::Sender<oneshot::Sender<()>>,
        start: Instant,
    ) -> Vec<Duration> {
        let mut times = Vec::new();
        let mut pace = self.pace(caller);
        while start.elapsed() < span() / 2 {
            if let Some(pace) = &mut pace {
                pace.tick().await;
            }
            let call = Instant::now();
            let (sends, receives) = oneshot::channel();
            if waits.send(sends).is_err() || receives.await.is_err() {
                break;
            }
            times.push(call.elapsed());
        }
        times
    }

    /// When a caller places its orders.
    fn pace(self, caller: u32) -> Option<tokio::time::Interval> {
        self.rate.map(|rate| {
            let every = Duration::from_secs(1) * self.callers / rate;
            let first = tokio::time::Instant::now() + every * caller / self.callers;
            tokio::time::interval_at(first, every)
        })
    }

    async fn call(
        self,
        caller: u32,
        journal: DurableJournal,
        start: Instant,
    ) -> Result<Vec<Duration>, JournalError> {
        let mut times = Vec::new();
        let mut pace = self.pace(caller);
        let span = span();
        while start.elapsed() < span {
            if let Some(pace) = &mut pace {
                pace.tick().await;
            }
            let id = format!("desk-{caller}-{}", times.len());
            let at = SystemTime::now();
            let call = Instant::now();
            journal.append_sent(intent(id.as_str(), at)).await?;
            times.push(call.elapsed());
            drop(journal.mark(&id, Mark::confirmed(at, &b"904837e3"[..], &b""[..])));
        }
        Ok(times)
    }
}

/// Opens a long journal, after a clean end and after a kill.
async fn start(folder: &Path) -> Outcome<()> {
    let path = folder.join("long");
    let journal = DurableJournal::open(&path, DurableConfig::default()).await?;
    let at = SystemTime::now();
    for n in 0..ENTRIES {
        let id = n.to_string();
        let append = journal.append_sent(intent(id.as_str(), at));
        if n % (ENTRIES / OPEN) != 0 {
            drop(journal.mark(&id, Mark::confirmed(at, &b"904837e3"[..], &b""[..])));
        }
        if n % 1_000 == 0 {
            append.await?;
        }
    }
    // What a kill would leave: a copy while it is open.
    let killed = folder.join("killed");
    journal.entry("0").await?;
    std::fs::copy(&path, &killed)?;
    journal.close().await?;
    let megabytes = std::fs::metadata(&path)?.len() >> 20;
    println!("\n{ENTRIES} entries, {OPEN} open, {megabytes} MB");
    for (name, path) in [("closed", &path), ("killed", &killed)] {
        let start = Instant::now();
        let journal = DurableJournal::open(path, DurableConfig::default()).await?;
        let opened = start.elapsed();
        let page = journal.list(&Filter::open()).await?;
        let listed = start.elapsed();
        println!(
            "{name}: opened in {opened:.0?}, {} open ones listed in {:.1?}",
            page.entries.len(),
            listed - opened
        );
        journal.close().await?;
    }
    Ok(())
}
