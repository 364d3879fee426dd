//! One run: steady state, faults, recovery.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use seawall_chaos::{ChaosState, FaultSet};
use seawall_core::InvalidConfig;
use seawall_monitor::{Monitor, MonitorBuilder, MonitorConfig};
use tokio::time::{Instant, sleep_until};

use crate::condition::{Condition, Source};
use crate::control::{Busy, Held, Running};
use crate::evidence::{Evidence, Readings};
use crate::experiment::Experiment;
use crate::outcome::{Outcome, Phase, Refusal};
use crate::recommend::recommendations;
use crate::report::{GuardReport, Point, Report};
use crate::shared::{Environment, Shared};
use crate::times::{later, text};

/// Runs an experiment whose names are known.
pub(crate) async fn run(shared: &Shared, experiment: &Experiment) -> Report {
    let now = shared.now();
    let started = u64::try_from(now.as_millisecond()).unwrap_or_default();
    let mut report = Report::new(experiment, shared.source.name().as_str(), started);
    if let Some((refusal, words)) = refusal(shared, experiment, now) {
        report.refuse(refusal, words);
        return report;
    }
    let monitor = match monitor(shared, experiment) {
        Ok(monitor) => monitor,
        Err(invalid) => {
            report.refuse(Refusal::Faults, invalid.to_string());
            return report;
        }
    };
    let running = match shared.stop.begin() {
        Ok(running) => running,
        Err(Busy::Running) => {
            report.refuse(Refusal::Running, "a runner has one experiment at a time");
            return report;
        }
        Err(Busy::Stopped(reason)) => {
            report.refuse(
                Refusal::Stopped,
                format!("the emergency stop is on: {reason}"),
            );
            return report;
        }
    };
    shared.changed("idle", "running", "started");
    let ended = Ended(shared);
    let mut run = Run::new(shared, experiment, monitor, running, report);
    run.perform().await;
    drop(ended);
    run.finish()
}

/// Emits that a run is over, however it ends.
struct Ended<'a>(&'a Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.changed("running", "idle", "ended");
    }
}

/// Why it may not run now, if it may not, and in words.
fn refusal(shared: &Shared, experiment: &Experiment, now: Timestamp) -> Option<(Refusal, String)> {
    let ends = later(now, experiment.lasts());
    if shared.environment == Environment::Production && !experiment.production {
        let words = "this is production, and the experiment does not say `production = true`";
        return Some((Refusal::Production, words.to_owned()));
    }
    if experiment.orders {
        let is_real = |service: &&str| {
            let target = shared.targets.get(*service);
            target.is_none_or(|target| !target.config().simulated_upstream())
        };
        if let Some(service) = experiment.services().find(is_real) {
            let words =
                format!("it is one on orders, and the upstream of `{service}` is not simulated");
            return Some((Refusal::Orders, words));
        }
    }
    let is_bypassed = |service: &&str| {
        let target = shared.targets.get(*service);
        target.is_some_and(|target| target.state() == ChaosState::Bypassed)
    };
    if let Some(service) = experiment.services().find(is_bypassed) {
        let words = format!("the chaos layer of `{service}` is bypassed: reset it first");
        return Some((Refusal::Faults, words));
    }
    if let Some(hours) = &experiment.hours
        && !hours.include(now, ends)
    {
        let words = format!(
            "it would last from {} to {}, not all within its hours",
            text(now),
            text(ends)
        );
        return Some((Refusal::OutsideHours, words));
    }
    let market = experiment.closed_market();
    let session = market.and_then(|market| Some((market, market.session_in(now, ends)?)));
    session.map(|(market, (opens, closes))| {
        let (name, opens, closes) = (market.name(), text(opens), text(closes));
        let words = format!(
            "the market `{name}` is open from {opens} to {closes}, and it would last until {}",
            text(ends)
        );
        (Refusal::MarketOpen, words)
    })
}

