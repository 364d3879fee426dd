//! One target has one spelling.

use std::borrow::Cow;

use http::Uri;
use http::uri::Authority;

/// Without the port that its scheme has anyway, without an empty one, and its host in lower case (RFC 9110, 4.2.3).
pub(super) fn canonical(target: &Uri) -> Uri {
    let rebuilt = || {
        let authority = target.authority()?.as_str();
        let spelled = authority_of(target.scheme_str(), authority);
        let Cow::Owned(spelled) = spelled else {
            return None;
        };
        let mut parts = target.clone().into_parts();
        parts.authority = Some(Authority::try_from(spelled).ok()?);
        Uri::from_parts(parts).ok()
    };
    rebuilt().unwrap_or_else(|| target.clone())
}

/// The one spelling of an authority; owned where it is another one.
pub(super) fn authority_of<'a>(scheme: Option<&str>, authority: &'a str) -> Cow<'a, str> {
    let short = without_port(scheme, authority);
    let host = short.rfind('@').map_or(0, |at| at + 1);
    let (user, host) = short.split_at(host);
    let is_lower = !host.bytes().any(|byte| byte.is_ascii_uppercase());
    if is_lower && short.len() == authority.len() {
        return Cow::Borrowed(authority);
    }
    Cow::Owned(format!("{user}{}", host.to_ascii_lowercase()))
}

/// `authority` without the port of its scheme.
pub(super) fn without_port<'a>(scheme: Option<&str>, authority: &'a str) -> &'a str {
    let Some((host, port)) = authority.rsplit_once(':') else {
        return authority;
    };
    let usual = match scheme {
        Some(scheme) if scheme.eq_ignore_ascii_case("https") => 443,
        Some(scheme) if scheme.eq_ignore_ascii_case("http") => 80,
        _ => return authority,
    };
    let is_usual = port.is_empty() || port.parse() == Ok(usual);
    // Not the last colon of an address such as `[::1]`, nor of a user.
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
    if is_port && is_usual { host } else { authority }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_a_scheme_has_anyway_is_left_out() {
        for (target, expected) in [
            ("https://h:443/x?y", "https://h/x?y"),
            ("https://H:0443/x", "https://h/x"),
            ("HTTP://h:80", "http://h/"),
            ("https://[::1]:443/x", "https://[::1]/x"),
            ("https://[::443]/x", "https://[::443]/x"),
            ("https://[::1]/x", "https://[::1]/x"),
            ("https://h:80/x", "https://h:80/x"),
            ("http://h:443/x", "http://h:443/x"),
            ("https://u:443@h/x", "https://u:443@h/x"),
            ("https://u:443@h:443/x", "https://u:443@h/x"),
            ("https://User@Host:8443/X?Y", "https://User@host:8443/X?Y"),
            ("ftp://h:80/x", "ftp://h:80/x"),
            ("/x:80", "/x:80"),
            ("*", "*"),
        ] {
            // As text: two that are equal may be spelled differently.
            let uri = canonical(&target.parse().unwrap()).to_string();
            assert_eq!(uri, expected, "{target}");
        }
        assert_eq!(without_port(Some("http"), "h:"), "h");
    }
}
