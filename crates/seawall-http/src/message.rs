//! Responses, by themselves or with what they carry in a stack: see [`seawall_core::carry`].

use http::{Extensions, HeaderMap, Response};
use seawall_core::carry::{Classified, GuardedResponse, Guards, Storage};

/// An HTTP response, or one that a stack carries. Sealed.
pub trait HttpResponse: sealed::Sealed {
    /// Its headers.
    fn headers(&self) -> &HeaderMap;

    /// Its extensions.
    fn extensions(&self) -> &Extensions;

    /// Its extensions, mutably.
    fn extensions_mut(&mut self) -> &mut Extensions;
}

impl<B> HttpResponse for Response<B> {
    fn headers(&self) -> &HeaderMap {
        Self::headers(self)
    }

    fn extensions(&self) -> &Extensions {
        Self::extensions(self)
    }

    fn extensions_mut(&mut self) -> &mut Extensions {
        Self::extensions_mut(self)
    }
}

impl<P, G, B> HttpResponse for GuardedResponse<P, G>
where
    P: Storage<Value = Classified<Response<B>>>,
    G: Guards,
    B: 'static,
{
    fn headers(&self) -> &HeaderMap {
        self.get().value().headers()
    }

    fn extensions(&self) -> &Extensions {
        self.get().value().extensions()
    }

    fn extensions_mut(&mut self) -> &mut Extensions {
        self.get_mut().value_mut().extensions_mut()
    }
}

mod sealed {
    use super::{Classified, GuardedResponse, Guards, Response, Storage};

    #[allow(unnameable_types, reason = "nobody else implements the trait")]
    pub trait Sealed {}

    impl<B> Sealed for Response<B> {}

    impl<P, G, B> Sealed for GuardedResponse<P, G>
    where
        P: Storage<Value = Classified<Response<B>>>,
        G: Guards,
        B: 'static,
    {
    }
}
