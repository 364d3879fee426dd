//! What is done before an order may leave: it is read, admitted, and handed to the journal.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Method, Request, Uri};
use seawall_core::{Reason, Rejection};

use super::order::{CancelTurn, Order};
use super::shared::{Shared, Start};
use super::tasks::Hearing;
use super::template::Template;
use super::tracked::{Mail, NewOrder};
use crate::body::Unread;
use crate::broker::{InvalidOrder, OrderRequest, Target};
use crate::journal::{self, JournalError};
use crate::protocol::{CancelReply, CancelStep, Event, Operation, Rules};
use crate::safety::Admission;

/// A request that was read.
pub(super) enum Prepared {
    /// An order that was begun.
    Order(Caller, Template),
    Cancel(Option<Target>, Request<Bytes>),
    /// A cancel that need not be sent, of this order.
    Over(Order, CancelStep),
    Pass(Request<Bytes>),
}

/// The caller of an order. Dropped before it has its answer, nothing is lost: the order goes on
/// without it.
pub(super) struct Caller {
    pub(super) order: Order,
    /// What the journal has not answered yet.
    written: Option<journal::Answer<u64>>,
    pub(super) answered: bool,
}

impl Drop for Caller {
    fn drop(&mut self) {
        if !self.answered {
            self.order.feed(Event::Dropped);
        }
        if let Some(written) = self.written.take() {
            Hearing::of(self.order.clone()).to(written);
        }
    }
}

impl Caller {
    /// Waits until the journal has the intent, or for what makes that needless.
    ///
    /// # Errors
    ///
    /// Those that are about the request: the journal has no entry of this order.
    pub(super) async fn written(&mut self) -> Result<Mail, JournalError> {
        let order = &self.order;
        let there = self.written.as_mut().and_then(journal::Answer::take_ready);
        let written = match there {
            Some(written) => written,
            None => {
                let first = poll_fn(|cx| {
                    let answered = match &mut self.written {
                        Some(written) => Pin::new(written).poll(cx),
                        None => Poll::Pending,
                    };
                    match answered {
                        Poll::Ready(written) => Poll::Ready(Ok(written)),
                        Poll::Pending => order.it.poll_mail(cx).map(Err),
                    }
                });
                match order.in_time(first).await {
                    Ok(written) => written,
                    Err(mail) => return Ok(mail),
                }
            }
        };
        self.written = None;
        match order.written(written) {
            Ok(()) => order.feed(Event::Durable),
            Err(error) if is_of_the_request(&error) => return Err(error),
            Err(_) => order.feed(Event::NotDurable),
        }
        Ok(order.mail().await)
    }
}

const USED_ID: &str = "its client order id was used before";

/// An error that says something of the request, not of the store.
const fn is_of_the_request(error: &JournalError) -> bool {
    matches!(
        error,
        JournalError::UsedId { .. } | JournalError::Invalid(_) | JournalError::Full { .. }
    )
}

impl Shared {
    pub(super) fn not_admitted(&self, rejection: Rejection) -> Rejection {
        self.counters.not_admitted.add();
        self.events
            .emit_call(|| seawall_core::EventKind::Rejected(rejection));
        rejection
    }

    /// Whether a request that is no order of the broker's table may pass.
    #[inline]
    pub(super) fn is_no_order(&self, method: &Method, uri: &Uri) -> bool {
        method.is_safe() || self.broker.is_no_order(method, uri)
    }

    /// The rejection of a request that may be an order of a route that nobody knows.
    #[cold]
    pub(super) fn unknown_route(&self) -> Rejection {
        let why = "it may be an order, and its route is none of the broker's";
        self.not_admitted(self.rejection(Reason::InvalidRequest, why))
    }

    /// The rejection of a request that breaks a rule.
    fn invalid(&self, error: &InvalidOrder) -> Rejection {
        self.rejection(Reason::InvalidRequest, &error.words())
    }

    pub(super) fn not_appended(&self, error: &JournalError) -> Rejection {
        match error {
            JournalError::UsedId { .. } => self.rejection(Reason::InvalidRequest, USED_ID),
            JournalError::Full { .. } => self.rejection(
                Reason::TradingMode,
                "as many orders are open as the journal takes",
            ),
            _ => self.rejection(Reason::InvalidRequest, "the journal does not take it"),
        }
    }

    /// The rejection of a request whose body was not read.
    pub(super) fn not_read<E>(&self, unread: &Unread<E>) -> Rejection {
        let why = match unread {
            Unread::TooLong => "its body is longer than is read",
            Unread::Broken(_) => "its body broke off",
        };
        self.not_admitted(self.rejection(Reason::InvalidRequest, why))
    }

    fn read(
        &self,
        operation: Operation,
        request: &Request<Bytes>,
    ) -> Result<OrderRequest, Rejection> {
        let order = self.broker.read(operation, request);
        order.map_err(|error| self.not_admitted(self.invalid(&error)))
    }

