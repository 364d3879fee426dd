//! Reads a configuration again when its file changes.

use std::error::Error as StdError;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use seawall_core::{InvalidConfig, Span};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, spawn_blocking};
use tokio::time::{Instant, sleep, timeout};

use super::directory::Directories;
use super::reloadable::ReloadableConfig;
use super::report;

/// How a file is watched.
///
/// ```
/// use std::time::Duration;
/// use seawall::reload::WatchConfig;
///
/// let config = WatchConfig::builder().settle(Duration::from_millis(50)).hangup(true).build()?;
/// assert_eq!(config.settle(), Duration::from_millis(50));
/// assert_eq!(config.poll_every(), Some(Duration::from_secs(30)), "unless set");
/// # Ok::<(), seawall::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchConfig {
    settle: Duration,
    poll_every: Option<Duration>,
    directory: bool,
    hangup: bool,
}

/// Makes a [`WatchConfig`].
#[must_use]
#[derive(Clone, Copy, Debug)]
pub struct WatchConfigBuilder(WatchConfig);

impl Default for WatchConfig {
    fn default() -> Self {
        Self {
            settle: Duration::from_millis(100),
            poll_every: Some(Duration::from_secs(30)),
            directory: true,
            hangup: false,
        }
    }
}

impl WatchConfig {
    /// Starts from the defaults.
    pub fn builder() -> WatchConfigBuilder {
        WatchConfigBuilder(Self::default())
    }

    /// How long nothing must happen before the file is read.
    pub const fn settle(&self) -> Duration {
        self.settle
    }

    /// How often the file is read without an event.
    pub const fn poll_every(&self) -> Option<Duration> {
        self.poll_every
    }

    /// Whether the directory of the file is watched.
    pub const fn directory(&self) -> bool {
        self.directory
    }

    /// Whether SIGHUP has the file read.
    pub const fn hangup(&self) -> bool {
        self.hangup
    }
}

impl WatchConfigBuilder {
    /// How long nothing must happen before the file is read, so that one which is written in pieces is
    /// read once. Where something happens all the time, it is read after ten times as long.
    ///
    /// Default: 100 ms.
    pub const fn settle(mut self, time: Duration) -> Self {
        self.0.settle = time;
        self
    }

    /// How often the file is read without an event, for file systems that report none, such as NFS, and
    /// for links in the middle of a path.
    ///
    /// Default: every 30 seconds.
    pub const fn poll_every(mut self, time: Duration) -> Self {
        self.0.poll_every = Some(time);
        self
    }

    /// Reads the file on an event alone.
    pub const fn without_poll(mut self) -> Self {
        self.0.poll_every = None;
        self
    }

    /// Whether the directory of the file is watched.
    ///
    /// Default: yes.
    pub const fn directory(mut self, on: bool) -> Self {
        self.0.directory = on;
        self
    }

    /// Whether the signal SIGHUP has the file read; without effect where there are no such signals. Once
    /// it was on, SIGHUP does not end the process any more, not even after the watch.
    ///
    /// Default: no.
    pub const fn hangup(mut self, on: bool) -> Self {
        self.0.hangup = on;
        self
    }

    /// The settings.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] where a time is zero or longer than a day, or where nothing would have the file
    /// read.
    pub fn build(self) -> Result<WatchConfig, InvalidConfig> {
        const DAY: Duration = Duration::from_secs(86_400);
        let config = self.0;
        let times = [
            ("settle", Some(config.settle)),
            ("poll_every", config.poll_every),
        ];
        for (field, time) in times {
            if let Some(time) = time.filter(|time| time.is_zero() || *time > DAY) {
                let accepted = "longer than zero, up to a day";
                return Err(InvalidConfig::new(field, Span(time), accepted));
            }
        }
        if config.poll_every.is_none() && !config.directory && !config.hangup {
            let accepted = "true where neither `hangup` nor `poll_every` is set";
            return Err(InvalidConfig::new("directory", false, accepted));
        }
        Ok(config)
    }
}

/// The watch of a file: dropped, it ends, with its task and its thread.
#[must_use = "the watch ends when it is dropped"]
#[derive(Debug)]
pub struct ConfigWatch {
    tasks: Vec<AbortHandle>,
}

impl Drop for ConfigWatch {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// Why a file is not watched.
#[non_exhaustive]
#[derive(Debug)]
pub enum WatchError {
    /// The configuration is from no file.
    NoFile,
    /// It was called outside of a Tokio runtime.
    NoRuntime,
    /// The Tokio runtime was built without a driver that the watch needs.
    NoDriver {
        /// `"time"`, or `"I/O"` for SIGHUP.
        driver: &'static str,
    },
    /// The directory of the file cannot be watched.
    Directory {
        /// The file.
        path: PathBuf,
        /// Why.
        error: Box<dyn StdError + Send + Sync>,
    },
    /// The signal cannot be received.
    Signal(std::io::Error),
}

impl fmt::Display for WatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFile => f.write_str("the configuration is from no file, so none can change"),
            Self::NoRuntime => f.write_str("a file is watched within a Tokio runtime"),
            Self::NoDriver { driver } => write!(
                f,
                "the Tokio runtime has no {driver} driver: build it with `enable_all`"
            ),
            Self::Directory { path, error } => {
                write!(
                    f,
                    "the directory of {} cannot be watched: {error}",
                    path.display()
                )
            }
            Self::Signal(error) => write!(f, "SIGHUP cannot be received: {error}"),
        }
    }
}

