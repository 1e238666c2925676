//! What an authorization server or a gateway asks before it lets a client in: one answer, from the log as it is now.

use std::net::IpAddr;
use std::sync::Arc;

use gatebook_events::Rejection;
use gatebook_events::admission::RegistrationType;
use gatebook_events::admission::Status;
use gatebook_events::answer_version::AnswerVersion;
use gatebook_events::client::{Client, Life, Profile};
use gatebook_events::decision::{self, Question, Reason, Side, Surroundings, Verdict, Warning};
use gatebook_events::envelope::{Actor, ActorKind, Position};
use gatebook_events::identity::{ClientId, ResourceServerId, TenantId};
use gatebook_events::look_alike::document_host;
use gatebook_events::manifest::Trouble;
use gatebook_events::metadata::ClientMetadata;
use gatebook_events::registration::Registration;
use gatebook_events::resource_server::{Coming, ResourceServer};
use gatebook_events::standing::{self, Decision, Facts};
use gatebook_events::stream::Stream;
use gatebook_projections::directory::LookAlike;

use crate::aggregates::{Cause, CommandError, Commands, Done, History};
use crate::application::error::UseCaseError;
use crate::application::look_alikes::Shown;
use crate::application::look_alikes::look_alike;
use crate::application::metrics::Outcome;
use crate::application::register::admission::{self, Newcomer};
use crate::application::register::rules::{Guarantor, Rules};
use crate::application::registrations::registered_at;
use crate::application::services::Services;
use crate::outbound::{Asker, FetchFailure, Urgency};

pub(crate) mod grant;

pub use crate::application::decisions::grant::{Presented, grant, prove, still_granted};

/// The answer at a door.
#[derive(Debug)]
pub struct Answer {
    /// Allow, deny or pending, and why.
    pub verdict: Verdict,
    /// What whoever asks the user for consent should know.
    pub warnings: Vec<Warning>,
    /// The approved client from elsewhere that it looks like.
    pub resembles: Option<LookAlike>,
    /// The client as it is effective there; none where there is none to speak of.
    pub client: Option<Effective>,
    /// From which state of the client that was answered.
    pub version: Option<AnswerVersion>,
    /// Where the last event stands that the question itself caused; a client that is met for the first time causes some.
    pub position: Option<Position>,
    /// After how many seconds another question may find out more, where that is known.
    pub retry_after: Option<u64>,
}

/// A client as it is effective at one resource server.
#[derive(Debug)]
pub struct Effective {
    /// Who it is.
    pub profile: Profile,
    /// What the resource server's rules leave of what was admitted of what it says; its redirect URIs are those that serve.
    pub metadata: ClientMetadata,
    /// How it stands there.
    pub registration: Registration,
}

impl Effective {
    /// The client as it proves itself there: by the method and keys that were admitted, whatever it claims meanwhile.
    pub fn acting(&self) -> Profile {
        Profile { metadata: self.metadata.clone(), ..self.profile.clone() }
    }
}

/// What a caller refers to: the client, and the answer that the question goes on from.
pub struct Subject<'a> {
    /// Who.
    pub client_id: &'a ClientId,
    /// What an earlier answer said it was given from.
    pub since: Option<AnswerVersion>,
    /// Where the user came from, if that is told: what is fetched is counted for it.
    pub source: Option<IpAddr>,
}

/// Answers a question about a client at a resource server, and takes note that it was asked.
pub async fn ask(
    services: &Services,
    server_id: ResourceServerId,
    subject: &Subject<'_>,
    question: &Question<'_>,
) -> Result<Answer, UseCaseError> {
    let answer = look(services, server_id, subject, question).await?;
    take_note(services, server_id, subject, question, answer).await
}

