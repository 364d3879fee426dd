//! The stack for HTTP clients.

use http::Request;
use http::response::Parts;
use seawall_core::{AlreadyRegistered, Outcome, Registry, WrapError};
use seawall_http::inspect::{Inspect, InspectLayer};
use seawall_http::{
    BodyTimeoutLayer, CompleteOnBodyEnd, HttpClassifier, HttpFeedback, RateLimitHeaders, Routes,
    propagate_deadline,
};
use seawall_ratelimit::Feedback;
use seawall_retry::CloneRequest;
use seawall_timeout::PropagateDeadline;
use tokio::time::Instant;
use tower_layer::{Identity, Layer};

use crate::settings::GenericStack;
use crate::stack::{ClientStack, StackHandles, StackService};

/// Judges an answer by its head and its body; see [`seawall_http::inspect`].
pub type Inspector = fn(&Parts, &[u8]) -> Option<Outcome>;

/// The longest body that is inspected: throttles and errors are far shorter.
const INSPECTED: usize = 16 * 1024;

/// Writes the deadline of a call into the extensions of its HTTP request, for the layers below.
///
/// A request that has an earlier one there ([`propagate_deadline`]) is bound by that, in the queues
/// of the stack, too.
#[derive(Clone, Copy, Debug, Default)]
pub struct PropagateHttpDeadline;

impl<B> PropagateDeadline<Request<B>> for PropagateHttpDeadline {
    fn propagate(&self, request: &mut Request<B>, at: Instant) -> Instant {
        propagate_deadline(request, at)
    }
}

/// A [`ClientStack`] around an HTTP client, with everything that is particular to HTTP: status codes
/// and `Retry-After`, replay safety by method and route, places that stay taken until the body
/// has ended, throttles hidden in bodies, and the lift of the client's error into
/// [`Error`](crate::Error).
///
/// The client is any `Service<http::Request<B>>` whose request body can be cloned (`Full<Bytes>`)
/// and whose error tells whether the request left ([`TransportError`]): hyper-util's client with
/// the feature `hyper`, a boxed error, or your own. It must not follow redirects where orders are
/// sent: the error of a second connection looks as if nothing was sent, although the first one
/// carried the order. hyper-util's client follows none by itself.
///
/// [`TransportError`]: seawall_http::TransportError
#[derive(Clone, Debug)]
pub struct HttpStack<P = CloneRequest, W = Identity> {
    stack: ClientStack<HttpClassifier, Routes, CompleteOnBodyEnd, P, PropagateHttpDeadline>,
    /// What watches the body of an answer, if anything does.
    register_layer: W,
    inspect: InspectLayer<Inspector>,
    feedback: HttpFeedback,
}

/// What an [`HttpStack`] makes of a client `S` before its layers: a type that can be named.
pub type WrappedClient<S> = WrapError<Inspect<S, Inspector>>;

/// The service that an [`HttpStack`] makes of a client `S`: a type that can be named. `W` is
/// `BodyTimeoutLayer` for a stack with [`body_timeouts`](HttpStack::body_timeouts).
pub type HttpService<S, P = CloneRequest, W = Identity> = StackService<
    Feedback<<W as Layer<WrappedClient<S>>>::Service, HttpFeedback, Routes>,
    HttpClassifier,
    Routes,
    CompleteOnBodyEnd,
    P,
    PropagateHttpDeadline,
>;

fn nothing_hidden(_: &Parts, _: &[u8]) -> Option<Outcome> {
    None
}

impl HttpStack {
    pub(crate) fn new(stack: GenericStack, headers: RateLimitHeaders) -> Self {
        Self {
            stack: stack
                .classify(HttpClassifier::new())
                .describe(Routes::reads_only())
                .track_completion(CompleteOnBodyEnd)
                .propagate(PropagateHttpDeadline),
            register_layer: Identity::new(),
            // With a cap of zero no body is read.
            inspect: InspectLayer::new(0, nothing_hidden),
            feedback: HttpFeedback::new(headers),
        }
    }
}

