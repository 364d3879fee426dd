//! Trading: modes, kill switches, and orders whose outcome is unknown.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use seawall_orders::protocol::TradingMode;
use seawall_orders::switch::KillSwitch;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::control::check_reason;
use crate::Role;
use crate::audit::{AuditEntry, unix_ms};
use crate::auth::{Caller, Operating, Viewing};
use crate::extract::{Body, Path};
use crate::problem::{Commanded, Problem, Shown};
use crate::state::Shared;
use crate::trading::Trading;

/// The most orders that are listed.
const MOST_ORDERS: usize = 1_000;

/// Whether one can trade at a broker.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TradingView {
    /// The name of the stack.
    name: &'static str,
    /// Which requests pass: `normal`, `reduce_only`, `cancel_only`, `halted`.
    mode: &'static str,
    /// Whether every order of an earlier process is settled or exhausted.
    started: bool,
    /// How many orders are looked up, since their outcome is unknown.
    in_doubt: u32,
    /// Of how many orders the look-ups are used up: a person has to look.
    exhausted: u32,
    /// The kill switch; `null` where there is none.
    kill_switch: Option<SwitchView>,
    /// The orders in doubt and those that are exhausted, at most 1,000.
    orders: Vec<OrderView>,
}

/// A kill switch.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SwitchView {
    /// Whether it stops new orders.
    engaged: bool,
    /// Why.
    reason: Option<String>,
    /// By whom.
    by: Option<String>,
    /// Since when, in milliseconds since 1970.
    since_unix_ms: Option<u64>,
}

/// An order whose outcome is unknown.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OrderView {
    /// The client order id.
    id: String,
    /// Its number in the journal.
    number: Option<u64>,
    /// The symbol, where the request says so.
    symbol: Option<String>,
    /// What is known of it.
    state: &'static str,
    /// How many copies of its request have left.
    copies: u32,
}

/// Which requests are to pass.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModeRequest {
    /// `normal`, `reduce_only`, `cancel_only`, `halted`, or fewer where something is wrong; `automatic`
    /// ends it.
    #[schema(pattern = "^(automatic|normal|reduce_only|cancel_only|halted)$")]
    mode: String,
    /// Why: it is written to the audit log.
    #[schema(min_length = 1, max_length = 500, pattern = "\\S")]
    reason: String,
}

/// Whether new orders are to be stopped.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SwitchRequest {
    /// `true` stops all new orders, also after a restart; `false` needs the role admin.
    engaged: bool,
    /// Why: it is shown to others, and written to the audit log.
    #[schema(min_length = 1, max_length = 500, pattern = "\\S")]
    reason: String,
}

fn view(trading: &Trading) -> TradingView {
    // The mode of now, and not of when the conditions were last asked.
    trading.orders.control().refresh();
    let snapshot = trading.orders.snapshot();
    let orders = trading.orders.in_doubt().into_iter().take(MOST_ORDERS);
    let kill_switch = trading.kill_switch.as_ref().map(|switch| {
        let engaged = switch.engaged();
        SwitchView {
            engaged: switch.is_engaged(),
            since_unix_ms: engaged.as_ref().and_then(|it| it.since).map(unix_ms),
            by: engaged.as_ref().map(|it| it.by.clone()),
            reason: engaged.map(|it| it.reason),
        }
    });
    TradingView {
        name: snapshot.name.as_str(),
        mode: snapshot.mode.as_str(),
        started: snapshot.started,
        in_doubt: snapshot.in_doubt,
        exhausted: snapshot.exhausted,
        kill_switch,
        orders: orders
            .map(|order| OrderView {
                id: order.id.to_string(),
                number: order.number,
                symbol: order.symbol.map(String::from),
                state: order.state.as_str(),
                copies: order.copies,
            })
            .collect(),
    }
}

fn find(shared: &Shared, name: &str) -> Result<Trading, Problem> {
    let mut all = shared.trading.iter();
    let found = all.find(|trading| trading.orders.name().as_str() == name);
    let missing = || Problem::not_found(format!("there are no orders of `{name}`"));
    found.cloned().ok_or_else(missing)
}

