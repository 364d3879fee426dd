//! The deadline in the request.

use super::*;

#[tokio::test(start_paused = true)]
async fn the_deadline_is_written_into_the_request_and_ends_the_attempt_below() {
    #[derive(Clone, Copy)]
    struct Request {
        takes: Duration,
        meta: RequestMeta,
    }
    fn propagate(request: &mut Request, at: Instant) {
        request.meta.deadline = Some(at);
    }
    fn describe(request: &Request) -> RequestMeta {
        request.meta
    }
    let deadlines = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&deadlines);
    let attempt = attempt_layer(5 * SECOND).describe(describe as fn(&Request) -> RequestMeta);
    let attempts = attempt.handle();
    let mut service = ServiceBuilder::new()
        .layer(deadline_layer(SECOND).propagate(propagate))
        .layer(attempt)
        .service(service_fn(move |request: Request| {
            note.lock().unwrap().push(request.meta.deadline);
            async move {
                sleep(request.takes).await;
                Ok::<_, Rejection>(())
            }
        }));
    let start = Instant::now();
    let request = Request {
        takes: 2 * SECOND,
        meta: RequestMeta::default(),
    };
    let result = service.ready().await.unwrap().call(request).await;
    let rejection = result.unwrap_err();
    assert_eq!(rejection.reason(), Reason::DeadlineExceeded);
    assert_eq!(
        rejection.name().as_str(),
        "a",
        "the innermost layer is named"
    );
    assert_eq!(Instant::now(), start + SECOND);
    assert_eq!(*deadlines.lock().unwrap(), [Some(start + SECOND)]);
    assert_eq!(attempts.counts().deadline_exceeded, 1);
}

/// A request with 100 ms left waited ten seconds in a queue below, since only the
/// innermost layer knew of its deadline.
#[tokio::test(start_paused = true)]
async fn an_earlier_deadline_of_the_request_ends_its_wait_in_a_queue_below() {
    fn earlier(own: &mut Option<Instant>, at: Instant) -> Instant {
        *own.insert(own.map_or(at, |own| own.min(at)))
    }
    let queue = service_fn(|_: Option<Instant>| std::future::pending::<Result<(), Rejection>>());
    let layer = deadline_layer(10 * SECOND).propagate(earlier);
    let handle = layer.handle();
    let service = layer.layer(queue);
    let start = Instant::now();
    let result = service.clone().oneshot(Some(start + 100 * MS)).await;
    let rejection = result.unwrap_err();
    assert_eq!(rejection.reason(), Reason::DeadlineExceeded);
    assert_eq!(rejection.sent(), Sent::Maybe);
    assert_eq!(rejection.figure(), Some(Figure::Limit(100 * MS)));
    assert_eq!(Instant::now(), start + 100 * MS);
    // A later one does not make the call longer, and one that has passed leaves no call at all.
    let result = service.clone().oneshot(Some(start + 3600 * SECOND)).await;
    let figure = result.unwrap_err().figure();
    assert_eq!(figure, Some(Figure::Limit(10 * SECOND)));
    assert_eq!(Instant::now(), start + 100 * MS + 10 * SECOND);
    let rejection = service.oneshot(Some(start)).await.unwrap_err();
    assert_eq!((rejection.sent(), rejection.figure()), (Sent::No, None));
    assert_eq!(
        (
            handle.counts().deadline_exceeded,
            handle.counts().expired_on_arrival
        ),
        (2, 1)
    );
}
