//! What the clones of a monitor share.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, SystemTime};

use seawall_core::{EventSource, InstanceName, InvalidConfig, Registry, Severity};
use seawall_health::{HealthMonitor, HealthReport, ServiceFigures};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::alert_engine::{AlertCommandError, Engine, Moment, SilenceMatcher};
use crate::alert_figures::Sources;
use crate::alert_kind::AlertKind;
use crate::alert_rule::AlertRules;
use crate::alert_view::{AlertView, SilenceView};
use crate::build_overview::{Frame, all_orders, totals};
use crate::can_trade::Known;
use crate::config::MonitorConfig;
use crate::history_file::{HistoryFile, Line, Taken};
use crate::history_point::ServiceHistory;
use crate::outbox::{SinkStats, Slot};
use crate::overview::{MonitorView, Overview, ScoreView};
use crate::reader::Reader;
use crate::services::Services;
use crate::sink::AlertSink;
use crate::verdict;

/// How far back the figures for a score look.
const SCORED: Duration = Duration::from_secs(60);

/// What a monitor is made of.
pub(crate) struct Parts {
    pub(crate) source: EventSource,
    pub(crate) config: MonitorConfig,
    pub(crate) rules: AlertRules,
    pub(crate) registries: Vec<Registry>,
    pub(crate) health: Option<HealthMonitor>,
    pub(crate) score: Option<Box<dyn Fn() -> Option<ScoreView> + Send + Sync>>,
    pub(crate) critical: Vec<InstanceName>,
    pub(crate) sinks: Vec<Arc<dyn AlertSink>>,
    pub(crate) file: Option<HistoryFile>,
}

/// What the clones of a monitor share.
pub(crate) struct Shared {
    pub(crate) source: EventSource,
    pub(crate) config: MonitorConfig,
    pub(crate) registries: Vec<Registry>,
    names: Vec<InstanceName>,
    health: Option<HealthMonitor>,
    score: Option<Box<dyn Fn() -> Option<ScoreView> + Send + Sync>>,
    critical: Vec<InstanceName>,
    /// Held while handles are read, and nothing else is asked for. A handle that asks the monitor finds
    /// it locked, and gets what was sampled last.
    reader: Mutex<Reader>,
    state: Mutex<State>,
    pub(crate) sinks: Vec<Arc<Slot>>,
    changes: watch::Sender<u64>,
    /// The file is written by one blocking task at a time.
    file: Option<Arc<Mutex<HistoryFile>>>,
    _taken: Option<Taken>,
    corrupt: u64,
    pub(crate) unwritten: Arc<AtomicU64>,
    /// Of handles that were read, and of the source of the score.
    panics: Arc<AtomicU64>,
}

struct State {
    services: Services,
    engine: Engine,
    health: Option<HealthReport>,
    score: Option<ScoreView>,
    /// When it was sampled last.
    last: Option<Moment>,
    samples: u64,
    /// What the running of the monitor is, and since when.
    is_running: bool,
    since_unix_ms: u64,
    /// The start that is in force.
    round: u64,
    cached: Option<Arc<Overview>>,
}

/// The time on both clocks.
pub(crate) fn moment() -> Moment {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let ms = since.unwrap_or_default().as_millis();
    Moment {
        now: Instant::now(),
        unix_ms: u64::try_from(ms).unwrap_or(u64::MAX),
    }
}

const DAY_MS: u64 = 24 * 3600 * 1_000;

