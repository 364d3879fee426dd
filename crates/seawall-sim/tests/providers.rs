//! Simulated providers as their clients see them, over real sockets.

mod wire;

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Method;
use seawall_sim::provider::{AiApi, BanPolicy, Broker, Limit, MarketData, OrderStatus};
use serde_json::{Value, json};
use wire::{CallError, Client, eventually, prompt};

const HOUR: Duration = Duration::from_secs(3_600);

fn hourly(count: u32) -> Limit {
    Limit::new(count, HOUR).expect("valid")
}

fn limit_order(id: &str) -> Value {
    json!({ "symbol": "MSFT", "qty": 2, "side": "sell", "type": "limit", "limit_price": "300",
            "client_order_id": id })
}

#[tokio::test]
async fn an_order_exists_from_create_to_cancel() {
    let broker = Broker::alpaca().start().await.expect("starts");
    let (client, base) = (Client::new(), broker.base_url());

    let made = client
        .post(format!("{base}/v2/orders"), &limit_order("a-1"))
        .await
        .expect("a response");
    assert_eq!(made.status, 200);
    assert_eq!(made.json()["client_order_id"], "a-1");
    assert_eq!(made.json()["qty"], "2");
    let id = made.json()["id"].as_str().expect("an id").to_owned();

    let url = format!("{base}/v2/orders:by_client_order_id?client_order_id=a-1");
    let found = client.get(url).await.expect("a response");
    assert_eq!(
        (found.json()["id"].as_str(), found.json()["status"].as_str()),
        (Some(&*id), Some("new"))
    );
    let open = client
        .get(format!("{base}/v2/orders"))
        .await
        .expect("a response");
    assert_eq!(open.json().as_array().map(Vec::len), Some(1));

    let cancel = || {
        client.send(
            Method::DELETE,
            format!("{base}/v2/orders/{id}"),
            String::new(),
        )
    };
    let cancelled = cancel().await.expect("a response");
    assert_eq!((cancelled.status.as_u16(), cancelled.body.len()), (204, 0));
    assert_eq!(cancel().await.expect("a response").status, 422);
    assert_eq!(broker.orders()[0].status, OrderStatus::Canceled);

    let unknown = client
        .get(format!("{base}/v2/orders/none"))
        .await
        .expect("a response");
    assert_eq!(
        (unknown.status.as_u16(), unknown.json()["code"].as_u64()),
        (404, Some(40_410_000))
    );
}

#[tokio::test]
async fn market_orders_fill_and_become_positions() {
    let broker = Broker::alpaca().start().await.expect("starts");
    let (client, base) = (Client::new(), broker.base_url());
    for id in ["b-1", "b-2"] {
        let made = client.order(&base, id).await.expect("a response");
        assert_eq!(made.json()["status"], "accepted");
    }
    let url = format!("{base}/v2/orders:by_client_order_id?client_order_id=b-2");
    assert_eq!(
        client.get(url).await.expect("a response").json()["status"],
        "filled"
    );
    let positions = client
        .get(format!("{base}/v2/positions"))
        .await
        .expect("a response")
        .json();
    assert_eq!(
        (&positions[0]["symbol"], &positions[0]["qty"]),
        (&json!("AAPL"), &json!("2"))
    );
}

#[tokio::test]
async fn each_order_is_executed_as_often_as_it_is_sent() {
    let broker = Broker::alpaca().start().await.expect("starts");
    let (client, base) = (Client::new(), broker.base_url());
    for id in ["twice", "once", "twice"] {
        client.order(&base, id).await.expect("a response");
    }
    assert_eq!(
        (
            broker.executions("twice"),
            broker.executions("once"),
            broker.executions("never")
        ),
        (2, 1, 0)
    );
    assert_eq!(
        broker.executions_by_id(),
        BTreeMap::from([("once".into(), 1), ("twice".into(), 2)])
    );
}

