//! The files of this crate, and what a file must not contain.

mod headers;

use super::*;

fn text_of(name: &str) -> &'static str {
    let file = FILES.iter().find(|(file, _)| *file == name);
    file.expect("it is one of them").1
}

/// The mistakes of Alpaca's file where `old` is replaced by `new`.
fn mistakes(old: &str, new: &str) -> Vec<String> {
    let text = text_of("alpaca");
    assert!(text.contains(old), "{old}");
    match read::read("alpaca.toml", &text.replacen(old, new, 1)) {
        Ok(_) => Vec::new(),
        Err(CatalogError::Invalid { mistakes, .. }) => {
            mistakes.iter().map(ToString::to_string).collect()
        }
        Err(error) => panic!("{error}"),
    }
}

fn assert_mistake(old: &str, new: &str, part: &str) {
    let all = mistakes(old, new);
    assert!(all.iter().any(|mistake| mistake.contains(part)), "{all:?}");
}

#[test]
fn every_file_is_read_and_has_the_name_of_its_provider() {
    for (name, text) in FILES {
        let data = read::read(name, text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(data.name.get_ref(), name);
    }
}

/// `UPDATE_PROVIDERS=1` writes the page.
#[test]
fn the_page_of_the_documentation_is_that_of_the_files() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/providers.md");
    let page = Catalog::embedded().expect("valid").to_markdown();
    if std::env::var_os("UPDATE_PROVIDERS").is_some() {
        fs::write(&path, &page).expect("writable");
    }
    let written = fs::read_to_string(&path).expect("there");
    assert!(
        written == page,
        "run `UPDATE_PROVIDERS=1 cargo test -p seawall --lib page`"
    );
}

#[test]
fn a_figure_without_source_or_mark_is_a_mistake() {
    assert_mistake("source = \"docs\"\nmark", "mark", "missing field `source`");
    assert_mistake("mark = \"verified\"", "", "missing field `mark`");
    assert_mistake(
        "mark = \"verified\"",
        "mark = \"sure\"",
        "unknown variant `sure`",
    );
    assert_mistake(
        "source = \"docs\"",
        "source = \"dcos\"",
        "`source` is `dcos`",
    );
    assert_mistake(
        "[sources]",
        "[sources]\nspare = \"x\"",
        "`sources.spare` is used by nothing",
    );
}

#[test]
fn mistakes_name_line_column_key_and_what_is_accepted() {
    let all = mistakes("per = \"1m\"", "per = \"soon\"");
    let line = 1 + text_of("alpaca")
        .split("per = \"1m\"")
        .next()
        .map_or(0, |before| before.matches('\n').count());
    assert_eq!(all.len(), 1);
    assert!(
        all[0].starts_with(&format!("alpaca.toml:{line}:")),
        "{all:?}"
    );
    assert!(all[0].contains("`soon` is not a length of time"), "{all:?}");
    assert_mistake("per = \"1m\"", "perr = \"1m\"", "unknown field `perr`");
    assert_mistake("per = \"1m\"", "per = \"-1m\"", "not a length of time");
    assert_mistake("count = 200", "count = -1", "expected u32");
    assert_mistake("name = \"alpaca\"", "name = \" \"", "`name` is empty");
    assert_mistake("name = \"plus\"", "name = \"\"", "`name` is empty");
    assert_mistake("method = \"POST\"", "method = \"post\"", "`method` is post");
    assert_mistake(
        "connect_timeout = \"5s\"",
        "connect_timeout = \"0s\"",
        "`connect_timeout` is 0s",
    );
    assert_mistake("count = 200", "count = 0", "tier `standard`");
    assert_mistake(
        "burst = 10",
        "burst = 41",
        "`burst` is 41, accepted is at most 40",
    );
    assert_mistake("url = \"https://api", "url = \"api", "with its scheme");
    assert_mistake("statuses = [429]", "statuses = [42]", "`statuses` is 42");
    assert_mistake(
        "attempt_timeout = \"10s\"",
        "attempt_timeout = \"30s\"",
        "shorter than the deadline",
    );
    assert_mistake(
        "default_tier = \"standard\"",
        "default_tier = \"std\"",
        "accepted is one of plus, standard",
    );
}

