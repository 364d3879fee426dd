//! What an order stack is made of.

use std::sync::Arc;
use std::time::Duration;

use seawall_breaker::CircuitState;
use seawall_bulkhead::BulkheadConfig;
use seawall_core::{InstanceName, InvalidConfig, Ratio, RequestMeta};
use seawall_http::NoteDeparture;
use seawall_orders::broker::{Broker, OrderRequest};
use seawall_orders::journal::Journal;
use seawall_orders::protocol::{Caps, Decimal, ModePolicy};
use seawall_orders::safety::{TradingControl, TradingControlBuilder};
use seawall_orders::{OrderConfig, OrderLayer};

use super::stack::{OrderStack, TradeStack};
use crate::StackBuilder;
use crate::catalog::{Provider, ProviderStack, Tier};

/// The share of the limits that the reserved stack has: the first one that leaves something
/// of every limit to both.
const SHARES: [f64; 4] = [0.1, 0.2, 0.35, 0.5];
/// How many of them are sent at once, and wait.
const RESERVED_PERMITS: u32 = 4;
const RESERVED_WAITING: u32 = 64;
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
    tier: Tier,
    broker: Arc<dyn Broker>,
    journal: Arc<dyn Journal>,
    config: OrderConfig,
    account: Option<Arc<str>>,
    control: TradingControlBuilder,
    adjust: Vec<Box<dyn Fn(StackBuilder) -> StackBuilder>>,
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
    /// [`InvalidConfig`] of a provider that takes no orders.
    pub fn order_stack(
        &self,
        journal: impl Journal + 'static,
    ) -> Result<OrderStackBuilder, InvalidConfig> {
        let broker: Arc<dyn Broker> = todo!();
        Ok(OrderStackBuilder {
            tier: self.clone(),
            broker: Arc::new(broker),
            journal: Arc::new(journal),
            config: OrderConfig::default(),
            account: None,
            control: TradingControl::builder(),
            adjust: Vec::new(),
        })
    }
}

impl OrderStackBuilder {
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

    /// Marks the intents in the journal as those of this account; the name of the broker unless set.
    pub fn account(mut self, account: impl Into<Arc<str>>) -> Self {
        self.account = Some(account.into());
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

    pub(super) fn tier(&self) -> Tier {
        self.tier.clone()
    }

    fn control(
        mut self,
        change: impl FnOnce(TradingControlBuilder) -> TradingControlBuilder,
    ) -> Self {
        self.control = change(self.control);
        self
    }

    /// Adjusts the settings of the stack and of the reserved one: timeouts, circuit, queue.
    pub fn adjust(mut self, adjust: impl Fn(StackBuilder) -> StackBuilder + 'static) -> Self {
        self.adjust.push(Box::new(adjust));
        self
    }

    fn adjusted(&self, stack: StackBuilder) -> StackBuilder {
        self.adjust
            .iter()
            .fold(stack, |stack, adjust| adjust(stack))
    }

    /// The stack and the reserved one.
    fn stacks(&self) -> Result<(ProviderStack, ProviderStack), InvalidConfig> {
        let share = self.tier.share()?.get();
        let mut first = None;
        for reserved in SHARES {
            match self.split(share, reserved) {
                Ok(stacks) => return Ok(stacks),
                Err(error) => first.get_or_insert(error),
            };
        }
        // There was one for each share.
        first.map_or_else(|| self.split(share, SHARES[0]), Err)
    }

    fn split(
        &self,
        share: f64,
        reserved: f64,
    ) -> Result<(ProviderStack, ProviderStack), InvalidConfig> {
        let of = |share| Ok::<_, InvalidConfig>(self.tier.clone().utilization(Ratio::new(share)?));
        let stack = of(share * (1.0 - reserved))?;
        let stack = stack.build_with(|stack| self.adjusted(stack))?;
        let name = format!("{}.reserved", stack.name());
        let reserved = of(share * reserved)?.named(InstanceName::new(&name));
        let reserved = reserved.build_with(|stack| narrow(self.adjusted(stack)))?;
        Ok((stack, reserved))
    }

    /// The stack.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] of the first setting that is not accepted.
    pub fn build<B>(self) -> Result<OrderStack<B>, InvalidConfig> {
        let (stack, reserved) = self.stacks()?;
        let (stack, reserved) = (noting(stack), noting(reserved));
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
        Ok(OrderStack {
            tier: Some(self.tier),
            orders: orders.build(),
            stack,
            reserved,
        })
    }
}

/// The reserved stack: few permits, and a queue of its own.
fn narrow(stack: StackBuilder) -> StackBuilder {
    let bulkhead = BulkheadConfig::builder()
        .max_concurrent(RESERVED_PERMITS)
        .max_waiting(RESERVED_WAITING)
        .max_wait(SPENT)
        .build();
    match bulkhead {
        Ok(bulkhead) => stack.bulkhead(bulkhead),
        Err(_) => stack,
    }
}

fn noting(stack: ProviderStack) -> TradeStack {
    stack.on_departure(NoteDeparture)
}

seawall_core::impl_debug!(OrderStackBuilder: |this| tier = this.tier.name(), broker = this.broker);
