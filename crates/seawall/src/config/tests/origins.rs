//! Where a setting in force comes from: what is shown is what decided.

use proptest::prelude::*;

use super::*;
use crate::config::setting::{Level, Setting};
use crate::config::table;

/// Values that are mostly accepted.
fn value(setting: &'static Setting) -> BoxedStrategy<String> {
    use crate::config::value::Accepts;
    let times = prop::sample::select(vec!["1s", "2s", "5s", "20s", "40s", "2m", "10m"]);
    let quoted = |text: &str| format!("{text:?}");
    let value = match setting.accepts {
        Accepts::Count | Accepts::Weight => (1u32..40).prop_map(|n| n.to_string()).boxed(),
        Accepts::Share | Accepts::PartialShare => {
            prop::sample::select(vec!["0.2", "0.5", "0.7", "0.9"])
                .prop_map(str::to_owned)
                .boxed()
        }
        Accepts::Number => Just("1.5".to_owned()).boxed(),
        Accepts::Time => times.prop_map(quoted).boxed(),
        Accepts::Switch => any::<bool>().prop_map(|on| on.to_string()).boxed(),
        Accepts::Rate => (20u32..90).prop_map(|n| format!("\"{n}/min\"")).boxed(),
        Accepts::Rates => (20u32..90).prop_map(|n| format!("[\"{n}/h\"]")).boxed(),
        Accepts::Word(words) => prop::sample::select(words).prop_map(quoted).boxed(),
        Accepts::Name | Accepts::Text => Just(String::new()).boxed(),
    };
    if setting.or_false {
        prop_oneof![4 => value, 1 => Just("false".to_owned())].boxed()
    } else {
        value
    }
}

fn one() -> impl Strategy<Value = (&'static Setting, String, bool)> {
    let all: Vec<_> = table::all()
        .filter(|setting| setting.level == Level::Both)
        .collect();
    prop::sample::select(all)
        .prop_flat_map(|setting| (Just(setting), value(setting), any::<bool>()))
}

type Lines = Vec<(&'static Setting, String, bool)>;

/// The base is line 1, and setting `n` line `n + 2`.
fn text(base: &str, lines: &[(&'static Setting, String, bool)]) -> String {
    let mut text = format!("resilience.a.{base}\n");
    for (setting, value, of_all) in lines {
        let service = if *of_all { "" } else { "a." };
        text.push_str(&format!(
            "resilience.{service}{} = {value}\n",
            setting.path()
        ));
    }
    text
}

fn values(text: &str) -> Option<Vec<EffectiveSetting>> {
    Some(load(text).ok()?.service("a").ok()?.effective())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, max_global_rejects: 100_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_shown_is_what_decided(
        lines in prop::collection::vec(one(), 1..5),
        base in prop::sample::select(vec!["provider = \"alpaca\"", "provider = \"openai\"", "kind = \"news\"", "kind = \"market-data\""]),
    ) {
        let lines: Lines = lines;
        let all = values(&text(base, &lines));
        prop_assume!(all.is_some());
        let plain = values(&text(base, &[])).expect("right");
        for (setting, plain) in all.expect("right").iter().zip(&plain) {
            let at = line(&setting.origin);
            if at == 0 {
                prop_assert_eq!(&setting.value, &plain.value, "{}", setting.key);
                continue;
            }
            let (own, _, of_all) = &lines[at - 2];
            prop_assert_eq!(matches!(setting.origin, Origin::Defaults(_)), *of_all);
            if own.path() == setting.key {
                continue;
            }
            // One that it follows.
            prop_assert_ne!(&setting.value, &plain.value, "{}", setting.key);
            let of_service = |(other, _, of_all): &(&Setting, String, bool)| !of_all && other.path() == setting.key;
            prop_assert!(!lines.iter().any(of_service), "{} is written", setting.key);
        }
    }
}
