//! The settings of limits per key.

use std::collections::HashMap;

use seawall_core::{InvalidConfig, PartitionKey};

use crate::config::{RateLimitConfig, RateLimitConfigBuilder};

/// The limits of each key.
///
/// ```
/// use std::time::Duration;
/// use seawall_core::PartitionKey;
/// use seawall_ratelimit::{KeyedRateLimitConfig, RateLimitConfig};
///
/// let rate = |n| RateLimitConfig::builder().rate(n, Duration::from_secs(1));
/// let config = KeyedRateLimitConfig::builder(rate(10).burst(5))
///     .key(PartitionKey::of("quotes"), rate(100).burst(50))
///     .build()?;
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct KeyedRateLimitConfig {
    per_key: RateLimitConfig,
    keys: HashMap<PartitionKey, RateLimitConfig>,
}

impl KeyedRateLimitConfig {
    /// Each key has limits of these settings, or of those that this builder builds.
    ///
    /// # Errors
    ///
    /// As [`KeyedRateLimitConfigBuilder::build`].
    pub fn new(per_key: impl Into<RateLimitConfigBuilder>) -> Result<Self, InvalidConfig> {
        Self::builder(per_key).build()
    }

    /// Starts from limits that each key has, unless it is [named](KeyedRateLimitConfigBuilder::key):
    /// settings, or a builder of some.
    pub fn builder(per_key: impl Into<RateLimitConfigBuilder>) -> KeyedRateLimitConfigBuilder {
        KeyedRateLimitConfigBuilder {
            per_key: per_key.into(),
            keys: HashMap::new(),
        }
    }

    seawall_core::getters! {
        /// The settings of keys that are not named.
        pub const fn per_key -> &RateLimitConfig;
    }

    /// The settings of a key.
    pub fn of_key(&self, key: PartitionKey) -> &RateLimitConfig {
        self.keys.get(&key).unwrap_or(&self.per_key)
    }

    /// The named keys and their settings.
    pub fn keys(&self) -> impl Iterator<Item = (PartitionKey, &RateLimitConfig)> {
        self.keys.iter().map(|(key, config)| (*key, config))
    }

    pub(crate) fn has_key(&self, key: PartitionKey) -> bool {
        self.keys.contains_key(&key)
    }

    pub(crate) fn set_key(
        &mut self,
        key: PartitionKey,
        config: RateLimitConfig,
    ) -> Result<(), InvalidConfig> {
        self.keys.insert(key, check_per_key(config)?);
        Ok(())
    }

    /// With the reserved shares of `base`, where none were set here.
    pub(crate) fn with_reserved_shares_of(self, base: &Self) -> Self {
        let of_key = |(key, config): (_, RateLimitConfig)| {
            (key, config.with_reserved_share_of(base.of_key(key)))
        };
        Self {
            per_key: self.per_key.with_reserved_share_of(&base.per_key),
            keys: self.keys.into_iter().map(of_key).collect(),
        }
    }

    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = self.per_key.settings();
        settings.push(("named_keys", self.keys.len().to_string()));
        settings
    }
}

/// Collects the settings of limits per key; see [`KeyedRateLimitConfig::builder`].
#[must_use]
#[derive(Clone, Debug)]
pub struct KeyedRateLimitConfigBuilder {
    per_key: RateLimitConfigBuilder,
    keys: HashMap<PartitionKey, RateLimitConfigBuilder>,
}

impl KeyedRateLimitConfigBuilder {
    /// Gives a key settings of its own, or those that this builder builds.
    pub fn key(mut self, key: PartitionKey, config: impl Into<RateLimitConfigBuilder>) -> Self {
        self.keys.insert(key, config.into());
        self
    }

    /// Builds and checks the settings.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] as [`RateLimitConfigBuilder::build`], and when a limit per key is
    /// [kept in a file](crate::DailyLimit::persist_in), which cannot hold the quotas of many keys.
    pub fn build(self) -> Result<KeyedRateLimitConfig, InvalidConfig> {
        let build = |config: RateLimitConfigBuilder| check_per_key(config.build()?);
        let keys = self.keys.into_iter();
        Ok(KeyedRateLimitConfig {
            per_key: build(self.per_key)?,
            keys: keys
                .map(|(key, config)| Ok((key, build(config)?)))
                .collect::<Result<_, _>>()?,
        })
    }
}

fn check_per_key(config: RateLimitConfig) -> Result<RateLimitConfig, InvalidConfig> {
    if config.limits().iter().any(|limit| limit.file().is_some()) {
        return Err(InvalidConfig::new(
            "persist_in",
            "a quota file",
            "none for a limit per key: one file cannot hold the quotas of many",
        ));
    }
    Ok(config)
}
