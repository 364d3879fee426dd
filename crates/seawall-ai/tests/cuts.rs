//! However a stream is cut into pieces, it is the same stream; and no bytes make it panic.

mod support;

use std::sync::OnceLock;

use bytes::Bytes;
use proptest::prelude::*;
use seawall_ai::stream::{Dialect, StreamConfig, StreamErrorKind, StreamLayer};
use support::*;
use tokio::runtime::Runtime;

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder
            .worker_threads(1)
            .enable_time()
            .build()
            .expect("a runtime")
    })
}

/// What a caller sees, but for how much of an event that is wrong it has seen of.
#[derive(Debug, PartialEq)]
enum Seen {
    Well(u16, String),
    NoResponse(StreamErrorKind),
    BrokeOff(StreamErrorKind, u64),
}

fn seen(layer: &StreamLayer, pieces: Vec<Step>) -> (Seen, String) {
    match runtime().block_on(call(layer, pieces)) {
        Went::Well(status, text) => (Seen::Well(status, text.clone()), text),
        Went::NoResponse(error) => (Seen::NoResponse(error.kind()), String::new()),
        Went::BrokeOff(text, error) => (
            Seen::BrokeOff(error.kind(), error.delivered().contents),
            text,
        ),
    }
}

fn cut(bytes: &[u8], cuts: &[prop::sample::Index]) -> Vec<Step> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    let piece = |ends: &[usize]| Step::Data(Bytes::copy_from_slice(&bytes[ends[0]..ends[1]]));
    cuts.windows(2).map(piece).collect()
}

fn event() -> impl Strategy<Value = &'static str> {
    let all = [
        CHAT_ROLE,
        CHAT_HI,
        CHAT_STOP,
        CHAT_USAGE,
        DONE,
        CHAT_ERROR,
        RESPONSE_CREATED,
        RESPONSE_ITEM,
        RESPONSE_HI,
        RESPONSE_COMPLETED,
        RESPONSE_FAILED,
        MESSAGE_START,
        BLOCK_START,
        PING,
        MESSAGE_HI,
        MESSAGE_DELTA,
        MESSAGE_STOP,
        OVERLOADED,
        ": ping\n\n",
        "data: {\"x\":\"",
        "data: 1\n\n",
        "\r\n",
        "data",
        "{}",
        "event: error\n",
    ];
    prop::sample::select(all.to_vec())
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let sample = prop::sample::select(vec![CHAT, RESPONSES, MESSAGES]);
    let mixed = prop::collection::vec(event(), 0..12).prop_map(|all| all.concat().into_bytes());
    prop_oneof![
        2 => (sample, any::<prop::sample::Index>()).prop_map(|(all, at)| {
            let text = all.concat();
            text.as_bytes()[..at.index(text.len() + 1)].to_vec()
        }),
        3 => mixed,
        1 => prop::collection::vec(any::<u8>(), 0..100),
    ]
}

fn layer(dialect: Dialect) -> StreamLayer {
    let config = StreamConfig::builder().dialect(dialect).max_event(1_000);
    StreamLayer::new("cut", config.build().expect("valid"))
}

fn dialect() -> impl Strategy<Value = Dialect> {
    prop::sample::select(vec![
        Dialect::Detect,
        Dialect::OpenAiChat,
        Dialect::OpenAiResponses,
        Dialect::AnthropicMessages,
        Dialect::Other,
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_cut_of_a_stream_is_the_same_stream(
        bytes in stream(),
        dialect in dialect(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let whole = seen(&layer(dialect), cut(&bytes, &[]));
        let pieces = seen(&layer(dialect), cut(&bytes, &cuts));
        prop_assert_eq!(&pieces.0, &whole.0);
        // What is passed on is the beginning of what came, and none of it twice.
        let text = String::from_utf8_lossy(&bytes).into_owned();
        for (seen, passed) in [whole, pieces] {
            if !matches!(seen, Seen::Well(status, _) if status != 200) && text.is_ascii() {
                prop_assert!(text.starts_with(&passed), "{passed:?}");
            }
        }
    }

    #[test]
    fn byte_by_byte_as_well(sample in prop::sample::select(vec![CHAT, RESPONSES, MESSAGES])) {
        let text = sample.concat();
        let bytes = text.bytes().map(|byte| data(vec![byte])).collect();
        prop_assert_eq!(seen(&layer(Dialect::Detect), bytes).0, Seen::Well(200, text));
    }
}
