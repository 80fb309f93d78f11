//! Storico and Reportistica: what happened to a card, and how much happened in all.

use std::path::Path;

use serde_json::Value;
use sigillo::{
    api::{history::History, statistics::Report},
    clock::{Clock, SystemClock},
    domain::date::CivilDate,
    tls::Protocols,
};
use sigillo_bench::{desk::Desk, installation::API};

use crate::{
    Teller,
    journey::{post, set},
};

/// Has the history of a card and a report read; the supervisor's card is registered.
pub(crate) async fn play(
    teller: &mut Teller,
    desk: &Desk,
    card: &Value,
    clients: &Path,
) -> Result<(), String> {
    println!("\nWhat happened to the stolen card, and how much happened today?\n");
    let mut ask = card.clone();
    set(&mut ask, "order", "oldest".into());
    set(&mut ask, "limit", 8.into());
    let what = "The operator reads the card's history (Storico), the first page of it";
    let history: History = teller.step(what, post(desk, "/v1/history", "history", &ask)).await?;
    let page = history.page.ok_or("no page of a history")?;
    for entry in &page.entries {
        println!("    {}  {} {}", entry.at, entry.kind, entry.outcome);
    }
    let today = CivilDate::in_italy(SystemClock::new().now_ms()).ok_or("the clock is out of range")?;
    let ask = serde_json::json!({
        "from": today.to_string(), "to": today.to_string(), "by": ["day", "kind"],
        "kinds": ["card.activated", "card.revoked", "codes.reprinted", "verification.decided"],
    });
    let supervisor = Desk::new(clients, ("desk", "supervisor"), &format!("https://{API}"), Protocols::Any)?;
    let what = "The supervisor asks for the figures of the office (Reportistica)";
    let report: Report = teller.step(what, post(&supervisor, "/v1/reports", "report", &ask)).await?;
    for row in &report.rows {
        println!(
            "    {:<22} {:>3}, of which {} came to nothing",
            row.kind.as_deref().unwrap_or_default(),
            row.count.unwrap_or(0),
            row.failed.unwrap_or(0)
        );
    }
    println!("    As of event {} of the log, {:.16}...", report.head.log_seq, report.head.log_hash);
    Ok(())
}
