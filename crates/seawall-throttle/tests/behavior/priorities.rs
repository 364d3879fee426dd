//! Which priorities are rejected first.

use super::*;

const PRIORITIES: [Priority; 4] = [Priority(0), Priority::LOW, Priority::NORMAL, Priority::HIGH];

#[tokio::test(start_paused = true)]
async fn higher_priorities_are_rejected_later() {
    let (mut service, handle, _) = scripted(builder().min_requests(100));
    // Four of ten are accepted; the multipliers are 1.25, 1.5, 2 and 3.
    for priority in PRIORITIES {
        send_many(&mut service, 40, Ok(()), priority);
        send_many(&mut service, 60, Err(BUSY), priority);
    }
    let p = PriorityClass::ALL.map(|class| handle.rejection_probability_of(class));
    let expected = [50.0, 40.0, 20.0, 0.0].map(|over| over / 101.0);
    for (p, expected) in p.into_iter().zip(expected) {
        assert!((p - expected).abs() < 1e-9, "{p} is not {expected}");
    }
    let passed = PRIORITIES.map(|priority| send_many(&mut service, 1_000, Ok(()), priority));
    assert!(passed.is_sorted(), "{passed:?}");
    assert!((450..550).contains(&passed[0]), "{passed:?}");
    assert_eq!(passed[3], 1_000);
}

#[tokio::test(start_paused = true)]
async fn a_factor_of_one_treats_all_priorities_alike() {
    let (mut service, handle, _) = scripted(builder().priority_factor(1.0).min_requests(100));
    for priority in PRIORITIES {
        send_many(&mut service, 40, Ok(()), priority);
        send_many(&mut service, 60, Err(BUSY), priority);
    }
    for class in PriorityClass::ALL {
        let p = handle.rejection_probability_of(class);
        assert!((p - 20.0 / 101.0).abs() < 1e-9, "{p}");
    }
}

#[tokio::test(start_paused = true)]
async fn rejections_of_one_class_do_not_count_against_another() {
    let (mut service, handle, _) = scripted(builder());
    send_many(&mut service, 1_000, Err(BUSY), Priority::LOW);
    assert_eq!(send_many(&mut service, 100, Ok(()), Priority::NORMAL), 100);
    assert_eq!(handle.rejection_probability_of(PriorityClass::Low), 0.9);
    assert_eq!(handle.rejection_probability(), 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_class_can_be_exempt() {
    let (mut service, handle, _) = scripted(builder().exempt_from(Priority::HIGH));
    assert_eq!(send_many(&mut service, 200, Err(BUSY), Priority::HIGH), 200);
    assert_eq!(send_many(&mut service, 200, Err(BUSY), Priority(255)), 200);
    assert!(send_many(&mut service, 200, Err(BUSY), Priority(191)) < 100);
    // They are counted all the same, for when the exemption ends.
    assert_eq!(handle.snapshot().classes[3].requests, 400);
    handle.configure(builder().build().unwrap()).unwrap();
    assert!(send_many(&mut service, 200, Err(BUSY), Priority::HIGH) < 100);
}
