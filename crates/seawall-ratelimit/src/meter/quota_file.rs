//! What is used of a day's quota, in a file.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A file that remembers how much of a day's quota is used, over restarts and crashes.
///
/// The file is written *before* what it counts departs, and ahead of it: one write covers the next
/// hundredth of the quota. So a process that is killed may lose up to that much of the day's quota,
/// and never grants more of it than there is. When the last clone of this value is dropped, the
/// exact number is written. A write is a small file and a rename, on the thread of the call that
/// needs it; it is not synced to the disk, so a machine that loses its power may lose the last
/// ones.
///
/// One that cannot be written (a full disk) refuses nobody: the count goes on in memory, and
/// [`write_errors`](Self::write_errors) counts.
///
/// Limits that have clones of one value share its quota. Open a file once: two values of the same
/// path, or two processes, overwrite each other.
///
/// The file is three lines of text, the day being counted from 1970-01-01:
///
/// ```text
/// seawall-quota 1
/// day 20778
/// used 125
/// ```
///
/// ```no_run
/// use seawall_ratelimit::{Limit, Midnight, QuotaFile};
///
/// let file = QuotaFile::open("/var/lib/desk/alpha-vantage.quota")?;
/// let quota = Limit::daily(25, Midnight::utc()).kept_in(file);
/// # Ok::<(), seawall_ratelimit::QuotaFileError>(())
/// ```
#[derive(Clone)]
pub struct QuotaFile {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    count: Mutex<Count>,
    write_errors: AtomicU64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    day: i64,
    used: u64,
    /// What the file says: at least what is used.
    leased: u64,
}

const HEAD: &str = "seawall-quota 1";

/// One write covers this part of a quota.
const LEASES: u64 = 100;

