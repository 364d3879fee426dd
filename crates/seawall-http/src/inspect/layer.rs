//! The layer and its service.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::body::InspectedBody;
use super::body_rules::BodyRules;
use super::content::is_plain_text;
use super::future::InspectFuture;
use super::inspector::Inspector;
use super::rules::{Rules, Wanted};

/// The longest body that is read by rules: messages are far shorter.
const CAP: usize = 16 * 1024;

/// Reads small bodies of responses and lets an [`Inspector`] classify them; see the
/// [module](crate::inspect).
#[derive(Clone, Copy, Debug)]
pub struct InspectLayer<I> {
    pub(crate) rules: Rules<I>,
}

impl<I> InspectLayer<I> {
    /// Inspects bodies of up to `cap` bytes with `inspector`.
    ///
    /// 16 KiB is plenty for error messages. A `cap` of 0 inspects nothing.
    pub const fn new(cap: usize, inspector: I) -> Self {
        Self {
            rules: Rules {
                inspector,
                cap,
                wanted: Wanted::Json,
                annotate: |_, _| {},
            },
        }
    }

    /// Reads bodies of up to `cap` bytes at least; a higher cap is kept.
    #[must_use]
    pub const fn at_least(mut self, cap: usize) -> Self {
        if cap > self.rules.cap {
            self.rules.cap = cap;
        }
        self
    }

    /// Inspects with another inspector of the same type.
    #[must_use]
    pub fn inspector(mut self, inspector: I) -> Self {
        self.rules.inspector = inspector;
        self
    }

    /// Chooses by their headers which responses are read. The default is
    /// [`is_plain_json`](super::is_plain_json), and what has no content type and begins with `{`.
    /// Event streams are never read.
    #[must_use]
    pub const fn only(mut self, wanted: fn(&HeaderMap) -> bool) -> Self {
        self.rules.wanted = Wanted::By(wanted);
        self
    }

    /// Also writes how many tokens an AI response has used into its extensions, as a
    /// [`Usage`](crate::quota::Usage), for [`HttpFeedback`](crate::quota::HttpFeedback) to read; as far as
    /// a [`UsageBound`](crate::quota::UsageBound) there allows.
    ///
    /// These responses are longer than error messages: choose the cap for those that you expect.
    /// Longer and streamed ones are a matter for [`MeteredBody`](crate::quota::MeteredBody).
    ///
    /// ```
    /// use bytes::Bytes;
    /// use http::{Request, Response};
    /// use http_body_util::Full;
    /// use seawall_core::Outcome;
    /// use seawall_http::inspect::{BodyRule, BodyRules, InspectLayer};
    /// use seawall_http::quota::Usage;
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let spent = BodyRule::new(Outcome::QuotaExhausted { renews_in: None })
    ///     .contains("\"insufficient_quota\"");
    /// let rules: BodyRules = [spent].into_iter().collect();
    /// let client = ServiceBuilder::new()
    ///     .layer(InspectLayer::new(1024 * 1024, rules).with_usage())
    ///     .service(service_fn(|_: Request<()>| async {
    ///         let text = r#"{"usage": {"prompt_tokens": 9, "completion_tokens": 12}}"#;
    ///         let response = Response::builder().header("content-type", "application/json");
    ///         Ok::<_, std::convert::Infallible>(response.body(Full::<Bytes>::from(text)).unwrap())
    ///     }));
    /// let response = client.oneshot(Request::new(())).await.unwrap();
    /// assert_eq!(response.extensions().get(), Some(&Usage::new(9, 12)));
    /// # }
    /// ```
    #[cfg(feature = "usage")]
    #[must_use]
    pub fn with_usage(mut self) -> Self {
        use crate::quota::{ReportedUsage, UsageBound};

        self.rules.annotate = |head, body| {
            let Some(reported) = crate::quota::usage_of(body) else {
                return;
            };
            let usage = match head.extensions.get::<UsageBound>() {
                Some(bound) => bound.apply(reported),
                None => Some(reported),
            };
            if let Some(usage) = usage {
                if usage != reported {
                    head.extensions.insert(ReportedUsage(reported));
                }
                head.extensions.insert(usage);
            }
        };
        self
    }
}

impl InspectLayer<BodyRules> {
    /// Inspects bodies of up to 16 KiB by `rules`: JSON, and where one of them is about a page or
    /// about how a text begins, plain text and HTML as well. Without rules no body is read.
    pub fn by_rules(rules: BodyRules) -> Self {
        let cap = if rules.is_empty() { 0 } else { CAP };
        let reads_text = rules.read_text();
        let layer = Self::new(cap, rules);
        if reads_text {
            return layer.only(is_plain_text);
        }
        layer
    }
}

impl<I: Clone, S> Layer<S> for InspectLayer<I> {
    type Service = Inspect<S, I>;

    fn layer(&self, inner: S) -> Inspect<S, I> {
        Inspect {
            inner,
            rules: self.rules.clone(),
        }
    }
}

/// A service whose responses carry the outcome found in their body; see the
/// [module](crate::inspect).
#[derive(Clone, Copy, Debug)]
pub struct Inspect<S, I> {
    inner: S,
    rules: Rules<I>,
}

seawall_core::inner_accessors!(Inspect<S, I>);

impl<S, I, Req, B> Service<Req> for Inspect<S, I>
where
    S: Service<Req, Response = Response<B>>,
    I: Inspector + Clone,
    B: Body<Data = Bytes> + Unpin,
{
    type Response = Response<InspectedBody<B>>;
    type Error = S::Error;
    type Future = InspectFuture<S::Future, B, I>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, req: Req) -> Self::Future {
        InspectFuture::new(self.inner.call(req), self.rules.clone())
    }
}
