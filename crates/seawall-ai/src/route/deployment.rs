//! What a router chooses from.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body::Body;
use seawall_core::InstanceName;

use super::set_model::model_of;
use super::{ClassifyResponse, Headroom, ReplaceData, StatusClasses, set_model};

pub(crate) type Prepare<B> = Arc<dyn Fn(&mut Request<B>) + Send + Sync>;
/// Finds the model that a request names.
pub(crate) type ReadModel<B> = Arc<dyn Fn(&Request<B>) -> Option<Bytes> + Send + Sync>;

/// One way to a model: a key at a provider, with a stack of its own.
///
/// The service is the whole stack of this key: its limits, its breaker, its bulkhead, its attempt
/// timeout, and the client with its credentials. It should make no attempts of its own
/// (`max_attempts` 1): the router knows where the next one has a chance.
///
/// ```
/// use bytes::Bytes;
/// use http::{HeaderValue, Request, Response};
/// use http_body_util::Full;
/// use seawall_ai::route::Deployment;
/// use tower::service_fn;
///
/// type Body = Full<Bytes>;
/// let client = service_fn(|_: Request<Body>| async { Ok::<_, std::convert::Infallible>(Response::new(Body::default())) });
/// let deployment = Deployment::new("east-key-1", "azure-east", client)
///     .model("gpt-5-east")
///     .prepare(|request: &mut Request<Body>| {
///         request.headers_mut().insert("api-key", HeaderValue::from_static("secret"));
///     });
/// # let _ = deployment;
/// ```
pub struct Deployment<S, B> {
    pub(crate) name: InstanceName,
    pub(crate) provider: InstanceName,
    pub(crate) service: S,
    pub(crate) weight: u32,
    pub(crate) prepare: Vec<Prepare<B>>,
    /// The model that it names in requests.
    pub(crate) model: Option<String>,
    pub(crate) read_model: Option<ReadModel<B>>,
    pub(crate) headroom: Option<Arc<dyn Headroom>>,
    pub(crate) classifier: Arc<dyn ClassifyResponse>,
}

impl<S, B> Deployment<S, B> {
    /// The deployment `name`, unique in its router, at a `provider`.
    ///
    /// The provider is what fails together: two regions with capacity of their own are two providers.
    pub fn new(
        name: impl Into<InstanceName>,
        provider: impl Into<InstanceName>,
        service: S,
    ) -> Self {
        Self {
            name: name.into(),
            provider: provider.into(),
            service,
            weight: 1,
            prepare: Vec::new(),
            model: None,
            read_model: None,
            headroom: None,
            classifier: Arc::new(StatusClasses),
        }
    }

    /// Sets the provider: what fails together. A deployment that a client has made has the provider of the
    /// client's stack, and two regions with capacity of their own are two providers:
    ///
    /// ```
    /// # use seawall_ai::route::Deployment;
    /// # let of_client = |name: &'static str| Deployment::<_, ()>::new(name, "azure", ());
    /// let east = of_client("key-1").provider("azure-east");
    /// let west = of_client("key-2").provider("azure-west");
    /// # let _ = (east, west);
    /// ```
    #[must_use]
    pub fn provider(mut self, provider: impl Into<InstanceName>) -> Self {
        self.provider = provider.into();
        self
    }

    /// Sets how often it is chosen beside others of which as much is left, from 1; 1 unless set.
    #[must_use]
    pub const fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// Prepares each request for this deployment: its path, its headers. It runs once per attempt, on a
    /// copy; several run in the order in which they were added.
    ///
    /// A signature or a timestamp belongs to the hook at departure of the deployment's client, which
    /// runs below every wait.
    #[must_use]
    pub fn prepare(mut self, prepare: impl Fn(&mut Request<B>) + Send + Sync + 'static) -> Self {
        self.prepare.push(Arc::new(prepare));
        self
    }

    /// Names the model as this deployment calls it, in the JSON body of each request; see
    /// [`set_model`].
    #[must_use]
    pub fn model(mut self, model: impl Into<String>) -> Self
    where
        B: ReplaceData + 'static,
    {
        let model = model.into();
        self.model = Some(model.clone());
        self.prepare(move |request| {
            set_model(request, &model);
        })
    }

