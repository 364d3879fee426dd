//! The stack for HTTP clients.

use http::Request;
use seawall_core::carry::{CarriedOutcome, CarriedPolicy, PooledService};
use seawall_core::{
    AlreadyRegistered, CloneRequest, InstanceName, InvalidConfig, Policies, Policy, Registry,
    policy_setters,
};
use seawall_http::body_timeout::BodyTimeoutLayer;
use seawall_http::deadline::{deadline_of, propagate_deadline};
use seawall_http::inspect::{BodyRules, InspectLayer, Inspector};
use seawall_http::quota::{HttpFeedback, RateLimitHeaders};
use seawall_http::{CompleteOnBodyEnd, HttpClassifier, KeepBody, Receive, ReceiveLayer, Routes};
use seawall_telemetry::{ClientProbe, ClientProbeLayer};
use seawall_timeout::{DeadlineConfig, PropagateDeadline};
use tokio::time::Instant;
use tower_layer::Layer;

use crate::http_handles::HttpHandles;
use crate::preset::HttpParts;
use crate::settings::Settings;
use crate::stack::{
    Assemble, Between, ClientStack, Departing, Failing, Layered, Limits, Pay, Replaced, Slots,
    StackHandles, StackSlots, option_setters,
};

/// The longest body that is inspected: throttles and errors are far shorter.
const INSPECTED: usize = 16 * 1024;

/// Writes the deadline of a call into the extensions of its HTTP request, in stacks that
/// [propagate](HttpStack::propagate_deadline) it.
#[derive(Clone, Copy, Debug, Default)]
pub struct PropagateHttpDeadline {
    is_on: bool,
}

impl<B> PropagateDeadline<Request<B>> for PropagateHttpDeadline {
    #[inline]
    fn propagate(&self, request: &mut Request<B>, at: Instant) -> Instant {
        if self.is_on {
            return propagate_deadline(request, at);
        }
        // Also where a describer of the user's own does not look for it.
        deadline_of(request).map_or(at, |own| own.min(at))
    }
}

/// What the layers of an [`HttpStack`] know about its client by default.
pub type HttpPolicy<C = HttpClassifier, P = CloneRequest, K = KeepBody> =
    Policy<C, Routes, CompleteOnBodyEnd, P, K>;

/// A [`ClientStack`] around an HTTP client, with everything that is particular to HTTP: status codes
/// and `Retry-After`, replay safety by method and route, permits that stay taken until the body
/// has ended, bodies that must not stall, throttles hidden in bodies, limits that headers report,
/// responses that are kept while another attempt is tried ([`KeepBody`]), and the wrapping of the
/// client's error in [`Error`](crate::Error).
///
/// The client is any `Service<http::Request<B>>` whose request body can be cloned (`Full<Bytes>`)
/// and whose error knows whether the request was sent ([`TransportError`]): hyper-util's client
/// with the feature `hyper`, a `reqwest::Client` in its adapter with the feature `reqwest`, a boxed
/// error, or your own. It must not follow redirects where orders are sent: the error of a second
/// connection looks as if nothing was sent, although the first one carried the order. hyper-util's
/// client follows none by itself.
///
/// Throttles and token usage in a compressed body are found with the feature `gzip`, or when the
/// client decompresses, as `reqwest` does with its own features and hyper's client in tower-http's
/// `Decompression`; see [`inspect`](seawall_http::inspect).
///
/// `X` is the policy, `I` the inspector of bodies, `O` the layers.
///
/// [`TransportError`]: seawall_http::TransportError
#[derive(Clone, Debug)]
pub struct HttpStack<X = HttpPolicy, I = BodyRules, O = Slots> {
    stack: ClientStack<X, PropagateHttpDeadline, O>,
    body_timeout: BodyTimeoutLayer,
    feedback: HttpFeedback,
    inspect: InspectLayer<I>,
    /// Up to which length bodies are read for the tokens in them.
    #[cfg(feature = "usage")]
    usage_cap: Option<usize>,
}

