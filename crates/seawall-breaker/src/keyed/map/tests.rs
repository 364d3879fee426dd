use std::cell::Cell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher, Hasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::eviction::VISITS;
use super::*;
use crate::keyed::evict::Rest;

/// A value that can be made busy, and that counts.
#[derive(Default)]
struct Probe {
    id: u64,
    busy: AtomicBool,
    calls: AtomicU64,
}

impl Evict for Probe {
    type Totals = u64;

    fn rest(&mut self) -> Rest {
        if *self.busy.get_mut() {
            Rest::Stays
        } else {
            Rest::Idle
        }
    }

    fn add_to(&self, totals: &mut u64, _goes: bool) {
        *totals += self.calls.load(Ordering::Relaxed);
    }
}

fn probe(id: u64) -> Probe {
    Probe {
        id,
        calls: AtomicU64::new(1),
        ..Probe::default()
    }
}

fn map<K, B: Default>(max: usize) -> Map<K, Probe, B> {
    Map::new(max, B::default())
}

fn keys<K: Clone + Ord, V: Evict, B>(map: &Map<K, V, B>) -> Vec<K> {
    let mut keys = Vec::new();
    map.for_each(|entry| keys.push(entry.key().clone()));
    keys.sort();
    keys
}

/// Every key has the same hash.
#[derive(Default)]
struct Nothing;

impl Hasher for Nothing {
    fn finish(&self) -> u64 {
        0
    }
    fn write(&mut self, _: &[u8]) {}
}

type Worst = BuildHasherDefault<Nothing>;

