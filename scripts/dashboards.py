#!/usr/bin/env python3
"""Writes the Grafana dashboards in ops/grafana.

    scripts/dashboards.py           writes them
    scripts/dashboards.py --check   fails where a file is not what would be written

A panel is a line below: its kind, title, unit, and queries with their legends. What a query names is
checked by tests/tests/ops_files.rs. To change a panel, change its line: Grafana's own exports have
hundreds of lines for each.
"""

import json
import pathlib
import sys

DIRECTORY = pathlib.Path(__file__).resolve().parent.parent / "ops" / "grafana"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
# Of Okabe and Ito's palette, for colour-blind people, too.
FINE, WARY, BAD, NEUTRAL = "#0072B2", "#E69F00", "#D55E00", "#999999"
ALL = 'job=~"$job", instance=~"$instance"'
# With the parts of a service, which are instances of their own: `alpaca.reserved`, `alpaca/account`.
ONE = ALL + ', service=~"$service", name=~"$name([/.].*)?"'

YES = [("yes", FINE), ("not in full", WARY), ("no", BAD)]
CIRCUIT = [("closed", FINE), ("half-open", WARY), ("open", BAD)]
STATUS = [("unknown", NEUTRAL), ("healthy", FINE), ("degraded", WARY), ("unhealthy", BAD)]
SWITCH = [("released", FINE), ("engaged", BAD)]
UP = [("down", BAD), ("up", FINE)]


def steps(*at):
    """Colours from each value on, the first one from the least."""
    pairs = [(None, at[0])] + list(zip(at[1::2], at[2::2]))
    return [{"value": value, "color": color} for value, color in pairs]


def words(pairs):
    options = {
        str(value): {"text": text, "color": color, "index": value}
        for value, (text, color) in enumerate(pairs)
    }
    return [{"type": "value", "options": options}]


def panel(kind, title, queries, *, unit="short", width=12, height=7, mapping=None, colors=None,
          limit=None, about=""):
    """One panel. `queries` are pairs of an expression and the legend of its series."""
    defaults = {"unit": unit, "mappings": words(mapping) if mapping else []}
    if limit is not None:
        defaults |= {"min": limit[0], "max": limit[1]}
    defaults["thresholds"] = {"mode": "absolute", "steps": colors or steps(FINE)}
    options = {}
    if kind == "stat":
        options = {
            "colorMode": "background", "graphMode": "none", "textMode": "value",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        }
        defaults["color"] = {"mode": "thresholds"}
    elif kind == "timeseries":
        options = {
            "legend": {"displayMode": "table", "placement": "right", "calcs": ["lastNotNull", "max"]},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
        style = "line" if colors else "off"
        defaults["custom"] = {"lineWidth": 2, "fillOpacity": 8, "showPoints": "never", "spanNulls": False,
                              "thresholdsStyle": {"mode": style}}
        defaults["color"] = {"mode": "palette-classic"}
    elif kind == "state-timeline":
        options = {"mergeValues": True, "showValue": "auto", "rowHeight": 0.8}
        defaults["color"] = {"mode": "thresholds"}
    elif kind == "heatmap":
        options = {"calculate": False, "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64},
                   "yAxis": {"unit": "s"}}
    elif kind == "table":
        options = {"showHeader": True}
    instant = kind in ("stat", "table")
    form = {"table": "table", "heatmap": "heatmap"}.get(kind, "time_series")
    targets = [
        {"refId": chr(65 + at), "datasource": SOURCE, "expr": expression, "legendFormat": legend,
         "instant": instant, "range": not instant, "format": form}
        for at, (expression, legend) in enumerate(queries)
    ]
    return {"type": kind, "title": title, "description": about, "datasource": SOURCE,
            "targets": targets, "fieldConfig": {"defaults": defaults, "overrides": []},
            "options": options, "size": (width, height)}


def table(title, columns, *, width=24, height=9, about=""):
    """A line for each service; `columns` are names with an expression and a unit."""
    made = panel("table", title, [(expression, "") for _, expression, _ in columns],
                 width=width, height=height, about=about)
    names, overrides = {}, []
    for at, (name, _, unit) in enumerate(columns):
        names[f"Value #{chr(65 + at)}"] = name
        properties = [{"id": "unit", "value": unit}]
        if name == "circuit":
            properties += [{"id": "mappings", "value": words(CIRCUIT)},
                           {"id": "custom.cellOptions", "value": {"type": "color-text"}}]
        overrides.append({"matcher": {"id": "byName", "options": name}, "properties": properties})
    made["transformations"] = [
        {"id": "merge", "options": {}},
        {"id": "organize", "options": {"excludeByName": {"Time": True, "job": True},
                                       "renameByName": names}},
    ]
    made["fieldConfig"]["overrides"] = overrides
    return made


def row(title):
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "size": (24, 1)}


