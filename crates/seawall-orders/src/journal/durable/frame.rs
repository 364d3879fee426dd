//! The first page of the file, which is ours, and the database behind it.
//!
//! | bytes | what |
//! |---|---|
//! | 0..24 | magic, version of the format, checksum |
//! | 64..89 | what the head of the database says of its layout, which it has no checksum for |
//! | 512..524, 1024..1036 | witness: the number of the last commit that was acknowledged, twice |
//! | 2048..2056 | the process that has the journal open |
//! | 4096.. | the database |
//!
//! The witness is why a lost commit is found. After a crash `redb` goes back to the commit before
//! one that it cannot read, as it must: the last one may be torn. Where the last one was
//! acknowledged, going back loses an order. So the number of each commit is written here once it is
//! durable and before it is acknowledged, by turns in two sectors, so that a torn write leaves the
//! other.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use redb::StorageBackend;
use redb::backends::InMemoryBackend;

use crate::journal::JournalError;

/// The length of the first page.
pub(super) const FRAME: u64 = 4096;
/// The version of the format that this program writes, and the latest that it reads.
pub(super) const VERSION: u32 = 1;

const MAGIC: [u8; 16] = *b"seawall-orders\r\n";
/// Where the copy of the layout is, and its checksum.
const LAYOUT: usize = 64;
const LAYOUT_LEN: usize = 21;
/// What the head of the database says of its layout and its length.
const HEAD: usize = 32;
const WITNESS: [u64; 2] = [512, 1024];
pub(super) const OWNER: u64 = 2048;
/// How far ahead of what is written blocks are asked for.
const ALLOCATED_AHEAD: u64 = 1 << 20;

/// The file: first page and database.
#[derive(Debug)]
pub(super) struct Frame {
    file: Box<dyn StorageBackend>,
    path: Arc<Path>,
    sync_failed: AtomicBool,
    /// What lies behind was never written. Until there the file system has given out its blocks,
    /// which costs a sync more than the bytes do.
    allocated: AtomicU64,
}

impl Frame {
    pub(super) fn new(file: Box<dyn StorageBackend>, path: Arc<Path>) -> Self {
        // What an earlier process left unwritten cannot be known from here.
        let allocated = AtomicU64::new(file.len().unwrap_or(u64::MAX));
        Self {
            file,
            path,
            sync_failed: AtomicBool::new(false),
            allocated,
        }
    }

    pub(super) fn path(&self) -> &Arc<Path> {
        &self.path
    }

    /// Whether the system failed to write to the disk what it had taken: what it did with it is not
    /// known, and reading shows what it has, not what the disk has.
    pub(super) fn sync_failed(&self) -> bool {
        self.sync_failed.load(Ordering::Relaxed)
    }

    pub(super) fn io(&self, doing: &'static str, error: io::Error) -> JournalError {
        JournalError::Io {
            path: Arc::clone(&self.path),
            doing,
            error: Arc::new(error),
        }
    }

    pub(super) fn corrupted(&self, what: impl Into<Arc<str>>) -> JournalError {
        JournalError::Corrupted {
            path: Arc::clone(&self.path),
            what: what.into(),
        }
    }

    /// Makes the file a journal without commits.
    pub(super) fn format(&self) -> Result<(), JournalError> {
        let mut page = vec![0; FRAME as usize];
        page[..16].copy_from_slice(&MAGIC);
        page[16..20].copy_from_slice(&VERSION.to_le_bytes());
        let crc = crc32fast::hash(&page[..20]);
        page[20..24].copy_from_slice(&crc.to_le_bytes());
        for at in WITNESS {
            let at = at as usize;
            page[at..at + 12].copy_from_slice(&witness(0));
        }
        let write = || {
            self.file.set_len(0)?;
            self.file.set_len(FRAME)?;
            self.file.write(0, &page)
        };
        self.allocated.store(FRAME, Ordering::Relaxed);
        write().map_err(|error| self.io("writing the first page", error))
    }

    /// Copies the layout of the database, which never changes, when there is one.
    pub(super) fn seal(&self) -> Result<(), JournalError> {
        let write = || self.file.write(LAYOUT as u64, &self.layout()?);
        write().map_err(|error| self.io("writing the first page", error))
    }

    /// Magic, page size and size of regions, but not the flags in between, and a checksum.
    fn layout(&self) -> io::Result<[u8; LAYOUT_LEN + 4]> {
        let head = self.file.read(FRAME, 24)?;
        let mut layout = [0; LAYOUT_LEN + 4];
        layout[..9].copy_from_slice(&head[..9]);
        layout[9..LAYOUT_LEN].copy_from_slice(&head[12..]);
        let crc = crc32fast::hash(&layout[..LAYOUT_LEN]);
        layout[LAYOUT_LEN..].copy_from_slice(&crc.to_le_bytes());
        Ok(layout)
    }

    /// Reads the first page: the number of the last acknowledged commit.
    pub(super) fn check(&self) -> Result<u64, JournalError> {
        let found = |found: String| JournalError::NotAJournal {
            path: Arc::clone(&self.path),
            found: found.into(),
        };
        let len = (self.file.len()).map_err(|error| self.io("reading its length", error))?;
        if len < 2 * FRAME {
            return Err(found(format!("it is {len} bytes long")));
        }
        let page = (self.file.read(0, FRAME as usize))
            .map_err(|error| self.io("reading the first page", error))?;
        if page[..16] != MAGIC {
            return Err(found("it does not begin as one".into()));
        }
        if page[20..24] != crc32fast::hash(&page[..20]).to_le_bytes() {
            return Err(self.corrupted("the checksum of the first page does not match"));
        }
        let version = number(&page[16..20]) as u32;
        if version > VERSION {
            return Err(JournalError::NewerVersion {
                path: Arc::clone(&self.path),
                found: version,
                known: VERSION,
            });
        }
        let layout = self.layout();
        let layout = layout.map_err(|error| self.io("reading the second page", error))?;
        if page[LAYOUT..][..layout.len()] != layout {
            return Err(self.corrupted("the head of its database was changed"));
        }
        self.check_length(len - FRAME)?;
        WITNESS
            .iter()
            .filter_map(|at| {
                let at = *at as usize;
                let commit = number(&page[at..at + 8]);
                (page[at..at + 12] == witness(commit)).then_some(commit)
            })
            .max()
            .ok_or_else(|| self.corrupted("the number of the last commit cannot be read"))
    }

