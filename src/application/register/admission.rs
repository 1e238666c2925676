//! One judge for every way in: a resource server's rules, its ceiling and the caps are asked here, all of one reading of the rules,
//! when a client registers and when one that is there already is bound.

use gatebook_events::Rejection;
use gatebook_events::admission::RegistrationType;
use gatebook_events::admission::Status;
use gatebook_events::client::Profile;
use gatebook_events::envelope::Position;
use gatebook_events::identity::ClientKey;
use gatebook_events::metadata::Parsed;
use gatebook_events::registration::Registration;
use gatebook_events::stream::Stream;

use crate::aggregates::CommandError;
use crate::application::error::UseCaseError;
use crate::application::quotas::Place;
use crate::application::rate_limits::Allowance;
use crate::application::register::Entered;
use crate::application::register::rules::{Guarantor, Rules, Welcome};
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
