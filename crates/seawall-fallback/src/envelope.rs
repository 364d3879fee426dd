//! How requests and responses travel through the layer.

use seawall_core::Outcome;
use seawall_core::carry::{Classified, ClassifiedResponse, Described, Storage};

/// How the request `T` and the response `R` of a service hold what the steps know: as they are
/// ([`Plain`]), or carried with their description and their outcome ([`InCarry`]).
pub trait Envelope<T, R> {
    /// What steps are asked with.
    type Request;
    /// What steps answer.
    type Response;

    /// The request in it.
    fn request(request: &T) -> &Self::Request;

    /// The request by itself.
    fn open(request: T) -> Self::Request;

    /// The response in it.
    fn response(response: &R) -> &Self::Response;

    /// An answer of a step as a response.
    fn close(answer: Self::Response) -> R;
}

/// Requests and responses as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plain;

impl<T, R> Envelope<T, R> for Plain {
    type Request = T;
    type Response = R;

    #[inline]
    fn request(request: &T) -> &T {
        request
    }

    #[inline]
    fn open(request: T) -> T {
        request
    }

    #[inline]
    fn response(response: &R) -> &R {
        response
    }

    #[inline]
    fn close(answer: R) -> R {
        answer
    }
}

/// Requests that are [`Described`], and responses that carry what they mean: an answer of a step means
/// [`Outcome::Degraded`], and holds nothing of the layers below.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InCarry;

impl<T, R, Req> Envelope<T, R> for InCarry
where
    T: Storage<Value = Described<Req>>,
    R: ClassifiedResponse,
{
    type Request = Req;
    type Response = R::Value;

    fn request(request: &T) -> &Req {
        &request.get().request
    }

    fn open(request: T) -> Req {
        request.take().request
    }

    fn response(response: &R) -> &R::Value {
        response.value()
    }

    fn close(answer: R::Value) -> R {
        let meaning = Classified::new((), Outcome::Degraded, None);
        R::join(answer, R::Rest::from(meaning))
    }
}
