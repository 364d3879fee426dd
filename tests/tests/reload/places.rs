//! What needs a new stack, where it says so, and which services there are.

use seawall::{InstanceHandle, Registry};

use super::*;

#[tokio::test]
async fn what_a_running_stack_cannot_have_changes_nothing_and_names_its_line() {
    let folder = Folder::new();
    let config = folder.load(
        "[resilience.a]\nprovider = \"alpaca\"\nretry.attempts = 2\n[resilience.b]\nkind = \"news\"\n",
    );
    let (a, b) = (handles(&config, "a"), handles(&config, "b"));
    let before = (a.settings(), b.settings());
    let error = folder.wrong(
        &config,
        "[resilience.a]\nprovider = \"tradier\"\nretry.attempts = 3\n\
         [resilience.b]\nkind = \"news\"\nretry.attempts = 4\nlongest_wait = \"2h\"\n",
    );
    assert_eq!(error.reason(), "new_stack");
    assert_eq!(
        lines(&error, &folder),
        [
            "seawall.toml:2:12: `a.provider` is tradier, accepted is alpaca while its stack runs: \
             another one needs a new stack, so `forget` that of `a` and reload",
            "seawall.toml:7:16: `b.longest_wait` is 7200s, accepted is 900s while its stack runs: \
             another one needs a new stack, so `forget` that of `b` and reload",
        ]
    );
    assert_eq!(
        (a.settings(), b.settings()),
        before,
        "not even what could be"
    );
    assert_eq!(config.status().generation, 1);
    assert_eq!(
        config.current().service("a").expect("there").provider(),
        Some("alpaca")
    );
}

#[tokio::test]
async fn numbers_of_limits_are_applied_and_other_kinds_need_a_new_stack() {
    let folder = Folder::new();
    let text = |more: &str| format!("[resilience.a]\nkind = \"news\"\n{more}");
    let quota = |count: u32| text(&format!("rate_limit.quotas = [\"{count}/day\"]\n"));
    let config = folder.load(&quota(100));
    folder.change(&config, &quota(90));
    let limits = handles(&config, "a")
        .settings()
        .rate_limit
        .limits()
        .to_vec();
    assert!(limits.iter().any(|limit| limit.count() == 90), "{limits:?}");
    let error = folder.wrong(&config, &text("retry.attempts = 2\n"));
    let [line] = &lines(&error, &folder)[..] else {
        panic!("{error}");
    };
    assert!(
        line.starts_with("seawall.toml:1:13: `a.rate_limit.quotas` is ") && line.contains("90/day"),
        "it is not written any more, so the line is the service's: {line}"
    );
    // Together with a share of the tier's limits and with limits of tokens.
    let tokens = |count: u32| {
        format!("[resilience.a]\nprovider = \"openai\"\nrate_limit.tokens = \"{count}/min\"\n")
    };
    let folder = Folder::new();
    let config = folder.load(&tokens(1_000));
    assert_eq!(folder.change(&config, &tokens(2_000)), ["a"]);
}

/// Beside a setting of which only the number changes.
#[tokio::test]
async fn a_limit_that_is_new_is_named_and_not_one_that_has_another_number() {
    let folder = Folder::new();
    let text = |more: &str| {
        format!("[resilience.a]\nprovider = \"openai\"\ntier = \"tier-1\"\nrate_limit.{more}\n")
    };
    let config = folder.load(&text("tokens = \"600000/min\""));
    handles(&config, "a");
    let more = "tokens = \"700000/min\"\nrate_limit.input_tokens = \"500/min\"";
    let error = folder.wrong(&config, &text(more));
    assert_eq!(
        lines(&error, &folder),
        [
            "seawall.toml:5:27: `a.rate_limit.input_tokens` is 500/min, accepted is none while its stack \
             runs: another one needs a new stack, so `forget` that of `a` and reload"
        ]
    );
    assert_eq!(
        folder.change(&config, &text("tokens = \"700000/min\"")),
        ["a"]
    );
    // Gone again, which is named where the service is.
    let folder = Folder::new();
    let config = folder.load(&text(more));
    handles(&config, "a");
    let error = folder.wrong(&config, &text("tokens = \"600000/min\""));
    let [line] = &lines(&error, &folder)[..] else {
        panic!("{error}");
    };
    assert!(
        line.contains("`a.rate_limit.input_tokens` is none, accepted is 500/min while"),
        "{line}"
    );
}

