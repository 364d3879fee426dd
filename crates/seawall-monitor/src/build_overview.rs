//! Makes an overview of what was sampled.

use std::time::Duration;

use seawall_core::LastRejection;
use seawall_health::{HealthReport, Status};
use tokio::time::Instant;

use crate::overview::{
    BudgetView, CheckView, LimitView, OrdersView, ProviderLimitView, RejectionView, ScoreView,
    ServiceOverview, Totals, number,
};
use crate::rolling::{Tick, quantile, share};
use crate::services::Service;
use crate::standing::{LimitReading, Standing, mode_rank};
use crate::verdict;

/// From the outside in: the order of a stack.
const STACK: [&str; 12] = [
    "telemetry",
    "read_deadline",
    "deadline",
    "retry",
    "hedge",
    "throttle",
    "gate",
    "bulkhead",
    "ratelimit",
    "ratelimit_per_key",
    "breaker",
    "attempt_timeout",
];

/// What an overview of a service is made of.
pub(crate) struct Frame<'a> {
    pub(crate) now: Instant,
    pub(crate) unix_ms: u64,
    pub(crate) window: Duration,
    pub(crate) health: Option<&'a HealthReport>,
    pub(crate) score: Option<&'a ScoreView>,
}

impl Frame<'_> {
    /// The overview of a service, and what was counted in the window.
    pub(crate) fn service(
        &self,
        name: &'static str,
        registry: &'static str,
        service: &Service,
    ) -> (ServiceOverview, Tick) {
        let recent = service.rolling.sum(self.now, self.window);
        let mut standing = service.standing.clone();
        let check = self.check(name);
        standing.health = worse(standing.health, check);
        standing.none_ended_for = service.none_ended_for(self.now);
        let (verdict, trouble) = verdict::of_service(&standing, &recent);
        let latency = service.rolling.recent_latency();
        let hedged = standing
            .has_hedge
            .then(|| share(recent.hedged, recent.calls));
        let rerouted = standing
            .has_router
            .then(|| share(recent.rerouted, recent.calls));
        let scores = self.score.map_or(&[][..], |score| &score.services);
        let score = scores.iter().find(|of| of.name == name);
        let overview = ServiceOverview {
            name,
            registry,
            level: verdict.level,
            verdict: verdict.words,
            trouble,
            state: standing.state,
            state_seconds: standing.state_seconds,
            next_probe_seconds: standing.next_probe_seconds,
            calls_per_second: recent.per_second(recent.calls),
            error_ratio: recent.error_ratio(),
            error_threshold: standing.error_threshold,
            slow_ratio: recent.slow_ratio(),
            slow_threshold: standing.slow_threshold,
            rejected_ratio: recent.rejected_ratio(),
            throttled_per_second: recent.per_second(recent.throttled),
            average_seconds: recent.average_seconds(),
            p50_seconds: quantile(&latency, 0.5),
            p95_seconds: quantile(&latency, 0.95),
            p99_seconds: quantile(&latency, 0.99),
            in_flight: standing.in_flight,
            max_concurrent: standing.max_concurrent,
            queue_depth: standing.queue_depth,
            max_waiting: standing.max_waiting,
            pause_seconds: number(standing.pause_seconds).filter(|left| *left > 0.0),
            limits: limits(&standing.limits),
            retry_budget: standing.retry_balance.map(|balance| BudgetView {
                balance,
                capacity: standing.retry_capacity,
            }),
            hedge_share: hedged.flatten(),
            fallback_share: rerouted.flatten(),
            degraded_share: recent.degraded_ratio(),
            last_rejection: standing
                .last_rejection
                .map(|last| self.rejection(&standing, last)),
            sparkline: service.rolling.sparkline(self.now),
            summary: service.rolling.summary(),
            health: standing.health.map(status_word),
            orders: standing.orders.map(|orders| OrdersView {
                in_doubt: orders.in_doubt,
                exhausted: orders.exhausted,
                mode: orders.mode,
                kill_switch: orders.kill_switch,
            }),
            score: score.map(|of| of.score),
        };
        (overview, recent)
    }

    /// The status of the check that has the name of a service.
    fn check(&self, name: &str) -> Option<u8> {
        let check = self
            .health?
            .checks
            .iter()
            .find(|it| it.name.as_str() == name);
        check.map(|check| check.status.as_number())
    }

    fn rejection(&self, standing: &Standing, last: LastRejection) -> RejectionView {
        let rejection = last.rejection;
        let pattern = rejection.pattern();
        // The telemetry around all measures, and lets everything pass.
        let outside = STACK.iter().skip(1).copied();
        let outside = outside.take_while(|it| Some(*it) != pattern);
        let has = |it: &&'static str| {
            let is_there = standing.patterns.contains(it);
            is_there || (*it == "gate" && standing.patterns.contains(&"breaker"))
        };
        let is_known = pattern.is_some_and(|it| STACK.contains(&it));
        let ago = u64::try_from(last.ago.as_millis()).unwrap_or(u64::MAX);
        RejectionView {
            at_unix_ms: self.unix_ms.saturating_sub(ago),
            pattern,
            name: rejection.name().as_str(),
            reason: rejection.reason().as_str(),
            words: rejection.to_string(),
            advice: rejection.reason().advice(),
            passed: if is_known {
                outside.filter(has).collect()
            } else {
                Vec::new()
            },
        }
    }

    /// What the checks have found.
    pub(crate) fn checks(&self) -> Vec<CheckView> {
        let checks = self.health.map_or(&[][..], |report| &report.checks);
        let view = |check: &seawall_health::CheckReport| CheckView {
            name: check.name.as_str(),
            status: check.status.as_str(),
            critical: check.critical,
            message: check.message.clone(),
        };
        checks.iter().map(view).collect()
    }
}

