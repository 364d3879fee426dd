//! Bodies with a content encoding, as text.

use std::borrow::Cow;

use http::header::{CONTENT_ENCODING, HeaderMap};

/// How the text of a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Not at all.
    Identity,
    /// RFC 1952.
    #[cfg(feature = "gzip")]
    Gzip,
    /// RFC 1950, or 1951 without its frame, which some servers send by this name.
    #[cfg(feature = "gzip")]
    Deflate,
    /// In a way that is not known here, or in several.
    Unknown,
}

impl Encoding {
    /// What the headers announce.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(CONTENT_ENCODING).iter();
        let Some(value) = values.next() else {
            return Self::Identity;
        };
        let is = |name: &str| value.as_bytes().eq_ignore_ascii_case(name.as_bytes());
        match () {
            () if values.next().is_some() => Self::Unknown,
            () if is("identity") => Self::Identity,
            #[cfg(feature = "gzip")]
            () if is("gzip") || is("x-gzip") => Self::Gzip,
            #[cfg(feature = "gzip")]
            () if is("deflate") => Self::Deflate,
            () => Self::Unknown,
        }
    }

    /// The text of a complete body; `None` when it cannot be read or is longer than `cap`.
    #[cfg_attr(
        not(feature = "gzip"),
        allow(
            unused_variables,
            reason = "a body that is as it came is within the cap"
        )
    )]
    pub(super) fn decode(self, body: &[u8], cap: usize) -> Option<Cow<'_, [u8]>> {
        match self {
            Self::Identity => Some(Cow::Borrowed(body)),
            #[cfg(feature = "gzip")]
            Self::Gzip => inflate(flate2::read::MultiGzDecoder::new(body), cap),
            #[cfg(feature = "gzip")]
            Self::Deflate => inflate(flate2::read::ZlibDecoder::new(body), cap)
                .or_else(|| inflate(flate2::read::DeflateDecoder::new(body), cap)),
            // It was chosen to be read, so the inspector may know what it is.
            Self::Unknown => Some(Cow::Borrowed(body)),
        }
    }
}

/// Reads one byte more than `cap` at most, however much a few bytes inflate to.
#[cfg(feature = "gzip")]
fn inflate(from: impl std::io::Read, cap: usize) -> Option<Cow<'static, [u8]>> {
    use std::io::Read;

    let mut text = Vec::new();
    let most = (cap as u64).saturating_add(1);
    from.take(most).read_to_end(&mut text).ok()?;
    (text.len() <= cap).then_some(Cow::Owned(text))
}
