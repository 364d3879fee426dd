//! Clients by name.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use seawall::Clients;
use seawall::client::GetClientError;

fn clients(built: &Arc<AtomicUsize>) -> Clients<usize> {
    let clients = Clients::new();
    let counter = Arc::clone(built);
    clients.add("numbered", move || {
        Ok(counter.fetch_add(1, Ordering::SeqCst))
    });
    clients
}

#[test]
fn a_client_is_built_once_when_it_is_first_asked_for() {
    let built = Arc::new(AtomicUsize::new(0));
    let clients = clients(&built);
    assert_eq!(built.load(Ordering::SeqCst), 0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(*clients.get("numbered").unwrap(), 0));
        }
    });
    assert_eq!(built.load(Ordering::SeqCst), 1);

    clients.add("numbered", || Ok(7));
    assert_eq!(*clients.clone().get("numbered").unwrap(), 7, "replaced");
    let unknown = clients.get("numberd").unwrap_err();
    let text = "there is no client `numberd`, there is `numbered`";
    assert_eq!(unknown.to_string(), text);
}

#[test]
fn a_client_that_could_not_be_built_is_built_again() {
    let tries = AtomicUsize::new(0);
    let clients = Clients::new();
    clients.add("late", move || match tries.fetch_add(1, Ordering::SeqCst) {
        0 => Err("no key yet".into()),
        tries => Ok(tries),
    });
    let error = clients.get("late").unwrap_err();
    assert!(matches!(error, GetClientError::Build { .. }));
    assert_eq!(error.to_string(), "client `late`: no key yet");
    assert_eq!(*clients.get("late").unwrap(), 1);
    assert_eq!(*clients.get("late").unwrap(), 1);
}

#[test]
fn a_client_whose_function_asks_for_it_is_an_error_and_no_deadlock() {
    let clients = Clients::new();
    let inner = clients.clone();
    clients.add("self", move || Ok(*inner.get("self")? + 1));
    for _ in 0..2 {
        let error = clients.get("self").unwrap_err().to_string();
        assert!(
            error.ends_with("the function that builds it asks for it"),
            "{error}"
        );
    }
    let inner = clients.clone();
    clients.add("base", || Ok(1));
    clients.add("above", move || Ok(*inner.get("base")? + 1));
    assert_eq!(
        *clients.get("above").unwrap(),
        2,
        "another one may be asked for"
    );
}

#[test]
fn a_look_up_allocates_nothing() {
    let built = Arc::new(AtomicUsize::new(0));
    let clients = clients(&built);
    clients.get("numbered").unwrap();
    let counts = seawall_testkit::alloc::count(|| clients.get("numbered").is_ok());
    assert_eq!(counts.allocations, 0);
}