#[tokio::test]
async fn malformed_orders_are_not_executed() {
    let broker = Broker::alpaca().start().await.expect("starts");
    let client = Client::new();
    let url = format!("{}/v2/orders", broker.base_url());
    for (body, status) in [
        ("not json".to_owned(), 400),
        (json!({ "qty": 1, "side": "buy" }).to_string(), 422),
        (
            json!({ "symbol": "A", "qty": 0, "side": "buy" }).to_string(),
            422,
        ),
        (
            json!({ "symbol": "A", "qty": "NaN", "side": "buy" }).to_string(),
            422,
        ),
        (
            json!({ "symbol": "A", "qty": 1, "side": "hold" }).to_string(),
            422,
        ),
        (
            json!({ "symbol": "A", "qty": 1, "side": "buy", "client_order_id": "x".repeat(129) })
                .to_string(),
            422,
        ),
        (" ".repeat((1 << 20) + 1), 413),
    ] {
        let response = client
            .send(Method::POST, url.clone(), body)
            .await
            .expect("a response");
        assert_eq!(response.status, status, "{}", response.text());
    }
    assert!(broker.orders().is_empty());
}

#[tokio::test]
async fn alpaca_counts_down_in_headers_and_sends_429_without_retry_after() {
    let broker = Broker::alpaca()
        .limit(hourly(3))
        .start()
        .await
        .expect("starts");
    let (client, base) = (Client::new(), broker.base_url());
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    for remaining in [2, 1, 0] {
        let response = client.order(&base, "c").await.expect("a response");
        assert_eq!(response.number("x-ratelimit-limit"), 3);
        assert_eq!(response.number("x-ratelimit-remaining"), remaining);
        assert!((now..=now + 3_700).contains(&response.number("x-ratelimit-reset")));
    }
    let over = client.order(&base, "c").await.expect("a response");
    assert_eq!(over.status, 429);
    assert_eq!(
        over.json(),
        json!({ "code": 42_910_000, "message": "too many requests" })
    );
    assert_eq!(over.number("x-ratelimit-remaining"), 0);
    assert!(!over.headers.contains_key("retry-after"));

    let stats = broker.stats();
    assert_eq!(
        (
            stats.received,
            stats.executed,
            stats.violations,
            stats.throttled
        ),
        (4, 3, 1, 1)
    );
    assert_eq!(stats.violations_by, BTreeMap::from([("requests", 1)]));
    assert_eq!((stats.bans, broker.executions("c")), (0, 3));
    let report = serde_json::to_value(&stats).expect("a report");
    assert_eq!(report["by_route"], json!({ "orders.create": 4 }));
}

#[tokio::test]
async fn limits_are_exact_under_concurrency() {
    let vendor = MarketData::polygon()
        .limit(hourly(10))
        .start()
        .await
        .expect("starts");
    let client = Client::new();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let (client, url) = (
            client.clone(),
            format!("{}/v2/last/nbbo/AAPL", vendor.base_url()),
        );
        calls.spawn(async move { client.get(url).await.expect("a response").status.as_u16() });
    }
    let statuses = calls.join_all().await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 10);
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 54);
    assert_eq!(
        (vendor.stats().executed, vendor.stats().violations),
        (10, 54)
    );
}

#[tokio::test]
async fn polygon_sends_no_limit_headers() {
    let vendor = MarketData::polygon()
        .limit(hourly(1))
        .start()
        .await
        .expect("starts");
    let client = Client::new();
    let url = format!("{}/v2/last/nbbo/AAPL", vendor.base_url());
    let quote = client.get(url.clone()).await.expect("a response");
    assert_eq!(
        (&quote.json()["results"]["T"], &quote.json()["status"]),
        (&json!("AAPL"), &json!("OK"))
    );
    let over = client.get(url).await.expect("a response");
    assert_eq!(
        (over.status.as_u16(), &over.json()["status"]),
        (429, &json!("ERROR"))
    );
    assert!(
        over.json()["error"]
            .as_str()
            .is_some_and(|text| text.contains("maximum requests per minute"))
    );
    assert!(
        !over
            .headers
            .keys()
            .any(|name| name.as_str().contains("rate") || name == "retry-after")
    );
}

