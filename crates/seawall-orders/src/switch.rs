//! A switch that stops all new orders, and stays where it is across restarts.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// The first line of a file, which a person reads.
const TITLE: &str = "kill switch engaged: no new orders";
/// The last line: a file without it is half of one.
const END: &str = "end";
/// The longest file that is read, in bytes.
const MAX_FILE: u64 = 64 << 10;

/// A switch that stops all new orders at once. Clones are the same switch.
///
/// With a [file](Self::file) it stays engaged across restarts: the file is there as long as the switch is
/// engaged, and a person can read in it why, by whom and since when. A file that cannot be read counts as
/// engaged. Deleting it while a program runs does not release that program's switch;
/// [`release`](Self::release) does. What another process does to the file is seen at the next start.
///
/// ```
/// use seawall_orders::switch::KillSwitch;
///
/// # let folder = std::env::temp_dir().join(format!("seawall-switch-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let path = folder.join("orders.stop");
/// let switch = KillSwitch::file(&path);
/// switch.engage("positions do not match", "alice")?;
/// assert!(switch.is_engaged());
/// // ... the program starts again ...
/// let switch = KillSwitch::file(&path);
/// assert_eq!(switch.engaged().unwrap().reason, "positions do not match");
/// switch.release()?;
/// assert!(!KillSwitch::file(&path).is_engaged());
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct KillSwitch(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    path: Option<PathBuf>,
    is_engaged: AtomicBool,
    /// Why, while it is engaged. Held while the file changes, so that the file is that of the last call.
    engaged: Mutex<Option<Engaged>>,
}

/// Why a switch is engaged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Engaged {
    /// The reason.
    pub reason: String,
    /// By whom; empty where that is not known.
    pub by: String,
    /// Since when, to the second; `None` where that is not known.
    pub since: Option<SystemTime>,
    /// What is wrong with the file that says so: it counts as engaged for that reason.
    pub unreadable: Option<String>,
}

/// The file of a switch could not be changed. The switch of the running program was engaged all the same;
/// it was not released.
#[derive(Debug)]
pub struct SwitchError {
    path: PathBuf,
    doing: &'static str,
    error: io::Error,
}

impl fmt::Display for SwitchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        write!(f, "kill switch {path}: {}: {}", self.doing, self.error)
    }
}

