//! Reads and controls orders from outside.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use seawall_core::{InstanceHandle, InstanceName, InvalidConfig, Samples};

use super::compare::request_sender;
use super::compared::ComparedSnapshot;
use super::config::OrderConfig;
use super::counts::OrderCounts;
use super::notices::OrderNotices;
use super::order::Order;
use super::settled::View;
use super::shared::{Shared, Start};
use crate::broker::FoundOrder;
use crate::client::RequestSender;
use crate::journal::JournalError;
use crate::protocol::{
    CancelStep, Event, IntentState, Operation, Report, Settlement, TradingMode, Verdict,
};
use crate::safety::TradingControl;

/// Reads and controls the orders of a layer from any thread.
///
/// Look-ups run in the Tokio runtime of a call. Where that runtime has ended, the next order, cancel or
/// replace through the layer takes up what it has left, and so does every method here that reads orders or
/// commands something, if it is called in another runtime.
#[derive(Clone)]
pub struct OrderHandle {
    shared: Arc<Shared>,
}

/// An order at one moment.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderSnapshot {
    /// The client order id.
    pub id: Arc<str>,
    /// Its number in the journal; `None` until the journal has it.
    pub number: Option<u64>,
    /// What its request does.
    pub operation: Operation,
    /// The symbol, where the request says so.
    pub symbol: Option<Box<str>>,
    /// What is known of it.
    pub state: IntentState,
    /// How it ended.
    pub settlement: Option<Settlement>,
    /// How many copies have left.
    pub copies: u32,
    /// The order as the broker showed it last.
    pub found: Option<FoundOrder>,
}

/// The orders of a layer at one moment.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct OrdersSnapshot {
    /// The name of the instance.
    pub name: InstanceName,
    /// Which requests pass.
    pub mode: TradingMode,
    /// Whether every order of an earlier process is settled or exhausted.
    pub started: bool,
    /// Orders whose outcome is unknown, and looked up.
    pub in_doubt: u32,
    /// Orders whose look-ups are used up.
    pub exhausted: u32,
    /// Those in doubt that are of an earlier process.
    pub of_earlier_process: u32,
    /// Marks that a failing journal has lost, and that are written again when it works.
    pub unwritten_marks: u32,
    /// What became of all of them.
    pub counts: OrderCounts,
}

/// Why a command about an order was not done.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum OrderError {
    /// The journal has no order of that id.
    UnknownOrder,
    /// The order is settled already.
    Settled(Settlement),
    /// The journal could not be read.
    Journal(JournalError),
    /// It was not over in the time that it may take; it goes on.
    TimedOut,
    /// The broker has not confirmed the cancel of an order that a person has abandoned, and it is not sent any
    /// more.
    CancelUnconfirmed,
}

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownOrder => f.write_str("the journal has no order of that id"),
            Self::Settled(how) => {
                write!(f, "the order is settled already: {}", how.mark().as_str())
            }
            Self::Journal(error) => write!(f, "the journal could not be read: {error}"),
            Self::TimedOut => f.write_str("it was not over in time; it goes on"),
            Self::CancelUnconfirmed => {
                f.write_str("the broker has not confirmed the cancel, and it is not sent any more")
            }
        }
    }
}

impl std::error::Error for OrderError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Journal(error) => Some(error),
            _ => None,
        }
    }
}

/// How a cancel ended.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// The order was removed before it was sent, or was not executed.
    NotSent,
    /// The broker has cancelled it, or it is not open any more: see its state.
    Over,
}

impl OrderHandle {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The name of the instance.
    pub fn name(&self) -> InstanceName {
        self.shared.events.name()
    }

    /// The settings.
    pub fn config(&self) -> OrderConfig {
        self.shared.config()
    }

    /// Changes the settings while orders are placed. An order keeps the deadline that it came with.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `look_ups_at_once` or `max_body` differs: those of a running layer cannot
    /// change.
    pub fn configure(&self, config: OrderConfig) -> Result<(), InvalidConfig> {
        self.shared.configure(config)?;
        self.shared.events.commanded("configure");
        Ok(())
    }

    /// What became of the orders so far.
    pub fn counts(&self) -> OrderCounts {
        OrderCounts::sum([&self.shared.counters])
    }

    /// Everything at once, but for the single [orders](Self::orders).
    pub fn snapshot(&self) -> OrdersSnapshot {
        self.shared.enter();
        let (in_doubt, exhausted, of_earlier_process) = self.shared.standing();
        OrdersSnapshot {
            name: self.name(),
            mode: self.shared.control.mode(),
            started: *self.shared.started.borrow() == Start::Over,
            in_doubt,
            exhausted,
            of_earlier_process,
            unwritten_marks: u32::try_from(self.shared.unwritten.len()).unwrap_or(u32::MAX),
            counts: self.counts(),
        }
    }

