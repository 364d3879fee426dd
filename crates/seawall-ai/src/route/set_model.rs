//! The model's name in the body of a request.

use std::borrow::Cow;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http::Request;
use http::header::CONTENT_LENGTH;
use http_body::Body;
use serde::Deserialize;
use serde_json::value::RawValue;

/// A body whose data can be replaced: every one that can be made of data, such as `Full<Bytes>`, and that
/// of the client of the crate `seawall`.
pub trait ReplaceData: Body<Data = Bytes> + Clone {
    /// Has `data` from now on.
    fn replace_data(&mut self, data: Bytes);
}

impl<B: Body<Data = Bytes> + Clone + From<Bytes>> ReplaceData for B {
    fn replace_data(&mut self, data: Bytes) {
        *self = Self::from(data);
    }
}

/// Names the model in the JSON body of a request; whether it does so now.
///
/// Only the value of the field `model` changes, so whatever else the body has stays byte for byte,
/// prompts that a provider caches among them. A body that is not there at once, that is no JSON object,
/// or that names no model stays as it is.
///
/// ```
/// use bytes::Bytes;
/// use http::Request;
/// use http_body_util::{BodyExt, Full};
/// use seawall_ai::route::set_model;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let body = r#"{"messages": [],  "model": "fast", "stream": true}"#;
/// let mut request = Request::new(Full::<Bytes>::from(body));
/// assert!(set_model(&mut request, "gpt-5-mini-2026"));
/// let body = request.into_body().collect().await.unwrap().to_bytes();
/// assert_eq!(body, r#"{"messages": [],  "model": "gpt-5-mini-2026", "stream": true}"#);
/// # }
/// ```
pub fn set_model<B: ReplaceData>(request: &mut Request<B>, model: &str) -> bool {
    // A body that cannot be read at once must stay unread.
    let Some(data) = data_of(request.body().clone()) else {
        return false;
    };
    let Some(changed) = with_model(&data, model) else {
        return false;
    };
    if request.headers().contains_key(CONTENT_LENGTH) {
        request
            .headers_mut()
            .insert(CONTENT_LENGTH, changed.len().into());
    }
    request.body_mut().replace_data(changed);
    true
}

/// All data of a body that is there at once.
pub(crate) fn data_of<B: Body<Data = Bytes>>(body: B) -> Option<Bytes> {
    let mut body = pin!(body);
    let cx = &mut Context::from_waker(Waker::noop());
    let mut data = Bytes::new();
    while !body.is_end_stream() {
        match body.as_mut().poll_frame(cx) {
            Poll::Ready(None) => break,
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(more) if data.is_empty() => data = more,
                Ok(more) => {
                    let mut longer = BytesMut::from(&data[..]);
                    longer.extend_from_slice(&more);
                    data = longer.freeze();
                }
                Err(_) => {}
            },
            Poll::Ready(Some(Err(_))) | Poll::Pending => return None,
        }
    }
    Some(data)
}

/// The model that the JSON body of a request names: a part of the body, where nothing in it is escaped.
pub(super) fn model_of<B: Body<Data = Bytes> + Clone>(request: &Request<B>) -> Option<Bytes> {
    #[derive(Deserialize)]
    struct Model<'a> {
        #[serde(borrow)]
        model: Cow<'a, str>,
    }
    let data = data_of(request.body().clone())?;
    let named: Model<'_> = serde_json::from_slice(&data).ok()?;
    Some(match named.model {
        Cow::Borrowed(model) => data.slice_ref(model.as_bytes()),
        Cow::Owned(model) => model.into(),
    })
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
}

fn with_model(data: &Bytes, model: &str) -> Option<Bytes> {
    let named: Named<'_> = serde_json::from_slice(data).ok()?;
    let value = named.model?.get();
    let name = serde_json::to_string(model).ok()?;
    if value == name {
        return Some(data.clone());
    }
    // The value is a part of the data, so the difference of their addresses is where it begins.
    let begin = (value.as_ptr() as usize).checked_sub(data.as_ptr() as usize)?;
    let (before, rest) = data.split_at_checked(begin)?;
    let after = rest.get(value.len()..)?;
    let mut changed = BytesMut::with_capacity(before.len() + name.len() + after.len());
    for part in [before, name.as_bytes(), after] {
        changed.extend_from_slice(part);
    }
    Some(changed.freeze())
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn renamed(body: &str, model: &str) -> Option<String> {
        let changed = with_model(&Bytes::copy_from_slice(body.as_bytes()), model)?;
        Some(String::from_utf8(changed.to_vec()).unwrap())
    }

    #[test]
    fn nothing_but_the_name_changes() {
        assert_eq!(
            renamed(r#"{ "a":{"model":"x"} , "model" :"q", "b":1.0 }"#, "y\"z").as_deref(),
            Some(r#"{ "a":{"model":"x"} , "model" :"y\"z", "b":1.0 }"#)
        );
        for left in [
            "",
            "[]",
            "{}",
            "model",
            r#"{"model":"x""#,
            r#"{"model":"x","model":"y"}"#,
        ] {
            assert_eq!(renamed(left, "y"), None, "{left}");
        }
    }

    #[test]
    fn the_model_that_is_named_is_read() {
        for (body, model) in [
            (r#"{"a": {"model": "x"}, "model": "m-1"}"#, Some("m-1")),
            (r#"{"model": "\u006d-1"}"#, Some("m-1")),
            (r#"{"model": 7}"#, None),
            (r#"{"model": null}"#, None),
            ("{}", None),
            ("[", None),
            ("", None),
        ] {
            let request = Request::new(Full::<Bytes>::from(body));
            assert_eq!(
                model_of(&request).as_deref(),
                model.map(str::as_bytes),
                "{body}"
            );
        }
    }

    #[test]
    fn an_announced_length_stays_right() {
        let body = Full::<Bytes>::from(r#"{"model":"x"}"#);
        let mut request = Request::builder()
            .header(CONTENT_LENGTH, 13)
            .body(body)
            .unwrap();
        assert!(set_model(&mut request, "longer"));
        assert_eq!(request.headers()[CONTENT_LENGTH], "18");
    }

    proptest! {
        #[test]
        fn any_body_that_names_a_model_names_the_other_one(before in "\\PC{0,12}", name in "\\PC{0,12}", prompt in "\\PC{0,40}") {
            let body = serde_json::json!({ "a": prompt, "model": before, "z": [prompt] });
            let changed = renamed(&body.to_string(), &name).unwrap();
            let mut expected = body;
            expected["model"] = Value::from(name);
            prop_assert_eq!(serde_json::from_str::<Value>(&changed).unwrap(), expected);
        }
    }
}
