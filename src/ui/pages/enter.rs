//! `/ui/servers/{id}/enter`: an administrator enters a client. What is wrong is said while it is typed, by the same rules
//! that the entry meets; the secret is shown by the answer, once.

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use gatebook_events::Rejection;
use gatebook_events::admission::RegistrationType;
use gatebook_events::identity::ClientKey;
use gatebook_events::metadata::{self, AuthMethod, GrantType, Parsed};
use gatebook_events::redirect::RedirectUri;
use gatebook_events::redirect_rule::RedirectRule;
use gatebook_events::resource_server::{Coming, presets};
use gatebook_projections::directory::ResourceServerRow;
use maud::{Markup, html};
use serde_json::{Map, Value};

use super::client::once;
use crate::aggregates::CommandError;
use crate::application::error::UseCaseError;
use crate::application::register::{DrawnHashes, preregistration_defaults};
use crate::application::services::Services;
use crate::http::authsec::preregister::enter;
use crate::http::error::{Failure, outcome};
use crate::http::oauth::register::draw_secret;
use crate::ui::parts::error_page::{Sorry, capital};
use crate::ui::parts::format;
use crate::ui::parts::forms::Fields;
use crate::ui::parts::layout::{self, Frame, Place, Tab};
use crate::ui::parts::server;
use crate::ui::parts::session::{Change, Posted, Visitor, draw};

/// What is wrong, by field.
type Problems = Map<String, Value>;

