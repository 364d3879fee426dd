//! What a file and variables make, and what is wrong with them.

mod answers;
mod fuzz;
mod health;
mod merging;
mod mistakes;
mod origins;
mod stacks;
mod table;
mod variables;

use std::time::Duration;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn load(text: &str) -> Result<Config, ConfigError> {
    Config::loader().text("f.toml", text).load()
}

fn ok(text: &str) -> Config {
    load(text).unwrap_or_else(|error| panic!("{error}"))
}

/// The mistakes of a file, a line each.
fn wrong(text: &str) -> Vec<String> {
    let error = load(text).expect_err("there are mistakes");
    error.mistakes().iter().map(ToString::to_string).collect()
}

fn with(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let variables = variables.iter().copied();
    Config::loader()
        .text("f.toml", text)
        .environment(variables)
        .load()
}

fn effective(config: &Config, service: &str, key: &str) -> (String, Origin) {
    let service = config.service(service).expect("it is there");
    let effective = service.effective();
    let found = effective.into_iter().find(|setting| setting.key == key);
    let found = found.expect("it is a setting");
    (found.value, found.origin)
}

fn line(origin: &Origin) -> usize {
    match origin {
        Origin::Base | Origin::Layer => 0,
        Origin::Defaults(place) | Origin::Service(place) => match place {
            Place::Position { line, .. } => *line,
            Place::Variable(_) => 0,
        },
    }
}
