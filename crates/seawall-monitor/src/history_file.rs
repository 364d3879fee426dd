//! Minutes of the history in a file: appended, bounded, and read again at a start.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::history_point::HistoryPoint;

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) at: u64,
    pub(crate) registry: String,
    pub(crate) service: String,
    pub(crate) calls: f32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) errors: Option<f32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) p99: Option<f32>,
}

/// The longest line that is read; a name has at most 64 bytes.
const LONGEST: usize = 1_024;

impl Line {
    pub(crate) fn of(registry: &str, service: &str, point: &HistoryPoint) -> Self {
        Self {
            at: point.at_unix_ms,
            registry: registry.to_owned(),
            service: service.to_owned(),
            calls: point.calls_per_second,
            errors: point.error_ratio,
            p99: point.p99_seconds,
        }
    }

    pub(crate) const fn point(&self) -> HistoryPoint {
        HistoryPoint {
            at_unix_ms: self.at,
            calls_per_second: self.calls,
            error_ratio: self.errors,
            p99_seconds: self.p99,
        }
    }

    /// A line of the file, unless it is corrupt.
    fn parse(line: &[u8]) -> Option<Self> {
        let line: Self = serde_json::from_slice(line).ok()?;
        let is_time = |it: f32| it.is_finite() && it >= 0.0;
        let is_right = is_time(line.calls)
            && line.errors.is_none_or(|it| (0.0..=1.0).contains(&it))
            && line.p99.is_none_or(is_time);
        is_right.then_some(line)
    }
}

/// What was read at a start.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) lines: Vec<Line>,
    /// Lines that were skipped, since they are none.
    pub(crate) corrupt: u64,
}

/// Files that monitors of this process have.
static TAKEN: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// A file that is one monitor's: two would write each other's lines and rename each other's files.
#[derive(Debug)]
pub(crate) struct Taken(PathBuf);

impl Drop for Taken {
    fn drop(&mut self) {
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        taken.remove(&self.0);
    }
}

/// The file, and the one before it, which together have the bound.
#[derive(Debug)]
pub(crate) struct HistoryFile {
    path: PathBuf,
    max_bytes: u64,
    /// Opened when it is first written.
    open: Option<(File, u64)>,
}

impl HistoryFile {
    pub(crate) fn new(path: PathBuf, max_bytes: u64) -> Self {
        Self {
            path,
            max_bytes,
            open: None,
        }
    }

    fn earlier(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".old");
        name.into()
    }

    /// Reads what both files have from `since` on, oldest first.
    pub(crate) fn load(&self, since_unix_ms: u64) -> io::Result<Loaded> {
        let mut loaded = Loaded::default();
        for path in [self.earlier(), self.path.clone()] {
            match File::open(&path) {
                Ok(file) => load(file.take(self.max_bytes), since_unix_ms, &mut loaded)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        // A clock that was set back between two processes leaves them out of order.
        loaded.lines.sort_by_key(|line| line.at);
        Ok(loaded)
    }

    /// Whether it can be written.
    pub(crate) fn check(&mut self) -> io::Result<()> {
        self.file().map(|_| ())
    }

    /// Takes the file, which is there, for one monitor.
    pub(crate) fn take(&self) -> io::Result<Taken> {
        let path = fs::canonicalize(&self.path)?;
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        if !taken.insert(path.clone()) {
            let words = format!("{} of another monitor", self.path.display());
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, words));
        }
        Ok(Taken(path))
    }

    fn file(&mut self) -> io::Result<&mut (File, u64)> {
        let opened = match self.open.take() {
            Some(open) => open,
            None => open(&self.path)?,
        };
        Ok(self.open.insert(opened))
    }

    /// Appends lines; where the file has half of the bound, it becomes the earlier one.
    pub(crate) fn append(&mut self, lines: &[Line]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut bytes, line)?;
            bytes.push(b'\n');
        }
        let half = self.max_bytes / 2;
        let (_, length) = *self.file()?;
        if length > 0 && length.saturating_add(bytes.len() as u64) > half {
            self.open = None;
            fs::rename(&self.path, self.earlier())?;
        }
        // One batch may be larger than the bound: what is newest is kept.
        let excess = (bytes.len() as u64).saturating_sub(half) as usize;
        let from = if excess == 0 {
            0
        } else {
            let cut = bytes[excess - 1..].iter().position(|byte| *byte == b'\n');
            cut.map_or(bytes.len(), |at| excess + at)
        };
        let (file, length) = self.file()?;
        let written = file.write_all(&bytes[from..]);
        *length += (bytes.len() - from) as u64;
        if written.is_err() {
            // Where it ends is not known: it is looked up when it is opened again.
            self.open = None;
        }
        written
    }
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .open(path)?;
    let mut length = file.metadata()?.len();
    if length > 0 {
        // A line that a crash has cut short must not spoil the next one.
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
            length += 1;
        }
    }
    Ok((file, length))
}

fn load(file: impl Read, since_unix_ms: u64, loaded: &mut Loaded) -> io::Result<()> {
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = reader
            .by_ref()
            .take(LONGEST as u64 + 1)
            .read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(());
        }
        if line.last() != Some(&b'\n') && read > LONGEST {
            loaded.corrupt += 1;
            skip_line(&mut reader)?;
            continue;
        }
        match Line::parse(line.trim_ascii()) {
            Some(line) if line.at >= since_unix_ms => loaded.lines.push(line),
            Some(_) => {}
            None => loaded.corrupt += 1,
        }
    }
}

/// Skips the rest of a line, without keeping it.
fn skip_line(reader: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(buffer.len(), |at| at + 1);
        reader.consume(used);
        if end.is_some() {
            return Ok(());
        }
    }
}
