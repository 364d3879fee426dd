//! What all routes share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use seawall_core::{Command, InstanceHandle, InstanceName, Registry};
use seawall_health::HealthMonitor;

use crate::Tokens;
use crate::audit::{AuditEntry, AuditLog};
use crate::commands::{ActiveCommand, ActiveCommands, Target, inverse};
use crate::hosts::Hosts;
use crate::problem::Problem;
use crate::rate::RateLimit;
use crate::session::Sessions;
use crate::streams::Streams;
use crate::tokens::PROGRAM;

/// What all routes share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) name: InstanceName,
    pub(crate) registries: Vec<Registry>,
    pub(crate) health: Option<HealthMonitor>,
    #[cfg(feature = "monitor")]
    pub(crate) frames: Option<Arc<crate::frames::Frames>>,
    #[cfg(feature = "config")]
    pub(crate) config: Option<seawall::reload::ReloadableConfig>,
    #[cfg(feature = "orders")]
    pub(crate) trading: Vec<crate::trading::Trading>,
    pub(crate) hosts: Hosts,
    pub(crate) sessions: Sessions,
    /// Whether a session is sent over TLS alone, whatever a request says.
    pub(crate) secure_cookies: bool,
    pub(crate) active: ActiveCommands,
    pub(crate) audit: AuditLog,
    pub(crate) is_ready: AtomicBool,
    pub(crate) rate_limit: RateLimit,
    /// What viewers are sent.
    pub(crate) rendered: crate::rendered::Rendered,
    pub(crate) streams: Arc<Streams>,
    /// How many connections a server has at once.
    #[cfg(feature = "server")]
    pub(crate) max_connections: usize,
    pub(crate) tokens: RwLock<Arc<Tokens>>,
    /// Whether there was a token at any time: then nothing is open again when the last one is gone.
    pub(crate) had_tokens: AtomicBool,
    /// Which run of the program it is: numbers of changes are those of one run.
    pub(crate) run: u64,
    /// Held while a command is carried out and noted, so that what is noted is what holds.
    pub(crate) commanding: Mutex<()>,
    pub(crate) commands: AtomicU64,
}

