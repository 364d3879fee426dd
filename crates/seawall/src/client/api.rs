//! The client itself.

use std::fmt;
use std::sync::Arc;

use http::Method;
use seawall_core::Departure;
use tower_layer::Layer;

use super::departing::Departing;
use super::request::{Defaults, RequestBuilder};
use super::sending::Sending;
use super::transport::HttpTransport;

/// The stack of a client unless another one is named.
#[cfg(feature = "catalog")]
type DefaultStack = crate::catalog::ProviderStack;
#[cfg(not(feature = "catalog"))]
type DefaultStack = crate::HttpStack;

/// An HTTP client behind a stack `L`, which sends by `T`; see the [module](super).
///
/// Clones share connections and state.
pub struct Client<L = DefaultStack, T = HttpTransport>
where
    L: Layer<Departure<Sending<T>, Departing>>,
{
    pub(super) stack: L,
    pub(crate) service: L::Service,
    pub(crate) defaults: Arc<Defaults>,
}

/// Declares a function for each method.
macro_rules! methods {
    ($($function:ident = $METHOD:ident,)*) => {$(
        #[doc = concat!("A request of the method ", stringify!($METHOD), ".")]
        ///
        /// `path` may have a query; it is joined to the base URL. A complete URL is taken where its
        /// scheme and host are those of the base, as for the next page of a list.
        pub fn $function(&self, path: impl AsRef<str>) -> RequestBuilder<'_, L::Service> {
            self.request(Method::$METHOD, path)
        }
    )*};
}

impl<L, T> Client<L, T>
where
    L: Layer<Departure<Sending<T>, Departing>>,
{
    methods! {
        get = GET,
        post = POST,
        put = PUT,
        patch = PATCH,
        delete = DELETE,
    }

    /// A request of any method.
    pub fn request(&self, method: Method, path: impl AsRef<str>) -> RequestBuilder<'_, L::Service> {
        RequestBuilder::new(&self.service, &self.defaults, method, path.as_ref())
    }

    /// Its stack, whose handles read and control every layer.
    pub const fn stack(&self) -> &L {
        &self.stack
    }

    /// The URL that paths are joined to, without a slash at its end.
    pub fn base_url(&self) -> String {
        self.defaults.base.to_string()
    }
}

impl<L, T> Clone for Client<L, T>
where
    L: Layer<Departure<Sending<T>, Departing>, Service: Clone> + Clone,
{
    fn clone(&self) -> Self {
        Self {
            stack: self.stack.clone(),
            service: self.service.clone(),
            defaults: Arc::clone(&self.defaults),
        }
    }
}

impl<L, T> fmt::Debug for Client<L, T>
where
    L: Layer<Departure<Sending<T>, Departing>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base_url", &self.base_url())
            .finish_non_exhaustive()
    }
}
