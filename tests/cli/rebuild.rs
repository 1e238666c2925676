//! `gatebook rebuild`: for a service that is stopped; afterwards every list is as it was.

use crate::instance::{Caller, Instance, refusal, run, said};
use crate::{flag, place, populate};

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_the_same_after_all_or_one_were_rebuilt() {
    let (_folder, data) = place();
    let service = Instance::start(&data);
    let admin = Caller::admin(&service, &data);
    populate(&Caller::anyone(&service), &admin).await;
    let before = admin.everything().await;

    let told = refusal(run(&["rebuild", "--data", flag(&data)]));
    assert!(told.contains("in use by another gatebook"), "{told}");
    assert!(admin.everything().await == before, "a refused rebuild changes nothing");
    service.stop();

    let told = said(run(&["rebuild", "--data", flag(&data)]));
    for name in ["directory", "approvals", "history"] {
        assert!(told.lines().any(|line| line.starts_with(&format!("{name}@")) && line.contains("rebuilt, up to position ")), "{told}");
    }
    for name in ["directory", "approvals", "history"] {
        let told = said(run(&["rebuild", name, "--data", flag(&data)]));
        assert_eq!(told.lines().count(), 1);
        assert!(told.starts_with(&format!("{name}@")), "{told}");
    }
    // What was built took the place of what served; nothing is left over.
    let left: Vec<String> = std::fs::read_dir(data.join("read-models"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("building"))
        .collect();
    assert!(left.is_empty(), "{left:?}");

    let service = Instance::start(&data);
    let after = Caller::admin(&service, &data).everything().await;
    assert!(after == before, "the lists differ:\n{before:#}\n{after:#}");
}

#[test]
fn what_is_not_there_cannot_be_rebuilt() {
    let (_folder, data) = place();
    let told = refusal(run(&["rebuild", "--data", flag(&data)]));
    assert!(told.contains("there is no event log at"), "{told}");
    assert!(!data.exists(), "a refusal leaves nothing behind");

    Instance::start(&data).stop();
    let told = refusal(run(&["rebuild", "clients", "--data", flag(&data)]));
    assert!(told.contains("no such projection") && told.contains("directory, approvals and history"), "{told}");
}
