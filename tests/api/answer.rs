//! What came back from a call, and the promises that every answer keeps, whichever test asked for it.

use std::ops::Index;

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// An answer that has arrived whole.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    /// The body as JSON; null where there is none.
    pub body: Value,
}

impl Answer {
    pub async fn read(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let json =
            headers.get("content-type").is_some_and(|kind| kind.to_str().unwrap().ends_with("json") && kind != "application/x-ndjson");
        let body = if json { serde_json::from_str(&text).unwrap() } else { Value::Null };
        Self { status, headers, text, body }
    }

    /// A header as text; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// A member of the body that is a text.
    pub fn text(&self, name: &str) -> String {
        self.body[name].as_str().unwrap_or_else(|| panic!("no text {name} in {}", self.text)).to_owned()
    }

    /// This answer, if it has this status.
    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// This answer, if it says no with this status in the way of OAuth.
    #[track_caller]
    pub fn refuses(self, status: u16, code: &str) -> Self {
        let answer = self.is(status);
        assert_eq!(answer.body["error"], code, "{}", answer.text);
        answer
    }

    /// This answer, if it says no with this status in the way of problem documents.
    #[track_caller]
    pub fn problem(self, status: u16, code: &str) -> Self {
        let answer = self.is(status);
        assert_eq!(answer.body["type"], format!("urn:gatebook:problem:{code}"), "{}", answer.text);
        answer
    }

    /// What every answer has to be, whatever was asked.
    pub fn keeps_its_promises(&self, method: &Method, path: &str) {
        let what = format!("{method} {path} -> {} {:?} {}", self.status, self.headers, self.text);
        assert!(!self.header("x-request-id").is_empty(), "no X-Request-Id: {what}");
        // What is too much for now says when to come back.
        let for_now = self.status == 503 && !self.header("retry-after").is_empty();
        assert!(self.status < 500 || for_now, "our own fault: {what}");
        let page = path.split('?').next().unwrap();
        let for_clients = page.starts_with("/oauth/") || page.starts_with("/rs/");
        let for_administrators = page.starts_with("/authsec/");
        let may_be_held = page.starts_with("/oauth/clients/") && self.status < 400;
        if may_be_held {
            assert_eq!(self.header("cache-control"), "private, max-age=0, must-revalidate", "{what}");
            assert!(self.header("etag").starts_with('"'), "{what}");
        } else if (for_clients || for_administrators) && method != Method::OPTIONS {
            assert_eq!(self.header("cache-control"), "no-store", "{what}");
            assert_eq!(self.header("pragma"), "no-cache", "{what}");
        }
        let is_no_json = page.ends_with("/stream") || (self.status == 200 && page.ends_with("/export"));
        if !self.text.is_empty() && !is_no_json {
            assert!(!self.body.is_null(), "a body that is no JSON: {what}");
            assert!(!has_null(&self.body), "a null: {what}");
        }
        if self.status < 400 {
            return;
        }
        let sentence = if for_clients {
            assert_eq!(self.header("content-type"), "application/json", "{what}");
            assert!(self.body["error"].is_string(), "{what}");
            &self.body["error_description"]
        } else {
            assert_eq!(self.header("content-type"), "application/problem+json", "{what}");
            assert!(self.body["type"].as_str().unwrap().starts_with("urn:gatebook:problem:"), "{what}");
            assert_eq!(self.body["status"], self.status, "{what}");
            assert!(self.body["title"].is_string(), "{what}");
            assert_eq!(self.body["request_id"], self.header("x-request-id"), "{what}");
            &self.body["detail"]
        };
        let sentence = sentence.as_str().unwrap_or_else(|| panic!("no sentence: {what}"));
        assert!(!sentence.is_empty() && sentence.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "not ASCII: {what}");
        assert!(!sentence.contains(['<', '>']), "markup: {what}");
    }
}

impl Index<&str> for Answer {
    type Output = Value;

    fn index(&self, name: &str) -> &Value {
        &self.body[name]
    }
}

/// Whether there is a null anywhere.
fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(has_null),
        Value::Object(members) => members.values().any(has_null),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
