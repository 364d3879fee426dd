//! Whatever it is given, the loader answers, and what it loads makes stacks.

use proptest::prelude::*;

use super::*;
use crate::config::setting::Level;
use crate::config::{flat, table};

const FILE: &str = r#"
[resilience]
utilization = 0.7
deadline = "50s"
[resilience.retry]
attempts = 4
backoff = "fibonacci"
[resilience.orders]
provider = "alpaca"
tier = "standard"
deadline = "20s"
bulkhead = { max_concurrent = 8, max_waiting = 2 }
[resilience.orders.breaker]
failure_rate = 0.5
period = "30s"
[resilience.my-feed]
kind = "market-data"
rate_limit.rate = "200/min"
rate_limit.quotas = ["25/day"]
"#;

/// What is loaded makes stacks; what is not has reasons, each with its place.
fn check(config: Result<Config, ConfigError>) {
    match config {
        Ok(config) => {
            for service in config.services() {
                let answers = service.answers();
                let stack = answers::taking_what_is_there(service).build();
                stack.expect("what is loaded makes a stack");
                let is_plain = service.check_untaken().is_ok();
                assert_eq!(answers.build().is_ok(), is_plain);
                assert!(!service.effective().is_empty());
            }
        }
        Err(error) => {
            assert!(!error.mistakes().is_empty());
            for mistake in error.mistakes() {
                assert!(!mistake.problem.is_empty());
                if let Place::Position { line, column, .. } = &mistake.place {
                    assert!(*line > 0 && *column > 0);
                }
            }
        }
    }
}

fn text(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(words).prop_map(str::to_owned)
}

/// Values of all types and sizes, as they are written in a file.
fn value() -> impl Strategy<Value = String> {
    let words = &[
        "true",
        "false",
        "[]",
        "[\"5/s\", \"9/h\"]",
        "{}",
        "1979-05-27",
        "\"none\"",
        "\"constant\"",
        "\"exponential\"",
        "\"decorrelated\"",
        "\"abandoned\"",
        "\"broker\"",
    ];
    let rate = (0u32..9, text(&["s", "min", "day", "0s", "400ms"]));
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        (0u32..20).prop_map(|number| number.to_string()),
        (0u32..2_000).prop_map(|number| format!("\"{number}ms\"")),
        (0u32..200).prop_map(|number| format!("\"{number}s\"")),
        any::<u64>().prop_map(|number| format!("\"{number}s\"")),
        (0.0..1.0f64).prop_map(|number| format!("{number:.3}")),
        any::<f64>().prop_map(|number| format!("{number:?}").replace("NaN", "nan")),
        rate.prop_map(|(count, per)| format!("\"{count}/{per}\"")),
        text(words),
        "\\PC{0,8}".prop_map(|text| format!("{text:?}")),
    ]
}

/// Settings with such values, for a service and for all.
fn settings() -> impl Strategy<Value = String> {
    let all = table::all().filter(|setting| setting.show.is_some());
    let paths: Vec<_> = all.map(|it| (it.path(), it.level)).collect();
    let one = (prop::sample::select(paths), value(), any::<bool>());
    let line = one.prop_map(move |((path, level), value, of_all)| {
        let of_all = of_all && level == Level::Both;
        let service = if of_all { "" } else { "a." };
        format!("{service}{path} = {value}\n")
    });
    let base = text(&[
        "a.provider = \"kraken\"\n",
        "a.kind = \"ai-api\"\n",
        "a.kind = \"news\"\n",
    ]);
    (prop::collection::vec(line, 0..6), base).prop_map(|(lines, base)| lines.concat() + &base)
}

fn variables() -> impl Strategy<Value = Vec<(String, String)>> {
    let names: Vec<_> = flat::names().map(str::to_owned).collect();
    let part = prop_oneof![
        text(&[
            "orders", "my_feed", "retry", "breaker", "deadline", "attempts"
        ]),
        "[a-z_]{0,4}",
    ];
    let path = prop::collection::vec(part, 0..5);
    let name = prop_oneof![
        path.prop_map(|path| format!("SEAWALL__{}", path.join("__"))),
        prop::sample::select(names),
        "(RESILIENCE|SEAWALL)_{0,3}[A-Z_]{0,9}",
    ];
    prop::collection::vec((name, prop_oneof![value(), "\\PC{0,9}".boxed()]), 0..4)
}

/// The file with pieces cut out and put in.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let put = prop::collection::vec(any::<u8>(), 0..6);
    let change = (any::<prop::sample::Index>(), 0usize..30, put);
    prop::collection::vec(change, 1..5).prop_map(|changes| {
        let mut bytes = FILE.as_bytes().to_vec();
        for (at, cut, put) in changes {
            let at = at.index(bytes.len() + 1);
            let end = (at + cut).min(bytes.len());
            bytes.splice(at..end, put);
        }
        bytes
    })
}

proptest! {
    #[test]
    fn mutated_files_never_panic(bytes in mutated()) {
        check(Config::loader().text("f.toml", String::from_utf8_lossy(&bytes)).load());
    }

    #[test]
    fn random_texts_never_panic(text in "\\PC{0,60}", fails_safe: bool) {
        let text = format!("[resilience]\nfail_safe_defaults = {fails_safe}\n{text}");
        check(Config::loader().text("f.toml", text).load());
    }

    #[test]
    fn settings_of_any_value_make_a_stack_or_a_mistake(text in settings(), fails_safe: bool) {
        let text = format!("[resilience]\nfail_safe_defaults = {fails_safe}\n{text}");
        check(Config::loader().text("f.toml", text).load());
    }

    #[test]
    fn variables_of_any_name_and_value_never_panic(variables in variables()) {
        check(Config::loader().text("f.toml", FILE).environment(variables).load());
    }
}

#[test]
fn the_file_that_is_mutated_is_right() {
    assert_eq!(ok(FILE).services().len(), 2);
}

#[test]
fn tables_of_any_depth_never_overflow_the_call_stack() {
    let deep = 100_000;
    for text in [
        "[".repeat(deep),
        format!("x = {}", "[".repeat(deep)),
        "a.".repeat(deep),
    ] {
        assert!(load(&text).is_err());
        assert!(with(FILE, &[("SEAWALL__DEADLINE", &text)]).is_err());
    }
}