    /// What admits orders: trading mode, caps, kill switch.
    pub fn control(&self) -> &TradingControl {
        &self.shared.control
    }

    /// Begins to look up the orders of an earlier process, if it was not begun yet, and waits until each of
    /// them is settled or exhausted. New orders wait for the same.
    pub async fn started(&self) {
        self.shared.enter();
        self.shared.begin();
        let mut started = self.shared.started.subscribe();
        // An error would mean that the layer is gone, which this handle prevents.
        let _ = started.wait_for(|start| *start == Start::Over).await;
    }

    /// What our own orders and positions and the broker's lists differ in, by the last comparisons.
    pub fn compared(&self) -> ComparedSnapshot {
        self.shared.compared_now()
    }

    /// Sends requests of your own to where orders go, through the stack of cancels and look-ups, as a
    /// [dead man's switch](crate::dead_man) needs it. It ends with the layer.
    pub fn request_sender(&self) -> RequestSender {
        request_sender(&self.shared)
    }

    /// What happens to orders from now on.
    #[must_use]
    pub fn subscribe(&self) -> OrderNotices {
        OrderNotices::of(&self.shared.notices, &self.shared.subscribed)
    }

    /// The orders in memory: all that are not settled, and the last ones that are. In the order of their
    /// numbers; those that the journal does not have are last.
    pub fn orders(&self) -> Vec<OrderSnapshot> {
        self.shared.enter();
        let mut orders = Vec::new();
        self.shared.each(|it| orders.push(snapshot(&it)));
        orders.sort_unstable_by_key(|order| (order.number.is_none(), order.number));
        orders
    }

    /// The orders whose outcome is unknown.
    pub fn in_doubt(&self) -> Vec<OrderSnapshot> {
        let mut orders = self.orders();
        orders.retain(|order| matches!(order.state, IntentState::InDoubt | IntentState::Exhausted));
        orders
    }

    /// The order of a rejection that says that its outcome is unknown: by its
    /// [reference](seawall_core::Rejection::reference).
    pub fn by_reference(&self, number: u64) -> Option<OrderSnapshot> {
        self.orders()
            .into_iter()
            .find(|order| order.number == Some(number))
    }

    /// What is known of an order, in memory or in the journal.
    ///
    /// # Errors
    ///
    /// [`UnknownOrder`](OrderError::UnknownOrder) and [`Journal`](OrderError::Journal).
    pub async fn order(&self, id: &str) -> Result<OrderSnapshot, OrderError> {
        let order = self.find(id).await?;
        let snapshot = order.it.view(|it| snapshot(&it));
        order.rest();
        Ok(snapshot)
    }

    async fn find(&self, id: &str) -> Result<Order, OrderError> {
        self.shared.enter();
        let order = self.shared.order(id).await.map_err(OrderError::Journal)?;
        order.ok_or(OrderError::UnknownOrder)
    }

    /// Says what an order stream, a fill report or a list says of an order: it settles the order, answers
    /// its caller, and ends look-ups and re-sends. What is not known to be news does nothing.
    ///
    /// # Errors
    ///
    /// [`UnknownOrder`](OrderError::UnknownOrder) for an order that the journal does not have, as one that
    /// was placed by hand, and [`Journal`](OrderError::Journal).
    pub async fn observe(&self, id: &str, report: Report) -> Result<(), OrderError> {
        let order = self.find(id).await?;
        order.feed(Event::Evidence(report));
        order.rest();
        Ok(())
    }

    /// The same with the broker's whole order.
    ///
    /// # Errors
    ///
    /// As [`observe`](Self::observe).
    pub async fn observe_order(&self, id: &str, found: FoundOrder) -> Result<(), OrderError> {
        let order = self.find(id).await?;
        let report = order.it.learn(found);
        order.feed(Event::Evidence(report));
        order.rest();
        Ok(())
    }

