//! A broker that treats a second order of an id by its class.

use seawall_orders::protocol::{CancelReply, Duplicates, LookUp, OrderState, Query, Reply, Report};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Order {
    pub(crate) state: OrderState,
    /// From when queries show it.
    pub(crate) visible_at: u8,
}

impl Order {
    pub(crate) fn report(self, index: usize) -> Report {
        Report {
            order: Some(index as u64),
            state: self.state,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Broker {
    pub(crate) orders: Vec<Order>,
}

impl Broker {
    pub(crate) fn create(&mut self, duplicates: Duplicates, visible_at: u8) -> Reply {
        let first = self.orders.first().copied();
        let open = self.orders.iter().any(|order| order.state.is_live());
        match (duplicates, first) {
            (Duplicates::ReturnFirst, Some(order)) => Reply::Accepted(order.report(0)),
            (Duplicates::RejectForATime, Some(_)) => Reply::Duplicate,
            (Duplicates::RejectWhileOpen, Some(_)) if open => Reply::Duplicate,
            _ => {
                let state = OrderState::Open;
                let order = Order { state, visible_at };
                self.orders.push(order);
                Reply::Accepted(order.report(self.orders.len() - 1))
            }
        }
    }

    pub(crate) fn cancel(&mut self) -> CancelReply {
        let live = self.orders.iter_mut().find(|order| order.state.is_live());
        let Some(order) = live else {
            return CancelReply::UnknownOrder;
        };
        order.state = OrderState::Cancelled;
        CancelReply::Cancelled
    }

    pub(crate) fn look_up(&self, query: Query, now: u8) -> LookUp {
        let mut found = self.orders.iter().enumerate().filter(|(_, order)| {
            let listed = match query {
                Query::Open => order.state.is_live(),
                Query::Closed => !order.state.is_live(),
                Query::Fills => order.state == OrderState::Filled,
                _ => true,
            };
            listed && order.visible_at <= now
        });
        match (found.next(), found.next()) {
            (None, _) => LookUp::NotFound,
            (Some((index, order)), None) => LookUp::Found(order.report(index)),
            (Some((_, order)), Some(_)) => LookUp::Several(order.state),
        }
    }
}
