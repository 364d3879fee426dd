use proptest::prelude::*;

use super::*;

fn key(service: &'static str) -> AlertKey {
    AlertKey {
        kind: AlertKind::ManyFailures,
        registry: "desk",
        service,
        detail: "",
    }
}

/// An engine whose rule is raised above 0.1 and over at 0.05.
fn engine(lasts: u64, resolve_after: u64) -> Engine {
    let rule = AlertRule::builder(AlertKind::ManyFailures)
        .lasts(Duration::from_secs(lasts))
        .resolve_after(Duration::from_secs(resolve_after))
        .build();
    Engine::new(
        InstanceName::new("desk"),
        AlertRules::default().with(rule.unwrap()),
        100,
    )
}

fn at(start: Instant, second: u64, unix_ms: u64) -> Moment {
    Moment {
        now: start + Duration::from_secs(second),
        unix_ms,
    }
}

#[test]
fn a_clock_that_is_set_back_makes_nothing_end_before_it_began() {
    let (start, mut engine) = (Instant::now(), engine(0, 0));
    let mut evaluate = |second, unix_ms, value| {
        let figure = Measured {
            key: key("alpaca"),
            value: Some(value),
        };
        engine.evaluate(at(start, second, unix_ms), |_| true, &[figure])
    };
    assert_eq!(evaluate(0, 5_000, 0.5).len(), 1);
    let over = evaluate(1, 1_000, 0.0);
    assert_eq!(over[0].raised_at_unix_ms, 5_000);
    assert_eq!(over[0].resolved_at_unix_ms, Some(5_000));
}

#[test]
fn a_figure_that_is_infinite_or_none_is_nothing_to_judge_by() {
    let (start, mut engine) = (Instant::now(), engine(0, 0));
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let figure = Measured {
            key: key("alpaca"),
            value: Some(value),
        };
        assert!(
            engine
                .evaluate(at(start, 0, 0), |_| true, &[figure])
                .is_empty()
        );
    }
}

proptest! {
    /// What is sent is what a model of the rule says, for two services at once that do not know of each other.
    #[test]
    fn alerts_are_those_of_the_model(
        figures in prop::collection::vec(
            (prop::option::of(0.0..0.2), prop::option::of(0.0..0.2)), 1..200,
        ),
        lasts in 0_u64..4,
        resolve_after in 0_u64..4,
    ) {
        let (start, mut engine) = (Instant::now(), engine(lasts, resolve_after));
        let mut models = [Model::default(); 2];
        for (second, (one, other)) in figures.into_iter().enumerate() {
            let values = [one, other];
            let names = ["alpaca", "polygon"];
            let measured: Vec<_> = names
                .into_iter()
                .zip(values)
                .map(|(name, value)| Measured { key: key(name), value })
                .collect();
            let sent = engine.evaluate(at(start, second as u64, 1), |_| true, &measured);
            for ((model, name), value) in models.iter_mut().zip(names).zip(values) {
                let was = model.is_firing;
                model.step(second as u64, value, lasts, resolve_after);
                let sent: Vec<_> = sent.iter().filter(|it| it.service == Some(name)).collect();
                let changed = was != model.is_firing;
                prop_assert_eq!(sent.len(), usize::from(changed));
                if let [alert] = &sent[..] {
                    prop_assert_eq!(alert.state == AlertState::Firing, model.is_firing);
                }
            }
            let firing = models.iter().filter(|model| model.is_firing).count();
            prop_assert_eq!(engine.active().count(), firing);
        }
    }
}

/// When the rule is raised and over, written down naively.
#[derive(Clone, Copy, Default)]
struct Model {
    is_firing: bool,
    beyond_since: Option<u64>,
    back_since: Option<u64>,
}

impl Model {
    fn step(&mut self, second: u64, value: Option<f64>, lasts: u64, resolve_after: u64) {
        if !self.is_firing {
            match value {
                Some(value) if value > 0.1 => {
                    let since = *self.beyond_since.get_or_insert(second);
                    self.is_firing = second - since >= lasts;
                    self.back_since = None;
                }
                _ => self.beyond_since = None,
            }
        } else if let Some(value) = value {
            if value > 0.05 {
                self.back_since = None;
            } else {
                let since = *self.back_since.get_or_insert(second);
                if second - since >= resolve_after {
                    *self = Self::default();
                }
            }
        }
    }
}
