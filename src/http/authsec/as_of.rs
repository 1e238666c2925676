//! `?as_of=`: what was true at a moment. The same questions, asked of the past instead of the tables that follow the log.

use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, Utc};
use gatebook_events::envelope::Position;
use gatebook_events::identity::ResourceServerId;
use gatebook_projections::directory::Directory;
use gatebook_projections::read_model::{QueryError, Reader};
use serde_json::{Map, Value, json};

use crate::application::audit::as_of::{AsOf, Moment};
use crate::application::consistency::reached;
use crate::application::error::UseCaseError;
use crate::application::services::Services;
use crate::http::caller::Administrator;
use crate::http::consistency::{self, Fresh};
use crate::http::error::Failure;
use crate::http::response;
use crate::platform::spans::on_behalf;

/// A moment that somebody asked for.
#[derive(Clone)]
pub struct Then {
    asked: AsOf,
    moment: Arc<Moment>,
}

impl Then {
    /// A moment, for a question about `what` at one of the caller's resource servers.
    pub async fn of(
        services: &Services,
        caller: &Administrator,
        headers: &HeaderMap,
        (id, what): (ResourceServerId, &'static str),
        asked: AsOf,
    ) -> Result<Self, Failure> {
        let come = match asked {
            AsOf::Time(time) => time <= services.commands.clock().now(),
            // Another node may have named it, and it is on its way.
            AsOf::Position(position) => reached(services, position).await?,
        };
        if !come {
            return Err(refuse("as_of names a moment that has not come yet"));
        }
        // Nobody has the log read for what is not theirs, or was not there yet.
        let tenant = caller.tenant().clone();
        let server =
            consistency::read(services, &services.directory, headers, move |directory| directory.resource_server(&tenant, id)).await?;
        // Where it is known that it was there, it is no matter that the tables that serve are behind.
        let server = if server.body.is_some() { server.body } else { server.unless_stale()? };
        let was_there = server.is_some_and(|server| match asked {
            AsOf::Time(time) => server.created_at <= time,
            AsOf::Position(position) => server.created_position <= position,
        });
        if !was_there {
            return Err(Failure::not_found(what));
        }
        Ok(Self { asked, moment: services.as_of.at(caller.tenant(), asked).await? })
    }

    /// Where the moment ends: the position of its last event.
    pub fn position(&self) -> Position {
        self.moment.last().position
    }

    /// The time that it was asked for, or when its last event was recorded.
    pub fn time(&self) -> DateTime<Utc> {
        match self.asked {
            AsOf::Time(time) => time,
            AsOf::Position(_) => self.moment.last().recorded_at,
        }
    }

    /// Says in an answer what it is an answer about.
    pub fn put(&self, body: &mut Map<String, Value>) {
        body.insert("as_of".to_owned(), json!({ "position": self.position().to_string(), "time": response::time(self.time()) }));
    }
}

/// The moment that a parameter names.
pub fn parse(text: &str) -> Result<AsOf, Failure> {
    text.parse().map_err(|error| refuse(format!("as_of names no moment: {error}")))
}

fn refuse(detail: impl Into<String>) -> Failure {
    Failure::request(StatusCode::BAD_REQUEST, "invalid-as-of", detail)
}

/// Asks the directory: as it was then or, without a moment, as it is.
pub async fn read<T: Send + 'static>(
    services: &Services,
    headers: &HeaderMap,
    then: Option<&Then>,
    query: impl FnOnce(&Reader<Directory>) -> Result<T, QueryError> + Send + 'static,
) -> Result<Fresh<T>, Failure> {
    let Some(then) = then else { return consistency::read(services, &services.directory, headers, query).await };
    let moment = then.moment.clone();
    let asked = tokio::task::spawn_blocking(on_behalf(move || query(moment.reader())));
    let body = asked.await.map_err(|_| UseCaseError::Internal("a query's thread ended early"))??;
    Ok(Fresh::then(body, then.position()))
}
