//! Who has commanded what, and why: a file that is only appended to, and the last entries in memory.

use std::collections::VecDeque;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tokio::runtime::Handle;
use utoipa::ToSchema;

/// How many entries are kept in memory.
pub(crate) const KEPT: usize = 1_000;
/// How long until what could not be written is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// An entry of the audit log: a line of JSON in its file.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct AuditEntry {
    /// The number of the entry since the program started, from 1.
    pub(crate) number: u64,
    /// When, in milliseconds since 1970.
    pub(crate) at_unix_ms: u64,
    /// The name of the token.
    pub(crate) who: String,
    /// From where, if that is known.
    pub(crate) from: Option<String>,
    /// What was asked for: `block`, `configure`, `engage_kill_switch`.
    pub(crate) action: String,
    /// Of what: `breaker/alpaca`.
    pub(crate) target: String,
    /// Why.
    pub(crate) reason: String,
    /// After how many seconds it is to end by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires_in_seconds: Option<u64>,
    /// `requested` before it is carried out, then `done`, `rejected: ..`, `expired`.
    pub(crate) outcome: String,
}

impl AuditEntry {
    pub(crate) fn of(who: String, action: &str, target: String) -> Self {
        Self {
            number: 0,
            at_unix_ms: 0,
            who,
            from: None,
            action: action.to_owned(),
            target,
            reason: String::new(),
            expires_in_seconds: None,
            outcome: String::new(),
        }
    }
}

/// The audit log. Clones are the same log.
#[derive(Clone)]
pub(crate) struct AuditLog(Arc<Shared>);

struct Shared {
    path: Option<PathBuf>,
    log: Mutex<Log>,
    /// How many entries of `Log::unwritten` there are: read without waiting for the disk.
    unwritten: AtomicUsize,
    lost: AtomicU64,
}

struct Log {
    file: Option<File>,
    number: u64,
    recent: VecDeque<AuditEntry>,
    /// Whether the last line in the file may be half of one.
    is_torn: bool,
    /// Entries of what was done already, which the file lacks.
    unwritten: VecDeque<AuditEntry>,
    /// Whether a task tries these again.
    is_retrying: bool,
}

impl AuditLog {
    pub(crate) fn in_memory() -> Self {
        Self::new(None, None, false)
    }

    /// Opens a file to append to.
    pub(crate) fn file(path: &Path) -> io::Result<Self> {
        let (file, is_torn) = open(path)?;
        Ok(Self::new(Some(path.to_owned()), Some(file), is_torn))
    }

    fn new(path: Option<PathBuf>, file: Option<File>, is_torn: bool) -> Self {
        Self(Arc::new(Shared {
            path,
            log: Mutex::new(Log {
                file,
                number: 0,
                recent: VecDeque::new(),
                is_torn,
                unwritten: VecDeque::new(),
                is_retrying: false,
            }),
            unwritten: AtomicUsize::new(0),
            lost: AtomicU64::new(0),
        }))
    }

    /// Appends an entry, and waits until the disk has it, and all before it. Blocks.
    pub(crate) fn append(&self, entry: AuditEntry) -> io::Result<()> {
        let mut log = self.0.lock();
        let entry = log.numbered(entry);
        self.0.write_unwritten(&mut log)?;
        log.write(self.0.path.as_deref(), &entry)?;
        log.remember(entry);
        Ok(())
    }

    /// Appends an entry of what was done already. Where the disk does not have it, it is kept, and tried again until
    /// it has. Blocks, on a thread of a tokio runtime.
    pub(crate) fn note(&self, entry: AuditEntry) {
        let mut log = self.0.lock();
        let entry = log.numbered(entry);
        log.remember(entry.clone());
        if log.unwritten.len() == KEPT {
            log.unwritten.pop_front();
            self.0.lost.fetch_add(1, Ordering::Relaxed);
        }
        log.unwritten.push_back(entry);
        if self.0.write_unwritten(&mut log).is_err() && !log.is_retrying {
            log.is_retrying = true;
            Handle::current().spawn(retry(Arc::downgrade(&self.0)));
        }
    }

    /// How many entries of what was done the file lacks.
    pub(crate) fn unwritten(&self) -> usize {
        self.0.unwritten.load(Ordering::Relaxed)
    }

    /// How many it will never have, since there were too many of these.
    pub(crate) fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }

    /// The last entries, the newest first.
    pub(crate) fn recent(&self, most: usize) -> Vec<AuditEntry> {
        let log = self.0.lock();
        log.recent.iter().rev().take(most).cloned().collect()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what the file lacks, the oldest first.
    fn write_unwritten(&self, log: &mut Log) -> io::Result<()> {
        let mut written = Ok(());
        while let Some(entry) = log.unwritten.pop_front() {
            written = log.write(self.path.as_deref(), &entry);
            if written.is_err() {
                log.unwritten.push_front(entry);
                break;
            }
        }
        self.unwritten.store(log.unwritten.len(), Ordering::Relaxed);
        written
    }
}

