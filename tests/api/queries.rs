//! Queries: a value or a name that is unknown is refused and named, at every list.

use serde_json::{Value, json};

use crate::house::{DEFAULT, House, clients};

#[tokio::test]
async fn w10_an_unknown_value_of_a_parameter_is_named_with_what_is_right() {
    let house = House::open().await;
    house.registered("Agent").await;
    let admin = house.admin("default");
    let list = clients(DEFAULT);
    for (path, said) in [
        (format!("{list}?status=aproved"), vec!["`status` is `aproved`", "`approved`", "`dormant`", "`retired`"]),
        (format!("{list}?status="), vec!["`status`", "`approved`"]),
        (format!("{list}?type=DCR"), vec!["`type` is `DCR`", "`dcr`, `cimd`, `prereg`"]),
        (format!("{list}?sort=best"), vec!["`sort` is `best`", "`newest`, `oldest`, `name`"]),
        (format!("{list}?limit=many"), vec!["`limit` is `many`"]),
        (format!("{list}?cursor=zz"), vec!["`cursor` is `zz`"]),
        (format!("{list}?stauts=approved"), vec!["stauts", "status"]),
        ("/authsec/audit/events?order=up".to_owned(), vec!["`order` is `up`", "`newest`, `oldest`"]),
        ("/authsec/audit/events?type=clinet.".to_owned(), vec!["`type` is `clinet.`", "`client.`", "`webhook.`"]),
        ("/authsec/audit/events?type=client.%25".to_owned(), vec!["`type` is `client.%`"]),
        ("/authsec/audit/events?since=yesterday".to_owned(), vec!["`since` is `yesterday`", "RFC 3339"]),
        ("/authsec/audit/export?order=up".to_owned(), vec!["`order` is `up`"]),
        ("/authsec/audit/export?type=nothing".to_owned(), vec!["`type` is `nothing`"]),
        ("/authsec/audit/export?format=xml".to_owned(), vec!["`format` is `xml`", "`ndjson`, `csv`"]),
        ("/authsec/resource-servers?name=x".to_owned(), vec!["`name` is unknown"]),
        ("/authsec/webhooks?limit=1".to_owned(), vec!["`limit` is unknown"]),
        ("/authsec/projections?x".to_owned(), vec!["`x` is unknown"]),
        (format!("/authsec/resource-servers/{DEFAULT}?as_of=1"), vec!["`as_of` is unknown"]),
    ] {
        let refused = admin.get(&path).await.problem(400, "invalid-request").text("detail");
        assert!(said.iter().all(|word| refused.contains(word)), "{path}: {refused}");
    }
    let before = house.head().await;
    let gone = format!("/authsec/resource-servers/{DEFAULT}?reason=replaced");
    admin.delete(&gone).await.problem(400, "invalid-request");
    assert_eq!(house.head().await, before, "a reason in the query is none, so nothing is done without it");
    for status in ["pending", "approved", "dormant", "suspended", "denied", "revoked", "deleted", "retired"] {
        let listed = admin.get(&format!("{list}?status={status}")).await.is(200);
        assert_eq!(listed["clients"].as_array().unwrap().len(), usize::from(status == "approved"), "{status}");
    }
}

#[tokio::test]
async fn w10_beginnings_of_event_types_filter_the_audit_as_they_do_webhooks() {
    let house = House::open().await;
    let agent = house.registered("Agent").await.text("client_id");
    house.entered("ci").await;
    house.admin("default").post(&format!("{}/{agent}/suspend", clients(DEFAULT)), json!({})).await.is(200);
    let auditor = house.auditor("default");
    let types = |answer: &Value| -> Vec<String> {
        answer["events"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    };
    let all = types(&auditor.get("/authsec/audit/events?order=oldest&limit=500").await.is(200).body);
    for beginning in ["client.", "client", "registration.", "registration.re", "registration.suspended", "resource_server.", "web"] {
        let expected: Vec<_> = all.iter().filter(|name| name.starts_with(beginning)).cloned().collect();
        let path = format!("/authsec/audit/events?order=oldest&limit=500&type={beginning}");
        assert_eq!(types(&auditor.get(&path).await.is(200).body), expected, "{beginning}");
        let export = auditor.get(&format!("/authsec/audit/export?order=oldest&type={beginning}")).await.is(200).text;
        assert_eq!(export.lines().count(), expected.len() + 1, "{beginning}: {export}");
    }
    assert!(all.iter().filter(|name| name.starts_with("client.")).count() > 1, "{all:?}");
    let hook = json!({ "label": "ops", "url": "https://ops.example/hook", "types": ["client.", "registratoin."] });
    let refused = house.admin("default").post("/authsec/webhooks", hook).await.problem(400, "invalid-request").text("detail");
    assert!(refused.contains("`registratoin.`") && refused.contains("`registration.`"), "{refused}");
}
