//! A file that keeps what is used of a day's quota.

use std::collections::BTreeSet;
use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The first line of a file.
const FORMAT: &str = "seawall-quota 1";

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
        let read = read(path).map_err(|problem| problem.at(path))?;
        // An error now rather than at the first grant.
        write(path, false, read.day, read.leased)
            .map_err(|e| Problem::Io("cannot be written", e).at(path))?;
        shared.usage = Mutex::new(read);
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

/// One spelling for each file, also while it does not exist.
fn absolute(path: &Path) -> io::Result<PathBuf> {
    if let Ok(there) = fs::canonicalize(path) {
        return Ok(there);
    }
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    Ok(fs::canonicalize(folder)?.join(name))
}

fn read(path: &Path) -> Result<Usage, Problem> {
    const LONGEST: u64 = 1_024;
    let unreadable = |e| Problem::Io("cannot be read", e);
    let bytes = match fs::metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Usage::default()),
        Err(e) => return Err(unreadable(e)),
        Ok(about) if about.len() > LONGEST => {
            return Err(Problem::Foreign(format!("{} bytes", about.len())));
        }
        Ok(_) => fs::read(path).map_err(unreadable)?,
    };
    let Ok(text) = String::from_utf8(bytes) else {
        return Err(Problem::Foreign("bytes that are not text".into()));
    };
    let (day, leased) = parse(&text).map_err(Problem::Foreign)?;
    Ok(Usage {
        day,
        // After a crash it is unknown how much of it was used.
        used: leased,
        leased,
        ..Usage::default()
    })
}

/// The day and what is leased; or the line that is wrong.
fn parse(text: &str) -> Result<(i64, u64), String> {
    // A number that was cut off does not count.
    let whole = text.strip_suffix('\n');
    let mut lines = whole.ok_or("no end of the last line")?.split('\n');
    let mut field = |key: &str| {
        let line = lines.next().unwrap_or_default();
        let value = line.strip_prefix(key).ok_or_else(|| format!("{line:?}"));
        value.map(|value| (value, line))
    };
    let ("", _) = field(FORMAT)? else {
        return Err(format!("{:?}", text.lines().next().unwrap_or_default()));
    };
    let (day, line) = field("day ")?;
    let day = number(day).and_then(|day| i64::try_from(day).ok());
    let day = day.ok_or_else(|| format!("{line:?}"))?;
    let (leased, line) = field("used ")?;
    let leased = number(leased).ok_or_else(|| format!("{line:?}"))?;
    match lines.next() {
        None => Ok((day, leased)),
        Some(more) => Err(format!("{more:?}")),
    }
}

/// Digits and nothing else.
fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

fn write(path: &Path, sync: bool, day: i64, leased: u64) -> io::Result<()> {
    let mut beside: OsString = path.into();
    beside.push(".tmp");
    let text = format!("{FORMAT}\nday {day}\nused {leased}\n");
    let mut file = File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    if sync {
        file.sync_all()?;
    }
    drop(file);
    fs::rename(&beside, path)?;
    if sync && let Some(folder) = path.parent() {
        // Not every platform can do this; where it cannot, the rename is all that can be done.
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    Ok(())
}

/// Why a [`QuotaFile`] cannot be used: the file, what was found, and what is accepted.
#[derive(Debug)]
pub struct QuotaFileError {
    path: PathBuf,
    problem: Problem,
}

#[derive(Debug)]
enum Problem {
    Open,
    Io(&'static str, io::Error),
    Foreign(String),
}

impl Problem {
    fn at(self, path: &Path) -> QuotaFileError {
        let path = path.to_owned();
        QuotaFileError {
            path,
            problem: self,
        }
    }
}

impl QuotaFileError {
    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Display for QuotaFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "quota file {:?} ", self.path)?;
        match &self.problem {
            Problem::Open => f.write_str("is open already: each limit needs a file of its own"),
            Problem::Io(doing, error) => write!(f, "{doing}: {error}"),
            Problem::Foreign(found) => write!(
                f,
                "has {found} in it, accepted are the lines {FORMAT:?}, \"day ..\" and \"used ..\", \
                 with whole numbers"
            ),
        }
    }
}

impl Error for QuotaFileError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.problem {
            Problem::Io(_, error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