def events(title, expression, color):
    return {"name": title, "enable": True, "iconColor": color, "datasource": SOURCE,
            "expr": expression, "titleFormat": title, "textFormat": "{{service}} {{name}}"}


def variable(name, query, *, include_all=True):
    made = {"name": name, "type": "query", "datasource": SOURCE, "query": query, "refresh": 2,
            "sort": 1, "includeAll": include_all, "multi": include_all}
    if include_all:
        made |= {"allValue": ".*", "current": {"text": "All", "value": "$__all"}}
    return made


def dashboard(uid, title, variables, annotations, panels):
    x = y = tallest = 0
    placed = []
    for number, made in enumerate(panels, start=1):
        width, height = made.pop("size")
        if x + width > 24:
            x, y, tallest = 0, y + tallest, 0
        placed.append({"id": number, **made, "gridPos": {"x": x, "y": y, "w": width, "h": height}})
        x, tallest = x + width, max(tallest, height)
    source = {"name": "datasource", "type": "datasource", "query": "prometheus"}
    return {
        "uid": uid, "title": title, "tags": ["seawall"], "schemaVersion": 39, "version": 1,
        "editable": True, "graphTooltip": 1, "refresh": "15s", "timezone": "browser",
        "time": {"from": "now-1h", "to": "now"}, "templating": {"list": [source, *variables]},
        "annotations": {"list": annotations}, "panels": placed,
        "links": [{"type": "dashboards", "title": "Seawall", "tags": ["seawall"], "asDropdown": True,
                   "keepTime": True, "includeVars": True}],
    }


def quantiles(metric):
    """Of a histogram of all operations and outcomes but rejections, which take no time."""
    rate = f'sum by (name, le) (rate({metric}_bucket{{{ONE}, outcome!="rejected"}}[$__rate_interval]))'
    return [(f"histogram_quantile({share}, {rate})", f"{{{{name}}}} p{share * 100:.0f}")
            for share in (0.5, 0.95, 0.99)]


JOB = variable("job", "label_values(seawall_calls_total, job)")
INSTANCE = variable("instance", 'label_values(seawall_calls_total{job=~"$job"}, instance)')
OPENED = events(
    "circuit opened",
    f'sum by (service, name) (increase(seawall_breaker_transitions_total{{{ALL}, to="open"}}[1m])) > 0', BAD)
CLOSED = events(
    "circuit closed",
    f'sum by (service, name) (increase(seawall_breaker_transitions_total{{{ALL}, to="closed"}}[1m])) > 0', FINE)
RELOADED = events(
    "configuration", f"changes(seawall_config_generation{{{ALL}}}[1m]) > 0", NEUTRAL)

