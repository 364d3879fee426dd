//! What an error response of a deployment means.

use http::StatusCode;
use http::response::Parts;
use seawall_core::{FailureKind, Outcome};

use crate::{ErrorClass, ErrorTable};

/// Finds the class of a response's error, by its head and by what was read of its body.
///
/// It is a property of a provider, so each [deployment](super::Deployment) may have its own. Closures
/// and `fn` pointers `Fn(&Parts, &[u8]) -> Option<ErrorClass>` do.
///
/// ```
/// use http::response::Parts;
/// use seawall_ai::ErrorClass;
/// use seawall_ai::route::{ClassifyResponse, StatusClasses};
///
/// fn by_code(head: &Parts, body: &[u8]) -> Option<ErrorClass> {
///     let is_spent = body.windows(18).any(|text| text == b"insufficient_quota");
///     let class = is_spent.then_some(ErrorClass::QuotaExhausted);
///     class.or_else(|| StatusClasses.class_of(head, body))
/// }
/// let (head, ()) = http::Response::builder().status(429).body(())?.into_parts();
/// assert_eq!(by_code(&head, b"{}"), Some(ErrorClass::RateLimit));
/// let spent = br#"{"error":{"code":"insufficient_quota"}}"#;
/// assert_eq!(by_code(&head, spent), Some(ErrorClass::QuotaExhausted));
/// # Ok::<(), http::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not find the class of an error response",
    note = "it is a `Fn(&http::response::Parts, &[u8]) -> Option<ErrorClass>`, or a type that implements `ClassifyResponse`"
)]
pub trait ClassifyResponse: Send + Sync {
    /// The class of the error that a response reports; `None` for one that reports none. `body` is
    /// all of the body, or nothing where it is too long or too slow to be read.
    fn class_of(&self, head: &Parts, body: &[u8]) -> Option<ErrorClass>;
}

#[diagnostic::do_not_recommend]
impl<F> ClassifyResponse for F
where
    F: Fn(&Parts, &[u8]) -> Option<ErrorClass> + Send + Sync,
{
    fn class_of(&self, head: &Parts, body: &[u8]) -> Option<ErrorClass> {
        self(head, body)
    }
}

/// A table of errors finds the class of each response whose status is an error. Of any other it is what
/// a layer below has found in the body of the response, and put as an [`Outcome`] into its extensions: the
/// same table as an inspector of the stack does that for an error in a 200.
///
/// ```
/// use seawall_ai::route::{ClassifyResponse, Deployment};
/// use seawall_ai::{ErrorClass, ErrorTable};
///
/// let (head, ()) = http::Response::builder().status(400).body(())?.into_parts();
/// let body = br#"{"error":{"code":"context_length_exceeded","message":"too long"}}"#;
/// let table = ErrorTable::openai();
/// assert_eq!(table.class_of(&head, body), Some(ErrorClass::ContextLength));
///
/// let deployment = Deployment::<_, ()>::new("key-1", "openai", ()).classify(table);
/// # let _ = deployment;
/// # Ok::<(), http::Error>(())
/// ```
impl ClassifyResponse for ErrorTable {
    fn class_of(&self, head: &Parts, body: &[u8]) -> Option<ErrorClass> {
        let is_error = head.status.is_client_error() || head.status.is_server_error();
        if is_error {
            return Some(self.classify(head.status, &head.headers, body).class);
        }
        head.extensions.get().and_then(class_of_outcome)
    }
}

/// Finds the class of an error by the status alone, unless a layer below has put an [`Outcome`] into
/// the response's extensions; the default of a [deployment](super::Deployment).
///
/// | response | class |
/// |---|---|
/// | an [`Outcome`] in the extensions: exhausted quota; throttled; banned | `QuotaExhausted`; `RateLimit`; `Credential` |
/// | 401 | `Credential` |
/// | 402 | `QuotaExhausted` |
/// | 429 | `RateLimit` |
/// | 503, 529 | `Overload` |
/// | 408, 504 | `Network` |
/// | any other 5xx | `Server` |
/// | any other 4xx | `InvalidRequest` |
///
/// A 403 may forbid one prompt (a firewall, a moderation) as well as a key, so it is the caller's: taken
/// for a wrong key it would be sent to every other one, and all of them would be left alone.
/// A 404 is a wrong path as often as a model that is gone, so it is no
/// [`ModelUnavailable`](ErrorClass::ModelUnavailable) here. Providers say more in their bodies: an
/// [`ErrorTable`] of the provider knows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatusClasses;

impl ClassifyResponse for StatusClasses {
    fn class_of(&self, head: &Parts, _: &[u8]) -> Option<ErrorClass> {
        let by_outcome = head.extensions.get().and_then(class_of_outcome);
        by_outcome.or_else(|| class_of_status(head.status))
    }
}

const fn class_of_status(status: StatusCode) -> Option<ErrorClass> {
    Some(match status.as_u16() {
        401 => ErrorClass::Credential,
        402 => ErrorClass::QuotaExhausted,
        429 => ErrorClass::RateLimit,
        503 | 529 => ErrorClass::Overload,
        408 | 504 => ErrorClass::Network,
        500.. => ErrorClass::Server,
        400..500 => ErrorClass::InvalidRequest,
        _ => return None,
    })
}

const fn class_of_outcome(outcome: &Outcome) -> Option<ErrorClass> {
    Some(match outcome {
        Outcome::QuotaExhausted { .. } => ErrorClass::QuotaExhausted,
        Outcome::Throttled { .. } => ErrorClass::RateLimit,
        Outcome::Banned { .. } => ErrorClass::Credential,
        Outcome::Failure(FailureKind::Overloaded) => ErrorClass::Overload,
        Outcome::Failure(FailureKind::Timeout | FailureKind::NotSent) | Outcome::Unknown => {
            ErrorClass::Network
        }
        Outcome::Failure(_) => ErrorClass::Server,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(status: u16) -> Parts {
        let mut response = http::Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).expect("a status");
        response.into_parts().0
    }

    #[test]
    fn every_error_status_has_a_class_and_no_other_has() {
        for status in 100..600 {
            let class = StatusClasses.class_of(&head(status), b"");
            assert_eq!(class.is_some(), status >= 400, "{status}");
        }
        let class = |status| StatusClasses.class_of(&head(status), b"");
        assert_eq!(class(401), Some(ErrorClass::Credential));
        assert_eq!(class(403), Some(ErrorClass::InvalidRequest));
        assert_eq!(class(404), Some(ErrorClass::InvalidRequest));
        assert_eq!(class(500), Some(ErrorClass::Server));
        assert_eq!(class(504), Some(ErrorClass::Network));
        assert_eq!(class(529), Some(ErrorClass::Overload));
    }

    #[test]
    fn what_a_layer_below_has_found_comes_first() {
        let mut spent = head(429);
        spent
            .extensions
            .insert(Outcome::QuotaExhausted { renews_in: None });
        assert_eq!(
            StatusClasses.class_of(&spent, b""),
            Some(ErrorClass::QuotaExhausted)
        );
        let mut hidden = head(200);
        hidden.extensions.insert(Outcome::Ignored);
        assert_eq!(StatusClasses.class_of(&hidden, b""), None);
    }
}
