//! The figures that rules are about.

use std::time::Duration;

use seawall_core::InstanceName;
use seawall_health::{HealthReport, Status};
use tokio::time::Instant;

use crate::alert_engine::{AlertKey, Measured};
use crate::alert_kind::AlertKind;
use crate::alert_rule::AlertRules;
use crate::overview::ScoreView;
use crate::services::{Service, Services};

/// For how long a retry budget counts as empty after it could not pay.
const UNPAID: Duration = Duration::from_secs(10);

/// How many circuits there must be for a share of them.
const CIRCUITS: u64 = 3;

/// What figures are taken from.
pub(crate) struct Sources<'a> {
    pub(crate) services: &'a Services,
    pub(crate) registries: &'a [InstanceName],
    pub(crate) health: Option<&'a HealthReport>,
    pub(crate) score: Option<&'a ScoreView>,
}

impl Sources<'_> {
    /// The figures of every rule that is `wanted`.
    pub(crate) fn measure(
        &self,
        now: Instant,
        rules: &AlertRules,
        wanted: impl Fn(AlertKind) -> bool,
    ) -> Vec<Measured> {
        let mut all = Vec::new();
        for rule in rules.iter().filter(|rule| rule.enabled()) {
            let kind = rule.kind();
            if !wanted(kind) {
                continue;
            }
            match kind {
                AlertKind::ManyBreakersOpen => all.push(self.many_open()),
                AlertKind::LowScore => {
                    if let Some(score) = self.score {
                        all.push(measured(kind, "", "", "", Some(score.score)));
                    }
                }
                AlertKind::CheckFailing => self.checks(&mut all),
                AlertKind::QuotaNearlySpent => self.quotas(&mut all),
                _ => {
                    for ((registry, name), service) in self.services.present() {
                        if let Some(value) = of_service(kind, service, now, rules) {
                            let registry = self.registry(registry);
                            all.push(measured(kind, registry, name, "", value));
                        }
                    }
                }
            }
        }
        all
    }

    fn registry(&self, index: usize) -> &'static str {
        self.registries.get(index).map_or("", |name| name.as_str())
    }

    fn many_open(&self) -> Measured {
        let (mut circuits, mut open) = (0, 0);
        for (_, service) in self.services.present() {
            circuits += service.standing.circuits;
            open += service.standing.open;
        }
        // Of one or two, the alerts of each say all there is to say.
        let share = crate::rolling::share(open, circuits).filter(|_| circuits >= CIRCUITS);
        measured(AlertKind::ManyBreakersOpen, "", "", "", share)
    }

    fn checks(&self, all: &mut Vec<Measured>) {
        let Some(report) = self.health else { return };
        for check in &report.checks {
            let value = match check.status {
                Status::Unknown => None,
                // It is not run: what it depends on is the alert.
                _ if check.because_of.is_some() => None,
                Status::Unhealthy => Some(1.0),
                _ => Some(0.0),
            };
            let name = check.name.as_str();
            all.push(measured(AlertKind::CheckFailing, "", "", name, value));
        }
    }

    fn quotas(&self, all: &mut Vec<Measured>) {
        for ((registry, name), service) in self.services.present() {
            // Of several limits of an instance the one of which most is used.
            let quotas = &service.standing.limits;
            let mut worst: Vec<(&'static str, f64)> = Vec::new();
            for limit in quotas.iter().filter(|limit| limit.is_quota()) {
                let Some(used) = limit.spent_share() else {
                    continue;
                };
                match worst.iter_mut().find(|(it, _)| *it == limit.instance) {
                    Some((_, most)) => *most = most.max(used),
                    None => worst.push((limit.instance, used)),
                }
            }
            let registry = self.registry(registry);
            let kind = AlertKind::QuotaNearlySpent;
            all.extend(
                worst
                    .into_iter()
                    .map(|(limit, used)| measured(kind, registry, name, limit, Some(used))),
            );
        }
    }
}

const fn measured(
    kind: AlertKind,
    registry: &'static str,
    service: &'static str,
    detail: &'static str,
    value: Option<f64>,
) -> Measured {
    let key = AlertKey {
        kind,
        registry,
        service,
        detail,
    };
    Measured { key, value }
}

/// The figure of a service. `None` where the rule is not about it, `Some(None)` where there is nothing to
/// judge by.
fn of_service(
    kind: AlertKind,
    service: &Service,
    now: Instant,
    rules: &AlertRules,
) -> Option<Option<f64>> {
    let standing = &service.standing;
    let rule = rules.rule(kind);
    let calls = || service.rolling.sum(now, rule.window());
    let enough = |number: u64| number >= u64::from(rule.min_calls());
    let holds = |it: bool| Some(f64::from(u8::from(it)));
    match kind {
        AlertKind::ManyFailures => {
            let calls = calls();
            let judged = calls.success.saturating_add(calls.failure);
            Some(calls.error_ratio().filter(|_| enough(judged)))
        }
        AlertKind::ManyRejections => {
            let calls = calls();
            Some(calls.rejected_ratio().filter(|_| enough(calls.calls)))
        }
        AlertKind::DegradedAnswers => {
            let calls = calls();
            Some(calls.degraded_ratio().filter(|_| enough(calls.calls)))
        }
        AlertKind::SlowCalls => {
            let calls = calls();
            Some(calls.average_seconds().filter(|_| enough(calls.timed)))
        }
        AlertKind::ThrottledByUpstream => Some(Some(calls().throttled as f64)),
        AlertKind::BreakerOpened if standing.circuits > 0 => Some(holds(
            standing.open > 0 || (standing.half_open > 0 && service.open_since.is_some()),
        )),
        AlertKind::BreakerOpenLong if standing.circuits > 0 => {
            let open = service
                .open_since
                .map(|since| now.saturating_duration_since(since));
            Some(Some(open.unwrap_or_default().as_secs_f64()))
        }
        AlertKind::BreakerFlapping if standing.circuits > 0 => {
            Some(Some(service.openings(now, rule.window()) as f64))
        }
        AlertKind::RetryBudgetExhausted => {
            let share = standing.retry_share()?;
            // It is filled by a little all the time, so what is left says little of one that is used up.
            let is_unpaid = service.rolling.sum(now, UNPAID).unpaid > 0;
            Some(Some(if is_unpaid { 0.0 } else { share }))
        }
        AlertKind::OrdersInDoubt => {
            let orders = standing.orders?;
            Some(Some((orders.in_doubt + orders.exhausted) as f64))
        }
        AlertKind::KillSwitchOn => {
            let orders = standing.orders?;
            Some(holds(orders.kill_switch || orders.mode == "halted"))
        }
        _ => None,
    }
}
