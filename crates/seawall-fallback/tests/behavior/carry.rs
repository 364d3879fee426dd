//! Between the layers that carry descriptions and outcomes.

use super::*;
use seawall_core::carry::{
    Carried, Classified, ClassifyLayer, DescribeLayer, Described, GuardList, GuardedResponse,
    Pooled, carried,
};
use seawall_core::{AnyAge, Complete, KeepWhole};
use tower::ServiceBuilder;
use tower::util::MapResponse;

#[tokio::test(start_paused = true)]
async fn an_answer_is_classified_as_degraded() {
    let policy = Policy::new()
        .classify(ByResult)
        .describe(describe as super::Described);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&seen);
    let kept = last_good(60 * SECOND);
    let layer = FallbackLayer::new(
        "prices",
        FallbackConfig::default(),
        [kept, value("default")],
    );
    let layer = layer
        .unwrap()
        .policy(carried(&policy))
        .mark(MarkInValue)
        .fresh_only(wants_fresh as fn(&Ask) -> bool)
        .carried();
    let upstream = Upstream::new([Ok(Price::at(1)), Err(DOWN)]);
    let service = ServiceBuilder::new()
        .layer(DescribeLayer::new(describe as super::Described))
        .map_response(move |response: Classified<Res>| {
            note.lock().unwrap().push(response.outcome());
            response
        })
        .layer(layer)
        .layer(ClassifyLayer::new(ByResult))
        .service(upstream.clone());
    let mut service = service;
    assert!(
        !call(&mut service, Ask::of("SPY"))
            .await
            .unwrap()
            .is_degraded()
    );
    let answer = call(&mut service, Ask::of("SPY")).await.unwrap();
    assert_eq!(marked(&answer), ("upstream", Some(("server", "last_good"))));
    let answer = call(&mut service, Ask::of("QQQ")).await.unwrap();
    assert_eq!(marked(&answer), ("default", Some(("server", "default"))));
    let mut fresh = Ask::of("QQQ");
    fresh.fresh = true;
    assert_eq!(call(&mut service, fresh).await.unwrap_err(), DOWN);
    let outcomes = seen.lock().unwrap().clone();
    assert_eq!(
        outcomes,
        [Outcome::Success, Outcome::Degraded, Outcome::Degraded]
    );
}

/// Notes with which outcome its call was completed.
struct Guard(Arc<Mutex<Vec<Outcome>>>);

impl Complete for Guard {
    fn complete(self, outcome: Outcome) {
        self.0.lock().unwrap().push(outcome);
    }
}

type Guarded = GuardedResponse<Pooled<Classified<Res>>, GuardList<Guard, ()>>;
type Sent = Pooled<Described<Ask>>;

fn pooled(ask: Ask) -> Sent {
    use seawall_core::carry::Storage;
    Sent::put(Described {
        request: ask,
        meta: ask.meta,
    })
}

/// Answers with a failure that holds a guard.
fn guarded(
    completed: &Arc<Mutex<Vec<Outcome>>>,
) -> impl Service<Sent, Response = Guarded, Error = Classified<Failed>, Future: Send> + Clone + use<>
{
    use seawall_core::TrackCompletion;
    use seawall_core::carry::Storage;
    let completed = Arc::clone(completed);
    let service = tower::service_fn(|_: Sent| async { Ok::<_, Classified<Failed>>(()) });
    MapResponse::new(service, move |()| {
        let failed = Degraded::fresh(Price::failed(Outcome::Unknown));
        let stored = Pooled::put(Classified::new(failed, Outcome::Unknown, None));
        let response = GuardedResponse::new(stored, ());
        let completion = Carried(seawall_core::CompleteOnResponse);
        completion.track_completion(Guard(Arc::clone(&completed)), Outcome::Unknown, response)
    })
}

#[tokio::test(start_paused = true)]
async fn guards_of_the_failed_call_are_completed_and_the_answer_has_none() {
    let policy = Policy::new()
        .describe(describe as super::Described)
        .keep(KeepWhole);
    let completed: Arc<Mutex<Vec<Outcome>>> = Arc::default();
    let seen = Arc::clone(&completed);
    let later = Step::async_function("later", move |_, _: Ask| {
        let before = Mutex::lock(&seen).unwrap().len() as i64;
        async move { Some(Degraded::fresh(Price::from("later", before))) }
    });
    let layer = FallbackLayer::new(
        "prices",
        FallbackConfig::default(),
        [later.only_for(Operation::new("later")), value("default")],
    );
    let layer = layer
        .unwrap()
        .policy(carried(&policy))
        .mark(MarkInValue)
        .fresh_only(AnyAge)
        .carried();
    let mut service = layer.layer(guarded(&completed));
    let later = RequestMeta::idempotent().with_operation(Operation::new("later"));
    for (ask, from) in [
        (Ask::of("SPY"), "default"),
        (Ask::with("SPY", later), "later"),
    ] {
        let response = service
            .ready()
            .await
            .unwrap()
            .call(pooled(ask))
            .await
            .unwrap();
        assert_eq!(response.get().outcome(), Outcome::Degraded);
        let answer = response.get().value();
        assert_eq!(answer.value().from, from);
        if from == "later" {
            assert_eq!(
                answer.value().at,
                2,
                "the guard was completed before the step began"
            );
        }
        assert_eq!(completed.lock().unwrap().last(), Some(&Outcome::Unknown));
        let count = completed.lock().unwrap().len();
        drop(response);
        assert_eq!(completed.lock().unwrap().len(), count, "it holds nothing");
    }
}
