//! What is tried, on what, when, and what should stay as it is.

use std::time::Duration;

use jiff::Timestamp;
use seawall_chaos::{Fault, FaultSet, Reach};
use seawall_core::{InvalidConfig, Operation, PartitionKey, Ratio, Span};

use crate::calendar::MarketCalendar;
use crate::condition::{Bound, Condition};
use crate::fault_table::{fault, hits_some};
use crate::hours::{Hours, can_run};
use crate::raw::{RawExperiment, RawRadius, RawRun};
use crate::schedule::Schedule;
use crate::times::{length, length_or};

/// What is tried, on what, when, and what should stay as it is: one `[[experiment]]` of a file.
///
/// See [`docs::file`](crate::docs::file) for everything that it may have.
#[derive(Clone, Debug)]
pub struct Experiment {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) production: bool,
    pub(crate) orders: bool,
    pub(crate) hypothesis: Condition,
    pub(crate) guards: Vec<Condition>,
    /// By the name of the service.
    pub(crate) faults: Vec<(String, Vec<Fault>)>,
    pub(crate) schedule: Schedule,
    pub(crate) hours: Option<Hours>,
    pub(crate) market: Option<MarketCalendar>,
    pub(crate) allow_open: bool,
    pub(crate) run: Run,
}

/// How long its phases take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Run {
    pub(crate) before: Duration,
    pub(crate) during: Duration,
    pub(crate) after: Duration,
    pub(crate) every: Duration,
    pub(crate) recovered: Duration,
    pub(crate) seed: Option<u64>,
}

impl Experiment {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is for.
    pub fn about(&self) -> &str {
        &self.about
    }

    /// When it runs.
    pub const fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// The hypothesis in words: `success_ratio of quotes is at least 0.95`.
    pub fn hypothesis(&self) -> String {
        self.hypothesis.to_string()
    }

    /// The bound of the hypothesis.
    pub const fn bound(&self) -> Bound {
        self.hypothesis.bound
    }

    /// The services whose calls may be hit.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.faults.iter().map(|(service, _)| service.as_str())
    }

    /// The longest time that a run takes.
    pub fn lasts(&self) -> Duration {
        self.run.lasts()
    }

    /// The checked experiment. Errors name the field from the table of the experiment on.
    pub(crate) fn new(
        raw: &RawExperiment,
        calendar: impl Fn(&str) -> Option<MarketCalendar>,
        now: Timestamp,
    ) -> Result<Self, InvalidConfig> {
        if raw.name.trim().is_empty() || raw.name.len() > 100 {
            let accepted = "a name of at most 100 bytes";
            return Err(InvalidConfig::new(
                "name",
                format!("{:?}", raw.name),
                accepted,
            ));
        }
        let market = match &raw.market {
            None => Some(MarketCalendar::nyse()),
            Some(market) if market.calendar == "none" => {
                if market.allow_open {
                    let accepted = "false, or nothing: it has no effect without a calendar";
                    return Err(InvalidConfig::new("market.allow_open", true, accepted));
                }
                None
            }
            Some(market) => Some(calendar(&market.calendar).ok_or_else(|| {
                let accepted = "\"nyse\", \"none\", or a calendar of the file";
                InvalidConfig::new(
                    "market.calendar",
                    format!("{:?}", market.calendar),
                    accepted,
                )
            })?),
        };
        let hypothesis = Condition::hypothesis(&raw.hypothesis);
        let run = Run::new(&raw.run).map_err(|invalid| within("run", invalid))?;
        let guards = raw.guard.iter().enumerate().map(|(index, raw)| {
            let field = format!("guard[{index}]");
            let guard = Condition::guard(raw).and_then(|guard| guard.can_trip_within(run.during));
            guard.map_err(|invalid| within(&field, invalid))
        });
        let lasts = run.lasts();
        let hours = raw.hours.as_ref().map(|raw| Hours::new(raw, lasts));
        let schedule = Schedule::new(&raw.schedule, now);
        let experiment = Self {
            name: raw.name.clone(),
            about: raw.about.clone(),
            production: raw.production,
            orders: raw.orders,
            hypothesis: hypothesis.map_err(|invalid| within("hypothesis", invalid))?,
            guards: guards.collect::<Result<_, _>>()?,
            faults: faults(raw)?,
            schedule: schedule.map_err(|invalid| within("schedule", invalid))?,
            hours: hours
                .transpose()
                .map_err(|invalid| within("hours", invalid))?,
            market,
            allow_open: raw.market.as_ref().is_some_and(|market| market.allow_open),
            run,
        };
        experiment.check(raw, now)?;
        Ok(experiment)
    }

    /// The market that must not be open while it runs.
    pub(crate) fn closed_market(&self) -> Option<&MarketCalendar> {
        self.market.as_ref().filter(|_| !self.allow_open)
    }

    /// Rejects what is never due within its hours while the market is closed.
    fn check(&self, raw: &RawExperiment, now: Timestamp) -> Result<(), InvalidConfig> {
        let (hours, market) = (self.hours.as_ref(), self.closed_market());
        if can_run(&self.schedule, hours, market, self.lasts(), now) {
            return Ok(());
        }
        let accepted =
            "a time at which all of a run is within its `hours`, and its `market` is not open";
        let (field, value) = match (&raw.schedule.cron, &raw.schedule.at) {
            (Some(cron), _) => ("schedule.cron", cron),
            (_, Some(at)) => ("schedule.at", at),
            _ => match (&raw.hours, &raw.market) {
                (Some(hours), _) => ("hours.from", &hours.from),
                (_, market) => {
                    let market = market.as_ref().map(|market| &market.calendar);
                    ("market.calendar", market.unwrap_or(&raw.name))
                }
            },
        };
        Err(InvalidConfig::new(field, format!("{value:?}"), accepted))
    }
}