    /// Cancels an order, whatever is known of it: one that has not left is taken out of the stack unsent;
    /// one that is in doubt is not sent again, and is cancelled as soon as it is found.
    ///
    /// A cancel without an outcome is sent again, and one that a layer below rejected, as an open circuit does, is
    /// made again: by the waits of [`RulesBuilder::cancels`](crate::protocol::RulesBuilder::cancels), until the
    /// order is known not to be open, whatever says so. The order is looked up for it where the broker knows no such
    /// open order. So many that fail are an alert, and not the end. What a person knows ends it by
    /// [`observe`](Self::observe); it ends with the layer, too.
    ///
    /// # Errors
    ///
    /// As [`observe`](Self::observe), [`TimedOut`](OrderError::TimedOut) after `limit`: the cancel goes
    /// on; and [`CancelUnconfirmed`](OrderError::CancelUnconfirmed).
    pub async fn cancel(&self, id: &str, limit: Duration) -> Result<Cancelled, OrderError> {
        let order = self.find(id).await?;
        order.cancel();
        self.shared.events.commanded("cancel");
        let ended = tokio::time::timeout(limit, order.it.cancel_end()).await;
        order.rest();
        match ended {
            Ok(CancelStep::NotSent) => Ok(Cancelled::NotSent),
            Ok(CancelStep::Unconfirmed) => Err(OrderError::CancelUnconfirmed),
            Ok(_) => Ok(Cancelled::Over),
            Err(_) => Err(OrderError::TimedOut),
        }
    }

    /// Settles an order in doubt by what a person has found out.
    ///
    /// # Errors
    ///
    /// As [`observe`](Self::observe), and [`Settled`](OrderError::Settled).
    pub async fn resolve(&self, id: &str, verdict: Verdict) -> Result<(), OrderError> {
        let order = self.find(id).await?;
        if let Some(settlement) = order.it.settlement() {
            order.rest();
            return Err(OrderError::Settled(settlement));
        }
        order.feed(Event::Resolve(verdict));
        order.rest();
        self.shared.events.commanded("resolve");
        Ok(())
    }

    /// Looks up an exhausted order again.
    ///
    /// # Errors
    ///
    /// As [`resolve`](Self::resolve).
    pub async fn look_up_again(&self, id: &str) -> Result<(), OrderError> {
        let order = self.find(id).await?;
        if let Some(settlement) = order.it.settlement() {
            order.rest();
            return Err(OrderError::Settled(settlement));
        }
        order.feed(Event::LookUpAgain);
        self.shared.events.commanded("look_up_again");
        Ok(())
    }

    /// Lets only those requests pass that `mode` does, or fewer where something is wrong; `None` ends it.
    pub fn set_mode(&self, mode: Option<TradingMode>) {
        self.shared.enter();
        self.shared.control.set_mode(mode);
        self.shared.events.commanded("set_mode");
    }

    fn halt(&self) {
        self.set_mode(Some(TradingMode::Halted));
    }

    /// Ends what was commanded, and takes the mode that the conditions ask for at once, without the clean
    /// queries that [`set_mode`](Self::set_mode) waits for: for a person that has looked.
    pub fn reset(&self) {
        self.shared.enter();
        self.shared.control.set_mode(None);
        self.shared.control.reset();
        self.shared.events.commanded("reset");
    }
}

fn snapshot(it: &View<'_>) -> OrderSnapshot {
    OrderSnapshot {
        id: Arc::clone(it.id),
        number: it.number,
        operation: it.operation,
        symbol: it.request.symbol.clone(),
        state: it.life.state(),
        settlement: it.life.settlement(),
        copies: it.life.copies(),
        found: it.found.cloned(),
    }
}

/// [`Block`](seawall_core::Command::Block) halts: cancels and queries pass.
impl InstanceHandle for OrderHandle {
    seawall_core::handle_methods! { |this|
        pattern: this.shared.events.pattern(),
        state: this.shared.control.mode().as_str(),
        attach: this.shared.events,
        commands: [Block => halt, Reset => reset, Resume => set_mode(None)],
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        self.counts().samples(sink);
        let (in_doubt, exhausted, _) = self.shared.standing();
        sink.gauge("seawall_orders_in_doubt", &[], f64::from(in_doubt));
        sink.gauge("seawall_orders_exhausted", &[], f64::from(exhausted));
        let is_engaged = self.shared.control.is_kill_switch_engaged();
        let engaged = f64::from(u8::from(is_engaged));
        sink.gauge("seawall_orders_kill_switch", &[], engaged);
        self.shared.sample_differences(sink);
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let config = self.shared.config();
        vec![
            ("deadline", format!("{:?}", config.deadline())),
            ("look_ups_at_once", config.look_ups_at_once().to_string()),
            ("max_pages", config.max_pages().to_string()),
            ("max_body", config.max_body().to_string()),
            ("remembered", config.remembered().to_string()),
        ]
    }
}

seawall_core::impl_debug!(OrderHandle: |this| name = this.name());