/// What reads the figures: those of a sample are those since the one before.
fn monitor(shared: &Shared, experiment: &Experiment) -> Result<Monitor, InvalidConfig> {
    let every = experiment.run.every;
    let config = MonitorConfig::builder()
        .interval(every)
        .window(every)
        .build()?;
    let builder = Monitor::builder(shared.source.name()).config(config);
    let registries = shared.registries.iter().cloned();
    let builder = registries.fold(builder, MonitorBuilder::registry);
    match &shared.health {
        Some(health) => builder.health(health.clone()),
        None => builder,
    }
    .build()
}

/// A run that is under way.
struct Run<'a> {
    shared: &'a Shared,
    experiment: &'a Experiment,
    monitor: Monitor,
    /// Since when each guard of the file has been outside of its bound.
    outside_since: Vec<Option<Instant>>,
    began: Instant,
    evidence: Evidence,
    report: Report,
    /// Its faults end with it.
    running: Running,
}

/// Why a phase ended early.
enum Cut {
    Stopped(String),
    Guard(usize, String),
}

impl<'a> Run<'a> {
    fn new(
        shared: &'a Shared,
        experiment: &'a Experiment,
        monitor: Monitor,
        running: Running,
        mut report: Report,
    ) -> Self {
        let of_file = experiment.guards.iter().map(ToString::to_string);
        let own = shared.guard_names().map(str::to_owned);
        report.guards = of_file
            .chain(own)
            .map(|words| GuardReport {
                words,
                tripped: None,
            })
            .collect();
        Self {
            shared,
            experiment,
            monitor,
            outside_since: vec![None; experiment.guards.len()],
            began: Instant::now(),
            evidence: Evidence::default(),
            report,
            running,
        }
    }

    async fn perform(&mut self) {
        self.monitor.sample();
        let before = self.readings();
        let start = Instant::now();
        let cut = self.phase(Phase::Before, self.experiment.run.before).await;
        let during = self.readings();
        self.evidence.add(Phase::Before, &before, &during);
        let held = self.judge(Phase::Before, start);
        match cut {
            Some(Cut::Stopped(reason)) => {
                return self.report.end(Outcome::Stopped, stopped(&reason));
            }
            Some(Cut::Guard(index, why)) => {
                self.report.guards[index].tripped = Some(why.clone());
                let words = format!("not in steady state: {why}, before any fault");
                return self.report.end(Outcome::NotSteady, words);
            }
            None => {}
        }
        if held != Some(true) {
            let words = match held {
                None => format!(
                    "not in steady state: {} before any fault",
                    self.too_few(Phase::Before)
                ),
                _ => "not in steady state: the hypothesis did not hold before any fault".to_owned(),
            };
            return self.report.end(Outcome::NotSteady, words);
        }
        if let Err((service, invalid)) = self.inject() {
            self.report
                .refuse(Refusal::Faults, format!("{service}: {invalid}"));
            return;
        }
        let start = Instant::now();
        let cut = self.phase(Phase::During, self.experiment.run.during).await;
        self.end_faults();
        let after = self.readings();
        self.evidence.add(Phase::During, &during, &after);
        let held = self.judge(Phase::During, start);
        if let Some(Cut::Stopped(reason)) = cut {
            return self.report.end(Outcome::Stopped, stopped(&reason));
        }
        let start = Instant::now();
        let stopped_later = self.recover().await;
        self.evidence.add(Phase::After, &after, &self.readings());
        self.judge(Phase::After, start);
        match stopped_later {
            Some(reason) => self.report.end(Outcome::Stopped, stopped(&reason)),
            None => self.conclude(cut, held),
        }
    }

