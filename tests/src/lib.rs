//! Tests of Seawall across its crates; see `tests/`.

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// A builder of a stack for the default tier of a provider, named `name`.
///
/// # Panics
///
/// Where there is no such provider.
pub fn provider(provider: &str, name: &'static str) -> seawall::StackBuilder {
    let provider = seawall::provider(provider).expect("it is in the catalogue");
    let tier = provider.default_tier().expect("there is one");
    tier.named(name).builder().expect("one limit for all calls")
}
