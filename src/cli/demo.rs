//! `gatebook demo`: fills a running, fresh instance over HTTP with what a real deployment looks like.

use chrono::TimeDelta;
use clap::Args;
use gatebook_events::identity::TenantId;
use reqwest::Method;
use serde_json::{Value, json};

use super::running::Running;
use super::{Failed, checked};
use crate::config::Settings;
use crate::credentials::admin::{Admin, AdminMinter, Role};
use crate::platform::clock::Clock;

/// How many instances of Claude Code register, each with a loopback port of its own.
const INSTANCES: u16 = 30;

/// The documents of known vendors, which are there for everybody who can reach them.
const DOCUMENTS: [&str; 3] = [
    "https://claude.ai/oauth/claude-code-client-metadata",
    "https://vscode.dev/oauth/client-metadata.json",
    "https://opencode.ai/oauth/opencode/client.json",
];

/// Fill a running, fresh instance with what a real deployment looks like
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Where the instance listens
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub url: String,

    /// Enter clients by the documents that known vendors host, too; the instance has to reach them
    #[arg(long)]
    pub documents: bool,

    /// Fill an instance that is in use, too
    #[arg(long)]
    pub force: bool,

    /// The same settings as the server's; its key makes the administrators' tokens.
    #[command(flatten)]
    pub settings: Settings,
}

/// Registers, pre-registers, decides: everything through the doors that everybody uses.
#[expect(clippy::print_stdout, reason = "this is a command for people")]
pub async fn run(args: DemoArgs) -> Result<(), Failed> {
    let config = checked(args.settings)?;
    let minter = AdminMinter::try_new(&config.admin, Clock::system()).map_err(|error| Failed::because("failed to make a token", error))?;
    if !args.force && Story::at(&args.url, &minter)?.is_in_use().await? {
        let what =
            "there are clients or resource servers in it already; --force adds some 50 clients and renames the first resource server";
        return Err(Failed::new(format!("failed to fill {}: {what}", args.url)));
    }
    let told = fill(&args.url, &minter, |_| ()).await?;
    for line in told {
        println!("{line}");
    }
    if args.documents {
        for url in DOCUMENTS {
            let told = Story::at(&args.url, &minter)?.enter_document(url).await;
            println!("{url}: {}", told.err().map_or_else(|| "entered".to_owned(), |error| error.to_string()));
        }
    }
    Ok(())
}

/// Tells the story and says what came of it. `pace` is called before each client comes, with how many came before, so that a
/// clock which stands still can be moved.
pub async fn fill(url: &str, minter: &AdminMinter, mut pace: impl FnMut(usize)) -> Result<Vec<String>, Failed> {
    let story = Story::at(url, minter)?;
    let servers = story.home(Method::GET, "/authsec/resource-servers", None).await?;
    let tools = text(&servers, "/resource_servers/0/id")?;
    let named = json!({ "name": "MCP tools", "resource": "https://mcp.example.com/" });
    story.home(Method::PATCH, &format!("/authsec/resource-servers/{tools}"), Some(named)).await?;
    let payments = json!({ "name": "Payments API", "resource": "https://payments.example.com/mcp",
        "policy": { "admission": { "dcr": "review" }, "scope_ceiling": "payments:read payments:write" } });
    let payments = text(&story.home(Method::POST, "/authsec/resource-servers", Some(payments)).await?, "/id")?;
    let search = json!({ "name": "Docs search", "resource": "https://search.example.com/mcp", "registration_modes": ["cimd", "prereg"] });
    let search = text(&story.home(Method::POST, "/authsec/resource-servers", Some(search)).await?, "/id")?;
    let billing = json!({ "name": "Billing API", "resource": "https://billing.acme.example/mcp",
        "policy": { "admission": { "dcr": "review" }, "scope_ceiling": "billing:read billing:write" } });
    let billing = text(&story.call("acme", Method::POST, "/authsec/resource-servers", Some(billing)).await?, "/id")?;

    let mut came = 0;
    let mut next = || {
        pace(came);
        came += 1;
    };
    let register = format!("/rs/{tools}/oauth/register");
    let (mut claude, mut others) = (Vec::new(), visitors().into_iter());
    for instance in 0..INSTANCES {
        next();
        let port = 33_417 + 61 * instance;
        let body = json!({ "client_name": "Claude Code", "redirect_uris": [format!("http://localhost:{port}/callback")],
            "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"], "token_endpoint_auth_method": "none" });
        claude.push(story.anybody(&register, body).await?);
        // The others come in between.
        for body in others.by_ref().take(usize::from(instance % 3 != 1)) {
            next();
            story.anybody(&register, body).await?;
        }
    }

    for (server, body) in [
        (&tools, json!({ "client_name": "nightly-ci", "scope": "tools:read" })),
        (&tools, json!({ "client_name": "release-ci", "redirect_uris": ["https://ci.example.com/oauth/callback"] })),
        (&payments, json!({ "client_name": "ledger-export", "scope": "payments:read" })),
        (&search, json!({ "client_name": "Intranet search", "redirect_uris": ["https://intranet.example.com/search/cb"] })),
    ] {
        next();
        story.home(Method::POST, &format!("/authsec/resource-servers/{server}/clients"), Some(body)).await?;
    }

    next();
    let dashboard = json!({ "client_name": "Acme Dashboard", "redirect_uris": ["https://dash.example.com/cb"], "client_uri": "https://dash.example.com/" });
    let dashboard = story.anybody(&register, dashboard).await?;
    let wider = json!({ "client_id": text(&dashboard, "/client_id")?, "client_name": "Acme Dashboard", "client_uri": "https://dash.example.com/",
        "redirect_uris": ["https://dash.example.com/cb", "https://dash-staging.example.net/cb"] });
    next();
    let management = format!("/oauth/register/{}", text(&dashboard, "/client_id")?);
    let holder = text(&dashboard, "/registration_access_token")?;
    story.house.call(Method::PUT, &management, Some(&holder), Some(wider)).await?;

    let suspended = text(claude.first().unwrap_or(&Value::Null), "/client_id")?;
    let reason = json!({ "reason": "laptop reported lost" });
    story.home(Method::POST, &format!("/authsec/resource-servers/{tools}/clients/{suspended}/suspend"), Some(reason)).await?;

    // Two wait at the Payments API, and one of them bears a name that is somebody else's.
    for body in [
        json!({ "client_name": "Expense Agent", "redirect_uris": ["https://agent.example.org/cb"] }),
        json!({ "client_name": "CIaude Code", "redirect_uris": ["https://claude-code.example.net/callback"], "token_endpoint_auth_method": "none" }),
    ] {
        next();
        story.anybody(&format!("/rs/{payments}/oauth/register"), body).await?;
    }
    next();
    let waiting = json!({ "client_name": "Invoice Agent", "redirect_uris": ["https://agent.example.org/cb"], "resource": "https://billing.acme.example/mcp" });
    story.anybody("/oauth/register", waiting).await?;

    Ok(vec![
        format!("tenant default: {INSTANCES} instances of Claude Code (one suspended), {} other clients that registered themselves", visitors().len()),
        "tenant default: four clients entered by hand, a staged redirect change, two that wait at the Payments API, one of them a look-alike".to_owned(),
        format!("tenant acme: {billing} (Billing API) reviews whoever registers; one client waits"),
    ])
}

