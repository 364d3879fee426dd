//! What decides about the calls of a service: the shared state, the policy, the hooks.

use std::sync::{Arc, Mutex, PoisonError};

use seawall_core::striped::{Anchor, Local};
use seawall_core::{Classify, CopyRequest, Describe, KeepResponse, Policies};

use crate::counts::RetryStripe;
use crate::state::Core;

/// What decides: the same for all services of a layer value.
#[derive(Clone)]
pub(crate) struct Rules<X, H> {
    pub(crate) core: Core,
    pub(crate) policy: X,
    pub(crate) hooks: H,
}

/// A policy for the requests and the results of a service: short for its bounds.
pub(crate) trait PolicyFor<Req, Res, Err>:
    Policies<
        Classifier: Classify<Res, Err>,
        Describer: Describe<Req>,
        Copier: CopyRequest<Req>,
        Keeper: KeepResponse<Res>,
    >
{
}

impl<X, Req, Res, Err> PolicyFor<Req, Res, Err> for X where
    X: Policies<
            Classifier: Classify<Res, Err>,
            Describer: Describe<Req>,
            Copier: CopyRequest<Req>,
            Keeper: KeepResponse<Res>,
        >
{
}

/// What the services of one `layer()` share; the futures hold a reference to it.
pub(crate) struct Common<S, X, H> {
    pub(crate) rules: Rules<X, H>,
    /// Never called itself: later attempts call clones of it. One template here saves every call
    /// a clone that it will most likely not need.
    template: Mutex<S>,
}

impl<S, X, H> Common<S, X, H> {
    pub(crate) const fn new(rules: Rules<X, H>, template: S) -> Self {
        Self {
            rules,
            template: Mutex::new(template),
        }
    }
}

impl<S: Clone, X, H> Common<S, X, H> {
    /// A service for another attempt.
    pub(crate) fn service(&self) -> S {
        let template = self.template.lock();
        template.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

// A stripe is the layer's counters of that stripe, so that all its services count together.
pub(crate) type CommonAnchor<S, X, H> = Anchor<Common<S, X, H>, Arc<RetryStripe>>;
pub(crate) type CommonLocal<S, X, H> = Local<Common<S, X, H>, Arc<RetryStripe>>;
