//! `gatebook demo`: fills a running, fresh instance over HTTP with what a real deployment looks like.

use clap::Args;
use gatebook_events::identity::TenantId;
use reqwest::Method;
use serde_json::{Value, json};

use super::running::Running;
use super::{Failed, checked};
use crate::admin::{Admin, AdminMinter, Role};
use crate::clock::Clock;
use crate::config::Settings;

/// How many instances of Claude Code register, each with a loopback port of its own.
const INSTANCES: u16 = 30;

/// Fill a running, fresh instance with what a real deployment looks like
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Where the instance listens
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub url: String,

    /// The same settings as the server's; its key makes the administrators' tokens.
    #[command(flatten)]
    pub settings: Settings,
}

/// Registers, pre-registers, decides: everything through the doors that everybody uses.
#[expect(clippy::print_stdout, reason = "this is a command for people")]
pub async fn run(args: DemoArgs) -> Result<(), Failed> {
    let config = checked(args.settings)?;
    let minter = AdminMinter::try_new(&config.admin, Clock::system()).map_err(|error| Failed::because("failed to make a token", error))?;
    let token = |tenant: &str| {
        let tenant = TenantId::parse(tenant).map_err(|error| Failed::because("failed to name a tenant", error))?;
        let admin = Admin { tenant, subject: "demo".to_owned(), role: Role::Admin };
        minter.mint(&admin, chrono::TimeDelta::minutes(10)).map_err(|error| Failed::because("failed to make a token", error))
    };
    let house = Running::at(&args.url);
    let (home, acme) = (token("default")?, token("acme")?);

    let servers = house.call(Method::GET, "/authsec/resource-servers", Some(&home), None).await?;
    let server = text(&servers, "/resource_servers/0/id")?;
    house.call(Method::PATCH, &format!("/authsec/resource-servers/{server}"), Some(&home), Some(json!({ "name": "MCP tools" }))).await?;
    let second = json!({ "name": "Billing API", "resource": "https://billing.acme.example/mcp",
        "policy": { "admission": { "dcr": "review" }, "scope_ceiling": "billing:read billing:write" } });
    let billing = text(&house.call(Method::POST, "/authsec/resource-servers", Some(&acme), Some(second)).await?, "/id")?;

    let register = format!("/rs/{server}/oauth/register");
    let mut claude = Vec::new();
    for instance in 0..INSTANCES {
        let port = 33_417 + 61 * instance;
        let body = json!({ "client_name": "Claude Code", "redirect_uris": [format!("http://localhost:{port}/callback")],
            "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"], "token_endpoint_auth_method": "none" });
        claude.push(house.call(Method::POST, &register, None, Some(body)).await?);
    }
    let codex = json!({ "client_name": "Codex", "redirect_uris": ["http://127.0.0.1:1455/auth/callback"], "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"], "software_id": "codex-cli", "software_version": "0.61.0" });
    house.call(Method::POST, &register, None, Some(codex)).await?;

    let clients = format!("/authsec/resource-servers/{server}/clients");
    let nightly = json!({ "client_name": "nightly-ci", "scope": "tools:read" });
    house.call(Method::POST, &clients, Some(&home), Some(nightly)).await?;
    let release = json!({ "client_name": "release-ci", "redirect_uris": ["https://ci.example.com/oauth/callback"] });
    house.call(Method::POST, &clients, Some(&home), Some(release)).await?;

    let dashboard = json!({ "client_name": "Acme Dashboard", "redirect_uris": ["https://dash.example.com/cb"], "client_uri": "https://dash.example.com/" });
    let dashboard = house.call(Method::POST, &register, None, Some(dashboard)).await?;
    let wider = json!({ "client_id": text(&dashboard, "/client_id")?, "client_name": "Acme Dashboard", "client_uri": "https://dash.example.com/",
        "redirect_uris": ["https://dash.example.com/cb", "https://dash-staging.example.net/cb"] });
    let management = format!("/oauth/register/{}", text(&dashboard, "/client_id")?);
    let holder = text(&dashboard, "/registration_access_token")?;
    house.call(Method::PUT, &management, Some(&holder), Some(wider)).await?;

    let suspended = text(claude.first().unwrap_or(&Value::Null), "/client_id")?;
    let reason = json!({ "reason": "laptop reported lost" });
    house.call(Method::POST, &format!("{clients}/{suspended}/suspend"), Some(&home), Some(reason)).await?;

    let waiting = json!({ "client_name": "Invoice Agent", "redirect_uris": ["https://agent.example.org/cb"], "resource": "https://billing.acme.example/mcp" });
    house.call(Method::POST, "/oauth/register", None, Some(waiting)).await?;

    println!("tenant default: {} instances of Claude Code (one suspended), Codex, two CI jobs, a staged redirect change", claude.len());
    println!("tenant acme: {billing} (Billing API) reviews whoever registers; one client waits");
    Ok(())
}

fn text(answer: &Value, pointer: &str) -> Result<String, Failed> {
    let found = answer.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    found.ok_or_else(|| Failed::new(format!("an answer lacks {pointer}")))
}
