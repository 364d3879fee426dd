//! Responses that are not the broker's to the request.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};

use super::body::OrderBody;
use super::marks::{Reconciled, ReconciledHow};
use super::order::Order;
use crate::protocol::{CancelStep, OrderState, Via};

/// The header of such a response.
const RECONCILED: &str = "x-seawall-reconciled";

impl Order {
    /// The broker's order as the response of its call.
    pub(super) fn response<R>(&self, via: Via, state: OrderState) -> Response<OrderBody<R>> {
        let found = self.it.found();
        let body = found.map(|found| found.body).unwrap_or_default();
        let body = if body.is_empty() {
            let id = &*self.it.id;
            serde_json::json!({ "client_order_id": id, "status": state.as_str() })
                .to_string()
                .into()
        } else {
            body
        };
        let how = ReconciledHow::Order(via, state);
        self.reconciled(StatusCode::OK, how, via.as_str(), body)
    }

    /// The response of a cancel that was not sent.
    pub(super) fn cancelled<R>(&self, step: CancelStep) -> Response<OrderBody<R>> {
        let (status, word) = match step {
            CancelStep::NotSent => (StatusCode::OK, "not_sent"),
            CancelStep::Over => (StatusCode::OK, "not_open"),
            _ => (StatusCode::ACCEPTED, "unconfirmed"),
        };
        let id = &*self.it.id;
        let body = serde_json::json!({ "client_order_id": id, "status": word }).to_string();
        self.reconciled(status, ReconciledHow::Cancel(step), word, body.into())
    }

    fn reconciled<R>(
        &self,
        status: StatusCode,
        how: ReconciledHow,
        word: &'static str,
        body: Bytes,
    ) -> Response<OrderBody<R>> {
        let mut response = Response::new(OrderBody::read(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(RECONCILED, HeaderValue::from_static(word));
        headers.insert(
            http::header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        response.extensions_mut().insert(Reconciled {
            id: Arc::clone(&self.it.id),
            number: self.it.number(),
            how,
        });
        response
    }
}
