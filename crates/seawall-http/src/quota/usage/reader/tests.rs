use super::*;
use proptest::prelude::*;

const CHAT: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","choices":[{"index":0,
    "message":{"role":"assistant","content":"the \"usage\": {\"prompt_tokens\": 1}"}}],
    "usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,
    "prompt_tokens_details":{"cached_tokens":16},
    "completion_tokens_details":{"reasoning_tokens":4}}}"#;

const RESPONSE: &str = r#"{"id":"resp_1","object":"response","output":[],"usage":{
    "input_tokens":36,"input_tokens_details":{"cached_tokens":0},"output_tokens":87,
    "output_tokens_details":{"reasoning_tokens":0},"total_tokens":123}}"#;

const EMBEDDINGS: &str = r#"{"object":"list","data":[{"embedding":[0.1,-0.2]}],
    "usage":{"prompt_tokens":8,"total_tokens":8}}"#;

const MESSAGE: &str = r#"{"id":"msg_1","type":"message","content":[{"type":"text","text":"Hi"}],
    "usage":{"input_tokens":21,"cache_creation_input_tokens":188086,
    "cache_read_input_tokens":5000,"output_tokens":393}}"#;

const CHAT_STREAM: &str = "\
data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"delta\":{\"content\":\"{\"}}],\"usage\":null}\n\
\n\
data: {\"object\":\"chat.completion.chunk\",\"choices\":[],\"usage\":{\"prompt_tokens\":19,\"completion_tokens\":10,\"total_tokens\":29}}\n\
\n\
data: [DONE]\n\
\n";

const RESPONSE_STREAM: &str = "\
event: response.created\n\
data: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\",\"usage\":null}}\n\
\n\
event: response.completed\n\
data: {\"type\":\"response.completed\",\"response\":{\"output\":[{\"usage\":{}}],\"usage\":{\"input_tokens\":36,\"output_tokens\":87,\"total_tokens\":123}}}\n\
\n";

const MESSAGE_STREAM: &str = "\
event: message_start\n\
data: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"content\":[],\"usage\":{\"input_tokens\":25,\"cache_creation_input_tokens\":100,\"output_tokens\":1}}}\n\
\n\
: a comment\n\
event: ping\n\
data: {\"type\": \"ping\"}\n\
\n\
event: message_delta\n\
data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":7}}\n\
\n\
event: message_delta\n\
data: {\"type\":\"message_delta\",\"delta\":{},\"usage\":{\"input_tokens\":0,\"output_tokens\":15}}\n\
\n\
event: message_stop\n\
data: {\"type\":\"message_stop\"}\n\
\n";

/// With what was read from a cache, as a part of the input or beside it, and written to one.
const fn with_cache(mut usage: Usage, cached: u64, beside: u64, written: u64) -> Usage {
    usage.cached_tokens = cached;
    usage.cached_beside_input = beside;
    usage.cache_write_tokens = written;
    usage
}

const SAMPLES: [(&str, Usage); 7] = [
    (CHAT, with_cache(Usage::new(19, 10), 16, 0, 0)),
    (RESPONSE, Usage::new(36, 87)),
    (EMBEDDINGS, Usage::new(8, 0)),
    (
        MESSAGE,
        with_cache(Usage::new(188_107, 393), 0, 5_000, 188_086),
    ),
    (CHAT_STREAM, Usage::new(19, 10)),
    (RESPONSE_STREAM, Usage::new(36, 87)),
    (MESSAGE_STREAM, with_cache(Usage::new(125, 15), 0, 0, 100)),
];

fn in_pieces(body: &[u8], pieces: usize) -> Option<Usage> {
    let mut reader = UsageReader::new();
    body.chunks(pieces).for_each(|piece| reader.push(piece));
    reader.finish()
}

#[test]
fn every_shape_is_read_in_pieces_of_any_size() {
    for (body, usage) in SAMPLES {
        assert_eq!(usage_of(body.as_bytes()), Some(usage), "{body}");
        for pieces in 1..40 {
            assert_eq!(
                in_pieces(body.as_bytes(), pieces),
                Some(usage),
                "{pieces}: {body}"
            );
        }
    }
}

#[test]
fn event_streams_end_their_lines_as_they_like() {
    for (body, usage) in SAMPLES.into_iter().skip(4) {
        for end in ["\r\n", "\r"] {
            let body = format!("\u{feff}{}", body.replace('\n', end));
            for pieces in 1..20 {
                assert_eq!(
                    in_pieces(body.as_bytes(), pieces),
                    Some(usage),
                    "{pieces}: {body}"
                );
            }
        }
    }
}

#[test]
fn ends_of_lines_may_be_mixed() {
    let body = "event: a\rid: 1\ndata: {\"usage\":{\"input_tokens\":7}}\n\n";
    assert_eq!(usage_of(body.as_bytes()), Some(Usage::new(7, 0)));
}

#[test]
fn what_is_in_the_prompt_already_is_not_added_to_it() {
    let body = br#"{"usage":{"prompt_tokens":100,"cache_creation_input_tokens":50}}"#;
    let expected = with_cache(Usage::new(100, 0), 0, 0, 50);
    assert_eq!(usage_of(body), Some(expected));
    let body = br#"{"usage":{"input_tokens":100,"output_tokens":5,"total_tokens":105,
        "cache_creation_input_tokens":50}}"#;
    let expected = with_cache(Usage::new(100, 5), 0, 0, 50);
    assert_eq!(usage_of(body), Some(expected));
}

