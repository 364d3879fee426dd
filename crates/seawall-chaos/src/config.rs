//! The settings of a chaos layer.

use seawall_core::InvalidConfig;

/// The settings of a chaos layer. Faults are none of them: they are
/// [started](crate::ChaosHandle::start) while it runs.
///
/// ```
/// use seawall_chaos::ChaosConfig;
///
/// let config = ChaosConfig::builder().seed(7).build()?;
/// assert_eq!((config.seed(), config.simulated_upstream()), (Some(7), false));
/// assert!(ChaosConfig::builder().max_kept(0).build().is_err());
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChaosConfig {
    seed: Option<u64>,
    simulated_upstream: bool,
    max_kept: u32,
}

impl ChaosConfig {
    /// Starts from the [default](Self::default) settings.
    pub fn builder() -> ChaosConfigBuilder {
        ChaosConfigBuilder::default()
    }

    seawall_core::getters! {
        /// The seed of the layer, if it was set.
        pub const fn seed -> Option<u64>;
        /// Whether nothing real is behind the upstream.
        pub const fn simulated_upstream -> bool;
        /// How many responses are kept at most, to be passed on as stale ones.
        pub const fn max_kept -> u32;
    }
}

impl Default for ChaosConfig {
    /// A random seed, a real upstream, 256 responses kept at most.
    fn default() -> Self {
        Self {
            seed: None,
            simulated_upstream: false,
            max_kept: 256,
        }
    }
}

/// Collects the settings of a chaos layer; see [`ChaosConfig::builder`].
#[must_use]
#[derive(Clone, Debug, Default)]
pub struct ChaosConfigBuilder {
    config: ChaosConfig,
}

impl ChaosConfigBuilder {
    seawall_core::setters! { self.config:
        /// Sets the seed from which each start of faults has its own: the same starts, and the same
        /// calls in the same order, are then hit by the same faults in every run. Default: a random
        /// one for each layer, which snapshots show.
        pub const fn seed(Some(u64));

        /// Declares that nothing real is behind the upstream, so that faults may also hit requests that
        /// have an effect, all but those of [`Replay::Safe`](seawall_core::Replay::Safe): orders, also
        /// with a key by which the upstream recognises a second copy, cancels, deletions. Default: no.
        /// Their fate would be unknown for a reason that somebody made up.
        pub const fn simulated_upstream(bool);

        /// Sets how many responses are kept at most, to be passed on as stale ones; at least 1.
        /// Default: 256.
        pub const fn max_kept(u32);
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `max_kept` is zero.
    pub fn build(self) -> Result<ChaosConfig, InvalidConfig> {
        if self.config.max_kept == 0 {
            return Err(InvalidConfig::new("max_kept", 0, "at least 1"));
        }
        Ok(self.config)
    }
}
