//! HTTP answers in a file.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, Version};
use seawall_cache::SnapshotCodec;

use super::key::HttpCacheKey;
use super::stored::{Head, HttpStored};

/// Writes HTTP answers to a [file](seawall_cache::SnapshotFile), and reads them.
///
/// The answer to a request that may have credentials is not written: a secret does not belong there, and without it
/// nobody would know whose answer it is. A program whose requests all have the same ones leaves them out of the
/// keys: [`HttpCache::one_identity`](super::HttpCache::one_identity). Which other headers have none, a program says
/// by [`HttpCache::no_credentials`](super::HttpCache::no_credentials).
///
/// A target is written as it is: where a provider has its secret in the query, write no file, or keep it as safe as
/// the secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HttpCodec;

impl SnapshotCodec<HttpCacheKey, HttpStored> for HttpCodec {
    fn encode(&self, key: &HttpCacheKey, stored: &HttpStored, out: &mut Vec<u8>) -> bool {
        if key.has_credentials {
            return false;
        }
        let mut write = |bytes: &[u8]| {
            out.extend((bytes.len() as u64).to_le_bytes());
            out.extend(bytes);
        };
        write(&[u8::from(key.is_head)]);
        write(key.target.to_string().as_bytes());
        write(key.host.as_ref().map_or(b"", HeaderValue::as_bytes));
        write(&key.headers);
        write(&stored.status().as_u16().to_le_bytes());
        write(stored.body());
        for (name, value) in stored.headers() {
            write(name.as_str().as_bytes());
            write(value.as_bytes());
        }
        true
    }

    fn decode(&self, bytes: &[u8]) -> Option<(HttpCacheKey, HttpStored)> {
        let mut reader = Reader(bytes);
        let is_head = reader.next()? == [1];
        let target: Uri = reader.next()?.try_into().ok()?;
        let host = reader.next()?;
        let host = match host.is_empty() {
            true => None,
            false => Some(HeaderValue::from_bytes(host).ok()?),
        };
        let headers = Bytes::copy_from_slice(reader.next()?);
        let status = u16::from_le_bytes(reader.next()?.try_into().ok()?);
        let body = Bytes::copy_from_slice(reader.next()?);
        let mut of_response = HeaderMap::new();
        while !reader.0.is_empty() {
            let (name, value) = reader.header()?;
            of_response.try_append(name, value).ok()?;
        }
        let key = HttpCacheKey::of(is_head, target, host, headers, false);
        let head = Head {
            status: StatusCode::from_u16(status).ok()?,
            version: Version::HTTP_11,
            headers: of_response,
        };
        Some((key, HttpStored::new(head, body)))
    }

    fn group(&self, key: &HttpCacheKey) -> Option<u64> {
        Some(key.group())
    }
}

/// Reads pieces with their length before them.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let (piece, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(piece)
    }

    fn header(&mut self) -> Option<(HeaderName, HeaderValue)> {
        let name = HeaderName::from_bytes(self.next()?).ok()?;
        let value = HeaderValue::from_bytes(self.next()?).ok()?;
        Some((name, value))
    }
}