#[test]
fn no_more_of_the_input_is_cached_than_there_is() {
    let body = br#"{"usage":{"prompt_tokens":5,"prompt_tokens_details":{"cached_tokens":900}}}"#;
    let expected = with_cache(Usage::new(5, 0), 5, 0, 0);
    assert_eq!(usage_of(body), Some(expected));
    for odd in ["-1", "\"many\"", "null", "[3]"] {
        let body = format!(
            r#"{{"usage":{{"prompt_tokens":5,"input_tokens_details":{{"cached_tokens":{odd}}}}}}}"#
        );
        assert_eq!(usage_of(body.as_bytes()), Some(Usage::new(5, 0)), "{odd}");
    }
}

#[test]
fn an_event_of_several_lines_is_one_text() {
    for end in ["\n", "\r\n", "\r"] {
        let body = "data: {\"usage\":{\ndata:\"input_tokens\":\ndata: 7,\"output_tokens\":1\ndata\ndata:}}\n\n";
        let body = body.replace('\n', end);
        for pieces in 1..20 {
            assert_eq!(
                in_pieces(body.as_bytes(), pieces),
                Some(Usage::new(7, 1)),
                "{body}"
            );
        }
    }
}

#[test]
fn a_broken_event_does_not_spoil_the_next() {
    let body = "data: {\"a\": \"no end\n\ndata: {\"usage\":{\"input_tokens\":7}}\n\n";
    assert_eq!(usage_of(body.as_bytes()), Some(Usage::new(7, 0)));
}

#[test]
fn what_came_before_a_stream_broke_off_is_known() {
    let start = MESSAGE_STREAM.split("event: ping").next().unwrap();
    assert_eq!(
        usage_of(start.as_bytes()),
        Some(with_cache(Usage::new(125, 1), 0, 0, 100))
    );
}

#[test]
fn what_has_no_account_says_nothing() {
    for body in [
        "",
        "\n\n",
        "{}",
        "[]",
        "<html>",
        r#"{"usage":{}}"#,
        r#"{"usage":{"disk":"90 %"}}"#,
        r#"{"usage":{"input_tokens":-1,"output_tokens":1.5}}"#,
        r#"{"usage":{"input_tokens":"7"}}"#,
        r#"{"usage":{"input_tokens":7"#,
        r#"{"usage":{,}}"#,
        "event: {\"usage\":{\"input_tokens\":7}}\n\n",
        "dat: {\"usage\":{\"input_tokens\":7}}\n\n",
        "data2: {\"usage\":{\"input_tokens\":7}}\n\n",
        ": data: {\"usage\":{\"input_tokens\":7}}\n\n",
    ] {
        assert_eq!(usage_of(body.as_bytes()), None, "{body}");
    }
}

#[test]
fn tokens_that_only_the_sum_knows_were_written() {
    let body = br#"{"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":115}}"#;
    assert_eq!(usage_of(body), Some(Usage::new(10, 105)));
    let body = br#"{"usage":{"prompt_tokens":18446744073709551615,"completion_tokens":1}}"#;
    assert_eq!(usage_of(body).map(Usage::total), Some(u64::MAX));
}

proptest! {
    #[test]
    fn whatever_comes_nothing_panics(
        pieces in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..8),
                "(data|event)?:? ?[\\r\\n{}\\[\\]\",]{0,4}".prop_map(String::into_bytes),
                Just(b"\"usage\":{\"input_tokens\":1}".to_vec()),
            ],
            0..40,
        ),
    ) {
        let mut reader = UsageReader::new();
        pieces.iter().for_each(|piece| reader.push(piece));
        let whole = usage_of(&pieces.concat());
        prop_assert_eq!(reader.finish(), whole, "pieces do not matter");
    }
}