impl Shared {
    pub(crate) fn tokens(&self) -> Arc<Tokens> {
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&tokens)
    }

    /// Whether what only shows is open to everybody.
    pub(crate) fn is_open(&self) -> bool {
        !self.had_tokens.load(Ordering::Acquire)
    }

    /// The health checks and the monitor, as far as no registry has them: their figures are asked for as well.
    pub(crate) fn unregistered(&self) -> Vec<Box<dyn InstanceHandle>> {
        let mut own: Vec<Box<dyn InstanceHandle>> = Vec::new();
        if let Some(health) = &self.health {
            own.push(Box::new(health.clone()));
        }
        #[cfg(feature = "monitor")]
        if let Some(frames) = &self.frames {
            own.push(Box::new(frames.monitor.clone()));
        }
        let has = |registry: &Registry, (pattern, name)| registry.get(pattern, name).is_some();
        own.retain(|own| {
            let key = (own.pattern(), own.name());
            !self.registries.iter().any(|registry| has(registry, key))
        });
        own
    }

    /// The component of that pattern and name, with its registry. `service` is needed where several
    /// registries have one.
    pub(crate) fn find(
        &self,
        service: Option<&str>,
        pattern: &str,
        name: &str,
    ) -> Result<(&Registry, Arc<dyn InstanceHandle>), Problem> {
        let registries = self.registries.iter();
        let is_asked = |registry: &&Registry| {
            service.is_none_or(|service| registry.service().as_str() == service)
        };
        let mut found = registries.filter(is_asked).filter_map(|registry| {
            let component = registry.all().into_iter().find(|component| {
                component.pattern() == pattern && component.name().as_str() == name
            });
            Some((registry, component?))
        });
        let Some(first) = found.next() else {
            return Err(Problem::not_found(format!(
                "there is no {pattern} `{name}`"
            )));
        };
        match found.next() {
            None => Ok(first),
            Some((other, _)) => Err(Problem::conflict(format!(
                "`{}` and `{}` both have a {pattern} `{name}`: say which with `service`",
                first.0.service().as_str(),
                other.service().as_str()
            ))),
        }
    }

    /// Writes to the audit log that `action` is asked for, does it, and writes what came of it. What
    /// cannot be written is not done.
    pub(crate) async fn audited<T: Send + 'static>(
        self: &Arc<Self>,
        entry: AuditEntry,
        action: impl FnOnce() -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let shared = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || {
            let requested = AuditEntry {
                outcome: "requested".to_owned(),
                ..entry.clone()
            };
            shared
                .audit
                .append(requested)
                .map_err(|error| unwritable(&error))?;
            let result = action();
            let outcome = match &result {
                Ok(_) => "done".to_owned(),
                Err(problem) => format!("rejected: {}", problem.detail()),
            };
            // It is done, so this line is not given up.
            shared.audit.note(AuditEntry { outcome, ..entry });
            result
        });
        // Blocking tasks are not cancelled: a caller that hangs up changes nothing.
        done.await.unwrap_or_else(|_| {
            Err(Problem::new(
                http::StatusCode::INTERNAL_SERVER_ERROR,
                "the command panicked; the audit log has what was asked for",
            ))
        })
    }

    /// Carries a command out, and notes it. Returns its number, and what it replaces.
    pub(crate) fn command(
        self: &Arc<Self>,
        target: Target,
        component: &dyn InstanceHandle,
        command: Command,
        (who, reason): (String, String),
        lasts: Option<Duration>,
    ) -> Result<(u64, Vec<ActiveCommand>), Problem> {
        let _commanding = self
            .commanding
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        component.control(command).map_err(|unsupported| {
            let has: Vec<_> = component.commands().iter().map(|it| it.as_str()).collect();
            let (pattern, command) = (unsupported.pattern, unsupported.command.as_str());
            Problem::conflict(format!(
                "`{pattern}` has no command `{command}`, accepted is {}",
                has.join(", ")
            ))
        })?;
        let number = self.commands.fetch_add(1, Ordering::Relaxed);
        let replaced = self
            .active
            .note(target, command, (who, reason), lasts, number);
        Ok((number, replaced))
    }

    /// Ends a command after its time, unless another one came.
    pub(crate) fn end_later(
        self: &Arc<Self>,
        target: Target,
        component: Arc<dyn InstanceHandle>,
        command: Command,
        number: u64,
        lasts: Duration,
    ) {
        let Some(end) = inverse(command, component.commands()) else {
            return;
        };
        let shared = Arc::clone(self);
        let timer = tokio::spawn(async move {
            tokio::time::sleep(lasts).await;
            let expire = move || {
                let commanding = shared.commanding.lock();
                let _commanding = commanding.unwrap_or_else(PoisonError::into_inner);
                let Some(ended) = shared.active.expire(target, command, number) else {
                    return;
                };
                let outcome = match component.control(end) {
                    Ok(()) => "expired".to_owned(),
                    Err(error) => format!("expired, but: {error}"),
                };
                let reason = format!(
                    "the time of `{}` by {} is over: {}",
                    ended.command, ended.who, ended.reason
                );
                let entry = AuditEntry::of(PROGRAM.to_owned(), end.as_str(), target_name(target));
                // It ends also where that cannot be written down.
                shared.audit.note(AuditEntry {
                    outcome,
                    reason,
                    ..entry
                });
            };
            // Not this task, which `expire` may have to spare: it is the timer itself.
            let _ = tokio::task::spawn_blocking(expire).await;
        });
        self.active
            .set_timer(target, command, number, timer.abort_handle());
    }
}

/// The target of an entry of the audit log.
pub(crate) fn target_name((service, pattern, name): Target) -> String {
    format!("{service}: {pattern}/{name}")
}

fn unwritable(error: &std::io::Error) -> Problem {
    Problem::new(
        http::StatusCode::SERVICE_UNAVAILABLE,
        format!("nothing was done: the audit log cannot be written: {error}"),
    )
}
