//! The settings of limits per key.

use std::collections::HashMap;

use seawall_core::{InvalidConfig, PartitionKey};

use crate::config::RateLimitConfig;

/// The limits of each key, and those of all keys together.
///
/// ```
/// use std::time::Duration;
/// use seawall_core::PartitionKey;
/// use seawall_ratelimit::{KeyedRateLimitConfig, RateLimitConfig};
///
/// let second = Duration::from_secs(1);
/// let endpoint = RateLimitConfig::builder().rate(10, second).burst(5).build()?;
/// let quotes = RateLimitConfig::builder().rate(100, second).burst(50).build()?;
/// let account = RateLimitConfig::builder().rate(120, second).burst(60).build()?;
/// let config = KeyedRateLimitConfig::builder(endpoint)
///     .key(PartitionKey::of("quotes"), quotes)
///     .account(account)
///     .build()?;
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct KeyedRateLimitConfig {
    per_key: RateLimitConfig,
    keys: HashMap<PartitionKey, RateLimitConfig>,
    account: Option<RateLimitConfig>,
}

impl KeyedRateLimitConfig {
    /// Each key has limits of these settings.
    ///
    /// # Errors
    ///
    /// As [`KeyedRateLimitConfigBuilder::build`].
    pub fn new(per_key: RateLimitConfig) -> Result<Self, InvalidConfig> {
        Self::builder(per_key).build()
    }

    /// Starts from limits that each key has, unless it is [named](KeyedRateLimitConfigBuilder::key).
    pub fn builder(per_key: RateLimitConfig) -> KeyedRateLimitConfigBuilder {
        KeyedRateLimitConfigBuilder {
            config: Self {
                per_key,
                keys: HashMap::new(),
                account: None,
            },
        }
    }

    /// The settings of keys that are not named.
    pub const fn per_key(&self) -> &RateLimitConfig {
        &self.per_key
    }

    /// The settings of a key.
    pub fn of_key(&self, key: PartitionKey) -> &RateLimitConfig {
        self.keys.get(&key).unwrap_or(&self.per_key)
    }

    /// The named keys and their settings.
    pub fn keys(&self) -> impl Iterator<Item = (PartitionKey, &RateLimitConfig)> {
        self.keys.iter().map(|(key, config)| (*key, config))
    }

    /// The limits of all keys together, if there are any.
    pub const fn account(&self) -> Option<&RateLimitConfig> {
        self.account.as_ref()
    }

    pub(crate) fn has_key(&self, key: PartitionKey) -> bool {
        self.keys.contains_key(&key)
    }

    pub(crate) fn set_key(
        &mut self,
        key: PartitionKey,
        config: RateLimitConfig,
    ) -> Result<(), InvalidConfig> {
        check_per_key(&config)?;
        self.keys.insert(key, config);
        Ok(())
    }

    pub(crate) fn with_account(mut self, account: Option<RateLimitConfig>) -> Self {
        self.account = account;
        self
    }

    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = self.per_key.settings();
        settings.push(("named_keys", self.keys.len().to_string()));
        let account = self.account.as_ref().map(RateLimitConfig::list);
        settings.push(("account", account.unwrap_or_else(|| "none".to_owned())));
        settings
    }
}

/// Collects the settings of limits per key; see [`KeyedRateLimitConfig::builder`].
#[must_use]
#[derive(Clone, Debug)]
pub struct KeyedRateLimitConfigBuilder {
    config: KeyedRateLimitConfig,
}

impl KeyedRateLimitConfigBuilder {
    /// Gives a key settings of its own.
    pub fn key(mut self, key: PartitionKey, config: RateLimitConfig) -> Self {
        self.config.keys.insert(key, config);
        self
    }

    /// Limits that all keys share, for a provider that limits each endpoint and the account: a call
    /// departs when both grant it, and takes from neither otherwise. It waits in the queue of its
    /// key, and the first of each key waits in the queue of the account.
    pub fn account(mut self, config: RateLimitConfig) -> Self {
        self.config.account = Some(config);
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when a limit per key is [kept in a file](crate::DailyLimit::persist_in),
    /// which cannot hold the quotas of many keys.
    pub fn build(self) -> Result<KeyedRateLimitConfig, InvalidConfig> {
        let Self { config } = self;
        check_per_key(&config.per_key)?;
        config.keys.values().try_for_each(check_per_key)?;
        Ok(config)
    }
}

pub(crate) fn check_per_key(config: &RateLimitConfig) -> Result<(), InvalidConfig> {
    if config.limits().iter().any(|limit| limit.file().is_some()) {
        return Err(InvalidConfig::new(
            "persist_in",
            "a quota file",
            "none for a limit per key: one file cannot hold the quotas of many",
        ));
    }
    Ok(())
}