impl Log {
    fn numbered(&mut self, mut entry: AuditEntry) -> AuditEntry {
        self.number += 1;
        entry.number = self.number;
        entry.at_unix_ms = unix_ms(SystemTime::now());
        entry
    }

    fn remember(&mut self, entry: AuditEntry) {
        if self.recent.len() == KEPT {
            self.recent.pop_front();
        }
        self.recent.push_back(entry);
    }

    fn write(&mut self, path: Option<&Path>, entry: &AuditEntry) -> io::Result<()> {
        let (Some(path), Some(file)) = (path, &mut self.file) else {
            return Ok(());
        };
        if !is_at(file, path) {
            // It was moved, or deleted.
            (*file, self.is_torn) = open(path)?;
        }
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        if std::mem::replace(&mut self.is_torn, true) {
            line.insert(0, b'\n');
        }
        file.write_all(&line)?;
        file.sync_data()?;
        self.is_torn = false;
        Ok(())
    }
}

/// Tries what is not written again, until all of it is.
async fn retry(shared: Weak<Shared>) {
    loop {
        tokio::time::sleep(RETRY).await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let done = tokio::task::spawn_blocking(move || {
            let mut log = shared.lock();
            let is_written = shared.write_unwritten(&mut log).is_ok();
            log.is_retrying = !is_written;
            is_written
        });
        if done.await.unwrap_or(false) {
            return;
        }
    }
}

/// Opens a file to append to, and whether its last line may be half of one: what was written before may have
/// been cut short by a crash.
fn open(path: &Path) -> io::Result<(File, bool)> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    Ok((file, !ends_a_line(path)?))
}

/// Whether a file is the one that has that path now.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (Ok(file), Ok(path)) = (file.metadata(), path.metadata()) else {
        return false;
    };
    (file.dev(), file.ino()) == (path.dev(), path.ino())
}

/// Whether there is a file of that path: which one is not known on this system.
#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLog")
            .field("path", &self.0.path)
            .finish_non_exhaustive()
    }
}

/// Whether a file is empty or ends with the end of a line.
fn ends_a_line(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// Milliseconds since 1970; 0 before that.
pub(crate) fn unix_ms(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(action: &str) -> AuditEntry {
        AuditEntry {
            number: 0,
            at_unix_ms: 0,
            who: "alice".into(),
            from: None,
            action: action.into(),
            target: "breaker/alpaca".into(),
            reason: "a drill\nwith two lines".into(),
            expires_in_seconds: None,
            outcome: "done".into(),
        }
    }

    #[test]
    fn a_file_is_appended_to_and_half_a_line_spoils_no_other() {
        let path = std::env::temp_dir().join(format!("seawall-audit-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        AuditLog::file(&path)
            .expect("a file")
            .append(entry("block"))
            .expect("written");
        let mut file = OpenOptions::new()
            .append(true)
            .open(&path)
            .expect("the file");
        file.write_all(b"{\"number\":2,\"at_").expect("half a line");
        let log = AuditLog::file(&path).expect("the file");
        log.append(entry("resume")).expect("written");
        log.append(entry("reset")).expect("written");
        let text = std::fs::read_to_string(&path).expect("text");
        let actions: Vec<_> = text
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .map(|line| line["action"].as_str().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(actions, ["block", "resume", "reset"], "{text}");
        std::fs::remove_file(&path).expect("the file");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_was_moved_or_deleted_is_made_again() {
        let path = std::env::temp_dir().join(format!("seawall-rotated-{}", std::process::id()));
        let moved = path.with_extension("1");
        let log = AuditLog::file(&path).expect("a file");
        log.append(entry("first")).expect("written");
        std::fs::rename(&path, &moved).expect("moved");
        log.append(entry("second")).expect("written");
        let read = |path: &Path| std::fs::read_to_string(path).expect("text");
        assert!(read(&moved).contains("first") && !read(&moved).contains("second"));
        assert!(read(&path).contains("second"));
        std::fs::remove_file(&path).expect("deleted");
        log.append(entry("third")).expect("written");
        assert_eq!(read(&path).lines().count(), 1);
        for path in [path, moved] {
            std::fs::remove_file(path).expect("the file");
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn what_was_done_is_kept_up_to_a_bound() {
        let log = AuditLog::file(Path::new("/dev/full")).expect("a file");
        for number in 0..KEPT + 3 {
            log.note(entry(&number.to_string()));
        }
        assert_eq!((log.unwritten(), log.lost()), (KEPT, 3));
        assert_eq!(log.recent(1)[0].action, (KEPT + 2).to_string());
        assert!(
            log.append(entry("more")).is_err(),
            "what is before it is not written"
        );
    }

    #[test]
    fn memory_is_bounded_and_the_newest_is_first() {
        let log = AuditLog::in_memory();
        for number in 0..KEPT + 10 {
            log.append(entry(&number.to_string())).expect("in memory");
        }
        let recent = log.recent(usize::MAX);
        assert_eq!(recent.len(), KEPT);
        assert_eq!(recent[0].action, (KEPT + 9).to_string());
        assert_eq!(log.recent(3).len(), 3);
    }
}
