//! Responses that are kept, to be passed on as stale ones.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::active::Active;

/// By the number of the start, and by what identifies the request.
type Kept<K> = HashMap<(u64, Vec<u8>), Arc<K>>;

/// Kept responses by the fault they are kept for and by what identifies their request. The identity
/// is all of it, no hash: nobody gets the response to another request.
pub(crate) struct Store<K> {
    kept: Mutex<Kept<K>>,
    most: usize,
}

impl<K> Store<K> {
    pub(crate) fn new(most: u32) -> Self {
        Self {
            kept: Mutex::default(),
            most: usize::try_from(most).unwrap_or(usize::MAX),
        }
    }

    pub(crate) fn get(&self, active: &Active, identity: &[u8]) -> Option<Arc<K>> {
        let kept = self.lock();
        kept.get(&(active.id, identity.to_vec())).map(Arc::clone)
    }

    fn lock(&self) -> MutexGuard<'_, Kept<K>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a layer's state knows of its stores.
pub(crate) trait Forget: Send + Sync {
    /// Drops what was kept for the faults of that start.
    fn forget(&self, id: u64);
}

impl<K: Send + Sync> Forget for Store<K> {
    fn forget(&self, id: u64) {
        let mut kept = self.lock();
        let all = std::mem::take(&mut *kept).into_iter();
        let (gone, left): (HashMap<_, _>, HashMap<_, _>) = all.partition(|((of, _), _)| *of == id);
        *kept = left;
        drop(kept);
        // Outside of the lock: it is the caller's type that is dropped.
        drop(gone);
    }
}

/// Keeps one response, to be passed on as a stale one: for implementations of
/// [`MakeFault::keep`](crate::MakeFault::keep). Dropped, nothing is kept.
pub struct Keeper<K> {
    store: Arc<Store<K>>,
    active: Arc<Active>,
    identity: Vec<u8>,
}

impl<K> Keeper<K> {
    pub(crate) const fn new(store: Arc<Store<K>>, active: Arc<Active>, identity: Vec<u8>) -> Self {
        Self {
            store,
            active,
            identity,
        }
    }

    /// Keeps `response`, unless one to the same request is kept already, the layer keeps as many as it
    /// may, or the fault has ended.
    pub fn keep(self, response: K) {
        // Before `response`, which is dropped outside of the lock where it is not kept.
        let mut kept = self.store.lock();
        // Under the lock: what the end of the fault has forgotten does not come back.
        let may = kept.len() < self.store.most && !self.active.is_over();
        let key = (self.active.id, self.identity);
        if may && !kept.contains_key(&key) {
            kept.insert(key, Arc::new(response));
        }
    }
}

impl<K> fmt::Debug for Keeper<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").finish_non_exhaustive()
    }
}
