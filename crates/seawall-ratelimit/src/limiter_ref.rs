//! The limiter of a call: that of its layer, or that of its key within the account.

use std::sync::{Arc, Weak};

use seawall_core::{Clock, Rejection, RequestMeta, Unit};

use crate::costs::Costs;
use crate::counts::{Counters, reject, shadow};
use crate::denial::Denial;
use crate::keyed::keys::Keys;
use crate::limiter::{AccountRequest, Admission, Limiter, TokenRequest};
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
        self.clock().now()
    }

    pub(crate) fn reject(&self, denial: Denial) -> Rejection {
        reject(&self.state().events, self.counters(), denial)
    }

    /// Asks the limiters for a call that does not take the fast path, and counts the result.
    pub(crate) fn decide(&self, now_ns: u64, requests: TokenRequests) -> Decision {
        let keys = self.state().keys.as_ref();
        let paused = keys.and_then(|keys| Some((keys, keys.paused_for(now_ns)?)));
        let bypass = match paused {
            Some((keys, wait_ns)) if !keys.is_bypass() && !requests.are_free() => {
                return self.decide_paused(keys, now_ns, wait_ns);
            }
            Some((keys, _)) => keys.is_bypass(),
            None => false,
        };
        let admission = if requests.are_free() {
            Admission::Granted
        } else {
            let account = requests.of_account(self);
            self.limiter().admit(now_ns, &requests.own, account)
        };
        match admission {
            Admission::Denied(denial) if !bypass || denial.commanded => {
                Decision::Reject(self.reject(denial))
            }
            Admission::Denied(denial) | Admission::Shadowed(denial) => {
                shadow(&self.state().events, self.counters(), denial);
                Decision::Depart
            }
            Admission::Wait if !bypass => Decision::Wait(requests),
            Admission::Wait | Admission::Granted => {
                self.counters().granted.add();
                Decision::Depart
            }
        }
    }

    /// All keys are paused. Shadow mode covers what the upstream asks for, and no command.
    fn decide_paused(&self, keys: &Keys, now_ns: u64, wait_ns: u64) -> Decision {
        let limiter = self.limiter();
        let paused = Denial::paused(wait_ns);
        let denial = if keys.is_commanded(now_ns) || !limiter.is_shadow() {
            Some(paused)
        } else {
            let of_account = || self.account().and_then(|account| account.command(now_ns));
            limiter.command(now_ns).or_else(of_account)
        };
        if let Some(denial) = denial {
            return Decision::Reject(self.reject(denial));
        }
        shadow(&self.state().events, self.counters(), paused);
        Decision::Depart
    }

    /// Why a waiter did not get its tokens, and when both limiters let a call like it pass.
    pub(crate) fn denial_of(&self, now_ns: u64, requests: &TokenRequests) -> Denial {
        let own = self.limiter().denial_of(now_ns, &requests.own);
        let decides =
            |account: &&Limiter| !account.is_shadow() || account.command(now_ns).is_some();
        let account = self.account().filter(decides);
        let (Some(limiter), Some(request)) = (account, &requests.account) else {
            return own;
        };
        let account = limiter.denial_of(now_ns, request);
        if account.wait_ns > own.wait_ns {
            account
        } else {
            own
        }
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
