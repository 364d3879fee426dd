//! A script as one provider performs it: which requests are affected, and when the listener is closed.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::fault::{Fault, OutageMode};
use super::route::{ProviderKind, Route};
use super::split_mix::SplitMix64;
use super::timeline::{Incident, Incidents, is_outage};

/// What the listener does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ListenerMode {
    /// Accepts.
    #[default]
    Open,
    /// Is closed; connections that exist go on.
    Closed,
    /// Is closed, and connections that exist are reset.
    Down,
    /// Accepts and resets immediately; connections that exist are reset.
    Reset,
}

impl ListenerMode {
    pub(crate) fn accepts(self) -> bool {
        matches!(self, Self::Open | Self::Reset)
    }

    pub(crate) fn resets_connections(self) -> bool {
        matches!(self, Self::Down | Self::Reset)
    }
}

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Injection {
    /// Delays of all the incidents that delay, added up.
    pub(crate) delay: Duration,
    /// The first other fault in the order of the file.
    pub(crate) fault: Option<Fault>,
    /// What the script calls that fault.
    pub(crate) name: &'static str,
    /// For an execution after the response: how long after it.
    pub(crate) late: Duration,
    /// For a ban without a length of its own: what is left of its incident.
    pub(crate) remaining: Duration,
}

#[derive(Debug)]
pub(crate) struct Injector {
    provider: ProviderKind,
    seed: u64,
    incidents: Vec<Incident>,
    /// Requests seen by each incident on each route. Numbering inside the incident, not over the
    /// run, makes the effect on its first request the same however many came before it.
    numbers: Mutex<HashMap<(usize, Route), u64>>,
}

impl Injector {
    pub(crate) fn new(incidents: &Incidents, provider: ProviderKind) -> Self {
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

    pub(crate) fn mode(&self, at: Duration) -> ListenerMode {
        let mut mode = ListenerMode::Open;
        for incident in self
            .incidents
            .iter()
            .filter(|i| i.is_active(self.provider, at))
        {
            mode = match (incident.fault, mode) {
                (Fault::Outage(OutageMode::Refuse), _) => return ListenerMode::Down,
                (Fault::Outage(OutageMode::Reset), ListenerMode::Open) => ListenerMode::Reset,
                (Fault::Outage(OutageMode::Reset), ListenerMode::Closed) => ListenerMode::Down,
                (Fault::Refuse, ListenerMode::Reset) => ListenerMode::Down,
                (Fault::Refuse, _) => ListenerMode::Closed,
                (_, mode) => mode,
            };
        }
        mode
    }

    /// The next offset at which the mode may be another one.
    pub(crate) fn next_change(&self, at: Duration) -> Option<Duration> {
        self.incidents
            .iter()
            .filter(|incident| incident.fault.affects_listener())
            .flat_map(|incident| [incident.from, incident.to])
            .filter(|edge| *edge > at)
            .min()
    }

    pub(crate) fn inject(&self, route: Route, at: Duration) -> Injection {
        let mut injection = Injection::default();
        for (index, incident) in self.incidents.iter().enumerate() {
            let affected = incident.is_active(self.provider, at)
                && incident.route.is_none_or(|incident| incident == route)
                && !incident.fault.affects_listener();
            if affected {
                self.apply(&mut injection, index, incident, route, at);
            }
        }
        injection
    }

    fn apply(
        &self,
        injection: &mut Injection,
        index: usize,
        incident: &Incident,
        route: Route,
        at: Duration,
    ) {
        let mut draw = SplitMix64::new(&[
            self.seed,
            self.provider as u64,
            route as u64,
            index as u64,
            self.number(index, route),
        ]);
        if draw.unit() >= incident.probability {
            return;
        }
        let fault = match incident.fault {
            Fault::Latency(latency) => {
                injection.delay = injection.delay.saturating_add(latency.sample(&mut draw));
                return;
            }
            Fault::SlowRecovery {
                latency,
                errors,
                code,
            } => {
                let length = incident.to.saturating_sub(incident.from).as_secs_f64();
                let left = incident.to.saturating_sub(at).as_secs_f64();
                let share = if length > 0.0 {
                    (left / length).clamp(0.0, 1.0)
                } else {
                    0.0
                };
                injection.delay = injection.delay.saturating_add(latency.mul_f64(share));
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
        if injection.fault.is_none() {
            injection.fault = Some(fault);
            injection.name = incident.fault.name();
            if let Fault::ExecuteLate { delay, .. } = fault {
                injection.late = delay.sample(&mut draw);
            }
            injection.remaining = incident.to.saturating_sub(at);
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

    fn script(text: &str, seed: u64) -> Injector {
        let incidents = Incidents::from_toml(text).expect("valid").with_seed(seed);
        Injector::new(&incidents, ProviderKind::Broker)
    }

    const HALF: &str = r#"
        [[incident]]
        provider = "broker"
        from = "1s"
        to = "2s"
        fault = "stall"
        probability = 0.5
    "#;

    fn outcomes(script: &Injector, disturb: bool) -> Vec<bool> {
        let at = Duration::from_millis(1500);
        (0..64)
            .map(|_| {
                if disturb {
                    script.inject(Route::Positions, at);
                    script.inject(Route::OrdersCreate, Duration::ZERO);
                }
                script.inject(Route::OrdersCreate, at).fault.is_some()
            })
            .collect()
    }

    #[test]
    fn outcomes_depend_on_the_seed_and_not_on_other_routes_or_earlier_traffic() {
        let first = outcomes(&script(HALF, 7), false);
        assert_eq!(first, outcomes(&script(HALF, 7), true));
        assert_ne!(first, outcomes(&script(HALF, 8), false));
        let affected = first.iter().filter(|incident| **incident).count();
        assert!((16..=48).contains(&affected), "{affected} of 64");
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
        let start = script.inject(Route::Positions, Duration::ZERO);
        assert_eq!(start.delay, Duration::from_secs(1));
        assert!(matches!(start.fault, Some(Fault::Status { code: 503, .. })));
        let late = script.inject(Route::Positions, Duration::from_millis(9_900));
        assert_eq!(late.delay, Duration::from_millis(10));
    }

    #[test]
    fn refuse_and_reset_together_are_an_outage() {
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
        let at = |seconds| script.mode(Duration::from_secs(seconds));
        assert_eq!(
            [at(1), at(3), at(5), at(6)],
            [
                ListenerMode::Closed,
                ListenerMode::Down,
                ListenerMode::Reset,
                ListenerMode::Open
            ]
        );
        assert_eq!(
            script.next_change(Duration::from_secs(2)),
            Some(Duration::from_secs(4))
        );
        assert_eq!(script.next_change(Duration::from_secs(6)), None);
    }
}
