//! Whether one can trade, in words.

use seawall_core::InstanceName;
use seawall_health::{CheckReport, HealthReport, Status};

use crate::overview::{Level, OrdersView, ServiceOverview, Verdict};
use crate::words::count;

/// What is known when it is asked whether one can trade.
pub(crate) struct Known<'a> {
    /// The one with most trouble first.
    pub(crate) services: &'a [ServiceOverview],
    pub(crate) orders: Option<&'a OrdersView>,
    pub(crate) health: Option<&'a HealthReport>,
    /// The services that trading depends on. Where none is named, those with orders are; where there are none, it
    /// depends on one of all.
    pub(crate) critical: &'a [InstanceName],
    /// Whether registries were read.
    pub(crate) is_sampled: bool,
}

impl Known<'_> {
    pub(crate) fn verdict(&self) -> Verdict {
        let of = |level, words| Verdict { level, words };
        if let Some(why) = self.stops() {
            return of(Level::Down, format!("no: {why}"));
        }
        if let Some(why) = self.impedes() {
            return of(Level::Degraded, format!("with care: {why}"));
        }
        if self.services.is_empty() {
            return of(Level::Ok, "nothing is monitored".to_owned());
        }
        of(Level::Ok, "yes".to_owned())
    }

    fn is_critical(&self, service: &ServiceOverview) -> bool {
        if self.critical.is_empty() {
            service.orders.is_some()
        } else {
            self.critical.iter().any(|it| it.as_str() == service.name)
        }
    }

    /// Why one cannot trade.
    fn stops(&self) -> Option<String> {
        if let Some(orders) = self.orders {
            if orders.kill_switch {
                return Some("the kill switch is engaged".to_owned());
            }
            if orders.mode == "halted" {
                return Some("trading is halted".to_owned());
            }
        }
        let is_there = |name: &InstanceName| {
            let mut services = self.services.iter();
            services.any(|service| service.name == name.as_str())
        };
        // What is not there cannot be judged, and does nothing.
        let missing = self.critical.iter().find(|name| !is_there(name));
        if let Some(name) = missing.filter(|_| self.is_sampled) {
            return Some(format!("{name}, which is critical, is not there"));
        }
        let down = |it: &&ServiceOverview| it.level == Level::Down;
        let mut critical = self.services.iter().filter(|it| self.is_critical(it));
        if let Some(first) = critical.find(down) {
            return Some(format!("{}: {}", first.name, first.verdict));
        }
        let fails = |check: &CheckReport| check.critical && check.status == Status::Unhealthy;
        if let Some(check) = self.check(fails) {
            return Some(format!(
                "the health check `{}`, which is critical, fails",
                check.name
            ));
        }
        let has_critical = self.services.iter().any(|it| self.is_critical(it));
        let first = self.services.first()?;
        let all_down = !has_critical && self.services.iter().all(|it| down(&it));
        all_down.then(|| format!("{}: {}", first.name, first.verdict))
    }

    /// What makes trading a matter of care.
    fn impedes(&self) -> Option<String> {
        let mut wrong = self.services.iter().filter(|it| it.level != Level::Ok);
        if let Some(first) = wrong.next() {
            let mut words = format!("{}: {}", first.name, first.verdict);
            let others = wrong.count() as u64;
            if others > 0 {
                words.push_str(&format!("; and {}", count(others, "other service")));
            }
            return Some(words);
        }
        let is = |status| move |check: &CheckReport| check.status == status;
        if let Some(check) = self.check(is(Status::Unhealthy)) {
            return Some(format!("the health check `{}` fails", check.name));
        }
        let slow = self.check(is(Status::Degraded))?;
        Some(format!(
            "the health check `{}` is slow or not in full",
            slow.name
        ))
    }

    /// The first check of which that holds; rather one that has failed itself than one that depends on it.
    fn check(&self, holds: impl Fn(&CheckReport) -> bool) -> Option<&CheckReport> {
        let checks = &self.health?.checks;
        let own = |check: &&CheckReport| holds(check) && check.because_of.is_none();
        let any = || checks.iter().find(|check| holds(check));
        checks.iter().find(own).or_else(any)
    }
}
