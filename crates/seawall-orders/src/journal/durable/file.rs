//! The file on disk: made so that it is whole or not there, and locked.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::DatabaseError;
use redb::backends::FileBackend;

use super::frame::{Frame, OWNER, read_owner};
use super::store::Store;
use crate::journal::JournalError;

/// Opens the journal at `path`, and makes it where there is none.
pub(super) fn open(path: &Arc<Path>, cache: usize) -> Result<Store, JournalError> {
    let frame = match lock(path, OpenOptions::new().read(true).write(true), path) {
        Err(JournalError::Io { error, .. }) if error.kind() == ErrorKind::NotFound => {
            create(path, cache)?;
            lock(path, OpenOptions::new().read(true).write(true), path)?
        }
        locked => locked?,
    };
    Store::open(Arc::new(frame), cache)
}

/// Opens the journal at `path`, which must be there.
pub(super) fn open_existing(path: &Arc<Path>, cache: usize) -> Result<Store, JournalError> {
    let frame = lock(path, OpenOptions::new().read(true).write(true), path)?;
    Store::open(Arc::new(frame), cache)
}

/// Opens a copy of the journal at `path`, which is locked while it is read, and not written to.
pub(super) fn open_copy(path: &Arc<Path>, cache: usize) -> Result<Store, JournalError> {
    let frame = lock(path, OpenOptions::new().read(true), path)?;
    let copy = frame.copy()?;
    drop(frame);
    Store::open(Arc::new(copy), cache)
}

/// Makes an empty journal under another name and gives it its own when it is complete, so that a
/// crash in between leaves no half of one.
fn create(path: &Arc<Path>, cache: usize) -> Result<(), JournalError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let unnamed = PathBuf::from(name);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let frame = Arc::new(lock(&unnamed, &options, path)?);
    Store::create(&frame, cache)?;
    let named = || -> io::Result<()> {
        match fs::hard_link(&unnamed, path) {
            // Another process was faster: its journal is the journal.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            // A file system without links.
            Err(_) => return fs::rename(&unnamed, path),
            Ok(()) => {}
        }
        fs::remove_file(&unnamed)
    };
    named()
        .and_then(|()| sync_directory(path))
        .map_err(|error| frame.io("giving the new file its name", error))
}

/// Makes the name durable.
fn sync_directory(path: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(directory)?.sync_all()
}

/// Opens and locks a file, which is or will be the journal at `path`.
fn lock(file: &Path, options: &OpenOptions, path: &Arc<Path>) -> Result<Frame, JournalError> {
    let io = |doing, error| JournalError::Io {
        path: Arc::clone(path),
        doing,
        error: Arc::new(error),
    };
    // Opening a pipe would wait for its other end.
    if fs::metadata(file).is_ok_and(|found| !found.is_file()) {
        return Err(JournalError::NotAJournal {
            path: Arc::clone(path),
            found: "it is no regular file".into(),
        });
    }
    let opened = options
        .open(file)
        .map_err(|error| io("opening the file", error))?;
    match FileBackend::new(opened) {
        Ok(backend) => Ok(Frame::new(Box::new(backend), Arc::clone(path))),
        Err(DatabaseError::DatabaseAlreadyOpen) => Err(JournalError::InUse {
            path: Arc::clone(path),
            process: owner(file),
        }),
        Err(error) => Err(io("locking the file", io::Error::other(error))),
    }
}

/// The process that has the file open, where that can be read. Who only reads the file does not write
/// down its own id: where that of the last writer is known to be gone, there is none.
fn owner(file: &Path) -> Option<u32> {
    let mut file = File::open(file).ok()?;
    file.seek(SeekFrom::Start(OWNER)).ok()?;
    let mut bytes = [0; 8];
    file.read_exact(&mut bytes).ok()?;
    read_owner(bytes).filter(|process| {
        let processes = Path::new("/proc");
        !processes.join("self").exists() || processes.join(process.to_string()).exists()
    })
}
