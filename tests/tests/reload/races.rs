//! Reloads beside each other and beside stacks that are built.

use std::sync::atomic::AtomicBool;
use std::thread;

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
