//! The settings of the layer.

use std::time::Duration;

use seawall_core::{InvalidConfig, Span, getters, setters};

use crate::lists::ListsConfig;

/// How long orders are waited for, and how much is spent on finding out what became of them.
///
/// ```
/// use std::time::Duration;
/// use seawall_orders::OrderConfig;
///
/// let config = OrderConfig::builder()
///     .deadline(Duration::from_secs(20))
///     .look_ups_at_once(2)
///     .build()?;
/// assert_eq!(config.deadline(), Duration::from_secs(20));
///
/// let rejected = OrderConfig::builder().look_ups_at_once(0).build().unwrap_err();
/// assert_eq!(
///     rejected.to_string(),
///     "`look_ups_at_once` is 0, accepted is a whole number from 1 to 1000",
/// );
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderConfig {
    deadline: Duration,
    look_ups_at_once: u32,
    max_pages: u32,
    max_body: u32,
    remembered: u32,
    look_up_again_every: Option<Duration>,
    compare_every: Option<Duration>,
    lists: ListsConfig,
}

impl Default for OrderConfig {
    /// 60 s, 4 look-ups, 20 pages, 1 MiB, 4,096 orders; exhausted orders are looked up again every five minutes, and
    /// lists compared at start and as often.
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(60),
            look_ups_at_once: 4,
            max_pages: 20,
            max_body: 1 << 20,
            remembered: 4_096,
            look_up_again_every: Some(Duration::from_secs(300)),
            compare_every: Some(Duration::from_secs(300)),
            lists: ListsConfig::default(),
        }
    }
}

impl OrderConfig {
    /// A builder with the defaults.
    pub fn builder() -> OrderConfigBuilder {
        OrderConfigBuilder {
            config: Self::default(),
        }
    }

    getters! {
        /// How long a caller waits for the outcome of an order, look-ups and re-sends included.
        pub const fn deadline -> Duration;
        /// How many look-ups are under way at once; those that share their requests are one.
        pub const fn look_ups_at_once -> u32;
        /// How many pages of a list are read before a look-up counts as failed.
        pub const fn max_pages -> u32;
        /// How many bytes of a request or a response are read.
        pub const fn max_body -> u32;
        /// How many settled orders are kept in memory, for reports that come later.
        pub const fn remembered -> u32;
        /// How often exhausted orders are looked up again; `None` for never.
        pub const fn look_up_again_every -> Option<Duration>;
        /// How often our own orders are compared with the broker's lists; `None` for never.
        pub const fn compare_every -> Option<Duration>;
        /// How the lists are read.
        pub const fn lists -> ListsConfig;
    }

    /// Whether a layer with the settings `now` can have these, while it runs.
    pub(super) fn check_change(&self, now: &Self) -> Result<(), InvalidConfig> {
        for (field, now, then) in [
            (
                "look_ups_at_once",
                now.look_ups_at_once,
                self.look_ups_at_once,
            ),
            ("max_body", now.max_body, self.max_body),
        ] {
            if now != then {
                let accepted = format!("{now}: that of a running layer cannot change");
                return Err(InvalidConfig::new(field, then, accepted));
            }
        }
        Ok(())
    }
}

/// Makes an [`OrderConfig`].
#[derive(Clone, Copy, Debug)]
pub struct OrderConfigBuilder {
    config: OrderConfig,
}

impl OrderConfigBuilder {
    setters! { self.config:
        /// Sets how long a caller waits for the outcome of an order, look-ups and re-sends included. An
        /// order whose outcome is not known by then is looked up all the same; its caller gets
        /// [`Reason::OutcomeUnknown`](seawall_core::Reason::OutcomeUnknown).
        pub const fn deadline(Duration);
        /// Sets how many look-ups are under way at once: the share of the broker's limits that they take. Orders
        /// whose look-ups send the same requests, as at brokers that have lists alone, share one.
        pub const fn look_ups_at_once(u32);
        /// Sets how many pages of a list are read before a look-up counts as failed.
        pub const fn max_pages(u32);
        /// Sets how many bytes of a request or a response are read; what is longer is an invalid request,
        /// and a response that is longer has an unknown meaning.
        pub const fn max_body(u32);
        /// Sets how many settled orders are kept in memory. Reports about one that is not are looked up in
        /// the journal.
        pub const fn remembered(u32);
        /// Sets how often orders whose look-ups are used up are looked up again, as often as
        /// [`look_ups`](crate::protocol::Rules::look_ups) says: the broker may answer by then. Each series that ends without an
        /// outcome is an alert again.
        pub const fn look_up_again_every(Some(Duration));
        /// Sets how often our own orders are compared with the broker's lists of orders and positions, and at
        /// the start: it reads all their pages. Brokers without a list of open orders are not asked.
        pub const fn compare_every(Some(Duration));
        /// Sets how the lists are read, and after which time a difference is believed.
        pub const fn lists(ListsConfig);
    }

    /// Leaves exhausted orders to a person:
    /// [`look_up_again`](crate::OrderHandle::look_up_again) and [`resolve`](crate::OrderHandle::resolve).
    #[must_use]
    pub const fn without_looking_up_again(mut self) -> Self {
        self.config.look_up_again_every = None;
        self
    }

    /// Compares nothing with the broker's lists.
    #[must_use]
    pub const fn without_comparison(mut self) -> Self {
        self.config.compare_every = None;
        self
    }

    /// The settings.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] for comparisons or series of look-ups more often than once a second or less often than once
    /// a day, for a value of zero, for more than 1,000 look-ups at once, 10,000 pages, 64 MiB or
    /// 1,000,000 remembered orders, and for a deadline above a day.
    pub fn build(self) -> Result<OrderConfig, InvalidConfig> {
        let config = self.config;
        let day = Duration::from_secs(24 * 3600);
        if config.deadline.is_zero() || config.deadline > day {
            let value = format!("{:?}", config.deadline);
            return Err(InvalidConfig::new(
                "deadline",
                value,
                "above 0s, up to 24 h",
            ));
        }
        for (field, every) in [
            ("look_up_again_every", config.look_up_again_every),
            ("compare_every", config.compare_every),
        ] {
            if let Some(every) = every
                && (every < Duration::from_secs(1) || every > day)
            {
                return Err(InvalidConfig::new(field, Span(every), "from 1s to 24 h"));
            }
        }
        for (field, value, most) in [
            ("look_ups_at_once", config.look_ups_at_once, 1_000),
            ("max_pages", config.max_pages, 10_000),
            ("max_body", config.max_body, 64 << 20),
            ("remembered", config.remembered, 1_000_000),
        ] {
            if value == 0 || value > most {
                let accepted = format!("a whole number from 1 to {most}");
                return Err(InvalidConfig::new(field, value, accepted));
            }
        }
        Ok(config)
    }
}
