//! What is kept of each service.

use std::collections::BTreeMap;
use std::time::Duration;

use seawall_core::InstanceName;
use tokio::time::Instant;

use crate::config::MonitorConfig;
use crate::history::History;
use crate::history_point::HistoryPoint;
use crate::reader::{Reading, ServiceKey};
use crate::rolling::{Rolling, Tick, quantile};
use crate::standing::Standing;

/// What is kept of one service.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) standing: Standing,
    pub(crate) rolling: Rolling,
    pub(crate) history: History,
    /// When circuits have opened, and how many.
    openings: Vec<(Instant, u64)>,
    /// Since when calls are in flight, and none has ended.
    none_ended_since: Option<Instant>,
    /// Since when a circuit is not closed.
    pub(crate) open_since: Option<Instant>,
    /// Whether it has an instance.
    pub(crate) is_present: bool,
}

/// How many moments of openings are kept: more than a rule asks for.
const OPENINGS: usize = 256;

impl Service {
    fn new(config: &MonitorConfig) -> Self {
        let (interval, window) = (config.interval(), config.window());
        Self {
            standing: Standing::default(),
            rolling: Rolling::new(interval, window, config.snapshots() as usize),
            history: History::new(),
            openings: Vec::new(),
            none_ended_since: None,
            open_since: None,
            is_present: false,
        }
    }

    /// How often circuits have opened in that time.
    pub(crate) fn openings(&self, now: Instant, window: Duration) -> u64 {
        let recent = self
            .openings
            .iter()
            .filter(|(at, _)| now.saturating_duration_since(*at) <= window);
        recent.map(|(_, count)| *count).sum()
    }

    /// For how long calls are in flight without an end, where that is longer than calls take: three times what
    /// 99 of 100 did not exceed so far, and 5 s. Without a call whose time is known it is not known, either.
    pub(crate) fn none_ended_for(&self, now: Instant) -> Option<Duration> {
        let lasts = now.saturating_duration_since(self.none_ended_since?);
        let usual = quantile(&self.rolling.latency, 0.99)?;
        (lasts.as_secs_f64() >= (3.0 * usual).max(5.0)).then_some(lasts)
    }

    fn take_ends(&mut self, now: Instant, seconds: f64, tick: &Tick) {
        let is_stuck = self.standing.in_flight.is_some_and(|calls| calls >= 1.0)
            && tick.calls == tick.rejected;
        if !is_stuck {
            self.none_ended_since = None;
        } else if self.none_ended_since.is_none() {
            let began = Duration::try_from_secs_f64(seconds).unwrap_or_default();
            self.none_ended_since = Some(now.checked_sub(began).unwrap_or(now));
        }
    }

    fn take_standing(&mut self, now: Instant, mut standing: Standing) {
        if standing.state.is_empty() {
            standing.state = "ok";
        }
        // A probe that fails opens the circuit again: that is the same outage.
        let is_open = standing.open > 0 || (standing.half_open > 0 && self.open_since.is_some());
        if !is_open {
            self.open_since = None;
        } else if self.open_since.is_none() {
            let known = standing.state_seconds.filter(|_| standing.is_open());
            let before = Duration::try_from_secs_f64(known.unwrap_or_default());
            let since = now.checked_sub(before.unwrap_or_default());
            self.open_since = Some(since.unwrap_or(now));
        }
        self.standing = standing;
        self.is_present = true;
    }
}

/// What is kept of all services.
#[derive(Debug)]
pub(crate) struct Services {
    config: MonitorConfig,
    /// Those that trading depends on, by name; where none is named, those with orders.
    critical: Vec<InstanceName>,
    all: BTreeMap<ServiceKey, Service>,
    /// How many had no place.
    pub(crate) left_out: u64,
    last: Option<Instant>,
}

impl Services {
    pub(crate) fn new(config: MonitorConfig, critical: Vec<InstanceName>) -> Self {
        Self {
            config,
            critical,
            all: BTreeMap::new(),
            left_out: 0,
            last: None,
        }
    }

    /// Those that have an instance.
    pub(crate) fn present(&self) -> impl Iterator<Item = (ServiceKey, &Service)> {
        let present = self.all.iter().filter(|(_, service)| service.is_present);
        present.map(|(key, service)| (*key, service))
    }

