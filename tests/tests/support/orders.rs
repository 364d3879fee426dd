//! A stack named "orders", and how its circuit is opened.

use seawall::{ClientStack, ConstMeta, ErrorIsFailure, Policy, Registry, RequestMeta};
use seawall_testkit::contract::{MockError, MockHandle, mock};
use tower::{Layer, Service};

type Orders = ClientStack<Policy<ErrorIsFailure, ConstMeta>>;
pub(crate) type Subject = <Orders as Layer<seawall_testkit::contract::Mock>>::Service;

pub(crate) fn stack(registry: &Registry) -> (Subject, MockHandle) {
    let stack = seawall::broker("orders")
        .build_generic(Policy::new().describe(ConstMeta(RequestMeta::non_idempotent())))
        .expect("valid");
    stack.register(registry).expect("a name of its own");
    let (inner, mock) = mock();
    mock.respond_immediately();
    (stack.layer(inner), mock)
}

pub(crate) async fn send(service: &mut Subject) -> bool {
    let ready = std::future::poll_fn(|cx| service.poll_ready(cx)).await;
    ready.is_ok() && service.call(1).await.is_ok()
}

pub(crate) async fn trip(service: &mut Subject, mock: &MockHandle) {
    mock.script((0..5).map(|_| Err(MockError::Failed(1))));
    for _ in 0..5 {
        assert!(!send(service).await);
    }
}
