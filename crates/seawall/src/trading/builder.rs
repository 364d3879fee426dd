//! What an order stack is made of.

use std::sync::Arc;
use std::time::Duration;

use seawall_breaker::{BreakerLayer, CircuitState};
use seawall_bulkhead::{BulkheadConfig, BulkheadLayer};
use seawall_core::{InstanceName, InvalidConfig, PartitionKey, Ratio, RequestMeta, Unit};
use seawall_http::NoteDeparture;
use seawall_orders::broker::{Broker, OrderRequest};
use seawall_orders::journal::Journal;
use seawall_orders::lists::OwnPositions;
use seawall_orders::protocol::{Caps, Decimal, ModePolicy};
use seawall_orders::safety::{TradingControl, TradingControlBuilder};
use seawall_orders::{OrderConfig, OrderLayer};
use seawall_ratelimit::{KeyedRateLimitConfig, RateLimitConfig, RateLimitConfigBuilder};

use super::stack::OrderStack;
use crate::StackBuilder;
use crate::catalog::{Operation, Provider, ProviderStack, Tier};

/// How many cancels and look-ups are sent at once, and wait.
const PERMITS: u32 = 4;
const WAITING: u32 = 64;
/// Which share of the limits is reserved for cancels and look-ups.
const RESERVED_SHARE: f64 = 0.1;
/// A limit is spent when an order would wait for it for longer.
const SPENT: Duration = Duration::from_secs(10);

/// Makes an [`OrderStack`]; from [`Provider::order_stack`] and [`Tier::order_stack`].
///
/// ```
/// use seawall::orders::journal::MemoryJournal;
/// use seawall::orders::protocol::{Caps, Decimal};
///
/// let caps = Caps::builder()
///     .orders_per_minute(60)
///     .notional_per_order(Decimal::from(25_000))
///     .build()?;
/// let stack = seawall::alpaca()?
///     .order_stack(MemoryJournal::default())?
///     .account("alpaca/paper")
///     .caps(caps)
///     .build::<http_body_util::Full<bytes::Bytes>>()?;
/// # let _ = stack;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct OrderStackBuilder {
    tier: Option<Tier>,
    stack: ProviderStack,
    broker: Arc<dyn Broker>,
    journal: Arc<dyn Journal>,
    config: OrderConfig,
    account: Option<Arc<str>>,
    broker_account: Option<Box<str>>,
    positions: Option<OwnPositions>,
    /// `None` where it was not set.
    reserved_share: Option<Option<Ratio>>,
    control: TradingControlBuilder,
}

impl Provider {
    /// A builder of a stack for the orders of the default tier, which writes them to `journal`.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] of a provider that takes no orders.
    pub fn order_stack(
        &self,
        journal: impl Journal + 'static,
    ) -> Result<OrderStackBuilder, InvalidConfig> {
        self.usual_tier()?.order_stack(journal)
    }
}

impl Tier {
    /// A builder of a stack for the orders of this tier, which writes them to `journal`.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build), and [`InvalidConfig`] of a provider that takes no orders.
    pub fn order_stack(
        &self,
        journal: impl Journal + 'static,
    ) -> Result<OrderStackBuilder, InvalidConfig> {
        self.order_stack_with(journal, |stack| stack)
    }

    /// The same with settings of your own, as [`build_with`](Self::build_with).
    ///
    /// # Errors
    ///
    /// As [`build_with`](Self::build_with), and [`InvalidConfig`] of a provider that takes no orders.
    pub fn order_stack_with(
        &self,
        journal: impl Journal + 'static,
        adjust: impl FnOnce(StackBuilder) -> StackBuilder,
    ) -> Result<OrderStackBuilder, InvalidConfig> {
        let broker = self.provider().broker_table()?;
        let builder = OrderStackBuilder::new(self.build_with(adjust)?, broker, journal);
        Ok(builder.of_tier(self.clone()))
    }
}

#[cfg(feature = "config")]
impl crate::config::ServiceConfig {
    /// A builder of a stack for the orders of this service, which writes them to `journal`. Its limits and
    /// timeouts are those of the file.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build), and [`InvalidConfig`] of a service with a table `cache`, `coalesce` or
    /// `fallback`, as no order is answered from elsewhere, whose provider takes no orders, or that
    /// has none: make an [`OrderStackBuilder::new`] of its stack and a broker then.
    pub fn order_stack(
        &self,
        journal: impl Journal + 'static,
    ) -> Result<OrderStackBuilder, InvalidConfig> {
        let Some(tier) = self.tier_of_provider() else {
            let accepted = "a provider of the catalogue that takes orders";
            return Err(InvalidConfig::new("provider", "not set", accepted));
        };
        self.check_plain("a stack of orders")?;
        let broker = tier.provider().broker_table()?;
        let builder = OrderStackBuilder::new(self.build()?, broker, journal);
        Ok(builder.of_tier(tier.clone()))
    }
}

