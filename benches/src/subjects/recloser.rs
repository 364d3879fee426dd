//! recloser 1.4: a breaker around a call or a future, with a ring of the last calls.

use std::future::ready;
use std::hint::black_box;
use std::sync::Arc;

use recloser::{AsyncRecloser, Recloser};

use super::{HOUR, LONG, Subject};
use crate::leaf::{FAIL, respond};

pub(super) fn subjects() -> Vec<Subject> {
    vec![
        Subject::function("recloser/breaker/closed-count", || {
            let breaker = Arc::new(closed());
            move |i| breaker.call(|| respond(i)).is_ok()
        }),
        Subject::async_function("recloser/breaker/closed-count-async", || {
            let breaker = AsyncRecloser::from(closed());
            async move |i| black_box(&breaker.call(ready(respond(i))).await).is_ok()
        }),
        Subject::function("recloser/breaker/refused", || {
            let breaker = Recloser::custom()
                .error_rate(0.5)
                .closed_len(1)
                .open_wait(HOUR)
                .build();
            // One more than the ring holds opens it.
            for _ in 0..3 {
                breaker.call(|| respond(FAIL)).expect_err("the leaf fails");
            }
            let breaker = Arc::new(breaker);
            move |i| breaker.call(|| respond(i)).is_ok()
        })
        .rejecting(),
    ]
}

fn closed() -> Recloser {
    Recloser::custom()
        .error_rate(0.5)
        .closed_len(100)
        .half_open_len(10)
        .open_wait(LONG)
        .build()
}
