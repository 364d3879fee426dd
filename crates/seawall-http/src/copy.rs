//! Copies of requests, for another attempt.

use http::Request;
use http_body::Body;

use crate::replay::ReplayBody;

/// A copy of a request with a [`ReplayBody`]; `None` when its body cannot be sent again.
///
/// Method, URI, version and headers are cloned, and so are the extensions, with the `Clone` of
/// each value in them: a value behind an `Arc` is shared by all attempts. It fits where a copier,
/// `fn(&Req) -> Option<Req>`, is taken.
///
/// ```
/// use http::Request;
/// use seawall_http::{ReplayBody, copy_request};
///
/// let order: Request<ReplayBody> = Request::post("/v2/orders").body("{}".into())?;
/// let again = copy_request(&order).expect("bytes can always be sent again");
/// assert_eq!(again.uri(), order.uri());
/// # Ok::<(), http::Error>(())
/// ```
pub fn copy_request<B: Body>(request: &Request<ReplayBody<B>>) -> Option<Request<ReplayBody<B>>> {
    request.body().copy().map(|body| with_head(request, body))
}

/// A copy of a request whose body is `Clone`, such as `Full<Bytes>`: always there.
///
/// The extensions are cloned as in [`copy_request`]. Use it only for a body whose clone starts at
/// the beginning.
///
/// ```
/// use bytes::Bytes;
/// use http::Request;
/// use http_body_util::Full;
/// use seawall_http::copy_bytes_request;
///
/// let quote = Request::get("/v2/quotes").body(Full::<Bytes>::default())?;
/// assert!(copy_bytes_request(&quote).is_some());
/// # Ok::<(), http::Error>(())
/// ```
pub fn copy_bytes_request<B: Clone>(request: &Request<B>) -> Option<Request<B>> {
    Some(with_head(request, request.body().clone()))
}

fn with_head<A, B>(request: &Request<A>, body: B) -> Request<B> {
    let mut copy = Request::new(body);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    copy
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::{Method, Version};
    use http_body_util::{BodyExt, Full};
    use seawall_core::Priority;

    #[tokio::test]
    async fn a_copy_has_all_that_the_request_has() {
        let original: Request<ReplayBody> = Request::put("/v2/orders/7?x=1")
            .version(Version::HTTP_2)
            .header("apca-api-key-id", "k")
            .extension(Priority::HIGH)
            .body("{}".into())
            .unwrap();
        let copy = copy_request(&original).unwrap();
        assert_eq!(copy.method(), Method::PUT);
        assert_eq!(copy.uri(), "/v2/orders/7?x=1");
        assert_eq!(copy.version(), Version::HTTP_2);
        assert_eq!(copy.headers()["apca-api-key-id"], "k");
        assert_eq!(copy.extensions().get(), Some(&Priority::HIGH));
        let body = copy.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "{}");
    }

    #[test]
    fn a_request_that_cannot_be_sent_again_has_no_copy() {
        let four = || Full::new(Bytes::from("four"));
        let kept = Request::new(ReplayBody::stream_with_cap(four(), 4));
        assert!(copy_request(&kept).is_some());
        let too_long = Request::new(ReplayBody::stream_with_cap(four(), 3));
        assert!(copy_request(&too_long).is_none(), "as it announces");
    }
}