impl QuotaFile {
    /// Reads the file, if there is one.
    ///
    /// # Errors
    ///
    /// [`QuotaFileError`] when it is there and cannot be read, or is no file of this kind. Nothing
    /// is overwritten then.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, QuotaFileError> {
        let path = path.into();
        let count = match fs::read_to_string(&path) {
            Ok(text) => match parse(&text) {
                Ok(count) => count,
                Err(found) => return Err(QuotaFileError::new(path, Cause::Format(found))),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Count {
                day: i64::MIN,
                ..Count::default()
            },
            Err(error) => return Err(QuotaFileError::new(path, Cause::Io(error))),
        };
        Ok(Self {
            inner: Arc::new(Inner {
                path,
                count: Mutex::new(count),
                write_errors: AtomicU64::new(0),
            }),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// How often the file could not be written.
    pub fn write_errors(&self) -> u64 {
        self.inner.write_errors.load(Ordering::Relaxed)
    }

    /// Writes the exact number now.
    ///
    /// # Errors
    ///
    /// [`QuotaFileError`] when it cannot be written.
    pub fn save(&self) -> Result<(), QuotaFileError> {
        let mut count = self.lock();
        self.inner.save(&mut count)
    }

    /// The day that is counted: the given one, or a later one that was counted before.
    pub(super) fn used(&self, day: i64) -> (i64, u64) {
        let mut count = self.lock();
        count.turn_to(day);
        (count.day, count.used)
    }

    /// Uses so much of a quota of `quota`.
    pub(super) fn add(&self, day: i64, cost: u64, quota: u64) {
        let mut count = self.lock();
        count.turn_to(day);
        count.used = count.used.saturating_add(cost);
        self.lease(&mut count, quota);
    }

    /// Has used at least so much.
    pub(super) fn raise(&self, day: i64, used: u64, quota: u64) {
        let mut count = self.lock();
        count.turn_to(day);
        if used > count.used {
            count.used = used;
            self.lease(&mut count, quota);
        }
    }

    /// Gives back so much; the file learns of it later.
    pub(super) fn sub(&self, day: i64, cost: u64) {
        let mut count = self.lock();
        if count.day == day {
            count.used = count.used.saturating_sub(cost);
        }
    }

    fn lease(&self, count: &mut Count, quota: u64) {
        if count.used <= count.leased {
            return;
        }
        let ahead = count.used.saturating_add(quota / LEASES);
        let lease = ahead.min(quota).max(count.used);
        match write(&self.inner.path, count.day, lease) {
            Ok(()) => count.leased = lease,
            Err(_told_by_the_counter) => {
                self.inner.write_errors.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Count> {
        self.inner.lock()
    }
}

impl Count {
    fn turn_to(&mut self, day: i64) {
        if day > self.day {
            *self = Self {
                day,
                used: 0,
                leased: 0,
            };
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn save(&self, count: &mut Count) -> Result<(), QuotaFileError> {
        if count.day == i64::MIN || count.leased == count.used {
            return Ok(());
        }
        match write(&self.path, count.day, count.used) {
            Ok(()) => {
                count.leased = count.used;
                Ok(())
            }
            Err(error) => {
                self.write_errors.fetch_add(1, Ordering::Relaxed);
                Err(QuotaFileError::new(self.path.clone(), Cause::Io(error)))
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let mut count = *self.lock();
        // There is nobody left to tell; what the file says is not less than what is used.
        let _ = self.save(&mut count);
    }
}

/// To a file beside it first: whoever reads meanwhile sees the old one or the new one.
fn write(path: &Path, day: i64, used: u64) -> io::Result<()> {
    let mut beside = OsString::from(path);
    beside.push(".new");
    let mut file = fs::File::create(&beside)?;
    file.write_all(format!("{HEAD}\nday {day}\nused {used}\n").as_bytes())?;
    fs::rename(&beside, path)
}

fn parse(text: &str) -> Result<Count, String> {
    let mut lines = text.lines();
    let mut line = || lines.next().unwrap_or("nothing");
    let head = line();
    if head != HEAD {
        return Err(shown(head));
    }
    let (day, used) = (line(), line());
    let number = |line: &str, name: &str| line.strip_prefix(name)?.parse::<i64>().ok();
    match (number(day, "day "), number(used, "used ")) {
        (Some(day), Some(used_up)) if used_up >= 0 => Ok(Count {
            day,
            used: used_up.unsigned_abs(),
            leased: used_up.unsigned_abs(),
        }),
        (None, _) => Err(shown(day)),
        _ => Err(shown(used)),
    }
}

/// As much of a line as a person wants to see of it.
fn shown(line: &str) -> String {
    format!("{:?}", line.chars().take(40).collect::<String>())
}

impl PartialEq for QuotaFile {
    fn eq(&self, other: &Self) -> bool {
        self.inner.path == other.inner.path
    }
}

impl fmt::Debug for QuotaFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuotaFile")
            .field("path", &self.inner.path)
            .field("count", &*self.lock())
            .finish_non_exhaustive()
    }
}

/// Why a [`QuotaFile`] could not be read or written.
#[derive(Debug)]
pub struct QuotaFileError {
    path: PathBuf,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    Io(io::Error),
    /// What was found instead.
    Format(String),
}

impl QuotaFileError {
    const fn new(path: PathBuf, cause: Cause) -> Self {
        Self { path, cause }
    }

    /// Which file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Display for QuotaFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.cause {
            Cause::Io(error) => write!(f, "quota file `{path}`: {error}"),
            Cause::Format(found) => write!(
                f,
                "quota file `{path}` has {found}, accepted are the lines `{HEAD}`, `day` and \
                 `used` with a whole number each"
            ),
        }
    }
}

impl std::error::Error for QuotaFileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            Cause::Io(error) => Some(error),
            Cause::Format(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path of its own in the folder for temporary files, and no file there.
    fn fresh(name: &str) -> PathBuf {
        let name = format!("seawall-{}-{name}.quota", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_file(&path);
        path
    }

    fn in_file(path: &Path) -> (i64, u64) {
        let count = parse(&fs::read_to_string(path).unwrap()).unwrap();
        (count.day, count.used)
    }

    #[test]
    fn what_departs_is_in_the_file_before() {
        let path = fresh("before");
        let file = QuotaFile::open(&path).unwrap();
        assert_eq!(file.used(7), (7, 0));
        file.add(7, 1, 1_000);
        // A hundredth ahead.
        assert_eq!(in_file(&path), (7, 11));
        file.add(7, 10, 1_000);
        assert_eq!(in_file(&path), (7, 11));
        file.add(7, 1, 1_000);
        assert_eq!(in_file(&path), (7, 22));
        // As after a crash.
        let again = QuotaFile::open(&path).unwrap();
        assert_eq!(again.used(7), (7, 22));
        file.sub(7, 2);
        drop(file);
        assert_eq!(in_file(&path), (7, 10));
        assert_eq!(again.used(8), (8, 0));
        // The clock went back: the later day is the one that counts.
        assert_eq!(again.used(6), (8, 0));
        again.raise(6, 25, 25);
        assert_eq!((again.used(8), in_file(&path)), ((8, 25), (8, 25)));
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn what_is_no_such_file_is_refused_and_left_alone() {
        let path = fresh("garbage");
        for garbage in [
            "",
            "seawall-quota 2\nday 1\nused 1\n",
            "seawall-quota 1\nday x\nused 1\n",
            "seawall-quota 1\nday 1\nused -1\n",
            "seawall-quota 1\nday 1\n",
        ] {
            fs::write(&path, garbage).unwrap();
            let error = QuotaFile::open(&path).unwrap_err();
            assert_eq!(error.path(), path);
            assert!(
                error.to_string().contains("accepted are the lines"),
                "{error}"
            );
            assert_eq!(fs::read_to_string(&path).unwrap(), garbage);
        }
        fs::remove_file(path).unwrap();
        let folder = std::env::temp_dir();
        assert!(QuotaFile::open(folder).is_err());
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_goes_on() {
        let path = std::env::temp_dir().join("seawall-no-such-folder/x.quota");
        let file = QuotaFile::open(&path).unwrap();
        file.add(1, 1, 10);
        file.add(1, 1, 10);
        assert_eq!((file.used(1), file.write_errors()), ((1, 2), 2));
        assert!(file.save().is_err());
    }
}