    /// Compares the length of the database with what its head says: of one that is too short, or ends within
    /// a page, opening is not attempted, since the database panics then.
    fn check_length(&self, found: u64) -> Result<(), JournalError> {
        let head = (self.file.read(FRAME, HEAD))
            .map_err(|error| self.io("reading the second page", error))?;
        let field = |at: usize| u128::from(number(&head[at..at + 4]));
        let (page, region_head, region_pages) = (field(12), field(16), field(20));
        let (full, trailing) = (field(24), field(28));
        let region = page * (region_head + region_pages);
        let last = match trailing {
            0 => 0,
            pages => page * (region_head + pages),
        };
        let (found, expected) = (u128::from(found), page + full * region + last);
        if found < expected || full + trailing == 0 {
            let head = u128::from(FRAME);
            let (found, expected) = (found + head, expected + head);
            let what = format!("it is cut short: {found} of at least {expected} bytes");
            return Err(self.corrupted(what));
        }
        // Behind the head there are whole regions, and one of at least one page.
        let rest = (found - page).checked_rem(region);
        let ends = |rest: u128| rest.checked_rem(page) == Some(0) && rest > page * region_head;
        match rest {
            Some(rest) if rest == 0 || ends(rest) => Ok(()),
            _ => Err(self.corrupted("it ends within a page")),
        }
    }

    /// The same file in memory.
    pub(super) fn copy(&self) -> Result<Self, JournalError> {
        const STEP: u64 = 1 << 20;
        // What is no journal may be of any length.
        self.check()?;
        let memory = InMemoryBackend::new();
        let read = || {
            let len = self.file.len()?;
            memory.set_len(len)?;
            for at in (0..len).step_by(STEP as usize) {
                let bytes = self.file.read(at, STEP.min(len - at) as usize)?;
                memory.write(at, &bytes)?;
            }
            Ok(())
        };
        read().map_err(|error| self.io("reading the file", error))?;
        Ok(Self::new(Box::new(memory), Arc::clone(&self.path)))
    }

    /// Notes that commit number `commit` is durable.
    pub(super) fn acknowledge(&self, commit: u64) -> Result<(), JournalError> {
        let at = WITNESS[(commit % 2) as usize];
        (self.file.write(at, &witness(commit)))
            .map_err(|error| self.io("noting the last commit", error))
    }

    /// Notes the process that has the file open.
    pub(super) fn own(&self) -> Result<(), JournalError> {
        let process = owner(std::process::id());
        (self.file.write(OWNER, &process)).map_err(|error| self.io("noting the process", error))
    }

    /// Writes, in steps large enough that few syncs have to wait for new blocks.
    fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let end = at + bytes.len() as u64;
        let allocated = self.allocated.load(Ordering::Relaxed);
        if end > allocated {
            let until = (end + ALLOCATED_AHEAD).min(self.file.len()?);
            let zeros = vec![0; until.saturating_sub(allocated) as usize];
            self.file.write(allocated, &zeros)?;
            self.allocated.store(until.max(end), Ordering::Relaxed);
        }
        self.file.write(at, bytes)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.allocated.fetch_min(len, Ordering::Relaxed);
        self.file.set_len(len)
    }

    /// Makes everything durable that was written.
    pub(super) fn sync(&self) -> Result<(), JournalError> {
        (self.file.sync_data(false)).map_err(|error| self.io("syncing", error))
    }
}

fn witness(commit: u64) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&commit.to_le_bytes());
    let crc = crc32fast::hash(&bytes[..8]);
    bytes[8..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn owner(process: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&process.to_le_bytes());
    let crc = crc32fast::hash(&bytes[..4]);
    bytes[4..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// The process of these bytes at [`OWNER`].
pub(super) fn read_owner(bytes: [u8; 8]) -> Option<u32> {
    let process = number(&bytes[..4]) as u32;
    (bytes == owner(process)).then_some(process)
}

/// Up to eight little-endian bytes.
fn number(bytes: &[u8]) -> u64 {
    (bytes.iter().rev()).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The database's part of the file.
pub(super) struct Behind(pub(super) Arc<Frame>);

impl fmt::Debug for Behind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StorageBackend for Behind {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.0.file.len()?.saturating_sub(FRAME))
    }

    fn read(&self, offset: u64, len: usize) -> Result<Vec<u8>, io::Error> {
        // A damaged page number may name a place far behind the end.
        let end = offset.checked_add(len as u64);
        if end.is_none_or(|end| self.len().is_ok_and(|all| end > all)) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.0.file.read(offset + FRAME, len)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.0.set_len(len + FRAME)
    }

    fn sync_data(&self, eventual: bool) -> Result<(), io::Error> {
        let synced = self.0.file.sync_data(eventual);
        if synced.is_err() {
            self.0.sync_failed.store(true, Ordering::Relaxed);
        }
        synced
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.0.write(offset + FRAME, data)
    }
}
