//! The request of an order, kept so that the same can be sent again.

use bytes::{Bytes, BytesMut};

/// Header names, or parts of them, that have credentials.
const CREDENTIALS: [&str; 9] = [
    "authorization",
    "cookie",
    "api-key",
    "apikey",
    "api-secret",
    "secret",
    "sign",
    "token",
    "passphrase",
];

/// What is needed to send a request again. The journal does not read it.
///
/// Credentials do not get into the file: [`header`](Self::header) leaves them out. A re-send goes
/// through what signs requests once more, which a new nonce or timestamp needs anyway.
///
/// ```
/// use seawall_orders::journal::SavedRequest;
///
/// let request = SavedRequest::new("POST", "/v2/orders")
///     .header("content-type", b"application/json")
///     .header("APCA-API-SECRET-KEY", b"hunter2")
///     .body(r#"{"symbol":"AAPL","qty":"1"}"#);
/// let headers: Vec<_> = request.headers().collect();
/// assert_eq!(headers, [("content-type", &b"application/json"[..])]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SavedRequest {
    pub(super) method: Bytes,
    pub(super) target: Bytes,
    pub(super) headers: Bytes,
    pub(super) body: Bytes,
}

impl SavedRequest {
    /// A request without headers and body.
    pub fn new(method: impl Into<Bytes>, target: impl Into<Bytes>) -> Self {
        Self {
            method: method.into(),
            target: target.into(),
            ..Self::default()
        }
    }

    /// Adds a header, unless its name is one of credentials ([`is_credential`](Self::is_credential))
    /// or is longer than 65,535 bytes.
    ///
    /// Each one copies those before: use [`with_headers`](Self::with_headers) where speed matters.
    #[must_use]
    pub fn header(self, name: &str, value: &[u8]) -> Self {
        let mut all = BytesMut::from(&self.headers[..]);
        put_header(&mut all, name, value);
        Self {
            headers: all.freeze(),
            ..self
        }
    }

    /// Sets all headers, without those of credentials, in one allocation.
    #[must_use]
    pub fn with_headers<'a>(self, headers: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut all = BytesMut::with_capacity(256);
        for (name, value) in headers {
            put_header(&mut all, name, value);
        }
        Self {
            headers: all.freeze(),
            ..self
        }
    }

    /// Sets the body.
    #[must_use]
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        Self {
            body: body.into(),
            ..self
        }
    }

    /// Whether a header of this name is left out: `Authorization`, cookies, and every name in which
    /// `api-key`, `secret`, `sign`, `token` or `passphrase` occurs.
    #[must_use]
    pub fn is_credential(name: &str) -> bool {
        CREDENTIALS.iter().any(|part| {
            name.as_bytes()
                .windows(part.len())
                .any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
        })
    }

    /// The method.
    pub fn method(&self) -> &[u8] {
        &self.method
    }

    /// The target: path and query, or the whole address.
    pub fn target(&self) -> &[u8] {
        &self.target
    }

    /// The headers, in order.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let mut rest = &self.headers[..];
        std::iter::from_fn(move || {
            let name = take(&mut rest, 2)?;
            let value = take(&mut rest, 4)?;
            Some((std::str::from_utf8(name).ok()?, value))
        })
    }

    /// The body, without a copy.
    pub fn body_bytes(&self) -> Bytes {
        self.body.clone()
    }

    pub(super) fn len(&self) -> usize {
        self.method.len() + self.target.len() + self.headers.len() + self.body.len()
    }
}

fn put_header(all: &mut BytesMut, name: &str, value: &[u8]) {
    let (Ok(name_len), Ok(value_len)) = (u16::try_from(name.len()), u32::try_from(value.len()))
    else {
        return;
    };
    if SavedRequest::is_credential(name) {
        return;
    }
    all.extend_from_slice(&name_len.to_le_bytes());
    all.extend_from_slice(name.as_bytes());
    all.extend_from_slice(&value_len.to_le_bytes());
    all.extend_from_slice(value);
}

/// Takes what a length of `width` bytes announces.
fn take<'a>(rest: &mut &'a [u8], width: usize) -> Option<&'a [u8]> {
    let (announced, after) = rest.split_at_checked(width)?;
    let len = announced
        .iter()
        .rev()
        .fold(0, |len, byte| len << 8 | usize::from(*byte));
    let (taken, after) = after.split_at_checked(len)?;
    *rest = after;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::SavedRequest;

    #[test]
    fn credentials_are_left_out() {
        for name in [
            "Authorization",
            "Proxy-Authorization",
            "cookie",
            "X-MBX-APIKEY",
            "API-Sign",
            "APCA-API-KEY-ID",
            "CB-ACCESS-SIGN",
            "X-Access-Token",
        ] {
            assert!(SavedRequest::is_credential(name), "{name}");
            let request = SavedRequest::new("POST", "/").header(name, b"x");
            assert_eq!(request.headers().count(), 0, "{name}");
        }
        assert!(!SavedRequest::is_credential("content-type"));
    }

    #[test]
    fn headers_are_read_as_written() {
        let headers = [("a", &b"1"[..]), ("empty", b""), ("a", &[0xff; 300])];
        let request = SavedRequest::new("POST", "/").with_headers(headers);
        assert!(request.headers().eq(headers));
        let one_by_one = headers
            .iter()
            .fold(SavedRequest::new("POST", "/"), |request, (name, value)| {
                request.header(name, value)
            });
        assert_eq!(one_by_one, request);
    }
}
