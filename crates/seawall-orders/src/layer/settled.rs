//! What is kept of an order that is settled.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use super::tracked::{CancelBy, NewOrder, Origin, Place, Standing, Tracked, Written};
use crate::broker::{FoundOrder, OrderRequest};
use crate::protocol::{Lifecycle, Operation, Rules};

/// An order that is settled, and that nobody uses: what a report that comes later needs.
pub(super) struct Settled {
    id: Arc<str>,
    number: Option<u64>,
    operation: Operation,
    request: OrderRequest,
    origin: Arc<Origin>,
    since: SystemTime,
    life: Lifecycle,
    attempts: u32,
    is_written: bool,
    is_doubted: bool,
    confirmed_at: Option<Duration>,
    found: Option<FoundOrder>,
}

/// An order as it is looked at from outside.
pub(super) struct View<'a> {
    pub(super) id: &'a Arc<str>,
    pub(super) number: Option<u64>,
    pub(super) operation: Operation,
    pub(super) request: &'a OrderRequest,
    pub(super) since: SystemTime,
    pub(super) life: &'a Lifecycle,
    /// When it was confirmed by this process.
    pub(super) confirmed_at: Option<Duration>,
    /// The broker's own view of it, the last one.
    pub(super) found: Option<&'a FoundOrder>,
}

impl Settled {
    pub(super) const fn id(&self) -> &Arc<str> {
        &self.id
    }

    pub(super) const fn number(&self) -> Option<u64> {
        self.number
    }

    pub(super) const fn operation(&self) -> Operation {
        self.operation
    }

    pub(super) const fn view(&self) -> View<'_> {
        View {
            id: &self.id,
            number: self.number,
            operation: self.operation,
            request: &self.request,
            since: self.since,
            life: &self.life,
            confirmed_at: self.confirmed_at,
            found: self.found.as_ref(),
        }
    }

    /// Makes `it` the order as it was.
    pub(super) fn go_on(self, it: &mut Tracked, place: Place, rules: Rules) {
        let new = NewOrder {
            id: self.id,
            operation: self.operation,
            rules,
            request: self.request,
            origin: self.origin,
            admission: None,
            deadline: None,
            since: self.since,
            begun: None,
        };
        it.begin(place, new);
        it.doubted = AtomicBool::new(self.is_doubted);
        if let Some(number) = self.number {
            it.set_number(number);
        }
        let state = it.state_mut();
        state.life = self.life;
        state.attempts = self.attempts;
        state.written = match self.is_written {
            true => Written::Yes,
            false => Written::No,
        };
        state.kept = true;
        state.confirmed_at = self.confirmed_at;
        state.found = self.found;
    }
}

impl Tracked {
    /// Takes what is kept of a settled order out of the value of it; `None` while something is under way.
    pub(super) fn settle_down(&mut self) -> Option<Settled> {
        let number = self.number();
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let is_written = match state.written {
            Written::Unknown => return None,
            Written::Yes => true,
            Written::No => false,
        };
        let rests = state.life.settlement().is_some()
            && state.life.wake(&self.rules).is_none()
            && state.counted == Standing::default()
            && state.lost == 0
            && !state.has_task
            && state.cancel_by == CancelBy::Layer
            && state.admission.is_none()
            && state.actions.is_empty();
        rests.then(|| Settled {
            id: Arc::clone(&self.id),
            number,
            operation: self.operation,
            request: std::mem::take(&mut self.request),
            origin: Arc::clone(&self.origin),
            since: self.since,
            life: state.life.clone(),
            attempts: state.attempts,
            is_written,
            is_doubted: self.doubted.load(Relaxed),
            confirmed_at: state.confirmed_at,
            found: state.found.take(),
        })
    }

    /// Shows the order as it is now.
    pub(super) fn view<T>(&self, look: impl FnOnce(View<'_>) -> T) -> T {
        let state = self.lock();
        look(View {
            id: &self.id,
            number: self.number(),
            operation: self.operation,
            request: &self.request,
            since: self.since,
            life: &state.life,
            confirmed_at: state.confirmed_at,
            found: state.found.as_ref(),
        })
    }
}
