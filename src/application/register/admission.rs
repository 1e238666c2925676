//! One judge for every way in: a resource server's rules, its ceiling and the caps are asked here, all of one reading of the rules,
//! when a client registers and when one that is there already is bound. What they refuse leaves nothing stored.

use gatebook_events::Rejection;
use gatebook_events::admission::RegistrationType;
use gatebook_events::admission::Status;
use gatebook_events::client::{Client, Profile};
use gatebook_events::envelope::Position;
use gatebook_events::identity::{ClientId, ClientKey};
use gatebook_events::metadata::{ClientMetadata, Parsed};
use gatebook_events::registration::Registration;
use gatebook_events::stream::Stream;

use crate::aggregates::{Cause, CommandError};
use crate::application::error::UseCaseError;
use crate::application::manifests::Read;
use crate::application::quotas::Place;
use crate::application::rate_limits::Allowance;
use crate::application::register::Entered;
use crate::application::register::rules::{Guarantor, Rules, Welcome};
use crate::application::registrations::registered_at;
use crate::application::services::Services;

/// A client that comes to a resource server.
pub struct Newcomer {
    /// Which way.
    pub by: RegistrationType,
    /// Who answers for it.
    pub guarantor: Guarantor,
    /// What it says about itself.
    pub parsed: Parsed,
    /// Its key, where it has one already.
    pub key: Option<ClientKey>,
    /// Whether it registered itself before, elsewhere or nowhere, and under an identifier of its own.
    pub was_there: bool,
}

impl Newcomer {
    /// A client that registers itself, or is entered.
    pub fn new(by: RegistrationType, guarantor: Guarantor, parsed: Parsed) -> Self {
        Self { by, guarantor, parsed, key: None, was_there: false }
    }

    /// A client by the document that was just read, whether it is there already or not.
    pub fn with_document(client_id: &ClientId, metadata: &ClientMetadata, guarantor: Guarantor) -> Self {
        Self {
            by: RegistrationType::Cimd,
            guarantor,
            parsed: Parsed { metadata: metadata.clone(), ignored: vec![] },
            key: Some(client_id.key()),
            was_there: false,
        }
    }

    /// A client that is there already.
    pub fn known(profile: &Profile, guarantor: Guarantor) -> Self {
        Self {
            by: profile.registration_type,
            guarantor,
            parsed: Parsed { metadata: profile.metadata.clone(), ignored: vec![] },
            key: Some(profile.client_id.key()),
            was_there: profile.registration_type == RegistrationType::Dcr,
        }
    }
}

/// A client that may come in.
pub struct Admitted {
    /// What the rules say of it.
    pub welcome: Welcome,
    /// The client that it is one more instance of, where that one is in already.
    pub instance: Option<Entered>,
    /// What is left below the resource server's ceiling.
    pub allowance: Option<Allowance>,
    place: Place,
}

impl Admitted {
    /// It is in; its last event stands at this position.
    pub async fn fill(self, services: &Services, position: Option<Position>) {
        self.place.fill(services, position).await;
    }
}

/// Asks everything that a client which comes has to be asked. Appends nothing.
pub async fn ask(services: &Services, rules: &Rules, newcomer: Newcomer) -> Result<Admitted, UseCaseError> {
    let Newcomer { by, guarantor, parsed, key, was_there } = newcomer;
    let mut allowance = None;
    if guarantor.coming(by).by_itself() {
        allowance = services.rate_limits.admit_at(rules.id, rules.server.policy.registrations_per_minute).map_err(UseCaseError::TooMany)?;
    }
    let welcome = rules.judge(by, guarantor, parsed).map_err(CommandError::from)?;
    if was_there && welcome.shares().is_some() {
        // It would be another client than all that are like it, with a token that the others do not have.
        return Err(CommandError::from(Rejection::RegistersThere).into());
    }
    let instance = services.commands.shared(&welcome).await?;
    let mut is_in = instance.is_some();
    if let Some(key) = key {
        let registration: Registration = services.commands.load(Stream::Registration(rules.id, key)).await?;
        is_in |= registration.status != Status::None;
    }
    // Who is in already takes no room.
    let place = if is_in { Place::default() } else { services.quotas.place(services, rules).await? };
    Ok(Admitted { welcome, instance, allowance, place })
}

/// A client that came with its document.
pub struct Registered {
    /// The client, as the tenant of the resource server sees it.
    pub client: Client,
    /// Its standing there.
    pub registration: Registration,
    /// What is left below the resource server's ceiling.
    pub allowance: Option<Allowance>,
    /// Where the last event stands that this caused.
    pub position: Option<Position>,
}

/// Registers the client of a document that was just read, or of a text that an administrator entered for one. All that may refuse it is
/// asked before anything is stored.
pub async fn register_document(
    services: &Services,
    cause: &Cause,
    rules: &Rules,
    guarantor: Guarantor,
    (client_id, read): (&ClientId, Read),
) -> Result<Registered, UseCaseError> {
    let vouched = matches!(guarantor, Guarantor::Administrator);
    let admitted = ask(services, rules, Newcomer::with_document(client_id, &read.document.metadata, guarantor)).await?;
    let allowance = admitted.allowance;
    services.commands.prepare(cause, &admitted.welcome, client_id).await?;
    let registered_at = registered_at(services, client_id.key()).await?;
    let seen = services.manifests.keep(cause, &rules.tenant, client_id, &registered_at, read).await?;
    if vouched && seen.position.is_some() {
        services.manifests.follow(&seen.client, &registered_at).await?;
    }
    let client = seen.client.seen_by(&rules.tenant).into_owned();
    let done = services.commands.bind_prepared(cause, &admitted.welcome, &client, vouched).await?;
    admitted.fill(services, done.position).await;
    Ok(Registered { client, registration: done.state, allowance, position: done.position.max(seen.position) })
}