impl OrderStackBuilder {
    /// A builder around the stack of a broker.
    pub fn new(
        stack: ProviderStack,
        broker: impl Broker + 'static,
        journal: impl Journal + 'static,
    ) -> Self {
        Self {
            tier: None,
            stack,
            broker: Arc::new(broker),
            journal: Arc::new(journal),
            config: OrderConfig::default(),
            account: None,
            broker_account: None,
            positions: None,
            reserved_share: None,
            control: TradingControl::builder(),
        }
    }

    fn of_tier(mut self, tier: Tier) -> Self {
        self.tier = Some(tier);
        self
    }

    /// Knows the broker by `broker` in place of the catalogue.
    pub fn broker(mut self, broker: impl Broker + 'static) -> Self {
        self.broker = Arc::new(broker);
        self
    }

    /// Sets how long orders are waited for, and how much is spent on look-ups.
    pub const fn config(mut self, config: OrderConfig) -> Self {
        self.config = config;
        self
    }

    /// Marks the intents in the journal as those of this account, of 1 to 255 bytes; the name of the
    /// broker unless set.
    pub fn account(mut self, account: impl Into<Arc<str>>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// Compares these positions with the broker's list, at the start and
    /// [periodically](seawall_orders::OrderConfig::compare_every): a difference that lasts is a
    /// [notice](seawall_orders::DifferenceNotice) with the figures of both sides.
    ///
    /// ```
    /// # use seawall_sim::provider::Broker;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let broker = Broker::alpaca().start().await?;
    /// # let url = broker.base_url();
    /// use seawall::orders::journal::MemoryJournal;
    /// use seawall::orders::lists::OwnPositions;
    /// use seawall::orders::protocol::Decimal;
    ///
    /// let books = OwnPositions::from_fn(|| [("SPY", Decimal::from(40))]);
    /// let orders = seawall::alpaca()?.order_stack(MemoryJournal::default())?.positions(books);
    /// let client = orders.client()?.base_url(url).build()?;
    /// let handle = client.stack().handles().orders;
    /// handle.started().await;
    /// for difference in handle.compared().differences {
    ///     println!("{difference}"); // SPY: we have 40, the broker has 0
    /// }
    /// # Ok(()) }
    /// ```
    pub fn positions(mut self, positions: OwnPositions) -> Self {
        self.positions = Some(positions);
        self
    }

    /// Sets what the broker has in the paths of the account, as an account's number at OANDA. Where it is not
    /// set, lists whose paths have one are read once an order has shown it.
    pub fn broker_account(mut self, account: impl Into<Box<str>>) -> Self {
        self.broker_account = Some(account.into());
        self
    }

    /// Sets which share of the broker's limits only cancels and look-ups use, above 0 and below 1; `None`
    /// reserves nothing. Default: a tenth, or as much as one cancel costs where that is more, unless the
    /// [limit](seawall_ratelimit::RateLimitConfigBuilder::reserved_share) of the stack has a setting of its
    /// own. It holds for the limits of all calls, and for those of the classes that such calls count
    /// against; stacks that share these limits leave the share as well.
    ///
    /// Cancels use it before look-ups. Comparisons with the broker's lists do not use it.
    ///
    /// ```
    /// use seawall::Ratio;
    /// use seawall::orders::journal::MemoryJournal;
    ///
    /// let stack = seawall::alpaca()?
    ///     .order_stack(MemoryJournal::default())?
    ///     .reserved_share(Ratio::new(0.2)?)
    ///     .build::<http_body_util::Full<bytes::Bytes>>()?;
    /// let limits = stack.handles().stack.rate_limit;
    /// assert_eq!(limits.config().per_key().reserved_share(), Some(Ratio::new(0.2)?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reserved_share(mut self, share: impl Into<Option<Ratio>>) -> Self {
        self.reserved_share = Some(share.into());
        self
    }

    /// Sets how many orders, and of what value, may leave.
    pub fn caps(self, caps: Caps) -> Self {
        self.control(|control| control.caps(caps))
    }

    /// Sets which condition leads to which trading mode.
    pub fn policy(self, policy: ModePolicy) -> Self {
        self.control(|control| control.policy(policy))
    }

    /// Gives the value of an order in the currency of the account, for caps on it.
    pub fn notional(
        self,
        notional: impl Fn(&OrderRequest) -> Option<Decimal> + Send + Sync + 'static,
    ) -> Self {
        self.control(|control| control.notional(notional))
    }

    /// Says whether an order can only make a position smaller; otherwise the request says so.
    pub fn reduces(self, reduces: impl Fn(&OrderRequest) -> bool + Send + Sync + 'static) -> Self {
        self.control(|control| control.reduces(reduces))
    }

    /// Rejects all new orders while this is so: see
    /// [`KillSwitch`](seawall_orders::switch::KillSwitch).
    pub fn kill_switch(self, is_engaged: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.control(|control| control.kill_switch(is_engaged))
    }

    #[cfg(feature = "client")]
    pub(super) fn tier(&self) -> Option<Tier> {
        self.tier.clone()
    }