    /// Those of that name, also without an instance.
    pub(crate) fn named(&self, name: &str) -> impl Iterator<Item = (ServiceKey, &Service)> {
        let named = self.all.iter().filter(move |((_, of), _)| *of == name);
        named.map(|(key, service)| (*key, service))
    }

    /// Takes what holds now.
    pub(crate) fn look(&mut self, now: Instant, readings: BTreeMap<ServiceKey, Reading>) {
        self.left_out = 0;
        for service in self.all.values_mut() {
            service.is_present = false;
        }
        // Critical ones first: they have a place, whatever else there is.
        let (critical, others): (Vec<_>, Vec<_>) = readings
            .into_iter()
            .partition(|(key, reading)| self.is_critical(*key, &reading.standing));
        for (key, reading) in critical {
            self.make_place(key);
            let service = self.all.entry(key);
            let service = service.or_insert_with(|| Service::new(&self.config));
            service.take_standing(now, reading.standing);
        }
        for (key, reading) in others {
            match self.place(key) {
                Some(service) => service.take_standing(now, reading.standing),
                None => self.left_out += 1,
            }
        }
    }

    fn is_critical(&self, (_, name): ServiceKey, standing: &Standing) -> bool {
        if self.critical.is_empty() {
            standing.orders.is_some()
        } else {
            self.critical.iter().any(|it| it.as_str() == name)
        }
    }

    /// Forgets one that is not critical where there is no place for this one.
    fn make_place(&mut self, key: ServiceKey) {
        let is_full = self.all.len() >= self.config.max_services() as usize;
        if !is_full || self.all.contains_key(&key) {
            return;
        }
        let mut others = self.all.iter().rev();
        let other = others.find(|(key, other)| !self.is_critical(**key, &other.standing));
        if let Some(other) = other.map(|(key, _)| *key) {
            self.all.remove(&other);
        }
    }

    /// Takes a sample, and returns the minutes that it completes.
    pub(crate) fn sample(
        &mut self,
        now: Instant,
        at_unix_ms: u64,
        mut readings: BTreeMap<ServiceKey, Reading>,
    ) -> Vec<(ServiceKey, HistoryPoint)> {
        let mut completed = Vec::new();
        let elapsed = |last| now.saturating_duration_since(last).as_secs_f64();
        let seconds = self.last.replace(now).map_or(0.0, elapsed);
        let mut new = BTreeMap::new();
        for (key, reading) in &mut readings {
            new.insert(*key, std::mem::take(&mut reading.new));
        }
        self.look(now, readings);
        for (key, service) in &mut self.all {
            let new = new.remove(key).unwrap_or_default();
            if new.opened > 0 {
                service.openings.push((now, new.opened));
                let excess = service.openings.len().saturating_sub(OPENINGS);
                service.openings.drain(..excess);
            }
            // Without time there is no rate.
            if seconds <= 0.0 || !service.is_present {
                continue;
            }
            let tick = service.rolling.push(now, seconds, &new);
            service.take_ends(now, seconds, &tick);
            let latency = &service.rolling.latency;
            if let Some(point) = service.history.push(at_unix_ms, &tick, latency) {
                completed.push((*key, point));
            }
        }
        completed
    }

    /// Takes a minute of an earlier process.
    pub(crate) fn restore(&mut self, key: ServiceKey, point: HistoryPoint) {
        if let Some(service) = self.place(key) {
            service.history.restore(point);
        }
    }

    /// The service of that key, or a new one. `None` where there are as many as may be.
    fn place(&mut self, key: ServiceKey) -> Option<&mut Service> {
        if !self.all.contains_key(&key) {
            if self.all.len() >= self.config.max_services() as usize {
                return None;
            }
            self.all.insert(key, Service::new(&self.config));
        }
        self.all.get_mut(&key)
    }

    /// Forgets services without an instance where there are as many as may be, so that new ones
    /// have a place.
    pub(crate) fn make_room(&mut self) {
        if self.left_out > 0 {
            self.all.retain(|_, service| service.is_present);
        }
    }
}
