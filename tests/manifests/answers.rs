//! What counts as a document, and what is learnt from an answer that is none.

use std::time::Duration;

use gatebook::outbound::{Fetched, Urgency, Validators};
use gatebook_events::manifest::{Trouble, TroubleKind};

use crate::host::{Deed, answer, json};
use crate::world::{World, document, found, roomy};

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_fetched_with_what_is_needed_to_ask_again() {
    let headers = "Content-Type: application/json\nETag: \"v1\"\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\nCache-Control: max-age=300";
    let world = World::start(roomy(), move |asked| Deed::Answer(answer("200 OK", headers, document(&asked.url).to_string()))).await;
    let found = found(world.fetch().await.unwrap());
    assert_eq!(found.manifest.metadata.client_name.as_deref(), Some("App"));
    assert_eq!(*found.text, *document(world.url.as_str()).to_string());
    assert_eq!(found.validators.etag.as_deref(), Some("\"v1\""));
    assert_eq!(found.validators.last_modified.as_deref(), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    assert_eq!(found.fresh_for, Some(Duration::from_secs(300)));
    // What is sent says nothing about who asked, nor anything that could be answered in a way that is not read.
    let port = world.host.address.port();
    assert_eq!(
        world.host.requests(),
        [format!(
            "GET /client.json HTTP/1.1\r\nhost: app.example:{port}\r\naccept: application/json\r\naccept-encoding: identity\r\n\
             user-agent: gatebook\r\nconnection: close\r\n\r\n"
        )]
    );
}

/// MUST, §4.1: simple string comparison.
#[tokio::test(flavor = "multi_thread")]
async fn c06_a_document_of_another_client_is_refused() {
    let world = World::start(roomy(), |asked| Deed::Answer(json(document(&asked.url.to_uppercase()).to_string()))).await;
    assert_eq!(world.trouble().await, Trouble::ClientId);
    assert_eq!(Trouble::ClientId.kind(), TroubleKind::Invalid);
}

/// MUST, §4: only 200 is success. What the others say decides whether the last good document may go on serving.
#[tokio::test(flavor = "multi_thread")]
async fn c07_only_200_is_success() {
    const TABLE: [(&str, Trouble, TroubleKind); 13] = [
        ("201 Created", Trouble::Status, TroubleKind::Invalid),
        ("203 Non-Authoritative Information", Trouble::Status, TroubleKind::Invalid),
        ("206 Partial Content", Trouble::Status, TroubleKind::Invalid),
        ("304 Not Modified", Trouble::Status, TroubleKind::Invalid),
        ("400 Bad Request", Trouble::Status, TroubleKind::Invalid),
        ("401 Unauthorized", Trouble::Blocked, TroubleKind::Transport),
        ("403 Forbidden", Trouble::Blocked, TroubleKind::Transport),
        ("404 Not Found", Trouble::NotFound, TroubleKind::Withdrawn),
        ("410 Gone", Trouble::Gone, TroubleKind::Withdrawn),
        ("429 Too Many Requests", Trouble::TooManyRequests, TroubleKind::Transport),
        ("451 Unavailable For Legal Reasons", Trouble::Blocked, TroubleKind::Transport),
        ("500 Internal Server Error", Trouble::ServerError, TroubleKind::Transport),
        ("503 Service Unavailable", Trouble::ServerError, TroubleKind::Transport),
    ];
    let world = World::start(roomy(), |asked| {
        let body = document(&asked.url).to_string();
        Deed::Answer(answer(TABLE[asked.number].0, "Content-Type: application/json\nRetry-After: 7", body))
    })
    .await;
    for (status, trouble, kind) in TABLE {
        let failure = world.fetch().await.unwrap_err();
        assert_eq!((failure.trouble, failure.trouble.kind()), (trouble, kind), "{status}");
        assert_eq!(failure.retry_after, Some(Duration::from_secs(7)), "{status}");
        assert_eq!(failure.to_string(), "cannot use the document at client_id");
    }
}

/// MUST, §4.1: `application/json` or `application/*+json`.
#[tokio::test(flavor = "multi_thread")]
async fn c09_only_json_types_are_read() {
    const TABLE: [(&str, bool); 8] = [
        ("Content-Type: application/json", true),
        ("Content-Type: application/json; charset=utf-8", true),
        ("Content-Type: application/oauth-client+json", true),
        ("Content-Type: text/html", false),
        ("Content-Type: text/plain; application/json", false),
        ("Content-Type: application/javascript", false),
        ("Content-Type: application/json\nContent-Type: text/html", false),
        ("X-Content-Type: application/json", false),
    ];
    let world =
        World::start(roomy(), |asked| Deed::Answer(answer("200 OK", TABLE[asked.number].0, document(&asked.url).to_string()))).await;
    for (headers, acceptable) in TABLE {
        match world.fetch().await {
            Ok(_) => assert!(acceptable, "{headers}"),
            Err(failure) => assert!(!acceptable && failure.trouble == Trouble::MediaType, "{headers}: {}", failure.detail()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c09_a_body_that_is_no_json_object_is_refused() {
    const BODIES: [&[u8]; 5] = [b"<!doctype html>", b"", b"[]", b"{\"client_id\": 1, \"client_id\": 2}", b"{\"client_name\": \"\xff\"}"];
    let world = World::start(roomy(), |asked| Deed::Answer(json(BODIES[asked.number]))).await;
    for body in BODIES {
        assert_eq!(world.trouble().await, Trouble::NotJson, "{}", String::from_utf8_lossy(body));
    }
}

/// MUST NOT, §4.1.
#[tokio::test(flavor = "multi_thread")]
async fn c10_c11_a_document_with_a_secret_is_refused() {
    let world = World::start(roomy(), |asked| {
        let mut document = document(&asked.url);
        if asked.number == 0 {
            document["token_endpoint_auth_method"] = "client_secret_post".into();
        } else {
            document["client_secret"] = "hunter2".into();
        }
        Deed::Answer(json(document.to_string()))
    })
    .await;
    assert_eq!(world.trouble().await, Trouble::AuthMethod);
    assert_eq!(world.trouble().await, Trouble::Secret);
}

/// MUST NOT, §4.4: what is remembered of a failure is that there was one.
#[tokio::test(flavor = "multi_thread")]
async fn c19_neither_errors_nor_invalid_documents_are_kept() {
    let world = World::start(roomy(), |asked| {
        Deed::Answer(match asked.number {
            0 => answer("500 Internal Server Error", "Cache-Control: max-age=3600", ""),
            1 => answer("200 OK", "Content-Type: application/json\nCache-Control: max-age=3600", "{}"),
            _ => json(document(&asked.url).to_string()),
        })
    })
    .await;
    assert_eq!(world.trouble().await, Trouble::ServerError);
    assert_eq!(world.trouble().await, Trouble::ClientId);
    assert!(world.fetch().await.is_ok());
    assert_eq!(world.host.requests().len(), 3);
}

/// SHOULD, §4.4 with RFC 9111: a conditional request, and an answer without a document.
#[tokio::test(flavor = "multi_thread")]
async fn c20_a_document_that_did_not_change_is_not_sent_again() {
    let world = World::start(roomy(), |asked| {
        Deed::Answer(match asked.number {
            0 => answer("200 OK", "Content-Type: application/json\nETag: \"v1\"", document(&asked.url).to_string()),
            _ => b"HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=60\r\n\r\n".to_vec(),
        })
    })
    .await;
    let first = found(world.fetch().await.unwrap());
    assert_eq!(first.fresh_for, None);
    let again = world.manifests.fetch(&world.url, Some(&first.validators), Urgency::Trusted).await.unwrap();
    let validators = Validators { etag: Some("\"v1\"".into()), last_modified: None };
    assert_eq!(again, Fetched::NotModified { validators, fresh_for: Some(Duration::from_secs(60)) });
    assert!(world.host.requests()[1].contains("\r\nif-none-match: \"v1\"\r\n"), "{:?}", world.host.requests());
}

/// MUST, §4.1.
#[tokio::test(flavor = "multi_thread")]
async fn c33_members_that_nobody_knows_are_ignored() {
    let world = World::start(roomy(), |asked| {
        let mut document = document(&asked.url);
        document["vendor"] = "x".into();
        Deed::Answer(json(document.to_string()))
    })
    .await;
    assert_eq!(found(world.fetch().await.unwrap()).manifest.ignored, [Box::from("vendor")]);
}

/// Nothing compressed was asked for, and a few bytes could become many.
#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_body_is_refused_unread() {
    const CODINGS: [&str; 4] = ["gzip", "br", "identity, gzip", "deflate"];
    let world = World::start(roomy(), |asked| {
        let headers = format!("Content-Type: application/json\nContent-Encoding: {}", CODINGS.get(asked.number).unwrap_or(&"identity"));
        Deed::Answer(answer("200 OK", &headers, document(&asked.url).to_string()))
    })
    .await;
    for coding in CODINGS {
        assert_eq!(world.trouble().await, Trouble::Encoded, "{coding}");
    }
    assert!(world.fetch().await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_ends_early_or_is_not_http_says_nothing_about_the_document() {
    let answers: [&[u8]; 4] = [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{}",
        b"SSH-2.0-OpenSSH_9.9\r\n",
    ];
    let world = World::start(roomy(), move |asked| Deed::Answer(answers[asked.number].to_vec())).await;
    for _ in answers {
        assert_eq!(world.trouble().await, Trouble::CutOff);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn key_sets_are_fetched_under_the_same_rules() {
    let world = World::start(roomy(), |asked| {
        Deed::Answer(match asked.number {
            0 => json("{\"keys\": []}"),
            1 => json("[]"),
            2 => json(format!("{{\"keys\": \"{}\"}}", "a".repeat(100))),
            _ => answer("302 Found", "Location: /elsewhere", ""),
        })
    })
    .await;
    let fetch = || world.manifests.fetch_json(&world.url, 100, Urgency::Trusted);
    assert_eq!(fetch().await.unwrap().keys().collect::<Vec<_>>(), ["keys"]);
    for expected in [Trouble::NotJson, Trouble::TooLong, Trouble::Redirected] {
        assert_eq!(fetch().await.unwrap_err().trouble, expected);
    }
}
