//! A disk in memory that can be full, fail to sync, and lose what was not synced.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use redb::StorageBackend;

/// What a disk writes at once.
const SECTOR: usize = 512;

#[derive(Clone, Debug, Default)]
pub(super) struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// What reading shows.
    seen: Vec<u8>,
    /// What a power cut leaves.
    synced: Vec<u8>,
    unsynced: Vec<Write>,
    /// How many bytes can still be written.
    space: Option<usize>,
    /// How many syncs can still be made.
    syncs: Option<usize>,
}

#[derive(Clone, Debug)]
enum Write {
    Bytes(u64, Vec<u8>),
    Len(u64),
}

impl Write {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Len(len) => to.resize(*len as usize, 0),
            Self::Bytes(at, bytes) => {
                let at = *at as usize;
                if to.len() < at + bytes.len() {
                    to.resize(at + bytes.len(), 0);
                }
                to[at..at + bytes.len()].copy_from_slice(bytes);
            }
        }
    }
}

impl Disk {
    pub(super) fn of(bytes: Vec<u8>) -> Self {
        let state = State {
            synced: bytes.clone(),
            seen: bytes,
            ..State::default()
        };
        Self(Arc::new(Mutex::new(state)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic while it is held")
    }

    /// What reading shows now.
    pub(super) fn image(&self) -> Vec<u8> {
        self.lock().seen.clone()
    }

    pub(super) fn set_space(&self, bytes: Option<usize>) {
        self.lock().space = bytes;
    }

    /// Makes the sync after `syncs` more fail, and all after it.
    pub(super) fn set_syncs(&self, syncs: Option<usize>) {
        self.lock().syncs = syncs;
    }

    /// What a power cut leaves: what was synced, and of the rest the sectors that `kept` picks.
    pub(super) fn cut(&self, mut kept: impl FnMut() -> bool) -> Self {
        let state = self.lock();
        let mut left = state.synced.clone();
        for write in &state.unsynced {
            match write {
                Write::Len(_) if kept() => write.apply(&mut left),
                Write::Len(_) => {}
                Write::Bytes(at, bytes) => {
                    for (n, sector) in bytes.chunks(SECTOR).enumerate() {
                        let at = at + (n * SECTOR) as u64;
                        // What lies behind the end has nowhere to be.
                        let inside = at as usize + sector.len() <= left.len();
                        if inside && kept() {
                            Write::Bytes(at, sector.to_vec()).apply(&mut left);
                        }
                    }
                }
            }
        }
        Self::of(left)
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.lock().seen.len() as u64)
    }

    fn read(&self, offset: u64, len: usize) -> Result<Vec<u8>, io::Error> {
        let state = self.lock();
        let bytes = state
            .seen
            .get(offset as usize..)
            .and_then(|rest| rest.get(..len));
        bytes
            .map(<[u8]>::to_vec)
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        let mut state = self.lock();
        let write = Write::Len(len);
        write.apply(&mut state.seen);
        state.unsynced.push(write);
        Ok(())
    }

    fn sync_data(&self, _eventual: bool) -> Result<(), io::Error> {
        let mut state = self.lock();
        match &mut state.syncs {
            Some(0) => return Err(io::Error::other("the disk is gone")),
            Some(left) => *left -= 1,
            None => {}
        }
        state.synced = state.seen.clone();
        state.unsynced.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let mut state = self.lock();
        if let Some(space) = &mut state.space {
            let Some(left) = space.checked_sub(data.len()) else {
                *space = 0;
                return Err(io::ErrorKind::StorageFull.into());
            };
            *space = left;
        }
        let write = Write::Bytes(offset, data.to_vec());
        write.apply(&mut state.seen);
        state.unsynced.push(write);
        Ok(())
    }
}