#[tokio::test]
async fn a_forgotten_stack_is_built_of_the_new_file() {
    let folder = Folder::new();
    let config = folder.load("[resilience.a]\nprovider = \"alpaca\"\n");
    let old = handles(&config, "a");
    old.breaker.force_open();
    let changed = "[resilience.a]\nprovider = \"tradier\"\n";
    folder.wrong(&config, changed);
    assert!(config.forget("a"));
    assert!(!config.forget("a"), "there is none any more");
    assert_eq!(config.reload().expect("it is right").changed, ["a"]);
    assert_eq!(
        config.current().service("a").expect("there").provider(),
        Some("tradier")
    );
    let new = handles(&config, "a");
    assert_eq!(new.breaker.snapshot().state, seawall::CircuitState::Closed);
    assert_eq!(
        old.breaker.snapshot().state,
        seawall::CircuitState::ForcedOpen
    );
    assert!(config.status().rejected.is_none());
}

#[tokio::test]
async fn services_come_go_and_come_back() {
    let folder = Folder::new();
    let a = "[resilience.a]\nkind = \"news\"\nretry.attempts = 2\n";
    let b = "[resilience.b]\nkind = \"broker\"\n";
    let config = folder.load(a);
    let first = handles(&config, "a");
    first.breaker.force_open();
    folder.write(b);
    let reloaded = config.reload().expect("it is right");
    assert_eq!(
        (reloaded.added, reloaded.removed),
        (vec!["b".to_owned()], vec!["a".to_owned()])
    );
    assert!(reloaded.changed.is_empty());
    let gone = config.stack("a").expect_err("it is gone");
    assert_eq!(gone.to_string(), "`service` is \"a\", accepted is b");
    assert_eq!(first.settings().retry.attempts(), 2, "it works on");
    assert_eq!(
        handles(&config, "b").settings(),
        *config.current().service("b").expect("there").settings()
    );
    // The same stack, with other settings.
    folder.write(format!("{b}{}", a.replace('2', "3")));
    assert_eq!(config.reload().expect("it is right").added, ["a"]);
    assert_eq!(first.settings().retry.attempts(), 3);
    let again = handles(&config, "a");
    assert_eq!(
        again.breaker.snapshot().state,
        seawall::CircuitState::ForcedOpen
    );
}

#[tokio::test]
async fn a_tier_with_the_same_kinds_of_limits_is_applied() {
    let folder = Folder::new();
    let text = |tier: &str| format!("[resilience.a]\nprovider = \"alpaca\"\ntier = \"{tier}\"\n");
    let config = folder.load(&text("standard"));
    let before = handles(&config, "a").settings();
    assert_eq!(folder.change(&config, &text("plus")), ["a"]);
    assert_ne!(handles(&config, "a").settings(), before);
    assert_eq!(
        config.current().service("a").expect("there").tier(),
        Some("plus")
    );
}

#[tokio::test]
async fn a_mistake_rejects_a_reload_also_with_fail_safe_defaults() {
    let folder = Folder::new();
    let text = |attempts: &str, other: &str| {
        format!(
            "[resilience]\nfail_safe_defaults = true\n[resilience.a]\nretry.attempts = {attempts}\n\
             [resilience.b]\nretry.attempts = {other}\n"
        )
    };
    let config = folder.load(&text("2", "0"));
    assert!(config.current().service("b").expect("there").is_fail_safe());
    let first = config.status();
    assert_eq!(first.mistakes.len(), 1, "the load says what is wrong");
    assert_eq!(first.mistakes[0].key, "b.retry.attempts");
    assert_eq!(config.state(), "fail_safe");
    assert_eq!(
        crate::reports::sample(&config, "seawall_config_mistakes", None),
        1.0
    );
    handles(&config, "a");
    for wrong in [
        text("3", "0"),
        text("0", "0"),
        text("3", "4") + "[resilience.c]\nkind = 1\n",
    ] {
        assert_eq!(folder.wrong(&config, &wrong).reason(), "invalid");
        assert_eq!(handles(&config, "a").settings().retry.attempts(), 2);
        assert_eq!(config.status().generation, 1);
        assert_eq!(config.state(), "fail_safe");
    }
    assert_eq!(folder.change(&config, &text("3", "4")), ["a", "b"]);
    assert!(!config.current().service("b").expect("there").is_fail_safe());
    assert!(config.status().mistakes.is_empty());
    assert_eq!(config.state(), "current");
    assert_eq!(folder.wrong(&config, &text("3", "0")).reason(), "invalid");
    assert_eq!(config.state(), "stale");
}

