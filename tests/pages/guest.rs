//! A browser without a script: it keeps cookies, follows nothing by itself, and fills in the forms that it is shown.

use std::collections::BTreeMap;

use reqwest::{Client, Method, Response, header};

use crate::house::House;

/// A browser.
pub struct Guest {
    http: Client,
    base: String,
    pub cookies: BTreeMap<String, String>,
}

/// What a browser was shown.
pub struct Shown {
    pub status: u16,
    pub location: String,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Guest {
    /// Somebody who is not signed in.
    pub fn of(house: &House) -> Self {
        let http = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { http, base: house.url().to_owned(), cookies: BTreeMap::new() }
    }

    /// Somebody who signed in with this token.
    pub async fn signed_in(house: &House, token: &str) -> Self {
        let mut guest = Self::of(house);
        let shown = guest.sign_in(token, "").await;
        assert_eq!((shown.status, shown.location.as_str()), (303, "/ui"), "{}", shown.text);
        guest
    }

    /// Fills in the form to sign in.
    pub async fn sign_in(&mut self, token: &str, next: &str) -> Shown {
        let form = self.get(&format!("/ui/sign-in{next}")).await;
        let next = form.field("next").unwrap_or_default();
        self.post("/ui/sign-in", &[("guard", &form.guard()), ("next", &next), ("token", token)]).await
    }

    /// The host and port that it talks to.
    pub fn host(&self) -> &str {
        self.base.trim_start_matches("http://")
    }

    pub async fn get(&mut self, path: &str) -> Shown {
        self.send(Method::GET, path, &[], None).await
    }

    /// Sends a form.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Shown {
        self.send(Method::POST, path, &[], Some(fields)).await
    }

    /// Sends anything, with these headers too.
    pub async fn send(&mut self, method: Method, path: &str, headers: &[(&str, &str)], fields: Option<&[(&str, &str)]>) -> Shown {
        let answer = self.request(method, path, headers, fields).send().await.unwrap();
        self.remember(answer).await
    }

    /// The same, for an answer that is read elsewhere.
    pub fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        fields: Option<&[(&str, &str)]>,
    ) -> reqwest::RequestBuilder {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        request = request.header(header::COOKIE, cookies.join("; "));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(fields) = fields {
            let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
        }
        request
    }

    async fn remember(&mut self, answer: Response) -> Shown {
        for line in answer.headers().get_all(header::SET_COOKIE) {
            let line = line.to_str().unwrap();
            assert!(line.contains("; HttpOnly; SameSite=Lax") && line.contains("; Secure"), "{line}");
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            if line.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let location = answer.headers().get(header::LOCATION).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Shown { status, location, headers, text: answer.text().await.unwrap() }
    }
}

impl Shown {
    /// What the forms of the page bring back.
    pub fn guard(&self) -> String {
        self.field("guard").unwrap_or_else(|| panic!("the page has no form: {}", self.text))
    }

    /// The value of the first hidden field of this name.
    pub fn field(&self, name: &str) -> Option<String> {
        let (_, rest) = self.text.split_once(&format!("name=\"{name}\" value=\""))?;
        Some(rest.split('"').next().unwrap().to_owned())
    }
}