impl<P> HttpStack<P> {
    /// Bounds what comes after the head of an answer: the time to its first byte, between its
    /// pieces, and in all. A body that stalls then ends with an error, and its place is free.
    #[must_use]
    pub fn body_timeouts(self, layer: BodyTimeoutLayer) -> HttpStack<P, BodyTimeoutLayer> {
        HttpStack {
            stack: self.stack,
            register_layer: layer,
            inspect: self.inspect,
            feedback: self.feedback,
        }
    }
}

impl<P, W> HttpStack<P, W> {
    /// Says what each route is: safe to send twice, its cost, its priority. Without it, only
    /// reads are safe.
    #[must_use]
    pub fn routes(mut self, routes: Routes) -> Self {
        self.stack = self.stack.describe(routes);
        self
    }

    /// Judges answers with a classifier of your own settings.
    #[must_use]
    pub fn classifier(mut self, classifier: HttpClassifier) -> Self {
        self.feedback = self.feedback.classify(classifier.clone());
        self.stack = self.stack.classify(classifier);
        self
    }

    /// Reads from the headers of each answer how much is left of the provider's limits, and takes
    /// it for true where it is less than what the stack's rate limit has. Without it, and beside
    /// it, throttles and bans pause the rate limit for as long as they say.
    ///
    /// ```
    /// use seawall::http::RateLimitHeaders;
    ///
    /// let stack = seawall::broker("alpaca").build()?.rate_limit_headers(RateLimitHeaders::alpaca());
    /// # Ok::<(), seawall::InvalidConfig>(())
    /// ```
    #[must_use]
    pub fn rate_limit_headers(mut self, headers: RateLimitHeaders) -> Self {
        self.feedback = self.feedback.headers(headers);
        self
    }

    /// Looks into JSON bodies of up to 16 KiB for what the status does not say.
    #[must_use]
    pub fn inspect(mut self, inspector: Inspector) -> Self {
        self.inspect = self.inspect.at_least(INSPECTED).inspector(inspector);
        self
    }

    /// Reads from JSON answers of up to `cap` bytes how many tokens of an AI model they have used,
    /// so that limits of tokens are corrected from the estimate, which a request carries as a
    /// [`TokenEstimate`](seawall_http::TokenEstimate) in its extensions. Streamed answers are a
    /// matter for [`MeteredBody`](seawall_http::quota::MeteredBody) and
    /// [`RateLimitHandle::settle`](seawall_ratelimit::RateLimitHandle::settle).
    #[cfg(feature = "usage")]
    #[must_use]
    pub fn count_tokens(mut self, cap: usize) -> Self {
        self.inspect = self.inspect.at_least(cap).with_usage();
        self
    }

    /// Copies requests for further attempts with `copy`, for bodies that cannot be cloned: see
    /// [`seawall_http::ReplayBody`].
    #[must_use]
    pub fn copy<P2>(self, copy: P2) -> HttpStack<P2, W> {
        HttpStack {
            stack: self.stack.copy(copy),
            register_layer: self.register_layer,
            inspect: self.inspect,
            feedback: self.feedback,
        }
    }

    /// Handles of every layer, to read and to control them.
    pub fn handles(&self) -> StackHandles {
        self.stack.handles()
    }

    /// Adds every layer to `registry`.
    ///
    /// # Errors
    ///
    /// [`AlreadyRegistered`] when the registry has a stack of that name; what was added before
    /// stays.
    pub fn register(&self, registry: &Registry) -> Result<(), AlreadyRegistered> {
        self.stack.register(registry)
    }
}

impl<S, P, W> Layer<S> for HttpStack<P, W>
where
    S: Clone,
    P: Clone,
    W: Layer<WrappedClient<S>, Service: Clone>,
{
    type Service = HttpService<S, P, W>;

    fn layer(&self, client: S) -> Self::Service {
        // Right around the client: a throttle inside a 200 must be known to every layer above.
        let client = self.inspect.layer(client);
        // The one place where the error changes its type.
        let client = WrapError::new(client);
        // Inside of the layers that hold a place or a ticket until the body has ended: a body that
        // stalls ends as a failure, and what it held is free.
        let client = self.register_layer.layer(client);
        // Below everything that waits or rejects: it hears what those calls were answered that
        // departed.
        let client = self.stack.feedback(self.feedback.clone()).layer(client);
        self.stack.layer(client)
    }
}
