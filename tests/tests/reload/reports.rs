//! Events, metrics and status: once for each thing that is wrong.

use std::sync::{Arc, Mutex};

use seawall::{EventKind, InstanceHandle, Registry};

use super::*;

pub(crate) fn sample(config: &ReloadableConfig, metric: &str, result: Option<&str>) -> f64 {
    let registry = Registry::new("other");
    registry.register(config.clone()).expect("the only one");
    let all = registry.snapshot().remove(0).samples;
    let found = all.into_iter().find(|sample| {
        sample.metric == metric && result.is_none_or(|result| sample.labels == [("result", result)])
    });
    let value = format!("{:?}", found.expect("there is one").value);
    let number = value.trim_matches(|c: char| !c.is_ascii_digit() && c != '.');
    number.parse().expect("a counter or a gauge")
}

#[test]
fn each_state_is_reported_once() {
    let folder = Folder::new();
    let config = folder.load(&permits(3));
    let registry = Registry::new("desk");
    registry.register(config.clone()).expect("the only one");
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&events);
    let _listening = registry.events().listen(move |event| {
        assert_eq!(
            (event.pattern, event.name.as_str()),
            ("config", "seawall.toml")
        );
        seen.lock().expect("no panic").push(event.kind);
    });
    let reloads = |result| sample(&config, "seawall_config_reloads_total", Some(result));
    let take = || std::mem::take(&mut *events.lock().expect("no panic"));
    let rejected = |reason| EventKind::ReloadRejected { reason };

    assert!(config.reload().expect("right").is_unchanged());
    assert_eq!(take(), []);
    let first = config.status();
    assert_eq!((first.generation, first.source), (1, Some(folder.file())));
    assert_eq!(config.state(), "current");

    let wrong = permits(3).replace("max_concurrent", "max_concurent");
    for _ in 0..3 {
        folder.wrong(&config, &wrong);
    }
    assert_eq!(take(), [rejected("invalid")]);
    let since = config.status().rejected.expect("it is wrong").since;
    assert_eq!(config.state(), "stale");
    assert_eq!(sample(&config, "seawall_config_stale", None), 1.0);
    // Something else is wrong with it.
    fs::remove_file(folder.file()).expect("removed");
    for _ in 0..3 {
        assert_eq!(config.reload().expect_err("gone").reason(), "unreadable");
    }
    assert_eq!(take(), [rejected("unreadable")]);
    assert!(config.status().rejected.expect("it is wrong").since >= since);
    // Right again, as it was.
    folder.write(permits(3));
    assert!(config.reload().expect("right").is_unchanged());
    assert_eq!(take(), [EventKind::Reloaded { generation: 1 }]);
    assert!(config.status().rejected.is_none());
    // Another one.
    folder.change(&config, &permits(4));
    assert_eq!(take(), [EventKind::Reloaded { generation: 2 }]);
    assert_eq!(
        [
            reloads("applied"),
            reloads("recovered"),
            reloads("rejected")
        ],
        [1.0, 1.0, 2.0]
    );
    assert_eq!(sample(&config, "seawall_config_generation", None), 2.0);
    assert_eq!(sample(&config, "seawall_config_stale", None), 0.0);
    assert!(sample(&config, "seawall_config_loaded_timestamp_seconds", None) > 1.7e9);
    assert!(config.status().since > first.since);
    let settings = config.settings();
    assert!(
        settings.contains(&("services", "1".to_owned())),
        "{settings:?}"
    );
}

#[test]
fn a_listener_may_ask_for_a_new_stack_and_not_reload() {
    let folder = Folder::new();
    let config = folder.load(&permits(3));
    let registry = Registry::new("desk");
    handles(&config, "a")
        .register(&registry)
        .expect("the only one");
    let outcomes = Arc::new(Mutex::new(Vec::new()));
    let (seen, asking) = (Arc::clone(&outcomes), config.clone());
    let _listening = registry.events().listen(move |event| {
        if event.kind
            == (EventKind::Commanded {
                command: "configure",
            })
        {
            // It is in the new file, and in force a moment later; `b` is in both.
            let of_b = asking.stack("b").is_ok();
            let nested = asking.reload().expect_err("it is under way").reason();
            seen.lock().expect("no panic").push((of_b, nested));
        }
    });
    let both = |count: u32| permits(count) + &permits(count).replace(".a]", ".b]");
    assert!(folder.change(&config, &permits(4)) == ["a"]);
    folder.write(both(5));
    assert_eq!(config.reload().expect("right").added, ["b"]);
    folder.change(&config, &both(6));
    let outcomes = outcomes.lock().expect("no panic").clone();
    assert_eq!(
        outcomes,
        [(false, "nested"), (false, "nested"), (true, "nested")]
    );
    assert_eq!(
        handles(&config, "b").settings().bulkhead.max_concurrent(),
        6,
        "built meanwhile"
    );
    assert_eq!(limit_of(&config), 6);
}