OVERVIEW = dashboard("seawall-overview", "Seawall: overview", [JOB, INSTANCE], [OPENED, CLOSED, RELOADED], [
    panel("stat", "Can I trade?", [(f"max(seawall_monitor_level{{{ALL}}})", "")], width=5, height=5, mapping=YES,
          colors=steps(FINE, 1, WARY, 2, BAD), about="The verdict of the monitors, the worst one."),
    panel("stat", "Health score", [(f"min(seawall_health_score{{{ALL}}})", "")], width=3, height=5, limit=(0, 100),
          colors=steps(BAD, 80, WARY, 90, FINE)),
    panel("stat", "Open circuits", [(f"sum(seawall_breaker_state{{{ALL}}} == bool 2)", "")], width=3, height=5,
          colors=steps(FINE, 1, BAD)),
    panel("stat", "Orders in doubt",
          [(f"sum(seawall_orders_in_doubt{{{ALL}}} + seawall_orders_exhausted{{{ALL}}})", "")],
          width=3, height=5, colors=steps(FINE, 1, BAD)),
    panel("stat", "Kill switch", [(f"max(seawall_orders_kill_switch{{{ALL}}})", "")], width=3, height=5,
          mapping=SWITCH, colors=steps(FINE, 1, BAD)),
    panel("stat", "Alerts firing", [('count(ALERTS{alertstate="firing", job=~"$job"}) or vector(0)', "")], width=3,
          height=5, colors=steps(FINE, 1, WARY, 5, BAD)),
    panel("stat", "Programs", [('up{job=~"$job"}', "{{instance}}")], width=4, height=5, mapping=UP,
          colors=steps(BAD, 1, FINE)),
    table("Services", [
        ("circuit", f"max by (service, name) (seawall_breaker_state{{{ALL}}})", "short"),
        ("calls/s", f"sum by (service, name) (name:seawall_calls:increase1m{{{ALL}}}) / 60", "reqps"),
        ("failed", f"max by (service, name) (name:seawall_calls_failed:ratio1m{{{ALL}}})", "percentunit"),
        ("rejected", f"max by (service, name) (name:seawall_calls_rejected:ratio1m{{{ALL}}})", "percentunit"),
        ("degraded", f"max by (service, name) (name:seawall_calls_degraded:ratio1m{{{ALL}}})", "percentunit"),
        ("p50", f"max by (service, name) (name:seawall_call_duration_seconds:p50_5m{{{ALL}}})", "s"),
        ("p95", f"max by (service, name) (name:seawall_call_duration_seconds:p95_5m{{{ALL}}})", "s"),
        ("p99", f"max by (service, name) (name:seawall_call_duration_seconds:p99_5m{{{ALL}}})", "s"),
        ("limit used", f"max by (service, name) (name_limit:seawall_quota_used:ratio{{{ALL}}})", "percentunit"),
        ("retry budget", f"min by (service, name) (name:seawall_retry_budget_left:ratio{{{ALL}}})", "percentunit"),
    ], about="Shares of fewer than 20 calls a minute are left out."),
    panel("state-timeline", "Circuits",
          [(f"max by (service, name) (seawall_breaker_state{{{ALL}}})", "{{service}} {{name}}")],
          width=24, height=8, mapping=CIRCUIT, colors=steps(FINE, 1, WARY, 2, BAD)),
    panel("timeseries", "Calls",
          [(f"sum by (service, name) (name:seawall_calls:increase1m{{{ALL}}}) / 60", "{{service}} {{name}}")],
          unit="reqps"),
    panel("timeseries", "Failed calls",
          [(f"max by (service, name) (name:seawall_calls_failed:ratio1m{{{ALL}}})", "{{service}} {{name}}")],
          unit="percentunit", limit=(0, 1), colors=steps(FINE, 0.1, BAD)),
    panel("timeseries", "Rejected calls",
          [(f"max by (service, name) (name:seawall_calls_rejected:ratio1m{{{ALL}}})", "{{service}} {{name}}")],
          unit="percentunit", limit=(0, 1), colors=steps(FINE, 0.1, BAD)),
    panel("timeseries", "Degraded answers",
          [(f"max by (service, name) (name:seawall_calls_degraded:ratio1m{{{ALL}}})", "{{service}} {{name}}")],
          unit="percentunit", limit=(0, 1), colors=steps(FINE, 0.1, BAD),
          about="By a fallback, or a stale entry of a cache."),
    panel("timeseries", "Latency, 99 %",
          [(f"max by (service, name) (name:seawall_call_duration_seconds:p99_5m{{{ALL}}})", "{{service}} {{name}}")],
          unit="s"),
    panel("timeseries", "Limits used",
          [(f"max by (service, name) (name_limit:seawall_quota_used:ratio{{{ALL}}})", "{{service}} {{name}}")],
          unit="percentunit", limit=(0, 1), colors=steps(FINE, 0.9, WARY),
          about="Of limits of a minute or longer; the provider's own where it reports it."),
    panel("timeseries", "Retry budget left",
          [(f"min by (service, name) (name:seawall_retry_budget_left:ratio{{{ALL}}})", "{{service}} {{name}}")],
          unit="percentunit", limit=(0, 1), colors=steps(BAD, 0.05, FINE)),
    panel("timeseries", "Turned away by the upstream, per minute",
          [(f"sum by (service, name) (name:seawall_throttled:increase1m{{{ALL}}})", "{{service}} {{name}}")]),
    panel("timeseries", "Transitions of circuits, per minute",
          [(f"sum by (name, to) (increase(seawall_breaker_transitions_total{{{ALL}}}[1m]))", "{{name}} to {{to}}")]),
    panel("state-timeline", "Health checks",
          [(f"max by (check) (seawall_health_check_status{{{ALL}}})", "{{check}}")], mapping=STATUS,
          colors=steps(NEUTRAL, 1, FINE, 2, WARY, 3, BAD)),
    panel("timeseries", "Alerts that programs raise themselves",
          [(f"sum by (severity) (seawall_alerts_firing{{{ALL}}})", "{{severity}}"),
           (f'sum by (sink) (increase(seawall_alert_deliveries_total{{{ALL}, result!="delivered"}}[5m]))',
            "not delivered by {{sink}}")], width=24),
])

