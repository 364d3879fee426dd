//! What makes two requests the same.

use http::{Method, Request};
use http_body::Body;

use crate::identity::{append, append_headers, only_traces};

/// All that distinguishes a request: method, target, and every header, save for those that only trace
/// it. `None` when its response is no other request's: where it is no `GET` or `HEAD`, or has a body.
pub(super) fn identity<B: Body>(request: &Request<B>) -> Option<Vec<u8>> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    if !is_read || !request.body().is_end_stream() {
        return None;
    }
    let mut identity = Vec::new();
    append(&mut identity, request.method().as_str().as_bytes());
    append(&mut identity, request.uri().to_string().as_bytes());
    append_headers(&mut identity, request.headers(), |name| !only_traces(name));
    Some(identity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http_body_util::Full;

    fn request(method: &str, uri: &str, headers: &[(&str, &str)]) -> Option<Vec<u8>> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        identity(&request.body(Full::<Bytes>::default()).unwrap())
    }

    #[test]
    fn requests_that_may_have_another_response_differ() {
        let plain = request("GET", "/v1/a?b=c", &[("accept", "text/plain")]);
        assert!(plain.is_some());
        for (uri, headers) in [
            ("/v1/a?b=d", [("accept", "text/plain")].as_slice()),
            ("/v1/a", &[("accept", "text/plain")]),
            ("http://other/v1/a?b=c", &[("accept", "text/plain")]),
            ("/v1/a?b=c", &[("accept", "text/html")]),
            ("/v1/a?b=c", &[]),
            (
                "/v1/a?b=c",
                &[("accept", "text/plain"), ("authorization", "Bearer a")],
            ),
            (
                "/v1/a?b=c",
                &[("accept", "text/plain"), ("cookie", "session=1")],
            ),
            ("/v1/a?b=c", &[("accept", "text/plain"), ("x-api-key", "k")]),
            ("/v1/a?b=c", &[("accept", "text/"), ("plain", "")]),
        ] {
            assert_ne!(request("GET", uri, headers), plain, "{uri} {headers:?}");
        }
        assert_ne!(
            request("HEAD", "/v1/a?b=c", &[("accept", "text/plain")]),
            plain
        );
        let traced = [
            ("x-request-id", "7"),
            ("te", "gzip"),
            ("accept", "text/plain"),
        ];
        assert_eq!(request("GET", "/v1/a?b=c", &traced), plain);
        let (one, other) = ([("a", "1"), ("b", "2")], [("b", "2"), ("a", "1")]);
        assert_eq!(request("GET", "/", &one), request("GET", "/", &other));
    }

    #[test]
    fn only_reads_without_a_body_have_an_identity() {
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            assert_eq!(request(method, "/v2/orders", &[]), None);
        }
        let with_body = Request::get("/").body(Full::<Bytes>::from("x")).unwrap();
        assert_eq!(identity(&with_body), None);
    }
}
