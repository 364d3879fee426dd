//! Callers that want the upstream's answer alone.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_caller_that_wants_a_fresh_answer_gets_the_failure() {
    let layer = layer([last_good(60 * SECOND), value("default")]);
    let upstream = Upstream::new([Ok(Price::at(1)), Err(DOWN)]);
    let mut service = layer.layer(upstream);
    let mut ask = Ask::of("SPY");
    ask.fresh = true;
    assert!(call(&mut service, ask).await.is_ok());
    assert_eq!(call(&mut service, ask).await.unwrap_err(), DOWN);
    assert_eq!(layer.handle().counts().wants_fresh, 1);
    // What it got is kept for others.
    let other = call(&mut service, Ask::of("SPY")).await.unwrap();
    assert_eq!(other.value().at, 1);
}

#[tokio::test(start_paused = true)]
async fn traffic_returns_when_the_primary_does() {
    let layer = layer([last_good(60 * SECOND)]);
    let upstream = Upstream::new([Ok(Price::at(1)), Err(open()), Err(open()), Ok(Price::at(2))]);
    let mut service = layer.layer(upstream.clone());
    let mut seen = Vec::new();
    for _ in 0..5 {
        let answer = call(&mut service, Ask::of("SPY")).await.unwrap();
        seen.push((answer.value().at, answer.is_degraded()));
    }
    let expected = [(1, false), (1, true), (1, true), (2, false), (2, false)];
    assert_eq!(seen, expected);
    assert_eq!(upstream.calls(), 5, "each call asks the primary first");
}

#[tokio::test(start_paused = true)]
async fn an_older_mark_stays() {
    let inner = layer([value("inner")]).layer(Upstream::down());
    let outer = layer([Step::backup("vendor2", inner)]);
    let mut service = outer.layer(Upstream::new([Err(open())]));
    let answer = call(&mut service, Ask::of("SPY")).await.unwrap();
    assert_eq!(marked(&answer), ("inner", Some(("server", "inner"))));
    let mark: Option<Degradation> = answer.degradation();
    assert_eq!(mark.unwrap().age, None);
}
