//! Who has commanded what, and why: a file that is only appended to, and the last entries in memory.

use std::collections::VecDeque;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use utoipa::ToSchema;

/// How many entries are kept in memory.
pub(crate) const KEPT: usize = 1_000;

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
}

struct Log {
    file: Option<File>,
    number: u64,
    recent: VecDeque<AuditEntry>,
    /// Whether the last line in the file may be half of one.
    is_torn: bool,
}

impl AuditLog {
    pub(crate) fn in_memory() -> Self {
        Self::new(None, None, false)
    }

    /// Opens a file to append to.
    pub(crate) fn file(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        // What was written before may have been cut short by a crash.
        let is_torn = !ends_a_line(path)?;
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
            }),
        }))
    }

    /// Appends an entry, and waits until the disk has it. Blocks.
    pub(crate) fn append(&self, mut entry: AuditEntry) -> io::Result<()> {
        let mut log = self.0.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.number += 1;
        entry.number = log.number;
        entry.at_unix_ms = unix_ms(SystemTime::now());
        let mut line = serde_json::to_vec(&entry)?;
        line.push(b'\n');
        let Log { file, is_torn, .. } = &mut *log;
        if let Some(file) = file {
            if std::mem::replace(is_torn, true) {
                line.insert(0, b'\n');
            }
            file.write_all(&line)?;
            file.sync_data()?;
            *is_torn = false;
        }
        if log.recent.len() == KEPT {
            log.recent.pop_front();
        }
        log.recent.push_back(entry);
        Ok(())
    }

    /// The last entries, the newest first.
    pub(crate) fn recent(&self, most: usize) -> Vec<AuditEntry> {
        let log = self.0.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.recent.iter().rev().take(most).cloned().collect()
    }
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