#[test]
fn names_that_lead_nowhere_are_mistakes_and_all_are_listed() {
    assert_mistake(
        "scope = \"account\"\nburst",
        "scope = \"account\"\nclass = \"orders\"\nburst",
        "`limits` is of classes alone",
    );
    assert_mistake(
        "priority = \"high\"",
        "class = \"orders\"",
        "`class` is `orders`, which no limit has",
    );
    assert_mistake(
        "name = \"plus\"",
        "name = \"standard\"",
        "two tiers `standard`",
    );
    let text = text_of("alpaca").replace("\"docs\"\nmark", "\"dcos\"\nmark");
    let error = read::read("mine.toml", &text).expect_err("the source is unknown");
    let lines = error.to_string();
    assert!(lines.lines().count() > 5, "{lines}");
    assert!(
        lines.lines().all(|line| line.starts_with("mine.toml:")),
        "{lines}"
    );
}

#[test]
fn limits_of_models_and_what_they_cannot_be_beside() {
    let text = text_of("anthropic");
    let found =
        |old: &str, new: &str| match read::read("anthropic.toml", &text.replacen(old, new, 1)) {
            Err(CatalogError::Invalid { mistakes, .. }) => {
                let lines: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
                lines.join("\n")
            }
            other => panic!("{old}: {other:?}"),
        };
    for (old, new, part) in [
        (
            "count = 1000",
            "class = \"m\"\ncount = 1000",
            "`class` is m, accepted is none where limits are of models",
        ),
        (
            "max_concurrent = 512",
            "max_concurrent = 480",
            "`max_concurrent` is 480, accepted is more than 480: `max_waiting` calls of each of 3 models",
        ),
        (
            "models = [\"claude-sonnet-4\"]",
            "models = [\"claude-opus-4\"]",
            "`models` has `claude-opus-4`, accepted are names of models, in one group each",
        ),
        (
            "models = [\"claude-sonnet-4\"]",
            "models = []",
            "needs a `name` and `models`",
        ),
        (
            "models = [\"claude-sonnet-4\"]",
            "models = [\"\"]",
            "`models` has ``",
        ),
        (
            "name = \"claude-sonnet-4\"",
            "name = \"claude-opus-4\"",
            "two groups of models `claude-opus-4`",
        ),
    ] {
        let lines = found(old, new);
        assert!(lines.contains(part), "{lines}");
    }
    let everywhere = text.replace("organization-model", "account");
    let error = read::read("anthropic.toml", &everywhere).expect_err("no limit is of models");
    let lines = error.to_string();
    assert!(lines.contains("`claude-opus-4` has no effect"), "{lines}");
}

/// Limits of models within one of all calls, in a catalogue of one's own.
#[test]
fn limits_of_models_may_be_within_one_of_all_calls() {
    let text = text_of("anthropic").replacen("organization-model", "account", 1);
    let data = read::read("mine.toml", &text).expect("valid");
    let tier = Provider::new(Arc::new(data)).tier("start").expect("there");
    assert!(tier.is_per_model() && tier.is_for_all());
    let settings = tier.settings().expect("valid");
    assert_eq!(
        settings.rate_limit.limits().len(),
        1,
        "requests of all calls"
    );
    let limit = tier.build().expect("valid").handles().rate_limit;
    assert_eq!(limit.account().expect("one").config(), settings.rate_limit);
    let tokens = limit.limits_of(tier.model_key("m"));
    assert_eq!(tokens.len(), 2, "input and output tokens of each model");
}

/// Groups of models where all of them have their limits together.
#[cfg(feature = "ai")]
#[test]
fn groups_without_effect_are_an_error() {
    use seawall_ai::estimate::{EstimateConfig, EstimateLayer};
    use seawall_core::PartitionKey;

    let text = text_of("openai").replace("organization-model", "account");
    let data = read::read("mine.toml", &text).expect("valid");
    let tier = Provider::new(Arc::new(data)).tier("tier-1").expect("there");
    assert!(!tier.is_per_model());
    assert_eq!(tier.model_key("gpt-5"), PartitionKey::default());
    let estimates = || EstimateLayer::new("own", EstimateConfig::default());
    let stack = tier
        .model_stack()
        .expect("valid")
        .estimating(estimates())
        .expect("no group");
    assert_eq!(stack.handles().key_of("gpt-5"), None);
    let error = stack
        .estimating(estimates().group(PartitionKey::of))
        .expect_err("a group");
    assert_eq!(
        error.to_string(),
        "`group` is a function, accepted is none where all models have their limits together"
    );
}

