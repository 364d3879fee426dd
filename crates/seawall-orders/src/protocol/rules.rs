//! What the protocol may do at a broker.

use std::time::Duration;

use seawall_core::{InvalidConfig, Span, getters, setters, state_words};

state_words! {
    /// What a broker does with a second order of the same client order id.
    pub enum Duplicates {
        /// It returns the first order.
        ReturnFirst = "return_first",
        /// It rejects the second one for a time, also after the first one was filled.
        RejectForATime = "reject_for_a_time",
        /// It rejects the second one while the first one is open, and executes it afterwards.
        RejectWhileOpen = "reject_while_open",
        /// It accepts the second one: the id is a label.
        Accept = "accept",
    }
}

state_words! {
    /// What a request does to an order.
    pub enum Operation {
        /// Places it.
        Create = "create",
        /// Changes it. At some brokers that places a new one, so it is never sent again.
        Replace = "replace",
        /// Cancels it, where repeating that is not safe.
        Cancel = "cancel",
    }
}

state_words! {
    /// One query of a look-up.
    pub enum Query {
        /// By client order id, over every state that the broker keeps.
        ById = "by_id",
        /// The list of open orders.
        Open = "open",
        /// The list of closed orders.
        Closed = "closed",
        /// Fills, trades or transactions.
        Fills = "fills",
    }
}

state_words! {
    /// Which queries together show that there is no order of an id.
    pub enum Coverage {
        /// One: it covers open, closed and filled orders.
        ById = "by_id",
        /// Open orders first, then closed ones: an order that leaves the one list between the two
        /// queries is in the other. The other way round it would be missed.
        OpenThenClosed = "open_then_closed",
        /// By id, then fills: the query by id does not show orders that are filled.
        IdThenFills = "id_then_fills",
        /// Open orders, closed ones, fills: no query by id, and closed orders without fills.
        OpenClosedFills = "open_closed_fills",
    }
}

impl Coverage {
    /// The queries in their order.
    pub const fn queries(self) -> &'static [Query] {
        match self {
            Self::ById => &[Query::ById],
            Self::OpenThenClosed => &[Query::Open, Query::Closed],
            Self::IdThenFills => &[Query::ById, Query::Fills],
            Self::OpenClosedFills => &[Query::Open, Query::Closed, Query::Fills],
        }
    }
}

/// What the protocol may do at a broker: its class, and the times and numbers of re-sends and
/// look-ups.
///
/// ```
/// use std::time::Duration;
/// use seawall_orders::protocol::{Coverage, Duplicates, Rules};
///
/// let kraken = Rules::builder(Duplicates::RejectWhileOpen)
///     .coverage(Coverage::OpenThenClosed)
///     .window(Duration::from_secs(20))
///     .build()?;
/// assert_eq!(kraken.window(), Duration::from_secs(20));
///
/// let rejected = Rules::builder(Duplicates::Accept).resends(1).build().unwrap_err();
/// assert_eq!(
///     rejected.to_string(),
///     "`resends` is 1, accepted is 0 where the broker accepts duplicates: no order is sent again there",
/// );
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rules {
    duplicates: Duplicates,
    operation: Operation,
    coverage: Coverage,
    window: Duration,
    first_look_up: Duration,
    backoff: Duration,
    max_backoff: Duration,
    look_up_timeout: Duration,
    look_ups: u32,
    resends: u32,
    resend_within: Duration,
    throttle_rejects: bool,
    cancels: u32,
}

impl Rules {
    /// A builder with the defaults of a class: a window of 15 s, look-ups after 1 s, then after 1 s
    /// to 30 s, ten of them; no re-send where the id is a label, one at other brokers.
    ///
    /// Binance gives its matching engine 10 s, the longest such time that a broker publishes: 15 s
    /// leave five for the order to be visible.
    pub const fn builder(duplicates: Duplicates) -> RulesBuilder {
        RulesBuilder {
            rules: Self {
                duplicates,
                operation: Operation::Create,
                coverage: Coverage::ById,
                window: Duration::from_secs(15),
                first_look_up: Duration::from_secs(1),
                backoff: Duration::from_secs(1),
                max_backoff: Duration::from_secs(30),
                look_up_timeout: Duration::from_secs(10),
                look_ups: 10,
                resends: !matches!(duplicates, Duplicates::Accept) as u32,
                resend_within: Duration::from_secs(60),
                throttle_rejects: false,
                cancels: 5,
            },
        }
    }

    getters! {
        /// What the broker does with a second order of the same id.
        pub const fn duplicates -> Duplicates;
        /// What the request does.
        pub const fn operation -> Operation;
        /// Which queries show that there is no such order.
        pub const fn coverage -> Coverage;
        /// The visibility window: see [`RulesBuilder::window`].
        pub const fn window -> Duration;
        /// When the first look-up is, after the outcome became unknown.
        pub const fn first_look_up -> Duration;
        /// The wait after the first look-up without an outcome; it doubles.
        pub const fn backoff -> Duration;
        /// The longest such wait.
        pub const fn max_backoff -> Duration;
        /// After which time a page of a look-up counts as failed.
        pub const fn look_up_timeout -> Duration;
        /// How many look-ups there are before the intent is exhausted.
        pub const fn look_ups -> u32;
        /// How often an order may be sent again.
        pub const fn resends -> u32;
        /// How long after it first left an order may be sent again.
        pub const fn resend_within -> Duration;
        /// Whether a throttle of the broker means that nothing was executed.
        pub const fn throttle_rejects -> bool;
        /// How often a cancel is sent before its failure is an alert: see [`RulesBuilder::cancels`].
        pub const fn cancels -> u32;
    }