    fn control(
        mut self,
        change: impl FnOnce(TradingControlBuilder) -> TradingControlBuilder,
    ) -> Self {
        self.control = change(self.control);
        self
    }

    /// Reserves a share of the limits that cancels and look-ups count against.
    fn reserve_tokens(&self) -> Result<(), InvalidConfig> {
        let limits = self.stack.handles().rate_limit;
        let change = |config: &RateLimitConfig, cost| {
            let builder = RateLimitConfigBuilder::from(config.clone());
            match self.reserved_share {
                Some(share) => builder.default_reserved_share(share).reserved_share(share),
                None => builder.default_reserved_share(usual_share(config, cost)),
            }
        };
        let dearest = self.reserved_cost(|_| true).unwrap_or(1);
        if let Some(account) = limits.account() {
            account.configure(change(&account.config(), dearest).build()?)?;
        }
        let config = limits.config();
        let mut keys = KeyedRateLimitConfig::builder(change(config.per_key(), dearest));
        for (key, config) in config.keys() {
            keys = match self.reserved_cost(|class| class == key) {
                Some(cost) => keys.key(key, change(config, cost)),
                None => keys.key(key, config.clone()),
            };
        }
        limits.configure(keys.build()?)
    }

    /// The most that a cancel or look-up costs, of those that count against the limits of such classes.
    fn reserved_cost(&self, is_of: impl Fn(PartitionKey) -> bool) -> Option<u32> {
        let Some(tier) = &self.tier else {
            return Some(1);
        };
        let provider = tier.provider();
        let routes = provider.routes().filter(|route| {
            let operation = route.operation();
            matches!(operation, Operation::OrderCancel | Operation::OrderQuery)
        });
        let metas = routes.map(|route| route.meta());
        let costs = metas.filter(|meta| is_of(meta.key)).map(|meta| meta.cost);
        costs.max()
    }

    /// The stack.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] of `account` where it is empty or longer than 255 bytes, and of `reserved_share`
    /// where it is 0 or 1.
    pub fn build<B>(self) -> Result<OrderStack<B>, InvalidConfig> {
        self.reserve_tokens()?;
        let reserved = reserved(&self.stack)?;
        let stack = self.stack.on_departure(NoteDeparture);
        let reserved = reserved.on_departure(NoteDeparture);
        let handles = stack.handles();
        let (breaker, limits) = (handles.breaker.clone(), handles.rate_limit.clone());
        let control = self
            .control
            .circuit_open(move || {
                matches!(
                    breaker.state(),
                    CircuitState::Open | CircuitState::ForcedOpen
                )
            })
            .limits_spent(move || {
                let wait = limits.time_to_next(&RequestMeta::default());
                wait.is_none_or(|wait| wait > SPENT)
            })
            .build();
        let mut orders = OrderLayer::<B>::builder(stack.name(), self.broker)
            .journal(self.journal)
            .config(self.config)
            .control(control)
            .departures_noted();
        if let Some(account) = self.account {
            orders = orders.account(account);
        }
        if let Some(account) = self.broker_account {
            orders = orders.broker_account(account);
        }
        if let Some(positions) = self.positions {
            orders = orders.positions(positions);
        }
        Ok(OrderStack {
            orders: orders.build()?,
            stack,
            reserved,
        })
    }
}

/// A tenth, or what a call of that cost needs of a limit that can grant more than it.
fn usual_share(config: &RateLimitConfig, cost: u32) -> Option<Ratio> {
    let shares = config.limits().iter().filter_map(|limit| {
        let (cost, capacity) = (f64::from(cost), f64::from(limit.capacity()));
        let is_less = (capacity * RESERVED_SHARE).floor().max(1.0) < cost;
        // Between two tokens: the share is rounded down.
        (limit.unit() == Unit::Cost && is_less && cost < capacity)
            .then_some((cost + 0.5) / capacity)
    });
    Ratio::new(shares.fold(RESERVED_SHARE, f64::max)).ok()
}

/// The same stack with permits and a circuit of its own. Limits are shared, since the broker counts all
/// calls: cancels and look-ups use what of them is reserved, and go first in their queue.
fn reserved(stack: &ProviderStack) -> Result<ProviderStack, InvalidConfig> {
    let settings = stack.handles().settings();
    let name = InstanceName::new(&format!("{}.reserved", stack.name()));
    let bulkhead = BulkheadConfig::builder()
        .max_concurrent(PERMITS)
        .max_waiting(WAITING)
        .max_wait(settings.bulkhead.max_wait())
        .build()?;
    Ok(stack.clone().reserved().map_slots(|_, slots| {
        slots
            .with_bulkhead(|_| BulkheadLayer::new(name, bulkhead))
            .with_breaker(|_| BreakerLayer::new(name, settings.breaker))
    }))
}

seawall_core::impl_debug!(OrderStackBuilder: |this| name = this.stack.name(), broker = this.broker);