impl Shared {
    pub(crate) fn new(parts: Parts) -> Result<Self, InvalidConfig> {
        let at = moment();
        let names: Vec<_> = parts.registries.iter().map(Registry::service).collect();
        let mut services = Services::new(parts.config, parts.critical.clone());
        let (mut corrupt, mut taken) = (0, None);
        let mut file = parts.file;
        if let Some(file) = &mut file {
            let loaded = file.load(at.unix_ms.saturating_sub(DAY_MS));
            let checked = loaded.and_then(|loaded| {
                file.check()?;
                Ok((loaded, file.take()?))
            });
            let (loaded, is_ours) = checked.map_err(|error| {
                let accepted = "a file that can be read and written, and no other monitor has";
                InvalidConfig::new("history_file", error, accepted)
            })?;
            taken = Some(is_ours);
            corrupt = loaded.corrupt;
            for line in loaded.lines {
                let index = names.iter().position(|it| it.as_str() == line.registry);
                // What is later than now was written by another clock.
                if let Some(index) = index
                    && line.at <= at.unix_ms
                {
                    let name = InstanceName::new(&line.service).as_str();
                    services.restore((index, name), line.point());
                }
            }
        }
        let keep = parts.config.max_alerts() as usize;
        let panics = Arc::default();
        let program = parts.source.name();
        Ok(Self {
            source: parts.source,
            config: parts.config,
            reader: Mutex::new(Reader::new(parts.registries.clone(), Arc::clone(&panics))),
            registries: parts.registries,
            names,
            health: parts.health,
            score: parts.score,
            critical: parts.critical,
            state: Mutex::new(State {
                services,
                engine: Engine::new(program, parts.rules, keep),
                health: None,
                score: None,
                last: None,
                samples: 0,
                is_running: false,
                since_unix_ms: at.unix_ms,
                round: 0,
                cached: None,
            }),
            sinks: parts
                .sinks
                .into_iter()
                .map(|sink| Arc::new(Slot::new(sink)))
                .collect(),
            changes: watch::Sender::new(0),
            file: file.map(|file| Arc::new(Mutex::new(file))),
            _taken: taken,
            corrupt,
            unwritten: Arc::default(),
            panics,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a sample, and returns the lines of the history that it completes.
    pub(crate) fn sample(&self) -> Vec<Line> {
        self.update(true)
    }

    /// Evaluates what events change.
    pub(crate) fn evaluate(&self) {
        self.update(false);
    }

    fn update(&self, is_sample: bool) -> Vec<Line> {
        let mut reader = match self.reader.try_lock() {
            Ok(reader) => reader,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Vec::new(),
        };
        // Everything that is not ours is asked before the state is locked.
        let health = self.health.as_ref().map(HealthMonitor::report);
        let score = if is_sample { self.read_score() } else { None };
        let readings = reader.read(is_sample);
        let at = moment();
        let mut state = self.state();
        let state = &mut *state;
        state.services.make_room();
        state.health = health;
        let completed = if is_sample {
            state.score = score;
            state.last = Some(at);
            state.samples += 1;
            state.services.sample(at.now, at.unix_ms, readings)
        } else {
            state.services.look(at.now, readings);
            Vec::new()
        };
        let wanted = |kind: AlertKind| is_sample || kind.is_immediate();
        let sources = Sources {
            services: &state.services,
            registries: &self.names,
            health: state.health.as_ref(),
            score: state.score.as_ref(),
        };
        let figures = sources.measure(at.now, &state.engine.rules, wanted);
        let alerts = state.engine.evaluate(at, wanted, &figures);
        // In the order in which they were raised, so under the lock: it does not wait.
        for slot in &self.sinks {
            alerts.iter().for_each(|alert| slot.push(alert));
            slot.wake();
        }
        self.changed(state);
        if self.file.is_none() {
            return Vec::new();
        }
        let lines = completed.into_iter().map(|((index, service), point)| {
            let registry = self.names.get(index).map_or("", |name| name.as_str());
            Line::of(registry, service, &point)
        });
        lines.collect()
    }

    fn read_score(&self) -> Option<ScoreView> {
        let read = || match &self.score {
            Some(score) => score(),
            None => ScoreView::of_report(self.health.as_ref()?.score()?),
        };
        catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| {
            self.panics.fetch_add(1, Ordering::Relaxed);
            None
        })
    }

    /// What writes lines to the history file, for a thread that may block.
    pub(crate) fn writer(&self) -> Option<impl Fn(&[Line]) + Clone + Send + 'static + use<>> {
        let file = Arc::clone(self.file.as_ref()?);
        let unwritten = Arc::clone(&self.unwritten);
        Some(move |lines: &[Line]| {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = file.append(lines) {
                unwritten.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(target: "seawall", %error, "history not written");
            }
        })
    }

    pub(crate) fn overview(&self) -> Arc<Overview> {
        let mut state = self.state();
        if let Some(cached) = &state.cached {
            return Arc::clone(cached);
        }
        let overview = Arc::new(self.make_overview(&state));
        state.cached = Some(Arc::clone(&overview));
        overview
    }

    pub(crate) fn service_figures(&self) -> Vec<ServiceFigures> {
        let state = self.state();
        let now = state.last.unwrap_or_else(moment).now;
        let present = state.services.present();
        let figures = present
            .filter_map(|((_, name), service)| service.rolling.sum(now, SCORED).figures(name));
        figures.collect()
    }

    fn make_overview(&self, state: &State) -> Overview {
        let at = state.last.unwrap_or_else(moment);
        let frame = Frame {
            now: at.now,
            unix_ms: at.unix_ms,
            window: self.config.window(),
            health: state.health.as_ref(),
            score: state.score.as_ref(),
        };
        let mut counted = Vec::new();
        let mut services = Vec::new();
        for ((index, name), service) in state.services.present() {
            let registry = self.names.get(index).map_or("", |name| name.as_str());
            let (view, recent) = frame.service(name, registry, service);
            services.push(view);
            counted.push((&service.standing, recent));
        }
        services.sort_by(verdict::by_trouble);
        let orders = all_orders(&services);
        let known = Known {
            services: &services,
            orders: orders.as_ref(),
            health: state.health.as_ref(),
            critical: &self.critical,
            is_sampled: state.last.is_some(),
        };
        let verdict = known.verdict();
        let active = state.engine.active().count() as u64;
        Overview {
            at_unix_ms: at.unix_ms,
            program: self.source.name().as_str(),
            monitor: MonitorView {
                is_running: state.is_running,
                since_unix_ms: state.since_unix_ms,
                last_sample_unix_ms: state.last.map(|last| last.unix_ms),
                samples: state.samples,
                interval_seconds: self.config.interval().as_secs_f64(),
            },
            verdict,
            services,
            services_left_out: state.services.left_out,
            alerts: state.engine.views(),
            silences: state.engine.silences(at),
            score: state.score.clone(),
            orders,
            checks: frame.checks(),
            totals: totals(counted.into_iter(), active),
        }
    }

    /// Begins a start, and returns its number.
    pub(crate) fn begin(&self) -> u64 {
        let mut state = self.state();
        state.round += 1;
        if !state.is_running {
            state.is_running = true;
            state.since_unix_ms = moment().unix_ms;
        }
        self.changed(&mut state);
        state.round
    }

    /// Ends that start, unless another one has taken over.
    pub(crate) fn end(&self, round: u64) {
        let mut state = self.state();
        if state.round == round && state.is_running {
            state.is_running = false;
            state.since_unix_ms = moment().unix_ms;
            self.changed(&mut state);
        }
    }

    pub(crate) fn is_current(&self, round: u64) -> bool {
        self.state().round == round
    }

    pub(crate) fn is_running(&self) -> bool {
        self.state().is_running
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(crate) fn rules(&self) -> AlertRules {
        self.state().engine.rules.clone()
    }

    pub(crate) fn configure(&self, rules: AlertRules) {
        self.state().engine.rules = rules;
    }

    pub(crate) fn history(&self, service: &str) -> Vec<ServiceHistory> {
        let state = self.state();
        let named = state.services.named(service);
        named
            .map(|((index, name), service)| ServiceHistory {
                name,
                registry: self.names.get(index).map_or("", |name| name.as_str()),
                ten_seconds: service.history.ten_seconds(),
                minutes: service.history.minutes(),
            })
            .collect()
    }

    pub(crate) fn history_errors(&self) -> [u64; 2] {
        [self.corrupt, self.unwritten.load(Ordering::Relaxed)]
    }

    pub(crate) fn read_panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    pub(crate) fn alerts(&self) -> Vec<AlertView> {
        self.state().engine.views()
    }

    /// Shows what is firing, under the lock.
    pub(crate) fn show_firing(&self, show: &mut dyn FnMut(&AlertView)) {
        self.state().engine.active().for_each(show);
    }

    pub(crate) fn acknowledge(
        &self,
        alert: u64,
        shown: (&str, &str),
        lasts: Duration,
    ) -> Result<(), AlertCommandError> {
        self.command(|engine, at| engine.acknowledge(at, alert, shown, lasts))
    }

    pub(crate) fn unacknowledge(&self, alert: u64) -> Result<(), AlertCommandError> {
        self.command(|engine, _| engine.unacknowledge(alert))
    }

    pub(crate) fn silence(
        &self,
        matcher: SilenceMatcher,
        shown: (&str, &str),
        lasts: Duration,
    ) -> Result<u64, AlertCommandError> {
        self.command(|engine, at| engine.silence(at, matcher, shown, lasts))
    }

    pub(crate) fn unsilence(&self, silence: u64) -> Result<(), AlertCommandError> {
        self.command(|engine, _| engine.unsilence(silence))
    }

    fn command<T>(
        &self,
        command: impl FnOnce(&mut Engine, Moment) -> Result<T, AlertCommandError>,
    ) -> Result<T, AlertCommandError> {
        let mut state = self.state();
        let done = command(&mut state.engine, moment())?;
        self.changed(&mut state);
        Ok(done)
    }

    /// What was shown is not so any more.
    fn changed(&self, state: &mut State) {
        state.cached = None;
        self.changes.send_modify(|number| *number += 1);
    }

    pub(crate) fn silences(&self) -> Vec<SilenceView> {
        self.state().engine.silences(moment())
    }

    pub(crate) fn sinks(&self) -> Vec<SinkStats> {
        self.sinks.iter().map(|slot| slot.stats()).collect()
    }

    /// Samples that were taken, and alerts that were raised.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let state = self.state();
        (state.samples, state.engine.raised)
    }

    /// How many alerts are firing of each severity.
    pub(crate) fn firing_by_severity(&self) -> [(&'static str, usize); 3] {
        let state = self.state();
        [Severity::Info, Severity::Warning, Severity::Critical].map(|severity| {
            let active = state.engine.active().filter(|it| it.severity == severity);
            (severity.as_str(), active.count())
        })
    }
}

seawall_core::impl_debug!(Shared: |this| source = this.source, config = this.config);