#[tokio::test]
async fn alpha_vantage_throttles_inside_a_200() {
    let vendor = MarketData::alpha_vantage()
        .limit(hourly(1))
        .start()
        .await
        .expect("starts");
    let client = Client::new();
    let url = format!(
        "{}/query?function=GLOBAL_QUOTE&symbol=IBM",
        vendor.base_url()
    );
    let quote = client.get(url.clone()).await.expect("a response");
    assert_eq!(quote.json()["Global Quote"]["01. symbol"], "IBM");
    let over = client.get(url.clone()).await.expect("a response");
    assert_eq!(over.status, 200);
    assert!(
        over.json()["Information"]
            .as_str()
            .is_some_and(|text| text.contains("1 request per second"))
    );
    assert_eq!(vendor.stats().violations, 1);

    let vendor = MarketData::alpha_vantage()
        .limit(hourly(100))
        .quota(hourly(2))
        .start()
        .await
        .expect("starts");
    let url = format!(
        "{}/query?function=TIME_SERIES_INTRADAY&symbol=IBM",
        vendor.base_url()
    );
    for _ in 0..2 {
        let bars = client.get(url.clone()).await.expect("a response");
        assert_eq!(
            bars.json()["Time Series (1min)"]
                .as_object()
                .map(serde_json::Map::len),
            Some(10)
        );
    }
    let over = client.get(url).await.expect("a response").json();
    let text = over["Information"].as_str().expect("a text");
    assert!(
        text.contains("25 requests per day") && !text.contains("per second"),
        "{text}"
    );
    assert_eq!(vendor.stats().violations_by, BTreeMap::from([("quota", 1)]));
}

#[tokio::test]
async fn vendors_have_quotes_and_bars() {
    let client = Client::new();
    let alpaca = MarketData::alpaca().start().await.expect("starts");
    let base = alpaca.base_url();
    let quote = client
        .get(format!("{base}/v2/stocks/AAPL/quotes/latest"))
        .await
        .expect("a response");
    let (bid, ask) = (&quote.json()["quote"]["bp"], &quote.json()["quote"]["ap"]);
    assert!(bid.as_f64() < ask.as_f64() && bid.as_f64() > Some(0.0));
    assert_eq!(quote.number("x-ratelimit-remaining"), 199);
    let bars = client
        .get(format!("{base}/v2/stocks/AAPL/bars?limit=3"))
        .await
        .expect("a response");
    for bar in bars.json()["bars"].as_array().expect("bars") {
        assert!(bar["l"].as_f64() < bar["h"].as_f64());
    }
    assert_eq!(bars.json()["bars"].as_array().map(Vec::len), Some(3));
    assert_eq!(
        client
            .get(format!("{base}/v2/none"))
            .await
            .expect("a response")
            .status,
        404
    );

    let polygon = MarketData::polygon().start().await.expect("starts");
    let url = format!(
        "{}/v2/aggs/ticker/AAPL/range/1/minute/2026-01-01/2026-01-02",
        polygon.base_url()
    );
    assert_eq!(
        client.get(url).await.expect("a response").json()["resultsCount"],
        10
    );
}

#[tokio::test]
async fn openai_reports_both_limits_and_their_reset() {
    let api = AiApi::open_ai()
        .limit(hourly(2))
        .start()
        .await
        .expect("starts");
    let client = Client::new();
    let url = format!("{}/v1/chat/completions", api.base_url());
    let done = client
        .post(url.clone(), &prompt("buy or sell?", false))
        .await
        .expect("a response");
    assert_eq!(done.status, 200);
    assert_eq!(
        done.json()["usage"],
        json!({ "prompt_tokens": 3, "completion_tokens": 8, "total_tokens": 11 })
    );
    assert_eq!(done.json()["choices"][0]["finish_reason"], "length");
    assert_eq!(done.number("x-ratelimit-limit-requests"), 2);
    assert_eq!(done.number("x-ratelimit-remaining-requests"), 1);
    assert!(
        ["30m0s", "29m59."]
            .iter()
            .any(|text| done.header("x-ratelimit-reset-requests").starts_with(text))
    );
    assert_eq!(done.number("x-ratelimit-limit-tokens"), 500_000);
    assert!(done.number("x-ratelimit-remaining-tokens") >= 499_989);
    assert!(done.header("x-request-id").starts_with("req_"));

    client
        .post(url.clone(), &prompt("x", false))
        .await
        .expect("a response");
    let over = client
        .post(url, &prompt("x", false))
        .await
        .expect("a response");
    assert_eq!(
        (over.status.as_u16(), &over.json()["error"]["code"]),
        (429, &json!("rate_limit_exceeded"))
    );
    assert!((1_700..=1_800).contains(&over.number("retry-after")));
    assert!((1_700_000..=1_800_000).contains(&over.number("retry-after-ms")));
    let tokens = api.stats().tokens;
    assert_eq!((tokens.input, tokens.output), (4, 16));
}

