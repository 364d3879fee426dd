//! A file that keeps what is used of a day's quota.

mod format;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use self::format::QuotaFileError;
use self::format::{Problem, absolute, read, write};

/// The files that are open.
static OPEN: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// A file that lets the quota of a day survive a restart and a crash.
///
/// The quota is taken from the file in leases of a hundredth, at least 1: a lease is written before
/// its first unit is granted. So a crash loses what was left of one lease, at most a
/// hundredth of the quota, and never grants more than the quota. What is left of a lease is given
/// back when the last clone of this value is dropped, or with [`save`](Self::save).
///
/// A new file is written next to the old one and renamed, so there is a complete file at any moment.
/// It survives the end of the process; whether it survives a power failure depends on the file
/// system, unless it is [`synced`](Self::synced). Writing blocks the call that needs a new lease:
/// some ten microseconds on a local disk, milliseconds when synced. Keep it off network drives.
///
/// When it cannot be written, calls depart nevertheless and are counted in memory; [`write_errors`](Self::write_errors) counts the failures, and the next lease tries
/// again.
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
/// A file of a day that has not yet come (the clock was set back) is kept: its count holds,
/// and the quota is renewed after that day.
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
    /// What of this day is in the file.
    leased: u64,
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
        if !open_files().insert(path.clone()) {
            return Err(Problem::Open.at(&path));
        }
        // Dropped on an early return, which marks the file as closed.
        let mut shared = Shared {
            path,
            sync: AtomicBool::new(false),
            usage: Mutex::default(),
        };
        let path = &shared.path;
        let (day, leased) = read(path).map_err(|problem| problem.at(path))?;
        // An error now rather than at the first grant.
        write(path, false, day, leased)
            .map_err(|e| Problem::Io("cannot be written", e).at(path))?;
        shared.usage = Mutex::new(Usage {
            day,
            // After a crash it is unknown how much of it was used.
            used: leased,
            leased,
            ..Usage::default()
        });
        let shared = Arc::new(shared);
        Ok(Self { shared })
    }

    /// Whether each write waits until the device has it. Default: no.
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

    /// Advances to a day, and returns the day of the file now.
    pub(crate) fn enter(&self, day: i64) -> i64 {
        let mut usage = self.shared.lock();
        if day > usage.day {
            usage.day = day;
            usage.used = 0;
            usage.leased = 0;
        }
        usage.day
    }

    /// How much is used of the day.
    pub(crate) fn used(&self) -> u64 {
        self.shared.lock().used
    }

    /// Uses more. A lease is at most what is left of `count`.
    pub(crate) fn take(&self, cost: u64, count: u64) {
        let mut usage = self.shared.lock();
        usage.used = usage.used.saturating_add(cost);
        if usage.used > usage.leased {
            let lease = (count / 100).max(1);
            let leased = usage
                .leased
                .saturating_add(lease)
                .min(count)
                .max(usage.used);
            // A failure is counted; the next lease tries again.
            let _ = self.shared.write(&mut usage, leased);
            usage.leased = leased;
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
            Ok(()) => usage.leased = leased,
            Err(error) => {
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
        let (day, used, leased) = (usage.day, usage.used, usage.leased);
        if used != leased {
            // An error cannot be reported here, and the file is on the safe side.
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
