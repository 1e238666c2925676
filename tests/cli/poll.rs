//! `gatebook poll`: has a running instance read its clients' documents now.

use crate::flag;
use crate::instance::{Instance, refusal, run, said};
use crate::place;

#[test]
fn it_says_how_many_documents_are_read() {
    let (_folder, data) = place();
    let service = Instance::start(&data);
    let told = said(run(&["poll", "--url", &service.url, "--data", flag(&data)]));
    assert_eq!(told, "0 documents are read now\n");
}

#[test]
fn a_tenant_that_is_no_name_is_refused() {
    let (_folder, data) = place();
    let service = Instance::start(&data);
    let told = refusal(run(&["poll", "--url", &service.url, "--tenant", "a/b", "--data", flag(&data)]));
    assert!(told.contains("tenant"), "{told}");
}
