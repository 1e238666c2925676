//! On which subject an event is published.

use std::fmt::Write;

use gatebook_projections::history::HistoryRow;

/// What stands where an event has no tenant, or is about no resource server.
const NONE: &str = "-";

/// `<name>.events.<tenant>.<resource server>.<type>`. The type keeps its dots, so that `….registration.>` is every event of
/// registrations; of a tenant, what would be more than one token is percent-encoded.
pub fn subject(name: &str, row: &HistoryRow) -> String {
    let tenant = row.tenant.as_ref().map_or_else(|| NONE.to_owned(), |tenant| token(tenant.as_str()));
    let server = row.resource_server.map_or_else(|| NONE.to_owned(), |id| id.to_string());
    format!("{name}.events.{tenant}.{server}.{}", row.name)
}

/// One token: without dots, wildcards, spaces and what is not printable, and never the sign for none.
fn token(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'.' | b'*' | b'>' | b'%');
    let mut token = String::with_capacity(text.len());
    for byte in text.bytes() {
        if plain(byte) && text != NONE {
            token.push(byte.into());
        } else {
            // Writing to a text cannot fail.
            let _always = write!(token, "%{byte:02X}");
        }
    }
    token
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_is_one_token_and_no_two_tenants_are_the_same() {
        let all = ["acme", "acme.example", "acme%2Eexample", "a:b@c_d-e", "-", "a b", "*", ">", "ä"];
        let tokens = all.map(token);
        assert_eq!(tokens, ["acme", "acme%2Eexample", "acme%252Eexample", "a:b@c_d-e", "%2D", "a%20b", "%2A", "%3E", "%C3%A4"]);
    }
}
