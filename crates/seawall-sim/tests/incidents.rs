//! Scripted faults as a client meets them, over real sockets.

mod wire;

use std::io::{ErrorKind, Write};
use std::time::{Duration, SystemTime};

use seawall_sim::incident::{Fault, Incidents, ProviderKind};
use seawall_sim::provider::{AiApi, Broker, Handle, MarketData};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use wire::{CallError, Client, always, eventually, prompt};

const FAR: Duration = Duration::from_secs(3_600);

async fn broker(fault: &str) -> (Handle, Client, String) {
    let broker = Broker::alpaca()
        .incidents(always("broker", fault))
        .start()
        .await
        .expect("starts");
    let base = broker.base_url();
    (broker, Client::new(), base)
}

async fn faulty(fault: &str) -> (Handle, Result<wire::Response, CallError>) {
    let (broker, client, base) = broker(fault).await;
    let result = client.order(&base, "x").await;
    (broker, result)
}

fn is_cut(error: &CallError) -> bool {
    matches!(
        error.kind(),
        Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
    )
}

/// Ends what the script does, without waiting for it.
fn end(handle: &Handle) {
    handle.start_clock_at(Instant::now() + FAR);
}

#[tokio::test]
async fn a_closed_listener_refuses_new_connections_and_keeps_old_ones() {
    let script = always("broker", r#""refuse""#);
    let broker = Broker::alpaca()
        .incidents(script)
        .hold_clock()
        .start()
        .await
        .expect("starts");
    let (old, base) = (Client::new(), broker.base_url());
    assert_eq!(
        old.order(&base, "before").await.expect("not begun").status,
        200
    );

    broker.start_clock();
    // What was in the backlog when the listener closed is reset; after that every connection is refused.
    eventually(|| async {
        let kind = Client::new().order(&base, "refused").await.err()?.kind();
        (kind == Some(ErrorKind::ConnectionRefused)).then_some(())
    })
    .await;
    assert!(broker.in_outage());
    assert_eq!(
        old.order(&base, "old")
            .await
            .expect("the pooled connection is open")
            .status,
        200
    );

    end(&broker);
    eventually(|| async { Client::new().order(&base, "after").await.ok() }).await;
    assert_eq!(
        (broker.executions("old"), broker.executions("after")),
        (1, 1)
    );
}

#[tokio::test]
async fn an_outage_resets_what_is_connected_and_refuses_the_rest() {
    let script = always("broker", r#""outage""#);
    let broker = Broker::alpaca()
        .incidents(script)
        .hold_clock()
        .start()
        .await
        .expect("starts");
    let mut idle = TcpStream::connect(broker.addr()).await.expect("not begun");
    idle.write_all(b"GET /v2/positions HTTP/1.1\r\nhost: sim\r\n\r\n")
        .await
        .expect("sent");
    let mut buffer = [0; 4096];
    assert!(idle.read(&mut buffer).await.expect("a response") > 0);

    broker.start_clock();
    let error = idle.read(&mut buffer).await.expect_err("reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let error = TcpStream::connect(broker.addr())
        .await
        .expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);

    end(&broker);
    eventually(|| async { TcpStream::connect(broker.addr()).await.ok() }).await;
    assert!(!broker.in_outage());
}

#[tokio::test]
async fn an_outage_that_resets_counts_connections() {
    let script = always("broker", "\"outage\"\nmode = \"reset\"");
    let broker = Broker::alpaca()
        .incidents(script)
        .start()
        .await
        .expect("starts");
    let base = broker.base_url();
    for _ in 0..3 {
        let error = Client::new().order(&base, "x").await.expect_err("reset");
        assert!(matches!(error, CallError::Call(_)), "{error:?}");
    }
    let stats = broker.stats();
    assert_eq!(
        (stats.connections, stats.during_outage, stats.received),
        (3, 3, 0)
    );
    assert_eq!(broker.executions("x"), 0);
}

#[tokio::test]
async fn an_outage_may_leave_the_front_end_alive() {
    let (broker, response) = faulty("\"outage\"\nmode = \"unavailable\"").await;
    assert_eq!(response.expect("a response").status, 503);
    assert_eq!(
        (broker.stats().during_outage, broker.executions("x")),
        (1, 0)
    );
}

#[tokio::test]
async fn a_reset_before_reading_executes_nothing() {
    let (broker, result) = faulty(r#""reset_before_read""#).await;
    let error = result.expect_err("reset");
    assert!(
        matches!(error, CallError::Call(_)) && is_cut(&error),
        "{error:?}"
    );
    assert_eq!((broker.executions("x"), broker.stats().executed), (0, 0));
    assert_eq!(broker.stats().faults["reset_before_read"], 1);
}

#[tokio::test]
async fn a_reset_after_execution_looks_the_same_and_has_placed_the_order() {
    let (broker, result) = faulty(r#""reset_after_execute""#).await;
    let error = result.expect_err("reset");
    assert!(
        matches!(error, CallError::Call(_)) && is_cut(&error),
        "{error:?}"
    );
    assert_eq!(broker.executions("x"), 1);
}

#[tokio::test]
async fn a_reset_during_the_body_comes_after_a_good_head() {
    let (broker, result) = faulty("\"reset_during_body\"\nshare = 0.5").await;
    match result.expect_err("reset") {
        CallError::Body(status, part, _) => {
            assert_eq!(status, 200);
            assert!(part.len() > 50, "{part:?}");
        }
        error @ CallError::Call(_) => panic!("{error:?}"),
    }
    assert_eq!(broker.executions("x"), 1);
}

#[tokio::test]
async fn a_truncated_body_is_shorter_than_announced_and_ends_regularly() {
    let (broker, _, _) = broker("\"truncate_body\"\nshare = 0.25").await;
    let mut stream = TcpStream::connect(broker.addr()).await.expect("connects");
    let order = r#"{"symbol":"A","qty":1,"side":"buy","client_order_id":"x"}"#;
    let mut request = Vec::new();
    write!(
        request,
        "POST /v2/orders HTTP/1.1\r\nhost: sim\r\ncontent-length: {}\r\n\r\n{order}",
        order.len()
    )
    .expect("written");
    stream.write_all(&request).await.expect("sent");
    let mut text = String::new();
    stream
        .read_to_string(&mut text)
        .await
        .expect("a regular end");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let announced = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let announced: usize = announced.expect("announced").parse().expect("a number");
    assert_eq!(body.len(), announced / 4);
    assert_eq!(broker.executions("x"), 1);

    let error = Client::new()
        .order(&broker.base_url(), "y")
        .await
        .expect_err("truncated");
    assert!(matches!(error, CallError::Body(..)), "{error:?}");
}

#[tokio::test]
async fn a_slow_body_is_complete_after_its_pauses() {
    let (_broker, client, base) = broker("\"slow_body\"\npause = \"10ms\"\npieces = 5").await;
    let before = Instant::now();
    let response = client.order(&base, "x").await.expect("a response");
    assert!(Instant::now() - before >= Duration::from_millis(50));
    assert_eq!(response.json()["client_order_id"], "x");
}

#[tokio::test]
async fn a_stall_lasts_until_the_client_gives_up() {
    for (execute, executions) in [(false, 0), (true, 1)] {
        let (broker, client, base) = broker(&format!("\"stall\"\nexecute = {execute}")).await;
        let call = client.order(&base, "x");
        let stalled =
            async { eventually(|| async { broker.stats().faults.get("stall").copied() }).await };
        let mut call = std::pin::pin!(call);
        tokio::select! {
            response = &mut call => panic!("{response:?}"),
            count = stalled => assert_eq!(count, 1),
        }
        assert!(timeout(Duration::from_millis(30), call).await.is_err());
        assert_eq!(broker.executions("x"), executions);
    }
}

#[tokio::test]
async fn an_order_may_be_executed_after_its_caller_has_given_up() {
    let late = "\"execute_late\"\ndelay = \"300ms\"\nresponse = ";
    for response in ["\"reset\"", "\"status\"\ncode = 502", "\"stall\""] {
        let (broker, client, base) = broker(&format!("{late}{response}")).await;
        let call = timeout(Duration::from_millis(30), client.order(&base, "x"));
        match (response, call.await) {
            ("\"stall\"", Err(_)) => {}
            ("\"reset\"", Ok(Err(error))) => assert!(is_cut(&error), "{error:?}"),
            (_, Ok(Ok(response))) => assert_eq!(response.status, 502),
            (_, other) => panic!("{response}: {other:?}"),
        }
        assert_eq!(broker.executions("x"), 0, "{response}: not yet");
        eventually(|| async { (broker.executions("x") == 1).then_some(()) }).await;
        assert_eq!(broker.stats().faults["execute_late"], 1);
    }
}

#[tokio::test]
async fn a_client_that_leaves_does_not_undo_its_order() {
    let (broker, client, base) = broker("\"latency\"\ndelay = \"100ms\"").await;
    {
        let mut call = std::pin::pin!(client.order(&base, "x"));
        let arrived =
            async { eventually(|| async { (broker.stats().received == 1).then_some(()) }).await };
        tokio::select! {
            _ = &mut call => {}
            () = arrived => {}
        }
    }
    eventually(|| async { (broker.executions("x") == 1).then_some(()) }).await;
}

#[tokio::test]
async fn a_delay_is_applied() {
    let (_broker, client, base) = broker("\"latency\"\ndelay = \"60ms\"").await;
    let before = Instant::now();
    assert_eq!(
        client.order(&base, "x").await.expect("a response").status,
        200
    );
    assert!(Instant::now() - before >= Duration::from_millis(60));
}

#[tokio::test]
async fn an_error_status_may_hide_an_execution() {
    let fault = "\"status\"\ncode = 504\nexecute = true\nretry_after = \"1500ms\"";
    let (broker, response) = faulty(fault).await;
    let response = response.expect("a response");
    assert_eq!(
        (response.status.as_u16(), response.number("retry-after")),
        (504, 2)
    );
    assert_eq!(broker.executions("x"), 1);
    let (broker, response) = faulty("\"status\"\ncode = 500").await;
    let response = response.expect("a response");
    assert_eq!(
        (response.status.as_u16(), response.header("retry-after")),
        (500, "")
    );
    assert_eq!(broker.executions("x"), 0);
}

#[tokio::test]
async fn a_provider_that_recovers_fails_and_is_slow_at_first() {
    let fault = "\"slow_recovery\"\nlatency = \"50ms\"\nerrors = 1.0\ncode = 502";
    let (broker, client, base) = broker(fault).await;
    let before = Instant::now();
    assert_eq!(
        client.order(&base, "x").await.expect("a response").status,
        502
    );
    // The hour has hardly begun.
    assert!(Instant::now() - before >= Duration::from_millis(49));
    assert_eq!(
        (
            broker.executions("x"),
            broker.stats().faults["slow_recovery"]
        ),
        (0, 1)
    );
}

#[tokio::test]
async fn a_scripted_throttle_has_a_retry_after_in_both_forms_or_none() {
    let (broker, response) = faulty(r#""throttle""#).await;
    let response = response.expect("a response");
    assert_eq!(
        (response.status.as_u16(), response.header("retry-after")),
        (429, "")
    );
    let stats = broker.stats();
    assert_eq!(
        (stats.throttled, stats.violations, stats.executed),
        (1, 0, 0)
    );

    let (_broker, response) = faulty("\"throttle\"\nretry_after = \"2s\"").await;
    assert_eq!(response.expect("a response").number("retry-after"), 2);

    let sent = SystemTime::now();
    let (_broker, response) =
        faulty("\"throttle\"\nretry_after = \"30s\"\nretry_after_form = \"date\"").await;
    let response = response.expect("a response");
    let date = httpdate::parse_http_date(response.header("retry-after")).expect("a date");
    assert!(date >= sent + Duration::from_secs(30), "never too early");
}

#[tokio::test]
async fn hidden_throttles_and_used_up_quotas_have_the_providers_format() {
    let client = Client::new();
    let script = always("market_data", r#""hidden_throttle""#);
    let vendor = MarketData::alpha_vantage()
        .incidents(script)
        .start()
        .await
        .expect("starts");
    let url = format!(
        "{}/query?function=GLOBAL_QUOTE&symbol=IBM",
        vendor.base_url()
    );
    let response = client.get(url).await.expect("a response");
    assert_eq!(response.status, 200);
    assert!(response.json()["Information"].is_string());

    let script = always("ai_api", r#""quota_exhausted""#);
    let openai = AiApi::open_ai()
        .incidents(script.clone())
        .start()
        .await
        .expect("starts");
    let url = format!("{}/v1/chat/completions", openai.base_url());
    let response = client
        .post(url, &prompt("x", false))
        .await
        .expect("a response");
    assert_eq!(
        (response.status.as_u16(), &response.json()["error"]["code"]),
        (429, &json!("insufficient_quota"))
    );
    assert_eq!(response.header("retry-after"), "");

    let anthropic = AiApi::anthropic()
        .incidents(script)
        .start()
        .await
        .expect("starts");
    let url = format!("{}/v1/messages", anthropic.base_url());
    let response = client
        .post(url, &prompt("x", false))
        .await
        .expect("a response")
        .json();
    assert_eq!(
        response["error"]["details"]["error_code"],
        "enforced_spend_limit_reached"
    );
}

#[tokio::test]
async fn anthropic_is_overloaded_with_529() {
    let script = always("ai_api", "\"status\"\ncode = 529");
    let api = AiApi::anthropic()
        .incidents(script)
        .start()
        .await
        .expect("starts");
    let url = format!("{}/v1/messages", api.base_url());
    let response = Client::new()
        .post(url, &prompt("x", false))
        .await
        .expect("a response");
    assert_eq!(
        (response.status.as_u16(), &response.json()["error"]["type"]),
        (529, &json!("overloaded_error"))
    );
}

#[tokio::test]
async fn a_stream_can_break_or_turn_into_an_error() {
    let client = Client::new();
    for fault in ["truncate_body", "reset_during_body"] {
        let script = always("ai_api", &format!("\"{fault}\""));
        let api = AiApi::open_ai()
            .incidents(script)
            .start()
            .await
            .expect("starts");
        let url = format!("{}/v1/chat/completions", api.base_url());
        match client
            .post(url, &prompt("x", true))
            .await
            .expect_err("error")
        {
            CallError::Body(status, part, _) => {
                let text = String::from_utf8(part).expect("text");
                assert!(status == 200 && text.starts_with("data: {") && !text.contains("[DONE]"));
            }
            error @ CallError::Call(_) => panic!("{error:?}"),
        }
        assert_eq!(api.stats().tokens.output, 8, "billed all the same");
    }
    let script = always("ai_api", r#""hidden_throttle""#);
    let api = AiApi::anthropic()
        .incidents(script)
        .start()
        .await
        .expect("starts");
    let url = format!("{}/v1/messages", api.base_url());
    let response = client
        .post(url, &prompt("x", true))
        .await
        .expect("a response");
    assert_eq!(response.status, 200);
    assert!(
        response.text().starts_with("event: error\ndata: {"),
        "{}",
        response.text()
    );
}

#[tokio::test]
async fn a_scripted_ban_outlives_its_incident() {
    let script = always("broker", "\"ban\"\nstatus = 418\nlasts = \"2h\"");
    let broker = Broker::alpaca()
        .incidents(script)
        .start()
        .await
        .expect("starts");
    let (client, base) = (Client::new(), broker.base_url());
    assert_eq!(
        client.order(&base, "x").await.expect("a response").status,
        418
    );
    end(&broker);
    assert_eq!(
        client.order(&base, "x").await.expect("a response").status,
        418
    );
    let stats = broker.stats();
    assert_eq!(
        (
            stats.scripted_bans,
            stats.bans,
            stats.while_banned,
            stats.executed
        ),
        (1, 0, 1, 0)
    );
}

#[tokio::test]
async fn a_fault_affects_only_its_route_and_its_time() {
    let script = always(
        "broker",
        "\"status\"\ncode = 500\nroute = \"orders.create\"",
    );
    let broker = Broker::alpaca()
        .incidents(script)
        .hold_clock()
        .start()
        .await
        .expect("starts");
    let (client, base) = (Client::new(), broker.base_url());
    assert_eq!(
        client.order(&base, "x").await.expect("a response").status,
        200
    );
    broker.start_clock();
    assert_eq!(
        client.order(&base, "x").await.expect("a response").status,
        500
    );
    let positions = client
        .get(format!("{base}/v2/positions"))
        .await
        .expect("a response");
    assert_eq!(positions.status, 200);
    end(&broker);
    assert_eq!(
        client.order(&base, "x").await.expect("a response").status,
        200
    );
}

#[tokio::test]
async fn the_same_seed_affects_the_same_requests() {
    let mut runs = Vec::new();
    for seed in [11, 11, 12] {
        let script = always("broker", "\"reset_after_execute\"\nprobability = 0.4").with_seed(seed);
        let broker = Broker::alpaca()
            .incidents(script)
            .start()
            .await
            .expect("starts");
        let (client, base) = (Client::new(), broker.base_url());
        let mut outcomes = Vec::new();
        for number in 0..40 {
            outcomes.push(client.order(&base, &number.to_string()).await.is_ok());
        }
        assert_eq!(broker.orders().len(), 40, "all were executed");
        runs.push(outcomes);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
    let lost = runs[0].iter().filter(|ok| !**ok).count();
    assert!((6..=26).contains(&lost), "{lost} of 40");
}

#[test]
fn percentages_follow_the_length_of_the_run() {
    let text = r#"
        length = "10s"
        [[incident]]
        provider = "ai_api"
        from = "20%"
        to = "50%"
        fault = "ban"
        lasts = "10%"
    "#;
    let script = Incidents::from_toml(text).expect("valid");
    for (script, seconds) in [
        (script.clone(), 10),
        (script.scaled(Duration::from_secs(40)), 40),
    ] {
        let incident = script.iter().next().expect("one");
        let run = Duration::from_secs(seconds);
        assert_eq!((incident.from, incident.to), (run / 5, run / 2));
        assert_eq!(
            incident.fault,
            Fault::Ban {
                status: 403,
                lasts: Some(run / 10)
            }
        );
        assert!(incident.is_active(ProviderKind::AiApi, run / 5));
        assert!(
            !incident.is_active(ProviderKind::AiApi, run / 2)
                && !incident.is_active(ProviderKind::Broker, run / 5)
        );
    }
}

/// An incident with some lines replaced or added.
fn lines(changes: &[&str]) -> String {
    let mut lines = vec![
        "provider = \"broker\"",
        "from = \"1s\"",
        "to = \"2s\"",
        "fault = \"stall\"",
    ];
    for change in changes {
        let key = change.split(' ').next().expect("a key");
        lines.retain(|line| line.split(' ').next() != Some(key));
        lines.push(change);
    }
    format!("[[incident]]\n{}\n", lines.join("\n"))
}

#[test]
fn a_bad_file_is_one_line_with_line_value_and_what_is_accepted() {
    for (text, expected) in [
        (
            lines(&["colour = 1"]),
            "line 6: incident[0].colour = 1: unknown key with fault = \"stall\": expected one of provider,",
        ),
        (
            lines(&["pause = \"1s\""]),
            "incident[0].pause = \"1s\": unknown key with fault = \"stall\"",
        ),
        (
            "sed = 1\n".into(),
            "line 1: sed = 1: unknown key: expected one of seed, length, incident",
        ),
        (
            "seed = -3\n".into(),
            "line 1: seed = -3: expected a whole number from 0",
        ),
        (
            "length = \"0s\"\n".into(),
            "line 1: length = \"0s\": expected more than 0",
        ),
        (
            "incident = 3\n".into(),
            "line 1: incident = 3: expected tables headed [[incident]]",
        ),
        ("[[incident]\n".into(), "line 1: not valid TOML: "),
        (
            lines(&["fault = \"explode\""]),
            "line 5: incident[0].fault = \"explode\": expected one of \"latency\", \"status\",",
        ),
        (
            "[[incident]]\nprovider = \"*\"\n".into(),
            "incident[0].fault: missing: expected one of",
        ),
        (
            lines(&["provider = \"bank\""]),
            "incident[0].provider = \"bank\": expected one of \"broker\", \"market_data\", \"ai_api\", \"*\"",
        ),
        (
            lines(&["route = \"quotes\""]),
            "incident[0].route = \"quotes\": expected one of \"orders.create\", \"orders.query\", \"orders.cancel\", \"positions\", \"other\", \"orders.replace\", \"fills\"",
        ),
        (
            lines(&["from = \"3s\""]),
            "incident[0].to = \"2s\": expected an end after from = \"3s\"",
        ),
        (
            lines(&["from = \"-1s\""]),
            "incident[0].from = \"-1s\": expected a duration like",
        ),
        (
            lines(&["from = \"1 s\""]),
            "incident[0].from = \"1 s\": expected a duration like",
        ),
        (
            lines(&["from = 3"]),
            "incident[0].from = 3: expected a duration like",
        ),
        (
            lines(&["from = \"101%\""]),
            "incident[0].from = \"101%\": expected a duration like",
        ),
        (
            lines(&["to = \"25h\""]),
            "incident[0].to = \"25h\": expected a duration like",
        ),
        (
            lines(&["to = \"1e3s\""]),
            "incident[0].to = \"1e3s\": expected a duration like",
        ),
        (
            lines(&["to = \"50%\""]),
            "incident[0].to = \"50%\": expected the form of from",
        ),
        (
            lines(&["for = \"1s\""]),
            "incident[0].for = \"1s\": expected either to or for, not both",
        ),
        (
            lines(&["probability = 1.5"]),
            "line 6: incident[0].probability = 1.5: expected a number from 0 to 1",
        ),
        (
            lines(&["probability = nan"]),
            "incident[0].probability = nan: expected a number from 0 to 1",
        ),
        (
            lines(&["probability = \"often\""]),
            "incident[0].probability = \"often\": expected a number from 0 to 1",
        ),
        (
            lines(&["execute = 1"]),
            "incident[0].execute = 1: expected true or false",
        ),
        (
            lines(&["fault = \"status\""]),
            "incident[0].code: missing: expected a status from 400 to 599",
        ),
        (
            lines(&["fault = \"status\"", "code = 200"]),
            "incident[0].code = 200: expected a status from 400 to 599",
        ),
        (
            lines(&["fault = \"slow_body\"", "pieces = 0"]),
            "incident[0].pieces = 0: expected a whole number from 1 to 10000",
        ),
        (
            lines(&["fault = \"outage\"", "mode = \"nap\""]),
            "incident[0].mode = \"nap\": expected one of \"refuse\", \"reset\", \"unavailable\"",
        ),
        (
            lines(&["fault = \"refuse\"", "probability = 0.5"]),
            "incident[0].probability = 0.5: expected no such key: \"refuse\" affects all of the provider",
        ),
        (
            lines(&["fault = \"latency\""]),
            "incident[0].delay: missing: expected a duration like",
        ),
        (
            lines(&["fault = \"execute_late\""]),
            "incident[0].delay: missing: expected a duration like",
        ),
        (
            lines(&["fault = \"execute_late\"", "delay = \"1s\"", "code = 504"]),
            "incident[0].code = 504: expected no such key: only response = \"status\" has code",
        ),
        (
            lines(&[
                "fault = \"execute_late\"",
                "delay = \"1s\"",
                "response = \"ok\"",
            ]),
            "incident[0].response = \"ok\": expected one of \"stall\", \"reset\", \"status\"",
        ),
        (
            lines(&["delay = \"1s\""]),
            "incident[0].delay = \"1s\": unknown key with fault = \"stall\"",
        ),
        (
            lines(&["fault = \"latency\"", "delay = \"1s\"", "sigma = 1"]),
            "incident[0].sigma = 1: expected no such key: \"constant\" has delay",
        ),
        (
            lines(&[
                "fault = \"latency\"",
                "distribution = \"pareto\"",
                "min = \"1s\"",
                "shape = 0",
            ]),
            "incident[0].shape = 0: expected a number above 0",
        ),
        (
            lines(&[
                "fault = \"latency\"",
                "distribution = \"uniform\"",
                "min = \"2s\"",
                "max = \"1s\"",
            ]),
            "incident[0].max = \"1s\": expected at least min = \"2s\"",
        ),
    ] {
        let error = Incidents::from_toml(&text).expect_err(&text).to_string();
        assert!(error.starts_with("incidents: line "), "{error}");
        assert!(
            error.contains(expected),
            "\n{error}\nshould have\n{expected}"
        );
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn a_file_is_named_in_its_errors() {
    let error = Incidents::from_file("no/such/incidents.toml").expect_err("missing");
    assert!(
        error
            .to_string()
            .starts_with("no/such/incidents.toml: cannot be read: "),
        "{error}"
    );
    let path = std::env::temp_dir().join(format!("seawall-incidents-{}.toml", std::process::id()));
    std::fs::write(&path, lines(&["probability = 2"])).expect("written");
    let error = Incidents::from_file(&path).expect_err("invalid");
    std::fs::remove_file(&path).expect("removed");
    assert_eq!(
        (error.line(), error.key(), error.value()),
        (Some(6), Some("incident[0].probability"), Some("2"))
    );
    assert!(
        error.to_string().starts_with(&path.display().to_string()),
        "{error}"
    );
}