/// Takes note of an answer that a client goes on from: that it is used, if it may act. One that is dormant is revived first, or
/// waits for an administrator from now on, as the resource server's rules have it; the answer is then how it stands after that.
async fn take_note(
    services: &Services,
    server_id: ResourceServerId,
    subject: &Subject<'_>,
    question: &Question<'_>,
    mut answer: Answer,
) -> Result<Answer, UseCaseError> {
    let key = subject.client_id.key();
    let dormant = answer.client.as_ref().map(|client| client.registration.status).filter(|status| status.is_dormant());
    if let Some(status) = dormant.filter(|_| answer.verdict.reason.decision() != Decision::Deny) {
        let used = services.commands.use_dormant(server_id, key).await?;
        if used.position.is_some() {
            services.metrics.dormancy(if used.state.status == Status::Approved { "revived" } else { "queued" });
        }
        if used.state.status != status {
            let position = answer.position.max(used.position);
            answer = look(services, server_id, subject, question).await?;
            answer.position = answer.position.max(position);
        }
    }
    if answer.verdict.reason.decision() == Decision::Allow {
        services.usage.seen(server_id, key, services.commands.clock().now());
    }
    Ok(answer)
}

/// Answers a question without taking note of it; what a dormant client is allowed is what it will be once it is used. A client
/// that is met for the first time by the URL of its document is read, entered and registered by the resource server's rules
/// first; another look never changes anything.
pub async fn look(
    services: &Services,
    server_id: ResourceServerId,
    subject: &Subject<'_>,
    question: &Question<'_>,
) -> Result<Answer, UseCaseError> {
    let commands = &services.commands;
    let rules = commands.rules(server_id).await?;
    let server = &rules.server;
    let client_id = subject.client_id;
    let key = client_id.key();
    let mut clients: Arc<History<Client>> = commands.history(Stream::Client(key)).await?;
    if clients.now().client_id().is_some_and(|known| known != client_id) {
        return nowhere(services, server_id).await;
    }
    let mut registrations: Arc<History<Registration>> = commands.history(Stream::Registration(server_id, key)).await?;
    let mut position = None;
    if registrations.now().status == Status::None && server.is_active() {
        match first_sight(services, &rules, subject, &clients.now().seen_by(&rules.tenant)).await {
            Ok(None) => {}
            Ok(Some(met)) => {
                clients = commands.history(Stream::Client(key)).await?;
                registrations = commands.history(Stream::Registration(server_id, key)).await?;
                position = met.0;
            }
            Err(FirstSight::No(reason)) => return Ok(nobody(reason)),
            Err(FirstSight::NotTried(reason, seconds)) => return Ok(Answer { retry_after: Some(seconds), ..nobody(reason) }),
            Err(FirstSight::Failed(failure)) => return Err(failure),
        }
    }
    let ((client, told), registration) = (clients.seen_by(&rules.tenant), registrations.now());
    if registration.status == Status::None {
        return nowhere(services, server_id).await;
    }
    let standing = services.commands.standing(server_id, client.life, registration).await?.once_used(server.policy.revive);
    let Some(profile) = client.registered().cloned() else { return Ok(nobody(Reason::Standing(standing))) };
    let metadata = effective(server, &profile, registration);
    let now = Side { registration, metadata: &metadata };
    let (verdict, changed) = match subject.since {
        None => (decision::answer(standing, registration, &metadata, question), false),
        Some(version) => {
            let then = commands.client_as_of(&rules.tenant, key, &clients, version.client).await?;
            let then = then.zip(commands.as_of(Stream::Registration(server_id, key), &registrations, version.registration).await?);
            let then = then.and_then(|(client, registration)| {
                let profile = client.registered()?;
                Some((effective(server, profile, &registration), registration))
            });
            let then = then.as_ref().map(|(metadata, registration)| Side { registration, metadata });
            (decision::answer_since(standing, now, then, question), !then.is_some_and(|then| then.same(now)))
        }
    };
    let shown = Shown {
        name: metadata.client_name.as_deref(),
        client_id,
        registration_type: profile.registration_type,
        redirect_uris: &metadata.redirect_uris,
    };
    let resembles = look_alike(services, &rules.tenant, &shown).await;
    let document_host = document_host(client_id, profile.registration_type);
    let came = registrations.first();
    let known = Surroundings {
        document_host: document_host.as_deref(),
        document_entered: profile.manifest.as_ref().is_some_and(|manifest| manifest.entered_for.is_some()),
        unreachable_since: profile.manifest.as_ref().and_then(|manifest| manifest.unreachable_since),
        likeness: resembles.as_ref().map(|other| other.likeness),
        came_with: came.map(|came| &came.redirect_uris),
    };
    let mut warnings = decision::warnings(registration, question.redirect_uri, known);
    warnings.extend(changed.then_some(Warning::RegistrationChanged));
    let moved = server.policy.has_moved(profile.registration_type, &profile.metadata, registration);
    warnings.extend(moved.then_some(Warning::MetadataChanged));
    let document = client.document_version();
    let version = AnswerVersion { client: told, registration: registrations.len(), document };
    let client = Some(Effective { profile, metadata, registration: registration.clone() });
    Ok(Answer { verdict, warnings, resembles, client, version: Some(version), position, retry_after: None })
}

