//! `GET /authsec/audit/export`: the whole trail that a filter shows, as it is read: NDJSON for programs, CSV for tables.
//!
//! The pages export it too, so what both send is written here. An export shows the trail up to the position that it begins with
//! and holds one page of it in memory. One that fails midway breaks the connection off, which no client takes for an end; and
//! NDJSON ends with a line that says that it is whole, for whoever finds the file later.

use std::str::FromStr;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use gatebook_events::envelope::Position;
use gatebook_projections::history::{HistoryPage, HistoryQuery, HistoryRow};
use serde::Deserialize;
use serde_json::json;

use super::Filters;
use crate::application::audit::entry::render;
use crate::application::error::UseCaseError;
use crate::application::services::Services;
use crate::http::authsec::parameter;
use crate::http::caller::{Administrator, Query};
use crate::http::consistency::{self, Fresh};
use crate::http::error::{Failure, Problem};
use crate::http::response;
use crate::platform::spans::on_behalf;

/// Events that are read at once.
const BATCH: usize = 500;
const COLUMNS: &str =
    "position,recorded_at,type,resource_server_id,client_id,actor_kind,actor_id,actor_via,origin,request_id,event_id,data\r\n";

/// The filters of the trail, and how it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    format: Option<String>,
    client_id: Option<String>,
    resource_server: Option<String>,
    actor: Option<String>,
    r#type: Option<String>,
    since: Option<String>,
    until: Option<String>,
    order: Option<String>,
    cursor: Option<String>,
}

/// `GET /authsec/audit/export`
pub async fn export(
    State(services): State<Services>,
    caller: Administrator,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Fresh<Response>, Problem> {
    caller.must_audit()?;
    let Asked { format, client_id, resource_server, actor, r#type, since, until, order, cursor } = asked;
    let format = match parameter(&caller, "format", format.as_deref())? {
        Some(format) => format,
        None => Format::accepted(&headers),
    };
    let filters = Filters { client_id, resource_server, actor, r#type, since, until, order, cursor, limit: None };
    let query = filters.query(&caller)?;
    begin(&services, &headers, query, format).await.map_err(|failure| caller.problem(failure))
}

/// How an export is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line, as the trail has them, and one more at the end.
    Ndjson,
    /// RFC 4180, with a line of names.
    Csv,
}

impl FromStr for Format {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "ndjson" => Ok(Self::Ndjson),
            "csv" => Ok(Self::Csv),
            _ => Err(()),
        }
    }
}

impl Format {
    /// What a caller takes who names none in the query: a table, where that is named and lines are not.
    fn accepted(headers: &HeaderMap) -> Self {
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if accept.contains("text/csv") && !accept.contains("application/x-ndjson") { Self::Csv } else { Self::Ndjson }
    }

    /// The media type, and what the file is called.
    const fn file(self) -> (&'static str, &'static str) {
        match self {
            Self::Ndjson => ("application/x-ndjson", "attachment; filename=\"history.ndjson\""),
            Self::Csv => ("text/csv; charset=utf-8", "attachment; filename=\"history.csv\""),
        }
    }
}

/// Answers with all that a query shows, whatever its limit, up to where the history is now.
pub async fn begin(services: &Services, headers: &HeaderMap, query: HistoryQuery, format: Format) -> Result<Fresh<Response>, Failure> {
    // The first page waits for what was written before; the rest are read where it is.
    let begun = consistency::read(services, &services.history, headers, |_| Ok(())).await?;
    let up_to = begun.shown();
    let written = Written { services: services.clone(), format, up_to, events: 0, call: tracing::Span::current() };
    let all = HistoryQuery { up_to: Some(up_to), limit: BATCH, ..query };
    let chunks = futures_util::stream::unfold((written, Next::First(all)), |(mut written, next)| async move {
        let (chunk, next) = written.chunk(next).await?;
        Some((chunk, (written, next)))
    });
    let (kind, disposition) = format.file();
    Ok(begun
        .map(|()| ([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, disposition)], Body::from_stream(chunks)).into_response()))
}

/// What comes next in an export.
enum Next {
    First(HistoryQuery),
    Page(HistoryQuery),
    Nothing,
}

/// An export broke off; why is in the log.
#[derive(Debug, thiserror::Error)]
#[error("the export broke off")]
struct BrokeOff;

struct Written {
    services: Services,
    format: Format,
    up_to: Position,
    events: u64,
    /// The call, which is answered long before its body is.
    call: tracing::Span,
}

impl Written {
    /// The next piece of the body, with what comes after it; none after the last.
    async fn chunk(&mut self, next: Next) -> Option<(Result<Bytes, BrokeOff>, Next)> {
        let (query, mut text) = match next {
            Next::First(query) if self.format == Format::Csv => (query, COLUMNS.to_owned()),
            Next::First(query) | Next::Page(query) => (query, String::new()),
            Next::Nothing => return None,
        };
        let page = match self.read(query.clone()).await {
            Ok(page) => page,
            Err(error) => {
                tracing::error!(parent: &self.call, %error, up_to = %self.up_to, events = self.events, "an export of the history broke off");
                return Some((Err(BrokeOff), Next::Nothing));
            }
        };
        for row in &page.rows {
            self.events += 1;
            match self.format {
                Format::Ndjson => line(&mut text, &render(row)),
                Format::Csv => row_of_table(&mut text, row),
            }
        }
        let next = page.next_cursor.map_or(Next::Nothing, |cursor| Next::Page(HistoryQuery { cursor: Some(cursor), ..query }));
        if matches!((&next, self.format), (Next::Nothing, Format::Ndjson)) {
            line(&mut text, &json!({ "whole": true, "events": self.events, "position": self.up_to.to_string() }));
        }
        Some((Ok(Bytes::from(text)), next))
    }

    async fn read(&self, query: HistoryQuery) -> Result<HistoryPage, Failure> {
        let reader = self.services.history.reader().clone();
        let reading = tokio::task::spawn_blocking(on_behalf(move || reader.events(&query)));
        tokio::select! {
            biased;
            // A service that stops would otherwise wait for whoever reads slowly.
            () = self.services.stopping.wait() => Err(UseCaseError::Internal("the service stops").into()),
            page = reading => Ok(page.map_err(|_| UseCaseError::Internal("a query's thread ended early"))??),
        }
    }
}

fn line(text: &mut String, value: &serde_json::Value) {
    text.push_str(&value.to_string());
    text.push('\n');
}

fn row_of_table(text: &mut String, row: &HistoryRow) {
    let cells = [
        row.position.to_string(),
        response::time(row.recorded_at),
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
