//! Metadata where clients look for them (RFC 8414 §3.1), under the issuer that they compare (§3.3, RFC 9207 §2.4), or none.

use axum::Json;
use axum::routing::get;
use reqwest::Method;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::house::{DEFAULT, House};

const PLACE: &str = "/.well-known/oauth-authorization-server";
const ISS: &str = "authorization_response_iss_parameter_supported";

/// An authorization server whose issuer ends like this, and that says this of itself; its issuer. The metadata are where OpenID
/// Connect Discovery has them.
async fn authorization_server(end: &str, says: Value) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://{}{end}", listener.local_addr().unwrap());
    let mut document =
        json!({ "issuer": issuer, "authorization_endpoint": "https://as.example/authorize", "token_endpoint": "https://as.example/token" });
    document.as_object_mut().unwrap().extend(says.as_object().unwrap().clone());
    let place = format!("{}/.well-known/openid-configuration", end.trim_end_matches('/'));
    let pages = axum::Router::new().route(&place, get(move || std::future::ready(Json(document.clone()))));
    tokio::spawn(async move { axum::serve(listener, pages).await.unwrap() });
    issuer
}

async fn before(public_url: &str, upstream: &str) -> House {
    House::at(public_url, |settings| settings.upstream_issuer = Some(upstream.to_owned())).await
}

async fn find(house: &House, path: &str) -> Answer {
    Answer::read(house.anyone().request(Method::GET, path).send().await.unwrap()).await
}

#[tokio::test]
async fn w2_the_metadata_of_a_public_url_with_a_path_are_at_the_well_known_part_before_that_path() {
    let public = "https://h.example/realms/acme";
    let house = before(public, &authorization_server("", json!({})).await).await;
    for (below, issuer) in
        [("", public.to_owned()), (&format!("/rs/{DEFAULT}"), format!("{public}/rs/{DEFAULT}")), ("/oauth", format!("{public}/oauth"))]
    {
        for place in [format!("{PLACE}/realms/acme{below}"), format!("{PLACE}/realms/acme{below}/"), format!("{PLACE}{below}")] {
            let found = find(&house, &place).await.is(200);
            assert_eq!(found["issuer"], issuer, "{place}");
            if below != "/oauth" {
                assert_eq!(found["registration_endpoint"], format!("{issuer}/oauth/register"), "{place}");
            }
        }
    }
    for nowhere in ["/realms", "/realms/acmes", "/realms/acme/rs", "/realms/acme/rs/none", "/elsewhere"] {
        find(&house, &format!("{PLACE}{nowhere}")).await.refuses(404, "invalid_target");
    }
}

#[tokio::test]
async fn w2_one_issuer_is_published_to_the_letter_and_keeps_what_it_says_of_iss() {
    for end in ["/", "", "/realms/acme", "/realms/acme/"] {
        let upstream = authorization_server(end, json!({ ISS: true })).await;
        let house = before(upstream.trim_end_matches('/'), &upstream).await;
        let found = find(&house, &format!("{PLACE}{}", end.trim_end_matches('/'))).await.is(200);
        assert_eq!(found["issuer"], upstream, "to the letter");
        assert_eq!(found[ISS], true);
        assert_eq!(found["registration_endpoint"], format!("{}/oauth/register", upstream.trim_end_matches('/')));
    }
}

#[tokio::test]
async fn w14_no_metadata_are_published_under_an_issuer_that_the_answers_would_not_name() {
    let upstream = authorization_server("", json!({ ISS: true })).await;
    // A proxy gives both one issuer: that one works, a resource server's own does not.
    let house = before(&upstream, &upstream).await;
    find(&house, PLACE).await.is(200);
    let issuer = format!("{upstream}/rs/{DEFAULT}");
    let told = find(&house, &format!("{PLACE}/rs/{DEFAULT}")).await.refuses(404, "invalid_request").text("error_description");
    assert!(told.contains(&issuer) && told.contains(&format!("name {upstream} as iss")), "{told}");
    assert!(told.contains(&format!("{issuer}/oauth/register as their registration_endpoint")), "{told}");
    // The way that works is open.
    let body = json!({ "redirect_uris": ["https://app.example/cb"] });
    house.anyone().post(&format!("/rs/{DEFAULT}/oauth/register"), body).await.is(201);
    // Two issuers: neither form works.
    let house = before("https://gate.example", &upstream).await;
    for below in [String::new(), format!("/rs/{DEFAULT}")] {
        find(&house, &format!("{PLACE}{below}")).await.refuses(404, "invalid_request");
    }
    // The tokens that clients get for themselves have no answers with an `iss`.
    find(&house, &format!("{PLACE}/oauth")).await.is(200);
    // Nothing is claimed, nothing is refused.
    for silent in [json!({}), json!({ ISS: false })] {
        let house = before("https://gate.example", &authorization_server("", silent).await).await;
        for below in [String::new(), format!("/rs/{DEFAULT}")] {
            find(&house, &format!("{PLACE}{below}")).await.is(200);
        }
    }
}