    /// How it ended, after the faults and the wait for recovery.
    fn conclude(&mut self, cut: Option<Cut>, held: Option<bool>) {
        let injected = self.report.injected();
        let recovered = match self.report.recovered_seconds {
            Some(seconds) => format!("recovered within {seconds:.1} s"),
            None => "did not recover in time".to_owned(),
        };
        if let Some(Cut::Guard(index, why)) = cut {
            self.report.guards[index].tripped = Some(why.clone());
            let words = format!("a guard ended the faults: {why}; it {recovered}");
            return self.report.end(Outcome::GuardTripped, words);
        }
        match held {
            Some(false) => {
                let words =
                    format!("the hypothesis did not hold while the faults were on; it {recovered}");
                self.report.end(Outcome::Refuted, words);
            }
            _ if injected == 0 => {
                let words = "no fault had an effect: nothing called the services, or not in the blast radius";
                self.report.end(Outcome::Inconclusive, words);
            }
            None => {
                let words = format!("{} while the faults were on", self.too_few(Phase::During));
                self.report.end(Outcome::Inconclusive, words);
            }
            Some(true) if self.report.recovered_seconds.is_none() => {
                let words =
                    "the hypothesis held while the faults were on, and not in time afterwards";
                self.report.end(Outcome::NotRecovered, words);
            }
            Some(true) => {
                let faults = if injected == 1 { "fault" } else { "faults" };
                let words = format!("the hypothesis held with {injected} {faults}; it {recovered}");
                self.report.end(Outcome::Held, words);
            }
        }
    }

    fn readings(&self) -> Readings {
        Readings::of(&self.shared.registries)
    }

    /// Samples for so long, or until it is stopped or a guard trips.
    async fn phase(&mut self, phase: Phase, lasts: Duration) -> Option<Cut> {
        let (start, every) = (Instant::now(), self.experiment.run.every);
        let mut next = start + every;
        loop {
            let end = start + lasts;
            tokio::select! {
                biased;
                reason = self.running.stopped() => return Some(Cut::Stopped(reason)),
                () = sleep_until(next.min(end)) => {}
            }
            let now = Instant::now();
            self.sample(phase, now);
            if let Some(reason) = self.running.ended_elsewhere() {
                return Some(Cut::Stopped(reason));
            }
            if let Some((index, why)) = self.tripped(now) {
                return Some(Cut::Guard(index, why));
            }
            if now >= end {
                return None;
            }
            // After a pause of the machine there is one sample, and not one for each that is missing.
            while next <= now {
                next += every;
            }
            // No sample of a sliver of time at the end.
            if next + every / 2 > end {
                next = end;
            }
        }
    }

    /// Samples until the hypothesis has held for long enough, and returns why that was stopped, if it was.
    async fn recover(&mut self) -> Option<String> {
        let run = &self.experiment.run;
        let start = Instant::now();
        let mut holds_since = None;
        let mut next = start + run.every;
        loop {
            tokio::select! {
                biased;
                reason = self.running.stopped() => return Some(reason),
                () = sleep_until(next) => {}
            }
            let now = Instant::now();
            let figure = self.sample(Phase::After, now);
            let bound = self.experiment.hypothesis.bound;
            holds_since = match figure {
                Some(figure) if bound.holds(figure) => {
                    // The figure is that of the time since the sample before.
                    holds_since.or(next.checked_sub(run.every))
                }
                _ => None,
            };
            if let Some(since) = holds_since
                && now.saturating_duration_since(since) >= run.recovered
            {
                let recovered = since.saturating_duration_since(start);
                self.report.recovered_seconds = Some(recovered.as_secs_f64());
                return None;
            }
            if now.saturating_duration_since(start) >= run.after {
                return None;
            }
            while next <= now {
                next += run.every;
            }
        }
    }

    /// Judges the samples of a phase that began then, and has ended.
    fn judge(&mut self, phase: Phase, start: Instant) -> Option<bool> {
        let took = Instant::now()
            .saturating_duration_since(start)
            .as_secs_f64();
        let expected = (took / self.experiment.run.every.as_secs_f64()).round();
        self.report.judge(phase, expected as u64)
    }