    /// The rules for a broker of which nothing is known any more: no re-send.
    pub(crate) const fn strictest() -> Self {
        Self::builder(Duplicates::Accept).rules
    }

    /// Whether the same request may be sent while an earlier copy can exist.
    pub(crate) const fn replays(&self) -> bool {
        matches!(
            self.duplicates,
            Duplicates::ReturnFirst | Duplicates::RejectForATime
        )
    }

    /// Whether what is so late shows that the process stood still: for longer than a window has to spare.
    pub(crate) fn is_standstill(&self, late: Duration) -> bool {
        late > self.window / 8
    }

    /// The wait after look-up number `done`, from 1.
    pub(crate) fn wait(&self, done: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(done.saturating_sub(1));
        self.backoff.saturating_mul(doubled).min(self.max_backoff)
    }
}

/// Makes [`Rules`].
#[derive(Clone, Copy, Debug)]
pub struct RulesBuilder {
    rules: Rules,
}

impl RulesBuilder {
    setters! { self.rules:
        /// Sets what the request does; it creates an order unless set.
        pub const fn operation(Operation);
        /// Sets which queries show that there is no order of an id; one by id unless set.
        pub const fn coverage(Coverage);
        /// Sets the visibility window: how long after an attempt ended without an outcome its order
        /// can still appear. It is the longest time in which a request that is already on its way
        /// is executed, and the longest in which an executed order is shown by queries, together.
        /// Where requests can be given an end of their validity, that bounds the first: Binance's
        /// `recvWindow`, Kraken's `deadline`.
        ///
        /// It begins again, up to three times, where our own process stood still for longer than an eighth of
        /// it: paused, or on a machine that is. What it had written may have left only then. A request that
        /// the network loses is sent again by the operating system, also after its connection was
        /// closed; a window covers that where the client bounds it (`TCP_USER_TIMEOUT`), or resets
        /// connections whose calls end early.
        pub const fn window(Duration);
        /// Sets when the first look-up is.
        pub const fn first_look_up(Duration);
        /// Sets the wait between look-ups; it doubles each time, also between those that are not made, as while a
        /// circuit is open.
        pub const fn backoff(Duration);
        /// Sets the longest wait between look-ups.
        pub const fn max_backoff(Duration);
        /// Sets after which time a look-up counts as failed: each of its pages has so long from when it is asked
        /// for. So a list takes at most so long times [`max_pages`](crate::OrderConfig::max_pages). A look-up
        /// that waits as long for another one that is ahead of it is not made, and made later.
        pub const fn look_up_timeout(Duration);
        /// Sets how many look-ups there are before the intent is exhausted. The window is always
        /// waited for.
        pub const fn look_ups(u32);
        /// Sets how often an order may be sent again; 0 for never.
        pub const fn resends(u32);
        /// Sets how long after it first left an order may be sent again. Below the time for which
        /// the broker remembers an id: 24 h at Interactive Brokers; Coinbase publishes none.
        pub const fn resend_within(Duration);
        /// Sets whether a throttle means that nothing was executed. Only where the provider says
        /// that the request is rejected, as Binance, Kite and OANDA do; no unless set.
        pub const fn throttle_rejects(bool);
        /// Sets how often a cancel is sent before its failure is an alert. One that was not made, since a
        /// layer rejected it, does not count.
        ///
        /// It is sent again after the waits of look-ups: [`backoff`](Self::backoff), doubled each time up to
        /// [`max_backoff`](Self::max_backoff). It goes on in those intervals after the alert, with a look-up each
        /// time, until the order is known not to be open, or the layer is gone; so many more that fail are an alert
        /// again. Of an order that a person has abandoned it ends with the first alert.
        pub const fn cancels(u32);
    }

    /// The rules.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] for a time or a number of look-ups or cancels that is zero, a window or a time of a
    /// look-up above an hour, a wait above a day, by which an order would hardly be looked up, a longest wait
    /// below the first, and re-sends where they are never safe: of a request that is no create, and
    /// at a broker that accepts duplicates.
    pub fn build(self) -> Result<Rules, InvalidConfig> {
        let mut rules = self.rules;
        for (field, time, hours) in [
            ("window", rules.window, 1),
            ("first_look_up", rules.first_look_up, 24),
            ("backoff", rules.backoff, 24),
            ("max_backoff", rules.max_backoff, 24),
            ("look_up_timeout", rules.look_up_timeout, 1),
        ] {
            if time.is_zero() || time > Duration::from_secs(hours * 3_600) {
                let accepted = format!("a time above 0s, up to {hours} h");
                return Err(InvalidConfig::new(field, Span(time), accepted));
            }
        }
        if rules.resend_within.is_zero() {
            return Err(InvalidConfig::new("resend_within", "0s", "a time above 0s"));
        }
        for (field, count) in [("look_ups", rules.look_ups), ("cancels", rules.cancels)] {
            if count == 0 {
                return Err(InvalidConfig::new(field, count, "a whole number from 1"));
            }
        }
        if rules.max_backoff < rules.backoff {
            let value = format!("{:?}", rules.max_backoff);
            let accepted = format!("from {:?}, which is `backoff`", rules.backoff);
            return Err(InvalidConfig::new("max_backoff", value, accepted));
        }
        if rules.operation != Operation::Create {
            rules.resends = 0;
        } else if rules.duplicates == Duplicates::Accept && rules.resends > 0 {
            let accepted = "0 where the broker accepts duplicates: no order is sent again there";
            return Err(InvalidConfig::new("resends", rules.resends, accepted));
        }
        Ok(rules)
    }
}
