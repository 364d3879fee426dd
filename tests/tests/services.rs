//! Services by name, through which async functions are called.

use std::cell::Cell;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use seawall::services::AddServiceError;
use seawall::{
    Backoff, BreakerConfig, BulkheadConfig, CircuitState, Error, RateLimitConfig, Reason,
    Rejectable, RetryConfig, Services, StackBuilder,
};
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);

fn quick(name: &'static str) -> StackBuilder {
    let retry = RetryConfig::builder()
        .attempts(3)
        .backoff(Backoff::constant(Duration::from_millis(10)).expect("valid"));
    let breaker = BreakerConfig::builder()
        .consecutive_failures(3)
        .open_for(SECOND);
    seawall::database(name)
        .retry(retry.build().expect("valid"))
        .breaker(breaker.build().expect("valid"))
}

#[tokio::test(start_paused = true)]
async fn a_call_is_made_once_and_one_that_is_safe_to_repeat_is_retried() {
    let services = Services::new("desk");
    let database = services.add(quick("db")).expect("new");
    let calls = Cell::new(0);
    let fails_twice = || async {
        calls.set(calls.get() + 1);
        if calls.get() < 3 {
            Err("down")
        } else {
            Ok(calls.get())
        }
    };
    let once = database.call("save", fails_twice).await;
    assert_eq!((once, calls.get()), (Err(Error::Inner("down")), 1));
    let safe = database.operation("load").retry_safe();
    assert_eq!(safe.call(fails_twice).await, Ok(3));
}

#[tokio::test(start_paused = true)]
async fn each_operation_has_a_circuit_that_is_listed_and_reset_by_name() {
    let services = Services::new("desk");
    let database = services.add(quick("db")).expect("new");
    let down = || async { Err::<(), _>("down") };
    for _ in 0..3 {
        let failed = database.call("save", down).await;
        assert_eq!(failed, Err(Error::Inner("down")));
    }
    let rejected = database.call("save", down).await.expect_err("open");
    assert_eq!(
        rejected.rejection().map(seawall::Rejection::reason),
        Some(Reason::CircuitOpen)
    );
    let up = || async { Ok::<_, &str>(7) };
    assert_eq!(database.call("load", up).await, Ok(7), "has its own");

    let status = services.status_of("db").expect("added");
    let operations: Vec<_> = status
        .operations
        .iter()
        .map(|operation| (operation.name.as_str(), operation.circuit))
        .collect();
    let expected = [("load", CircuitState::Closed), ("save", CircuitState::Open)];
    assert_eq!(operations, expected);
    assert!(!status.is_available);
    assert!(database.circuit("none").is_none());
    let circuit = database.circuit("save").expect("it was called");
    assert_eq!(circuit.name().as_str(), "db/save");
    let registered = services.registry().get("breaker", "db/save");
    assert_eq!(registered.map(|layer| layer.state()), Some("open"));
    circuit.reset();
    assert!(services.status_of("db").expect("added").is_available);
    assert_eq!(database.call("save", up).await, Ok(7));

    for _ in 0..3 {
        let _ = database.call("save", down).await;
    }
    database.reset();
    assert_eq!(database.call("save", up).await, Ok(7), "all at once");
}

