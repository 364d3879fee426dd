//! How lists are read.

use std::time::Duration;

use seawall_core::{InvalidConfig, NonZeroCount, NonZeroDuration, getters, setters};

/// How lists are read and compared.
///
/// ```
/// use std::time::Duration;
/// use seawall_orders::lists::ListsConfig;
///
/// let config = ListsConfig::builder().window(Duration::from_secs(20)).max_pages(50).build()?;
/// assert_eq!(config.max_pages(), 50);
/// assert!(ListsConfig::builder().max_pages(0).build().is_err());
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListsConfig {
    window: Duration,
    history: Duration,
    page_timeout: Duration,
    max_pages: u32,
    closed: bool,
}

impl Default for ListsConfig {
    fn default() -> Self {
        Self::builder().config
    }
}

impl ListsConfig {
    /// A builder with the defaults: a window of 15 s, lists of closed orders that cover 23 hours, 10 s and 100
    /// pages for each list.
    pub const fn builder() -> ListsConfigBuilder {
        ListsConfigBuilder {
            config: Self {
                window: Duration::from_secs(15),
                history: Duration::from_secs(23 * 3_600),
                page_timeout: Duration::from_secs(10),
                max_pages: 100,
                closed: true,
            },
        }
    }

    getters! {
        /// The time after which the broker shows what it has accepted.
        pub const fn window -> Duration;
        /// How old orders are that the list of closed ones has at least.
        pub const fn history -> Duration;
        /// How long one page may take.
        pub const fn page_timeout -> Duration;
        /// How many pages a list may have.
        pub const fn max_pages -> u32;
        /// Whether closed orders and fills are read.
        pub const fn closed -> bool;
    }
}

/// Makes a [`ListsConfig`].
#[derive(Clone, Copy, Debug)]
pub struct ListsConfigBuilder {
    config: ListsConfig,
}

impl ListsConfigBuilder {
    setters! { self.config:
        /// Sets the time after which the broker shows what it has accepted: that of its
        /// [`Rules`](crate::protocol::Rules).
        pub const fn window(Duration);
        /// Sets how old orders are that the list of closed ones has at least: from when they were made.
        pub const fn history(Duration);
        /// Sets how long one page may take.
        pub const fn page_timeout(Duration);
        /// Sets how many pages a list may have. A longer one is an error.
        pub const fn max_pages(u32);
        /// Sets whether closed orders and fills are read, where the broker has such lists.
        pub const fn closed(bool);
    }

    /// The configuration.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] for a page timeout or a number of pages that is zero.
    pub fn build(self) -> Result<ListsConfig, InvalidConfig> {
        NonZeroDuration::check("page_timeout", self.config.page_timeout)?;
        NonZeroCount::check("max_pages", self.config.max_pages)?;
        Ok(self.config)
    }
}