    /// Why a phase shows nothing.
    fn too_few(&self, phase: Phase) -> String {
        match self.report.phase(phase) {
            Some(judged) if judged.samples > 0 => format!(
                "there was a figure in {} of {} samples, and half of them are needed,",
                judged.samples, judged.expected
            ),
            _ => "there was no figure".to_owned(),
        }
    }

    /// Takes a sample of the hypothesis, and returns it.
    fn sample(&mut self, phase: Phase, now: Instant) -> Option<f64> {
        self.monitor.sample();
        let figure = self.figure(&self.experiment.hypothesis).ok().flatten();
        // What is no number is no figure.
        let figure = figure.filter(|figure| figure.is_finite());
        self.report.samples.push(Point {
            phase,
            at_seconds: now.saturating_duration_since(self.began).as_secs_f64(),
            figure,
        });
        figure
    }

    fn figure(&self, condition: &Condition) -> Result<Option<f64>, String> {
        match &condition.source {
            Source::Figure(figure) => {
                let overview = self.monitor.overview();
                Ok(figure.read(&overview, condition.service.as_deref()))
            }
            Source::Own => self.shared.own(&condition.metric),
        }
    }

    /// The first guard that does not hold: its place in the report, and why.
    fn tripped(&mut self, now: Instant) -> Option<(usize, String)> {
        let experiment = self.experiment;
        for (index, guard) in experiment.guards.iter().enumerate() {
            let why = match self.figure(guard) {
                Ok(Some(figure)) if !guard.bound.holds(figure) => format!("was {figure:.4}"),
                // What cannot be read protects nobody.
                Err(why) => why,
                // Where there is no figure, as without a call, nothing is wrong.
                Ok(_) => {
                    self.outside_since[index] = None;
                    continue;
                }
            };
            // The figure is that of the time since the sample before.
            let since = now.checked_sub(experiment.run.every).unwrap_or(now);
            let since = *self.outside_since[index].get_or_insert(since);
            if now.saturating_duration_since(since) >= guard.lasts {
                return Some((index, format!("{guard}, and {why}")));
            }
        }
        let own = self.shared.tripped();
        own.map(|(index, why)| (experiment.guards.len() + index, why))
    }

    /// Starts the faults of every service, or of none.
    fn inject(&mut self) -> Result<(), (String, InvalidConfig)> {
        let run = &self.experiment.run;
        let mut injections = Vec::new();
        for (index, (service, faults)) in self.experiment.faults.iter().enumerate() {
            let Some(target) = self.shared.targets.get(service) else {
                continue; // the names were checked
            };
            let start = || {
                // They end by themselves, should nothing poll this any more.
                let mut set =
                    FaultSet::new(faults.iter().cloned())?.lasts(run.during + run.every)?;
                if let Some(seed) = run.seed {
                    // Each service has its own draws.
                    set = set.seed(seed.wrapping_add(index as u64));
                }
                target.start(set.label("experiment"))
            };
            let injection = start().map_err(|invalid| (service.clone(), invalid))?;
            self.report.faults[index].seed = Some(injection.seed());
            let target = target.clone();
            injections.push(Arc::new(Held { target, injection }));
        }
        self.running.hold(&injections);
        Ok(())
    }

    /// Ends the faults, and notes what they did.
    fn end_faults(&mut self) {
        for (held, report) in self.running.take().iter().zip(&mut self.report.faults) {
            held.end();
            report.calls = held.injection.calls();
            let counts = held.injection.counts();
            report.injected = counts.injected();
            report.without_effect = counts.without_effect;
            report.spared = counts.spared;
        }
    }

    fn finish(mut self) -> Report {
        self.report
            .took(Instant::now().saturating_duration_since(self.began));
        self.report.layers = self.evidence.counts();
        let services = self.experiment.services();
        self.report.recommendations = recommendations(
            self.report.outcome,
            self.report.recovered_seconds.is_some(),
            services,
            &self.evidence,
        );
        self.report
    }
}

fn stopped(reason: &str) -> String {
    format!("the faults were ended at once: {reason}")
}
