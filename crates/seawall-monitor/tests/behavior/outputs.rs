//! Sinks: queues, panics, and what goes over the wire.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use seawall_core::{EventFilter, EventKind, EventType, Received, Registry};
use seawall_monitor::{
    AlertKind, AlertRule, AlertRules, AlertState, AlertmanagerSink, Endpoint, EventSink, LogSink,
    Monitor, SIGNATURE_HEADER, SilenceMatcher, TIMESTAMP_HEADER, WebhookSink, verify_signature,
};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

use crate::support::{Behavior, Fake, Noted, SECOND, builder, firing};

const KEY: &[u8] = b"a secret of at least 16 bytes";

#[tokio::test(start_paused = true)]
async fn a_sink_that_hangs_or_panics_delays_neither_the_monitor_nor_another_sink() {
    let registry = Registry::new("desk");
    let breakers: Vec<_> = (0..100)
        .map(|number| Fake::new(&registry, "breaker", &format!("upstream{number}")))
        .collect();
    let good = Noted::new("good", Behavior::Notes);
    let monitor = builder(&registry)
        .rules(over_at_once())
        .sink(Noted::new("hangs", Behavior::Hangs))
        .sink(Noted::new("panics", Behavior::Panics))
        .sink(Noted::new("fails", Behavior::Fails))
        .sink(good.clone())
        .build()
        .unwrap();
    let _guard = monitor.start();
    sleep(SECOND / 2).await;
    for state in ["open", "closed", "open"] {
        breakers.iter().for_each(|breaker| breaker.state(state));
        sleep(SECOND).await;
    }
    // 100 opened and one of all, three times.
    assert_eq!(good.names().len(), 303);
    assert_eq!(monitor.overview().monitor.samples, 4);
    let of = |name| {
        let stats = monitor.sinks();
        stats.into_iter().find(|it| it.name == name).unwrap()
    };
    // Of each alert the newest state is queued.
    assert_eq!((of("hangs").delivered, of("hangs").queued), (0, 202));
    assert_eq!((of("panics").queued, of("fails").queued), (202, 202));
    let panics = of("panics");
    assert!(panics.panics >= 2 && panics.failed > 64, "{panics:?}");
    assert_eq!(of("fails").last_error.as_deref(), Some("down"));
    assert_eq!(
        (of("good").delivered, of("good").last_error.clone()),
        (303, None)
    );

    // Of what was over before the sink could be given it, the last 256 are kept.
    for state in ["closed", "open", "closed", "open"] {
        breakers.iter().for_each(|breaker| breaker.state(state));
        sleep(SECOND).await;
    }
    let hangs = of("hangs");
    assert_eq!((hangs.queued, hangs.dropped), (256 + 101, 303 - 256));
    sleep(60 * SECOND).await;
    let hangs = of("hangs");
    assert_eq!(hangs.timeouts, 1);
    assert_eq!(hangs.last_error.as_deref(), Some("it took longer than 60s"));
}

/// Rules by which circuits that are closed again are no alert any more.
fn over_at_once() -> AlertRules {
    let at_once = |kind| {
        let rule = AlertRule::builder(kind).resolve_after(Duration::ZERO);
        rule.build().unwrap()
    };
    let rules = AlertRules::default().with(at_once(AlertKind::BreakerOpened));
    rules.with(at_once(AlertKind::ManyBreakersOpen))
}

