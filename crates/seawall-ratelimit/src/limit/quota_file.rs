//! A file that keeps what is used of a day's quota.

mod format;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use self::format::QuotaFileError;
use self::format::{Problem, absolute, check_name, read, write};

/// The files that are open.
static OPEN: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// A file that lets the quota of a day survive a restart and a crash.
///
/// The quota is taken from the file in leases of a hundredth, at least 1: a lease is written before
/// its first unit is granted. So a crash loses what was left of one lease, at most a
/// hundredth of the quota, and never grants more than the quota. What is left of a lease is given
/// back when the last clone of this value is dropped, or with [`save`](Self::save).
///
/// A new file is written next to the old one, with `.seawall-quota-new` after its name, and renamed
/// when the device has it. So there is a complete file at any moment, also after a power failure.
/// Writing blocks the call that needs a new lease: for milliseconds, or some ten microseconds without
/// [`synced`](Self::synced). Keep it off network drives.
///
/// When it cannot be written, calls depart nevertheless and are counted in memory. The failure is
/// emitted as an event and counted by [`write_errors`](Self::write_errors), and the next calls try
/// again: at once, then after 2, 4, 8, ... units, at most a lease. So the file has what was used soon
/// after it can be written, and when the last clone of this value is dropped.
///
/// The file belongs to one limit of one process: it cannot be opened twice in a process, and two
/// processes that share it would each grant what the other has left. Clones share one count.
///
/// It is plain text of three lines: the format, the number of the day counted from 1970-01-01 in
/// the zone of the quota, and what is used or leased of that day.
///
/// ```text
/// seawall-quota 1
/// day 20778
/// used 1250
/// ```
///
/// A file of a day that has not yet come (a clock was wrong, then or now) is kept: its count holds
/// for today, and the quota is renewed after that.
///
/// ```
/// use seawall_ratelimit::QuotaFile;
///
/// let path = std::env::temp_dir().join(format!("quota-of-an-example-{}", std::process::id()));
/// let orders = QuotaFile::open(&path)?;
/// let twice = QuotaFile::open(&path).unwrap_err();
/// assert!(twice.to_string().ends_with("is open already: each limit needs a file of its own"));
/// # drop(orders);
/// # std::fs::remove_file(path).unwrap();
/// # Ok::<(), seawall_ratelimit::QuotaFileError>(())
/// ```
#[derive(Clone)]
pub struct QuotaFile {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    sync: AtomicBool,
    usage: Mutex<Usage>,
}

#[derive(Debug, Default)]
struct Usage {
    day: i64,
    used: u64,
    /// Up to which usage no further write is needed: what of this day is in the file, or, after a
    /// failure, when the next one is tried.
    leased: u64,
    /// The day and the usage that are in the file.
    written: (i64, u64),
    /// How many writes have failed in a row.
    failed: u32,
    errors: u64,
    last_error: Option<String>,
}

