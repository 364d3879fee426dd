//! Between layers that carry what requests and results are.

use super::*;
use seawall_core::carry::{Classified, ClassifyLayer, Described, carried};
use seawall_core::{FailureKind, Outcome, Policy, RequestMeta};

#[tokio::test(start_paused = true)]
async fn injected_errors_carry_what_they_mean_and_orders_are_spared() {
    let policy = Policy::new().describe(ConstMeta(RequestMeta::idempotent()));
    let config = ChaosConfig::builder().seed(7).build().unwrap();
    let layer = ChaosLayer::new("carried", config).policy(carried(&policy));
    let (inner, mock) = mock();
    let service = layer.layer(ClassifyLayer::new(ErrorIsFailure).layer(inner));
    let call = |meta| {
        let request = Described { request: 3, meta };
        service.clone().oneshot(request)
    };
    for (fault, outcome) in [
        (
            Fault::refused_connection(),
            Outcome::Failure(FailureKind::NotSent),
        ),
        (Fault::lost_response(), Outcome::Unknown),
    ] {
        let injection = layer.handle().start(fault).unwrap();
        let error: Classified<BoxError> = call(RequestMeta::idempotent()).await.unwrap_err();
        assert_eq!(error.outcome(), outcome);
        assert!(error.value().downcast_ref::<InjectedError>().is_some());
        let response = call(RequestMeta::non_idempotent()).await.unwrap();
        assert_eq!(
            (response.outcome(), *response.value()),
            (Outcome::Success, 3)
        );
        assert_eq!(injection.stop().spared, 1);
    }
    let _twice = layer.handle().start(Fault::duplicated_request()).unwrap();
    call(RequestMeta::idempotent()).await.unwrap();
    assert_eq!(mock.requests(), [3; 5]);
}
