//! One judge for every way in: a resource server's rules, its ceiling and the caps are asked here, all of one reading of the rules,
//! when a client registers and when one that is there already is bound.

use gatebook_events::Rejection;
use gatebook_events::client::Profile;
use gatebook_events::envelope::Position;
use gatebook_events::identity::{ClientKey, Stream};
use gatebook_events::metadata::Parsed;
use gatebook_events::registration::{Registration, Status};
use gatebook_events::resource_server::RegistrationType;

use crate::aggregates::CommandError;
use crate::application::quotas::Place;
use crate::application::rate_limits::Allowance;
use crate::application::register::Entered;
use crate::application::register::rules::{Guarantor, Rules, Welcome};
use crate::bootstrap::App;
use crate::http::error::Failure;

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
    pub async fn fill(self, app: &App, position: Option<Position>) {
        self.place.fill(app, position).await;
    }
}

/// Asks everything that a client which comes has to be asked. Appends nothing.
pub async fn ask(app: &App, rules: &Rules, newcomer: Newcomer) -> Result<Admitted, Failure> {
    let Newcomer { by, guarantor, parsed, key, was_there } = newcomer;
    let mut allowance = None;
    if guarantor.coming(by).by_itself() {
        allowance = app.ceilings().admit_at(rules.id, rules.server.policy.registrations_per_minute).map_err(Failure::TooMany)?;
    }
    let welcome = rules.judge(by, guarantor, parsed).map_err(CommandError::from)?;
    if was_there && welcome.shares().is_some() {
        // It would be another client than all that are like it, with a token that the others do not have.
        return Err(CommandError::from(Rejection::RegistersThere).into());
    }
    let instance = app.commands().shared(&welcome).await?;
    let mut is_in = instance.is_some();
    if let Some(key) = key {
        let registration: Registration = app.commands().load(Stream::Registration(rules.id, key)).await?;
        is_in |= registration.status != Status::None;
    }
    // Who is in already takes no room.
    let place = if is_in { Place::default() } else { app.census().place(app, rules).await? };
    Ok(Admitted { welcome, instance, allowance, place })
}