impl QuotaFile {
    /// Reads the file, or makes a new one.
    ///
    /// # Errors
    ///
    /// [`QuotaFileError`] when the file is open already; when it cannot be read or written; when
    /// it is not a file of this format and version. A file that is not understood is left as it
    /// is.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, QuotaFileError> {
        let path = path.as_ref();
        let path =
            absolute(path).map_err(|e| Problem::Io("its folder cannot be found", e).at(path))?;
        check_name(&path).map_err(|problem| problem.at(&path))?;
        if !open_files().insert(path.clone()) {
            return Err(Problem::Open.at(&path));
        }
        // Dropped on an early return, which marks the file as closed.
        let mut shared = Shared {
            path,
            sync: AtomicBool::new(true),
            usage: Mutex::default(),
        };
        let path = &shared.path;
        let (day, leased) = read(path).map_err(|problem| problem.at(path))?;
        // An error now rather than at the first grant.
        write(path, true, day, leased).map_err(|e| Problem::Io("cannot be written", e).at(path))?;
        shared.usage = Mutex::new(Usage {
            day,
            // After a crash it is unknown how much of it was used.
            used: leased,
            leased,
            written: (day, leased),
            ..Usage::default()
        });
        let shared = Arc::new(shared);
        Ok(Self { shared })
    }

    /// Whether each write waits until the device has it, so that it survives a power failure.
    /// Default: yes. Without, it survives the end of the process, and a power failure may leave a file
    /// that is not understood.
    #[must_use]
    pub fn synced(self, on: bool) -> Self {
        self.shared.sync.store(on, Ordering::Relaxed);
        self
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Gives back what is left of the lease: the file then has exactly what is used.
    ///
    /// # Errors
    ///
    /// [`QuotaFileError`] when the file cannot be written; the lease stays.
    pub fn save(&self) -> Result<(), QuotaFileError> {
        let mut usage = self.shared.lock();
        let used = usage.used;
        self.shared
            .write(&mut usage, used)
            .map_err(|e| Problem::Io("cannot be written", e).at(self.path()))
    }

    /// How often the file could not be written since it was opened.
    pub fn write_errors(&self) -> u64 {
        self.shared.lock().errors
    }

    /// Why the file could not be written the last time that it could not.
    pub fn last_error(&self) -> Option<String> {
        self.shared.lock().last_error.clone()
    }

    /// The day of the file.
    pub(crate) fn day(&self) -> i64 {
        self.shared.lock().day
    }

    /// Begins another day, of which nothing is used.
    pub(crate) fn begin(&self, day: i64) {
        let mut usage = self.shared.lock();
        (usage.day, usage.used, usage.leased) = (day, 0, 0);
        usage.failed = 0;
    }

    /// How much is used of the day.
    pub(crate) fn used(&self) -> u64 {
        self.shared.lock().used
    }

    /// Uses more. A lease is at most what is left of `count`.
    pub(crate) fn take(&self, cost: u64, count: u64) {
        let mut usage = self.shared.lock();
        usage.used = usage.used.saturating_add(cost);
        if usage.used <= usage.leased {
            return;
        }
        let lease = (count / 100).max(1);
        let leased = usage.used.saturating_sub(cost).saturating_add(lease);
        let leased = leased.min(count).max(usage.used);
        if self.shared.write(&mut usage, leased).is_err() {
            let units = 1_u64 << (usage.failed - 1).min(63);
            usage.leased = usage.used.saturating_add(units.min(lease) - 1);
        }
    }

    /// Uses less; the lease stays.
    pub(crate) fn give_back(&self, cost: u64) {
        let mut usage = self.shared.lock();
        usage.used = usage.used.saturating_sub(cost);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Usage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, usage: &mut Usage, leased: u64) -> io::Result<()> {
        let sync = self.sync.load(Ordering::Relaxed);
        let written = write(&self.path, sync, usage.day, leased);
        match &written {
            Ok(()) => {
                usage.leased = leased;
                usage.written = (usage.day, leased);
                usage.failed = 0;
            }
            Err(error) => {
                usage.failed = usage.failed.saturating_add(1);
                usage.errors = usage.errors.saturating_add(1);
                usage.last_error = Some(error.to_string());
            }
        }
        written
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let usage = self.usage.get_mut().unwrap_or_else(PoisonError::into_inner);
        let (day, used) = (usage.day, usage.used);
        if usage.written != (day, used) {
            // An error cannot be reported here.
            let sync = *self.sync.get_mut();
            let _ = write(&self.path, sync, day, used);
        }
        open_files().remove(&self.path);
    }
}

/// Equal when they are clones of one value.
impl PartialEq for QuotaFile {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl fmt::Debug for QuotaFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("QuotaFile");
        debug.field("path", &self.shared.path);
        debug.field("usage", &*self.shared.lock()).finish()
    }
}

fn open_files() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(crate) mod tests;
