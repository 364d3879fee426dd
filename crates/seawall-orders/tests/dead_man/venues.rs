//! The forms of the venues, and times that cannot be right.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use seawall_orders::client::RequestSender;
use seawall_orders::dead_man::{
    BitmexTimer, CancelAllAfter, DeadManConfig, DeadManSwitch, KrakenTimer,
};
use tower::service_fn;

use super::venue::answered;

const MINUTE: Duration = Duration::from_secs(60);

fn response(status: u16, body: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::copy_from_slice(body.as_bytes()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

#[test]
fn krakens_form() {
    let request = KrakenTimer.request(MINUTE);
    assert_eq!(request.method(), Method::POST);
    assert_eq!(
        request.headers()["content-type"],
        "application/x-www-form-urlencoded"
    );
    assert_eq!(KrakenTimer.request(Duration::ZERO).body(), "timeout=0");
    let set = r#"{"error":[],"result":{"currentTime":"2023-03-24T17:41:56Z","triggerTime":"2023-03-24T17:42:56Z"}}"#;
    let off = r#"{"error":[],"result":{"currentTime":"2023-03-24T17:41:56Z","triggerTime":"0"}}"#;
    let is_set = |timeout, status, body| KrakenTimer.is_set(timeout, &response(status, body));
    assert!(is_set(MINUTE, 200, set));
    assert!(is_set(Duration::ZERO, 200, off));
    for (timeout, status, body) in [
        (MINUTE, 200, off),
        (Duration::ZERO, 200, set),
        (MINUTE, 200, r#"{"error":["EService:Busy"]}"#),
        (Duration::ZERO, 200, r#"{"error":["EService:Busy"]}"#),
        (Duration::ZERO, 200, "{}"),
        (MINUTE, 520, set),
        (MINUTE, 200, "<html>"),
    ] {
        assert!(
            !is_set(timeout, status, body),
            "{timeout:?} {status} {body}"
        );
    }
}

#[test]
fn bitmexs_form() {
    let request = BitmexTimer.request(Duration::from_millis(1_500));
    assert_eq!(request.method(), Method::POST);
    assert_eq!(request.headers()["content-type"], "application/json");
    assert_eq!(request.body(), r#"{"timeout":1500}"#);
    let set = Response::new(answered(MINUTE));
    let off = Response::new(answered(Duration::ZERO));
    assert!(BitmexTimer.is_set(MINUTE, &set) && BitmexTimer.is_set(Duration::ZERO, &off));
    assert!(!BitmexTimer.is_set(MINUTE, &off) && !BitmexTimer.is_set(Duration::ZERO, &set));
    assert!(!BitmexTimer.is_set(MINUTE, &response(200, r#"{"error":{"message":"x"}}"#)));
}

#[test]
fn times_that_cannot_be_right_are_errors() {
    let field = |builder: seawall_orders::dead_man::DeadManConfigBuilder| {
        builder.build().unwrap_err().field().to_owned()
    };
    let minute = || DeadManConfig::builder(MINUTE);
    assert_eq!(field(DeadManConfig::builder(Duration::ZERO)), "timeout");
    assert_eq!(field(DeadManConfig::builder(Duration::MAX)), "timeout");
    assert_eq!(field(minute().interval(Duration::ZERO)), "interval");
    assert_eq!(field(minute().interval(MINUTE / 2)), "interval");
    assert_eq!(
        field(minute().attempt_timeout(Duration::ZERO)),
        "attempt_timeout"
    );
    assert_eq!(
        field(minute().attempt_timeout(MINUTE / 2)),
        "attempt_timeout"
    );
    let fine = minute()
        .interval(Duration::from_secs(29))
        .attempt_timeout(Duration::from_secs(11));
    assert!(fine.build().is_ok());

    let client = RequestSender::new(service_fn(|_| async {
        Ok::<_, std::io::Error>(Response::new(http_body_util::Full::<Bytes>::default()))
    }));
    let half = DeadManConfig::builder(Duration::from_millis(2_500))
        .build()
        .unwrap();
    let rejected = DeadManSwitch::new("kraken", half, KrakenTimer, client.clone(), || true);
    assert_eq!(
        rejected.unwrap_err().to_string(),
        "`timeout` is 2.5s, accepted is whole seconds from 1 to 86399"
    );
    assert!(DeadManSwitch::new("bitmex", half, BitmexTimer, client, || true).is_ok());
}
