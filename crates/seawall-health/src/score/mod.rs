//! One number for how healthy a program is, with its parts and with what to do.

mod config;
mod part;
mod report;
mod resilience;
mod service;
#[cfg(feature = "system")]
mod system;
mod trading;

use std::fmt;

use seawall_core::{InstanceName, Registry};

use crate::run::caught;
use crate::{HealthHandle, HealthReport};

pub use config::{ScoreConfig, ScoreConfigBuilder};
pub use part::Part;
pub use report::{PartScore, Recommendation, ScoreReport, ServiceScore};
pub use service::ServiceFigures;
pub use trading::TradingFigures;

use report::{Finding, Judged};

type ServiceSource = Box<dyn Fn() -> Vec<ServiceFigures> + Send + Sync>;
type TradingSource = Box<dyn Fn() -> TradingFigures + Send + Sync>;

/// The health of a program in one number from 0 to 100: resilience, system, services and trading, each
/// with its weight, and what to do about what costs most.
///
/// A part without a source is left out: the others keep their weights beside each other, and the report
/// says so.
///
/// Where no new order passes, every call of a service or of a critical check fails, or a layer of a
/// [critical](Self::critical) service lets nothing pass, the score is at most half of the threshold, whatever else
/// is well, and the recommendation says so: such a program is not nearly healthy.
///
/// | part | what it is made of |
/// |---|---|
/// | resilience | the circuits of the registries count for 70 %, a half-open one half; the other layers for 30 %: one that is full, that waits, a rate limit that is used up or one that an operator has bypassed counts half, one that lets nothing pass not at all |
/// | system | processors, memory, disks, open files: the fullest one. Full marks up to 70 % used, none at 100 % |
/// | services | the mean of their [scores](ServiceFigures::score): of layers, of your own figures, and of the checks of the monitor that it is [set](crate::HealthMonitor::set_score) for |
/// | trading | [`TradingFigures::score`] |
///
/// ```
/// use seawall_core::Registry;
/// use seawall_health::{HealthScore, Part, ScoreConfig, TradingFigures};
///
/// let score = HealthScore::new(ScoreConfig::default())
///     .registry(&Registry::new("desk"))
///     .trading(|| TradingFigures::new(true, true).in_doubt(2));
/// let report = score.report();
/// assert_eq!(report.score, Some(80.0), "of trading alone, since nothing is registered");
/// assert!(report.part(Part::System).unwrap().score.is_none());
/// assert_eq!(report.recommendations[0].words, "look at the 2 orders in doubt");
/// ```
#[must_use = "it does nothing until it is asked or set"]
#[derive(Default)]
pub struct HealthScore {
    config: ScoreConfig,
    registries: Vec<Registry>,
    critical: Vec<InstanceName>,
    layers: Vec<HealthHandle>,
    services: Vec<ServiceSource>,
    trading: Option<TradingSource>,
    #[cfg(feature = "system")]
    system: Option<crate::SystemProbe>,
}

impl HealthScore {
    /// Without any source.
    pub fn new(config: ScoreConfig) -> Self {
        Self {
            config,
            ..Self::default()
        }
    }

    /// Takes the layers of a registry for the resilience.
    pub fn registry(mut self, registry: &Registry) -> Self {
        self.registries.push(registry.clone());
        self
    }

    /// Makes a service critical: a layer of that name that lets nothing pass (a circuit that is open, a command that
    /// blocks, a budget that is spent, halted orders) caps the score, and so does a name that no layer of the registries
    /// has. A rate limit that is used up makes calls wait and caps nothing; parts of it, `alpaca/orders` of `alpaca`, are
    /// named by themselves. By default none is, and an open
    /// circuit among many costs its share.
    pub fn critical(mut self, service: impl Into<InstanceName>) -> Self {
        self.critical.push(service.into());
        self
    }

    /// Takes what a layer observes as a service.
    pub fn layer(mut self, layer: HealthHandle) -> Self {
        self.layers.push(layer);
        self
    }

