//! Where these routes are nested in an application.

use http::Uri;

/// Where these routes are nested: `/ops`, or nothing.
pub(super) fn prefix<'a>(original: &'a Uri, path: &str) -> &'a str {
    let path = path.trim_end_matches('/');
    let original = original.path().trim_end_matches('/');
    let prefix = original.strip_suffix(path).unwrap_or_default();
    // `//host` is another host.
    if prefix.starts_with("//") { "" } else { prefix }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_what_stands_before_the_path() {
        for (original, path, expected) in [
            ("/api/v1/session", "/api/v1/session", ""),
            ("/ops/api/v1/session", "/api/v1/session", "/ops"),
            ("/", "/", ""),
            ("/ops", "/", "/ops"),
            ("/a/b/", "/", "/a/b"),
            ("//evil.example/api/v1/session", "/api/v1/session", ""),
            ("/elsewhere", "/api/v1/session", ""),
        ] {
            let uri: Uri = original.parse().expect("a path");
            assert_eq!(prefix(&uri, path), expected, "{original}");
        }
    }
}