/// What other clients of today send.
fn visitors() -> Vec<Value> {
    let public = |name: &str, uris: &[&str]| json!({ "client_name": name, "redirect_uris": uris, "grant_types": ["authorization_code", "refresh_token"], "token_endpoint_auth_method": "none" });
    let codex = json!({ "client_name": "Codex", "redirect_uris": ["http://127.0.0.1:1455/auth/callback"], "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"], "software_id": "codex-cli", "software_version": "0.61.0" });
    let cursor = ["cursor://anysphere.cursor-mcp/oauth/callback", "http://localhost:8787/callback"];
    let mut visitors = vec![
        codex,
        public("Claude", &["https://claude.ai/api/mcp/auth_callback"]),
        public("Cursor", &cursor),
        public("Visual Studio Code", &["http://127.0.0.1:33418/", "https://vscode.dev/redirect"]),
        public("MCP Inspector", &["http://localhost:6274/oauth/callback"]),
        public("Cursor", &cursor),
        public("Gemini CLI", &["http://localhost:7777/oauth/callback"]),
        public("Visual Studio Code", &["http://127.0.0.1:33418/", "https://vscode.dev/redirect"]),
        public("LM Studio", &["http://127.0.0.1:41343/callback"]),
        public("Cursor", &cursor),
    ];
    for connector in ["0Qm3vT", "7bYhLx", "Rk91pe", "zD4wSn"] {
        visitors.push(json!({ "client_name": "ChatGPT", "redirect_uris": [format!("https://chatgpt.com/connector/oauth/{connector}")] }));
    }
    visitors
}

/// The instance that the story is told to, and who tells it.
struct Story<'a> {
    house: Running,
    minter: &'a AdminMinter,
}

impl<'a> Story<'a> {
    fn at(url: &str, minter: &'a AdminMinter) -> Result<Self, Failed> {
        Ok(Self { house: Running::at(url)?, minter })
    }

    /// Whether the instance has anything but the one resource server that a fresh one has.
    async fn is_in_use(&self) -> Result<bool, Failed> {
        let servers = self.home(Method::GET, "/authsec/resource-servers", None).await?;
        let servers = servers.pointer("/resource_servers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let [only] = servers else { return Ok(!servers.is_empty()) };
        let clients = self.home(Method::GET, &format!("/authsec/resource-servers/{}/clients?limit=1", text(only, "/id")?), None).await?;
        let is_empty = clients.pointer("/clients").and_then(Value::as_array).is_some_and(Vec::is_empty);
        Ok(!is_empty || only.get("name").and_then(Value::as_str) != Some("default"))
    }

    /// Somebody who registers themselves.
    async fn anybody(&self, path: &str, body: Value) -> Result<Value, Failed> {
        self.house.call(Method::POST, path, None, Some(body)).await
    }

    /// An administrator of the tenant `default`.
    async fn home(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, Failed> {
        self.call("default", method, path, body).await
    }

    async fn call(&self, tenant: &str, method: Method, path: &str, body: Option<Value>) -> Result<Value, Failed> {
        let tenant = TenantId::parse(tenant).map_err(|error| Failed::because("failed to name a tenant", error))?;
        let admin = Admin { tenant, subject: "demo".to_owned(), role: Role::Admin };
        let token = self.minter.mint(&admin, TimeDelta::minutes(10)).map_err(|error| Failed::because("failed to make a token", error))?;
        self.house.call(method, path, Some(&token), body).await
    }

    async fn enter_document(&self, url: &str) -> Result<(), Failed> {
        let servers = self.home(Method::GET, "/authsec/resource-servers", None).await?;
        let path = format!("/authsec/resource-servers/{}/clients/cimd", text(&servers, "/resource_servers/0/id")?);
        self.home(Method::POST, &path, Some(json!({ "client_id": url }))).await.map(drop)
    }
}

fn text(answer: &Value, pointer: &str) -> Result<String, Failed> {
    let found = answer.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    found.ok_or_else(|| Failed::new(format!("an answer lacks {pointer}")))
}