/// Whether one can trade, and which orders are in doubt, by broker.
#[utoipa::path(
    get, path = "/api/v1/trading", tag = "trading",
    responses((status = OK, body = Vec<TradingView>), Shown),
)]
pub(crate) async fn trading(
    _: Viewing,
    State(shared): State<Arc<Shared>>,
) -> Json<Vec<TradingView>> {
    Json(shared.trading.iter().map(view).collect())
}

/// Lets fewer requests pass, or ends that. Cancels and queries pass in every mode. It holds until the program
/// ends: what is to hold after a restart as well is the kill switch.
#[utoipa::path(
    post, path = "/api/v1/trading/{name}/mode", tag = "trading", request_body = ModeRequest,
    params(("name" = String, Path, description = "The name of the stack")),
    responses((status = OK, body = TradingView), Commanded),
)]
pub(crate) async fn set_mode(
    Operating(caller): Operating,
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    Body(request): Body<ModeRequest>,
) -> Result<Json<TradingView>, Problem> {
    let modes = [
        TradingMode::Normal,
        TradingMode::ReduceOnly,
        TradingMode::CancelOnly,
        TradingMode::Halted,
    ];
    let mode = match request.mode.as_str() {
        "automatic" => None,
        word => match modes.into_iter().find(|mode| mode.as_str() == word) {
            Some(mode) => Some(mode),
            None => {
                let accepted = modes.map(TradingMode::as_str).join(", ");
                let detail = format!("`mode` is {word:?}, accepted is automatic, {accepted}");
                return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
            }
        },
    };
    check_reason(&request.reason)?;
    let trading = find(&shared, &name)?;
    let action = format!("mode_{}", request.mode);
    let entry = caller.entry(&action, format!("orders/{name}"), &request.reason);
    let done = shared.audited(entry, move || {
        trading.orders.set_mode(mode);
        Ok(view(&trading))
    });
    Ok(Json(done.await?))
}

/// Stops all new orders of a broker at once, or lets them pass again: then the mode gets better when queries to
/// the broker have succeeded.
#[utoipa::path(
    post, path = "/api/v1/trading/{name}/kill-switch", tag = "trading", request_body = SwitchRequest,
    params(("name" = String, Path, description = "The name of the stack")),
    responses((status = OK, body = TradingView), Commanded),
)]
pub(crate) async fn kill_switch(
    Operating(caller): Operating,
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    Body(request): Body<SwitchRequest>,
) -> Result<Json<TradingView>, Problem> {
    check_reason(&request.reason)?;
    let role = caller.identity.as_ref().map(|identity| identity.role);
    if !request.engaged && role < Some(Role::Admin) {
        let detail = "orders are let pass again by the role admin alone";
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    let trading = find(&shared, &name)?;
    let Some(switch) = trading.kill_switch.clone() else {
        return Err(Problem::not_found(format!("`{name}` has no kill switch")));
    };
    if request.engaged {
        return Ok(Json(
            engage(&shared, &caller, trading, switch, request.reason).await?,
        ));
    }
    let entry = caller.entry(
        "release_kill_switch",
        format!("orders/{name}"),
        &request.reason,
    );
    let done = shared.audited(entry, move || {
        switch.release().map_err(|error| unwritten(&error))?;
        Ok(view(&trading))
    });
    Ok(Json(done.await?))
}

/// Stops new orders first, and writes it down then: an audit log that cannot be written must not let orders
/// pass.
async fn engage(
    shared: &Arc<Shared>,
    caller: &Caller,
    trading: Trading,
    switch: KillSwitch,
    reason: String,
) -> Result<TradingView, Problem> {
    let target = format!("orders/{}", trading.orders.name().as_str());
    let entry = caller.entry("engage_kill_switch", target, &reason);
    let who = caller.name();
    let audit = shared.audit.clone();
    let done = tokio::task::spawn_blocking(move || {
        let engaged = switch
            .engage(reason, who)
            .map_err(|error| unwritten(&error));
        let outcome = match &engaged {
            Ok(()) => "done".to_owned(),
            Err(problem) => format!("done, but: {}", problem.detail()),
        };
        audit.note(AuditEntry { outcome, ..entry });
        engaged?;
        Ok(view(&trading))
    });
    done.await.unwrap_or_else(|_panicked| {
        let detail = "stopping new orders panicked: see whether the switch is engaged";
        Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail))
    })
}

fn unwritten(error: &seawall_orders::switch::SwitchError) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}