/// What a sink has of the alerts `BreakerOpened`.
fn opened(sink: &Noted) -> Vec<AlertState> {
    let names = sink.names().into_iter();
    let opened = names.filter(|(name, _)| *name == "BreakerOpened");
    opened.map(|(_, state)| state).collect()
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_works_again_is_given_what_it_missed() {
    use AlertState::{Firing, Resolved};
    let registry = Registry::new("desk");
    let breaker = Fake::new(&registry, "breaker", "alpaca");
    let sink = Noted::new("down", Behavior::Notes);
    let monitor = builder(&registry).rules(over_at_once());
    let monitor = monitor.sink(sink.clone()).build().unwrap();
    let _guard = monitor.start();
    sleep(SECOND).await;
    // Raised while it is down.
    sink.is_down(true);
    breaker.transition("open");
    sleep(600 * SECOND).await;
    assert_eq!(opened(&sink), []);
    assert!(monitor.sinks()[0].failed > 10 && monitor.sinks()[0].queued > 0);
    sink.is_down(false);
    sleep(16 * SECOND).await;
    assert_eq!(opened(&sink), [Firing]);
    assert_eq!(monitor.sinks()[0].queued, 0);
    // As it is by then, and not as it was.
    let given = sink.alerts.lock().unwrap().clone();
    let long = given.iter().find(|it| it.name == "BreakerOpenLong");
    assert!(long.unwrap().value > 500.0, "{long:?}");
    // Over while it is down.
    sink.is_down(true);
    breaker.transition("closed");
    sleep(600 * SECOND).await;
    sink.is_down(false);
    sleep(16 * SECOND).await;
    assert_eq!(opened(&sink), [Firing, Resolved]);
    sleep(600 * SECOND).await;
    assert_eq!(opened(&sink), [Firing, Resolved], "once");
    // Both while it is down.
    sink.is_down(true);
    breaker.transition("open");
    sleep(10 * SECOND).await;
    breaker.transition("closed");
    sleep(10 * SECOND).await;
    sink.is_down(false);
    sleep(16 * SECOND).await;
    assert_eq!(opened(&sink), [Firing, Resolved, Resolved]);
}

#[tokio::test(start_paused = true)]
async fn what_is_silenced_while_its_sink_is_down_is_given_when_that_ends() {
    let registry = Registry::new("desk");
    let breaker = Fake::new(&registry, "breaker", "alpaca");
    let sink = Noted::new("down", Behavior::Notes);
    let monitor = builder(&registry).sink(sink.clone()).build().unwrap();
    let _guard = monitor.start();
    sink.is_down(true);
    breaker.transition("open");
    sleep(30 * SECOND).await;
    let all = SilenceMatcher::all();
    monitor.silence(all, "ann", "known", 600 * SECOND).unwrap();
    sink.is_down(false);
    sleep(590 * SECOND).await;
    assert_eq!(opened(&sink), []);
    sleep(30 * SECOND).await;
    assert_eq!(opened(&sink), [AlertState::Firing]);
}

/// One alert that a sink never takes is in the way of no other.
#[tokio::test(start_paused = true)]
async fn an_alert_that_no_delivery_can_have_delays_the_others_and_no_more() {
    let registry = Registry::new("desk");
    let breakers: Vec<_> = (0..100)
        .map(|number| Fake::new(&registry, "breaker", &format!("upstream{number}")))
        .collect();
    let mut sink = Noted::new("choosy", Behavior::Notes);
    sink.never = Some("upstream7");
    let monitor = builder(&registry).sink(sink.clone()).build().unwrap();
    let _guard = monitor.start();
    breakers.iter().for_each(|breaker| breaker.state("open"));
    sleep(300 * SECOND).await;
    let alerts = sink.alerts.lock().unwrap().clone();
    let services: BTreeSet<_> = alerts.iter().filter_map(|alert| alert.service).collect();
    assert_eq!(services.len(), 99);
}

/// Its task ends in the middle of a delivery, and the delivery goes on.
#[tokio::test(start_paused = true)]
async fn a_delivery_that_outlives_its_monitor_is_counted_and_not_repeated() {
    let registry = Registry::new("desk");
    let breaker = Fake::new(&registry, "breaker", "alpaca");
    let sink = Noted::new("slow", Behavior::Takes(SECOND));
    let monitor = builder(&registry).sink(sink.clone()).build().unwrap();
    let guard = monitor.start();
    sleep(SECOND).await;
    breaker.transition("open");
    sleep(SECOND / 2).await;
    drop(guard);
    sleep(5 * SECOND).await;
    assert_eq!(opened(&sink), [AlertState::Firing]);
    let stats = &monitor.sinks()[0];
    assert_eq!((stats.delivered > 0, stats.queued), (true, 0));
    let _guard = monitor.start();
    sleep(5 * SECOND).await;
    assert_eq!(opened(&sink), [AlertState::Firing]);
}

#[tokio::test(start_paused = true)]
async fn what_is_firing_is_sent_again_where_a_sink_asks() {
    let registry = Registry::new("desk");
    let breaker = Fake::new(&registry, "breaker", "alpaca");
    let sink = Noted::new("again", Behavior::Notes).resend(10 * SECOND);
    let monitor = builder(&registry).sink(sink.clone()).build().unwrap();
    let _guard = monitor.start();
    breaker.state("open");
    sleep(SECOND * 35).await;
    let opened = |state| {
        let names = sink.names();
        names
            .iter()
            .filter(|it| **it == ("BreakerOpened", state))
            .count()
    };
    assert_eq!(
        opened(AlertState::Firing),
        4,
        "at once, and at 10, 20 and 30 s"
    );
    breaker.state("closed");
    sleep(SECOND * 35).await;
    assert_eq!(
        (opened(AlertState::Firing), opened(AlertState::Resolved)),
        (7, 1),
        "it is over half a minute later"
    );
}

#[tokio::test(start_paused = true)]
async fn alerts_are_events_of_their_service() {
    let registry = Registry::new("desk");
    let breaker = Fake::new(&registry, "breaker", "alpaca");
    let monitor = builder(&registry)
        .sink(EventSink::new(registry.events()))
        .sink(LogSink)
        .build()
        .unwrap();
    let filter = EventFilter::changes()
        .types([EventType::Alert])
        .names(["alpaca"]);
    let mut subscription = registry.events().subscribe_to(filter);
    let _guard = monitor.start();
    breaker.state("open");
    sleep(2 * SECOND).await;
    breaker.state("closed");
    sleep(32 * SECOND).await;
    let mut seen = Vec::new();
    while let Some(Received::Event(event)) = subscription.try_next() {
        if let EventKind::Alert { rule, raised, .. } = event.kind {
            seen.push((event.pattern, rule.as_str(), raised));
        }
    }
    let opened = |raised| ("monitor", "BreakerOpened", raised);
    assert_eq!(seen, [opened(true), opened(false)]);
}

/// A request as it came.
#[derive(Clone, Debug)]
struct Arrived {
    headers: hyper::HeaderMap,
    body: Bytes,
}

/// A server that answers with these statuses, the last one from then on.
async fn server(statuses: &'static [u16]) -> (String, Arc<Mutex<Vec<Arrived>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let arrived: Arc<Mutex<Vec<Arrived>>> = Arc::default();
    let requests = Arc::clone(&arrived);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let requests = Arc::clone(&requests);
            let serve = service_fn(move |request: Request<Incoming>| {
                let requests = Arc::clone(&requests);
                async move {
                    let headers = request.headers().clone();
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    let mut requests = requests.lock().unwrap();
                    requests.push(Arrived { headers, body });
                    let at = (requests.len() - 1).min(statuses.len() - 1);
                    let response = Response::builder().status(statuses[at]);
                    let response = response.header("retry-after", "0");
                    Ok::<_, Infallible>(response.body(Full::<Bytes>::default()).unwrap())
                }
            });
            tokio::spawn(async move {
                let http = hyper::server::conn::http1::Builder::new();
                let _ = http.serve_connection(TokioIo::new(stream), serve).await;
            });
        }
    });
    (url, arrived)
}

