//! What a layer is made of.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use seawall_core::{InstanceName, InvalidConfig};
use seawall_http::HttpClassifier;

use super::config::OrderConfig;
use super::service::OrderLayer;
use super::shared::{Authorize, Parts, Shared};
use crate::broker::Broker;
use crate::journal::{Journal, MemoryJournal, check_name};
use crate::lists::OwnPositions;
use crate::safety::TradingControl;

/// Makes an [`OrderLayer`].
#[must_use]
pub struct OrderLayerBuilder<B> {
    parts: Parts,
    body: PhantomData<fn() -> B>,
}

impl<B> OrderLayer<B> {
    /// A builder of the layer `name` for a broker.
    pub fn builder(
        name: impl Into<InstanceName>,
        broker: impl Broker + 'static,
    ) -> OrderLayerBuilder<B> {
        let name = name.into();
        let account = Arc::from(broker.name());
        OrderLayerBuilder {
            parts: Parts {
                name,
                broker: Arc::new(broker),
                journal: Arc::new(MemoryJournal::default()),
                config: OrderConfig::default(),
                control: TradingControl::builder().build(),
                account,
                run: Arc::from(format!("{}", std::process::id())),
                notes_departures: false,
                authorize: None,
                positions: None,
                broker_account: None,
            },
            body: PhantomData,
        }
    }
}

impl<B> OrderLayerBuilder<B> {
    /// Writes intents to `journal`; into memory unless set, where they are lost with the process. One layer
    /// for each account of a journal: it takes every open order of the account for its own.
    pub fn journal(mut self, journal: impl Journal + 'static) -> Self {
        self.parts.journal = Arc::new(journal);
        self
    }

    /// Sets the times and numbers.
    pub const fn config(mut self, config: OrderConfig) -> Self {
        self.parts.config = config;
        self
    }

    /// Admits orders by `control`: trading modes, caps, kill switch. One control is for one layer: the
    /// events of its modes are those of the first layer that it is given to.
    pub fn control(mut self, control: Arc<TradingControl>) -> Self {
        self.parts.control = control;
        self
    }

    /// Marks the intents as those of this account; the name of the broker unless set. A layer looks up
    /// those of its own account, so that several layers can share a journal. 1 to 255 bytes, so that no
    /// intent is rejected for it later.
    pub fn account(mut self, account: impl Into<Arc<str>>) -> Self {
        self.parts.account = account.into();
        self
    }

    /// Compares these positions with the broker's list, at the start and
    /// [periodically](OrderConfig::compare_every). Nothing is compared unless set.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use http_body_util::Full;
    /// use seawall_orders::OrderLayer;
    /// use seawall_orders::lists::OwnPositions;
    /// use seawall_orders::protocol::Decimal;
    ///
    /// # fn layer(broker: seawall_orders::broker::BrokerTable) -> Result<(), seawall_core::InvalidConfig> {
    /// let layer = OrderLayer::<Full<Bytes>>::builder("desk", broker)
    ///     .positions(OwnPositions::from_fn(|| [("AAPL", Decimal::from(100))]))
    ///     .build()?;
    /// let differences = layer.handle().compared().differences;
    /// # Ok(()) }
    /// ```
    pub fn positions(mut self, positions: OwnPositions) -> Self {
        self.parts.positions = Some(positions);
        self
    }

    /// Sets what the broker has in the paths of the account, as an account's number. Where it is not set, lists
    /// whose paths have one are read once an order has shown it.
    pub fn broker_account(mut self, account: impl Into<Box<str>>) -> Self {
        self.parts.broker_account = Some(account.into());
        self
    }

    /// Marks the intents as those of this run of the program; the number of the process unless set. 1 to
    /// 255 bytes.
    pub fn run(mut self, run: impl Into<Arc<str>>) -> Self {
        self.parts.run = run.into();
        self
    }

    /// The stack below asks before each request leaves: it has
    /// [`NoteDeparture`](seawall_http::NoteDeparture) as its hook at departure. Then an order that waits in
    /// the stack is known as not sent, and can be cancelled there. Without it, an order counts as sent from
    /// the moment at which it is handed to the stack.
    ///
    /// Until the hook has run once, an order whose call does not end well counts as sent.
    ///
    /// With it, a layer below may repeat requests: the second departure of an order is withheld, with an
    /// alert, unless the first was certainly not sent. Without it nothing below may, since the layer does
    /// not see it.
    pub const fn departures_noted(mut self) -> Self {
        self.parts.notes_departures = true;
        self
    }

    /// Adds credentials to the requests that the layer makes itself, for look-ups and cancels. Those of the
    /// order are taken until the process ends; after a restart there are only these. Where the client
    /// adds credentials below the stack, none are needed.
    pub fn authorize(
        mut self,
        authorize: impl Fn(&mut Request<Bytes>) + Send + Sync + 'static,
    ) -> Self {
        self.parts.authorize = Some(Box::new(authorize) as Box<Authorize>);
        self
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] of `account` or `run` where it is empty or longer than 255 bytes. An account that
    /// is not set is the name of the broker.
    pub fn build(self) -> Result<OrderLayer<B>, InvalidConfig> {
        check_name("account", &self.parts.account)?;
        check_name("run", &self.parts.run)?;
        let shared = Arc::new(Shared::new(self.parts));
        let listener = Arc::downgrade(&shared);
        shared.control.listen(move |change| {
            if let Some(shared) = listener.upgrade() {
                shared.events.emit(|| change.into());
                shared.standing_changed.notify_one();
            }
        });
        Ok(OrderLayer {
            shared,
            classifier: HttpClassifier::new(),
            body: self.body,
        })
    }
}

impl<B> fmt::Debug for OrderLayerBuilder<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrderLayerBuilder")
            .field("name", &self.parts.name)
            .field("broker", &self.parts.broker)
            .finish_non_exhaustive()
    }
}
