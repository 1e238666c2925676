//! `GET /ui/audit/export`: the events that the filter shows, all of them, as they are read: NDJSON for programs, CSV for tables.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use gatebook_projections::history::{HistoryQuery, HistoryRow};

use super::query;
use crate::app::App;
use crate::http::authsec::audit::render;
use crate::http::wire;
use crate::ui::fields::Fields;
use crate::ui::sorry::Sorry;
use crate::ui::visitor::Visitor;

/// Events that are read at once.
const BATCH: usize = 500;
const COLUMNS: &str =
    "position,recorded_at,type,resource_server_id,client_id,actor_kind,actor_id,actor_via,origin,request_id,event_id,data\r\n";

/// An export that fails midway ends early; one that ended as it should has the page's last event in it.
pub async fn export(State(app): State<App>, visitor: Visitor, RawQuery(asked): RawQuery) -> Result<Response, Sorry> {
    visitor.caller.must_audit().map_err(|problem| visitor.told(problem))?;
    let fields = Fields::parse(asked.unwrap_or_default().as_bytes());
    let query = query(&visitor, &fields, BATCH)?;
    let as_table = fields.text("format") == Some("csv");
    let (kind, name) = if as_table { ("text/csv; charset=utf-8", "history.csv") } else { ("application/x-ndjson", "history.ndjson") };
    // The first read waits for what was written before; the rest follow where it is.
    visitor.read(&app, app.history(), |_| Ok(())).await?;
    let begin = Some((query, true));
    let chunks = futures_util::stream::unfold((app, begin), move |(app, next)| async move {
        let (query, first) = next?;
        let (reader, asked) = (app.history().reader().clone(), query.clone());
        let page = tokio::task::spawn_blocking(move || reader.events(&asked)).await.ok()?.ok()?;
        let mut text = if first && as_table { COLUMNS.to_owned() } else { String::new() };
        for row in &page.rows {
            if as_table {
                line(&mut text, row);
            } else {
                text.push_str(&render(row).to_string());
                text.push('\n');
            }
        }
        let next = page.next_cursor.map(|cursor| (HistoryQuery { cursor: Some(cursor), ..query }, false));
        Some((Ok::<_, Infallible>(Bytes::from(text)), (app, next)))
    });
    let disposition = format!("attachment; filename=\"{name}\"");
    Ok(([(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_DISPOSITION, disposition)], Body::from_stream(chunks)).into_response())
}

fn line(text: &mut String, row: &HistoryRow) {
    let cells = [
        row.position.to_string(),
        wire::time(row.recorded_at),
        row.name.clone(),
        row.resource_server.map(|id| id.to_string()).unwrap_or_default(),
        row.client_id.as_ref().map(ToString::to_string).unwrap_or_default(),
        row.actor_kind.as_str().to_owned(),
        row.actor_id.clone().unwrap_or_default(),
        row.actor_via.clone().unwrap_or_default(),
        row.origin.clone().unwrap_or_default(),
        row.request_id.clone().unwrap_or_default(),
        row.id.0.to_string(),
        row.data.clone(),
    ];
    let cells: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
    text.push_str(&cells.join(","));
    text.push_str("\r\n");
}

/// A cell (RFC 4180), with what spreadsheets would take for a formula made text.
fn quoted(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let cell = if formula { format!("'{cell}") } else { cell.to_owned() };
    if cell.contains(['"', ',', '\r', '\n']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_text_whatever_it_holds() {
        assert_eq!(quoted("plain"), "plain");
        assert_eq!(quoted("a\"b,c"), "\"a\"\"b,c\"");
        assert_eq!(quoted("=HYPERLINK(\"x\")"), "\"'=HYPERLINK(\"\"x\"\")\"");
    }
}