/// The worse of two states of health; what is unknown does not count beside what is known.
fn worse(one: Option<u8>, other: Option<u8>) -> Option<u8> {
    one.max(other)
}

fn status_word(status: u8) -> &'static str {
    let all = [
        Status::Unknown,
        Status::Healthy,
        Status::Degraded,
        Status::Unhealthy,
    ];
    let found = all.into_iter().find(|it| it.as_number() == status);
    found.unwrap_or(Status::Unknown).as_str()
}

fn limits(readings: &[LimitReading]) -> Vec<LimitView> {
    let several = |instance| {
        let all = readings.iter().filter(|it| it.instance == instance);
        all.count() > 1
    };
    let view = |it: &LimitReading| LimitView {
        name: if several(it.instance) {
            format!("{}/{}", it.instance, it.index)
        } else {
            it.instance.to_owned()
        },
        unit: it.unit,
        available: it.available,
        capacity: it.capacity,
        window_seconds: it.window_seconds,
        resets_in_seconds: it.full_seconds,
        provider: it.reported_age_seconds.map(|age| ProviderLimitView {
            remaining: it.reported_remaining,
            limit: it.reported_limit,
            resets_in_seconds: it.reported_reset_seconds,
            age_seconds: Some(age),
        }),
        used_share: it.used_share(),
    };
    readings.iter().map(view).collect()
}

/// The orders of all services together; of the modes the strictest.
pub(crate) fn all_orders(services: &[ServiceOverview]) -> Option<OrdersView> {
    let orders = services.iter().filter_map(|service| service.orders);
    orders.reduce(|sum, more| OrdersView {
        in_doubt: sum.in_doubt.saturating_add(more.in_doubt),
        exhausted: sum.exhausted.saturating_add(more.exhausted),
        mode: if mode_rank(more.mode) > mode_rank(sum.mode) {
            more.mode
        } else {
            sum.mode
        },
        kill_switch: sum.kill_switch || more.kill_switch,
    })
}

/// How much of it works, over all services.
pub(crate) fn totals<'a>(
    services: impl Iterator<Item = (&'a Standing, Tick)>,
    active_alerts: u64,
) -> Totals {
    let mut totals = Totals {
        active_alerts,
        ..Totals::default()
    };
    let mut sum = Tick::default();
    let mut seconds = 0.0_f64;
    for (standing, recent) in services {
        totals.circuits += standing.circuits;
        totals.open_circuits += standing.open;
        totals.half_open_circuits += standing.half_open;
        totals.calls_per_second += recent.per_second(recent.calls);
        seconds = seconds.max(recent.seconds);
        sum.add(&recent);
    }
    // All services were sampled in the same time.
    sum.seconds = seconds;
    totals.error_ratio = sum.error_ratio();
    totals.rejections_per_second = sum.per_second(sum.rejected);
    totals.rate_limited_per_second = sum.per_second(sum.rate_limited);
    totals.bulkhead_rejections_per_second = sum.per_second(sum.bulkhead_rejections);
    totals.average_seconds = sum.average_seconds();
    totals
}