/// The service that an [`HttpStack`] makes of a client `S`: a type that can be named.
pub type HttpService<S, X = HttpPolicy, I = BodyRules, O = Slots> =
    <HttpStack<X, I, O> as Layer<S>>::Service;

impl HttpStack {
    pub(crate) fn new(
        name: InstanceName,
        settings: &Settings,
        pay: Pay,
        http: &HttpParts,
        classifier: HttpClassifier,
    ) -> Result<Self, InvalidConfig> {
        let policy = Policy::new()
            .classify(classifier)
            .describe(http.routes.clone())
            .track_completion(CompleteOnBodyEnd)
            .keep(KeepBody::new());
        Ok(Self {
            stack: ClientStack::new(name, settings, pay)?
                .policy(policy)
                .propagate(PropagateHttpDeadline::default()),
            body_timeout: BodyTimeoutLayer::new(name, settings.body_timeout),
            feedback: HttpFeedback::new(name, http.headers.clone()),
            inspect: InspectLayer::by_rules(http.body_rules.clone()),
            #[cfg(feature = "usage")]
            usage_cap: None,
        })
    }
}

policy_setters!(HttpStack[I, O]: classify, describe, copy, keep);

impl<T, P, K, I, O> HttpStack<HttpPolicy<HttpClassifier<T>, P, K>, I, O> {
    /// Classifies the client's errors with `judge`, for an error that is no
    /// [`TransportError`](seawall_http::TransportError). What statuses mean stays.
    ///
    /// ```
    /// use seawall::{Error, FailureKind, Outcome};
    ///
    /// enum FeedError { NoRoute, Lost }
    ///
    /// fn judge(error: &Error<FeedError>) -> Outcome {
    ///     match error {
    ///         // Certain: the request was not sent.
    ///         Error::Inner(FeedError::NoRoute) => Outcome::Failure(FailureKind::NotSent),
    ///         Error::Inner(FeedError::Lost) => Outcome::Unknown,
    ///         Error::Rejected(rejection) => rejection.outcome(),
    ///     }
    /// }
    /// let stack = seawall::provider("sec-edgar")?.build()?.classify_errors(judge);
    /// # let _ = stack.handles();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn classify_errors<F>(
        self,
        judge: F,
    ) -> HttpStack<HttpPolicy<HttpClassifier<F>, P, K>, I, O>
    where
        HttpClassifier<T>: Clone,
    {
        let classifier = self.stack.parts().classifier().clone().with_errors(judge);
        self.classify(classifier)
    }
}

impl<X, I: Clone, O> HttpStack<X, I, O> {
    fn reading(&self) -> InspectLayer<I> {
        let layer = self.inspect.clone();
        #[cfg(feature = "usage")]
        if let Some(cap) = self.usage_cap {
            return layer.at_least(cap).with_usage();
        }
        layer
    }
}

#[cfg(feature = "orders")]
impl<C, P, K, I, O> HttpStack<HttpPolicy<C, P, K>, I, O> {
    /// The same for calls of [reserved](Routes::reserved) priority.
    pub(crate) fn reserved(self) -> Self {
        self.map_policy(|policy| {
            let routes = policy.describer().clone().reserved();
            policy.describe(routes)
        })
    }
}

impl<X, I, O> HttpStack<X, I, O> {
    fn map_policy<Y>(self, change: impl FnOnce(X) -> Y) -> HttpStack<Y, I, O> {
        self.map_stack(|stack| stack.map_policy(change))
    }

    fn map_stack<Y, O2>(
        self,
        change: impl FnOnce(
            ClientStack<X, PropagateHttpDeadline, O>,
        ) -> ClientStack<Y, PropagateHttpDeadline, O2>,
    ) -> HttpStack<Y, I, O2> {
        HttpStack {
            stack: change(self.stack),
            body_timeout: self.body_timeout,
            feedback: self.feedback,
            inspect: self.inspect,
            #[cfg(feature = "usage")]
            usage_cap: self.usage_cap,
        }
    }

    pub(crate) const fn replaced(&self) -> &Replaced {
        self.stack.replaced()
    }