impl std::error::Error for SwitchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl KillSwitch {
    /// A switch that is not engaged and is forgotten with the process.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::new(None, None)
    }

    /// A switch that is engaged if there is a file at `path`, which it is kept in. Blocks for one read.
    ///
    /// A file that is half of one, is none, or cannot be read makes it engaged, with what is wrong in
    /// [`Engaged::unreadable`]: whether orders may be sent is then not known.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let engaged = read(&path);
        Self::new(Some(path), engaged)
    }

    fn new(path: Option<PathBuf>, engaged: Option<Engaged>) -> Self {
        Self(Arc::new(Shared {
            path,
            is_engaged: AtomicBool::new(engaged.is_some()),
            engaged: Mutex::new(engaged),
        }))
    }

    /// Whether new orders are stopped: one load.
    #[inline]
    #[must_use]
    pub fn is_engaged(&self) -> bool {
        self.0.is_engaged.load(Ordering::Acquire)
    }

    /// Why new orders are stopped; `None` where they are not.
    #[must_use]
    pub fn engaged(&self) -> Option<Engaged> {
        self.lock().clone()
    }

    /// Stops new orders, at once and before anything is written. Engaged again, it has the later reason.
    ///
    /// # Errors
    ///
    /// The file could not be written: new orders are stopped, and a restart may let them pass.
    pub fn engage(
        &self,
        reason: impl Into<String>,
        by: impl Into<String>,
    ) -> Result<(), SwitchError> {
        // Before the lock: nothing that is slow on the disk may let an order pass.
        self.0.is_engaged.store(true, Ordering::Release);
        let mut engaged = self.lock();
        // A release may have come in between.
        self.0.is_engaged.store(true, Ordering::Release);
        let now = Engaged {
            reason: reason.into(),
            by: by.into(),
            since: Some(SystemTime::now()),
            unreadable: None,
        };
        let text = to_text(&now);
        *engaged = Some(now);
        match &self.0.path {
            Some(path) => write(path, &text),
            None => Ok(()),
        }
    }

    /// Lets new orders pass again, once the file is gone.
    ///
    /// # Errors
    ///
    /// The file could not be removed: new orders stay stopped.
    pub fn release(&self) -> Result<(), SwitchError> {
        let mut engaged = self.lock();
        if let Some(path) = &self.0.path {
            remove(path)?;
        }
        *engaged = None;
        self.0.is_engaged.store(false, Ordering::Release);
        Ok(())
    }

    // Every change is complete before anything that can panic.
    fn lock(&self) -> MutexGuard<'_, Option<Engaged>> {
        self.0
            .engaged
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the file says; `None` where there is none.
fn read(path: &Path) -> Option<Engaged> {
    let unreadable = |what: String| Engaged {
        reason: "its file cannot be read".to_owned(),
        by: String::new(),
        since: None,
        unreadable: Some(what),
    };
    let text = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => return Some(unreadable(error.to_string())),
        // Reading a pipe would wait.
        Ok(_) if !path.is_file() => return Some(unreadable("it is no regular file".to_owned())),
        Ok(found) if found.len() > MAX_FILE => {
            return Some(unreadable(format!("it is {} bytes long", found.len())));
        }
        Ok(_) => fs::read_to_string(path),
    };
    match text {
        // Removed in this very moment: it was there.
        Err(error) => Some(unreadable(error.to_string())),
        Ok(text) => Some(from_text(&text).unwrap_or_else(|| {
            unreadable("it has another form than this program writes, or is half of it".to_owned())
        })),
    }
}

/// The file's text: one line each, for a person.
fn to_text(engaged: &Engaged) -> String {
    let since = engaged
        .since
        .and_then(|since| since.duration_since(UNIX_EPOCH).ok());
    let since = since.unwrap_or_default().as_secs();
    // Line breaks would end the line that they are in.
    let [reason, by] = [&engaged.reason, &engaged.by].map(|text| text.escape_debug().to_string());
    format!("{TITLE}\nreason: {reason}\nby: {by}\nsince: {since} seconds after 1970\n{END}\n")
}

fn from_text(text: &str) -> Option<Engaged> {
    let mut lines = text.lines();
    let mut next = |name: &str| lines.next()?.strip_prefix(name);
    next(TITLE)?;
    let reason = next("reason: ")?.to_owned();
    let by = next("by: ")?.to_owned();
    let since = next("since: ")?.strip_suffix(" seconds after 1970")?;
    let since = std::time::Duration::from_secs(since.parse().ok()?);
    next(END)?;
    Some(Engaged {
        reason,
        by,
        since: UNIX_EPOCH.checked_add(since),
        unreadable: None,
    })
}

fn failed(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> SwitchError {
    let path = path.to_owned();
    move |error| SwitchError { path, doing, error }
}

/// Writes the file so that it is all of the text or what was there before, also after a power cut.
fn write(path: &Path, text: &str) -> Result<(), SwitchError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let unnamed = PathBuf::from(name);
    let written = || -> io::Result<()> {
        let mut file = File::create(&unnamed)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    written().map_err(failed(&unnamed, "writing it"))?;
    fs::rename(&unnamed, path).map_err(failed(path, "giving the new file its name"))?;
    sync_directory(path).map_err(failed(path, "syncing its folder"))
}

fn remove(path: &Path) -> Result<(), SwitchError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(path, "removing it")(error)),
        Ok(()) => sync_directory(path).map_err(failed(path, "syncing its folder")),
    }
}

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