/// Opens a circuit under a monitor with that sink, in real time, and waits until `done`.
async fn deliver(
    built: seawall_monitor::MonitorBuilder,
    registry: &Registry,
    done: impl Fn(&Monitor) -> bool,
) -> Monitor {
    let breaker = Fake::new(registry, "breaker", "alpaca");
    let monitor = built.build().unwrap();
    let guard = monitor.start();
    tokio::task::yield_now().await;
    breaker.transition("open");
    let waited = timeout(Duration::from_secs(20), async {
        while !done(&monitor) {
            sleep(Duration::from_millis(10)).await;
        }
    });
    let waited = waited.await;
    assert!(waited.is_ok(), "{:?}", monitor.sinks());
    assert_eq!(firing(&monitor), ["BreakerOpened"]);
    drop(guard);
    monitor
}

#[tokio::test]
async fn a_webhook_is_signed_and_tried_again() {
    let (url, arrived) = server(&[503, 500, 204]).await;
    let endpoint = Endpoint::builder(url)
        .header("authorization", "Bearer x")
        .build();
    let sink = WebhookSink::new(endpoint.unwrap(), KEY).unwrap();
    let registry = Registry::new("desk");
    let monitor = deliver(builder(&registry).sink(sink), &registry, |monitor| {
        monitor.sinks()[0].delivered == 1
    })
    .await;
    assert_eq!(monitor.sinks()[0].failed, 0);
    let arrived = arrived.lock().unwrap().clone();
    assert_eq!(arrived.len(), 3);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    for request in &arrived {
        let header = |name: &str| request.headers[name].to_str().unwrap();
        assert_eq!(header("content-type"), "application/json");
        assert_eq!(header("authorization"), "Bearer x");
        let (time, signature) = (header(TIMESTAMP_HEADER), header(SIGNATURE_HEADER));
        let minute = Duration::from_secs(60);
        assert!(verify_signature(
            KEY,
            time,
            signature,
            &request.body,
            now,
            minute
        ));
        assert!(!verify_signature(
            b"another key",
            time,
            signature,
            &request.body,
            now,
            minute
        ));
    }
    let body: Value = serde_json::from_slice(&arrived[2].body).unwrap();
    assert_eq!(body["version"], 1);
    let alerts = body["alerts"].as_array().unwrap();
    assert_eq!(alerts.len(), 1);
    let opened = alerts
        .iter()
        .find(|it| it["name"] == "BreakerOpened")
        .unwrap();
    assert_eq!(opened["state"], "firing");
    assert_eq!(opened["words"], "alpaca: the circuit is open");
    assert_eq!(opened["severity"], "warning");
}

