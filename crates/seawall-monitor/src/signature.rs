//! Signed messages: who has the key knows where they come from, and when.

use std::time::Duration;

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The header with the time of an attempt, in seconds since the Unix epoch.
pub const TIMESTAMP_HEADER: &str = "x-seawall-timestamp";
/// The header with the signature: `v1=` and 64 hexadecimal digits.
pub const SIGNATURE_HEADER: &str = "x-seawall-signature";

const VERSION: &str = "v1=";

fn mac(key: &[u8], timestamp: &str, body: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    for part in [b"v1:", timestamp.as_bytes(), b":", body] {
        mac.update(part);
    }
    Some(mac)
}

/// The signature of a body that is sent at that time.
pub(crate) fn sign(key: &[u8], timestamp: &str, body: &[u8]) -> String {
    use std::fmt::Write;

    let mut text = VERSION.to_owned();
    if let Some(mac) = mac(key, timestamp, body) {
        for byte in mac.finalize().into_bytes() {
            let _ = write!(text, "{byte:02x}");
        }
    }
    text
}

/// Whether a message of a [`WebhookSink`](crate::WebhookSink) is genuine: for who receives it.
///
/// `timestamp` and `signature` are the values of [`TIMESTAMP_HEADER`] and [`SIGNATURE_HEADER`]. The
/// signature is HMAC-SHA256 (RFC 2104) of `v1:`, the timestamp, `:` and the body, and is compared in
/// constant time. A message whose time is further from `now_unix_seconds` than `tolerance` is not genuine:
/// it may have been recorded.
///
/// ```
/// use std::time::Duration;
/// use seawall_monitor::verify_signature;
///
/// let minute = Duration::from_secs(60);
/// assert!(!verify_signature(b"a key of 16 byte", "1700000000", "v1=00", b"{}", 1_700_000_000, minute));
/// ```
pub fn verify_signature(
    key: &[u8],
    timestamp: &str,
    signature: &str,
    body: &[u8],
    now_unix_seconds: u64,
    tolerance: Duration,
) -> bool {
    let Ok(sent) = timestamp.parse::<u64>() else {
        return false;
    };
    if now_unix_seconds.abs_diff(sent) > tolerance.as_secs() {
        return false;
    }
    let digits = signature.strip_prefix(VERSION).and_then(from_hex);
    let mac = mac(key, timestamp, body);
    match (digits, mac) {
        (Some(digits), Some(mac)) => mac.verify_slice(&digits).is_ok(),
        _ => false,
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    if bytes.len() != 64 {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let pair = |pair: &[u8]| Some(digit(pair[0])? << 4 | digit(pair[1])?);
    bytes.chunks_exact(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"a key of 16 byte";
    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn only_what_was_signed_is_genuine() {
        let signature = sign(KEY, "1700000000", b"{}");
        assert_eq!(signature.len(), 3 + 64);
        let verify = |key: &[u8], time: &str, signature: &str, body: &[u8], now| {
            verify_signature(key, time, signature, body, now, MINUTE)
        };
        let now = 1_700_000_000;
        assert!(verify(KEY, "1700000000", &signature, b"{}", now));
        assert!(verify(KEY, "1700000000", &signature, b"{}", now + 60));
        assert!(!verify(KEY, "1700000000", &signature, b"{}", now + 61));
        assert!(!verify(KEY, "1700000000", &signature, b"{}", now - 61));
        assert!(!verify(KEY, "1700000001", &signature, b"{}", now));
        assert!(!verify(KEY, "1700000000", &signature, b"{ }", now));
        assert!(!verify(b"another", "1700000000", &signature, b"{}", now));
        for wrong in ["", "v1=", "v2=00", &signature[..66], "v1=é"] {
            assert!(!verify(KEY, "1700000000", wrong, b"{}", now), "{wrong}");
        }
        assert!(!verify(KEY, "now", &signature, b"{}", now));
    }

    #[test]
    fn the_signature_is_that_of_other_programs() {
        // By `printf 'v1:1700000000:{}' | openssl dgst -sha256 -hmac 'a key of 16 byte'`.
        let expected = "242a3c7a9d0ffce2cf11b84a743098b1133f7030fe0f786b6d95471d25e42ffa";
        assert_eq!(sign(KEY, "1700000000", b"{}"), format!("v1={expected}"));
    }
}