SERVICE = dashboard("seawall-service", "Seawall: one service", [
    JOB, INSTANCE,
    variable("service", f"label_values(seawall_calls_total{{{ALL}}}, service)"),
    variable("name", f'label_values(seawall_calls_total{{{ALL}, service=~"$service", layer=~"telemetry|breaker"}}, name)',
             include_all=False),
], [OPENED, CLOSED, RELOADED], [
    panel("stat", "Circuit", [(f"max(seawall_breaker_state{{{ONE}}})", "")], width=4, height=5, mapping=CIRCUIT,
          colors=steps(FINE, 1, WARY, 2, BAD)),
    panel("stat", "In this state for", [(f"max(seawall_breaker_state_seconds{{{ONE}}})", "")], unit="s", width=4,
          height=5),
    panel("stat", "Next probe in", [(f"max(seawall_breaker_next_probe_seconds{{{ONE}}})", "")], unit="s", width=4,
          height=5, about="0 where there is none to wait for."),
    panel("stat", "Failed calls", [(f"max(name:seawall_calls_failed:ratio1m{{{ONE}}})", "")], unit="percentunit",
          width=4, height=5, colors=steps(FINE, 0.1, BAD)),
    panel("stat", "Limit used", [(f"max(name_limit:seawall_quota_used:ratio{{{ONE}}})", "")], unit="percentunit",
          width=4, height=5, colors=steps(FINE, 0.8, WARY, 0.9, BAD)),
    panel("stat", "Orders in doubt",
          [(f"sum(seawall_orders_in_doubt{{{ONE}}} + seawall_orders_exhausted{{{ONE}}})", "")],
          width=4, height=5, colors=steps(FINE, 1, BAD)),
    row("Calls"),
    panel("timeseries", "Calls by outcome, per second",
          [(f"sum by (outcome) (name_outcome:seawall_calls:increase1m{{{ONE}}}) / 60", "{{outcome}}")], unit="reqps"),
    panel("timeseries", "Errors by type, per second",
          [(f"sum by (error_type) (rate(seawall_errors_total{{{ONE}}}[$__rate_interval]))", "{{error_type}}")],
          unit="reqps"),
    panel("timeseries", "Latency of calls", quantiles("seawall_call_duration_seconds"), unit="s",
          about="With all waits and attempts; without rejected calls."),
    panel("timeseries", "Latency of attempts", quantiles("seawall_attempt_duration_seconds"), unit="s"),
    panel("heatmap", "Latency of calls",
          [(f'sum by (le) (increase(seawall_call_duration_seconds_bucket{{{ONE}, outcome!="rejected"}}'
            '[$__rate_interval]))', "{{le}}")], unit="s"),
    panel("timeseries", "Calls by operation, per second",
          [(f'sum by (operation) (rate(seawall_calls_total{{{ONE}, layer="telemetry"}}[$__rate_interval]))',
            "{{operation}}")], unit="reqps"),
    panel("timeseries", "Slow calls, per second",
          [(f"sum by (operation) (rate(seawall_slow_calls_total{{{ONE}}}[$__rate_interval]))", "{{operation}}")],
          unit="reqps"),
    panel("timeseries", "What the layers take of a call",
          [(f"max by (name) (seawall_overhead_seconds{{{ONE}}})", "{{name}}")], unit="s",
          about="Neither waiting nor the upstream, on average."),
    row("Rejections"),
    panel("timeseries", "Rejections by layer and reason, per second",
          [(f"sum by (layer, reason) (rate(seawall_rejections_total{{{ONE}}}[$__rate_interval])) > 0",
            "{{layer}}: {{reason}}")], unit="reqps"),
    panel("timeseries", "Timeouts, per second",
          [(f"sum by (layer, cause) (rate(seawall_timeouts_total{{{ONE}}}[$__rate_interval])) > 0",
            "{{layer}}: {{cause}}")], unit="reqps"),
    row("Circuit"),
    panel("timeseries", "Failures in the window",
          [(f"seawall_breaker_window_failures{{{ONE}}} / (seawall_breaker_window_calls{{{ONE}}} > 0)",
            "failed ({{window}})"),
           (f"seawall_breaker_failure_threshold_ratio{{{ONE}}}", "opens at ({{window}})"),
           (f"seawall_breaker_window_slow{{{ONE}}} / (seawall_breaker_window_calls{{{ONE}}} > 0)",
            "slow ({{window}})")], unit="percentunit", limit=(0, 1)),
    panel("timeseries", "Transitions, per minute",
          [(f"sum by (from, to) (increase(seawall_breaker_transitions_total{{{ONE}}}[1m]))", "{{from}} to {{to}}")]),
    row("Limits"),
    panel("timeseries", "In flight",
          [(f"sum by (name) (seawall_bulkhead_in_flight{{{ONE}}})", "in flight"),
           (f"sum by (name) (seawall_bulkhead_max_concurrent{{{ONE}}})", "at most"),
           (f"sum by (name) (seawall_bulkhead_queue_depth{{{ONE}}})", "queued"),
           (f"sum by (name) (seawall_ratelimit_queue_depth{{{ONE}}})", "queued for tokens")]),
    panel("timeseries", "What is left of each limit",
          [(f"seawall_ratelimit_limit_available{{{ONE}}}", "limit {{limit}}: {{unit}}"),
           (f"seawall_ratelimit_limit_capacity{{{ONE}}}", "limit {{limit}}: all {{unit}}"),
           (f"seawall_ratelimit_reported_remaining{{{ONE}}}", "limit {{limit}}: {{unit}}, says the provider")]),
    panel("timeseries", "Limits used",
          [(f"max by (limit, unit) (name_limit:seawall_quota_used:ratio{{{ONE}}})", "limit {{limit}}: {{unit}}")],
          unit="percentunit", limit=(0, 1), colors=steps(FINE, 0.9, WARY)),
    panel("timeseries", "Until a limit is full again",
          [(f"seawall_ratelimit_limit_full_seconds{{{ONE}}}", "limit {{limit}}: {{unit}}"),
           (f"seawall_ratelimit_reported_reset_seconds{{{ONE}}}", "limit {{limit}}: {{unit}}, says the provider"),
           (f"seawall_ratelimit_pause_seconds{{{ONE}}}", "paused")], unit="s"),
    row("Attempts"),
    panel("timeseries", "Retry budget",
          [(f"seawall_retry_budget_balance{{{ONE}}}", "{{name}}: left"),
           (f"seawall_retry_budget_capacity{{{ONE}}}", "{{name}}: at most")]),
    panel("timeseries", "Retries and hedges, per second",
          [(f"sum by (name) (rate(seawall_retry_retries_total{{{ONE}}}[$__rate_interval]))", "retries"),
           (f"sum by (name) (rate(seawall_hedge_fired_total{{{ONE}}}[$__rate_interval]))", "hedges")], unit="reqps"),
    panel("timeseries", "Why calls were not made again, per second",
          [(f"sum by (cause) (rate(seawall_retry_give_ups_total{{{ONE}}}[$__rate_interval])) > 0", "{{cause}}")],
          unit="reqps"),
    panel("timeseries", "Turned away by the upstream, per minute",
          [(f"sum by (name) (name:seawall_throttled:increase1m{{{ONE}}})", "{{name}}")]),
    row("Orders"),
    panel("timeseries", "Orders in doubt",
          [(f"seawall_orders_in_doubt{{{ONE}}}", "looked up"),
           (f"seawall_orders_exhausted{{{ONE}}}", "look-ups used up"),
           (f"seawall_orders_different{{{ONE}}}", "different at the broker")]),
    panel("timeseries", "Orders, per minute",
          [(f"sum by (name) (increase(seawall_orders_intended_total{{{ONE}}}[1m]))", "intended"),
           (f"sum by (outcome) (increase(seawall_orders_settled_total{{{ONE}}}[1m]))", "settled: {{outcome}}"),
           (f"sum by (name) (increase(seawall_orders_resent_total{{{ONE}}}[1m]))", "sent again"),
           (f"sum by (name) (increase(seawall_orders_not_admitted_total{{{ONE}}}[1m]))", "not admitted")]),
])


def main():
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit(__doc__)
    for name, content in (("overview", OVERVIEW), ("service", SERVICE)):
        path = DIRECTORY / f"{name}.json"
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        if not check:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            sys.exit(f"{path} is not what scripts/dashboards.py writes: run it")


if __name__ == "__main__":
    main()
