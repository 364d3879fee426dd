//! Hooks of a protocol of one's own, and stale responses.

use super::*;
use seawall_chaos::{Alteration, FaultHooks, FaultSet, Keeper, MakeFault, StatusResponse};

/// Responses by request; 0 is a secret that is never kept.
#[derive(Clone)]
struct Numbers;

impl FaultHooks for Numbers {
    type Kept = u32;

    fn makes(&self, _: FaultKind) -> bool {
        true
    }
}

impl MakeFault<u32, u32, BoxError> for Numbers {
    type Response = u32;

    fn pass(&self, response: u32) -> u32 {
        response
    }

    fn error(&self, injected: InjectedError) -> BoxError {
        injected.into()
    }

    fn respond(&self, _: &u32, status: &StatusResponse) -> Option<u32> {
        Some(u32::from(status.status()))
    }

    fn identity(&self, request: &u32) -> Option<Vec<u8>> {
        (*request != 0).then(|| request.to_le_bytes().to_vec())
    }

    fn keep(&self, response: u32, keeper: Keeper<u32>) -> u32 {
        keeper.keep(response);
        response
    }

    fn replay(&self, kept: &u32) -> Option<u32> {
        Some(*kept)
    }

    fn alter(&self, response: u32, alterations: Vec<Alteration>) -> u32 {
        let mut response = response;
        for mut alteration in alterations {
            if !alteration.is_over() && response != 0 {
                response += 1_000;
                alteration.happened();
            }
        }
        response
    }
}

/// The n-th call responds with n.
fn counting(
    max_kept: u32,
) -> (
    impl Service<u32, Response = u32, Error = BoxError>,
    ChaosHandle,
) {
    let config = ChaosConfig::builder().max_kept(max_kept).build().unwrap();
    let layer = ChaosLayer::new("numbers", config)
        .assume_idempotent()
        .faults(Numbers);
    let calls = Arc::new(AtomicU32::new(0));
    let service = layer.layer(service_fn(move |_: u32| {
        let nth = calls.fetch_add(1, Ordering::Relaxed);
        async move { Ok::<_, BoxError>(nth) }
    }));
    (service, layer.handle())
}

