//! What each fault does to a call.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_delay_holds_the_response_back_and_the_request_is_sent_at_once() {
    let (mut service, mock, handle) = subject();
    let injection = handle.start(constant(300 * MS)).unwrap();
    service.ready().await.unwrap();
    let mut future = Box::pin(service.call(3));
    assert!(poll_once(&mut future).is_pending());
    assert_eq!(mock.requests(), [3]);
    let before = Instant::now();
    assert_eq!(future.await.unwrap(), 3);
    assert_eq!(Instant::now() - before, 300 * MS);
    assert_eq!(injection.counts().delay, 1);
    assert_eq!(injection.counts().injected(), 1);
}

#[tokio::test(start_paused = true)]
async fn delays_of_one_set_follow_each_other() {
    let (mut service, _, handle) = subject();
    let set = seawall_chaos::FaultSet::new([constant(100 * MS), constant(50 * MS)]).unwrap();
    let _on = handle.start(set).unwrap();
    assert_eq!(call(&mut service).await.1, 150 * MS);
    assert_eq!(handle.counts().delay, 2);
}

#[tokio::test(start_paused = true)]
async fn errors_before_sending_send_nothing_and_say_so() {
    let faults = [Fault::refused_connection(), Fault::error_before_sending()];
    for fault in faults {
        let (mut service, mock, handle) = subject();
        let kind = fault.kind();
        let injection = handle.start(fault).unwrap();
        assert_eq!(injected(call(&mut service).await.0), (kind, Sent::No));
        assert!(mock.requests().is_empty());
        assert_eq!(injection.stop().of(kind), 1);
        assert_eq!(call(&mut service).await.0.unwrap(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_response_was_sent_and_its_fate_is_unknown() {
    let (mut service, mock, handle) = subject();
    let injection = handle.start(Fault::lost_response()).unwrap();
    let result = call(&mut service).await.0;
    assert_eq!(injected(result), (FaultKind::LostResponse, Sent::Maybe));
    assert_eq!(mock.requests(), [3]);
    assert_eq!(injection.counts().lost_response, 1);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_client_stays_what_it_is_and_nothing_counts_as_injected() {
    let (mut service, mock, handle) = subject();
    let set = [Fault::lost_response(), Fault::duplicated_request()];
    let _on = handle
        .start(seawall_chaos::FaultSet::new(set).unwrap())
        .unwrap();
    mock.script([Err(seawall_testkit::contract::MockError::Failed(9))]);
    let error = call(&mut service).await.0.unwrap_err();
    assert!(error.downcast_ref::<InjectedError>().is_none());
    assert_eq!(mock.requests(), [3], "an error is not sent again");
    let counts = handle.counts();
    assert_eq!((counts.injected(), counts.without_effect), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_duplicated_request_is_sent_twice_and_the_second_response_counts() {
    let sent = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&sent);
    let layer = reads();
    let _on = layer.handle().start(Fault::duplicated_request()).unwrap();
    let mut service = layer.layer(service_fn(move |request: u32| {
        let nth = count.fetch_add(1, Ordering::Relaxed);
        async move { Ok::<_, BoxError>(request + nth) }
    }));
    assert_eq!(service.ready().await.unwrap().call(40).await.unwrap(), 41);
    assert_eq!(sent.load(Ordering::Relaxed), 2);
    assert_eq!(layer.handle().counts().duplicated_request, 1);
}

/// The one permit of a service; a response holds it, as the body of one does.
#[derive(Debug)]
struct Permit(Arc<AtomicU32>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Ready while nobody has its permit.
#[derive(Clone, Default)]
struct OnePermit {
    taken: Arc<AtomicU32>,
    calls: Arc<AtomicU32>,
}

impl Service<u32> for OnePermit {
    type Response = Permit;
    type Error = BoxError;
    type Future = std::future::Ready<Result<Permit, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self.taken.load(Ordering::Relaxed) {
            0 => Poll::Ready(Ok(())),
            _ => Poll::Pending,
        }
    }

    fn call(&mut self, _: u32) -> Self::Future {
        self.taken.fetch_add(1, Ordering::Relaxed);
        self.calls.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Ok(Permit(Arc::clone(&self.taken))))
    }
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_does_not_wait_for_what_the_first_response_holds() {
    let layer = reads();
    let _on = layer.handle().start(Fault::duplicated_request()).unwrap();
    let inner = OnePermit::default();
    let calls = Arc::clone(&inner.calls);
    let call = layer.layer(inner).oneshot(3);
    let response = tokio::time::timeout(1_000 * MS, call).await;
    let permit = response.expect("it does not wait for itself").unwrap();
    assert_eq!(permit.0.load(Ordering::Relaxed), 1, "that of the second");
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_polls_readiness_and_goes_on_when_its_fault_ends() {
    let (mut service, mock, handle) = subject();
    let injection = handle.start(Fault::duplicated_request()).unwrap();
    service.ready().await.unwrap();
    let mut future = Box::pin(service.call(3));
    mock.set_pending();
    assert!(
        poll_once(&mut future).is_pending(),
        "the second copy waits for readiness"
    );
    assert_eq!((mock.in_flight(), mock.futures()), (0, 0));
    assert_eq!(injection.stop().duplicated_request, 0);
    assert!(poll_once(&mut future).is_pending());
    assert_eq!(mock.requests(), [3]);
    mock.set_ready();
    assert_eq!(future.await.unwrap(), 3, "there is no other response");
    assert_eq!(mock.requests(), [3; 2]);
    let counts = handle.counts();
    assert_eq!((counts.duplicated_request, counts.without_effect), (1, 0));
    assert!(mock.violations().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_error_of_readiness_is_what_a_duplicate_comes_to() {
    let (mut service, mock, handle) = subject();
    let _on = handle.start(Fault::duplicated_request()).unwrap();
    service.ready().await.unwrap();
    let future = service.call(3);
    mock.set_failed();
    let error = future.await.unwrap_err();
    assert!(error.downcast_ref::<InjectedError>().is_none());
    assert_eq!(mock.requests(), [3]);
    assert_eq!(handle.counts().duplicated_request, 1);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_a_function_is_the_services_own() {
    #[derive(Debug, PartialEq)]
    enum Feed {
        Down(FaultKind),
    }
    let layer = reads().errors(|injected: InjectedError| Feed::Down(injected.kind()));
    let _on = layer.handle().start(Fault::error_before_sending()).unwrap();
    let service = layer.layer(service_fn(
        |request: u32| async move { Ok::<_, Feed>(request) },
    ));
    let result = service.oneshot(1).await;
    assert_eq!(result, Err(Feed::Down(FaultKind::ErrorBeforeSending)));
}

#[tokio::test(start_paused = true)]
async fn outer_timeouts_end_injected_waits() {
    use seawall_timeout::{AttemptTimeoutConfig, AttemptTimeoutLayer};

    for fault in [Fault::hang(), constant(10_000 * MS)] {
        let (service, mock, handle) = subject();
        let _on = handle.start(fault).unwrap();
        let timeout = AttemptTimeoutConfig::fixed(200 * MS).unwrap();
        let mut client = AttemptTimeoutLayer::new("t", timeout).layer(service);
        let (result, took) = call(&mut client).await;
        assert_eq!(took, 200 * MS);
        let error = result.unwrap_err();
        let rejection = seawall_core::find_rejection(&*error).unwrap();
        assert_eq!(rejection.sent(), Sent::Maybe);
        assert_eq!((mock.in_flight(), mock.futures()), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_delay_of_zero_is_none() {
    let (mut service, _, handle) = subject();
    // Cut off at zero in about half of the draws.
    let around_zero = Delay::normal(MS, 1_000 * MS).unwrap();
    let _on = handle.start(Fault::delay(around_zero)).unwrap();
    for _ in 0..200 {
        call(&mut service).await.0.unwrap();
    }
    let counts = handle.counts();
    assert_eq!(counts.delay + counts.without_effect, 200);
    assert!(counts.without_effect > 60, "{counts:?}");
}