    /// Reads from the JSON body of each request which model it names, so that the
    /// [headroom](Self::headroom) of a deployment with limits of each model is that of the model. A
    /// deployment that [names its model](Self::model) itself needs it not. A client of the crate `seawall`
    /// does it where its provider limits models. A cool-down is still that of the deployment: so give
    /// each model a deployment of its own where one model's limit should not keep others from it.
    #[must_use]
    pub fn read_model(mut self) -> Self
    where
        B: Body<Data = Bytes> + Clone + 'static,
    {
        self.read_model = Some(Arc::new(|request| model_of(request)));
        self
    }

    /// Asks `headroom` at each choice what is left of the deployment's limits. Unless set, everything
    /// is, until a response says otherwise.
    #[must_use]
    pub fn headroom(mut self, headroom: impl Headroom + 'static) -> Self {
        self.headroom = Some(Arc::new(headroom));
        self
    }

    /// Finds the class of its error responses with `classifier`, such as an
    /// [`ErrorTable`](crate::ErrorTable); [`StatusClasses`] unless set. An
    /// [`ErrorClass`](crate::ErrorClass) or an [`ApiError`](crate::ApiError), which a
    /// [`StreamLayer`](crate::stream::StreamLayer) puts there, in the extensions of a response comes
    /// first.
    #[must_use]
    pub fn classify(mut self, classifier: impl ClassifyResponse + 'static) -> Self {
        self.classifier = Arc::new(classifier);
        self
    }
}

impl<S: Clone, B> Clone for Deployment<S, B> {
    fn clone(&self) -> Self {
        Self {
            name: self.name,
            provider: self.provider,
            service: self.service.clone(),
            weight: self.weight,
            prepare: self.prepare.clone(),
            model: self.model.clone(),
            read_model: self.read_model.clone(),
            headroom: self.headroom.clone(),
            classifier: Arc::clone(&self.classifier),
        }
    }
}

seawall_core::impl_debug!(Deployment<S, B>: |this|
    name = this.name,
    provider = this.provider,
    weight = this.weight,
);

/// A model with its deployments. Of several models of a router, the first one that has a deployment to
/// offer is asked.
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use seawall_ai::route::{Deployment, Model};
/// use tower::service_fn;
///
/// type Body = Full<Bytes>;
/// let client = service_fn(|_: Request<Body>| async { Ok::<_, std::convert::Infallible>(Response::new(Body::default())) });
/// let model = Model::<_, Body>::new("large")
///     .context_window(1_000_000)
///     .deployment(Deployment::new("key-1", "openai", client))
///     .deployment(Deployment::new("key-2", "openai", client));
/// # let _ = model;
/// ```
pub struct Model<S, B> {
    pub(crate) name: InstanceName,
    pub(crate) context_window: Option<u64>,
    pub(crate) deployments: Vec<Deployment<S, B>>,
}

impl<S, B> Model<S, B> {
    /// The model `name`, unique in its router, without deployments yet.
    pub fn new(name: impl Into<InstanceName>) -> Self {
        Self {
            name: name.into(),
            context_window: None,
            deployments: Vec::new(),
        }
    }

    /// Sets how many tokens it reads, at least 1. A prompt that is too long for a model goes on to one
    /// that reads more, where both are known; otherwise the caller gets the error.
    #[must_use]
    pub const fn context_window(mut self, tokens: u64) -> Self {
        self.context_window = Some(tokens);
        self
    }

    /// Adds a deployment. Their order means nothing.
    #[must_use]
    pub fn deployment(mut self, deployment: Deployment<S, B>) -> Self {
        self.deployments.push(deployment);
        self
    }
}

impl<S: Clone, B> Clone for Model<S, B> {
    fn clone(&self) -> Self {
        Self {
            name: self.name,
            context_window: self.context_window,
            deployments: self.deployments.clone(),
        }
    }
}

seawall_core::impl_debug!(Model<S, B>: |this|
    name = this.name,
    context_window = this.context_window,
    deployments = this.deployments,
);
