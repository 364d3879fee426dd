//! Notes what passes a client: when a request leaves, and what its call ends with.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body_util::BodyExt;
use tower::Service;

use crate::http_client::{Body, CallError, Client};
use crate::trace::{LISTS, Trace};

/// A client whose requests are noted.
#[derive(Clone)]
pub(crate) struct Traced {
    client: Client,
    trace: Arc<Trace>,
}

/// A call that runs, noted when it ends, also where its future is dropped.
struct Call {
    trace: Arc<Trace>,
    id: String,
    request: String,
    end: String,
}

impl Drop for Call {
    fn drop(&mut self) {
        let Self { id, request, .. } = self;
        self.trace.note(id, format_args!("{request}: {}", self.end));
    }
}

impl Traced {
    pub(crate) fn new(client: Client, trace: Arc<Trace>) -> Self {
        Self { client, trace }
    }
}

impl Service<Request<Body>> for Traced {
    type Response = Response<Body>;
    type Error = CallError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, CallError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        self.client.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (trace, mut client) = (Arc::clone(&self.trace), self.client.clone());
        Box::pin(async move {
            let (head, body) = request.into_parts();
            // A body in memory cannot fail.
            let Ok(body) = body.collect().await;
            let body = body.to_bytes();
            let path = head.uri.path_and_query();
            let path = path.map_or("", |path| path.as_str());
            let Some(id) = id_of(path, &body) else {
                return client
                    .call(Request::from_parts(head, Body::new(body)))
                    .await;
            };
            let mut call = Call {
                trace,
                id,
                request: format!("{} {path}", head.method),
                end: "the call is dropped".to_owned(),
            };
            call.trace
                .note(&call.id, format_args!("{}: leaves", call.request));
            let result = client
                .call(Request::from_parts(head, Body::new(body)))
                .await;
            call.end = match &result {
                Ok(response) => response.status().to_string(),
                Err(error) => error.to_string(),
            };
            result
        })
    }
}

/// The client order id that a request has in its body or in its query; `None` for a cancel, which
/// has the broker's.
fn id_of(path: &str, body: &[u8]) -> Option<String> {
    let in_body: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let in_body = in_body.and_then(|body| body["client_order_id"].as_str().map(str::to_owned));
    let in_query = path.split_once("client_order_id=");
    let in_query = in_query.map(|(_, id)| id.to_owned());
    let list = path.contains('?').then(|| LISTS.to_owned());
    in_body.or(in_query).or(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_request_is_found() {
        let id = |path: &str, body: &str| id_of(path, body.as_bytes());
        let found = id("/v2/orders", r#"{"client_order_id":"o-1"}"#);
        assert_eq!(found.as_deref(), Some("o-1"));
        let found = id("/v2/orders:by?client_order_id=o-2", "");
        assert_eq!(found.as_deref(), Some("o-2"));
        assert_eq!(id("/v2/orders?status=open", "").as_deref(), Some(LISTS));
        assert_eq!(id("/v2/orders/7", ""), None);
    }
}
