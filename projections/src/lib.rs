//! How the events look to a reader: SQLite tables, their fold and their queries.
