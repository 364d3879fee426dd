//! The table of routes alone, which describes each request of an HTTP stack.

use http::Method;
use seawall::http_client::Routes;
use seawall_core::RequestMeta;

use super::Subject;

pub(super) fn subjects() -> Vec<Subject> {
    vec![Subject::function("seawall/routes/look-up-200", look_up)]
}

/// Looks 200 routes up, in no order.
fn look_up() -> impl FnMut(u64) -> bool + Clone + Send {
    let meta = RequestMeta::idempotent();
    let table = (0..50).try_fold(Routes::new(), |table, i| {
        table
            .route(Method::GET, &format!("/v2/resource-{i}"), meta)?
            .route(Method::POST, &format!("/v2/resource-{i}"), meta)?
            .any(&format!("/v2/resource-{i}/{{id}}"), meta)?
            .any(&format!("/v2/resource-{i}/{{id}}/items/**"), meta)
    });
    let table = table.expect("valid patterns");
    let calls: Vec<(Method, String)> = (0..50)
        .flat_map(|i| {
            [
                (Method::GET, format!("/v2/resource-{i}")),
                (Method::POST, format!("/v2/resource-{i}")),
                (Method::DELETE, format!("/v2/resource-{i}/61e69015")),
                (Method::PATCH, format!("/v2/resource-{i}/61e69015/items/7")),
            ]
        })
        .collect();
    move |i| {
        let (method, path) = &calls[i.wrapping_mul(7_919) as usize % calls.len()];
        table.look_up(method, path).replay.is_safe()
    }
}
