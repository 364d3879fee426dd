//! The emergency stop.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use seawall_chaos::{ChaosHandle, ChaosState, Injection};
use tokio::sync::watch;

/// Ends every fault of a runner at once, from any thread, and lets no experiment start until it is
/// [released](Self::release). Clones share.
///
/// The faults are over when [`stop`](Self::stop) returns, also where nothing polls the runner, and calls that they hold
/// back go on. Get it by [`Runner::stop`](crate::Runner::stop).
///
/// ```
/// use seawall_experiments::{Environment, Runner};
///
/// let runner = Runner::builder("desk", Environment::Test).build()?;
/// let stop = runner.stop();
/// stop.stop("the desk has called");
/// assert_eq!(stop.reason().as_deref(), Some("the desk has called"));
/// stop.release();
/// assert_eq!(stop.reason(), None);
/// # Ok::<(), seawall_experiments::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct Stop {
    control: Arc<Control>,
}

/// What a run and its stop share.
#[derive(Default)]
struct Control {
    state: Mutex<State>,
    /// How often it was stopped.
    stops: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    reason: Option<String>,
    /// The reason of the first stop of the run that is under way, also where it was released meanwhile.
    stopped_by: Option<String>,
    is_running: bool,
    injections: Vec<Arc<Held>>,
}

/// Faults that a run has started. They end with it, too.
pub(crate) struct Held {
    pub(crate) target: ChaosHandle,
    pub(crate) injection: Injection,
}

impl Held {
    pub(crate) fn end(&self) {
        self.target.stop(self.injection.id());
    }
}

impl Stop {
    pub(crate) fn new() -> Self {
        Self {
            control: Arc::default(),
        }
    }

    /// Ends every fault now, and lets no experiment start until [`release`](Self::release). The first reason stays.
    pub fn stop(&self, reason: impl Into<String>) {
        let mut reason = reason.into();
        // It is printed in reports.
        let end = (0..=200.min(reason.len()))
            .rev()
            .find(|end| reason.is_char_boundary(*end));
        reason.truncate(end.unwrap_or_default());
        let injections = {
            let mut state = self.state();
            let reason = state.reason.get_or_insert(reason).clone();
            if state.is_running {
                state.stopped_by.get_or_insert(reason);
            }
            state.injections.clone()
        };
        // Outside of the lock: events of it may stop, too. The run reads what they did.
        injections.iter().for_each(|held| held.end());
        self.control.stops.send_modify(|stops| *stops += 1);
    }

    /// Lets experiments start again. What was stopped stays so.
    pub fn release(&self) {
        self.state().reason = None;
    }

    /// Why it was stopped; `None` while experiments may run.
    pub fn reason(&self) -> Option<String> {
        self.state().reason.clone()
    }

    /// Stops at the first Ctrl-C, and on Unix at the first SIGTERM. Poll it beside the runner, as by `tokio::select!`: the
    /// future is ready when it has stopped.
    ///
    /// # Errors
    ///
    /// [`std::io::Error`] when the signals cannot be listened to.
    #[cfg(feature = "signal")]
    pub async fn on_signal(&self) -> std::io::Result<()> {
        #[cfg(unix)]
        let terminated = async {
            use tokio::signal::unix::{SignalKind, signal};
            signal(SignalKind::terminate())?.recv().await;
            std::io::Result::Ok(())
        };
        #[cfg(not(unix))]
        let terminated = std::future::pending::<std::io::Result<()>>();
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted?,
            terminated = terminated => terminated?,
        }
        self.stop("a signal");
        Ok(())
    }

    /// What the runner does, in a word.
    pub(crate) fn state_word(&self) -> &'static str {
        let state = self.state();
        match (&state.reason, state.is_running) {
            (Some(_), _) => "stopped",
            (None, true) => "running",
            (None, false) => "idle",
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.control
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a run, unless another one is under way or it is stopped.
    pub(crate) fn begin(&self) -> Result<Running, Busy> {
        // First: a stop that is not seen below is one of this run.
        let stops = self.control.stops.subscribe();
        let mut state = self.state();
        if let Some(reason) = &state.reason {
            return Err(Busy::Stopped(reason.clone()));
        }
        if std::mem::replace(&mut state.is_running, true) {
            return Err(Busy::Running);
        }
        state.stopped_by = None;
        drop(state);
        Ok(Running {
            stop: self.clone(),
            stops,
        })
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stop")
            .field("reason", &self.reason())
            .finish()
    }
}

/// Why a run does not begin.
pub(crate) enum Busy {
    Stopped(String),
    Running,
}

/// A run that is under way. Dropped, its faults end.
pub(crate) struct Running {
    stop: Stop,
    stops: watch::Receiver<u64>,
}

impl Running {
    /// Keeps faults on until they are taken, or stopped; those that come too late end here.
    pub(crate) fn hold(&self, injections: &[Arc<Held>]) {
        let mut state = self.stop.state();
        state.injections = injections.to_vec();
        let is_stopped = state.stopped_by.is_some();
        drop(state);
        if is_stopped {
            injections.iter().for_each(|held| held.end());
        }
    }

    /// The faults, stopped or not.
    pub(crate) fn take(&self) -> Vec<Arc<Held>> {
        std::mem::take(&mut self.stop.state().injections)
    }

    /// Waits until it is stopped, and returns why.
    pub(crate) async fn stopped(&mut self) -> String {
        // The sender lives as long as this.
        let _ = self.stops.changed().await;
        self.stop.state().stopped_by.clone().unwrap_or_default()
    }

    /// Why faults are over that nobody has ended here; none where they are on. A stop ends them before it says so.
    pub(crate) fn ended_elsewhere(&self) -> Option<String> {
        let (ended, stopped_by) = {
            let state = self.stop.state();
            let mut injections = state.injections.iter();
            let ended = injections.find(|held| held.injection.is_stopped_early())?;
            (Arc::clone(ended), state.stopped_by.clone())
        };
        if stopped_by.is_some() {
            return stopped_by;
        }
        // Outside of the lock: what is asked below may emit events, and a listener may stop.
        let service = ended.target.name();
        Some(match ended.target.state() {
            ChaosState::Bypassed => format!("the chaos layer of `{service}` was bypassed"),
            _ => format!("those of `{service}` were stopped at its chaos layer"),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let injections = {
            let mut state = self.stop.state();
            state.is_running = false;
            std::mem::take(&mut state.injections)
        };
        drop(injections);
    }
}