    /// Takes further services, asked at each report. Where asking panics, that counts as a service without
    /// marks.
    pub fn services(
        mut self,
        services: impl Fn() -> Vec<ServiceFigures> + Send + Sync + 'static,
    ) -> Self {
        self.services.push(Box::new(services));
        self
    }

    /// Takes how much of the machine is used.
    #[cfg(feature = "system")]
    pub fn system(mut self, probe: crate::SystemProbe) -> Self {
        self.system = Some(probe);
        self
    }

    /// Takes whether one can trade, asked at each report. Where asking panics, one cannot.
    pub fn trading(mut self, trading: impl Fn() -> TradingFigures + Send + Sync + 'static) -> Self {
        self.trading = Some(Box::new(trading));
        self
    }

    /// The settings.
    pub const fn config(&self) -> ScoreConfig {
        self.config
    }

    /// The score now.
    pub fn report(&self) -> ScoreReport {
        self.of(None)
    }

    /// The same with the checks of a monitor as services.
    pub(crate) fn of(&self, checks: Option<&HealthReport>) -> ScoreReport {
        let (services, judged) = self.judge_services(checks);
        #[cfg(feature = "system")]
        let system = self.system.as_ref().map(crate::SystemProbe::read);
        let parts = [
            (
                Part::Resilience,
                resilience::judge(&self.registries, &self.critical),
            ),
            #[cfg(feature = "system")]
            (Part::System, system.as_ref().and_then(system::judge)),
            #[cfg(not(feature = "system"))]
            (Part::System, None),
            (Part::Services, judged),
            (
                Part::Trading,
                self.trading.as_ref().map(|trading| match caught(trading) {
                    Ok(figures) => figures.judge(),
                    Err(panic) => TradingFigures::unknown(&panic),
                }),
            ),
        ];
        let mut report = ScoreReport::new(self.config, parts);
        report.services = services;
        #[cfg(feature = "system")]
        {
            report.system = system;
        }
        report
    }

    fn judge_services(&self, checks: Option<&HealthReport>) -> (Vec<ServiceScore>, Option<Judged>) {
        let own = self.services.iter().map(caught);
        let (own, panics): (Vec<_>, Vec<_>) = own.partition(Result::is_ok);
        let own = own.into_iter().flatten().flatten();
        let layers = self.layers.iter().filter_map(ServiceFigures::of_layer);
        let checks = checks.into_iter().flat_map(|report| &report.checks);
        // A passive check is that of a layer, whose own figures say more.
        let active = checks.filter(|check| check.depth != crate::Depth::Passive);
        let all: Vec<_> = layers
            .chain(own)
            .chain(active.filter_map(ServiceFigures::of_check))
            .collect();
        let score = |service: &ServiceFigures| ServiceScore {
            name: service.name(),
            score: service.score(),
        };
        let mut scores: Vec<_> = all.iter().map(score).collect();
        scores.sort_by(|a, b| a.score.total_cmp(&b.score));
        // A source of which nothing is known counts as one service that does not work.
        let count = all.len() + panics.len();
        if count == 0 {
            return (scores, None);
        }
        let each = 100.0 / count as f64;
        let finding = |service: &ServiceFigures| {
            let lost = each * (1.0 - service.score() / 100.0);
            Finding::new(lost, service.words()).capping(service.is_missing())
        };
        let sum: f64 = scores.iter().map(|service| service.score).sum();
        let panics = panics.into_iter().filter_map(Result::err).map(|panic| {
            let words = format!("find out why a source of services panics: {panic}");
            Finding::new(each, words)
        });
        let findings = all.iter().map(finding).chain(panics).collect();
        let words = format!("the mean of {count} services");
        let judged = Judged::new(sum / count as f64, words, findings);
        (scores, Some(judged))
    }
}

impl fmt::Debug for HealthScore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthScore")
            .field("config", &self.config)
            .field("registries", &self.registries.len())
            .field("critical", &self.critical)
            .field("layers", &self.layers.len())
            .field("services", &self.services.len())
            .field("trading", &self.trading.is_some())
            .finish_non_exhaustive()
    }
}