impl StdError for WatchError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::NoFile | Self::NoRuntime | Self::NoDriver { .. } => None,
            Self::Directory { error, .. } => Some(&**error),
            Self::Signal(error) => Some(error),
        }
    }
}

impl ReloadableConfig {
    /// [Reloads](Self::reload) when the file changes, until the returned watch is dropped. What comes of
    /// it is in the [status](Self::status), in events, metrics and the log.
    ///
    /// It watches the directory of the file: a ConfigMap of Kubernetes, which exchanges a link beside the
    /// file, is followed, and an editor that renames another file over it. Needs a Tokio runtime with
    /// timers, and for `hangup` with I/O; the file is read on a thread for what blocks.
    ///
    /// ```
    /// use seawall::config::Config;
    /// use seawall::reload::WatchConfig;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let path = std::env::temp_dir().join(format!("seawall-watch-{}.toml", std::process::id()));
    /// # std::fs::write(&path, "[resilience.feed]\nkind = \"market-data\"\n")?;
    /// let config = Config::loader().file(&path).load_reloadable()?;
    /// let watch = config.watch(WatchConfig::builder().hangup(true).build()?)?;
    /// // .. the program runs ..
    /// drop(watch);
    /// # std::fs::remove_file(&path)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`WatchError`]: there is no file, no runtime, none with the drivers that it needs (whose panic
    /// message Tokio prints then, although nothing panics), or the system does not let it be watched.
    pub fn watch(&self, config: WatchConfig) -> Result<ConfigWatch, WatchError> {
        let path = self.shared.loader.path().ok_or(WatchError::NoFile)?;
        let runtime = Handle::try_current().map_err(|_outside| WatchError::NoRuntime)?;
        with_driver("time", || drop(sleep(Duration::ZERO)))?;
        let changed = Arc::new(Notify::new());
        // The file may have changed since it was read.
        changed.notify_one();
        let mut directories = None;
        if config.directory {
            let seen = Arc::clone(&changed);
            let watched = Directories::watch(path, move || seen.notify_one());
            directories = Some(watched.map_err(|error| WatchError::Directory {
                path: path.to_owned(),
                error: error.into(),
            })?);
        }
        let mut tasks = Vec::new();
        #[cfg(unix)]
        if config.hangup {
            use tokio::signal::unix::{SignalKind, signal};
            let hangups = with_driver("I/O", || signal(SignalKind::hangup()))?;
            let mut hangups = hangups.map_err(WatchError::Signal)?;
            let changed = Arc::clone(&changed);
            let received = async move {
                while hangups.recv().await.is_some() {
                    changed.notify_one();
                }
            };
            tasks.push(runtime.spawn(received).abort_handle());
        }
        let task = run(self.clone(), config, changed, directories);
        tasks.push(runtime.spawn(task).abort_handle());
        Ok(ConfigWatch { tasks })
    }
}

/// What Tokio panics for, without saying before that it would, is an error here.
fn with_driver<T>(driver: &'static str, make: impl FnOnce() -> T) -> Result<T, WatchError> {
    let made = catch_unwind(AssertUnwindSafe(make));
    made.map_err(|_no_driver| WatchError::NoDriver { driver })
}

/// Reads the file again after each change that has settled. The future owns the watcher: with it, the
/// watcher's thread ends.
async fn run(
    config: ReloadableConfig,
    settings: WatchConfig,
    changed: Arc<Notify>,
    mut directories: Option<Directories>,
) {
    loop {
        match settings.poll_every {
            Some(time) => drop(timeout(time, changed.notified()).await),
            None => changed.notified().await,
        }
        let latest = Instant::now() + settings.settle * 10;
        while timeout(settings.settle, changed.notified()).await.is_ok() && Instant::now() < latest
        {
        }
        let reader = config.clone();
        let read = spawn_blocking(move || {
            // It reports by itself what comes of it.
            let _ = reader.reload();
            let followed = directories.as_mut().map(Directories::follow);
            (directories, followed.and_then(Result::err))
        });
        // Only a runtime that shuts down does not run it.
        let Ok((kept, unwatched)) = read.await else {
            return;
        };
        directories = kept;
        if let Some(error) = unwatched {
            report::log_unwatched(config.name(), &error);
        }
    }
}
