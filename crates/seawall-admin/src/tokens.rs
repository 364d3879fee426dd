//! Who may do what: bearer tokens, each of a person or a program with a role.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use seawall_core::InvalidConfig;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::Role;

/// The shortest token, in bytes.
pub const MIN_TOKEN_BYTES: usize = 16;
/// The most tokens of an admin interface.
pub const MAX_TOKENS: usize = 64;
/// Whom the audit log names where nobody has commanded anything.
pub(crate) const PROGRAM: &str = "seawall";
/// The longest file of tokens that is read, in bytes.
const MAX_FILE_BYTES: u64 = 64 << 10;

/// The tokens that are accepted, each with whom it is of and what they may do.
///
/// Kept as SHA-256 digests, which are compared in constant time: how long an answer takes says nothing
/// about a token. `Debug` shows names and roles.
///
/// ```
/// use seawall_admin::{Role, Tokens};
///
/// let tokens = Tokens::new()
///     .with(Role::Viewer, "wall", "a-token-of-the-wall-screen")?
///     .with(Role::Admin, "alice", "correct-horse-battery-staple")?;
/// assert_eq!(tokens.len(), 2);
///
/// let text = "# role name token\noperator bob bobs-very-long-token\n";
/// assert_eq!(Tokens::parse("tokens", text)?.len(), 1);
///
/// let short = Tokens::new().with(Role::Admin, "eve", "1234").unwrap_err();
/// assert_eq!(short.field(), "token of eve");
/// # Ok::<(), seawall_admin::InvalidConfig>(())
/// ```
#[derive(Clone, Default)]
pub struct Tokens {
    entries: Vec<Entry>,
}

#[derive(Clone)]
struct Entry {
    digest: [u8; 32],
    identity: Identity,
}

/// Whom a request is of.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The name that the token was given.
    pub who: Arc<str>,
    /// What they may do.
    pub role: Role,
}

impl Tokens {
    /// No token: nothing can be commanded.
    pub const fn new() -> Self {
        Self {
            entries: Vec::new(),
        }
    }

    /// Accepts one more token.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] for a token of fewer than [`MIN_TOKEN_BYTES`] bytes, with a space or another
    /// character that no header has, one that another name has, a name that is empty, has a space or is
    /// `seawall`, which stands for the program itself, and more than [`MAX_TOKENS`] tokens. The
    /// message never has the token.
    pub fn with(mut self, role: Role, who: &str, token: &str) -> Result<Self, InvalidConfig> {
        let is_word = |text: &str| !text.is_empty() && !text.contains(char::is_whitespace);
        let is_taken = who == PROGRAM || who.chars().any(char::is_control);
        if !is_word(who) || who.len() > 64 || is_taken {
            let accepted = "1 to 64 bytes without spaces, and not `seawall`";
            return Err(InvalidConfig::new(
                "name of a token",
                format!("{who:?}"),
                accepted,
            ));
        }
        let invalid = |value: &str, accepted: String| {
            InvalidConfig::new(format!("token of {who}"), value, accepted)
        };
        let is_sent = token.bytes().all(|byte| byte.is_ascii_graphic());
        if token.len() < MIN_TOKEN_BYTES || !is_sent {
            let value = format!("{} bytes", token.len());
            let accepted = format!("{MIN_TOKEN_BYTES} bytes or more of ASCII, without spaces");
            return Err(invalid(&value, accepted));
        }
        let digest = digest(token);
        if self.find_digest(&digest).is_some() {
            return Err(invalid(
                "one that is there",
                "a token for each name".to_owned(),
            ));
        }
        if self.entries.len() == MAX_TOKENS {
            return Err(invalid("one more", format!("at most {MAX_TOKENS} tokens")));
        }
        let identity = Identity {
            who: who.into(),
            role,
        };
        self.entries.push(Entry { digest, identity });
        Ok(self)
    }

