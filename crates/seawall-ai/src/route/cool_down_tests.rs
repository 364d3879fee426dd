//! One after the other, beside plain fields; at once: `tests/loom.rs`.

use proptest::prelude::*;

use super::cool_down::{CoolDown, GRAIN, Standing, bits_of};
use crate::ErrorClass;

const OVERLOAD: ErrorClass = ErrorClass::Overload;
const RATE: ErrorClass = ErrorClass::RateLimit;

fn cooling(until: u64) -> Standing {
    Standing::Unavailable {
        until,
        on_trial: false,
    }
}

#[test]
fn a_second_one_never_shortens_the_first() {
    let one = CoolDown::default();
    assert!(one.cool(0, 1_600, RATE));
    assert!(!one.cool(0, 160, RATE));
    assert_eq!(one.standing(1_599), cooling(1_600));
    assert!(!one.cool(0, 3_200, OVERLOAD));
    assert_eq!(one.cooling(3_199), Some((3_200, OVERLOAD)));
}

#[test]
fn every_class_survives_packing() {
    for class in ErrorClass::ALL {
        let one = CoolDown::default();
        assert!(one.cool(0, 17, class));
        assert_eq!(one.reason(), Some((32, class)));
    }
    let one = CoolDown::default();
    assert!(one.cool(0, u64::MAX, RATE));
    assert_eq!(one.standing(u64::MAX / 2), cooling(!15));
}

#[test]
fn one_call_tries_and_a_lost_trial_is_given_to_another() {
    let one = CoolDown::default();
    one.cool(0, 160, OVERLOAD);
    assert_eq!(one.claim_trial(159, 50), None);
    assert_eq!(one.standing(160), Standing::NeedsTrial);
    let lost = one.claim_trial(160, 50).unwrap();
    assert_eq!(one.claim_trial(209, 50), None);
    let second = one.claim_trial(210, 50).unwrap();
    one.release(lost);
    assert_eq!(one.claim_trial(220, 50), None, "the second one has it");
    assert!(one.recover(230));
    one.release(second);
    assert_eq!(one.standing(230), Standing::Available);
    assert_eq!(one.claim_trial(230, 50), None, "nothing to try");
    assert!(!one.is_news(229) && one.is_news(230));
}

#[test]
fn a_trial_that_failed_late_keeps_the_later_end() {
    let one = CoolDown::default();
    one.cool(0, 160, OVERLOAD);
    let trial = one.claim_trial(160, 50).unwrap();
    one.cool(170, 320, OVERLOAD);
    assert!(!one.recover(180));
    one.release(trial);
    assert_eq!(one.standing(180), cooling(320));
}

#[derive(Clone, Debug)]
enum Step {
    Cool(u64, ErrorClass),
    Claim(u64),
    Release,
    Recover,
    End,
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let class = proptest::sample::select(&ErrorClass::ALL[..]);
    let step = prop_oneof![
        (0_u64..200, class).prop_map(|(time, class)| Step::Cool(time * GRAIN, class)),
        (1_u64..50).prop_map(|time| Step::Claim(time * GRAIN)),
        Just(Step::Release),
        Just(Step::Recover),
        Just(Step::End),
        (1_u64..100).prop_map(|time| Step::Pass(time * GRAIN)),
    ];
    proptest::collection::vec(step, 1..60)
}

/// The same as plain fields: the end, the reason, and who tries until when.
#[derive(Default)]
struct Plain {
    end: Option<(u64, ErrorClass)>,
    trial: Option<u64>,
}

impl Plain {
    fn standing(&self, now: u64) -> Standing {
        match (self.end, self.trial) {
            (None, _) => Standing::Available,
            (Some((until, _)), _) if now < until => cooling(until),
            (Some((_, RATE)), _) => Standing::Available,
            (Some(_), Some(until)) if now < until => Standing::Unavailable {
                until,
                on_trial: true,
            },
            _ => Standing::NeedsTrial,
        }
    }

    fn cool(&mut self, until: u64, class: ErrorClass) {
        let later = |(before, other): (u64, ErrorClass)| {
            (before, bits_of(other)) >= (until, bits_of(class))
        };
        if !self.end.is_some_and(later) {
            self.end = Some((until, class));
        }
    }
}

proptest! {
    #[test]
    fn it_does_what_plain_fields_do(steps in steps()) {
        let (one, mut plain, mut now, mut held) = (CoolDown::default(), Plain::default(), 0, None);
        for step in steps {
            match step {
                Step::Cool(time, class) => {
                    let began = one.cool(now, now + time, class);
                    let is_cooling = plain.end.is_some_and(|(until, _)| now < until);
                    prop_assert_eq!(began, time > 0 && !is_cooling);
                    if time > 0 {
                        plain.cool(now + time, class);
                    }
                }
                Step::Claim(timeout) => {
                    let claimed = one.claim_trial(now, timeout);
                    let expected = plain.standing(now) == Standing::NeedsTrial;
                    prop_assert_eq!(claimed.is_some(), expected);
                    if let Some(trial) = claimed {
                        held = Some(trial);
                        plain.trial = Some(now + timeout);
                    }
                }
                Step::Release => if let Some(trial) = held.take() {
                    one.release(trial);
                    plain.trial = None;
                }
                Step::Recover => {
                    let expected = plain.end.is_some_and(|(until, _)| until <= now);
                    prop_assert_eq!(one.recover(now), expected);
                    if expected {
                        plain.end = None;
                    }
                }
                Step::End => {
                    one.end(now);
                    (plain, held) = (Plain::default(), None);
                }
                Step::Pass(time) => now += time,
            }
            prop_assert_eq!(one.standing(now), plain.standing(now));
        }
    }
}
