//! Interned names of layer instances.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::{LazyLock, PoisonError, RwLock};

use crate::PartitionKey;

/// The name of one layer instance, as configured: `"alpaca"`, `"polygon.orders"`.
///
/// A name is a number into a table of the process, so it is `Copy`, fits into a
/// [`Rejection`](crate::Rejection) and costs nothing to pass on. Each distinct name is kept for
/// the life of the process; take names from configuration, never from requests.
///
/// Any text makes a name, and every name can be shown as it is: as the label of a metric, within a
/// line of a log, as the name of a thread. What cannot be shown is changed when the name is made:
///
/// * An empty name, and one of white space alone, is [`unnamed`](Self::is_unnamed). What can fail,
///   such as the builder of a stack, rejects it; a layer that cannot is
///   [misconfigured](crate::Misconfiguration::Unnamed).
/// * Control characters, and those that end a line or turn its direction, become their escapes:
///   a line feed is `\n`, U+202E is `\u{202e}`.
/// * Of a name that is longer than 64 bytes then, the beginning is kept, with a hash of all of it
///   behind `~`, so that two long names stay apart.
///
/// ```
/// use seawall_core::InstanceName;
///
/// let name = InstanceName::new("alpaca");
/// assert_eq!(name, InstanceName::new("alpaca"));
/// assert_eq!(name.as_str(), "alpaca");
///
/// assert_eq!(InstanceName::new("").as_str(), "unnamed");
/// assert_eq!(InstanceName::new("a\nb").as_str(), "a\\nb");
/// assert_eq!(InstanceName::new(&"long".repeat(100)).as_str().len(), 64);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct InstanceName(u32);

#[derive(Default)]
struct Table {
    ids: HashMap<&'static str, u32>,
    names: Vec<&'static str>,
}

static TABLE: LazyLock<RwLock<Table>> = LazyLock::new(RwLock::default);

/// What an empty name is called.
const UNNAMED: &str = "unnamed";

/// The longest name, in bytes.
const LONGEST: usize = 64;

impl InstanceName {
    /// Looks the name up, or adds it to the table of the process. It never fails; see
    /// [`InstanceName`] for what becomes of an empty, a long and an unprintable one.
    pub fn new(name: &str) -> Self {
        Self::intern(&printable(name))
    }

    /// The name, if it was made before: for text from outside of the program, which must not fill
    /// the table.
    ///
    /// ```
    /// use seawall_core::InstanceName;
    ///
    /// assert_eq!(InstanceName::known("of a request"), None);
    /// let name = InstanceName::new("of a setting");
    /// assert_eq!(InstanceName::known("of a setting"), Some(name));
    /// ```
    pub fn known(name: &str) -> Option<Self> {
        let table = TABLE.read().unwrap_or_else(PoisonError::into_inner);
        table.ids.get(&*printable(name)).copied().map(Self)
    }

    fn intern(name: &str) -> Self {
        let known = TABLE
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .ids
            .get(name)
            .copied();
        if let Some(id) = known {
            return Self(id);
        }
        let mut table = TABLE.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have added it between the two locks.
        if let Some(id) = table.ids.get(name) {
            return Self(*id);
        }
        let Ok(id) = u32::try_from(table.names.len()) else {
            // 2^32 names do not fit into memory; the last one stands for all that follow.
            return Self(u32::MAX);
        };
        let kept: &'static str = Box::leak(Box::from(name));
        table.names.push(kept);
        table.ids.insert(kept, id);
        Self(id)
    }

    /// The name as text.
    pub fn as_str(self) -> &'static str {
        let table = TABLE.read().unwrap_or_else(PoisonError::into_inner);
        usize::try_from(self.0)
            .ok()
            .and_then(|id| table.names.get(id).copied())
            .unwrap_or("?")
    }

    /// Whether this is the name of what was given none: `"unnamed"`.
    pub fn is_unnamed(self) -> bool {
        self.as_str() == UNNAMED
    }

    pub(crate) const fn id(self) -> u32 {
        self.0
    }

    pub(crate) const fn from_id(id: u32) -> Self {
        Self(id)
    }
}

/// The name that `name` makes.
fn printable(name: &str) -> Cow<'_, str> {
    if name.trim().is_empty() {
        return Cow::Borrowed(UNNAMED);
    }
    let mut shown = Cow::Borrowed(name);
    if name.contains(is_unprintable) {
        let escape = |c| match is_unprintable(c) {
            true => c.escape_default().to_string(),
            false => c.to_string(),
        };
        shown = name.chars().map(escape).collect::<String>().into();
    }
    if shown.len() <= LONGEST {
        return shown;
    }
    let hash = format!("~{:08x}", PartitionKey::of(&*shown).0 & 0xffff_ffff);
    let fits = (0..=LONGEST - hash.len()).rev();
    let kept = { fits }.find(|&end| shown.is_char_boundary(end));
    Cow::Owned(shown[..kept.unwrap_or_default()].to_owned() + &hash)
}

/// Whether a character ends a line, turns its direction, or commands a terminal.
fn is_unprintable(c: char) -> bool {
    let turns =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}')
}

impl From<&str> for InstanceName {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl From<String> for InstanceName {
    fn from(name: String) -> Self {
        Self::new(&name)
    }
}

impl fmt::Display for InstanceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for InstanceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl PartialOrd for InstanceName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for InstanceName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_is_the_same_name_on_every_thread() {
        let names: Vec<InstanceName> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        (0..50)
                            .map(|i| InstanceName::new(&format!("n{i}")))
                            .collect()
                    })
                })
                .collect();
            threads
                .into_iter()
                .flat_map(|t| -> Vec<InstanceName> { t.join().unwrap() })
                .collect()
        });
        for (i, name) in names.iter().enumerate() {
            assert_eq!(name.as_str(), format!("n{}", i % 50));
            assert_eq!(*name, names[i % 50]);
        }
    }

    #[test]
    fn a_name_that_cannot_be_shown_is_changed() {
        let name = |text: &str| InstanceName::new(text).to_string();
        for empty in ["", " ", "\t\n", "unnamed"] {
            assert_eq!(name(empty), "unnamed");
            assert!(InstanceName::new(empty).is_unnamed());
        }
        assert!(!InstanceName::new("alpaca").is_unnamed());
        assert_eq!(name("a\nb\r\0"), r"a\nb\r\u{0}");
        assert_eq!(name("\u{1b}[31mred\u{202e}"), r"\u{1b}[31mred\u{202e}");
        assert_eq!(
            name("zwei Wörter, \"5\" \\ 漢字"),
            "zwei Wörter, \"5\" \\ 漢字"
        );
        let longest = "x".repeat(64);
        assert_eq!(name(&longest), longest);
        let (one, two) = (name(&"x".repeat(65)), name(&"x".repeat(66)));
        assert!(one.starts_with(&"x".repeat(55)) && one.len() == 64, "{one}");
        assert_ne!(one, two);
    }

    proptest::proptest! {
        #[test]
        fn every_text_makes_a_name_that_can_be_shown(text in ".{0,80}|\\PC{0,80}|[\\x00-\\x1fa\u{2028}é漢]{0,80}") {
            let name = InstanceName::new(&text);
            let shown = name.as_str();
            proptest::prop_assert!(!shown.trim().is_empty() && shown.len() <= LONGEST);
            proptest::prop_assert!(!shown.contains(is_unprintable));
            proptest::prop_assert_eq!(name, InstanceName::new(shown), "it stays what it is");
        }
    }
}