    /// Waits for the start, where a request is an order that has to.
    ///
    /// # Errors
    ///
    /// What is invalid does not wait to be rejected.
    pub(super) async fn wait_to_start(
        self: &Arc<Self>,
        operation: Operation,
        request: &Request<Bytes>,
        until: Duration,
    ) -> Result<(), Rejection> {
        self.read(operation, request)?;
        let is_kept = operation == Operation::Create || self.broker.rules(operation).is_some();
        match is_kept {
            true => self.start_over(until).await,
            false => Ok(()),
        }
    }

    /// Begins what a request asks for; its caller waits until then.
    pub(super) fn prepare(
        self: &Arc<Self>,
        operation: Operation,
        mut request: Request<Bytes>,
        times: (Duration, Duration),
    ) -> Result<Prepared, Rejection> {
        let order = self.read(operation, &request)?;
        let rules = match (self.broker.rules(operation), operation) {
            (Some(rules), _) => *rules,
            (None, Operation::Create) => Rules::strictest(),
            (None, Operation::Cancel) => return Ok(Prepared::Cancel(order.target, request)),
            (None, Operation::Replace) => return Ok(Prepared::Pass(request)),
        };
        let invalid = |error: InvalidOrder| self.not_admitted(self.invalid(&error));
        let id = match (&order.id, operation) {
            (Some(id), _) => Arc::clone(id),
            (None, Operation::Create) => {
                let id = self.broker.new_id();
                self.broker.write_id(&mut request, &id).map_err(invalid)?;
                Arc::from(id)
            }
            // Where it has none of its own, the journal needs one all the same.
            (None, _) => {
                let id = self.broker.new_id();
                let _ = self.broker.write_id(&mut request, &id);
                Arc::from(id)
            }
        };
        let template = Template::new(request);
        let kind = (operation, rules);
        let target = self.target_of_cancel(operation, order.target.as_ref());
        if let Some(target) = &target
            && let CancelTurn::Over(step) = target.cancel_by_caller()
        {
            return Ok(Prepared::Over(target.clone(), step));
        }
        let begun = self.begin_order(id, kind, order, &template, times);
        if let Some(target) = target {
            if begun.is_err() {
                target.feed(Event::CancelReply(CancelReply::NotMade));
            }
            target.rest();
        }
        Ok(Prepared::Order(begun?, template))
    }

    /// The order that is cancelled.
    pub(super) fn target_of_cancel(
        self: &Arc<Self>,
        operation: Operation,
        target: Option<&Target>,
    ) -> Option<Order> {
        let target = target.filter(|_| operation == Operation::Cancel)?;
        let (shared, it) = (Arc::clone(self), self.find_target(target)?);
        Some(Order { shared, it })
    }

    /// Admits an order, and hands its intent to the journal.
    fn begin_order(
        self: &Arc<Self>,
        id: Arc<str>,
        (operation, rules): (Operation, Rules),
        request: OrderRequest,
        template: &Template,
        (now, until): (Duration, Duration),
    ) -> Result<Caller, Rejection> {
        let at = SystemTime::now();
        let again = template.is_intended_again();
        let admission = self.admit((now, at), &request, operation, again)?;
        let (target, origin) = self.destination(template);
        let intent = journal::Intent::new(Arc::clone(&id), operation, at)
            .account(Arc::clone(&self.account))
            .run(Arc::clone(&self.run))
            .request(template.saved(target));
        let new = NewOrder {
            id,
            operation,
            rules,
            request,
            origin,
            admission: Some(admission),
            deadline: Some(until),
            since: at,
            begun: Some(now),
        };
        let it = self.add(new, |_| {}).map_err(|new| {
            self.give_back(new.admission);
            self.not_admitted(self.rejection(Reason::InvalidRequest, USED_ID))
        })?;
        let shared = Arc::clone(self);
        let order = Order { shared, it };
        // From here on the order goes on, whatever becomes of its caller.
        let mut caller = Caller {
            order,
            written: None,
            answered: false,
        };
        caller.written = Some(self.journal.append(intent));
        Ok(caller)
    }

    /// Takes back what was counted for an order that goes no further.
    pub(super) fn give_back(&self, admission: Option<Admission>) {
        if let Some(admission) = admission {
            self.control.give_back(admission);
        }
    }

    fn admit(
        &self,
        (now, wall): (Duration, SystemTime),
        request: &OrderRequest,
        operation: Operation,
        intended_again: bool,
    ) -> Result<Admission, Rejection> {
        let day = self.control.wall_day(wall);
        let admitted = self
            .control
            .admit(now, day, request, operation, intended_again);
        admitted.map_err(|rejected| self.not_admitted(rejected.rejection(&self.events)))
    }

    /// Waits until every order of an earlier process is settled or exhausted.
    async fn start_over(self: &Arc<Self>, until: Duration) -> Result<(), Rejection> {
        self.begin();
        let mut started = self.started.subscribe();
        let over = started.wait_for(|start| *start == Start::Over);
        match tokio::time::timeout_at(self.instant(until), over).await {
            Ok(_) => Ok(()),
            Err(_) => Err(self.not_admitted(self.rejection(
                Reason::TradingMode,
                "orders of an earlier process are in doubt",
            ))),
        }
    }

    /// Whether every order of an earlier process is settled or exhausted.
    pub(super) fn is_started(&self) -> bool {
        self.is_started.load(Relaxed)
    }
}
