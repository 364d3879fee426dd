//! Which hosts a server is.

/// A host without its port.
pub(crate) fn name_of(host: &str) -> &str {
    if let Some(end) = host.strip_prefix('[').and_then(|rest| rest.find(']')) {
        return &host[..end + 2];
    }
    host.split_once(':').map_or(host, |(name, _)| name)
}

/// Which hosts a server is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts(Vec<String>);

impl Hosts {
    pub(crate) fn add(&mut self, host: &str) {
        self.0.push(host.to_ascii_lowercase());
    }

    /// Addresses are always allowed: a page can be made to point at a name, not at a number.
    pub(crate) fn allows(&self, name: &str) -> bool {
        let is_address = name
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok();
        is_address
            || name.eq_ignore_ascii_case("localhost")
            || self.0.iter().any(|host| host.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_and_addresses_are_not() {
        let mut hosts = Hosts::default();
        hosts.add("Desk.Example");
        for (host, allowed) in [
            ("localhost:9090", true),
            ("127.0.0.1:9090", true),
            ("[::1]:9090", true),
            ("desk.example", true),
            ("desk.example:443", true),
            ("evil.example", false),
            ("desk.example.evil.example", false),
            ("", false),
            ("[", false),
            ("[::1", false),
        ] {
            assert_eq!(hosts.allows(name_of(host)), allowed, "{host}");
        }
    }
}
