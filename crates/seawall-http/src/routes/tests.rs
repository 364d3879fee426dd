use super::*;
use crate::deadline::propagate_deadline;
use proptest::prelude::*;
use seawall_core::TokenCount;
use std::time::Duration;
use tokio::time::Instant;

fn cost(n: u32) -> RequestMeta {
    RequestMeta::new(Replay::Safe).with_cost(n)
}

fn table(patterns: &[&str]) -> Routes {
    let costs = 2..;
    patterns.iter().zip(costs).fold(Routes::new(), |t, (p, n)| {
        t.any(p, cost(n)).unwrap_or_else(|e| panic!("{e}"))
    })
}

fn found(routes: &Routes, path: &str) -> u32 {
    routes.look_up(&Method::GET, path).cost
}

#[test]
fn the_first_route_that_matches_counts() {
    let routes = table(&["/v2/orders/open", "/v2/orders/{id}", "/v2/**", "/*/x"]);
    assert_eq!(found(&routes, "/v2/orders/open"), 2);
    assert_eq!(found(&routes, "/v2/orders/7"), 3);
    assert_eq!(found(&routes, "/v2/orders/7/legs"), 4);
    assert_eq!(found(&routes, "/v2/orders/"), 4, "an empty segment is none");
    assert_eq!(found(&routes, "/v2"), 4, "the rest may be missing");
    assert_eq!(found(&routes, "/v3/x"), 5);
    assert_eq!(found(&routes, "/v3/y"), 1, "by its method");
    assert_eq!(found(&routes, "/v20"), 1);
    assert_eq!(found(&routes, ""), 1);
    assert_eq!(found(&table(&["/**"]), "/anything/at/all"), 2);
    assert_eq!(found(&table(&["/"]), "/"), 2);
}

#[test]
fn a_route_is_for_its_method_alone() {
    let routes = Routes::new()
        .route(Method::POST, "/v1/messages", cost(9))
        .unwrap();
    assert_eq!(routes.look_up(&Method::POST, "/v1/messages").cost, 9);
    assert_eq!(routes.look_up(&Method::GET, "/v1/messages").cost, 1);
}

#[test]
fn unrouted_requests_are_as_safe_as_their_method() {
    for (method, by_rfc, careful) in [
        (Method::GET, true, true),
        (Method::HEAD, true, true),
        (Method::OPTIONS, true, true),
        (Method::TRACE, true, true),
        (Method::PUT, true, false),
        (Method::DELETE, true, false),
        (Method::POST, false, false),
        (Method::PATCH, false, false),
        (Method::CONNECT, false, false),
        (Method::from_bytes(b"PURGE").unwrap(), false, false),
    ] {
        let safe = |routes: Routes| routes.look_up(&method, "/").replay.is_safe();
        assert_eq!(safe(Routes::new()), by_rfc, "{method}");
        assert_eq!(safe(Routes::reads_only()), careful, "{method}");
    }
}

