//! Rolling figures, history, a verdict in words and alerts of Seawall stacks.

mod alert_view;
mod history_point;
mod overview;

pub use alert_view::{Acknowledgement, AlertState, AlertView};
pub use history_point::{HistoryPoint, ServiceHistory};
pub use overview::{
    BudgetView, CheckView, Level, LimitView, MonitorView, OrdersView, Overview, ProviderLimitView,
    RejectionView, ScorePart, ScoreView, ServiceOverview, ServiceScore, Spark, Summary, Totals,
    Trend, Verdict,
};