    /// The same, of which nothing is known to be replaced.
    #[cfg(feature = "reload")]
    pub(crate) fn with_nothing_replaced(mut self) -> Self {
        self.stack.forget_replaced();
        self
    }

    /// The same stack with other layers.
    pub(crate) fn map_slots<O2>(
        self,
        change: impl FnOnce(InstanceName, O) -> O2,
    ) -> HttpStack<X, I, O2> {
        self.map_stack(|stack| stack.map_slots(change))
    }

    /// Reads from the headers of each response how much is left of the provider's limits, and
    /// lowers the stack's rate limit to it. Without it, and beside it, throttles and bans pause the
    /// rate limit for as long as they ask for. The stacks of known providers read theirs already.
    ///
    /// A throttle that names no other wait lasts until its limit resets. The retry hears of it from the
    /// classifier, which knows the common headers; for names of your own give it the same
    /// ones: [`HttpClassifier::with_limit_headers`].
    ///
    /// ```
    /// use seawall::http_client::quota::{RateLimitHeaders, ResetFormat};
    ///
    /// let headers = RateLimitHeaders::x_ratelimit(ResetFormat::EpochSeconds);
    /// let stack = seawall::broker("my-broker").build()?.rate_limit_headers(headers);
    /// # let _ = stack.handles();
    /// # Ok::<(), seawall::InvalidConfig>(())
    /// ```
    #[must_use]
    pub fn rate_limit_headers(mut self, headers: RateLimitHeaders) -> Self {
        self.feedback = HttpFeedback::new(self.name(), headers);
        self
    }

    /// Writes the deadline of each call into the extensions of its request, for a client that asks
    /// for it: [`WriteDeadlineLayer`](seawall_http::deadline::WriteDeadlineLayer), which sends it to
    /// the server, or [`deadline_of`](seawall_http::deadline::deadline_of). The layers of the stack
    /// know it without, and extensions cost allocations.
    ///
    /// A deadline that a request brings along
    /// ([`propagate_deadline`](seawall_http::deadline::propagate_deadline)) binds the stack with and
    /// without this.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use http::{Request, Response};
    /// use http_body_util::Full;
    /// use seawall::http_client::deadline::WriteDeadlineLayer;
    /// use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
    ///
    /// # type Body = Full<bytes::Bytes>;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = ServiceBuilder::new()
    ///     .layer(seawall::broker("my-broker").build()?.propagate_deadline())
    ///     .layer(WriteDeadlineLayer::new())
    ///     .service(service_fn(|request: Request<Body>| async move {
    ///         assert!(request.headers().contains_key("x-envoy-expected-rq-timeout-ms"));
    ///         Ok::<_, Infallible>(Response::new(Body::default()))
    ///     }));
    /// client.oneshot(Request::get("/v2/positions").body(Body::default())?).await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn propagate_deadline(self) -> Self {
        self.map_stack(|stack| stack.propagate(PropagateHttpDeadline { is_on: true }))
    }

    /// Looks into JSON bodies of up to 16 KiB for what the status does not say: with a function
    /// of head and body, or any [`Inspector`]. The stacks of known providers have theirs already;
    /// this one takes its place. With [`BodyRules`](seawall_http::inspect::BodyRules)
    /// the stack keeps its type.
    ///
    /// ```
    /// use http::response::Parts;
    /// use seawall::Outcome;
    ///
    /// fn sold_out(_: &Parts, body: &[u8]) -> Option<Outcome> {
    ///     body.starts_with(b"{\"error\":\"quota\"").then_some(Outcome::QuotaExhausted { renews_in: None })
    /// }
    /// let stack = seawall::market_data("my-vendor").build()?.inspect(sold_out);
    /// # let _ = stack.handles();
    /// # Ok::<(), seawall::InvalidConfig>(())
    /// ```
    #[must_use]
    pub fn inspect<J: Inspector>(self, inspector: J) -> HttpStack<X, J, O> {
        HttpStack {
            stack: self.stack,
            body_timeout: self.body_timeout,
            feedback: self.feedback,
            inspect: InspectLayer::new(INSPECTED, inspector),
            #[cfg(feature = "usage")]
            usage_cap: self.usage_cap,
        }
    }

    /// Reads from JSON responses of up to `cap` bytes how many tokens of an AI model they have
    /// used, so that limits of tokens are corrected from the estimate, which a request carries as
    /// a [`TokenEstimate`](seawall_http::quota::TokenEstimate) in its extensions. For streamed responses
    /// use [`MeteredBody`](seawall_http::quota::MeteredBody) and the
    /// [`LateUsage`](crate::LateUsage) in the extensions of the response.
    #[cfg(feature = "usage")]
    #[must_use]
    pub fn count_tokens(mut self, cap: usize) -> Self {
        self.usage_cap = Some(cap);
        self
    }

    /// The name of the stack and of its layers.
    pub fn name(&self) -> InstanceName {
        self.stack.name()
    }

    const fn slots(&self) -> &O {
        self.stack.slots()
    }

    fn deadline(&self) -> DeadlineConfig {
        self.stack.deadline()
    }
}