/// What the resource server's rules leave of what was admitted there of what a client says, with the redirect URIs that serve.
fn effective(server: &ResourceServer, profile: &Profile, registration: &Registration) -> ClientMetadata {
    // What the rules no longer leave anything of was registered under others: it keeps what it had.
    let admitted = registration.admitted(&profile.metadata);
    let mut metadata = server.policy.constrain(profile.registration_type, admitted.clone()).unwrap_or(admitted);
    metadata.redirect_uris = registration.redirect_uris.clone();
    metadata
}

/// Of a client that is not registered there nothing is said but that, whether it exists elsewhere or nowhere.
async fn nowhere(services: &Services, server: ResourceServerId) -> Result<Answer, UseCaseError> {
    Ok(nobody(Reason::Standing(services.commands.standing(server, Life::Unregistered, &Registration::default()).await?)))
}

fn nobody(reason: Reason) -> Answer {
    Answer {
        verdict: Verdict { reason, redirect_uri: None },
        warnings: Vec::new(),
        resembles: None,
        client: None,
        version: None,
        position: None,
        retry_after: None,
    }
}

/// A client was registered just now; where that stands, unless somebody else was faster.
struct Met(Option<Position>);

enum FirstSight {
    No(Reason),
    /// The host of its document was not asked; after so many seconds it may be.
    NotTried(Reason, u64),
    Failed(UseCaseError),
}

impl FirstSight {
    /// What it means that a document could not be read.
    fn unread(failure: &FetchFailure) -> Self {
        if let Some(seconds) = failure.not_tried_for() {
            // Left alone because the last attempt failed is another matter than a budget that is spent.
            let failed = failure.trouble == Trouble::BackingOff;
            return Self::NotTried(if failed { Reason::DocumentNotReached } else { Reason::DocumentNotTried }, seconds);
        }
        Self::of(failure.clone().into(), RegistrationType::Cimd)
    }

    /// What a refusal means for a client that comes this way.
    fn of(failure: UseCaseError, by: RegistrationType) -> Self {
        let UseCaseError::Command(CommandError::Rejected(rejection)) = &failure else {
            return match failure {
                UseCaseError::TooMany(_) => Self::No(Reason::TooManyRegistrations),
                UseCaseError::Document { trouble, .. } if !trouble.is_about_the_document() => Self::No(Reason::DocumentNotReached),
                UseCaseError::Document { .. } => Self::No(Reason::DocumentUnusable),
                failure => Self::Failed(failure),
            };
        };
        Self::No(match (rejection, by) {
            (Rejection::ModeNotAdmitted(_), _) => Reason::ModeNotAdmitted,
            (Rejection::Full(_), _) => Reason::RegisterFull,
            (Rejection::InitialAccessTokenRequired, _) => Reason::TokenRequired,
            // What the document says is not welcome here.
            (_, RegistrationType::Cimd) => Reason::DocumentUnusable,
            (_, RegistrationType::Dcr | RegistrationType::Prereg) => Reason::RulesNotMet,
        })
    }
}

