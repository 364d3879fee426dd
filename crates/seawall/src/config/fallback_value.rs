//! A value that calls which fail are answered with, as a file has it.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use seawall_core::InvalidConfig;

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
    /// # Errors
    ///
    /// [`InvalidConfig`] of a `content_type` that is no header, and of a `status` that is none of a response, or of one
    /// without a body where there is one.
    pub(super) fn new(
        body: &str,
        content_type: Option<&str>,
        status: Option<u32>,
    ) -> Result<Self, InvalidConfig> {
        let status = status.unwrap_or(200);
        let code = u16::try_from(status).ok();
        let code = code.filter(|code| (200..600).contains(code));
        let code = code.and_then(|code| StatusCode::from_u16(code).ok());
        let wrong = || InvalidConfig::new("status", status, "a status from 200 to 599");
        if matches!(code.map(|code| code.as_u16()), Some(204 | 205 | 304)) && !body.is_empty() {
            let accepted = "a status whose response has a body";
            return Err(InvalidConfig::new("status", status, accepted));
        }
        let content_type = content_type.map(|text| {
            HeaderValue::from_str(text).map_err(|_not_a_value| {
                let accepted = "the value of a header, such as \"application/json\"";
                InvalidConfig::new("content_type", format!("{text:?}"), accepted)
            })
        });
        Ok(Self {
            body: Bytes::copy_from_slice(body.as_bytes()),
            content_type: content_type.transpose()?,
            status: code.ok_or_else(wrong)?,
        })
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
