//! Sessions of browsers: `EventSource` cannot send a token, so a log-in gives a cookie.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, header};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::tokens::digest;

/// The name of the cookie.
pub(crate) const COOKIE: &str = "seawall_session";
/// How long a session lasts.
pub(crate) const LASTS: Duration = Duration::from_secs(12 * 3_600);
/// The most sessions of a token; the one that ends first makes room.
const MOST: usize = 16;

/// The sessions, by the digest of their secret.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<HashMap<[u8; 32], Session>>);

#[derive(Debug)]
struct Session {
    /// The digest of the token that has begun it: it ends with the token.
    token: [u8; 32],
    ends: Instant,
    /// Dropped with the session: its streams end then.
    lives: watch::Sender<()>,
}

impl Sessions {
    /// Begins a session of a token; the secret of its cookie. `None` where the system has no randomness.
    pub(crate) fn begin(&self, token: [u8; 32]) -> Option<String> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).ok()?;
        let mut secret = String::with_capacity(64);
        for byte in random {
            let _ = write!(secret, "{byte:02x}");
        }
        let now = Instant::now();
        let mut sessions = self.lock();
        sessions.retain(|_, session| session.ends > now);
        let of_token = sessions
            .iter()
            .filter(|(_, session)| session.token == token);
        if of_token.clone().count() >= MOST {
            let first = of_token.min_by_key(|(_, session)| session.ends);
            if let Some(key) = first.map(|(key, _)| *key) {
                sessions.remove(&key);
            }
        }
        let ends = now + LASTS;
        let session = Session {
            token,
            ends,
            lives: watch::Sender::default(),
        };
        sessions.insert(digest(&secret), session);
        Some(secret)
    }

    /// The digest of the token that a session is of.
    pub(crate) fn token(&self, secret: &str) -> Option<[u8; 32]> {
        let sessions = self.lock();
        let session = sessions.get(&digest(secret))?;
        (session.ends > Instant::now()).then_some(session.token)
    }

    /// When a session ends by itself, and what is closed when it ends earlier.
    pub(crate) fn follow(&self, secret: &str) -> Option<(Instant, watch::Receiver<()>)> {
        let sessions = self.lock();
        let session = sessions.get(&digest(secret))?;
        Some((session.ends, session.lives.subscribe()))
    }

    /// Ends the sessions of tokens that are not to be kept.
    pub(crate) fn keep(&self, is_kept: impl Fn(&[u8; 32]) -> bool) {
        self.lock().retain(|_, session| is_kept(&session.token));
    }

    /// Ends a session.
    pub(crate) fn end(&self, secret: &str) {
        self.lock().remove(&digest(secret));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The secret of the session that a request belongs to.
pub(crate) fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE);
    let texts = cookies.iter().filter_map(|value| value.to_str().ok());
    let mut pairs = texts.flat_map(|text| text.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_session_ends_by_itself_by_hand_and_for_the_newest() {
        let sessions = Sessions::default();
        let first = sessions.begin([1; 32]).expect("randomness");
        assert_eq!(sessions.token(&first), Some([1; 32]));
        assert_eq!(sessions.token("another"), None);
        sessions.end(&first);
        assert_eq!(sessions.token(&first), None);

        let old = sessions.begin([2; 32]).expect("randomness");
        tokio::time::advance(Duration::from_secs(1)).await;
        for _ in 0..MOST {
            sessions.begin([2; 32]).expect("randomness");
        }
        assert_eq!(sessions.token(&old), None, "it made room");
        let other = sessions.begin([3; 32]).expect("randomness");
        for _ in 0..10 * MOST {
            sessions.begin([2; 32]).expect("randomness");
        }
        assert_eq!(sessions.token(&other), Some([3; 32]), "it is another's");
        sessions.keep(|token| *token == [2; 32]);
        assert_eq!(sessions.token(&other), None, "its token is gone");
        let last = sessions.begin([4; 32]).expect("randomness");
        tokio::time::advance(LASTS).await;
        assert_eq!(sessions.token(&last), None);
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(
            header::COOKIE,
            "a=b; seawall_sessionx=no".parse().expect("a value"),
        );
        headers.append(
            header::COOKIE,
            "c=d;  seawall_session=abc".parse().expect("a value"),
        );
        assert_eq!(cookie(&headers), Some("abc"));
        assert_eq!(cookie(&HeaderMap::new()), None);
    }
}