#[tokio::test]
async fn openai_charges_the_largest_possible_response() {
    let api = AiApi::open_ai()
        .token_limit(hourly(30))
        .start()
        .await
        .expect("starts");
    let client = Client::new();
    let url = format!("{}/v1/chat/completions", api.base_url());
    // Two of input, up to 8 of output.
    for status in [200, 200, 200, 429] {
        let response = client
            .post(url.clone(), &prompt("abcdefgh", false))
            .await
            .expect("a response");
        assert_eq!(response.status, status);
    }
    assert_eq!(api.stats().violations_by, BTreeMap::from([("tokens", 1)]));
    assert_eq!(api.stats().tokens.output, 24);
}

fn data_lines(text: &str) -> Vec<&str> {
    text.lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .collect()
}

#[tokio::test]
async fn openai_streams_chunks_until_done() {
    let api = AiApi::open_ai()
        .seed(3)
        .completion_tokens(5)
        .start()
        .await
        .expect("starts");
    let client = Client::new();
    let mut request = prompt("x", true);
    request["stream_options"] = json!({ "include_usage": true });
    let url = format!("{}/v1/chat/completions", api.base_url());
    let response = client.post(url, &request).await.expect("a response");
    assert_eq!(response.header("content-type"), "text/event-stream");
    let text = response.text();
    let lines = data_lines(&text);
    assert_eq!(lines.last(), Some(&"[DONE]"));
    let chunks: Vec<Value> = lines[..lines.len() - 1]
        .iter()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let content: String = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(content.split(' ').count(), 5);
    assert!(
        ["BUY", "SELL", "HOLD"]
            .iter()
            .any(|opinion| content.starts_with(opinion)),
        "{content}"
    );
    assert_eq!(
        chunks[chunks.len() - 2]["choices"][0]["finish_reason"],
        "stop"
    );
    assert_eq!(chunks[chunks.len() - 1]["usage"]["completion_tokens"], 5);
}

#[tokio::test]
async fn anthropic_limits_input_and_output_apart() {
    let api = AiApi::anthropic()
        .output_token_limit(hourly(20))
        .start()
        .await
        .expect("starts");
    let client = Client::new();
    let url = format!("{}/v1/messages", api.base_url());
    let done = client
        .post(url.clone(), &prompt("buy or sell?", false))
        .await
        .expect("a response");
    assert_eq!(
        done.json()["usage"],
        json!({ "input_tokens": 3, "output_tokens": 8 })
    );
    assert_eq!(done.json()["stop_reason"], "max_tokens");
    assert_eq!(done.number("anthropic-ratelimit-requests-limit"), 1_000);
    assert_eq!(
        done.number("anthropic-ratelimit-input-tokens-remaining"),
        2_000_000
    );
    assert_eq!(done.number("anthropic-ratelimit-output-tokens-limit"), 20);
    assert_eq!(done.number("anthropic-ratelimit-tokens-limit"), 20);
    let reset = done.header("anthropic-ratelimit-output-tokens-reset");
    assert!(
        reset.len() == 20 && reset.ends_with('Z') && &reset[10..11] == "T",
        "{reset}"
    );

    client
        .post(url.clone(), &prompt("x", false))
        .await
        .expect("a response");
    let over = client
        .post(url.clone(), &prompt("x", false))
        .await
        .expect("a response");
    assert_eq!(
        (over.status.as_u16(), &over.json()["error"]["type"]),
        (429, &json!("rate_limit_error"))
    );
    assert!((600..=720).contains(&over.number("retry-after")));
    assert_eq!(
        api.stats().violations_by,
        BTreeMap::from([("output_tokens", 1)])
    );

    let mut request = prompt("x", false);
    request
        .as_object_mut()
        .expect("an object")
        .remove("max_tokens");
    let bad = client.post(url, &request).await.expect("a response");
    assert_eq!(bad.status, 429, "a malformed request counts as well");
}