option_setters!(HttpStack[X, I]);

impl<X, I, O: StackSlots> HttpStack<X, I, O> {
    /// Handles of every layer, to read and to control them.
    pub fn handles(&self) -> StackHandles<O, HttpHandles> {
        let protocol = HttpHandles::new(self.body_timeout.handle(), self.feedback.handle());
        self.stack.handles().with_protocol(protocol)
    }

    /// Adds every layer to `registry`, that of the bodies and the reader of limits, too.
    ///
    /// # Errors
    ///
    /// [`AlreadyRegistered`] when the registry has a stack of that name; what was added before
    /// stays.
    pub fn register(&self, registry: &Registry) -> Result<(), AlreadyRegistered> {
        self.handles().register(registry)
    }
}

/// The client with everything below the layers of the stack.
type Client<S, X, I, O> = Departing<Receiving<S, X, I, O>, X, O>;
type Receiving<S, X, I, O> = Receive<ClientProbe<Failing<S, X, O>>, <X as Policies>::Classifier, I>;
/// What corrects the rate limit, around that.
type Feedback<X, O> = <<O as StackSlots>::RateLimit as Limits>::Feedback<
    HttpFeedback<CarriedOutcome>,
    CarriedPolicy<X>,
>;
type Corrected<S, X, I, O> = <Feedback<X, O> as Layer<Client<S, X, I, O>>>::Service;

impl<S, X, I, O> Layer<S> for HttpStack<X, I, O>
where
    X: Policies<
            Classifier: Clone,
            Describer: Clone,
            Completion: Clone,
            Copier: Clone,
            Keeper: Clone,
        >,
    I: Inspector + Clone,
    O: StackSlots<Chaos: Assemble<S, X>, Departure: Assemble<Receiving<S, X, I, O>, X>>
        + Between<Corrected<S, X, I, O>, CarriedPolicy<X>, PropagateHttpDeadline>,
    Feedback<X, O>: Layer<Client<S, X, I, O>>,
{
    type Service = PooledService<
        Layered<Corrected<S, X, I, O>, X, PropagateHttpDeadline, O>,
        X::Describer,
        X::Completion,
    >;

    fn layer(&self, client: S) -> Self::Service {
        let policy = self.stack.parts();
        // Right around the client: a throttle inside a 200 must be known to every layer above, and
        // a body that stalls ends as a failure inside of the layers that hold a permit or a vote
        // until the body has ended. The one place where the error changes its type.
        let classifier = policy.classifier().clone();
        let receive = ReceiveLayer::new(classifier, self.reading(), self.body_timeout.clone());
        let client = self
            .stack
            .departing(receive.layer(ClientProbeLayer::new().layer(self.stack.failing(client))));
        // Below everything that waits or rejects: it reads the responses of calls that departed.
        let reader = self.feedback.clone().classify(CarriedOutcome);
        let feedback = self.stack.carried_feedback(reader);
        let service = self.stack.around(feedback.layer(client));
        let (describer, completion) = (policy.describer(), policy.completion());
        PooledService::new(service, describer.clone(), completion.clone())
    }
}
