//! The files of the dashboard, over real sockets. How it looks and what it does is tested in a browser.
#![cfg(feature = "monitor")]

mod support;

use std::net::SocketAddr;

use seawall_admin::AdminBuilder;
use support::{Answer, OPERATOR, ask, raw, serve};
use tower::ServiceExt;

const FILES: [(&str, &str); 5] = [
    ("/dashboard", "text/html; charset=utf-8"),
    ("/dashboard/app.js", "text/javascript; charset=utf-8"),
    ("/dashboard/uplot.js", "text/javascript; charset=utf-8"),
    ("/dashboard/style.css", "text/css; charset=utf-8"),
    ("/dashboard/icon.svg", "image/svg+xml"),
];

fn admin() -> AdminBuilder {
    let (registry, _) = support::desk();
    let monitor = seawall_monitor::Monitor::builder("desk").registry(registry);
    support::admin().monitor(monitor.build().expect("settings"))
}

/// What a browser is answered, without a token.
async fn browse(at: SocketAddr, path: &str, more: &str) -> Answer {
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: localhost\r\naccept: text/html,*/*;q=0.8\r\n{more}connection: close\r\n\r\n"
    );
    raw(at, request.as_bytes()).await.expect("an answer")
}

#[tokio::test]
async fn the_page_is_small_and_may_do_little() {
    let server = serve(admin().build().expect("settings")).await;
    let at = server.local_addr();
    let mut bytes = 0;
    for (path, kind) in FILES {
        // Signing in is done on the page, so it needs no token.
        let answer = browse(at, path, "").await;
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
        let first = browse(at, path, "").await;
        assert_eq!(first.header("cache-control"), Some("no-cache"));
        let tag = first.header("etag").expect("a tag");
        for (known, status) in [
            (tag.to_owned(), 304),
            (format!("\"other\", W/{tag}"), 304),
            ("\"other\"".to_owned(), 200),
        ] {
            let again = browse(at, path, &format!("if-none-match: {known}\r\n")).await;
            assert_eq!(again.status, status, "{path} {known}");
            assert_eq!(again.body.is_empty(), status == 304, "{path} {known}");
        }
    }
}

#[tokio::test]
async fn the_page_is_only_shown_and_only_by_its_own_host() {
    let server = serve(admin().build().expect("settings")).await;
    let at = server.local_addr();
    for path in ["/dashboard", "/dashboard/app.js"] {
        let posted = ask(at, "POST", path, Some(OPERATOR), None).await;
        assert_eq!(posted.status, 405);
        let kind = posted.header("content-type");
        assert_eq!(kind, Some("application/problem+json"));
    }
    // Without a token only the page is shown, and no figures.
    assert_eq!(ask(at, "GET", "/dashboard", None, None).await.status, 401);
    let slash = browse(at, "/dashboard/", "").await;
    assert_eq!(
        (slash.status, slash.header("location")),
        (308, Some("../dashboard"))
    );
    for path in [
        "/dashboard/../app.js",
        "/dashboard/%2e%2e/Cargo.toml",
        "/dashboard/none.js",
    ] {
        assert_eq!(browse(at, path, "").await.status, 404, "{path}");
    }
    let other =
        b"GET /dashboard HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n".as_slice();
    assert_eq!(raw(at, other).await.expect("an answer").status, 421);
}

/// An application may have the routes under a path of its own: the page names nothing from the root.
#[tokio::test]
async fn the_page_can_be_nested() {
    let nested = axum::Router::new().nest("/ops", admin().build().expect("settings").router());
    for (path, _) in FILES {
        let request = http::Request::get(format!("/ops{path}"))
            .header("host", "localhost")
            .header("accept", "text/html")
            .body(axum::body::Body::empty());
        let answer = nested.clone().oneshot(request.expect("a request")).await;
        assert_eq!(answer.map(|it| it.status().as_u16()), Ok(200), "{path}");
    }
    let page = include_str!("../assets/dashboard.html");
    let script = include_str!("../assets/app.js");
    for absolute in ["\"/", "'/api", "`/api"] {
        assert!(!page.contains(absolute), "{absolute}");
    }
    for absolute in ["\"/api", "'/api", "`/api", "\"/dashboard"] {
        assert!(!script.contains(absolute), "{absolute}");
    }
}
