//! What a broker does with orders over time, and with ids that it knows.

mod wire;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{Method, Request};
use http_body_util::Full;
use seawall_sim::provider::{Broker, Duplicates, Fills, Handle, OrderStatus};
use serde_json::{Value, json};
use wire::{Client, Response, always, eventually};

const HOUR: Duration = Duration::from_secs(3_600);

struct Desk {
    broker: Handle,
    client: Client,
    base: String,
}

impl Desk {
    async fn at(broker: Broker) -> Self {
        let broker = broker.start().await.expect("starts");
        let (client, base) = (Client::new(), broker.base_url());
        Self {
            broker,
            client,
            base,
        }
    }

    async fn place(&self, id: &str, kind: &str, qty: u32) -> Response {
        let order = json!({ "symbol": "MSFT", "qty": qty, "side": "buy", "type": kind,
                            "limit_price": "300", "client_order_id": id });
        let url = format!("{}/v2/orders", self.base);
        self.client.post(url, &order).await.expect("a response")
    }

    /// Sends an order that is valid until then, by the words of its header.
    async fn place_until(&self, id: &str, until: &str) -> Response {
        let order = json!({ "symbol": "MSFT", "qty": 1, "side": "buy", "client_order_id": id });
        let request = Request::post(format!("{}/v2/orders", self.base))
            .header("x-valid-until", until)
            .body(Full::from(order.to_string()));
        let response = self.client.call(request.expect("valid")).await;
        response.expect("a response")
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> Response {
        let url = format!("{}{path}", self.base);
        let response = self.client.send(method, url, body.to_string()).await;
        response.expect("a response")
    }

    async fn get(&self, path: &str) -> Response {
        self.send(Method::GET, path, &Value::Null).await
    }

    async fn by_client_id(&self, id: &str) -> Response {
        let path = format!("/v2/orders:by_client_order_id?client_order_id={id}");
        self.get(&path).await
    }

    async fn cancel(&self, response: &Response) -> u16 {
        let path = format!("/v2/orders/{}", id(&response.json()));
        let response = self.send(Method::DELETE, &path, &Value::Null).await;
        response.status.as_u16()
    }

    async fn ids(&self, path: &str) -> Vec<String> {
        let list = self.get(path).await.json();
        let ids = list.as_array().expect("a list").iter();
        ids.map(|order| text(order, "client_order_id")).collect()
    }

    async fn eventually_has_status(&self, client_id: &str, status: &str) {
        eventually(|| async {
            let order = self.by_client_id(client_id).await.json();
            (order["status"] == status).then_some(())
        })
        .await;
    }
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().expect(key).to_owned()
}

fn id(order: &Value) -> String {
    text(order, "id")
}

fn sum(fills: &[Value]) -> f64 {
    let qty = |fill| text(fill, "qty").parse::<f64>().expect("a number");
    fills.iter().map(qty).sum()
}

#[tokio::test]
async fn a_second_order_of_an_id_is_the_first_one_where_that_is_returned() {
    let desk = Desk::at(Broker::alpaca().duplicates(Duplicates::ReturnFirst)).await;
    let first = desk.place("a", "market", 1).await;
    let again = desk.place("a", "market", 1).await;
    assert_eq!((first.status, again.status), (again.status, first.status));
    assert_eq!(id(&again.json()), id(&first.json()));
    // As it is now, and not as it was when it was placed.
    assert_eq!(first.json()["status"], "accepted");
    assert_eq!(again.json()["status"], "filled");
    assert_eq!(desk.broker.executions("a"), 1);
    assert_eq!(desk.broker.stats().duplicate_ids, 1);
}

#[tokio::test]
async fn a_second_order_of_an_id_is_rejected_for_a_time_also_when_the_first_is_filled() {
    let long = Desk::at(Broker::alpaca().duplicates(Duplicates::RejectFor(HOUR))).await;
    long.place("a", "market", 1).await;
    let again = long.place("a", "market", 1).await;
    assert_eq!(
        (again.status.as_u16(), &again.json()["code"]),
        (422, &json!(40_010_001))
    );
    assert_eq!(again.json()["message"], "client_order_id must be unique");
    assert_eq!(long.place("b", "market", 1).await.status, 200);
    assert_eq!(long.broker.executions("a"), 1);
    assert_eq!(long.broker.stats().duplicate_ids, 1);

    let short = Duration::from_millis(20);
    let desk = Desk::at(Broker::alpaca().duplicates(Duplicates::RejectFor(short))).await;
    desk.place("a", "market", 1).await;
    eventually(|| async { (desk.place("a", "market", 1).await.status == 200).then_some(()) }).await;
    assert_eq!(desk.broker.executions("a"), 2);
}

#[tokio::test]
async fn a_second_order_of_an_id_is_rejected_while_the_first_is_open() {
    let desk = Desk::at(Broker::alpaca().duplicates(Duplicates::RejectWhileOpen)).await;
    let first = desk.place("a", "limit", 1).await;
    assert_eq!(desk.place("a", "limit", 1).await.status, 422);
    assert_eq!(desk.cancel(&first).await, 204);
    assert_eq!(desk.place("a", "limit", 1).await.status, 200);
    for _ in 0..2 {
        assert_eq!(desk.place("filled", "market", 1).await.status, 200);
    }
    let executions = |id| desk.broker.executions(id);
    assert_eq!((executions("a"), executions("filled")), (2, 2));
    assert_eq!(desk.broker.stats().duplicate_ids, 1);
}

#[tokio::test]
async fn orders_without_an_id_are_never_duplicates() {
    let desk = Desk::at(Broker::alpaca().duplicates(Duplicates::ReturnFirst)).await;
    for _ in 0..2 {
        desk.place("", "market", 1).await;
    }
    assert_eq!(desk.broker.executions_by_id().len(), 2);
}

#[tokio::test]
async fn an_executed_order_is_shown_after_its_delay() {
    let slow = Broker::alpaca()
        .visible_within(HOUR)
        .duplicates(Duplicates::RejectFor(HOUR));
    let desk = Desk::at(slow).await;
    let placed = desk.place("a", "market", 3).await;
    assert_eq!(placed.status, 200);
    assert_eq!(desk.by_client_id("a").await.status, 404);
    let path = format!("/v2/orders/{}", id(&placed.json()));
    assert_eq!(desk.get(&path).await.status, 404);
    for list in [
        "/v2/orders?status=all",
        "/v2/positions",
        "/v2/account/activities/FILL",
    ] {
        assert_eq!(desk.get(list).await.json(), json!([]), "{list}");
    }
    // It is executed all the same, and its id is known.
    assert_eq!(desk.broker.orders()[0].status, OrderStatus::Filled);
    assert_eq!(desk.place("a", "market", 3).await.status, 422);

    let quick = Broker::alpaca().visible_within(Duration::from_millis(40));
    let desk = Desk::at(quick).await;
    desk.place("a", "market", 3).await;
    desk.eventually_has_status("a", "filled").await;
    assert_eq!(desk.get("/v2/positions").await.json()[0]["qty"], "3");
}

#[tokio::test]
async fn an_order_is_executed_as_long_as_it_is_valid() {
    let desk = Desk::at(Broker::alpaca()).await;
    let micros = |at: SystemTime| {
        let since = at.duration_since(UNIX_EPOCH).expect("after 1970");
        since.as_micros().to_string()
    };
    let now = SystemTime::now();
    assert_eq!(desk.place_until("a", &micros(now + HOUR)).await.status, 200);
    let late = desk.place_until("b", &micros(now - HOUR)).await;
    assert_eq!(late.status, 422);
    assert!(late.text().contains("not valid any more"));
    assert_eq!(desk.place_until("c", "soon").await.status, 422);
    let executed = ["a", "b", "c"].map(|id| desk.broker.executions(id));
    assert_eq!(executed, [1, 0, 0]);
    assert_eq!(desk.broker.stats().out_of_date, 1);
    let order = &desk.broker.orders()[0];
    assert!(order.arrived <= order.at);
}

#[tokio::test]
async fn an_order_that_is_not_shown_can_be_cancelled() {
    let desk = Desk::at(Broker::alpaca().visible_within(HOUR)).await;
    let placed = desk.place("a", "limit", 1).await;
    assert_eq!(desk.cancel(&placed).await, 204);
    assert_eq!(desk.broker.orders()[0].status, OrderStatus::Canceled);
}

#[tokio::test]
async fn orders_are_filled_in_pieces_that_add_up() {
    let fills = Fills::new(Duration::ZERO, 4).expect("valid");
    let desk = Desk::at(Broker::alpaca().fills(fills).seed(3)).await;
    let ids: Vec<_> = (0..12).map(|number| format!("o-{number}")).collect();
    for id in &ids {
        desk.place(id, "limit", 10).await;
    }
    let all = desk.get("/v2/account/activities/FILL").await.json();
    let all = all.as_array().expect("a list").clone();
    let mut pieces = Vec::new();
    for order in desk.broker.orders() {
        assert_eq!(
            (order.status, order.filled_qty),
            (OrderStatus::Filled, 10.0)
        );
        let fills: Vec<_> = all
            .iter()
            .filter(|fill| fill["order_id"] == order.id.as_str())
            .cloned()
            .collect();
        assert_eq!(sum(&fills), 10.0);
        // The newest first.
        assert_eq!(
            (&fills[0]["leaves_qty"], &fills[0]["type"]),
            (&json!("0"), &json!("fill"))
        );
        assert!(fills[1..].iter().all(|fill| fill["type"] == "partial_fill"));
        assert!(fills.iter().all(|fill| fill["price"] == "300"));
        pieces.push(fills.len());
    }
    assert!(pieces.contains(&1) && pieces.iter().any(|count| *count > 2));
    assert!(pieces.iter().all(|count| *count <= 4), "{pieces:?}");
}

#[tokio::test]
async fn a_cancelled_order_keeps_what_was_filled() {
    let fills = Fills::new(Duration::from_secs(20), 1_000).expect("valid");
    // Of this seed, the order has many pieces.
    let desk = Desk::at(Broker::alpaca().fills(fills).seed(2)).await;
    let placed = desk.place("a", "limit", 1_000).await;
    desk.eventually_has_status("a", "partially_filled").await;
    assert_eq!(desk.ids("/v2/orders?status=open").await, ["a"]);
    assert_eq!(desk.cancel(&placed).await, 204);
    let order = desk.by_client_id("a").await.json();
    assert_eq!(order["status"], "canceled");
    assert!(order["canceled_at"].is_string() && order["filled_at"].is_null());
    let filled = text(&order, "filled_qty");
    assert_ne!(filled, "0");
    assert_eq!(
        desk.get("/v2/positions").await.json()[0]["qty"],
        filled.as_str()
    );
    assert_eq!(desk.cancel(&placed).await, 422);
}

#[tokio::test]
async fn a_share_of_limit_orders_is_never_filled() {
    let fills = Fills::new(Duration::ZERO, 1).expect("valid");
    let fills = fills.resting(0.5).expect("valid");
    let desk = Desk::at(Broker::alpaca().fills(fills)).await;
    for number in 0..40 {
        desk.place(&format!("l-{number}"), "limit", 1).await;
        desk.place(&format!("m-{number}"), "market", 1).await;
    }
    let orders = desk.broker.orders();
    let open = orders.iter().filter(|order| order.status.is_open());
    let open: Vec<_> = open.collect();
    assert!(open.iter().all(|order| order.kind == "limit"));
    assert!((8..=32).contains(&open.len()), "{} rest", open.len());
    let rejected = fills.resting(1.5).expect_err("too much");
    assert_eq!(rejected.to_string(), "resting = 1.5: expected 0 to 1");
}

#[tokio::test]
async fn an_order_may_be_filled_although_its_cancel_was_accepted() {
    let fills = Fills::new(Duration::from_millis(200), 1).expect("valid");
    let slow = Broker::alpaca().fills(fills).cancels_within(HOUR);
    let desk = Desk::at(slow).await;
    let placed = desk.place("a", "limit", 1).await;
    assert_eq!(desk.cancel(&placed).await, 204);
    desk.eventually_has_status("a", "filled").await;
    assert_eq!(desk.cancel(&placed).await, 422);
}

#[tokio::test]
async fn a_cancel_takes_effect_after_its_delay() {
    let slow = Broker::alpaca()
        .cancels_within(Duration::from_secs(2))
        .duplicates(Duplicates::RejectWhileOpen);
    let desk = Desk::at(slow).await;
    let placed = desk.place("a", "limit", 1).await;
    assert_eq!(desk.cancel(&placed).await, 204);
    assert_eq!(
        desk.by_client_id("a").await.json()["status"],
        "pending_cancel"
    );
    // It is still open, and may be cancelled again.
    assert_eq!(desk.place("a", "limit", 1).await.status, 422);
    assert_eq!(desk.cancel(&placed).await, 204);
    desk.eventually_has_status("a", "canceled").await;
}

#[tokio::test]
async fn a_cancel_whose_answer_is_lost_has_cancelled() {
    let mut script = "\"reset_after_execute\"\nroute = \"orders.cancel\"".to_owned();
    script.push('\n');
    let desk = Desk::at(Broker::alpaca().incidents(always("broker", &script))).await;
    let placed = desk.place("a", "limit", 1).await;
    let url = format!("{}/v2/orders/{}", desk.base, id(&placed.json()));
    let lost = desk.client.send(Method::DELETE, url, String::new()).await;
    assert!(lost.is_err(), "{lost:?}");
    assert_eq!(desk.broker.orders()[0].status, OrderStatus::Canceled);
}

#[tokio::test]
async fn a_replacement_is_another_order() {
    let desk = Desk::at(Broker::alpaca().duplicates(Duplicates::RejectFor(HOUR))).await;
    let old = desk.place("a", "limit", 5).await;
    let path = format!("/v2/orders/{}", id(&old.json()));
    let change = json!({ "qty": "8", "limit_price": "310", "client_order_id": "b" });
    let new = desk.send(Method::PATCH, &path, &change).await;
    assert_eq!(new.status, 200);
    let new = new.json();
    assert_ne!(id(&new), id(&old.json()));
    let expected = (
        &json!("b"),
        &json!("8"),
        &json!("310"),
        &json!(id(&old.json())),
    );
    let got = (
        &new["client_order_id"],
        &new["qty"],
        &new["limit_price"],
        &new["replaces"],
    );
    assert_eq!(got, expected);

    let old = desk.get(&path).await.json();
    assert_eq!(
        (&old["status"], &old["replaced_by"]),
        (&json!("replaced"), &new["id"])
    );
    assert!(old["replaced_at"].is_string());
    assert_eq!(desk.ids("/v2/orders").await, ["b"]);
    let executions = |id| desk.broker.executions(id);
    assert_eq!((executions("a"), executions("b")), (1, 1));

    // Neither a closed order, nor an unknown one, nor with an id that is known.
    let again = desk.send(Method::PATCH, &path, &json!({ "qty": 9 })).await;
    assert_eq!(
        (again.status.as_u16(), &again.json()["code"]),
        (422, &json!(42_210_000))
    );
    let none = desk
        .send(Method::PATCH, "/v2/orders/none", &json!({}))
        .await;
    assert_eq!(none.status, 404);
    let path = format!("/v2/orders/{}", id(&new));
    let taken = json!({ "client_order_id": "a" });
    assert_eq!(desk.send(Method::PATCH, &path, &taken).await.status, 422);
    let wrong = desk
        .send(Method::PATCH, &path, &json!({ "qty": "-1" }))
        .await;
    assert_eq!(wrong.status, 422);
    assert_eq!(desk.ids("/v2/orders").await, ["b"], "nothing has changed");
}

#[tokio::test]
async fn a_list_of_orders_has_pages_without_gaps() {
    let desk = Desk::at(Broker::alpaca()).await;
    let ids: Vec<_> = (0..8).map(|number| format!("o-{number}")).collect();
    for (number, id) in ids.iter().enumerate() {
        desk.place(id, if number < 5 { "limit" } else { "market" }, 1)
            .await;
    }
    let (mut after, mut read) = (String::new(), Vec::new());
    loop {
        let path = format!("/v2/orders?status=all&direction=asc&limit=3&after={after}");
        let page = desk.get(&path).await.json();
        let Some(last) = page.as_array().expect("a list").last() else {
            break;
        };
        after = text(last, "submitted_at");
        let ids = page.as_array().expect("a list").iter();
        read.extend(ids.map(|order| text(order, "client_order_id")));
    }
    assert_eq!(read, ids);

    // The newest first, and open ones, unless asked for.
    assert_eq!(desk.ids("/v2/orders?limit=2").await, ["o-4", "o-3"]);
    let closed = "/v2/orders?status=closed&direction=asc";
    assert_eq!(desk.ids(closed).await, ["o-5", "o-6", "o-7"]);
    let until = format!("/v2/orders?status=all&until={after}&limit=1");
    assert_eq!(desk.ids(&until).await, ["o-6"]);
    assert!(desk.ids("/v2/orders?symbols=AAPL,TSLA").await.is_empty());
    assert_eq!(
        desk.ids("/v2/orders?symbols=AAPL,MSFT&side=buy")
            .await
            .len(),
        5
    );
    for wrong in [
        "limit=0",
        "limit=501",
        "status=some",
        "direction=up",
        "after=now",
    ] {
        let response = desk.get(&format!("/v2/orders?{wrong}")).await;
        assert_eq!(response.status, 422, "{wrong}");
    }
}

#[tokio::test]
async fn a_list_of_fills_has_pages_without_gaps() {
    let desk = Desk::at(Broker::alpaca()).await;
    for number in 0..7 {
        desk.place(&format!("o-{number}"), "market", number + 1)
            .await;
    }
    for (direction, expected) in [
        ("asc", [1, 2, 3, 4, 5, 6, 7]),
        ("desc", [7, 6, 5, 4, 3, 2, 1]),
    ] {
        let (mut token, mut read) = (String::new(), Vec::new());
        loop {
            let path = format!(
                "/v2/account/activities/FILL?direction={direction}&page_size=3&page_token={token}"
            );
            let page = desk.get(&path).await.json();
            let page = page.as_array().expect("a list").clone();
            let Some(last) = page.last() else {
                break;
            };
            token = id(last);
            read.extend(page.iter().map(|fill| text(fill, "cum_qty")));
        }
        assert_eq!(read, expected.map(|qty| qty.to_string()), "{direction}");
    }
    for wrong in ["page_size=101", "page_token=none"] {
        let path = format!("/v2/account/activities/FILL?{wrong}");
        assert_eq!(desk.get(&path).await.status, 422, "{wrong}");
    }
}

#[tokio::test]
async fn what_is_drawn_for_an_order_depends_on_the_seed_and_not_on_other_orders() {
    let mut runs = Vec::new();
    for (seed, before) in [(1, 0), (1, 9), (2, 0)] {
        let fills = Fills::new(Duration::ZERO, 1_000).expect("valid");
        let desk = Desk::at(Broker::alpaca().fills(fills).seed(seed)).await;
        for number in 0..before {
            desk.place(&format!("before-{number}"), "market", 1).await;
        }
        let placed = desk.place("a", "market", 100_000).await.json();
        let fills = desk.get("/v2/account/activities/FILL").await.json();
        let fills = fills.as_array().expect("a list").iter();
        let of_it = fills.filter(|fill| fill["order_id"] == placed["id"]);
        runs.push(of_it.map(|fill| text(fill, "qty")).collect::<Vec<_>>());
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}