#[test]
fn orders_that_cannot_be_looked_up_are_a_mistake() {
    let text = text_of("alpaca");
    let lists = text.find("[[orders.lists]]").expect("there are lists");
    let after = text.find("[[orders.cancels]]").expect("there is a cancel");
    assert_mistake(
        &text[lists..after],
        "",
        "`orders.lists` is empty, accepted is at least one request by which an order is looked up",
    );
    assert_mistake(
        "request = \"GET /v2/orders:by_client_order_id?client_order_id={id}\"",
        "request = \"POST /v2/orders\"",
        "`request` is `POST /v2/orders`, whose route may not be sent twice",
    );
    assert_mistake(
        "coverage = \"by-id\"",
        "coverage = \"by-name\"",
        "unknown variant `by-name`",
    );
}

/// What only the table of the broker knows.
#[cfg(feature = "orders")]
#[test]
fn a_table_that_cannot_be_made_is_a_mistake() {
    assert_mistake(
        "coverage = \"by-id\"",
        "coverage = \"id-then-fills\"",
        "`query.fills` is not set, accepted is a request, since `coverage` is `id_then_fills`",
    );
    assert_mistake(
        "path = \"/v2/orders/{order}\"",
        "path = \"/v2/orders/{id}\"",
        "`route` is PATCH /v2/orders/{id}",
    );
    assert_mistake(
        "at = \"code\"",
        "at = \"code[\"",
        "`rule.at` is code[, accepted is a path",
    );
    assert_mistake(
        "means = \"duplicate\"",
        "means = \"accepted\"",
        "`replies.state` is not set",
    );
    assert_mistake(
        "window = \"15s\"",
        "window = \"0s\"",
        "`window` is 0s, accepted is a time above 0s, up to 1 h",
    );
}

#[test]
fn unknown_names_come_with_the_nearest() {
    let error = provider("Alpacca").expect_err("misspelled");
    assert!(
        error.to_string().contains("there is no provider `Alpacca`"),
        "{error}"
    );
    assert!(error.to_string().contains("`alpaca`"), "{error}");
    let alpaca = provider("alpaca").expect("known");
    let error = alpaca.tier("free").expect_err("unknown");
    assert_eq!(error.accepted(), ["standard", "plus"]);
    assert_eq!(
        error.to_string(),
        "there is no tier of `alpaca` `free`, there is `standard` and `plus`"
    );
}

#[test]
fn a_folder_adds_providers_and_replaces_one() {
    let folder = std::env::temp_dir().join(format!("seawall-catalog-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("writable");
    let write = |file: &str, text: &str| fs::write(folder.join(file), text).expect("writable");
    let text = text_of("alpaca");
    write(
        "mine.toml",
        &text.replacen("name = \"alpaca\"", "name = \"mine\"", 1),
    );
    write(
        "alpaca.toml",
        &text.replacen("count = 200", "count = 100", 1),
    );
    write("notes.txt", "not a provider");
    let embedded = Catalog::embedded().expect("valid");
    let catalog = embedded.clone().with_folder(&folder).expect("valid");
    assert_eq!(
        catalog.providers().count(),
        embedded.providers().count() + 1
    );
    let count = |catalog: &Catalog, name| {
        let tier = catalog.provider(name).expect("known").default_tier();
        tier.expect("there is one")
            .limits()
            .next()
            .expect("there is one")
            .count()
    };
    assert_eq!(count(&catalog, "mine"), 200);
    assert_eq!(count(&catalog, "alpaca"), 100);
    assert_eq!(count(embedded, "alpaca"), 200);
    fs::write(folder.join("torn.toml"), [0xff, 0xfe]).expect("writable");
    let error = embedded.clone().with_folder(&folder).expect_err("no UTF-8");
    assert!(
        error.to_string().contains("torn.toml cannot be read"),
        "{error}"
    );
    fs::remove_dir_all(&folder).expect("there");
    let error = embedded.clone().with_folder(&folder).expect_err("gone");
    assert!(matches!(error, CatalogError::Unreadable { .. }), "{error}");
}