#[tokio::test]
async fn what_the_receiver_rejects_is_not_sent_again_at_once() {
    let (url, arrived) = server(&[400]).await;
    let sink = WebhookSink::new(Endpoint::builder(url).build().unwrap(), KEY).unwrap();
    let registry = Registry::new("desk");
    let monitor = deliver(builder(&registry).sink(sink), &registry, |monitor| {
        monitor.sinks()[0].failed == 1
    })
    .await;
    assert_eq!(arrived.lock().unwrap().len(), 1);
    let error = monitor.sinks()[0].last_error.clone().unwrap();
    assert_eq!(error, "status 400 Bad Request");
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_reported() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    drop(listener);
    let endpoint = Endpoint::builder(url).attempts(2).build().unwrap();
    let sink = WebhookSink::new(endpoint, KEY).unwrap();
    let registry = Registry::new("desk");
    let monitor = deliver(builder(&registry).sink(sink), &registry, |monitor| {
        monitor.sinks()[0].failed == 1
    })
    .await;
    let error = monitor.sinks()[0].last_error.clone().unwrap();
    assert!(error.to_lowercase().contains("refused"), "{error}");
}

#[tokio::test]
async fn alertmanager_gets_what_it_takes() {
    let (url, arrived) = server(&[200]).await;
    let endpoint = Endpoint::builder(url).build().unwrap();
    let sink = AlertmanagerSink::new(endpoint, 60 * SECOND).unwrap();
    let registry = Registry::new("desk");
    let built = Monitor::builder("trader").registry(registry.clone());
    deliver(built.sink(sink), &registry, |monitor| {
        monitor.sinks()[0].delivered == 1
    })
    .await;
    let body: Value = serde_json::from_slice(&arrived.lock().unwrap()[0].body).unwrap();
    let alerts = body.as_array().unwrap();
    let opened = alerts
        .iter()
        .find(|it| it["labels"]["alertname"] == "BreakerOpened")
        .unwrap();
    assert_eq!(opened["labels"]["service"], "alpaca");
    assert_eq!(opened["labels"]["registry"], "desk");
    assert_eq!(opened["labels"]["program"], "trader");
    assert_eq!(opened["labels"]["severity"], "warning");
    assert_eq!(
        opened["annotations"]["summary"],
        "alpaca: the circuit is open"
    );
    assert_eq!(
        opened["annotations"]["runbook_url"],
        "docs/runbooks/BreakerOpened.md"
    );
    let time = |field: &str| opened[field].as_str().unwrap().to_owned();
    let (starts, ends) = (time("startsAt"), time("endsAt"));
    assert!(
        starts < ends && ends.ends_with('Z') && ends.len() == 24,
        "{starts} {ends}"
    );
}

#[test]
fn endpoints_that_make_no_sense_are_rejected_by_name() {
    let field = |builder: seawall_monitor::EndpointBuilder| builder.build().unwrap_err();
    let url = "http://127.0.0.1:1/";
    for wrong in [
        "",
        "not a url",
        "/path",
        "https://127.0.0.1/",
        "127.0.0.1:1",
    ] {
        assert_eq!(field(Endpoint::builder(wrong)).field(), "url", "{wrong}");
    }
    assert_eq!(
        field(Endpoint::builder(url).attempts(0)).field(),
        "attempts"
    );
    let zero = Endpoint::builder(url).attempt_timeout(Duration::ZERO);
    assert_eq!(field(zero).field(), "attempt_timeout");
    assert_eq!(
        field(Endpoint::builder(url).header("a b", "c")).field(),
        "header"
    );
    let secret = Endpoint::builder(url).header("authorization", "se\ncret");
    let shown = field(secret).to_string();
    assert!(!shown.contains("cret"), "{shown}");
    let endpoint = Endpoint::builder(url)
        .header("authorization", "secret")
        .build()
        .unwrap();
    let sink = WebhookSink::new(endpoint.clone(), KEY).unwrap();
    assert!(!format!("{sink:?}").contains("secret"));
    let short = WebhookSink::new(endpoint.clone(), "short").unwrap_err();
    assert_eq!(
        short.to_string(),
        "`key` is 5 bytes, accepted is at least 16 bytes"
    );
    assert_eq!(
        AlertmanagerSink::new(endpoint, Duration::ZERO)
            .unwrap_err()
            .field(),
        "resend_every"
    );
}
