//! Which headers of a request are in its key, and which may have credentials.

use http::HeaderName;
use http::header::{AUTHORIZATION, CACHE_CONTROL, COOKIE, HOST, PRAGMA, PROXY_AUTHORIZATION};

use crate::identity::only_traces;

/// What is known of headers. Of any other one is assumed that it has credentials, and that answers depend on it.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    pub(super) left_out: Vec<HeaderName>,
    /// Those that are the same in every request.
    pub(super) same: Vec<HeaderName>,
    pub(super) no_credentials: Vec<HeaderName>,
}

/// The headers in which credentials usually are.
pub(super) fn usual_credentials() -> impl Iterator<Item = HeaderName> {
    let keys = [
        "x-api-key",
        "api-key",
        "x-goog-api-key",
        "x-auth-token",
        "apca-api-key-id",
        "apca-api-secret-key",
        "x-mbx-apikey",
    ];
    let standard = [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE];
    standard
        .into_iter()
        .chain(keys.map(HeaderName::from_static))
}

/// What a request asks of the cache itself.
fn is_demand(name: &HeaderName) -> bool {
    *name == CACHE_CONTROL || *name == PRAGMA
}

impl Names {
    fn is_left_out(&self, name: &HeaderName) -> bool {
        only_traces(name) || is_demand(name) || self.left_out.contains(name)
    }

    /// Whether it is in the key as what it is; `Host` belongs to the target.
    pub(super) fn is_in_key(&self, name: &HeaderName) -> bool {
        !self.is_left_out(name) && !self.same.contains(name) && *name != HOST
    }

    /// Whether requests with different values of it never share an answer, or there are none.
    pub(super) fn distinguishes(&self, name: &HeaderName) -> bool {
        !self.is_left_out(name) || self.same.contains(name)
    }

    pub(super) fn may_have_credentials(&self, name: &HeaderName) -> bool {
        let is_harmless = matches!(
            name.as_str(),
            "accept"
                | "accept-charset"
                | "accept-encoding"
                | "accept-language"
                | "content-length"
                | "content-type"
                | "host"
                | "origin"
                | "user-agent"
        );
        let is_known = is_harmless || only_traces(name) || is_demand(name);
        !is_known && !self.same.contains(name) && !self.no_credentials.contains(name)
    }
}
