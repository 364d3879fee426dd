//! The limiter of a call: that of its layer, or that of its key within the account.

use std::sync::{Arc, Weak};

use seawall_core::{Clock, Rejection, RequestMeta, Unit};

use crate::costs::Costs;
use crate::counts::{Counters, reject, shadow};
use crate::denial::Denial;
use crate::limiter::{AccountRequest, Admission, Limiter, Taken, TokenRequest};
use crate::state::{LocalState, State};

/// The limiter of a call: that of its layer, or that of its key within the account.
#[derive(Clone)]
pub(crate) struct LimiterRef {
    state: LocalState,
    key: Option<Arc<Limiter>>,
}

impl LimiterRef {
    pub(crate) const fn new(state: LocalState, key: Option<Arc<Limiter>>) -> Self {
        Self { state, key }
    }

    pub(crate) fn limiter(&self) -> &Limiter {
        self.key.as_deref().unwrap_or(&self.state.common().limiter)
    }

    // Always: without a key it is known there and then that nothing of an account is to be computed.
    #[inline(always)]
    pub(crate) fn account(&self) -> Option<&Limiter> {
        self.key.as_ref()?;
        self.state.common().account()
    }

    /// The same, without keeping the limiter of a key.
    pub(crate) fn weak(&self) -> (LocalState, Option<Weak<Limiter>>) {
        (self.state.clone(), self.key.as_ref().map(Arc::downgrade))
    }

    pub(crate) fn state(&self) -> &State {
        self.state.common()
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.state().clock
    }

    pub(crate) fn counters(&self) -> &Counters {
        self.state.stripe()
    }

    pub(crate) fn now(&self) -> u64 {
        let now = self.clock().now();
        self.state().watch(now, self.counters());
        now
    }

    pub(crate) fn reject(&self, denial: Denial) -> Rejection {
        reject(&self.state().events, self.counters(), denial)
    }

    /// Asks the limiters for a call that does not take the fast path, and counts the result. What is
    /// not taken of a call that passes in shadow mode is left out of the requests.
    pub(crate) fn decide(&self, now_ns: u64, requests: &mut TokenRequests) -> Decision {
        self.state().watch(now_ns, self.counters());
        let admission = if requests.are_free() {
            Admission::Granted
        } else {
            let account = requests.of_account(self);
            self.limiter().admit(now_ns, &requests.own, account)
        };
        match admission {
            Admission::Denied(denial) => {
                Decision::Reject(self.reject(self.last_to_grant(now_ns, requests, denial)))
            }
            Admission::Shadowed(denial, taken) => {
                requests.keep(taken);
                shadow(&self.state().events, self.counters(), denial);
                Decision::Depart
            }
            Admission::Wait => Decision::Wait(*requests),
            Admission::Granted => {
                self.counters().granted.add();
                Decision::Depart
            }
        }
    }

    /// A rejection by a key or by its account names the time at which both grant.
    fn last_to_grant(&self, now_ns: u64, requests: &TokenRequests, denial: Denial) -> Denial {
        if requests.account.is_none() || denial.wait_ns == u64::MAX {
            return denial;
        }
        let both = self.denial_of(now_ns, requests);
        if both.wait_ns > denial.wait_ns {
            both
        } else {
            denial
        }
    }

    /// Why a waiter did not get its tokens, and when both limiters let a call like it pass.
    pub(crate) fn denial_of(&self, now_ns: u64, requests: &TokenRequests) -> Denial {
        let own = self.limiter().denial_of(now_ns, &requests.own);
        let account = self.account().zip(requests.account.as_ref());
        let account = account.map(|(limiter, request)| limiter.denial_of(now_ns, request));
        let last = match account {
            Some(account) if account.wait_ns > own.wait_ns => account,
            _ => own,
        };
        last.not_at_once()
    }

    /// In how many nanoseconds a call would depart; `u64::MAX` when that is unknown or never.
    pub(crate) fn time_to(&self, now_ns: u64, requests: &TokenRequests) -> u64 {
        let own = self.limiter().time_to(now_ns, &requests.own);
        let account = self.account().zip(requests.account.as_ref());
        let account = account.map(|(limiter, request)| limiter.time_to(now_ns, request));
        own.max(account.unwrap_or(0))
    }
}

/// What a call does that does not take the fast path.
#[derive(Clone, Copy)]
pub(crate) enum Decision {
    Depart,
    Wait(TokenRequests),
    Reject(Rejection),
}

/// What a call asks of its own limiter, and of that of the account.
#[derive(Clone, Copy)]
pub(crate) struct TokenRequests {
    pub(crate) own: TokenRequest,
    pub(crate) account: Option<TokenRequest>,
}

impl TokenRequests {
    /// The requests of a call of which `cost` is the cost per unit.
    pub(crate) fn new(
        limiter: &LimiterRef,
        meta: &RequestMeta,
        mut cost: impl FnMut(Unit) -> u32,
    ) -> Self {
        let deadline_ns = meta.deadline.map_or(u64::MAX, |at| limiter.clock().at(at));
        let max_wait_ns = limiter.limiter().max_wait_ns();
        let mut request = |limiter: &Limiter| TokenRequest {
            costs: Costs::of(limiter.units().iter().copied(), &mut cost),
            priority: meta.priority,
            deadline_ns,
            max_wait_ns,
        };
        Self {
            own: request(limiter.limiter()),
            account: limiter.account().map(request),
        }
    }

    /// Leaves out what is not taken.
    fn keep(&mut self, taken: Taken) {
        if !taken.own {
            self.own.costs = Costs::default();
        }
        if let Some(account) = self.account.as_mut().filter(|_| !taken.account) {
            account.costs = Costs::default();
        }
    }

    fn are_free(&self) -> bool {
        self.own.costs.is_free() && self.account.is_none_or(|request| request.costs.is_free())
    }

    /// The request to the account, unless it is free.
    pub(crate) fn of_account<'a>(&'a self, limiter: &'a LimiterRef) -> Option<AccountRequest<'a>> {
        let request = self.account.as_ref()?;
        (!request.costs.is_free()).then_some(AccountRequest {
            limiter: limiter.account()?,
            request,
        })
    }
}
