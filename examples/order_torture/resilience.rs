//! tower-resilience's retry over its reconnect, as its documentation composes them.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use tokio::time::timeout;
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt, service_fn};
use tower_resilience::reconnect::{ReconnectConfig, ReconnectLayer, ReconnectPolicy};
use tower_resilience::retry::RetryLayer;

use crate::contender::{Contender, OrderResult};
use crate::http_client::{
    ATTEMPT_TIMEOUT, Body, CallError, Client, cancel_by_hand, is_transient, request_by_hand,
    result_of,
};
use crate::plain::{ATTEMPTS, PAUSE, Urls, url};
use crate::plan::{Class, Order};

/// How long a call may take with all its attempts. Of several calls that wait for one new connection,
/// version 0.13 wakes the last one only, so that without this a run would not end.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// An error of the stack, which its layers wrap.
#[derive(Debug, Clone)]
struct StackError(Arc<CallError>);

impl fmt::Display for StackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for StackError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl AsRef<CallError> for StackError {
    fn as_ref(&self) -> &CallError {
        &self.0
    }
}

type Stack = BoxCloneSyncService<Request<Body>, Response<Body>, StackError>;

/// Retries what fails, and connects again where the connection broke. What was asked for before a
/// crash is sent again.
pub(crate) struct TowerResilience {
    stacks: BTreeMap<Class, Stack>,
    client: Client,
    urls: Urls,
}

impl TowerResilience {
    pub(crate) fn new(urls: Urls) -> Self {
        let stacks = urls.keys().map(|class| (*class, stack()));
        Self {
            stacks: stacks.collect(),
            client: Client::new(ATTEMPT_TIMEOUT),
            urls,
        }
    }
}

fn stack() -> Stack {
    let connect = service_fn(|()| async {
        let client = Client::new(ATTEMPT_TIMEOUT);
        let client = client.map_err(|error| StackError(Arc::new(error)));
        Ok::<_, StackError>(client)
    });
    let attempts = u32::try_from(ATTEMPTS).unwrap_or(u32::MAX);
    let reconnect = ReconnectConfig::builder()
        .policy(ReconnectPolicy::fixed(PAUSE))
        .max_attempts(attempts)
        // By the text, as in its documentation: the type of the error cannot be had here.
        .reconnect_predicate(|error| error.to_string().contains("connection"))
        .build();
    let reconnecting = ReconnectLayer::new(reconnect).layer(connect);
    // The error of an attempt, without what the layer adds to it.
    let reconnecting = reconnecting.map_err(|error| {
        let mut cause: &(dyn Error + 'static) = &error;
        loop {
            if let Some(error) = cause.downcast_ref::<StackError>() {
                return error.clone();
            }
            match cause.source() {
                Some(next) => cause = next,
                None => {
                    let error = CallError::Broken(error.to_string().into());
                    return StackError(Arc::new(error));
                }
            }
        }
    });
    let retry = RetryLayer::<Request<Body>, Response<Body>, StackError>::builder()
        .max_attempts(ATTEMPTS)
        .fixed_backoff(PAUSE)
        .retry_on_response(|response: &Response<Body>| is_transient(response.status()))
        .build();
    BoxCloneSyncService::new(retry.layer(reconnecting))
}

impl Contender for TowerResilience {
    async fn place(&self, order: &Order) -> OrderResult {
        let Some(stack) = self.stacks.get(&order.class) else {
            return OrderResult::NotExecuted;
        };
        let url = url(&self.urls, order);
        let Some(request) = request_by_hand(&self.client, &url, order).await else {
            return OrderResult::NotExecuted;
        };
        let result = timeout(CALL_TIMEOUT, stack.clone().oneshot(request)).await;
        result.map_or(OrderResult::InDoubt, |result| result_of(&result))
    }

    async fn recover(&self, order: &Order) -> OrderResult {
        self.place(order).await
    }

    async fn settle(&self, _: &Order) -> OrderResult {
        OrderResult::InDoubt
    }

    async fn cancel(&self, order: &Order) {
        cancel_by_hand(&self.client, &url(&self.urls, order), order).await;
    }
}
