//! The settings of a monitor; values that cannot be wrong.

use std::time::Duration;

use seawall_core::InvalidConfig;

/// How often a monitor reads, and how much it keeps.
///
/// | setting | default |
/// |---|---|
/// | interval | 1 s |
/// | window of rates and quantiles | 10 s |
/// | snapshots of the rolling summary | 100 |
/// | most services | 1,000 |
/// | most alerts that are kept | 256 |
///
/// ```
/// use std::time::Duration;
/// use seawall_monitor::MonitorConfig;
///
/// let config = MonitorConfig::builder().interval(Duration::from_secs(2)).build()?;
/// assert_eq!(config.snapshots(), 100);
/// let rejected = MonitorConfig::builder().interval(Duration::ZERO).build().unwrap_err();
/// assert_eq!(rejected.to_string(), "`interval` is 0ns, accepted is from 100ms to 60s");
/// # Ok::<(), seawall_monitor::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MonitorConfig {
    interval: Duration,
    window: Duration,
    snapshots: u32,
    max_services: u32,
    max_alerts: u32,
}

impl MonitorConfig {
    /// The defaults, to be changed.
    pub fn builder() -> MonitorConfigBuilder {
        MonitorConfigBuilder {
            config: Self::default(),
        }
    }

    seawall_core::getters! {
        /// The time between two samples.
        pub const fn interval -> Duration;

        /// How far back rates and quantiles of an overview look.
        pub const fn window -> Duration;

        /// How many snapshots the rolling summary has.
        pub const fn snapshots -> u32;

        /// How many services are kept.
        pub const fn max_services -> u32;

        /// How many alerts that are over are kept.
        pub const fn max_alerts -> u32;
    }

    /// The settings by name, for a registry.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("interval", format!("{:?}", self.interval)),
            ("window", format!("{:?}", self.window)),
            ("snapshots", self.snapshots.to_string()),
            ("max_services", self.max_services.to_string()),
            ("max_alerts", self.max_alerts.to_string()),
        ]
    }
}

impl Default for MonitorConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1),
            window: Duration::from_secs(10),
            snapshots: 100,
            max_services: 1_000,
            max_alerts: 256,
        }
    }
}

/// Builds a [`MonitorConfig`].
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct MonitorConfigBuilder {
    config: MonitorConfig,
}

impl MonitorConfigBuilder {
    seawall_core::setters! { self.config:
        /// Sets the time between two samples, from 100 ms to 60 s.
        pub const fn interval(Duration);

        /// Sets how far back rates and quantiles look, from the interval to 120 s.
        pub const fn window(Duration);

        /// Sets how many snapshots the rolling summary has, from 2 to 1,000.
        pub const fn snapshots(u32);

        /// Sets how many services are kept, from 1 to 10,000. Others are counted and left out, but for critical ones.
        pub const fn max_services(u32);

        /// Sets how many alerts that are over are kept, from 1 to 10,000.
        pub const fn max_alerts(u32);
    }

    /// The settings, if they make sense.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when one is out of its bounds.
    pub fn build(self) -> Result<MonitorConfig, InvalidConfig> {
        let config = self.config;
        let (shortest, minute) = (Duration::from_millis(100), Duration::from_secs(60));
        if !(shortest..=minute).contains(&config.interval) {
            let value = format!("{:?}", config.interval);
            return Err(InvalidConfig::new("interval", value, "from 100ms to 60s"));
        }
        if !(config.interval..=2 * minute).contains(&config.window) {
            let value = format!("{:?}", config.window);
            let accepted = format!("from the interval, {:?}, to 120s", config.interval);
            return Err(InvalidConfig::new("window", value, accepted));
        }
        for (field, value, accepted) in [
            ("snapshots", config.snapshots, 2..=1_000),
            ("max_services", config.max_services, 1..=10_000),
            ("max_alerts", config.max_alerts, 1..=10_000),
        ] {
            if !accepted.contains(&value) {
                let accepted = format!("from {} to {}", accepted.start(), accepted.end());
                return Err(InvalidConfig::new(field, value, accepted));
            }
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_settings_are_rejected_by_name() {
        let field = |builder: MonitorConfigBuilder| builder.build().unwrap_err().field().to_owned();
        let builder = MonitorConfig::builder;
        assert_eq!(field(builder().interval(Duration::MAX)), "interval");
        assert_eq!(field(builder().window(Duration::ZERO)), "window");
        assert_eq!(field(builder().window(Duration::from_secs(121))), "window");
        assert_eq!(field(builder().snapshots(1)), "snapshots");
        assert_eq!(field(builder().max_services(0)), "max_services");
        assert_eq!(field(builder().max_alerts(0)), "max_alerts");
        assert_eq!(builder().build(), Ok(MonitorConfig::default()));
    }
}
