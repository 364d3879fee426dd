//! A file that remembers what is used of a day's quota.

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
/// The quota is drawn from the file in leases of a hundredth, at least 1: a lease is written
/// before the first unit of it is granted. So a crash loses what was left of one lease, at most a
/// hundredth of the quota, and never grants more than the quota. What is left of a lease returns
/// when the last clone of this value is dropped, or with [`save`](Self::save).
///
/// The file is written next to itself and renamed, so it is the old one or the new one at any
/// moment. That survives the end of the process; what survives a power failure is up to the file
/// system, unless [`synced`](Self::synced). The writing blocks the call that needs a new lease:
/// some ten microseconds on a local disk, milliseconds when synced; keep it off network drives.
///
/// When it cannot be written while calls depart, they depart nevertheless and are counted in
/// memory; [`write_errors`](Self::write_errors) counts the failures, and the next lease tries
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
/// A file of a day that has not yet come (the clock was set back) is respected: its count holds,
/// and the quota comes anew after that day.
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
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
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
            absolute(path).map_err(|e| What::Io("its folder cannot be found", e).at(path))?;
        if !open_files().insert(path.clone()) {
            return Err(What::Open.at(&path));
        }
        // Dropped on an early return, which marks the file as closed.
        let mut shared = Shared {
            path,
            sync: AtomicBool::new(false),
            kept: Mutex::default(),
        };
        let path = &shared.path;
        let read = read(path).map_err(|what| what.at(path))?;
        // Better told now than at the first grant.
        write(path, false, read.day, read.leased)
            .map_err(|e| What::Io("cannot be written", e).at(path))?;
        shared.kept = Mutex::new(read);
        let shared = Arc::new(shared);
        Ok(Self { shared })
    }

    /// Whether each write waits until the device has it. Default: no.
    #[must_use]
    pub fn synced(self, on: bool) -> Self {
        self.shared.sync.store(on, Ordering::Relaxed);
        self
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Gives back what is left of the lease: the file says what is used, to the last unit.
    ///
    /// # Errors
    ///
    /// [`QuotaFileError`] when the file cannot be written; the lease stays.
    pub fn save(&self) -> Result<(), QuotaFileError> {
        let mut kept = self.shared.lock();
        let used = kept.used;
        self.shared
            .write(&mut kept, used)
            .map_err(|e| What::Io("cannot be written", e).at(self.path()))
    }

    /// How often the file could not be written since it was opened.
    pub fn write_errors(&self) -> u64 {
        self.shared.lock().errors
    }

    /// Why the file could not be written the last time that it could not.
    pub fn last_error(&self) -> Option<String> {
        self.shared.lock().last_error.clone()
    }

    /// Steps on to a day, and says which one it is now.
    pub(crate) fn enter(&self, day: i64) -> i64 {
        let mut kept = self.shared.lock();
        if day > kept.day {
            kept.day = day;
            kept.used = 0;
            kept.leased = 0;
        }
        kept.day
    }

    /// What is used of the day.
    pub(crate) fn used(&self) -> u64 {
        self.shared.lock().used
    }

    /// Uses more. A lease is at most what is left of `count`.
    pub(crate) fn take(&self, cost: u64, count: u64) {
        let mut kept = self.shared.lock();
        kept.used = kept.used.saturating_add(cost);
        if kept.used > kept.leased {
            let lease = (count / 100).max(1);
            let leased = kept.leased.saturating_add(lease).min(count).max(kept.used);
            // A failure is counted; the next lease tries again.
            let _ = self.shared.write(&mut kept, leased);
            kept.leased = leased;
        }
    }

    /// Uses less; stays in the lease.
    pub(crate) fn give_back(&self, cost: u64) {
        let mut kept = self.shared.lock();
        kept.used = kept.used.saturating_sub(cost);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, kept: &mut Kept, leased: u64) -> io::Result<()> {
        let sync = self.sync.load(Ordering::Relaxed);
        let written = write(&self.path, sync, kept.day, leased);
        match &written {
            Ok(()) => kept.leased = leased,
            Err(error) => {
                kept.errors = kept.errors.saturating_add(1);
                kept.last_error = Some(error.to_string());
            }
        }
        written
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let kept = self.kept.get_mut().unwrap_or_else(PoisonError::into_inner);
        let (day, used, leased) = (kept.day, kept.used, kept.leased);
        if used != leased {
            // Nobody is left to be told, and what the file says is on the safe side.
            let sync = *self.sync.get_mut();
            let _ = write(&self.path, sync, day, used);
        }
        open_files().remove(&self.path);
    }
}

/// Of the same file: clones of one value.
impl PartialEq for QuotaFile {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl fmt::Debug for QuotaFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("QuotaFile");
        debug.field("path", &self.shared.path);
        debug.field("kept", &*self.shared.lock()).finish()
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

fn read(path: &Path) -> Result<Kept, What> {
    const LONGEST: u64 = 1_024;
    let unreadable = |e| What::Io("cannot be read", e);
    let bytes = match fs::metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Kept::default()),
        Err(e) => return Err(unreadable(e)),
        Ok(about) if about.len() > LONGEST => {
            return Err(What::Foreign(format!("{} bytes", about.len())));
        }
        Ok(_) => fs::read(path).map_err(unreadable)?,
    };
    let Ok(text) = String::from_utf8(bytes) else {
        return Err(What::Foreign("bytes that are no text".into()));
    };
    let (day, leased) = parse(&text).map_err(What::Foreign)?;
    Ok(Kept {
        day,
        // After a crash nobody knows what of it was used.
        used: leased,
        leased,
        ..Kept::default()
    })
}

/// The day and what is leased; or the line that is not as it should be.
fn parse(text: &str) -> Result<(i64, u64), String> {
    // A number that was cut off is no number.
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
        // Not every platform can; where it cannot, the rename is as lasting as it gets.
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    Ok(())
}

/// Why a [`QuotaFile`] cannot be used: names the file, what was found, and what is expected.
#[derive(Debug)]
pub struct QuotaFileError {
    path: PathBuf,
    what: What,
}

#[derive(Debug)]
enum What {
    Open,
    Io(&'static str, io::Error),
    Foreign(String),
}

impl What {
    fn at(self, path: &Path) -> QuotaFileError {
        let path = path.to_owned();
        QuotaFileError { path, what: self }
    }
}

impl QuotaFileError {
    /// The file that was meant.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Display for QuotaFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "quota file {:?} ", self.path)?;
        match &self.what {
            What::Open => f.write_str("is open already: each limit needs a file of its own"),
            What::Io(doing, error) => write!(f, "{doing}: {error}"),
            What::Foreign(found) => write!(
                f,
                "has {found} in it, accepted are the lines {FORMAT:?}, \"day ..\" and \"used ..\", \
                 with whole numbers"
            ),
        }
    }
}

impl Error for QuotaFileError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.what {
            What::Io(_, error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
