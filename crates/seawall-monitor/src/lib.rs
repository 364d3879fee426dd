//! What a dashboard shows of Seawall's layers: rolling figures, history, a verdict in words, and alerts.
//!
//! Layers count, and their handles know their states; a registry has the handles. A [`Monitor`] reads them
//! once a second and makes of it what somebody who runs a system asks: can I trade? What is open, throttled
//! or full, since when, and why? Is it getting worse? It does nothing for a call, and nothing but read.
//!
//! ```
//! use seawall_breaker::{BreakerConfig, BreakerLayer};
//! use seawall_monitor::{AlertKind, AlertRule, AlertRules, Level, LogSink, Monitor, Registry};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = Registry::new("desk");
//! let breaker = BreakerLayer::new("alpaca", BreakerConfig::default());
//! registry.register(breaker.handle())?;
//!
//! let rule = AlertRule::builder(AlertKind::ManyFailures).threshold(0.2).build()?;
//! let monitor = Monitor::builder("desk")
//!     .registry(registry)
//!     .rules(AlertRules::default().with(rule))
//!     .sink(LogSink)
//!     .build()?;
//! let guard = monitor.start(); // until it is dropped
//!
//! breaker.handle().force_open();
//! monitor.sample(); // or wait a second
//! let overview = monitor.overview();
//! assert_eq!(overview.verdict.level, Level::Down);
//! assert_eq!(overview.verdict.words, "no: alpaca: the circuit is forced open");
//! assert_eq!(monitor.alerts()[0].words, "alpaca: the circuit is open");
//! # drop(guard); Ok(()) }
//! ```
//!
//! # What it has
//!
//! * [`Monitor::overview`]: everything at one moment, services sorted by trouble. It is `Serialize`, and no
//!   number in it is infinite or not a number. It is made when it is asked for, once per sample.
//! * [`Monitor::history`]: points of 10 s for an hour and of a minute for a day, on disk where
//!   [`history_file`](MonitorBuilder::history_file) says so.
//! * [`Monitor::alerts`]: by [rules](AlertRule) with thresholds, hysteresis and times, to [sinks](AlertSink): the
//!   log, events, a signed webhook, Alertmanager.
//! * [`Monitor::changes`]: when there is something new, for a stream to viewers.
//!
//! # How bad it is
//!
//! | trouble | level | what holds |
//! |---|---|---|
//! | 100 | down | the kill switch is engaged, or trading is halted |
//! | 95 | down | its circuit is open, or every one of its keys |
//! | 90 | down | its health is unhealthy |
//! | 85 | down | paused until it is resumed, or draining |
//! | 80 | degraded | look-ups of orders are used up |
//! | 75 | degraded | throttled by the upstream, or paused for a time |
//! | 72 | degraded | a handle panics, or reports what cannot be |
//! | 70 | degraded | orders are in doubt |
//! | 65 | degraded | only some orders pass |
//! | 60 | degraded | a circuit is half-open, or some of several are open |
//! | 58 | degraded | calls are in flight, and none has ended for longer than calls take, and 5 s |
//! | 55 | degraded | as many calls fail as open the circuit, or a tenth |
//! | 50 | degraded | a tenth of the calls is rejected |
//! | 48 | degraded | a tenth of the answers is degraded |
//! | 45 | degraded | the queue is full |
//! | 40 | degraded | nine tenths of a quota are used |
//! | 35 | degraded | the retry budget is used up |
//! | 30 | degraded | its health is degraded |
//! | 20 | ok | the circuit is forced closed |
//!
//! The trouble of a service is that of the worst of these, plus the share of its calls that fail. Services are
//! sorted by it; of equal ones the busier is first, then they go by name and registry. The words of a verdict
//! are those of its three worst. One cannot trade where trading is halted, where a
//! [critical](MonitorBuilder::critical) service is down or is not there, or where a critical health check fails;
//! with care where any service or any other check is not ok.
//!
//! # Read on
//!
//! * [`docs::figures`]: where figures come from, clocks, memory, the history file
//! * [`docs::alerts`]: raised, over, acknowledged, silenced; sinks
//!
//! # Features
//!
//! `webhook` (default): the sinks over HTTP; `openapi`: `utoipa::ToSchema`; `test-util`: tokio's clock in
//! optimized builds, too.

/// Longer matters, one page each.
pub mod docs {
    #[doc = include_str!("../docs/figures.md")]
    pub mod figures {}

    #[doc = include_str!("../docs/alerts.md")]
    pub mod alerts {}
}

mod alert_engine;
mod alert_figures;
mod alert_kind;
mod alert_rule;
mod alert_view;
mod alertmanager;
mod build_overview;
mod can_trade;
mod config;
mod counts;
#[cfg(feature = "webhook")]
mod endpoint;
mod history;
mod history_file;
mod history_point;
#[cfg(feature = "webhook")]
mod http_sinks;
mod monitor;
mod outbox;
mod overview;
mod pending;
mod read;
mod reader;
mod rolling;
mod run;
mod service_name;
mod services;
mod shared;
#[cfg(feature = "webhook")]
mod signature;
mod sink;
mod sinks;
mod standing;
mod time_text;
mod verdict;
mod words;

pub use alert_engine::{AlertCommandError, SilenceMatcher};
pub use alert_kind::AlertKind;
pub use alert_rule::{AlertRule, AlertRuleBuilder, AlertRules};
pub use alert_view::{Acknowledgement, AlertState, AlertView, SilenceView};
pub use alertmanager::alertmanager_json;
pub use config::{MonitorConfig, MonitorConfigBuilder};
#[cfg(feature = "webhook")]
pub use endpoint::{Endpoint, EndpointBuilder};
pub use history_point::{HistoryPoint, ServiceHistory};
#[cfg(feature = "webhook")]
pub use http_sinks::{AlertmanagerSink, WebhookSink};
pub use monitor::{Monitor, MonitorBuilder};
pub use outbox::SinkStats;
pub use overview::{
    BudgetView, CheckView, Level, LimitView, MonitorView, OrdersView, Overview, ProviderLimitView,
    RejectionView, ScorePart, ScoreView, ServiceOverview, ServiceScore, Spark, Summary, Totals,
    Trend, Verdict,
};
pub use run::MonitorGuard;
pub use seawall_core::{Events, InstanceName, InvalidConfig, Registry, Severity};
#[cfg(feature = "webhook")]
pub use signature::{SIGNATURE_HEADER, TIMESTAMP_HEADER, verify_signature};
pub use sink::{AlertSink, Delivery, SinkError};
pub use sinks::{EventSink, LogSink};

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
