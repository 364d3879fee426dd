//! Server-sent events, as the HTML standard defines them
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream>).

use std::time::Duration;

use bytes::{Buf, Bytes};

use crate::retry_after::LONGEST_WAIT;

/// An event of a stream.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SseEvent {
    /// What kind of event it is; `"message"` where the server does not say.
    pub event: String,
    /// Its data; several lines are joined by line feeds.
    pub data: String,
    /// The id that the server gave last, with this event or before; empty without one.
    pub id: String,
}

/// An event in the memory of its parser, until the next one is read.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SseEventRef<'a> {
    /// What kind of event it is; `"message"` where the server does not say.
    pub event: &'a str,
    /// Its data; several lines are joined by line feeds.
    pub data: &'a str,
    /// The id that the server gave last, with this event or before; empty without one.
    pub id: &'a str,
}

impl From<SseEventRef<'_>> for SseEvent {
    fn from(event: SseEventRef<'_>) -> Self {
        Self {
            event: event.event.to_owned(),
            data: event.data.to_owned(),
            id: event.id.to_owned(),
        }
    }
}

/// Parses a stream of server-sent events, in pieces that are cut anywhere.
///
/// Its memory is that of the longest event so far, and is used again: an event costs no allocation.
///
/// ```
/// use bytes::Bytes;
/// use seawall_http::sse::SseParser;
///
/// let mut parser = SseParser::new(64 * 1024);
/// let mut piece = Bytes::from("event: ping\ndata: {}\n\ndata: {\"x\"");
/// let event = parser.next(&mut piece)?.expect("it is complete");
/// assert_eq!((event.event, event.data), ("ping", "{}"));
/// assert_eq!(parser.next(&mut piece)?, None, "half of one");
/// let mut piece = Bytes::from(": 1}\r\n\r\n");
/// assert_eq!(parser.next(&mut piece)?.expect("all of it").data, r#"{"x": 1}"#);
/// # Ok::<(), seawall_http::sse::EventTooLong>(())
/// ```
#[derive(Debug, Default)]
pub struct SseParser {
    /// The line that has not ended yet.
    line: Vec<u8>,
    /// Whether a first line has ended, so that no byte order mark follows.
    has_begun: bool,
    /// Whether the last byte was a carriage return, which a line feed belongs to.
    after_cr: bool,
    /// Whether the event was given out, so that the next one begins.
    is_given: bool,
    event: String,
    data: String,
    id: String,
    retry: Option<Duration>,
    limit: usize,
}

/// An event is longer than it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventTooLong {
    limit: usize,
}

impl EventTooLong {
    /// How long an event may be, in bytes.
    pub const fn limit(self) -> usize {
        self.limit
    }
}

impl std::fmt::Display for EventTooLong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "an event is longer than {} bytes", self.limit)
    }
}

impl std::error::Error for EventTooLong {}