#[derive(Clone, Debug)]
enum Step {
    Make(u8),
    Get(u8),
    TrackCompletion(u8),
    Release(u8),
    Busy(u8, bool),
    Bound(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0..16_u8;
    let step = prop_oneof![
        4 => key.clone().prop_map(Step::Make),
        1 => key.clone().prop_map(Step::Get),
        1 => key.clone().prop_map(Step::TrackCompletion),
        1 => key.clone().prop_map(Step::Release),
        2 => (key, any::<bool>()).prop_map(|(key, busy)| Step::Busy(key, busy)),
        1 => prop_oneof![Just(1), Just(4), Just(12)].prop_map(Step::Bound),
    ];
    proptest::collection::vec(step, 0..200)
}

/// What is known of a key that must be there.
#[derive(Default)]
struct Known {
    busy: bool,
    held: Vec<Arc<Entry<u8, Probe>>>,
}

/// All of the map is within reach of one round of the hand here, so that it is known when an entry
/// must go, though not which.
fn agrees_with_the_model<B: BuildHasher + Default>(
    steps: Vec<Step>,
) -> Result<(), proptest::test_runner::TestCaseError> {
    let map: Map<u8, Probe, B> = map(4);
    let mut max = 4;
    let mut made = 0;
    let mut model: HashMap<u8, (u64, Known)> = HashMap::new();
    for step in steps {
        match step {
            Step::Make(key) => {
                let before = model.len();
                let entry = map.get_or_make(Cow::Borrowed(&key), || probe(made));
                prop_assert_eq!(*entry.key(), key);
                let new = !model.contains_key(&key);
                let known = model.entry(key).or_insert((made, Known::default()));
                prop_assert_eq!(entry.value().id, known.0, "a key has one circuit");
                drop(entry);
                if new {
                    made += 1;
                    let idle = model.iter().filter(|(k, (_, known))| {
                        **k != key && !known.busy && known.held.is_empty()
                    });
                    let go = idle.count().min((before + 1).saturating_sub(max)).min(2);
                    prop_assert_eq!(map.len(), before + 1 - go, "as many go as must and may");
                }
            }
            Step::Get(key) => {
                let found = map.get(&key).map(|entry| entry.value().id);
                prop_assert_eq!(found, model.get(&key).map(|(id, _)| *id));
            }
            Step::TrackCompletion(key) => {
                if let Some((_, known)) = model.get_mut(&key) {
                    known.held.extend(map.get(&key));
                }
            }
            Step::Release(key) => {
                if let Some((_, known)) = model.get_mut(&key) {
                    known.held.clear();
                }
            }
            Step::Busy(key, busy) => {
                if let Some((_, known)) = model.get_mut(&key) {
                    known.busy = busy;
                    map.get(&key)
                        .expect("a key that is known is there")
                        .value()
                        .busy
                        .store(busy, Ordering::Relaxed);
                }
            }
            Step::Bound(bound) => {
                max = bound;
                map.set_max(bound);
            }
        }
        let there = keys(&map);
        prop_assert_eq!(there.len(), map.len());
        for (key, (_, known)) in &model {
            if known.busy || !known.held.is_empty() {
                prop_assert!(there.contains(key), "{key} went though it must not");
            }
        }
        model.retain(|key, _| there.contains(key));
        prop_assert_eq!(
            model.len(),
            there.len(),
            "nothing is there that was not made"
        );
        prop_assert_eq!(map.totals(), made, "what went is still counted");
        prop_assert_eq!(map.evicted(), made - map.len() as u64);
    }
    Ok(())
}

proptest! {
    #[test]
    fn the_map_agrees_with_a_model(steps in steps()) {
        agrees_with_the_model::<RandomState>(steps)?;
    }

    #[test]
    fn it_does_so_with_a_hasher_that_does_not_hash(steps in steps()) {
        agrees_with_the_model::<Worst>(steps)?;
    }
}

#[test]
fn a_key_that_was_used_since_outlives_one_that_was_not() {
    let map: Map<u32, Probe, BuildHasherDefault<DefaultHasher>> = map(8);
    for key in 0..8 {
        map.get_or_make(Cow::Borrowed(&key), || probe(0));
    }
    // The marks of all are taken by the first new key.
    map.get_or_make(Cow::Borrowed(&100), || probe(0));
    let left: Vec<u32> = keys(&map).into_iter().filter(|key| *key < 8).collect();
    let dear = left[3];
    for key in 200..206 {
        assert!(map.get(&dear).is_some());
        map.get_or_make(Cow::Borrowed(&key), || probe(0));
    }
    assert!(map.get(&dear).is_some(), "{:?}", keys(&map));
    assert_eq!(map.len(), 8);
}

#[test]
fn what_remembers_something_goes_last_and_not_while_it_is_used() {
    struct Worth(Rest);
    impl Evict for Worth {
        type Totals = ();
        fn rest(&mut self) -> Rest {
            self.0
        }
        fn add_to(&self, (): &mut (), _goes: bool) {}
    }
    let map: Map<u32, Worth, RandomState> = Map::new(4, RandomState::new());
    for key in 0..3 {
        map.get_or_make(Cow::Owned(key), || Worth(Rest::Remembers));
    }
    // Idle ones are evicted before those that remember something, again and again.
    for key in 10..30 {
        for used in 0..3 {
            assert!(map.get(&used).is_some());
        }
        map.get_or_make(Cow::Owned(key), || Worth(Rest::Idle));
        assert_eq!(map.len(), 4);
    }
    // Nothing idle is left: of the others, the unused are evicted.
    let one = map.get_or_make(Cow::Owned(40), || Worth(Rest::Stays));
    let two = map.get_or_make(Cow::Owned(41), || Worth(Rest::Stays));
    assert_eq!(keys(&map).len(), 4, "{:?}", keys(&map));
    drop((one, two));
    assert!(map.get(&40).is_some() && map.get(&41).is_some());
}

#[test]
fn a_new_key_looks_at_a_bounded_number_of_entries() {
    thread_local!(static LOOKED: Cell<usize> = const { Cell::new(0) });
    struct Stays;
    impl Evict for Stays {
        type Totals = ();
        fn rest(&mut self) -> Rest {
            LOOKED.set(LOOKED.get() + 1);
            Rest::Stays
        }
        fn add_to(&self, (): &mut (), _goes: bool) {}
    }
    let map: Map<u32, Stays, RandomState> = Map::new(1, RandomState::new());
    for key in 0..10_000_u32 {
        LOOKED.set(0);
        map.get_or_make(Cow::Owned(key), || Stays);
        assert!(LOOKED.get() <= VISITS);
    }
    assert_eq!((map.len(), map.evicted()), (10_000, 0));
}

#[test]
fn one_key_has_one_circuit_while_anybody_holds_it() {
    const KEYS: usize = 64;
    const CALLS: u64 = 20_000;
    let map: Map<usize, Probe, RandomState> = map(8);
    let held: Vec<Mutex<(u64, usize)>> = (0..KEYS).map(|_| Mutex::default()).collect();
    let ids = AtomicU64::new(1);
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (map, held, ids) = (&map, &held, &ids);
            scope.spawn(move || {
                let mut random = thread + 1;
                for _ in 0..CALLS {
                    // xorshift64
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    let key = random as usize % KEYS;
                    let entry = map.get_or_make(Cow::Owned(key), || Probe {
                        id: ids.fetch_add(1, Ordering::Relaxed),
                        ..Probe::default()
                    });
                    {
                        let mut held = held[key].lock().unwrap();
                        assert!(
                            held.1 == 0 || held.0 == entry.value().id,
                            "two of key {key}"
                        );
                        *held = (entry.value().id, held.1 + 1);
                    }
                    entry.value().calls.fetch_add(1, Ordering::Relaxed);
                    held[key].lock().unwrap().1 -= 1;
                }
            });
        }
    });
    assert_eq!(map.totals(), 4 * CALLS);
    assert_eq!(keys(&map).len(), map.len());
    assert!(map.len() <= 8 + 4, "{}", map.len());
}

