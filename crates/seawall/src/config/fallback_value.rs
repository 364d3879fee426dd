//! A value that calls which fail are answered with, as a file has it.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use seawall_core::InvalidConfig;

use super::set::Set;

/// The name of the step that answers with it.
pub(super) const STEP: &str = "configured";

/// A response without code: what a file says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FallbackValue {
    body: Bytes,
    content_type: Option<HeaderValue>,
    status: StatusCode,
}

impl FallbackValue {
    /// What is set of it, if it has a body.
    pub(super) fn of(set: &Set<'_>) -> Result<Option<Self>, InvalidConfig> {
        let (status, content_type) = (set.count("status"), set.text("content_type"));
        let Some(body) = set.text("body") else {
            let without =
                |key, value: String| InvalidConfig::new(key, value, "nothing without a `body`");
            if let Some(status) = status {
                return Err(without("status", status.to_string()));
            }
            let content_type = content_type.map(|text| format!("{text:?}"));
            return content_type.map_or(Ok(None), |text| Err(without("content_type", text)));
        };
        let status = status.unwrap_or(200);
        let known = u16::try_from(status)
            .ok()
            .filter(|code| (200..600).contains(code));
        let code = known.and_then(|code| StatusCode::from_u16(code).ok());
        let wrong = || InvalidConfig::new("status", status, "a status from 200 to 599");
        let content_type = content_type.map(|text| {
            HeaderValue::from_str(text).map_err(|_not_a_value| {
                let accepted = "the value of a header, such as \"application/json\"";
                InvalidConfig::new("content_type", format!("{text:?}"), accepted)
            })
        });
        Ok(Some(Self {
            body: Bytes::copy_from_slice(body.as_bytes()),
            content_type: content_type.transpose()?,
            status: code.ok_or_else(wrong)?,
        }))
    }

    pub(super) fn body(&self) -> &str {
        // It was made of text.
        std::str::from_utf8(&self.body).unwrap_or_default()
    }

    pub(super) fn content_type(&self) -> Option<String> {
        let value = self.content_type.as_ref()?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    pub(super) const fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn response<B: From<Bytes>>(&self) -> Response<B> {
        let mut response = Response::new(self.body.clone().into());
        *response.status_mut() = self.status;
        if let Some(content_type) = &self.content_type {
            response
                .headers_mut()
                .insert(CONTENT_TYPE, content_type.clone());
        }
        response
    }
}
