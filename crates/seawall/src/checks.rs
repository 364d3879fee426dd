//! Health checks of what a program has from here: providers, configuration, journal, trading.
//!
//! They are closures and settings for a [`HealthMonitor`](seawall_health::HealthMonitor); those that
//! need nothing from here are in [`health::builtin`](seawall_health::builtin).
//!
#![cfg_attr(
    feature = "connectivity",
    doc = r##"
```
use seawall::catalog::Catalog;
use seawall::checks::connectivity_checks;
use seawall::config::Config;
use seawall::{HealthMonitor, Registry};
use seawall::health::{HealthScore, builtin};

# fn main() -> Result<(), Box<dyn std::error::Error>> {
let text = "[resilience.orders]\nprovider = \"alpaca\"\n[resilience.health]\ninterval = \"20s\"\n";
let config = Config::loader().text("seawall.toml", text).load()?;
let registry = Registry::new("desk");
let monitor = HealthMonitor::new("desk");
let settings = config.health();
monitor.register("registry", settings.check(), builtin::registry(&registry))?;
for host in connectivity_checks(&config, Catalog::embedded()?) {
    // "alpaca paper" at https://paper-api.alpaca.markets, and the others of alpaca.
    monitor.register(host.name(), host.check(), host.connectivity()?.into_check()?)?;
}
monitor.set_auto_recovery(settings.auto_recovery());
monitor.set_score(HealthScore::new(settings.score()).registry(&registry));
assert!(monitor.report().checks.len() > 2);
# Ok(()) }
```
"##
)]

#[cfg(feature = "orders")]
use std::future::Future;
#[cfg(feature = "reload")]
use std::future::Ready;
#[cfg(feature = "orders")]
use std::pin::Pin;

#[cfg(feature = "connectivity")]
pub use hosts::{HostCheck, connectivity_checks};

#[cfg(feature = "connectivity")]
mod hosts {
    use seawall_core::InvalidConfig;
    use seawall_health::{CheckConfig, Connectivity};

    use crate::catalog::Catalog;
    use crate::config::Config;

    /// A host of a provider that is to be reached.
    #[derive(Clone, Debug)]
    pub struct HostCheck {
        name: String,
        url: String,
        config: CheckConfig,
    }

    /// The hosts of the providers of all services: each base URL of each provider once, by its name in the
    /// catalogue. Services of a kind have no host that is known here.
    ///
    /// The checks have the settings of `[resilience.health]`, and are not critical: a provider has hosts
    /// that a program does not use, such as those for paper trading.
    pub fn connectivity_checks(config: &Config, catalog: &Catalog) -> Vec<HostCheck> {
        let mut hosts: Vec<HostCheck> = Vec::new();
        let check = config.health().check().to_builder().critical(false);
        let check = check.build().unwrap_or(config.health().check());
        for service in config.services() {
            let provider = service.provider().map(|name| catalog.provider(name));
            let Some(Ok(provider)) = provider else {
                continue;
            };
            for (base, url) in provider.base_urls() {
                let name = format!("{} {base}", provider.name());
                if !hosts.iter().any(|host| host.name == name) {
                    hosts.push(HostCheck {
                        name,
                        url: url.to_owned(),
                        config: check,
                    });
                }
            }
        }
        hosts
    }

    impl HostCheck {
        /// The name of the check: that of the provider, and that of the URL.
        pub fn name(&self) -> &str {
            &self.name
        }

        /// The base URL.
        pub fn url(&self) -> &str {
            &self.url
        }

        /// The settings of the check.
        pub const fn check(&self) -> CheckConfig {
            self.config
        }

        /// What connects to it.
        ///
        /// # Errors
        ///
        /// As [`Connectivity::new`]: a catalogue of your own may have any URL.
        pub fn connectivity(&self) -> Result<Connectivity, InvalidConfig> {
            Connectivity::new(&self.url)
        }
    }
}

/// A configuration that is reloaded: degraded while what is in force is not what its file says.
#[cfg(feature = "reload")]
pub fn reload(
    config: &crate::reload::ReloadableConfig,
) -> impl Fn() -> Ready<seawall_health::CheckResult> + Send + Sync + 'static {
    use seawall_health::builtin::{self, ConfigState};

    let config = config.clone();
    builtin::config(move || {
        let status = config.status();
        if let Some(rejected) = status.rejected {
            return ConfigState::Rejected(rejected.error.to_string());
        }
        match status.mistakes.first() {
            Some(mistake) => ConfigState::Mistaken(mistake.to_string()),
            None => ConfigState::Current,
        }
    })
}

/// The journal of orders: failed when it cannot be read, degraded while marks are not written that a
/// failing journal has lost.
#[cfg(feature = "orders")]
pub fn journal(
    journal: impl crate::orders::journal::Journal + 'static,
    orders: &crate::orders::OrderHandle,
) -> impl Fn() -> Pin<Box<dyn Future<Output = seawall_health::CheckResult> + Send>> + Send + Sync + 'static
{
    let orders = orders.clone();
    seawall_health::builtin::journal(move || {
        // An id that none has: what is asked for is an answer.
        let answer = journal.entry("seawall-health");
        let unwritten = u64::from(orders.snapshot().unwritten_marks);
        async move { answer.await.map(|_| unwritten) }
    })
}

/// Whether one can trade, for [`HealthScore::trading`](seawall_health::HealthScore::trading).
#[cfg(feature = "orders")]
pub fn trading(
    orders: &crate::orders::OrderHandle,
) -> impl Fn() -> seawall_health::TradingFigures + Send + Sync + 'static {
    use crate::orders::protocol::TradingMode;

    let orders = orders.clone();
    move || {
        let now = orders.snapshot();
        let can_open = now.started && now.mode == TradingMode::Normal;
        let can_close = matches!(now.mode, TradingMode::Normal | TradingMode::ReduceOnly);
        seawall_health::TradingFigures::new(can_open, can_close)
            .in_doubt(now.in_doubt)
            .exhausted(now.exhausted)
    }
}
