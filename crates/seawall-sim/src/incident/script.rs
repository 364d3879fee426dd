//! A script as one provider performs it: which requests are hit, and when the listener is shut.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::draw::Draw;
use super::fault::{Fault, OutageMode};
use super::timeline::{Incident, Incidents, Provider, Route, is_outage};

/// What the listener does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Gate {
    /// Accepts.
    #[default]
    Open,
    /// Is closed; connections that exist go on.
    Refused,
    /// Is closed, and connections that exist are reset.
    Away,
    /// Accepts and resets at once; connections that exist are reset.
    Cut,
}

impl Gate {
    pub(crate) fn listens(self) -> bool {
        matches!(self, Self::Open | Self::Cut)
    }

    pub(crate) fn cuts(self) -> bool {
        matches!(self, Self::Away | Self::Cut)
    }
}

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Ruling {
    /// Delays of all the incidents that delay, added up.
    pub(crate) delay: Duration,
    /// The first other fault in the order of the file.
    pub(crate) fault: Option<Fault>,
    /// What the script calls that fault.
    pub(crate) name: &'static str,
    /// For a ban without a length of its own: what is left of its incident.
    pub(crate) remaining: Duration,
}

#[derive(Debug)]
pub(crate) struct Script {
    provider: Provider,
    seed: u64,
    incidents: Vec<Incident>,
    /// Requests seen by each incident on each route. Numbering inside the incident, not over the
    /// run, keeps the fate of its first request the same however many came before it.
    numbers: Mutex<HashMap<(usize, Route), u64>>,
}

impl Script {
    pub(crate) fn new(incidents: &Incidents, provider: Provider) -> Self {
        Self {
            provider,
            seed: incidents.seed(),
            incidents: incidents.iter().collect(),
            numbers: Mutex::default(),
        }
    }

    pub(crate) fn is_outage(&self, at: Duration) -> bool {
        self.incidents
            .iter()
            .any(|incident| is_outage(incident, self.provider, at))
    }

    pub(crate) fn gate(&self, at: Duration) -> Gate {
        let mut gate = Gate::Open;
        for incident in self
            .incidents
            .iter()
            .filter(|i| i.is_active(self.provider, at))
        {
            gate = match (incident.fault, gate) {
                (Fault::Outage(OutageMode::Refuse), _) => return Gate::Away,
                (Fault::Outage(OutageMode::Reset), Gate::Open) => Gate::Cut,
                (Fault::Outage(OutageMode::Reset), Gate::Refused) => Gate::Away,
                (Fault::Refuse, Gate::Cut) => Gate::Away,
                (Fault::Refuse, _) => Gate::Refused,
                (_, gate) => gate,
            };
        }
        gate
    }

    /// The next offset at which the gate may be another one.
    pub(crate) fn next_change(&self, at: Duration) -> Option<Duration> {
        self.incidents
            .iter()
            .filter(|incident| incident.fault.is_of_the_listener())
            .flat_map(|incident| [incident.from, incident.to])
            .filter(|edge| *edge > at)
            .min()
    }

    pub(crate) fn rule(&self, route: Route, at: Duration) -> Ruling {
        let mut ruling = Ruling::default();
        for (index, incident) in self.incidents.iter().enumerate() {
            let hit = incident.is_active(self.provider, at)
                && incident.route.is_none_or(|hit| hit == route)
                && !incident.fault.is_of_the_listener();
            if hit {
                self.apply(&mut ruling, index, incident, route, at);
            }
        }
        ruling
    }

    fn apply(&self, ruling: &mut Ruling, index: usize, hit: &Incident, route: Route, at: Duration) {
        let mut draw = Draw::new(&[
            self.seed,
            self.provider as u64,
            route as u64,
            index as u64,
            self.number(index, route),
        ]);
        if draw.unit() >= hit.probability {
            return;
        }
        let fault = match hit.fault {
            Fault::Latency(latency) => {
                ruling.delay = ruling.delay.saturating_add(latency.sample(&mut draw));
                return;
            }
            Fault::SlowRecovery {
                latency,
                errors,
                code,
            } => {
                let length = hit.to.saturating_sub(hit.from).as_secs_f64();
                let left = hit.to.saturating_sub(at).as_secs_f64();
                let share = if length > 0.0 {
                    (left / length).clamp(0.0, 1.0)
                } else {
                    0.0
                };
                ruling.delay = ruling.delay.saturating_add(latency.mul_f64(share));
                if draw.unit() >= errors * share {
                    return;
                }
                Fault::Status {
                    code,
                    retry_after: None,
                    execute: false,
                }
            }
            Fault::Outage(_) => Fault::Status {
                code: 503,
                retry_after: None,
                execute: false,
            },
            other => other,
        };
        if ruling.fault.is_none() {
            ruling.fault = Some(fault);
            ruling.name = hit.fault.name();
            ruling.remaining = hit.to.saturating_sub(at);
        }
    }

    fn number(&self, index: usize, route: Route) -> u64 {
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        let number = numbers.entry((index, route)).or_default();
        *number += 1;
        *number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(text: &str, seed: u64) -> Script {
        let incidents = Incidents::from_toml(text).expect("valid").with_seed(seed);
        Script::new(&incidents, Provider::Broker)
    }

    const HALF: &str = r#"
        [[incident]]
        provider = "broker"
        from = "1s"
        to = "2s"
        fault = "stall"
        probability = 0.5
    "#;

    fn fates(script: &Script, disturb: bool) -> Vec<bool> {
        let at = Duration::from_millis(1500);
        (0..64)
            .map(|_| {
                if disturb {
                    script.rule(Route::Positions, at);
                    script.rule(Route::OrdersCreate, Duration::ZERO);
                }
                script.rule(Route::OrdersCreate, at).fault.is_some()
            })
            .collect()
    }

    #[test]
    fn fates_depend_on_the_seed_and_not_on_other_routes_or_earlier_traffic() {
        let first = fates(&script(HALF, 7), false);
        assert_eq!(first, fates(&script(HALF, 7), true));
        assert_ne!(first, fates(&script(HALF, 8), false));
        let hits = first.iter().filter(|hit| **hit).count();
        assert!((16..=48).contains(&hits), "{hits} of 64");
    }

    #[test]
    fn slow_recovery_falls_to_nothing() {
        let text = r#"
            [[incident]]
            provider = "broker"
            from = "0s"
            to = "10s"
            fault = "slow_recovery"
            latency = "1s"
            errors = 1.0
        "#;
        let script = script(text, 1);
        let start = script.rule(Route::Positions, Duration::ZERO);
        assert_eq!(start.delay, Duration::from_secs(1));
        assert!(matches!(start.fault, Some(Fault::Status { code: 503, .. })));
        let late = script.rule(Route::Positions, Duration::from_millis(9_900));
        assert_eq!(late.delay, Duration::from_millis(10));
    }

    #[test]
    fn refusal_and_reset_together_are_an_outage() {
        let text = r#"
            [[incident]]
            provider = "*"
            from = "0s"
            to = "4s"
            fault = "refuse"
            [[incident]]
            provider = "*"
            from = "2s"
            to = "6s"
            fault = "outage"
            mode = "reset"
        "#;
        let script = script(text, 1);
        let at = |seconds| script.gate(Duration::from_secs(seconds));
        assert_eq!(
            [at(1), at(3), at(5), at(6)],
            [Gate::Refused, Gate::Away, Gate::Cut, Gate::Open]
        );
        assert_eq!(
            script.next_change(Duration::from_secs(2)),
            Some(Duration::from_secs(4))
        );
        assert_eq!(script.next_change(Duration::from_secs(6)), None);
    }
}
