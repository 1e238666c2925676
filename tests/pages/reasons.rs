//! A reason has one bound at the pages too.

use gatebook::credentials::admin::Role;

use crate::guest::Guest;
use crate::house::House;

const SERVER: &str = "/ui/servers/67617465-626f-4f6b-8000-000000000001";

#[tokio::test]
async fn r11_a_reason_is_at_most_1024_characters_at_every_page_that_asks_for_one() {
    let house = House::open().await;
    let agent = house.registered("Agent").await.text("client_id");
    let mut guest = Guest::signed_in(&house, &house.token("default", Role::Admin, "ada")).await;
    let page = guest.get(&format!("{SERVER}/settings")).await;
    let guard = page.guard();
    assert!(page.text.contains("name=\"reason\" maxlength=\"1024\""), "{}", page.text);
    let name = page.text.split_once("name=\"name\" value=\"").unwrap().1.split('"').next().unwrap().to_owned();
    let longer = "x".repeat(1025);
    let before = house.head().await;
    let reason = ("reason", longer.as_str());
    for (path, fields) in [
        (format!("{SERVER}/settings/retire"), vec![("name", name.as_str()), reason]),
        (format!("{SERVER}/clients/{agent}/decide"), vec![("action", "suspend"), reason]),
        (format!("{SERVER}/clients/decide"), vec![("action", "suspend"), ("client", agent.as_str()), reason]),
        (format!("{SERVER}/clients/{agent}/redirects"), vec![("action", "reject"), ("change", SERVER.rsplit('/').next().unwrap()), reason]),
        (format!("{SERVER}/clients/{agent}/roll-back"), vec![("version", "1"), reason]),
    ] {
        let fields: Vec<_> = fields.into_iter().chain([("guard", guard.as_str())]).collect();
        let shown = guest.post(&path, &fields).await;
        assert_eq!(shown.status, 400, "{path}: {}", shown.text);
        assert!(shown.text.contains("1025 characters long"), "{path}: {}", shown.text);
    }
    assert_eq!(house.head().await, before);
}
