//! The table of settings: all of it works, and is in the guide and in the schema.

use std::fs;
use std::path::Path;

use super::*;
use crate::config::numbers::Numbers;
use crate::config::set::Set;
use crate::config::setting::{Setting, Table};
use crate::config::value::{Accepts, Rate, Value};
use crate::config::{apply, flat, table};

/// A value that differs from what every kind has.
fn other(setting: &Setting) -> Value {
    match setting.accepts {
        Accepts::Count if setting.key == "status" => Value::Count(503),
        Accepts::Count => Value::Count(6),
        Accepts::Weight => Value::Weight(6),
        Accepts::Share | Accepts::PartialShare => Value::Number(0.55),
        Accepts::Number => Value::Number(1.5),
        Accepts::Time => Value::Time(SECOND * 7),
        Accepts::Switch => Value::Switch(!matches!(
            setting.key,
            "coalesce" | "enabled" | "reject_doomed" | "retry_throttled" | "retry_if_not_sent"
        )),
        Accepts::Rate | Accepts::Rates => Value::Rates(vec![Rate {
            count: 7,
            per: SECOND,
        }]),
        Accepts::Word(words) => Value::Word(words[words.len() - 1]),
        Accepts::Name | Accepts::Text => Value::Text("alpaca".to_owned()),
    }
}

/// What a setting needs beside it.
fn companions(setting: &Setting) -> &'static [&'static str] {
    match setting.key {
        "slow_after" if setting.table == Table::Telemetry => &[],
        "slow_after" => &["slow_rate"],
        "slow_rate" => &["slow_after"],
        "open_factor" => &["longest_open"],
        "longest_open" => &["open_factor"],
        "open_decay" => &["open_factor", "longest_open"],
        "close_rate" => &["close_calls"],
        "close_calls" => &["close_rate"],
        "ramp_steps" => &["ramp_step"],
        "ramp_step" => &["ramp_steps"],
        "max_refreshes" => &["stale_while_revalidate"],
        "content_type" | "status" => &["body"],
        _ => &[],
    }
}

#[test]
fn every_setting_of_the_table_changes_what_it_is_shown_by() {
    for setting in table::all() {
        let Some(show) = setting.show else { continue };
        let base = ServiceKind::ApiClient.settings().expect("valid");
        let mut numbers = Numbers::of(base);
        // A layer that the program adds is there with its defaults.
        let nothing = Set {
            table: setting.table,
            values: &std::collections::BTreeMap::new(),
        };
        apply::apply(&mut numbers, &nothing).expect("valid");
        let before = show(&numbers);
        let of = |key| {
            let setting = table::find(setting.table, key).expect("it is a setting");
            let mut value = other(setting);
            // Longer than the open time, which the cap must be.
            if key == "longest_open" {
                value = Value::Time(SECOND * 700);
            }
            ((setting.table, setting.key), value)
        };
        let keys = std::iter::once(setting.key).chain(companions(setting).iter().copied());
        let values: Vec<_> = keys.map(of).collect();
        let set = Set {
            table: setting.table,
            values: &values.iter().map(|(id, value)| (*id, value)).collect(),
        };
        let applied = apply::apply(&mut numbers, &set);
        assert!(applied.is_ok(), "{}: {applied:?}", setting.path());
        assert_ne!(before, show(&numbers), "{} does nothing", setting.path());
    }
}

#[test]
fn a_switch_in_place_of_a_number_turns_it_off() {
    for setting in table::all().filter(|setting| setting.or_false) {
        let show = setting.show.expect("it is a number");
        let base = ServiceKind::ApiClient.settings().expect("valid");
        let mut numbers = Numbers::of(base);
        let on = other(setting);
        let companions: Vec<_> = companions(setting)
            .iter()
            .map(|key| {
                let setting = table::find(setting.table, key).expect("it is a setting");
                ((setting.table, setting.key), other(setting))
            })
            .collect();
        let id = (setting.table, setting.key);
        let mut values: std::collections::BTreeMap<_, _> =
            companions.iter().map(|(id, value)| (*id, value)).collect();
        values.insert(id, &on);
        let table = setting.table;
        apply::apply(
            &mut numbers,
            &Set {
                table,
                values: &values,
            },
        )
        .expect("valid");
        let before = show(&numbers);
        let off = [(id, &Value::Off)].into();
        let set = Set {
            table,
            values: &off,
        };
        apply::apply(&mut numbers, &set).unwrap_or_else(|error| panic!("{error}"));
        assert_ne!(before, show(&numbers), "{}", setting.path());
    }
}

/// `UPDATE_SCHEMA=1` writes it.
#[test]
fn the_schema_of_the_documentation_is_that_of_the_settings() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/seawall.schema.json");
    let schema = json_schema();
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(&path, &schema).expect("writable");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == schema,
        "run `UPDATE_SCHEMA=1 cargo test -p seawall --lib schema`"
    );
    let json: serde_json::Value = serde_json::from_str(&schema).expect("it is JSON");
    for setting in table::all() {
        let table = match setting.table {
            Table::Service => "service",
            table => table.name(),
        };
        let here = &json["$defs"][table]["properties"][setting.key];
        let above = &json["properties"]["resilience"]["properties"][setting.key];
        assert!(!(here.is_null() && above.is_null()), "{}", setting.path());
    }
}

#[test]
fn the_guide_names_every_setting_and_every_flat_variable() {
    let guide = include_str!("../../../docs/configuration.md");
    for setting in table::all() {
        let row = format!("| `{}` | {} |", setting.key, setting.about);
        assert!(guide.contains(&row), "{}", setting.path());
    }
    for name in flat::names() {
        assert!(guide.contains(&format!("`{name}`")), "{name}");
    }
    for kind in ServiceKind::NAMES {
        assert!(guide.contains(kind), "{kind}");
    }
}