impl SseParser {
    /// For events of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    /// Reads on in `piece`, to the end of an event or of the piece, and removes what it has read.
    ///
    /// # Errors
    ///
    /// [`EventTooLong`]; the stream cannot be read further.
    // One event at a time: each has the last id, and a piece can have thousands of short events
    // behind a long one.
    pub fn next(&mut self, piece: &mut Bytes) -> Result<Option<SseEventRef<'_>>, EventTooLong> {
        if std::mem::take(&mut self.is_given) {
            self.event.clear();
            self.data.clear();
        }
        if self.after_cr && !piece.is_empty() {
            self.after_cr = false;
            if piece.first() == Some(&b'\n') {
                piece.advance(1);
            }
        }
        while let Some(end) = piece.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let line = piece.split_to(end);
            self.extend(&line)?;
            let is_cr = piece.first() == Some(&b'\r');
            piece.advance(1);
            if is_cr {
                match piece.first() {
                    None => self.after_cr = true,
                    Some(b'\n') => piece.advance(1),
                    Some(_) => {}
                }
            }
            if self.end_line() {
                self.is_given = true;
                return Ok(Some(SseEventRef {
                    event: if self.event.is_empty() {
                        "message"
                    } else {
                        &self.event
                    },
                    data: &self.data,
                    id: &self.id,
                }));
            }
        }
        self.extend(piece)?;
        piece.clear();
        Ok(None)
    }

    fn extend(&mut self, piece: &[u8]) -> Result<(), EventTooLong> {
        let length = self.line.len() + self.data.len() + piece.len();
        if length > self.limit {
            return Err(EventTooLong { limit: self.limit });
        }
        self.line.extend_from_slice(piece);
        Ok(())
    }

    /// How long the server asks to wait before a stream that broke off is asked for again, at most
    /// [`LONGEST_WAIT`].
    pub const fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// Whether the line ends an event.
    fn end_line(&mut self) -> bool {
        let line = std::mem::take(&mut self.line);
        let mut bytes = &*line;
        if !self.has_begun {
            self.has_begun = true;
            bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        }
        let is_event = if bytes.is_empty() {
            self.dispatch()
        } else {
            // No line ends within a character, so what is cut between pieces is complete here.
            let text = String::from_utf8_lossy(bytes);
            let (field, value) = text.split_once(':').unwrap_or((&*text, ""));
            self.set(field, value.strip_prefix(' ').unwrap_or(value));
            false
        };
        // Its memory is used again.
        self.line = line;
        self.line.clear();
        is_event
    }

    fn set(&mut self, field: &str, value: &str) {
        match field {
            "event" => value.clone_into(&mut self.event),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => value.clone_into(&mut self.id),
            "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                if let Ok(millis) = value.parse() {
                    self.retry = Some(Duration::from_millis(millis).min(LONGEST_WAIT));
                }
            }
            // Comments, whose field is empty, and what nobody knows.
            _ => {}
        }
    }

    fn dispatch(&mut self) -> bool {
        // The last line feed; without any there was no data.
        let has_data = self.data.pop().is_some();
        if !has_data {
            self.event.clear();
        }
        has_data
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(pieces: &[&[u8]]) -> (Vec<SseEvent>, Option<Duration>) {
        let mut parser = SseParser::new(usize::MAX);
        let mut events = Vec::new();
        for piece in pieces {
            let mut piece = Bytes::copy_from_slice(piece);
            while let Some(event) = parser.next(&mut piece).unwrap() {
                events.push(event.into());
            }
            assert!(piece.is_empty());
        }
        (events, parser.retry())
    }

    fn event(event: &str, data: &str, id: &str) -> SseEvent {
        SseEvent {
            event: event.into(),
            data: data.into(),
            id: id.into(),
        }
    }

    #[test]
    fn the_examples_of_the_standard() {
        let stocks = b"data: YHOO\ndata: +2\ndata: 10\n\n";
        assert_eq!(parse(&[stocks]).0, [event("message", "YHOO\n+2\n10", "")]);

        let ids = b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n";
        let expected = [
            event("message", "first event", "1"),
            event("message", "second event", ""),
            event("message", " third event", ""),
        ];
        assert_eq!(parse(&[ids]).0, expected);

        let empty = b"data\n\ndata\ndata\n\ndata:";
        let expected = [event("message", "", ""), event("message", "\n", "")];
        assert_eq!(parse(&[empty]).0, expected);
    }

    #[test]
    fn names_ids_and_waits() {
        let text = b"\xEF\xBB\xBFevent: add\r\nid: 7\rretry: 250\ndata: \xE2\x82\xAC\r\n\r\nid: a\0b\nretry: 1s\ndata: x\n\n";
        let expected = [event("add", "\u{20AC}", "7"), event("message", "x", "7")];
        assert_eq!(
            parse(&[text]),
            (expected.to_vec(), Some(Duration::from_millis(250)))
        );
        let pieces: Vec<_> = text.chunks(1).collect();
        assert_eq!(parse(&pieces).0, expected, "byte by byte");
    }

    #[test]
    fn an_event_that_is_ready_is_not_held_back_by_half_a_line_end() {
        assert_eq!(parse(&[b"data: x\r\n\r"]).0.len(), 1);
        assert_eq!(parse(&[b"data: x\r\n\r", b"\ndata: y\r", b"\r"]).0.len(), 2);
    }

    #[test]
    fn no_wait_is_longer_than_one_that_is_believed() {
        let (_, retry) = parse(&[b"retry: 18446744073709551615\n"]);
        assert_eq!(retry, Some(LONGEST_WAIT));
    }

    #[test]
    fn an_event_has_a_longest_length() {
        let read = |parser: &mut SseParser, text: &'static [u8]| {
            let mut piece = Bytes::from_static(text);
            while parser.next(&mut piece)?.is_some() {}
            Ok(())
        };
        let mut parser = SseParser::new(10);
        for _ in 0..3 {
            assert_eq!(read(&mut parser, b"data: 1234"), Ok(()), "each for itself");
            assert_eq!(read(&mut parser, b"\n\n"), Ok(()));
        }
        assert_eq!(
            read(&mut parser, b"data: 12345"),
            Err(EventTooLong { limit: 10 })
        );
        let mut lines = SseParser::new(16);
        assert_eq!(read(&mut lines, b"data: 1234\n"), Ok(()));
        let more = read(&mut lines, b"data: 1234\ndata: 1234\n");
        assert_eq!(more, Err(EventTooLong { limit: 16 }));
    }

    /// Each event has the last id: thousands of short ones behind a long id would be gigabytes.
    #[test]
    fn a_piece_of_many_events_is_read_one_event_at_a_time() {
        let mut parser = SseParser::new(1 << 20);
        let text = format!("id: {}\n{}", "x".repeat(1 << 19), "data\n\n".repeat(3));
        let mut piece = Bytes::from(text);
        for left in [12, 6, 0] {
            let id = parser.next(&mut piece).unwrap().unwrap().id.len();
            assert_eq!((id, piece.len()), (1 << 19, left));
        }
        assert_eq!(parser.next(&mut piece), Ok(None));
    }

    /// All of the text at once, by the words of the standard.
    fn model(bytes: &[u8]) -> Vec<SseEvent> {
        let text = String::from_utf8_lossy(bytes);
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text);
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let mut lines: Vec<&str> = text.split('\n').collect();
        lines.pop();
        let (mut data, mut kind, mut id) = (Vec::new(), "", "");
        let mut events = Vec::new();
        for line in lines {
            if line.is_empty() {
                if !data.is_empty() {
                    let kind = if kind.is_empty() { "message" } else { kind };
                    events.push(event(kind, &data.join("\n"), id));
                }
                (data, kind) = (Vec::new(), "");
            } else if let Some(rest) = line.strip_prefix("data:") {
                data.push(rest.strip_prefix(' ').unwrap_or(rest));
            } else if line == "data" {
                data.push("");
            } else if let Some(rest) = line.strip_prefix("event:") {
                kind = rest.strip_prefix(' ').unwrap_or(rest);
            } else if line == "event" {
                kind = "";
            } else if let Some(rest) = line.strip_prefix("id:") {
                let rest = rest.strip_prefix(' ').unwrap_or(rest);
                if !rest.contains('\0') {
                    id = rest;
                }
            } else if line == "id" {
                id = "";
            }
        }
        events
    }

    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(b"data".to_vec()),
            Just(b"event".to_vec()),
            Just(b"id".to_vec()),
            Just(b":".to_vec()),
            Just(b" ".to_vec()),
            Just(b"\r".to_vec()),
            Just(b"\n".to_vec()),
            Just(b"\n\n".to_vec()),
            Just(b"\xEF\xBB\xBF".to_vec()),
            Just("\u{20AC}".as_bytes().to_vec()),
            Just(b"\0".to_vec()),
            Just(b"\xC3".to_vec()),
            Just(b"x".to_vec()),
        ];
        proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn it_reads_what_the_model_reads_however_the_stream_is_cut(
            bytes in stream(),
            cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
        ) {
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect();
            prop_assert_eq!(parse(&pieces).0, model(&bytes));
        }
    }
}
