//! What viewers are sent, written once for all of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The JSON of the last changes of each registry, which is written once for all viewers.
#[derive(Debug, Default)]
pub(crate) struct Rendered(Mutex<Vec<BTreeMap<u64, Arc<str>>>>);

impl Rendered {
    /// How many changes are kept of each registry: as many as it keeps.
    const KEPT: usize = 1_024;

    pub(crate) fn of(
        &self,
        registry: usize,
        number: u64,
        write: impl FnOnce() -> String,
    ) -> Arc<str> {
        let mut rendered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if rendered.len() <= registry {
            rendered.resize_with(registry + 1, BTreeMap::new);
        }
        let texts = &mut rendered[registry];
        if let Some(text) = texts.get(&number) {
            return Arc::clone(text);
        }
        let text: Arc<str> = write().into();
        texts.insert(number, Arc::clone(&text));
        if texts.len() > Self::KEPT {
            texts.pop_first();
        }
        text
    }
}
