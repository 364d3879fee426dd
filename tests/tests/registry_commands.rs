//! What a registry can command: each component names its commands, carries out those and no other, and each
//! that begins something has the one that ends it.

use std::sync::Arc;

use seawall::{Command, InstanceHandle, Registry};

/// Two stacks, one with every option that has commands.
fn registry() -> Registry {
    let registry = Registry::new("desk");
    let plain = seawall::broker("plain").build().expect("settings");
    plain.register(&registry).expect("the first");
    let full = seawall::broker("full").build().expect("settings");
    let full = full
        .throttle(seawall::AdaptiveThrottleConfig::default())
        .hedge(seawall::HedgeConfig::default());
    full.register(&registry).expect("the second");
    registry
}

/// Everything that a command changes: state, gauges and settings, without counters.
fn seen(component: &Arc<dyn InstanceHandle>) -> String {
    let mut gauges = Vec::new();
    component.samples(&mut seawall_core::Samples::new(&mut |sample| {
        if let seawall_core::Value::Gauge(value) = sample.value {
            gauges.push((sample.metric, sample.labels.to_vec(), value));
        }
    }));
    // Time passes between two looks.
    gauges.retain(|(metric, ..)| !metric.ends_with("_seconds"));
    format!(
        "{} {gauges:?} {:?}",
        component.state(),
        component.settings()
    )
}

#[tokio::test(start_paused = true)]
async fn a_component_carries_out_the_commands_that_it_names_and_no_other() {
    let components = registry().all();
    assert!(components.len() > 10, "{}", components.len());
    for component in components {
        let pattern = component.pattern();
        for command in Command::ALL {
            let done = component.control(command);
            let is_named = component.commands().contains(&command);
            assert_eq!(done.is_ok(), is_named, "{pattern} {command:?}");
            if let Err(unsupported) = done {
                assert_eq!(unsupported.command, command);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_registry_begins_it_can_end() {
    let pairs = [
        (Command::Block, Command::Resume),
        (Command::Bypass, Command::Resume),
        (Command::Drain, Command::Resume),
        (Command::ShadowOn, Command::ShadowOff),
        (Command::Block, Command::Reset),
        (Command::Bypass, Command::Reset),
        (Command::Drain, Command::Reset),
        (Command::ShadowOn, Command::Reset),
    ];
    let mut tried = 0;
    for component in registry().all() {
        for (begin, end) in pairs {
            let commands = component.commands();
            if !commands.contains(&begin) || !commands.contains(&end) {
                continue;
            }
            let before = seen(&component);
            component.control(begin).expect("named");
            component.control(end).expect("named");
            let case = format!("{} {begin:?} {end:?}", component.pattern());
            if (component.pattern(), begin, end) == ("breaker", Command::Block, Command::Resume) {
                assert_eq!(component.state(), "half_open", "it probes first");
                component.control(Command::Reset).expect("named");
            }
            assert_eq!(seen(&component), before, "{case}");
            tried += 1;
        }
    }
    assert!(tried > 40, "{tried}");
}

#[test]
fn commands_have_a_word_each() {
    let mut words: Vec<_> = Command::ALL
        .iter()
        .map(|command| command.as_str())
        .collect();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), Command::ALL.len());
}

#[tokio::test(start_paused = true)]
async fn commands_of_an_operator_are_counted_and_those_of_a_recovery_are_not() {
    let mut blocked = 0;
    for component in registry().all() {
        let pattern = component.pattern();
        let commands = component.commands();
        if !commands.contains(&Command::Block) || !commands.contains(&Command::Resume) {
            continue;
        }
        blocked += 1;
        let untouched = component.operated().expect("its commands are counted");
        for command in [Command::Block, Command::Resume] {
            let done = seawall_core::as_recovery("recovery", || component.control(command));
            assert_eq!(done, Ok(()), "{pattern} {command:?}");
        }
        if commands.contains(&Command::ShadowOn) {
            component.control(Command::ShadowOn).expect("it is named");
        }
        assert_eq!(component.operated(), Some(untouched), "{pattern}");
        component.control(Command::Block).expect("it is named");
        assert_ne!(component.operated(), Some(untouched), "{pattern}");
        let instance = component.operated().expect("as before").instance();
        assert_eq!(instance, untouched.instance(), "{pattern}");
    }
    assert!(blocked > 4, "{blocked}");
}

#[tokio::test(start_paused = true)]
async fn the_check_of_metrics_is_healthy_whatever_is_commanded() {
    let registry = registry();
    let check = seawall::health::builtin::metrics(&registry);
    for command in Command::ALL {
        for component in registry.all() {
            // Some have it and some do not.
            let _ = component.control(command);
        }
        assert_eq!(check().await.message(), None, "{command:?}");
    }
}
