//! What most teams write: one attempt, or three at anything that fails.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{Request, Response};
use tokio::time::{Sleep, sleep};
use tower::retry::{Policy, Retry};
use tower::{Service, ServiceExt};

use crate::contender::{Contender, OrderResult};
use crate::http_client::{
    ATTEMPT_TIMEOUT, Body, CallError, Client, cancel_by_hand, is_transient, request_by_hand,
    result_of,
};
use crate::plan::{Class, Order};

pub(crate) const ATTEMPTS: usize = 3;
pub(crate) const PAUSE: Duration = Duration::from_millis(10);

/// Addresses by class.
pub(crate) type Urls = BTreeMap<Class, String>;

pub(crate) fn url(urls: &Urls, order: &Order) -> String {
    urls.get(&order.class).cloned().unwrap_or_default()
}

/// One attempt. What was asked for before a crash is never sent again, since it may have been sent.
#[derive(Debug)]
pub(crate) struct NoRetry {
    client: Client,
    urls: Urls,
}

impl NoRetry {
    pub(crate) fn new(urls: Urls) -> Self {
        let client = Client::new(ATTEMPT_TIMEOUT);
        Self { client, urls }
    }
}

impl Contender for NoRetry {
    async fn place(&self, order: &Order) -> OrderResult {
        let url = url(&self.urls, order);
        match request_by_hand(&self.client, &url, order).await {
            Some(request) => result_of(&self.client.clone().call(request).await),
            None => OrderResult::NotExecuted,
        }
    }

    async fn recover(&self, _: &Order) -> OrderResult {
        OrderResult::InDoubt
    }

    async fn settle(&self, _: &Order) -> OrderResult {
        OrderResult::InDoubt
    }

    async fn cancel(&self, order: &Order) {
        cancel_by_hand(&self.client, &url(&self.urls, order), order).await;
    }
}

/// Three attempts at any error, tower's retry. What was asked for before a crash is sent again.
#[derive(Debug)]
pub(crate) struct PlainRetry {
    retry: Retry<Attempts, Client>,
    urls: Urls,
}

impl PlainRetry {
    pub(crate) fn new(urls: Urls) -> Self {
        let retry = Retry::new(Attempts(ATTEMPTS), Client::new(ATTEMPT_TIMEOUT));
        Self { retry, urls }
    }
}

impl Contender for PlainRetry {
    async fn place(&self, order: &Order) -> OrderResult {
        let url = url(&self.urls, order);
        match request_by_hand(self.retry.get_ref(), &url, order).await {
            Some(request) => result_of(&self.retry.clone().oneshot(request).await),
            None => OrderResult::NotExecuted,
        }
    }

    async fn recover(&self, order: &Order) -> OrderResult {
        self.place(order).await
    }

    async fn settle(&self, _: &Order) -> OrderResult {
        OrderResult::InDoubt
    }

    async fn cancel(&self, order: &Order) {
        let client = self.retry.get_ref();
        cancel_by_hand(client, &url(&self.urls, order), order).await;
    }
}

/// The attempts that are left.
#[derive(Debug, Clone)]
pub(crate) struct Attempts(usize);

impl Policy<Request<Body>, Response<Body>, CallError> for Attempts {
    type Future = Sleep;

    fn retry(
        &mut self,
        _: &mut Request<Body>,
        result: &mut Result<Response<Body>, CallError>,
    ) -> Option<Sleep> {
        let failed = match result {
            Ok(response) => is_transient(response.status()),
            Err(_) => true,
        };
        self.0 = self.0.saturating_sub(1);
        (failed && self.0 > 0).then(|| sleep(PAUSE))
    }

    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        Some(request.clone())
    }
}