/// The error with the table before the field.
pub(crate) fn within(table: &str, invalid: InvalidConfig) -> InvalidConfig {
    let field = format!("{table}.{}", invalid.field());
    invalid.in_field(field)
}

/// The faults of each service of the blast radius.
fn faults(raw: &RawExperiment) -> Result<Vec<(String, Vec<Fault>)>, InvalidConfig> {
    let radius = &raw.blast_radius;
    let reach = reach(radius).map_err(|invalid| within("blast_radius", invalid))?;
    // Also where the upstream is simulated: orders and cancels are hit only where that is what is tried.
    let reach = match raw.orders {
        true => reach,
        false => reach.when(|meta| meta.replay.is_read()),
    };
    let traffic = radius.traffic.unwrap_or(1.0);
    let mut faults: Vec<_> = radius
        .services
        .iter()
        .map(|name| (name.clone(), Vec::new()))
        .collect();
    if raw.fault.is_empty() {
        return Err(InvalidConfig::new("fault", "empty", "at least one fault"));
    }
    for (index, fault_raw) in raw.fault.iter().enumerate() {
        let field = format!("fault[{index}]");
        let of = fault_raw.service.as_ref();
        if let Some(service) = of.filter(|service| !radius.services.contains(service)) {
            let accepted = "one of `blast_radius.services`";
            let invalid = InvalidConfig::new("service", format!("{service:?}"), accepted);
            return Err(within(&field, invalid));
        }
        let made = fault(fault_raw, reach.clone(), traffic);
        let made = made.map_err(|invalid| within(&field, invalid))?;
        for (service, faults) in &mut faults {
            if of.is_none_or(|of| of == service) {
                faults.push(made.clone());
            }
        }
    }
    for (service, faults) in &faults {
        if faults.is_empty() {
            let accepted = "services that a fault hits";
            let field = "blast_radius.services";
            return Err(InvalidConfig::new(field, format!("{service:?}"), accepted));
        }
        // What could not be started.
        FaultSet::new(faults.iter().cloned()).map_err(|invalid| invalid.in_field("fault"))?;
    }
    Ok(faults)
}

