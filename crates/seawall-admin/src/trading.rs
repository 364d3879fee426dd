//! What trading at a broker is controlled by.

use seawall_orders::OrderHandle;
use seawall_orders::switch::KillSwitch;

/// Orders of one broker.
#[derive(Clone, Debug)]
pub(crate) struct Trading {
    pub(crate) orders: OrderHandle,
    pub(crate) kill_switch: Option<KillSwitch>,
}