    /// Reads a token a line, `role name token`; empty lines and those that begin with `#` are skipped.
    /// `source` is what errors call the text.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] with the number of the line, as [`with`](Self::with).
    pub fn parse(source: &str, text: &str) -> Result<Self, InvalidConfig> {
        let mut tokens = Self::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let at = |error: InvalidConfig| {
                let field = format!("{source}:{}: {}", number + 1, error.field());
                error.in_field(field)
            };
            let words: Vec<_> = line.split_whitespace().collect();
            let [role, who, token] = words.as_slice() else {
                let value = format!("{} words", words.len());
                let accepted = "three words: role, name and token";
                return Err(at(InvalidConfig::new("line", value, accepted)));
            };
            tokens = role
                .parse()
                .and_then(|role| tokens.with(role, who, token))
                .map_err(at)?;
        }
        Ok(tokens)
    }

    /// Reads them from a file, as [`parse`](Self::parse) does. Blocks for one read.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] that names the file when it cannot be read, is no file or longer than 64 KiB,
    /// and on Unix when others than its owner may read it.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, InvalidConfig> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let invalid = |value: String, accepted: &'static str| {
            InvalidConfig::new(format!("token file {name}"), value, accepted)
        };
        let unreadable = |error: std::io::Error| invalid(error.to_string(), "a file to read");
        let about = std::fs::metadata(path).map_err(unreadable)?;
        if !about.is_file() || about.len() > MAX_FILE_BYTES {
            return Err(invalid(
                format!("{} bytes of something else", about.len()),
                "a file of at most 64 KiB",
            ));
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = about.permissions().mode() & 0o777;
            if mode & 0o077 != 0 {
                let accepted = "a file that its owner alone may read (chmod 600)";
                return Err(invalid(format!("of mode {mode:o}"), accepted));
            }
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        Self::parse(&name, &text)
    }

    /// Reads them from the variable `name`, in lines or separated by `;`. None where it is not set.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn from_env(name: &str) -> Result<Self, InvalidConfig> {
        match std::env::var(name) {
            Ok(text) => Self::parse(name, &text.replace(';', "\n")),
            Err(std::env::VarError::NotPresent) => Ok(Self::new()),
            Err(std::env::VarError::NotUnicode(_)) => {
                Err(InvalidConfig::new(name.to_owned(), "no Unicode", "text"))
            }
        }
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none, so that nothing can be commanded.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whom a token is of.
    pub(crate) fn find(&self, token: &str) -> Option<(Identity, [u8; 32])> {
        let digest = digest(token);
        Some((self.find_digest(&digest)?, digest))
    }

    /// Whom a digest is of. Looks at each entry, whichever it is.
    pub(crate) fn find_digest(&self, digest: &[u8; 32]) -> Option<Identity> {
        let mut found = u32::MAX;
        for (index, entry) in (0..).zip(&self.entries) {
            let is_it: Choice = entry.digest.ct_eq(digest);
            found.conditional_assign(&index, is_it);
        }
        let entry = self.entries.get(found as usize)?;
        Some(entry.identity.clone())
    }
}

/// What is kept of a secret.
pub(crate) fn digest(secret: &str) -> [u8; 32] {
    digest_of(secret.as_bytes())
}

/// The SHA-256 digest of bytes.
pub(crate) fn digest_of(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let identities = self.entries.iter().map(|entry| &entry.identity);
        f.debug_list().entries(identities).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_among_others_and_no_other_text_is() {
        let mut tokens = Tokens::new();
        for number in 0..MAX_TOKENS {
            let (who, token) = (
                format!("user-{number}"),
                format!("token-of-user-{number:04}"),
            );
            tokens = tokens.with(Role::Viewer, &who, &token).expect("a token");
        }
        for number in 0..MAX_TOKENS {
            let (identity, _) = tokens
                .find(&format!("token-of-user-{number:04}"))
                .expect("it");
            assert_eq!(&*identity.who, format!("user-{number}"));
        }
        for other in [
            "",
            "token-of-user-9999",
            "token-of-user-0001 ",
            "TOKEN-OF-USER-0001",
        ] {
            assert!(tokens.find(other).is_none(), "{other:?}");
        }
        let more = tokens
            .clone()
            .with(Role::Admin, "one-more", "token-of-one-more");
        assert_eq!(more.unwrap_err().accepted(), "at most 64 tokens");
        let twice = Tokens::new()
            .with(Role::Admin, "a", "the-same-token-twice")
            .expect("it");
        let twice = twice.with(Role::Viewer, "b", "the-same-token-twice");
        assert_eq!(twice.unwrap_err().accepted(), "a token for each name");
    }

    #[test]
    fn what_is_wrong_in_a_text_has_its_line_and_never_a_token() {
        for (text, expected) in [
            (
                "admin alice",
                "`tokens:1: line` is 2 words, accepted is three words: role, name and token",
            ),
            (
                "\n# x\nroot alice some-long-enough-token",
                "`tokens:3: role` is \"root\", accepted is viewer, operator or admin",
            ),
            (
                "admin alice short-secret",
                "`tokens:1: token of alice` is 12 bytes, accepted is 16 bytes or more of ASCII, without spaces",
            ),
        ] {
            let error = Tokens::parse("tokens", text).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
        let tokens = Tokens::parse("tokens", "admin alice some-long-enough-token").expect("one");
        assert!(!format!("{tokens:?}").contains("long"), "{tokens:?}");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_read_is_rejected() {
        use std::os::unix::fs::PermissionsExt;
        let path = std::env::temp_dir().join(format!("seawall-tokens-{}", std::process::id()));
        std::fs::write(&path, "viewer wall some-long-enough-token\n").expect("a file");
        for (mode, accepted) in [(0o644, false), (0o600, true)] {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&path, permissions).expect("a mode");
            assert_eq!(Tokens::from_file(&path).is_ok(), accepted, "{mode:o}");
        }
        std::fs::remove_file(&path).expect("a file");
        let gone = Tokens::from_file(&path).unwrap_err();
        assert!(gone.field().starts_with("token file "), "{gone}");
    }
}
