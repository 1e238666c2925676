//! What a page is asked for and does not know is named, as the API names it.

use gatebook::credentials::admin::Role;

use crate::guest::Guest;
use crate::house::House;

const CLIENTS: &str = "/ui/servers/67617465-626f-4f6b-8000-000000000001/clients";

#[tokio::test]
async fn w10_a_page_names_what_it_does_not_know() {
    let house = House::open().await;
    house.registered("Agent").await;
    let mut guest = Guest::signed_in(&house, &house.token("default", Role::Admin, "ada")).await;
    for (path, said) in [
        (format!("{CLIENTS}?status=aproved"), "`status` is `aproved`; right is one of `pending`, `approved`"),
        (format!("{CLIENTS}?stauts=approved"), "`stauts` is unknown; known are `type`, `status`"),
        (format!("{CLIENTS}?sort=best"), "`sort` is `best`"),
        (format!("{CLIENTS}?type=x"), "`type` is `x`"),
        (format!("{CLIENTS}?group=host"), "`group` is `host`"),
        ("/ui/audit?type=clinet.".to_owned(), "`type` is `clinet.`"),
        ("/ui/audit?order=up".to_owned(), "`order` is `up`"),
        ("/ui/audit?tpye=client.".to_owned(), "`tpye` is unknown"),
        ("/ui/audit/export?format=xml".to_owned(), "`format` is `xml`; right is one of `ndjson`, `csv`"),
        ("/ui/approvals?page=2".to_owned(), "`page` is unknown"),
    ] {
        let shown = guest.get(&path).await;
        assert_eq!(shown.status, 400, "{path}");
        assert!(shown.text.contains(said), "{path}: {}", shown.text);
    }
    let shown = guest.get("/ui/audit?type=client.").await;
    assert_eq!(shown.status, 200);
    assert!(shown.text.contains("<option value=\"client.\" selected>"), "{}", shown.text);
    assert!(shown.text.contains("client.registered") && !shown.text.contains("<code>registration.requested</code>"), "{}", shown.text);
}