#[test]
fn patterns_that_mean_nothing_are_rejected_by_name() {
    for bad in [
        "", "orders", "/a*", "/{}", "/{a", "/a}", "/{a}{b}", "/**/x", "/a?b=1", "/***", "/{*}",
    ] {
        let rejected = Routes::new().any(bad, RequestMeta::default()).unwrap_err();
        assert_eq!(rejected.field(), "pattern", "{bad}");
        assert_eq!(rejected.value(), format!("{bad:?}"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_caller_put_into_the_extensions_wins() {
    let routes = table(&["/orders"]);
    let mut request = Request::get("/orders").body(()).unwrap();
    request.extensions_mut().insert(Replay::Never);
    request.extensions_mut().insert(Priority::LOW);
    request.extensions_mut().insert(PartitionKey(7));
    let tokens = TokenCount::new(400, 256);
    request.extensions_mut().insert(TokenEstimate(tokens));
    let (soon, later) = (Instant::now(), Instant::now() + Duration::from_secs(1));
    assert_eq!(propagate_deadline(&mut request, soon), soon);
    assert_eq!(propagate_deadline(&mut request, later), soon);
    let meta = routes.describe(&request);
    assert_eq!((meta.replay, meta.priority), (Replay::Never, Priority::LOW));
    assert_eq!((meta.key, meta.cost), (PartitionKey(7), 2));
    assert_eq!(meta.tokens, tokens);
    assert_eq!(meta.deadline, Some(soon), "the earlier deadline is kept");

    let complete = RequestMeta::new(Replay::SafeWithKey).with_deadline(later);
    let mut request = Request::get("/orders").body(()).unwrap();
    request.extensions_mut().insert(complete);
    assert_eq!(routes.describe(&request), complete);
    let much_later = later + Duration::from_secs(1);
    assert_eq!(propagate_deadline(&mut request, much_later), later);
    assert_eq!(propagate_deadline(&mut request, soon), soon);
    assert_eq!(routes.describe(&request).deadline, Some(soon));
}

#[test]
fn a_route_that_never_matches_is_rejected_with_those_before_it() {
    for (earlier, later, named) in [
        (&["/a"][..], "/a", &["`any /a`"][..]),
        (&["/a/*"], "/a/{id}", &["`any /a/*`"]),
        (&["/b", "/a/{id}"], "/a/7", &["`any /a/{id}`"]),
        (&["/a/**"], "/a", &["`any /a/**`"]),
        (&["/a/**"], "/a/b/**", &["`any /a/**`"]),
        (&["/**"], "/", &["`any /**`"]),
        // Only together do they match all.
        (
            &["/a", "/a//**", "/a/{x}/**"],
            "/a/**",
            &["`any /a`", "`any /a//**`", "`any /a/{x}/**`"],
        ),
        (&["//**", "/*/**"], "/**", &["`any //**`", "`any /*/**`"]),
    ] {
        let rejected = table(earlier).any(later, cost(9)).unwrap_err();
        assert_eq!(rejected.field(), "pattern");
        assert_eq!(rejected.value(), format!("`any {later}`"));
        for name in named {
            assert!(rejected.accepted().contains(name), "{rejected}");
        }
        assert_eq!(rejected.accepted().matches('`').count(), named.len() * 2);
    }
    for (earlier, later) in [
        (&["/a", "/b"][..], "/*"),
        (&["/a/*"], "/a/"),
        (&["/a/*"], "/a/**"),
        (&["/a//**", "/a/*/**"], "/a/**"),
        (&["/a", "/a/*/**"], "/a/**"),
        (&["/*/**"], "/**"),
        (&["/*/b"], "/a/*"),
    ] {
        table(earlier).any(later, cost(9)).unwrap();
    }
}

#[test]
fn a_route_for_one_method_hides_no_other_method() {
    let get = || Routes::new().route(Method::GET, "/a/*", cost(2)).unwrap();
    let rejected = get().route(Method::GET, "/a/b", cost(3)).unwrap_err();
    assert!(rejected.accepted().contains("`GET /a/*`"), "{rejected}");
    assert_eq!(rejected.value(), "`GET /a/b`");
    let both = get().route(Method::POST, "/a/b", cost(3)).unwrap();
    assert_eq!(both.look_up(&Method::POST, "/a/b").cost, 3);
    let all = both.any("/a/b", cost(4)).unwrap();
    assert_eq!(all.look_up(&Method::GET, "/a/b").cost, 2);
    assert_eq!(all.look_up(&Method::PUT, "/a/b").cost, 4);
    assert!(all.route(Method::PUT, "/a/b", cost(5)).is_err());
}

#[test]
fn a_pattern_has_up_to_64_segments() {
    let wildcards = |n| "/*".repeat(n);
    let texts = |n| "/a".repeat(n);
    let routes = table(&[&wildcards(64), &(wildcards(63) + "/**"), &texts(62)]);
    assert_eq!(found(&routes, &texts(62)), 4);
    assert_eq!(found(&routes, &texts(63)), 3);
    assert_eq!(found(&routes, &texts(64)), 2);
    assert_eq!(found(&routes, &texts(65)), 3);
    for bad in [wildcards(65), wildcards(65) + "/**"] {
        let rejected = Routes::new().any(&bad, cost(2)).unwrap_err();
        assert!(rejected.accepted().contains("64"), "{rejected}");
    }
}

#[test]
fn a_clone_keeps_its_table_when_a_route_is_added_to_the_other() {
    let one = table(&["/a"]);
    let other = one.clone().any("/b", cost(3)).unwrap();
    assert_eq!((found(&one, "/b"), found(&other, "/b")), (1, 3));
    assert_eq!(
        format!("{one:?}"),
        format!("{:?}", one.clone()),
        "it is written as its routes: {one:?}"
    );
    assert!(format!("{other:?}").contains("`any /b`"), "{other:?}");
}

/// Where texts and wildcards compete at each of ten segments, every one of them can win.
#[test]
fn every_mixture_of_texts_and_wildcards_is_found() {
    let patterns: Vec<String> = (0..1024_u32)
        .map(|bits| {
            (0..10)
                .map(|i| ["/a", "/*"][(bits >> i & 1) as usize])
                .collect()
        })
        .collect();
    let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
    let routes = table(&patterns);
    for (bits, pattern) in patterns.iter().enumerate() {
        let path = pattern.replace('*', "b");
        assert_eq!(found(&routes, &path) as usize, bits + 2, "{path}");
    }
}

/// A list of routes, looked through from its start, each as a list of segments.
#[derive(Default)]
struct List(Vec<(Option<Method>, Vec<String>, bool)>);

impl List {
    fn push(&mut self, method: Option<Method>, pattern: &str) {
        let mut segments: Vec<String> = pattern.split('/').map(String::from).collect();
        let open = segments.last().is_some_and(|s| s == "**");
        if open {
            segments.pop();
        }
        self.0.push((method, segments, open));
    }

    fn find(&self, method: &Method, path: &str) -> Option<usize> {
        let path: Vec<&str> = path.split('/').collect();
        self.0.iter().position(|(only, segments, open)| {
            let long_enough = if *open {
                // `/**` needs the slash.
                path.len() >= segments.len().max(2)
            } else {
                path.len() == segments.len()
            };
            only.as_ref().is_none_or(|m| m == method)
                && long_enough
                && segments.iter().zip(&path).all(|(s, p)| match &**s {
                    "*" => !p.is_empty(),
                    text => text == *p,
                })
        })
    }
}

fn add(
    routes: &Routes,
    method: Option<Method>,
    pattern: &str,
    n: usize,
) -> Result<Routes, InvalidConfig> {
    let meta = cost(n as u32 + 2);
    match method {
        Some(method) => routes.clone().route(method, pattern, meta),
        None => routes.clone().any(pattern, meta),
    }
}

fn a_method() -> impl Strategy<Value = Option<Method>> {
    prop_oneof![
        Just(None),
        Just(Some(Method::GET)),
        Just(Some(Method::POST)),
        Just(Some(Method::from_bytes(b"PURGE").unwrap())),
    ]
}

/// All paths of up to four segments, of which one is empty and one no text of a pattern.
fn all_paths() -> Vec<String> {
    let mut all = vec![String::new()];
    let mut from = 0;
    for _ in 0..4 {
        let to = all.len();
        for i in from..to {
            for next in ["/", "/a", "/ab", "/z"] {
                all.push(format!("{}{next}", all[i]));
            }
        }
        from = to;
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// A route is rejected exactly when it would be the first for no path and no method.
    #[test]
    fn a_route_is_rejected_if_it_is_the_first_for_nothing(
        patterns in prop::collection::vec(
            (a_method(), "(/(a|ab|\\*|)){1,3}(/\\*\\*)?|/\\*\\*"), 1..10,
        ),
    ) {
        let methods = [Method::GET, Method::POST, Method::PUT, Method::from_bytes(b"PURGE").unwrap()];
        let paths = all_paths();
        let (mut routes, mut list) = (Routes::new(), List::default());
        for (method, pattern) in patterns {
            let n = list.0.len();
            list.push(method.clone(), &pattern);
            let is_first = paths.iter().any(|p| methods.iter().any(|m| list.find(m, p) == Some(n)));
            match add(&routes, method.clone(), &pattern, n) {
                Ok(more) => {
                    prop_assert!(is_first, "{method:?} {pattern} added to {routes:?}");
                    routes = more;
                }
                Err(rejected) => {
                    prop_assert!(!is_first, "{rejected}");
                    list.0.pop();
                }
            }
        }
        for (path, method) in paths.iter().flat_map(|p| methods.iter().map(move |m| (p, m))) {
            let first = list.find(method, path).map_or(1, |n| n + 2);
            prop_assert_eq!(routes.look_up(method, path).cost as usize, first, "{} {}", method, path);
        }
    }

    #[test]
    fn a_look_up_agrees_with_a_list_of_routes(
        patterns in prop::collection::vec(
            (a_method(), "(/(a|b|aa|ab|abc|é|è|%2F|%2f|\\{id\\}|\\*|)){1,5}(/\\*\\*)?"), 1..40,
        ),
        paths in prop::collection::vec(
            (a_method(), "(a|\\*)?(/(a|b|aa|ab|abc|é|è|%2F|%2f|c|abd|\\*|)){0,6}"), 1..40,
        ),
    ) {
        let (mut routes, mut list) = (Routes::new(), List::default());
        for (method, pattern) in patterns {
            if let Ok(more) = add(&routes, method.clone(), &pattern, list.0.len()) {
                routes = more;
                list.push(method, &pattern.replace("{id}", "*"));
            }
        }
        for (method, path) in paths {
            let method = method.unwrap_or(Method::CONNECT);
            let first = list.find(&method, &path).map_or(1, |n| n + 2);
            prop_assert_eq!(routes.look_up(&method, &path).cost as usize, first, "{} {}", method, path);
        }
    }
}