#[tokio::test]
async fn anthropic_wants_max_tokens_and_streams_named_events() {
    let api = AiApi::anthropic().start().await.expect("starts");
    let client = Client::new();
    let url = format!("{}/v1/messages", api.base_url());
    let bad = client
        .post(
            url.clone(),
            &json!({ "model": "m", "messages": [{ "content": "x" }] }),
        )
        .await;
    let bad = bad.expect("a response");
    assert_eq!(
        (bad.status.as_u16(), &bad.json()["error"]["type"]),
        (400, &json!("invalid_request_error"))
    );

    let text = client
        .post(url, &prompt("x", true))
        .await
        .expect("a response")
        .text();
    let events: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("event: "))
        .collect();
    assert_eq!(
        events[..3],
        ["message_start", "content_block_start", "ping"]
    );
    assert_eq!(events[3..11], ["content_block_delta"; 8]);
    assert_eq!(
        events[11..],
        ["content_block_stop", "message_delta", "message_stop"]
    );
    assert_eq!(api.stats().tokens.output, 8);
}

#[tokio::test]
async fn violations_earn_a_ban() {
    let policy = BanPolicy::new(2, HOUR, HOUR, 403).expect("valid");
    let broker = Broker::alpaca()
        .limit(hourly(1))
        .ban(policy)
        .start()
        .await
        .expect("starts");
    let (client, base) = (Client::new(), broker.base_url());
    for status in [200, 429, 429, 403, 403] {
        assert_eq!(
            client.order(&base, "d").await.expect("a response").status,
            status
        );
    }
    let stats = broker.stats();
    assert_eq!(
        (stats.violations, stats.bans, stats.while_banned),
        (2, 1, 2)
    );
    assert_eq!(broker.executions("d"), 1);
}

#[tokio::test]
async fn a_ban_ends() {
    let policy = BanPolicy::new(1, HOUR, Duration::from_millis(50), 418).expect("valid");
    let broker = Broker::alpaca()
        .limit(hourly(1))
        .ban(policy)
        .start()
        .await
        .expect("starts");
    let (client, base) = (Client::new(), broker.base_url());
    for status in [200, 429] {
        assert_eq!(
            client.order(&base, "d").await.expect("a response").status,
            status
        );
    }
    // A caller that is no longer banned is throttled again, which is the next violation and the next ban.
    eventually(|| async {
        let status = client.order(&base, "d").await.expect("a response").status;
        (status == 429).then_some(())
    })
    .await;
    assert_eq!(broker.stats().bans, 2);
}

#[tokio::test]
async fn a_stopped_provider_is_gone() {
    let client = Client::new();
    let broker = Broker::alpaca().start().await.expect("starts");
    let base = broker.base_url();
    client.order(&base, "e").await.expect("a response");
    broker.shutdown().await;
    // The pooled connection may be noticed dead first; then a new one is refused. (For a moment
    // the free port may be that of another test's provider.)
    eventually(|| async {
        let error = client.order(&base, "e").await.err()?;
        (error.kind() == Some(io::ErrorKind::ConnectionRefused)).then_some(())
    })
    .await;

    let broker = Broker::alpaca().start().await.expect("starts");
    let base = broker.base_url();
    drop(broker);
    eventually(|| async {
        let error = client.order(&base, "e").await.err()?;
        matches!(error, CallError::Call(_)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_same_seed_makes_the_same_ids_and_prices() {
    let client = Client::new();
    let mut runs = Vec::new();
    for seed in [5, 5, 6] {
        let broker = Broker::alpaca().seed(seed).start().await.expect("starts");
        let vendor = MarketData::alpaca()
            .seed(seed)
            .start()
            .await
            .expect("starts");
        client
            .order(&broker.base_url(), "f")
            .await
            .expect("a response");
        let url = format!("{}/v2/stocks/AAPL/quotes/latest", vendor.base_url());
        let quote = client.get(url).await.expect("a response").json();
        runs.push((broker.orders()[0].id.clone(), quote["quote"]["bp"].clone()));
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0].0, runs[2].0);
    assert_ne!(runs[0].1, runs[2].1);
}
