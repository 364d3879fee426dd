//! Reloads beside each other and beside stacks that are built.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread;

use tower::{Layer, ServiceExt, service_fn};

use super::*;

#[test]
fn reloads_at_once_end_with_what_the_file_says() {
    let folder = Folder::new();
    let config = folder.load(&permits(1));
    let _ = stack(&config, "a");
    thread::scope(|scope| {
        for thread in 0..4 {
            let (config, folder) = (&config, &folder);
            scope.spawn(move || {
                for number in 0..50 {
                    // Another thread may be writing: then it is a part of a file.
                    folder.write(permits(thread * 50 + number + 1));
                    let _ = config.reload();
                }
            });
        }
    });
    folder.write(permits(777));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| config.reload().expect("it is right"));
        }
    });
    assert_eq!(limit_of(&config), 777);
    assert_eq!(
        config
            .current()
            .service("a")
            .expect("there")
            .settings()
            .bulkhead
            .max_concurrent(),
        777
    );
}

#[test]
fn a_stack_that_is_built_during_a_reload_has_the_last_settings() {
    const SERVICES: u32 = 40;
    let folder = Folder::new();
    let text = |number: u32| -> String {
        let one = |at| format!("[resilience.s{at}]\nbulkhead.max_concurrent = {number}\n");
        (0..SERVICES).map(one).collect()
    };
    let config = folder.load(&text(1));
    let built = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 1;
            while !built.load(Ordering::Acquire) || number < 20 {
                number += 1;
                folder.write(text(number));
                config.reload().expect("it is right");
            }
        });
        scope.spawn(|| {
            for at in 0..SERVICES {
                let name = format!("s{at}");
                // All who ask have one stack.
                let (one, other) = (handles(&config, &name), handles(&config, &name));
                one.breaker.force_open();
                assert_eq!(
                    other.breaker.snapshot().state,
                    seawall::CircuitState::ForcedOpen
                );
            }
            built.store(true, Ordering::Release);
        });
    });
    let current = config.current();
    for service in current.services() {
        assert_eq!(
            handles(&config, service.name()).settings(),
            *service.settings()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_several_threads_do_not_notice() {
    let folder = Folder::new();
    let text = |number: u32| {
        format!(
            "[resilience.a]\ndeadline = \"{}s\"\nbulkhead = {{ max_concurrent = {}, max_waiting = 64, enabled = {} }}\n\
             rate_limit = {{ rate = \"{}/s\", burst = 900000, shadow = {} }}\n\
             breaker = {{ consecutive_failures = {}, enabled = {} }}\nretry.attempts = {}\n",
            40 + number % 7,
            1 + number % 5,
            number.is_multiple_of(2),
            900_000 + number,
            number.is_multiple_of(3),
            5 + number % 3,
            !number.is_multiple_of(4),
            1 + number % 4,
        )
    };
    let config = folder.load(&text(1));
    let arrived = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&arrived);
    let client = service_fn(move |_: Request<Body>| {
        seen.fetch_add(1, Ordering::Relaxed);
        async {
            tokio::task::yield_now().await;
            answer(200)
        }
    });
    let service = stack(&config, "a").layer(client);
    let stop = Arc::new(AtomicBool::new(false));
    let mut callers = Vec::new();
    for _ in 0..8 {
        let (service, stop) = (service.clone(), Arc::clone(&stop));
        callers.push(tokio::spawn(async move {
            let mut calls = 0;
            while !stop.load(Ordering::Relaxed) {
                let call = service.clone().oneshot(get());
                call.await.expect("no call is lost");
                calls += 1;
            }
            calls
        }));
    }
    let reader = config.clone();
    let reloads = tokio::task::spawn_blocking(move || {
        for number in 2..200 {
            folder.write(text(number));
            reader.reload().expect("it is right");
        }
    });
    reloads.await.expect("no panic");
    stop.store(true, Ordering::Relaxed);
    let mut calls = 0;
    for caller in callers {
        calls += caller.await.expect("no panic");
    }
    assert_eq!(arrived.load(Ordering::Relaxed), calls);
    let counts = handles(&config, "a").counts();
    assert_eq!(counts.bulkhead.success, calls);
    // A call under way when the breaker is switched is one of another period.
    assert_eq!(counts.breaker.success + counts.breaker.late, calls);
    assert_eq!(
        counts.rate_limit.granted + counts.rate_limit.shadowed,
        calls
    );
    assert_eq!(handles(&config, "a").bulkhead.in_flight(), 0);
    assert_eq!(config.status().generation, 199);
}
