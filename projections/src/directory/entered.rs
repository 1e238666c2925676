//! Which row of a client describes it to a tenant: the one of its host or, before that ever answered, the one that the tenant's
//! administrators entered.

use gatebook_events::identity::{ClientKey, TenantId};
use rusqlite::{OptionalExtension, Transaction};

use crate::column::Id;

/// Names the row that every tenant sees.
pub(super) const HOST: &str = "";

/// The row that describes a client to a tenant; the host's where there is none yet.
pub(super) fn description(tx: &Transaction<'_>, key: ClientKey, tenant: &TenantId) -> rusqlite::Result<String> {
    const SELECT: &str = "SELECT entered_for FROM clients WHERE key = ?1 AND entered_for IN ('', ?2) ORDER BY entered_for LIMIT 1";
    let found = tx.prepare_cached(SELECT)?.query_row((Id(key.0), tenant.as_str()), |row| row.get(0)).optional()?;
    Ok(found.unwrap_or_else(|| HOST.to_owned()))
}

/// The rows that describe a client to anyone.
pub(super) fn descriptions(tx: &Transaction<'_>, key: ClientKey) -> rusqlite::Result<Vec<String>> {
    let mut statement = tx.prepare_cached("SELECT entered_for FROM clients WHERE key = ?1 ORDER BY entered_for")?;
    let mut found = statement.query_map([Id(key.0)], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    if found.first().is_some_and(|first| first == HOST) {
        found.truncate(1);
    }
    Ok(found)
}

/// Counts one more event of a client, and says how many there are. Its row comes with this event, those of others may be there.
pub(super) fn count_one_more(tx: &Transaction<'_>, key: ClientKey) -> rusqlite::Result<i64> {
    tx.prepare_cached("UPDATE clients SET events = events + 1 WHERE key = ?1")?.execute([Id(key.0)])?;
    let mut events = tx.prepare_cached("SELECT max(events) FROM clients WHERE key = ?1")?;
    Ok(events.query_row([Id(key.0)], |row| row.get::<_, Option<i64>>(0))?.unwrap_or(1))
}

/// A version came: a text that was entered for a tenant, or what the host answered, which describes the client to every tenant.
pub(super) fn versioned(tx: &Transaction<'_>, (key, described): (ClientKey, &str)) -> rusqlite::Result<()> {
    if described == HOST { answered(tx, key) } else { entered(tx, key, described) }
}

/// In the logs of builds that knew one tenant's text only, the client's own row came right before it and is that tenant's.
fn entered(tx: &Transaction<'_>, key: ClientKey, tenant: &str) -> rusqlite::Result<()> {
    const ONE_MORE: &str = "UPDATE clients SET own_events = own_events + 1 WHERE key = ?1 AND entered_for = ?2";
    const BECOMES: &str = "UPDATE clients SET entered_for = ?2, own_events = events \
        WHERE key = ?1 AND entered_for = '' AND manifest_version IS NULL AND registration_type = 'cimd'";
    const OF_REGISTRATIONS: &str = "UPDATE registrations SET entered_for = ?2 WHERE client_key = ?1 AND tenant = ?2";
    if tx.prepare_cached(ONE_MORE)?.execute((Id(key.0), tenant))? == 0 && tx.prepare_cached(BECOMES)?.execute((Id(key.0), tenant))? > 0 {
        tx.prepare_cached(OF_REGISTRATIONS)?.execute((Id(key.0), tenant))?;
    }
    Ok(())
}

/// No text is listed among the documents any longer. In the logs of those builds the host's first answer comes without a client of its
/// own: it goes on from the text of the one tenant.
fn answered(tx: &Transaction<'_>, key: ClientKey) -> rusqlite::Result<()> {
    const GOES_ON: &str = "INSERT INTO clients (key, entered_for, client_id, registration_type, life, home, issued_at, updated_at, metadata, \
        has_secret, secret_expires_at, manifest_version, manifest_hash, unreachable_since, name_key, family, search, initial_access_token, \
        folded, named_at, events, own_events) \
        SELECT key, '', client_id, registration_type, life, home, issued_at, updated_at, metadata, has_secret, secret_expires_at, \
        manifest_version, manifest_hash, unreachable_since, name_key, family, search, initial_access_token, folded, named_at, events, 0 \
        FROM clients WHERE key = ?1 AND NOT EXISTS (SELECT 1 FROM clients WHERE key = ?1 AND entered_for = '') \
        ORDER BY entered_for LIMIT 1";
    const OVER: &str = "UPDATE clients SET manifest_version = NULL, manifest_hash = NULL \
        WHERE key = ?1 AND entered_for <> '' AND manifest_version IS NOT NULL";
    if tx.prepare_cached(GOES_ON)?.execute([Id(key.0)])? > 0 {
        tx.prepare_cached("UPDATE registrations SET entered_for = '' WHERE client_key = ?1")?.execute([Id(key.0)])?;
    }
    tx.prepare_cached(OVER)?.execute([Id(key.0)]).map(drop)
}
