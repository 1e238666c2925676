//! The tables of the directory.

/// What makes the empty tables.
///
/// A registration's effective status is not a column. It follows from the client's life and the registration's status, which
/// are kept, and from the resource server's life and modes, which every query has at hand; `standing` puts them together. So
/// retiring a resource server or switching a mode off for a million clients changes one row, and no list can be out of date.
/// The lists are merged from one index range for each combination that occurs, which `counts` knows.
///
/// `names` has one row for each folded name and origin that approved registrations of a tenant bear, with the first of them. Among
/// a million clients there are few, and a question about a name never sees the rest. A registration bears a name since it has
/// been approved at all, has come from there, and its client has been called so (`approved_at`, `origin_at`, `named_at`): by the name
/// that was admitted there, if one was (`admitted_folded`, `admitted_named_at`), whatever it calls itself meanwhile.
///
/// `near_names` has a row for each character of such a name, if it has 6 to 48 of them (`places` are their numbers): the name with U+0001
/// in that place, and who bears it. Two names in which one character differs have one such pattern in common, so those that are near to a
/// name are found by as many looks as it has characters, the first of each pattern first, however many there are.
///
/// `unbound` has the clients that registered themselves where no resource server was meant, until one takes them. They are few, too.
///
/// A client has one row, whose `entered_for` is empty. Before a document's host answers it has none, but one for each tenant whose
/// administrators entered a text; a registration names the row that describes its client (`entered_for`), which is of its own tenant or
/// of the host. `own_events` counts the events that are about a text, of which no other tenant is told.
///
/// Few clients have documents: their index is kept from the first row on, which costs the others nothing, while making it at the end
/// would read all of them.
pub(super) const SCHEMA: &str = "
CREATE TABLE resource_servers (
    id BLOB PRIMARY KEY NOT NULL,
    tenant TEXT NOT NULL,
    life TEXT NOT NULL,
    name TEXT NOT NULL,
    resource TEXT,
    modes TEXT NOT NULL,
    suspended_modes TEXT NOT NULL,
    policy TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_position INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE clients (
    key BLOB NOT NULL,
    entered_for TEXT NOT NULL,
    client_id TEXT NOT NULL,
    registration_type TEXT NOT NULL,
    life TEXT NOT NULL,
    home TEXT,
    issued_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    metadata TEXT NOT NULL,
    has_secret INTEGER NOT NULL,
    secret_expires_at INTEGER,
    manifest_version INTEGER,
    manifest_hash TEXT,
    unreachable_since INTEGER,
    name_key TEXT NOT NULL,
    family TEXT NOT NULL,
    search TEXT NOT NULL,
    initial_access_token BLOB,
    folded TEXT NOT NULL,
    named_at INTEGER NOT NULL,
    events INTEGER NOT NULL,
    own_events INTEGER NOT NULL,
    PRIMARY KEY (key, entered_for)
) STRICT;
CREATE INDEX clients_with_documents ON clients (key) WHERE manifest_version IS NOT NULL;

CREATE TABLE registrations (
    client_key BLOB NOT NULL,
    resource_server BLOB NOT NULL,
    tenant TEXT NOT NULL,
    registration_type TEXT NOT NULL,
    status TEXT NOT NULL,
    before_revocation TEXT,
    denied_until INTEGER,
    redirect_uris TEXT NOT NULL,
    staged TEXT,
    staged_at INTEGER,
    note TEXT,
    requested_at INTEGER NOT NULL,
    decided_at INTEGER,
    updated_at INTEGER NOT NULL,
    position INTEGER NOT NULL,
    client_life TEXT NOT NULL,
    name_key TEXT NOT NULL,
    origin TEXT NOT NULL,
    origin_at INTEGER NOT NULL,
    approved_at INTEGER,
    folded TEXT NOT NULL,
    borne_since INTEGER,
    admitted TEXT,
    admitted_name TEXT,
    admitted_folded TEXT,
    admitted_named_at INTEGER,
    admitted_family TEXT,
    entered_for TEXT NOT NULL,
    events INTEGER NOT NULL,
    PRIMARY KEY (client_key, resource_server)
) STRICT, WITHOUT ROWID;

CREATE TABLE unbound (
    registered_at INTEGER NOT NULL,
    client_key BLOB NOT NULL,
    PRIMARY KEY (registered_at, client_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE names (
    tenant TEXT NOT NULL,
    folded TEXT NOT NULL,
    origin TEXT NOT NULL,
    since INTEGER NOT NULL,
    client_key BLOB NOT NULL,
    resource_server BLOB NOT NULL,
    PRIMARY KEY (tenant, folded, origin)
) STRICT, WITHOUT ROWID;

CREATE TABLE near_names (
    tenant TEXT NOT NULL,
    pattern TEXT NOT NULL,
    since INTEGER NOT NULL,
    client_key BLOB NOT NULL,
    resource_server BLOB NOT NULL,
    PRIMARY KEY (tenant, pattern, since, client_key, resource_server)
) STRICT, WITHOUT ROWID;
CREATE TABLE places (place INTEGER PRIMARY KEY NOT NULL) STRICT;
INSERT INTO places WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < 48)
    SELECT number FROM numbers;

CREATE TABLE initial_access_tokens (
    id BLOB NOT NULL,
    resource_server BLOB NOT NULL,
    tenant TEXT NOT NULL,
    label TEXT NOT NULL,
    issued_at INTEGER NOT NULL,
    expires_at INTEGER,
    max_uses INTEGER,
    uses INTEGER NOT NULL,
    clamps TEXT NOT NULL,
    revoked_at INTEGER,
    revoked_because TEXT,
    PRIMARY KEY (resource_server, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE initial_access_token_uses (
    resource_server BLOB NOT NULL,
    token BLOB NOT NULL,
    number INTEGER NOT NULL,
    client_id TEXT NOT NULL,
    used_at INTEGER NOT NULL,
    PRIMARY KEY (resource_server, token, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE service_tokens (
    id BLOB NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    label TEXT NOT NULL,
    scopes TEXT NOT NULL,
    resource_servers TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER,
    revoked_because TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE counts (
    resource_server BLOB NOT NULL,
    client_life TEXT NOT NULL,
    status TEXT NOT NULL,
    registration_type TEXT NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (resource_server, client_life, status, registration_type)
) STRICT, WITHOUT ROWID;
";

/// What only queries look along, and what follows from the registrations' rows: `counts` and `names`. A build fills both once, in the
/// order of an index that it has made; from then on triggers keep them.
pub(super) const INDEXES: &str = "
CREATE INDEX resource_servers_of_tenant ON resource_servers (tenant, created_position);
CREATE INDEX active_resources ON resource_servers (resource, created_position) WHERE life = 'active';
CREATE INDEX registrations_by_time ON registrations
    (resource_server, client_life, status, registration_type, requested_at, client_key);
CREATE INDEX registrations_by_name ON registrations (resource_server, name_key, client_key);
CREATE INDEX names_by_time ON names (tenant, folded, since, client_key, resource_server);
CREATE INDEX initial_access_tokens_by_time ON initial_access_tokens (resource_server, issued_at, id);
CREATE INDEX service_tokens_by_time ON service_tokens (tenant, created_at, id);

INSERT INTO counts SELECT resource_server, client_life, status, registration_type, count(*) FROM registrations
    GROUP BY resource_server, client_life, status, registration_type;
CREATE INDEX bearers ON registrations (tenant, folded, origin, borne_since, client_key, resource_server) WHERE borne_since IS NOT NULL;
INSERT INTO names SELECT tenant, folded, origin, borne_since, client_key, resource_server FROM registrations
    WHERE borne_since IS NOT NULL ORDER BY tenant, folded, origin, borne_since, client_key, resource_server ON CONFLICT DO NOTHING;

INSERT INTO near_names SELECT tenant, substr(folded, 1, place - 1) || char(1) || substr(folded, place + 1), since, client_key, resource_server
    FROM names, places WHERE length(folded) BETWEEN 6 AND 48 AND place <= length(folded) ORDER BY 1, 2, 3, 4, 5;

CREATE TRIGGER name_added AFTER INSERT ON names WHEN length(new.folded) BETWEEN 6 AND 48 BEGIN
    INSERT INTO near_names SELECT new.tenant, substr(new.folded, 1, place - 1) || char(1) || substr(new.folded, place + 1), new.since,
        new.client_key, new.resource_server FROM places WHERE place <= length(new.folded);
END;
CREATE TRIGGER name_removed AFTER DELETE ON names WHEN length(old.folded) BETWEEN 6 AND 48 BEGIN
    DELETE FROM near_names WHERE tenant = old.tenant AND since = old.since AND client_key = old.client_key
        AND resource_server = old.resource_server AND pattern IN
        (SELECT substr(old.folded, 1, place - 1) || char(1) || substr(old.folded, place + 1) FROM places WHERE place <= length(old.folded));
END;
CREATE TRIGGER name_taken_over AFTER UPDATE ON names WHEN length(old.folded) BETWEEN 6 AND 48 BEGIN
    DELETE FROM near_names WHERE tenant = old.tenant AND since = old.since AND client_key = old.client_key
        AND resource_server = old.resource_server AND pattern IN
        (SELECT substr(old.folded, 1, place - 1) || char(1) || substr(old.folded, place + 1) FROM places WHERE place <= length(old.folded));
    INSERT INTO near_names SELECT new.tenant, substr(new.folded, 1, place - 1) || char(1) || substr(new.folded, place + 1), new.since,
        new.client_key, new.resource_server FROM places WHERE place <= length(new.folded);
END;

CREATE TRIGGER count_new AFTER INSERT ON registrations BEGIN
    INSERT INTO counts VALUES (new.resource_server, new.client_life, new.status, new.registration_type, 1)
        ON CONFLICT DO UPDATE SET number = number + 1;
END;
CREATE TRIGGER count_changed AFTER UPDATE OF client_life, status, registration_type ON registrations
WHEN old.client_life <> new.client_life OR old.status <> new.status OR old.registration_type <> new.registration_type BEGIN
    UPDATE counts SET number = number - 1 WHERE resource_server = old.resource_server AND client_life = old.client_life
        AND status = old.status AND registration_type = old.registration_type;
    DELETE FROM counts WHERE resource_server = old.resource_server AND client_life = old.client_life
        AND status = old.status AND registration_type = old.registration_type AND number = 0;
    INSERT INTO counts VALUES (new.resource_server, new.client_life, new.status, new.registration_type, 1)
        ON CONFLICT DO UPDATE SET number = number + 1;
END;

CREATE TRIGGER name_borne AFTER INSERT ON registrations WHEN new.borne_since IS NOT NULL BEGIN
    INSERT INTO names VALUES (new.tenant, new.folded, new.origin, new.borne_since, new.client_key, new.resource_server)
        ON CONFLICT DO UPDATE SET since = excluded.since, client_key = excluded.client_key, resource_server = excluded.resource_server
        WHERE (excluded.since, excluded.client_key, excluded.resource_server) < (since, client_key, resource_server);
END;
CREATE TRIGGER name_changed AFTER UPDATE OF folded, origin, borne_since ON registrations
WHEN old.borne_since IS NOT new.borne_since OR old.folded <> new.folded OR old.origin <> new.origin BEGIN
    DELETE FROM names WHERE tenant = old.tenant AND folded = old.folded AND origin = old.origin
        AND client_key = old.client_key AND resource_server = old.resource_server;
    INSERT INTO names SELECT tenant, folded, origin, borne_since, client_key, resource_server FROM registrations
        WHERE tenant = old.tenant AND folded = old.folded AND origin = old.origin AND borne_since IS NOT NULL
        ORDER BY borne_since, client_key, resource_server LIMIT 1 ON CONFLICT DO NOTHING;
    INSERT INTO names SELECT new.tenant, new.folded, new.origin, new.borne_since, new.client_key, new.resource_server
        WHERE new.borne_since IS NOT NULL
        ON CONFLICT DO UPDATE SET since = excluded.since, client_key = excluded.client_key, resource_server = excluded.resource_server
        WHERE (excluded.since, excluded.client_key, excluded.resource_server) < (since, client_key, resource_server);
END;
";
