//! The files of the dashboard, over real sockets. How it looks and what it does is tested in a browser.

mod support;

use support::{OPERATOR, admin, ask, raw, serve};

const FILES: [(&str, &str); 5] = [
    ("/dashboard", "text/html; charset=utf-8"),
    ("/dashboard/app.js", "text/javascript; charset=utf-8"),
    ("/dashboard/uplot.js", "text/javascript; charset=utf-8"),
    ("/dashboard/style.css", "text/css; charset=utf-8"),
    ("/dashboard/icon.svg", "image/svg+xml"),
];

#[tokio::test]
async fn the_page_is_small_and_may_do_little() {
    let server = serve(admin().build().expect("settings")).await;
    let at = server.local_addr();
    let mut bytes = 0;
    for (path, kind) in FILES {
        // Signing in is done on the page, so it needs no token.
        let answer = ask(at, "GET", path, None, None).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("content-type"), Some(kind), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        let policy = answer
            .header("content-security-policy")
            .expect("a policy")
            .to_owned();
        assert!(policy.starts_with("default-src 'none';"), "{policy}");
        for loose in ["unsafe", "http:", "https:", "data:", "*"] {
            assert!(!policy.contains(loose), "{policy} has {loose}");
        }
        bytes += answer.body.len();
    }
    assert!(bytes < 100_000, "{bytes} bytes");
    assert!(bytes > 50_000, "{bytes} bytes are not all of it");
}

#[tokio::test]
async fn a_browser_that_has_a_file_is_not_sent_it_again() {
    let server = serve(admin().build().expect("settings")).await;
    let at = server.local_addr();
    for (path, _) in FILES {
        let first = ask(at, "GET", path, None, None).await;
        assert_eq!(first.header("cache-control"), Some("no-cache"));
        let tag = first.header("etag").expect("a tag");
        for (known, status) in [
            (tag.to_owned(), 304),
            (format!("\"other\", W/{tag}"), 304),
            ("\"other\"".to_owned(), 200),
        ] {
            let request = format!(
                "GET {path} HTTP/1.1\r\nhost: localhost\r\nif-none-match: {known}\r\nconnection: close\r\n\r\n"
            );
            let again = raw(at, request.as_bytes()).await.expect("an answer");
            assert_eq!(again.status, status, "{path} {known}");
            assert_eq!(again.body.is_empty(), status == 304, "{path} {known}");
        }
    }
}

#[tokio::test]
async fn the_page_is_only_shown_and_only_by_its_own_host() {
    let server = serve(admin().build().expect("settings")).await;
    let at = server.local_addr();
    let posted = ask(at, "POST", "/dashboard", Some(OPERATOR), None).await;
    assert_eq!(posted.status, 405);
    assert_eq!(
        posted.header("content-type"),
        Some("application/problem+json")
    );
    let slash = ask(at, "GET", "/dashboard/", None, None).await;
    assert_eq!(
        (slash.status, slash.header("location")),
        (308, Some("../dashboard"))
    );
    for path in [
        "/dashboard/../app.js",
        "/dashboard/%2e%2e/Cargo.toml",
        "/dashboard/none.js",
    ] {
        assert_eq!(ask(at, "GET", path, None, None).await.status, 404, "{path}");
    }
    let other =
        b"GET /dashboard HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n".as_slice();
    assert_eq!(raw(at, other).await.expect("an answer").status, 421);
}

/// An application may have the routes under a path of its own: the page names nothing from the root.
#[tokio::test]
async fn the_page_can_be_nested() {
    let page = include_str!("../assets/dashboard.html");
    let script = include_str!("../assets/app.js");
    for absolute in ["\"/", "'/api", "`/api"] {
        assert!(!page.contains(absolute), "{absolute}");
    }
    for absolute in ["\"/api", "'/api", "`/api", "\"/dashboard"] {
        assert!(!script.contains(absolute), "{absolute}");
    }
}