/// Checks names of which there is at least one, each of them once.
fn names(field: &'static str, names: &[String]) -> Result<(), InvalidConfig> {
    let mut seen = std::collections::BTreeSet::new();
    let fails = |value: String, accepted| Err(InvalidConfig::new(field, value, accepted));
    if names.is_empty() {
        return fails("[]".to_owned(), "at least one name");
    }
    for name in names {
        if name.trim().is_empty() {
            return fails(format!("{name:?}"), "names that are not empty");
        }
        if !seen.insert(name) {
            return fails(format!("{name:?}"), "each name once");
        }
    }
    Ok(())
}

fn reach(raw: &RawRadius) -> Result<Reach, InvalidConfig> {
    names("services", &raw.services)?;
    if let Some(traffic) = raw.traffic {
        let is_some = Ratio::new(traffic).is_ok_and(|share| share > Ratio::ZERO);
        if !is_some {
            let accepted = "a number above 0, up to 1";
            return Err(InvalidConfig::new("traffic", traffic, accepted));
        }
        hits_some("traffic", traffic)?;
    }
    let mut reach = Reach::everything();
    if let Some(keys) = &raw.keys {
        names("keys", keys)?;
        reach = keys.iter().fold(reach, |reach, key| {
            reach.key(PartitionKey::of(key.as_str()))
        });
    }
    if let Some(operations) = &raw.operations {
        names("operations", operations)?;
        reach = operations.iter().fold(reach, |reach, operation| {
            reach.operation(Operation::new(operation.as_str()))
        });
    }
    if let Some(share) = raw.share_of_keys {
        reach = reach
            .share_of_keys(share)
            .map_err(|invalid| invalid.in_field("share_of_keys"))?;
        hits_some("share_of_keys", share)?;
        if raw.keys.as_ref().is_some_and(|keys| keys.len() == 1) {
            let accepted = "nothing beside one key, of which it would be all or nothing";
            return Err(InvalidConfig::new("share_of_keys", share, accepted));
        }
    }
    Ok(reach)
}

impl Run {
    fn lasts(&self) -> Duration {
        self.before + self.during + self.after
    }

    fn new(raw: &RawRun) -> Result<Self, InvalidConfig> {
        const LONGEST: Duration = Duration::from_secs(24 * 3_600);
        const MOST_SAMPLES: u128 = 100_000;
        let seed = raw.seed.map(|seed| {
            let accepted = "a whole number from 0 to 9223372036854775807";
            u64::try_from(seed).map_err(|_negative| InvalidConfig::new("seed", seed, accepted))
        });
        let during = length("during", &raw.during)?;
        let every = length_or("every", raw.every.as_deref(), Duration::from_secs(1))?;
        let or = |field, text: &Option<String>, default| length_or(field, text.as_deref(), default);
        let run = Self {
            before: or("before", &raw.before, every * 10)?,
            during,
            after: or(
                "after",
                &raw.after,
                (every * 3).max(Duration::from_secs(60)),
            )?,
            every,
            recovered: or("recovered", &raw.recovered, every * 3)?,
            seed: seed.transpose()?,
        };
        let bounds = [
            (
                "every",
                run.every,
                Duration::from_millis(100),
                Duration::from_secs(60),
            ),
            ("during", run.during, every, LONGEST),
            ("before", run.before, every, LONGEST),
            ("after", run.after, run.recovered, LONGEST),
            ("recovered", run.recovered, every, LONGEST),
        ];
        for (field, value, least, most) in bounds {
            if value < least || value > most {
                let accepted = format!("from {} to {}", Span(least), Span(most));
                return Err(InvalidConfig::new(field, Span(value), accepted));
            }
        }
        let samples = run.lasts().as_nanos() / run.every.as_nanos();
        if samples > MOST_SAMPLES {
            let accepted = "so long that a run has at most 100000 samples";
            return Err(InvalidConfig::new("every", Span(run.every), accepted));
        }
        Ok(run)
    }
}
