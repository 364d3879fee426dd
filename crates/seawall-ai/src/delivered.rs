//! How much content a stream has delivered.

use serde::de::DeserializeSeed;

use crate::text::{Text, TextLength};

/// The longest line of an event that is looked at; a longer one counts by its length.
const LONGEST_LINE: usize = 64 * 1024;
const BYTES_PER_TOKEN: u64 = 4;

/// Counts the content of an event stream: a token per four bytes of what the model wrote, and at least
/// one per event that has any. A text that is no event stream has none.
#[derive(Debug, Default)]
pub(crate) struct Delivered {
    line: Vec<u8>,
    /// How long the line is, also where it is not kept.
    length: usize,
    tokens: u64,
}

impl Delivered {
    pub(crate) fn push(&mut self, piece: &[u8]) {
        for part in piece.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            let (line, is_end) = match part.split_last() {
                Some((b'\n' | b'\r', line)) => (line, true),
                _ => (part, false),
            };
            if self.line.len() + line.len() <= LONGEST_LINE {
                self.line.extend_from_slice(line);
            }
            self.length = self.length.saturating_add(line.len());
            if is_end {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let bytes = match self.line.strip_prefix(b"data:") {
            Some(_) if self.length > LONGEST_LINE => self.length as u64,
            Some(data) => written(data),
            None => 0,
        };
        self.tokens = self.tokens.saturating_add(bytes.div_ceil(BYTES_PER_TOKEN));
        self.line.clear();
        self.length = 0;
    }

    pub(crate) fn tokens(&self) -> u32 {
        u32::try_from(self.tokens).unwrap_or(u32::MAX)
    }
}

/// How many bytes of an event a model has written.
fn written(data: &[u8]) -> u64 {
    let mut text = Text::default();
    let mut json = serde_json::Deserializer::from_slice(data);
    // `[DONE]`, and what is broken: what was read until then counts.
    let _ = TextLength::written(&mut text).deserialize(&mut json);
    text.bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tokens(text: &str, piece: usize) -> u32 {
        let mut delivered = Delivered::default();
        for piece in text.as_bytes().chunks(piece) {
            delivered.push(piece);
        }
        delivered.tokens()
    }

    #[test]
    fn what_a_model_wrote_counts_in_the_streams_of_providers() {
        let chat = "data: {\"id\":\"chatcmpl-1\",\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n\
                    data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n\
                    data: {\"choices\":[{\"delta\":{\"content\":\" twelve byte\"}}]}\n\n\
                    data: [DONE]\n\n";
        let messages = "event: content_block_delta\r\ndata: {\"type\":\"content_block_delta\",\"index\":0,\
                        \"delta\":{\"type\":\"text_delta\",\"text\":\"Hello\"}}\r\n\r\n\
                        event: ping\r\ndata: {\"type\":\"ping\"}\r\n\r\n";
        let responses = "data: {\"type\":\"response.output_text.delta\",\"delta\":\"four\"}\n\n";
        for piece in [1, 7, 1_000] {
            assert_eq!(tokens(chat, piece), 1 + 3);
            assert_eq!(tokens(messages, piece), 2);
            assert_eq!(tokens(responses, piece), 1);
        }
        assert_eq!(tokens("{\"content\":\"no stream\"}\n", 5), 0);
    }

    #[test]
    fn a_line_that_never_ends_takes_bounded_memory_and_counts() {
        let mut delivered = Delivered::default();
        delivered.push(b"data: {\"content\":\"");
        for _ in 0..100 {
            delivered.push(&[b'x'; 10_000]);
        }
        assert!(delivered.line.len() <= LONGEST_LINE);
        delivered.push(b"\n");
        assert_eq!(delivered.tokens(), 250_005);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(pieces in prop::collection::vec(
            prop_oneof![
                Just(b"data: {\"delta\":".to_vec()), Just(b"\n".to_vec()), Just(b"\"text\":\"a\"}".to_vec()),
                any::<[u8; 3]>().prop_map(|bytes| bytes.to_vec()),
            ], 0..50)) {
            let mut delivered = Delivered::default();
            for piece in pieces {
                delivered.push(&piece);
            }
            let _ = delivered.tokens();
        }
    }
}