#[tokio::test]
async fn the_longest_wait_is_compared_by_what_is_in_force() {
    let folder = Folder::new();
    let text = "[resilience.a]\nkind = \"news\"\n";
    let config = folder.load(text);
    handles(&config, "a");
    folder.change(&config, &format!("{text}longest_wait = \"15m\"\n"));
    let longer = folder.wrong(&config, &format!("{text}longest_wait = \"1h\"\n"));
    assert!(
        longer.to_string().contains("accepted is 900s while"),
        "{longer}"
    );
    folder.change(&config, text);
    let effective = config.current().service("a").expect("there").effective();
    let longest = effective
        .iter()
        .find(|setting| setting.key == "longest_wait");
    assert_eq!(longest.expect("it is shown").value, "900s");
}

#[tokio::test]
async fn a_stack_that_is_forgotten_makes_room_in_the_registry() {
    let folder = Folder::new();
    let text = |provider: &str| format!("[resilience.a]\nprovider = \"{provider}\"\n");
    let config = folder.load(&text("alpaca"));
    let registry = Registry::new("desk");
    let old = handles(&config, "a");
    old.register(&registry).expect("the first one");
    let count = registry.all().len();
    folder.wrong(&config, &text("tradier"));
    assert!(config.forget("a"));
    folder.change(&config, &text("tradier"));
    let new = handles(&config, "a");
    new.register(&registry).expect_err("the old one is there");
    old.unregister(&registry);
    assert!(registry.all().is_empty(), "{registry:?}");
    new.register(&registry).expect("there is room");
    assert_eq!(registry.all().len(), count);
}

/// A tier that limits each model, and one that limits all calls together.
#[tokio::test]
async fn a_stack_for_each_model_does_not_become_one_for_all_calls() {
    let folder = Folder::new();
    let files = folder.0.join("catalog");
    fs::create_dir_all(&files).expect("a folder");
    let openai = include_str!("../../../crates/seawall/catalog/openai.toml");
    let (first, others) = openai.split_at(openai.find("name = \"tier-2\"").expect("there"));
    let others = others.replacen("organization-model", "account", 1);
    fs::write(files.join("openai.toml"), first.to_owned() + &others).expect("written");
    let catalog = seawall::catalog::Catalog::embedded()
        .expect("valid")
        .clone();
    let catalog = catalog.with_folder(&files).expect("valid");

    let text = |tier: &str| {
        format!(
            "[resilience.a]\nprovider = \"openai\"\nrate_limit.tokens = \"9000/min\"\ntier = \"{tier}\"\n"
        )
    };
    folder.write(text("tier-5"));
    let loader = Config::loader().file(folder.file()).catalog(catalog);
    let config = loader.load_reloadable().expect("it is right");
    let limit = handles(&config, "a").rate_limit;
    assert!(limit.account().is_none());
    assert_eq!(folder.change(&config, &text("tier-1")), ["a"]);
    let error = folder.wrong(&config, &text("tier-2"));
    assert_eq!(error.reason(), "new_stack");
    assert_eq!(
        lines(&error, &folder),
        [
            "seawall.toml:4:8: `a.tier` is tier-2, accepted is tier-1 while its stack runs: \
             another one needs a new stack, so `forget` that of `a` and reload"
        ]
    );
    config.forget("a");
    assert_eq!(config.reload().expect("it is right").changed, ["a"]);
    assert!(handles(&config, "a").rate_limit.account().is_some());
}
