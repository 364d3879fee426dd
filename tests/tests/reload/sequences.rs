//! Whatever files come one after the other, the last good one is in force.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum File {
    /// A right one: permits, attempts, tokens, whether there is another service.
    Good(u32, u32, u32, bool),
    /// The first so many bytes of a right one, and no line of it complete where the number is.
    Cut(u32),
    Bytes(Vec<u8>),
    Wrong(u32),
    /// One that needs a new stack, and would change something else, too.
    OtherProvider(u32),
    Gone,
}

fn good(permits: u32, attempts: u32, burst: u32, other: bool) -> String {
    let other = if other {
        "[resilience.b]\nkind = \"news\"\n"
    } else {
        ""
    };
    format!(
        "[resilience.a]\nkind = \"broker\"\nbulkhead.max_concurrent = {permits}\n\
         retry.attempts = {attempts}\nrate_limit = {{ rate = \"10/s\", burst = {burst} }}\n{other}"
    )
}

impl File {
    fn write(&self, folder: &Folder) {
        match self {
            Self::Good(permits, attempts, burst, other) => {
                folder.write(good(*permits, *attempts, *burst, *other));
            }
            // Inside of a string.
            Self::Cut(permits) => folder.write(&good(*permits, 2, 3, false)[..25]),
            Self::Bytes(bytes) => {
                let mut all = vec![0xff];
                all.extend(bytes);
                folder.write(all);
            }
            Self::Wrong(permits) => {
                let text = good(*permits, 0, 3, true);
                folder.write(text);
            }
            Self::OtherProvider(permits) => {
                let text = good(*permits, 2, 3, true);
                folder.write(text.replace("kind = \"broker\"", "provider = \"alpaca\""));
            }
            Self::Gone => {
                let _ = fs::remove_file(folder.file());
            }
        }
    }
}

fn file() -> impl Strategy<Value = File> {
    let one = 1u32..50;
    prop_oneof![
        3 => (one.clone(), 1u32..6, 1u32..9, any::<bool>()).prop_map(|(a, b, c, d)| File::Good(a, b, c, d)),
        1 => one.clone().prop_map(File::Cut),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(File::Bytes),
        1 => one.clone().prop_map(File::Wrong),
        1 => one.prop_map(File::OtherProvider),
        1 => Just(File::Gone),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_last_good_one_is_in_force(files in prop::collection::vec(file(), 1..14)) {
        let folder = Folder::new();
        let mut last = (5, 2, 3, false);
        let config = folder.load(&good(last.0, last.1, last.2, last.3));
        let handles = handles(&config, "a");
        let mut generation = 1;
        for file in &files {
            file.write(&folder);
            let result = config.reload();
            if let File::Good(permits, attempts, burst, other) = *file {
                prop_assert!(result.is_ok(), "{:?}", result);
                if last != (permits, attempts, burst, other) {
                    generation += 1;
                }
                last = (permits, attempts, burst, other);
                prop_assert!(config.status().rejected.is_none());
            } else {
                prop_assert!(result.is_err(), "{:?}", file);
                prop_assert!(config.status().rejected.is_some());
            }
            let settings = handles.settings();
            prop_assert_eq!(settings.bulkhead.max_concurrent(), last.0);
            prop_assert_eq!(settings.retry.attempts(), last.1);
            prop_assert_eq!(settings.rate_limit.limits()[0].capacity(), last.2);
            prop_assert_eq!(config.current().service("b").is_ok(), last.3);
            prop_assert_eq!(config.status().generation, generation);
        }
    }
}