/// A start for the form.
struct Start {
    name: String,
    about: String,
    fields: Vec<(&'static str, String)>,
}

/// `GET /ui/servers/{id}/enter`
pub async fn page(
    State(services): State<Services>,
    visitor: Visitor,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Sorry> {
    visitor.caller.must_change().map_err(|problem| visitor.told(problem))?;
    let asked = Fields::parse(query.unwrap_or_default().as_bytes());
    let start = asked.text("start").and_then(|name| starts().into_iter().find(|start| start.name == name));
    let fields = start.as_ref().map_or_else(Fields::default, |start| Fields::of(&start.fields));
    let frame = Frame::open(&services, &visitor).await?;
    let row = server::named(&visitor, &frame, &id)?;
    let nonce = draw().map_err(|failure| visitor.sorry(failure))?;
    Ok(shown(&services, &visitor, &frame, row, (&fields, &Problems::new(), start.as_ref()), &nonce))
}

/// `POST /ui/servers/{id}/enter/check`: what is wrong with it so far, for the script.
pub async fn check(State(services): State<Services>, Path(id): Path<String>, Change(posted): Change) -> Result<Response, Sorry> {
    let Posted { visitor, fields } = posted;
    let server = id.parse().map_err(|_| visitor.sorry(Failure::not_found("resource server")))?;
    let rules = services.commands.rules_of(visitor.tenant(), server).await.map_err(|error| visitor.sorry(error))?;
    let problems = match parsed(&fields) {
        Err(problems) => problems,
        Ok(parsed) => {
            let judged = rules.server.judge(Coming::entered(RegistrationType::Prereg), parsed.metadata);
            judged.err().map(|rejection| of_rejection(&rejection)).unwrap_or_default()
        }
    };
    Ok(Json(problems).into_response())
}

/// `POST /ui/servers/{id}/enter`: the answer is the page with the secret. A form that is sent again enters nobody, and shows
/// nothing again.
pub async fn submit(State(services): State<Services>, Path(id): Path<String>, Change(posted): Change) -> Result<Response, Sorry> {
    let Posted { visitor, fields } = posted;
    let frame = Frame::open(&services, &visitor).await?;
    let row = server::named(&visitor, &frame, &id)?;
    let again = |visitor: &Visitor, problems: &Problems| {
        let nonce = fields.text("nonce").unwrap_or_default();
        shown(&services, visitor, &frame, row, (&fields, problems, None), nonce)
    };
    let parsed = match parsed(&fields) {
        Ok(parsed) => parsed,
        Err(problems) => return Ok(again(&visitor, &problems)),
    };
    let Some(nonce) = fields.text("nonce") else { return Err(visitor.sorry(Failure::not_found("form"))) };
    let info: [&[u8]; 4] = [b"ui preregister", visitor.tenant().as_str().as_bytes(), id.as_bytes(), nonce.as_bytes()];
    let key = ClientKey(services.instance_key.derive_uuid(&info));
    let (secret, hash) = draw_secret().map_err(|failure| visitor.sorry(failure))?;
    let hashes = DrawnHashes { secret: Some(hash), registration_token: None };
    let entered = enter(&services, &visitor.caller, (row.id, key), parsed, hashes).await;
    services.metrics.registered(RegistrationType::Prereg, outcome(entered.as_ref().err()));
    let client_id = gatebook_events::identity::ClientId::of_key(key);
    let address = visitor.links.client(row.id, client_id.as_str(), "");
    match entered {
        Ok(entered) if entered.profile.secret.is_some() => {
            let name = entered.profile.metadata.client_name.as_deref().unwrap_or(client_id.as_str());
            let content = html! {
                (server::head(&visitor, row, Tab::Enter))
                h2 { (format::inert(name)) " was entered" }
                (once(client_id.as_str(), secret.expose()))
                p.actions { a.button.primary href=(address) { "I have it" } }
            };
            Ok(frame.page(&services, &visitor, Place::Server(row.id, Tab::Enter), "Entered", &content))
        }
        Ok(_) => Ok(layout::go(&services, &address, true, "The client was entered. It has no secret.")),
        Err(Failure::UseCase(UseCaseError::Command(CommandError::Rejected(Rejection::AlreadyExists)))) => {
            let text = "This client was entered already. Its secret was shown then, and is not shown again; make a new one if it is lost.";
            Ok(layout::go(&services, &address, false, text))
        }
        Err(Failure::UseCase(UseCaseError::Command(CommandError::Rejected(rejection)))) => Ok(again(&visitor, &of_rejection(&rejection))),
        Err(failure) => Err(visitor.sorry(failure)),
    }
}

/// The form as client metadata (RFC 7591 §2), read by the reader that all doors have.
fn parsed(fields: &Fields) -> Result<Parsed, Problems> {
    let problem = |field: &str, text: String| Problems::from_iter([(field.to_owned(), Value::from(text))]);
    let mut request = Map::new();
    for name in ["client_name", "client_uri", "scope", "token_endpoint_auth_method"] {
        if let Some(text) = fields.text(name) {
            request.insert(name.to_owned(), text.into());
        }
    }
    if !request.contains_key("client_name") {
        return Err(problem("client_name", "Without a name nobody knows what it is.".to_owned()));
    }
    let uris: Vec<&str> = fields.text("redirect_uris").unwrap_or_default().lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    for (index, uri) in uris.iter().enumerate() {
        if let Err(wrong) = RedirectUri::parse(uri) {
            return Err(problem("redirect_uris", format!("Line {} {wrong}.", index + 1)));
        }
    }
    if !uris.is_empty() {
        request.insert("redirect_uris".to_owned(), uris.into());
    }
    let grants: Vec<&str> = fields.all("grant_types").collect();
    if !grants.is_empty() {
        request.insert("grant_types".to_owned(), grants.into());
    }
    preregistration_defaults(&mut request);
    metadata::parse(request).map_err(|error| problem(error.member, capital(&error.problem.to_string())))
}

fn of_rejection(rejection: &Rejection) -> Problems {
    let field = match rejection {
        Rejection::RedirectOutsideRules(_) | Rejection::SchemeNotListed(_) => "redirect_uris",
        Rejection::GrantsNotAdmitted => "grant_types",
        _ => "form",
    };
    Problems::from_iter([(field.to_owned(), Value::from(capital(&rejection.to_string())))])
}

/// Where to start from: kinds of clients, and the vendors whose redirect URIs are known.
fn starts() -> Vec<Start> {
    let kind =
        |name: &str, about: &str, fields: Vec<(&'static str, String)>| Start { name: name.to_owned(), about: about.to_owned(), fields };
    let text = |text: &str| text.to_owned();
    let mut starts = vec![
        kind("service", "A job or service that acts for itself: a secret, no redirects", vec![("grant_types", text("client_credentials"))]),
        kind(
            "web application",
            "A web application on its own server: a secret, and users who come back to it",
            vec![("redirect_uris", text("https://")), ("token_endpoint_auth_method", text("client_secret_basic"))],
        ),
        kind(
            "program on users’ machines",
            "A program on users’ machines: no secret, and a loopback address",
            vec![
                ("redirect_uris", text("http://127.0.0.1/callback\nhttp://localhost/callback")),
                ("token_endpoint_auth_method", text("none")),
            ],
        ),
    ];
    for preset in presets() {
        let uris = preset.rules.iter().filter_map(|rule| match rule {
            RedirectRule::Exact { uri } => Some(uri.clone()),
            RedirectRule::Host { host, path_prefix } => Some(format!("https://{host}{path_prefix}")),
            RedirectRule::Loopback => Some("http://localhost/callback".to_owned()),
            RedirectRule::Scheme { .. } | RedirectRule::Preset { .. } => None,
        });
        let uris: Vec<String> = uris.collect();
        let fields = vec![
            ("client_name", capital(&preset.preset).trim_end_matches('.').to_owned()),
            ("redirect_uris", uris.join("\n")),
            ("token_endpoint_auth_method", text("none")),
        ];
        starts.push(Start { name: preset.preset.clone(), about: format!("{}.", preset.about), fields });
    }
    starts
}

fn shown(
    services: &Services,
    visitor: &Visitor,
    frame: &Frame,
    row: &ResourceServerRow,
    (fields, problems, start): (&Fields, &Problems, Option<&Start>),
    nonce: &str,
) -> Response {
    let here = visitor.links.server(row.id, "enter");
    let open = row.registration_modes.contains(&RegistrationType::Prereg);
    let wrong = |name: &str| problems.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let content = html! {
        (server::head(visitor, row, Tab::Enter))
        @if !open { p.note { "Pre-registration is switched off here. " a href=(visitor.links.server(row.id, "settings")) { "Switch it on in the settings" } } }
        section aria-labelledby="starts" {
            h2 #starts { "Start from" }
            p.presets { @for known in starts() {
                a.chip href={ (here) "?start=" (crate::ui::parts::links::encoded(&known.name)) } title=(known.about) aria-current=[start.is_some_and(|start| start.name == known.name).then_some("true")] { (known.name) }
            } }
            @if let Some(start) = start { p.help { (start.about) } }
        }
        form.fields method="post" action=(here) data-check={ (here) "/check" } {
            (visitor.guard())
            input type="hidden" name="nonce" value=(nonce);
            p.wrong data-problem="form" role="alert" { (wrong("form")) }
            (field("client_name", "Name", "What administrators and users know it by.", &wrong("client_name"), &html! {
                input #client_name type="text" name="client_name" value=[fields.text("client_name")] required maxlength="256" autocomplete="off" aria-describedby="client_name-help client_name-wrong" aria-invalid=[invalid(&wrong("client_name"))];
            }))
            (field("redirect_uris", "Redirect URIs", "One a line; none for a client that acts for itself. Only these serve, to the letter; on a loopback host the port does not count.", &wrong("redirect_uris"), &html! {
                textarea #redirect_uris .code name="redirect_uris" rows="4" spellcheck="false" aria-describedby="redirect_uris-help redirect_uris-wrong" aria-invalid=[invalid(&wrong("redirect_uris"))] { (fields.text("redirect_uris").unwrap_or_default()) }
            }))
            (field("token_endpoint_auth_method", "How it proves itself", "With a secret, which is made here and shown once, unless you say otherwise.", &wrong("token_endpoint_auth_method"), &html! {
                select #token_endpoint_auth_method name="token_endpoint_auth_method" aria-describedby="token_endpoint_auth_method-help token_endpoint_auth_method-wrong" {
                    option value="" { "With a secret (client_secret_basic)" }
                    @for (method, text) in [(AuthMethod::ClientSecretPost, "With a secret in the body (client_secret_post)"), (AuthMethod::None, "Not at all: a public client (none)")] {
                        option value=(method.as_str()) selected[fields.text("token_endpoint_auth_method") == Some(method.as_str())] { (text) }
                    }
                }
            }))
            details #more open[["client_uri", "scope", "grant_types"].iter().any(|name| fields.text(name).is_some() || !wrong(name).is_empty())] {
                summary { "Grants, scope and home page" }
                div.fields {
                    fieldset aria-describedby="grant_types-wrong" {
                        legend { "Grants" }
                        p.help { "None ticked means those that fit." }
                        @for grant in GrantType::ALL {
                            label.tick { input type="checkbox" name="grant_types" value=(grant.as_str()) checked[fields.has("grant_types", grant.as_str())]; code { (grant.as_str()) } }
                        }
                        p #grant_types-wrong .wrong data-problem="grant_types" { (wrong("grant_types")) }
                    }
                    (field("scope", "Scope", "The most that it may ask for, with spaces between.", &wrong("scope"), &html! {
                        input #scope type="text" name="scope" value=[fields.text("scope")] autocomplete="off" aria-describedby="scope-help scope-wrong" aria-invalid=[invalid(&wrong("scope"))];
                    }))
                    (field("client_uri", "Home page", "", &wrong("client_uri"), &html! {
                        input #client_uri type="url" name="client_uri" value=[fields.text("client_uri")] autocomplete="off" aria-describedby="client_uri-help client_uri-wrong" aria-invalid=[invalid(&wrong("client_uri"))];
                    }))
                }
            }
            p.actions { button.primary type="submit" { "Enter the client" } }
        }
        section.by-document aria-labelledby="by-document" {
            h2 #by-document { "Or by its document" }
            form.fields method="post" action={ (here) "/document" } {
                (visitor.guard())
                div.field {
                    label for="document" { "URL of the document that the client hosts" }
                    input #document .code type="url" name="document" required placeholder="https://client.example/oauth/metadata.json" aria-describedby="document-help";
                    p #document-help .help { "It is read now, and you see what it says before anything is entered." }
                }
                div.field {
                    label for="text" { "Its text, where its host cannot be reached from here" }
                    textarea #text .code name="text" rows="4" spellcheck="false" aria-describedby="text-help" {}
                    p #text-help .help { "The JSON that stands at the URL. It serves for your tenant until the host answers; then what the host says takes over." }
                }
                p.actions { button type="submit" { "Read it" } }
            }
        }
    };
    frame.page(services, visitor, Place::Server(row.id, Tab::Enter), "Pre-register a client", &content)
}

fn invalid(wrong: &str) -> Option<&'static str> {
    (!wrong.is_empty()).then_some("true")
}

fn field(name: &str, label: &str, help: &str, wrong: &str, input: &Markup) -> Markup {
    html! {
        div.field {
            label for=(name) { (label) }
            (input)
            p.help id={ (name) "-help" } { (help) }
            p.wrong id={ (name) "-wrong" } data-problem=(name) aria-live="polite" { (wrong) }
        }
    }
}
