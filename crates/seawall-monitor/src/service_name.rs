//! Which service an instance belongs to.

use seawall_core::InstanceName;

/// Patterns of what is no layer of an upstream.
const APART: [&str; 5] = [
    "health_monitor",
    "health_check",
    "config",
    "monitor",
    "experiments",
];

/// The service of an instance: `alpaca` of `alpaca`, `alpaca.reserved` and `alpaca/orders`. `None` for
/// what is no layer of an upstream.
pub(crate) fn service_of(pattern: &str, name: InstanceName) -> Option<&'static str> {
    if APART.contains(&pattern) {
        return None;
    }
    let name = name.as_str();
    let base = name.split_once('/').map_or(name, |(base, _)| base);
    let base = base.strip_suffix(".reserved").unwrap_or(base);
    Some(if base.is_empty() { name } else { base })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_service_belong_to_it() {
        let of = |name: &str| service_of("breaker", InstanceName::new(name));
        assert_eq!(of("alpaca"), Some("alpaca"));
        assert_eq!(of("alpaca.reserved"), Some("alpaca"));
        assert_eq!(of("alpaca/orders"), Some("alpaca"));
        assert_eq!(of("alpaca.reserved/orders"), Some("alpaca"));
        assert_eq!(of("alpaca.orders"), Some("alpaca.orders"));
        assert_eq!(of("/orders"), Some("/orders"));
        assert_eq!(of(".reserved"), Some(".reserved"));
        assert_eq!(service_of("config", InstanceName::new("desk")), None);
    }
}