thread_local! {
    /// What a key of [`Nasty`] does when it is hashed, compared or dropped.
    static DEED: Cell<Option<fn()>> = const { Cell::new(None) };
    static MAP: Map<Nasty, Probe, RandomState> = map(2);
}

#[derive(Clone, Debug, PartialOrd, Ord)]
struct Nasty(u8);

fn deed() {
    if let Some(deed) = DEED.take() {
        deed();
        DEED.set(Some(deed));
    }
}

impl Hash for Nasty {
    fn hash<H: Hasher>(&self, state: &mut H) {
        deed();
        self.0.hash(state);
    }
}

impl PartialEq for Nasty {
    fn eq(&self, other: &Self) -> bool {
        deed();
        self.0 == other.0
    }
}

impl Eq for Nasty {}

impl Drop for Nasty {
    fn drop(&mut self) {
        deed();
    }
}

fn make(key: u8) -> u8 {
    MAP.with(|map| map.get_or_make(Cow::Owned(Nasty(key)), || probe(0)).key().0)
}

#[test]
fn a_key_may_come_back_to_the_map_when_it_is_hashed_compared_or_dropped() {
    DEED.set(Some(|| {
        make(200);
        make(201);
        MAP.with(Map::totals);
    }));
    for key in 0..20 {
        assert_eq!(make(key), key);
        assert_eq!(make(key), key);
    }
    DEED.set(None);
    assert!(MAP.with(Map::evicted) >= 18);
}

#[test]
fn a_key_that_panics_leaves_the_map_as_it_was() {
    thread_local!(static CALM: Cell<u32> = const { Cell::new(0) });
    make(0);
    let mut panics = 0;
    for (calm, key) in (0..8).flat_map(|calm| [(calm, 0), (calm, 1)]) {
        CALM.set(calm);
        DEED.set(Some(|| match CALM.get().checked_sub(1) {
            Some(calm) => CALM.set(calm),
            None => panic!("a nasty key"),
        }));
        panics += u32::from(catch_unwind(AssertUnwindSafe(|| make(key))).is_err());
        DEED.set(None);
        assert_eq!(make(key), key);
    }
    assert!(panics >= 6, "{panics}");
    assert_eq!(MAP.with(Map::len), 2);
}