#[tokio::test(start_paused = true)]
async fn limits_and_permits_are_those_of_the_service_whatever_the_operation() {
    let rate = RateLimitConfig::builder().rate(1, SECOND).burst(2);
    let bulkhead = BulkheadConfig::builder().max_concurrent(1).max_waiting(0);
    let services = Services::new("desk");
    let stack = quick("db")
        .rate_limit(rate.build().expect("valid"))
        .bulkhead(bulkhead.build().expect("valid"));
    let database = services.add(stack).expect("new");
    let up = || async { Ok::<_, &str>(()) };
    let slow = || async {
        sleep(SECOND / 10).await;
        Ok::<_, &str>(())
    };
    let (first, second) = tokio::join!(database.call("a", slow), database.call("b", up));
    assert_eq!(first, Ok(()));
    let full = second.expect_err("one at once");
    let reason = full.rejection().map(seawall::Rejection::reason);
    assert_eq!(reason, Some(Reason::BulkheadFull));
    // Two of them at two units are more than the bucket has.
    let heavy = database.operation("c").cost(2).call(up).await;
    let reason = heavy
        .expect_err("one token is left")
        .rejection()
        .map(seawall::Rejection::reason);
    assert_eq!(reason, Some(Reason::RateLimited));
    assert_eq!(database.call("d", up).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn names_are_taken_once_found_without_clones_and_settings_are_checked() {
    let services = Services::new("desk");
    let first = services.add(quick("db")).expect("new");
    let taken = services.add(quick("db")).expect_err("taken");
    assert!(matches!(taken, AddServiceError::Taken(_)), "{taken}");
    assert!(
        taken.to_string().starts_with("a service named `"),
        "{taken}"
    );
    let invalid = services.add(quick("bad").deadline(Duration::ZERO));
    let invalid = invalid.expect_err("no time at all");
    assert!(invalid.to_string().contains("`deadline`"), "{invalid}");
    assert!(matches!(
        services.add(seawall::database("")),
        Err(AddServiceError::Invalid(_))
    ));
    assert!(services.get("bad").is_none() && services.status_of("bad").is_none());
    assert_eq!(services.all().len(), 1);
    assert_eq!(
        services.registry().all().len(),
        7,
        "every layer is registered"
    );

    // A layer of one's own that has the name of a service: no layer of that is left behind.
    let registry = services.registry();
    let own = seawall::BreakerLayer::new("feed", seawall::BreakerConfig::default());
    registry.register(own.handle()).expect("new");
    let taken = services.add(quick("feed")).expect_err("taken");
    assert!(matches!(taken, AddServiceError::Taken(_)), "{taken}");
    assert_eq!(registry.all().len(), 8);
    assert!(registry.get("breaker", "feed").is_some());
    registry.remove("breaker", "feed").expect("there");
    services.add(quick("feed")).expect("new");

    // State is shared by all who look it up.
    let again = services.clone().get("db").expect("there");
    again.drain();
    let up = || async { Ok::<_, &str>(()) };
    let rejected = first.call("load", up).await.expect_err("draining");
    let reason = rejected.rejection().map(seawall::Rejection::reason);
    assert_eq!(reason, Some(Reason::Draining));
    assert!(!first.status().is_available);
    first.resume();
    assert_eq!(again.call("load", up).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_what_runs_and_rejects_what_comes() {
    let services = Services::new("desk");
    let (a, b) = (services.add(quick("a")), services.add(quick("b")));
    let (a, b) = (a.expect("new"), b.expect("new"));
    let ended = Arc::new(AtomicU32::new(0));
    for service in [a.clone(), b] {
        let ended = Arc::clone(&ended);
        tokio::spawn(async move {
            let work = || async {
                sleep(SECOND).await;
                ended.fetch_add(1, Ordering::SeqCst);
                Ok::<_, &str>(())
            };
            service.call("work", work).await
        });
    }
    sleep(SECOND / 2).await;
    services.start();
    let began = tokio::time::Instant::now();
    services.shut_down().await;
    assert_eq!(ended.load(Ordering::SeqCst), 2);
    assert_eq!(tokio::time::Instant::now() - began, SECOND / 2);
    assert!(
        a.call("late", || async { Ok::<_, &str>(()) })
            .await
            .is_err()
    );
    // Given up: commands stay, and nothing waits.
    drop(services.shut_down());
    assert!(
        services
            .status()
            .iter()
            .all(|service| !service.is_available)
    );
}

#[tokio::test]
async fn functions_borrow_and_a_call_that_is_dropped_gives_its_permit_back() {
    let services = Services::new("desk");
    let bulkhead = BulkheadConfig::builder().max_concurrent(1).max_waiting(0);
    let stack = quick("db").bulkhead(bulkhead.build().expect("valid"));
    let database = services.add(stack).expect("new");
    let rows = [1, 2, 3];
    let sum = database.call("sum", || async { Ok::<i32, &str>(rows.iter().sum()) });
    assert_eq!(sum.await, Ok(6));
    let never = database.call("hang", std::future::pending::<Result<(), &str>>);
    let gone = tokio::time::timeout(Duration::from_millis(20), never).await;
    assert!(gone.is_err());
    assert_eq!(
        database
            .call("sum", || async { Ok::<_, &str>(rows.len()) })
            .await,
        Ok(3)
    );
    assert_eq!(database.status().layers.bulkhead.in_flight, 0);
    assert_eq!(Services::global().all().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn operations_beyond_the_most_share_a_circuit() {
    use seawall::services::MAX_OPERATIONS;

    let services = Services::new("desk");
    let database = services.add(quick("db")).expect("new");
    let rate = RateLimitConfig::builder().rate(1_000_000, SECOND);
    let mut settings = database.handles().settings();
    settings.rate_limit = rate.burst(10_000).build().expect("valid");
    settings.breaker = BreakerConfig::builder()
        .consecutive_failures(3)
        .open_for(9 * SECOND)
        .build()
        .expect("valid");
    let up = || async { Ok::<_, &str>(()) };
    database.call("load", up).await.expect("up");
    database.configure(&settings).expect("valid");
    let circuit = database.circuit("load").expect("it was called");
    assert_eq!(
        circuit.config().open_for(),
        9 * SECOND,
        "also of those that are there"
    );
    for number in 1..MAX_OPERATIONS {
        let name = format!("operation {number}");
        database.call(name, up).await.expect("up");
    }
    let down = || async { Err::<(), _>("down") };
    for number in 0..3 {
        let failed = database.call(format!("one too many {number}"), down).await;
        assert_eq!(failed, Err(Error::Inner("down")));
    }
    let last = database
        .call("and another", up)
        .await
        .expect_err("shared, and open");
    let reason = last.rejection().map(seawall::Rejection::reason);
    assert_eq!(reason, Some(Reason::CircuitOpen));
    assert_eq!(database.call("load", up).await, Ok(()));
    let status = database.status();
    assert_eq!(status.operations.len(), MAX_OPERATIONS);
    assert!(!status.is_available);
}

#[tokio::test]
async fn a_call_of_a_known_operation_allocates_nothing() {
    let services = Services::new("desk");
    let database = services.add(quick("db")).expect("new");
    let up = || async { Ok::<_, &str>(()) };
    database.call("load", up).await.expect("up");
    let counts = seawall_testkit::alloc::count(|| {
        let mut call = std::pin::pin!(database.call("load", up));
        let cx = &mut std::task::Context::from_waker(std::task::Waker::noop());
        assert!(call.as_mut().poll(cx).is_ready());
        assert!(services.get("db").is_some());
    });
    assert_eq!(counts.allocations, 0);
}

#[tokio::test(start_paused = true)]
async fn what_an_operator_shuts_is_not_available_and_says_so() {
    let services = Services::new("desk");
    let database = services.add(quick("db")).expect("new");
    let up = || async { Ok::<_, &str>(()) };
    database.call("load", up).await.expect("up");
    let is_available = || database.status().is_available;
    let handles = database.handles();
    assert!(is_available());
    handles.rate_limit.pause();
    assert!(!is_available());
    handles.rate_limit.drain();
    assert!(!is_available());
    handles.rate_limit.resume();
    handles.bulkhead.pause();
    assert!(!is_available());
    handles.bulkhead.resume();
    let circuit = database.circuit("load").expect("it was called");
    circuit.force_open();
    assert!(!is_available());
    database.reset();
    assert!(is_available());
    // Between a service and its operation: no other service has such a name.
    let error = services
        .add(quick("db/load"))
        .expect_err("a name with a stroke");
    assert!(error.to_string().contains("without `/`"), "{error}");
    assert_eq!(services.registry().all().len(), 8, "nothing of it stays");
}

/// 12 to 54 of 12,000 kept the settings of before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_that_is_first_called_while_settings_change_has_the_new_ones() {
    for round in 0..200 {
        let services = Services::new("desk");
        let database = services.add(quick("db")).expect("new");
        let mut settings = database.handles().settings();
        settings.breaker = BreakerConfig::builder()
            .consecutive_failures(9)
            .build()
            .expect("valid");
        let calls = tokio::spawn({
            let database = database.clone();
            async move {
                for number in 0..20 {
                    let name = format!("operation {number}");
                    let up = || async { Ok::<_, &str>(()) };
                    database.call(name, up).await.expect("up");
                }
            }
        });
        database.configure(&settings).expect("valid");
        calls.await.expect("no panic");
        for number in 0..20 {
            let circuit = database.circuit(&format!("operation {number}"));
            let config = circuit.expect("it was called").config();
            assert_eq!(
                config, settings.breaker,
                "round {round}, operation {number}"
            );
        }
    }
}