async fn ask(
    service: &mut impl Service<u32, Response = u32, Error = BoxError>,
    request: u32,
) -> u32 {
    service.ready().await.unwrap().call(request).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_first_response_to_a_request_is_repeated_and_no_other() {
    let (mut service, handle) = counting(10);
    let injection = handle.start(Fault::stale_response()).unwrap();
    assert_eq!(ask(&mut service, 5).await, 0);
    assert_eq!(
        ask(&mut service, 6).await,
        1,
        "not the response to another request"
    );
    assert_eq!(ask(&mut service, 5).await, 0);
    assert_eq!(ask(&mut service, 6).await, 1);
    assert_eq!(ask(&mut service, 0).await, 2, "one that has no identity");
    assert_eq!(ask(&mut service, 0).await, 3);
    let counts = injection.stop();
    assert_eq!((counts.stale_response, counts.without_effect), (2, 4));
    assert_eq!(ask(&mut service, 5).await, 4);
    let _again = handle.start(Fault::stale_response()).unwrap();
    assert_eq!(
        ask(&mut service, 5).await,
        5,
        "what an earlier fault kept is forgotten"
    );
    assert_eq!(ask(&mut service, 5).await, 5);
}

#[tokio::test(start_paused = true)]
async fn no_more_is_kept_than_may_be() {
    let (mut service, handle) = counting(2);
    let _on = handle.start(Fault::stale_response()).unwrap();
    for (request, expected) in [(1, 0), (2, 1), (3, 2), (1, 0), (2, 1), (3, 3), (3, 4)] {
        assert_eq!(ask(&mut service, request).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn two_starts_keep_their_own_responses() {
    let (mut service, handle) = counting(10);
    let first = handle.start(Fault::stale_response()).unwrap();
    assert_eq!(ask(&mut service, 5).await, 0);
    let second = handle.start(Fault::stale_response()).unwrap();
    assert_eq!(ask(&mut service, 5).await, 0, "the older one goes first");
    first.stop();
    assert_eq!(ask(&mut service, 5).await, 1);
    assert_eq!(ask(&mut service, 5).await, 1);
    assert_eq!(second.stop().stale_response, 1);
}

#[tokio::test(start_paused = true)]
async fn a_change_counts_only_where_it_was_made() {
    let (mut service, handle) = counting(10);
    let injection = handle.start(Fault::corrupted_body()).unwrap();
    assert_eq!(ask(&mut service, 5).await, 0);
    assert_eq!(ask(&mut service, 5).await, 1_001);
    let counts = injection.stop();
    assert_eq!((counts.corrupted_body, counts.without_effect), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_first_fault_of_a_list_stands_in_place_of_a_call() {
    let (mut service, handle) = counting(10);
    let status = |status| Fault::status(StatusResponse::new(status).unwrap());
    let set = FaultSet::new([constant(20 * MS), status(429), status(503), Fault::hang()]).unwrap();
    let injection = handle.start(set.lasts(100 * MS).unwrap()).unwrap();
    let before = Instant::now();
    assert_eq!(ask(&mut service, 5).await, 429);
    assert_eq!(
        Instant::now() - before,
        100 * MS,
        "waits come before a response of any sort"
    );
    let counts = injection.stop();
    assert_eq!((counts.status, counts.delay, counts.hang), (1, 1, 1));
    assert_eq!(counts.without_effect, 1, "the second status");
    assert_eq!(ask(&mut service, 5).await, 0, "the call was not made");
}

/// Responses that show whether they are kept, and are kept when the test says so.
#[derive(Clone, Default)]
struct Shared(Arc<std::sync::Mutex<Vec<Unread>>>);

/// A response, and what keeps it when it is read.
type Unread = (Arc<()>, Keeper<Arc<()>>);

impl FaultHooks for Shared {
    type Kept = Arc<()>;

    fn makes(&self, kind: FaultKind) -> bool {
        kind == FaultKind::StaleResponse
    }
}

impl MakeFault<u32, Arc<()>, BoxError> for Shared {
    type Response = Arc<()>;

    fn pass(&self, response: Arc<()>) -> Arc<()> {
        response
    }

    fn error(&self, injected: InjectedError) -> BoxError {
        injected.into()
    }

    fn identity(&self, request: &u32) -> Option<Vec<u8>> {
        Some(request.to_le_bytes().to_vec())
    }

    fn keep(&self, response: Arc<()>, keeper: Keeper<Arc<()>>) -> Arc<()> {
        let mut late = self.0.lock().unwrap();
        late.push((Arc::clone(&response), keeper));
        response
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_is_dropped_with_its_fault_and_nothing_is_kept_after_it() {
    let config = ChaosConfig::default();
    let hooks = Shared::default();
    let layer = ChaosLayer::new("memory", config)
        .assume_idempotent()
        .faults(hooks.clone());
    let data = Arc::new(());
    let response = Arc::clone(&data);
    let service = layer.layer(service_fn(move |_: u32| {
        let response = Arc::clone(&response);
        async move { Ok::<_, BoxError>(response) }
    }));
    let injection = layer.handle().start(Fault::stale_response()).unwrap();
    for request in [1, 2] {
        drop(service.clone().oneshot(request).await.unwrap());
    }
    let mut bodies = std::mem::take(&mut *hooks.0.lock().unwrap());
    assert_eq!(Arc::strong_count(&data), 4);
    // The first one is read to its end in time, the second one too late.
    let (body, keeper) = bodies.remove(0);
    keeper.keep(body);
    assert_eq!(Arc::strong_count(&data), 4);
    injection.stop();
    assert_eq!(Arc::strong_count(&data), 3, "what was kept is gone");
    let (body, keeper) = bodies.remove(0);
    keeper.keep(body);
    assert_eq!(Arc::strong_count(&data), 2);
}
