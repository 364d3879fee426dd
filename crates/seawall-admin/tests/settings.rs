//! The configuration and trading, over real sockets.

#![cfg(all(feature = "config", feature = "orders"))]

mod support;

use bytes::Bytes;
use http_body_util::Full;
use seawall::config::Config;
use seawall::orders::journal::MemoryJournal;
use seawall::orders::switch::KillSwitch;
use seawall::reload::ReloadableConfig;
use seawall::trading::OrderStack;
use seawall_admin::serve::AdminServer;
use serde_json::{Value, json};
use support::{ADMIN, OPERATOR, VIEWER, admin, get, post, serve};

const CHANGES: &str = "/api/v1/config/changes";

async fn desk(name: &str) -> (AdminServer, ReloadableConfig, std::path::PathBuf) {
    let folder =
        std::env::temp_dir().join(format!("seawall-settings-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let text = "[resilience.feed]\nkind = \"market-data\"\nbulkhead.max_concurrent = 8\n";
    std::fs::write(folder.join("seawall.toml"), text).expect("a file");
    let loader = Config::loader().file(folder.join("seawall.toml"));
    let config = loader
        .overlay_file(folder.join("changes.toml"))
        .load_reloadable()
        .expect("it is right");
    config.stack("feed").expect("a service");
    let server = serve(admin().config(config.clone()).build().expect("settings")).await;
    (server, config, folder)
}

fn permits(config: &ReloadableConfig) -> u32 {
    config
        .stack("feed")
        .expect("a service")
        .handles()
        .snapshot()
        .bulkhead
        .limit
}

fn fewer(permits: u32, generation: Option<&Value>) -> Value {
    let set = json!({"feed": {"bulkhead.max_concurrent": permits}});
    match generation {
        Some(generation) => json!({"set": set, "generation": generation, "reason": "an incident"}),
        None => json!({"set": set}),
    }
}

#[tokio::test]
async fn a_change_is_tried_done_shown_and_saved() {
    let (server, config, folder) = desk("change").await;
    let at = server.local_addr();
    assert_eq!(post(at, CHANGES, VIEWER, fewer(2, None)).await.status, 403);
    let tried = post(at, CHANGES, OPERATOR, fewer(2, None)).await.json();
    assert_eq!(
        (&tried["applied"], &tried["changed"]),
        (&json!(false), &json!(["feed"]))
    );
    assert_eq!(permits(&config), 8);
    let done = post(at, CHANGES, OPERATOR, fewer(2, Some(&tried["generation"]))).await;
    assert_eq!(done.json()["applied"], true, "{done:?}");
    assert_eq!(permits(&config), 2);
    // What it was based on is no more.
    let again = post(at, CHANGES, OPERATOR, fewer(3, Some(&tried["generation"]))).await;
    assert_eq!(again.status, 409, "{again:?}");

    let shown = get(at, "/api/v1/config", VIEWER).await.json();
    let changed = json!([{"service": "feed", "key": "bulkhead.max_concurrent", "configured": "8", "in_force": "2"}]);
    assert_eq!(shown["changed"], changed);
    assert_eq!(shown["services"], json!(["feed"]));
    let settings = get(at, "/api/v1/config/services/feed", VIEWER).await.json();
    let mut all = settings.as_array().expect("a list").iter();
    let permits_shown = all
        .find(|it| it["key"] == "bulkhead.max_concurrent")
        .expect("it");
    assert_eq!(permits_shown["value"], "2");
    assert!(
        permits_shown["origin"]
            .as_str()
            .expect("text")
            .contains("changes.toml")
    );
    assert_eq!(
        get(at, "/api/v1/config/services/none", VIEWER).await.status,
        404
    );

    let why = json!({"reason": "it works"});
    assert_eq!(
        post(at, "/api/v1/config/save", OPERATOR, why.clone())
            .await
            .status,
        204
    );
    let saved = std::fs::read_to_string(folder.join("changes.toml")).expect("a file");
    assert!(saved.contains("= 2"), "{saved}");
    let broken = "[resilience.feed]\nkind = \"market-data\"\nbulkhead.max_concurent = 4\n";
    std::fs::write(folder.join("seawall.toml"), broken).expect("a file");
    let reload = post(at, "/api/v1/config/reload", OPERATOR, why).await;
    assert_eq!(reload.status, 422, "{reload:?}");
    assert!(
        reload.json()["mistakes"][0]
            .as_str()
            .expect("text")
            .contains("max_concurrent")
    );
    let shown = get(at, "/api/v1/config", VIEWER).await.json();
    assert!(shown["rejected"]["mistakes"][0].is_string(), "{shown}");
    assert_eq!(permits(&config), 2);
    let log = get(at, "/api/v1/audit?limit=10", OPERATOR).await.json();
    let actions: Vec<_> = log
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| it["action"].clone())
        .collect();
    assert!(
        actions.contains(&json!("configure")) && actions.contains(&json!("reload")),
        "{actions:?}"
    );
    std::fs::remove_dir_all(&folder).expect("the folder");
}

#[tokio::test]
async fn a_change_with_a_mistake_says_what_is_accepted() {
    let (server, config, folder) = desk("mistakes").await;
    let at = server.local_addr();
    for (set, expected) in [
        (
            json!({"feed": {"bulkhead.max_concurrent": 0}}),
            "feed.bulkhead.max_concurrent",
        ),
        (
            json!({"feed": {"bulkhead.max_concurrent": {"a": 1}}}),
            "accepted is true or false",
        ),
        (json!({"feed": {"retry.atempts": 2}}), "did you mean"),
        (json!({"food": {"retry.attempts": 2}}), "accepted is feed"),
        (json!({}), "has no setting"),
    ] {
        let answer = post(at, CHANGES, OPERATOR, json!({"set": set})).await;
        assert_eq!(answer.status, 422, "{answer:?}");
        assert!(
            answer.json()["detail"]
                .as_str()
                .expect("text")
                .contains(expected),
            "{answer:?}"
        );
    }
    let no_reason = json!({"set": {"feed": {"bulkhead.max_concurrent": 2}}, "generation": 1});
    assert_eq!(post(at, CHANGES, OPERATOR, no_reason).await.status, 422);
    assert_eq!(permits(&config), 8);
    std::fs::remove_dir_all(&folder).expect("the folder");

    let none = serve(admin().build().expect("settings")).await;
    assert_eq!(
        get(none.local_addr(), "/api/v1/config", VIEWER)
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn trading_is_stopped_by_an_operator_and_let_pass_by_an_admin() {
    let switch = KillSwitch::in_memory();
    let asked = switch.clone();
    let provider = seawall::provider("alpaca").expect("in the catalogue");
    let stack = provider
        .order_stack(MemoryJournal::default())
        .expect("it takes orders");
    let stack: OrderStack<Full<Bytes>> = stack
        .kill_switch(move || asked.is_engaged())
        .build()
        .expect("settings");
    let orders = stack.handles().orders;
    let built = admin()
        .trading(orders.clone(), Some(switch.clone()))
        .build();
    let server = serve(built.expect("settings")).await;
    let at = server.local_addr();
    let shown = get(at, "/api/v1/trading", VIEWER).await.json();
    assert_eq!(
        (&shown[0]["mode"], &shown[0]["in_doubt"]),
        (&json!("normal"), &json!(0))
    );

    let path = "/api/v1/trading/alpaca/kill-switch";
    let stop = |engaged: bool| json!({"engaged": engaged, "reason": "positions do not match"});
    assert_eq!(post(at, path, VIEWER, stop(true)).await.status, 403);
    let engaged = post(at, path, OPERATOR, stop(true)).await.json();
    assert_eq!(engaged["kill_switch"]["by"], "olga", "{engaged}");
    assert_eq!(engaged["mode"], "halted", "{engaged}");
    assert!(switch.is_engaged());
    let later = json!({"engaged": true, "reason": "the broker asks for it"});
    let again = post(at, path, ADMIN, later).await.json();
    assert_eq!(again["kill_switch"]["by"], "anna", "{again}");
    assert_eq!(again["kill_switch"]["reason"], "the broker asks for it");
    let log = get(at, "/api/v1/audit?limit=2", OPERATOR).await.json();
    assert_eq!(
        (&log[0]["who"], &log[1]["who"]),
        (&json!("anna"), &json!("olga"))
    );
    assert_eq!(log[0]["outcome"], "done");
    assert_eq!(post(at, path, OPERATOR, stop(false)).await.status, 403);
    assert!(switch.is_engaged());
    assert_eq!(
        post(at, path, ADMIN, stop(false)).await.json()["kill_switch"]["engaged"],
        false
    );
    assert!(!switch.is_engaged());
    switch.engage("a drill", "olga").expect("in memory");
    let shown = get(at, "/api/v1/trading", VIEWER).await.json();
    assert_eq!(shown[0]["mode"], "halted", "{shown}");
    switch.release().expect("in memory");

    let mode = |mode: &str| json!({"mode": mode, "reason": "a drill"});
    let path = "/api/v1/trading/alpaca/mode";
    assert_eq!(
        post(at, path, OPERATOR, mode("halted")).await.json()["mode"],
        "halted"
    );
    assert_eq!(post(at, path, OPERATOR, mode("asleep")).await.status, 422);
    assert_eq!(
        post(at, path, OPERATOR, mode("automatic")).await.status,
        200
    );
    assert_eq!(
        post(at, "/api/v1/trading/none/mode", OPERATOR, mode("halted"))
            .await
            .status,
        404
    );
    let twice = admin()
        .trading(orders.clone(), None)
        .trading(orders.clone(), None)
        .build();
    assert_eq!(twice.unwrap_err().field(), "trading");
    #[cfg(target_os = "linux")]
    {
        // New orders are stopped also where it cannot be written down.
        let full = admin()
            .trading(orders, Some(switch.clone()))
            .audit_file("/dev/full");
        let server = serve(full.build().expect("settings")).await;
        let path = "/api/v1/trading/alpaca/kill-switch";
        let engaged = post(server.local_addr(), path, OPERATOR, stop(true)).await;
        assert_eq!(engaged.status, 200, "{engaged:?}");
        assert_eq!(engaged.header("seawall-audit-unwritten"), Some("1"));
        assert!(switch.is_engaged());
        assert_eq!(
            post(server.local_addr(), path, ADMIN, stop(false))
                .await
                .status,
            503
        );
        assert!(switch.is_engaged());
    }
}
