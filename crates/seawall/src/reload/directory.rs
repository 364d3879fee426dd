//! The directories in which a change of a file is seen.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

/// Watches the directory of a file, and the one that the file really is in.
///
/// Never the file itself: an editor renames another one over it, and a ConfigMap exchanges a link
/// beside it; what was watched would be the old one then.
pub(super) struct Directories {
    watcher: RecommendedWatcher,
    path: PathBuf,
    /// The one that `path` names.
    own: PathBuf,
    /// The one that a link leads to.
    target: Option<PathBuf>,
    /// The names that the file has in these.
    names: Arc<ArcSwap<Vec<OsString>>>,
}

impl Directories {
    /// Calls `on_change` when the file may have changed, on a thread of the watcher's.
    pub(super) fn watch(
        path: &Path,
        on_change: impl Fn() + Send + 'static,
    ) -> notify::Result<Self> {
        let name = path.file_name().unwrap_or_default().to_owned();
        let names = Arc::new(ArcSwap::from_pointee(vec![name]));
        let seen = Arc::clone(&names);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error may hide a change.
            if event.map_or(true, |event| matters(&event, &seen.load())) {
                on_change();
            }
        })?;
        let own = match path.parent() {
            Some(parent) if parent != Path::new("") => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let mut directories = Self {
            watcher,
            path: path.to_owned(),
            own,
            target: None,
            names,
        };
        directories.follow()?;
        Ok(directories)
    }

    /// Watches where the file is now.
    pub(super) fn follow(&mut self) -> notify::Result<()> {
        // Again: it may have been removed and made again.
        self.watcher.watch(&self.own, RecursiveMode::NonRecursive)?;
        let real = fs::canonicalize(&self.path).ok();
        let target = real.as_deref().and_then(Path::parent).map(Path::to_owned);
        let own = fs::canonicalize(&self.own).ok();
        let target = target.filter(|target| Some(target) != own.as_ref());
        if target == self.target {
            return Ok(());
        }
        if let Some(old) = self.target.take() {
            // One that was removed is not watched any more.
            let _ = self.watcher.unwatch(&old);
        }
        let names = [
            self.path.file_name(),
            real.as_deref().and_then(Path::file_name),
        ];
        let names = names.into_iter().flatten().map(OsStr::to_owned).collect();
        self.names.store(Arc::new(names));
        if let Some(target) = &target {
            self.watcher.watch(target, RecursiveMode::NonRecursive)?;
        }
        self.target = target;
        Ok(())
    }
}

/// Whether the file may be another one after it. Reading it is an event, too.
fn matters(event: &Event, names: &[OsString]) -> bool {
    let reads = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
        EventKind::Access(_) => true,
        _ => false,
    };
    let is_named = |path: &PathBuf| {
        // The links of a ConfigMap begin with two dots.
        path.file_name().is_none_or(|name| {
            name.as_encoded_bytes().starts_with(b"..") || names.iter().any(|known| known == name)
        })
    };
    !reads && (event.need_rescan() || event.paths.is_empty() || event.paths.iter().any(is_named))
}