/// A client that nobody registered here: one with a document is read and registered by the rules; one that registered itself where
/// no resource server was meant is bound by the rules to the first that it asks for, in the tenant that sees it.
async fn first_sight(
    services: &Services,
    rules: &Rules,
    &Subject { client_id, source, .. }: &Subject<'_>,
    client: &Client,
) -> Result<Option<Met>, FirstSight> {
    let alone = |by| {
        let received = rules.server.receives(Coming::alone(by));
        received.map_err(|closed| FirstSight::of(CommandError::from(closed).into(), by))?;
        has_room(services)
    };
    let by_document = client.profile.as_ref().is_none_or(|profile| profile.manifest.is_some());
    let actor = Actor { kind: ActorKind::System, id: Some("first-sight".to_owned()), via: Some("decision".to_owned()) };
    let cause = Cause { actor, tenant: Some(rules.tenant.clone()), request_id: None, origin: None };
    let (by, done) = match client.life {
        Life::Registered => {
            let Some(profile) = client.registered() else { return Ok(None) };
            let by = profile.registration_type;
            if profile.manifest.is_none() {
                let sees_it = profile.came_to_none() && rules.tenant == TenantId::default_tenant();
                let registered = registered_at(services, client_id.key());
                if !sees_it || !registered.await.map_err(|failure| FirstSight::of(failure, by))?.is_empty() {
                    return Ok(None);
                }
            }
            alone(by)?;
            (by, take_in(services, &cause, rules, client, profile).await.map(|done| done.position))
        }
        // A document that was taken away may be back: the host is asked, as if nobody had known it.
        Life::Unregistered | Life::Withdrawn | Life::Deleted if by_document => {
            let Ok(url) = services.manifests.manifests().url(client_id.as_str()) else { return Ok(None) };
            // Nothing is fetched for a client that may not come.
            alone(RegistrationType::Cimd)?;
            let urgency = Urgency::By(Asker::new(source, Some(&rules.tenant)));
            let read = services.manifests.read(&url, urgency).await.map_err(|failure| FirstSight::unread(&failure))?;
            let done = admission::register_document(services, &cause, rules, Guarantor::Nobody, (client_id, read)).await;
            (RegistrationType::Cimd, done.map(|registered| registered.position))
        }
        Life::Unregistered | Life::Withdrawn | Life::Deleted => return Ok(None),
    };
    services.metrics.registered(by, Outcome::of(&done));
    Ok(Some(Met(done.map_err(|failure| FirstSight::of(failure, by))?)))
}

/// Registers a client that nobody answers for, where the rules welcome it and there is room.
async fn take_in(
    services: &Services,
    cause: &Cause,
    rules: &Rules,
    client: &Client,
    profile: &Profile,
) -> Result<Done<Registration>, UseCaseError> {
    let admitted = admission::ask(services, rules, Newcomer::known(profile, Guarantor::Nobody)).await?;
    let done = services.commands.bind(cause, &admitted.welcome, client, false).await?;
    admitted.fill(services, done.position).await;
    Ok(done)
}

/// Who comes in by a question is a stranger.
fn has_room(services: &Services) -> Result<(), FirstSight> {
    if services.disk_space.has_some_for_strangers() { Ok(()) } else { Err(FirstSight::Failed(UseCaseError::NoRoom)) }
}

/// The resource server that a caller of this tenant means: the tenant's own with this identifier, else its only one.
pub async fn resource_server(
    services: &Services,
    tenant: &TenantId,
    resource: Option<&str>,
) -> Result<Option<ResourceServerId>, UseCaseError> {
    Ok(services.commands.known_servers().await?.of_tenant(tenant, resource))
}

impl Commands {
    /// How a client stands at a resource server.
    pub async fn standing(
        &self,
        server: ResourceServerId,
        client: Life,
        registration: &Registration,
    ) -> Result<standing::Reason, CommandError> {
        let server = self.resource_server(server).await?;
        Ok(standing::standing(Facts {
            client,
            registration: registration.status,
            resource_server: server.life,
            on_withdrawal: server.policy.manifests.on_withdrawal,
            mode_suspended: registration.registration_type.is_some_and(|kind| server.suspended.contains(&kind)),
        }))
    }
}
