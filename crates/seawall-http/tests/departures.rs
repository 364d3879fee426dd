//! What layers outside of a stack learn at the departure of an attempt.
#![allow(
    clippy::unwrap_used,
    reason = "a test shows what is wrong by panicking there"
)]

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use seawall_core::{DepartureLayer, Error, Reason, Rejection};
use seawall_http::{Departures, NoteDeparture, WatchDeparture, copy_bytes_request};
use tower::{Layer, ServiceExt, service_fn};

/// Writes its name down, and rejects where it is to.
struct Watcher {
    name: &'static str,
    log: Arc<Mutex<Vec<&'static str>>>,
    rejects: bool,
}

impl WatchDeparture for Watcher {
    fn departs(&self) -> Result<(), Rejection> {
        self.log.lock().unwrap().push(self.name);
        match self.rejects {
            true => Err(Rejection::new(Reason::Guarded, self.name)),
            false => Ok(()),
        }
    }
}

type Log = Arc<Mutex<Vec<&'static str>>>;

fn watch(request: &mut Request<bytes::Bytes>, name: &'static str, log: &Log, rejects: bool) {
    let log = Arc::clone(log);
    let watcher = Watcher { name, log, rejects };
    Departures::watch(request.extensions_mut(), Arc::new(watcher));
}

/// Sends the request through the hook to a client that writes down that it was called.
async fn send(
    request: Request<bytes::Bytes>,
    log: &Log,
) -> Result<Response<()>, Error<Infallible>> {
    let called = Arc::clone(log);
    let client = service_fn(move |_: Request<bytes::Bytes>| {
        called.lock().unwrap().push("client");
        std::future::ready(Ok::<_, Error<Infallible>>(Response::new(())))
    });
    DepartureLayer::new(NoteDeparture)
        .layer(client)
        .oneshot(request)
        .await
}

#[tokio::test]
async fn every_watcher_is_asked_from_the_inside_out_before_each_attempt_leaves() {
    let log = Log::default();
    let mut request = Request::new(bytes::Bytes::new());
    watch(&mut request, "outer", &log, false);
    watch(&mut request, "middle", &log, false);
    watch(&mut request, "inner", &log, false);
    let copy = copy_bytes_request(&request).unwrap();
    for attempt in [request, copy] {
        send(attempt, &log).await.unwrap();
        let asked = std::mem::take(&mut *log.lock().unwrap());
        assert_eq!(asked, ["inner", "middle", "outer", "client"]);
    }
}

#[tokio::test]
async fn a_watcher_that_rejects_keeps_the_attempt_here_and_is_the_last_one_asked() {
    let log = Log::default();
    let mut request = Request::new(bytes::Bytes::new());
    watch(&mut request, "outer", &log, false);
    watch(&mut request, "inner", &log, true);
    let Err(Error::Rejected(rejection)) = send(request, &log).await else {
        panic!("it left");
    };
    assert_eq!(rejection, Rejection::new(Reason::Guarded, "inner"));
    assert_eq!(*log.lock().unwrap(), ["inner"]);
}

#[tokio::test]
async fn a_request_that_nobody_watches_leaves() {
    let log = Log::default();
    send(Request::new(bytes::Bytes::new()), &log).await.unwrap();
    assert_eq!(*log.lock().unwrap(), ["client"]);
}
