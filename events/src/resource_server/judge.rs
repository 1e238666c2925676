//! The one judge of clients that come to a resource server, whichever way they come, and of what a registration may become.

use super::{Life, Policy, ResourceServer};
use crate::Rejection;
use crate::admission::{Admission, RegistrationType};
use crate::clamps::Clamps;
use crate::client::Profile;
use crate::family::FamilyName;
use crate::metadata::ClientMetadata;
use crate::registration::Registration;

/// How a client comes to a resource server, and who answers for it.
#[derive(Debug, Clone, Copy)]
pub struct Coming<'a> {
    /// The way.
    pub by: RegistrationType,
    /// Who answers for it.
    pub warrant: Warrant<'a>,
}

/// Who answers for a client that comes.
#[derive(Debug, Clone, Copy)]
pub enum Warrant<'a> {
    /// Nothing does.
    Nothing,
    /// An initial access token of this resource server that is good, with what it allows at most.
    Token(&'a Clamps),
    /// An administrator of the resource server's tenant, who enters it.
    Administrator,
}

/// What becomes of a client that is welcome.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// Its metadata as they will be registered.
    pub metadata: ClientMetadata,
    /// Whether it is approved at once.
    pub admission: Admission,
}

impl<'a> Coming<'a> {
    /// A client for which nothing and nobody answers.
    pub const fn alone(by: RegistrationType) -> Self {
        Self { by, warrant: Warrant::Nothing }
    }

    /// A client that registers itself, with what its initial access token allows if it presented one.
    pub fn itself(token: Option<&'a Clamps>) -> Self {
        Self { by: RegistrationType::Dcr, warrant: token.map_or(Warrant::Nothing, Warrant::Token) }
    }

    /// A client that an administrator enters.
    pub const fn entered(by: RegistrationType) -> Self {
        Self { by, warrant: Warrant::Administrator }
    }

    /// Whether no administrator enters it, so that it counts against the ceiling of those who come by themselves.
    pub const fn by_itself(self) -> bool {
        !matches!(self.warrant, Warrant::Administrator)
    }
}

impl ResourceServer {
    /// What becomes of a client that comes here. Registration, binding at a decision, documents, administrators' entries and
    /// imports all ask this, so no way in gets what another one would be refused. Whether a token is good, and whether there is
    /// room, is not for rules to say.
    pub fn judge(&self, coming: Coming<'_>, metadata: ClientMetadata) -> Result<Judgement, Rejection> {
        self.receives(coming)?;
        self.policy.judge_terms(coming, metadata)
    }

    /// Whether a client that comes so may come at all. Asked before anything is read or fetched for one that may not.
    pub fn receives(&self, coming: Coming<'_>) -> Result<(), Rejection> {
        self.open_to(coming.by)?;
        self.policy.warranted(coming)
    }

    /// Whether clients may come this way.
    pub fn open_to(&self, by: RegistrationType) -> Result<(), Rejection> {
        if self.life != Life::Active {
            return Err(Rejection::NoSuchResourceServer);
        }
        if self.modes.contains(&by) { Ok(()) } else { Err(Rejection::ModeNotAdmitted(by)) }
    }

    /// What a registration that is here may become. What its client presented when it came stands for it, and a way that was
    /// closed since is closed to newcomers only, though what it adds waits then; all else is as for one that comes now.
    pub fn judge_change(&self, by: RegistrationType, clamps: &Clamps, metadata: ClientMetadata) -> Result<Judgement, Rejection> {
        self.policy.judge_terms(Coming { by, warrant: Warrant::Token(clamps) }, metadata)
    }

    /// How what a registered client adds is heard at most: as a newcomer's, so it waits where no client may come its way any more, or
    /// not without an initial access token and it has none, or where it would make it one of a suspended family.
    pub fn hears(&self, profile: &Profile, registration: &Registration, metadata: &ClientMetadata) -> Admission {
        let by = profile.registration_type;
        let coming = match (by, profile.initial_access_token) {
            (RegistrationType::Prereg, _) => Coming::entered(by),
            (_, Some(_)) => Coming { by, warrant: Warrant::Token(&profile.clamps) },
            (_, None) => Coming::alone(by),
        };
        let claimed = FamilyName::claimed(profile, metadata);
        let joins = self.suspended_families.contains_key(&claimed) && claimed != FamilyName::admitted(profile, registration);
        if joins || self.receives(coming).is_err() { Admission::Review } else { Admission::Auto }
    }
}

impl Policy {
    /// Whether a client that comes so has what has to answer for it.
    pub fn warranted(&self, coming: Coming<'_>) -> Result<(), Rejection> {
        match coming.warrant {
            Warrant::Nothing if self.wants_token(coming.by) => Err(Rejection::InitialAccessTokenRequired),
            Warrant::Nothing | Warrant::Token(_) | Warrant::Administrator => Ok(()),
        }
    }

    /// Whether clients that come this way need an initial access token, unless an administrator enters them.
    pub fn wants_token(&self, by: RegistrationType) -> bool {
        self.require_initial_access_token && self.initial_access_token_for.contains(&by)
    }

    /// What these rules make of a client that may come: its metadata as they will be registered, and whether it is approved at once.
    pub fn judge_terms(&self, coming: Coming<'_>, metadata: ClientMetadata) -> Result<Judgement, Rejection> {
        let (metadata, admission) = match coming.warrant {
            // What its document says tomorrow would not be held to anything.
            Warrant::Token(clamps) if coming.by == RegistrationType::Cimd && !clamps.is_empty() => {
                return Err(Rejection::DocumentCannotBeClamped);
            }
            Warrant::Token(clamps) => {
                clamps.permit_redirects(&metadata.redirect_uris)?;
                self.clamped(clamps)?.admit(coming.by, metadata)?
            }
            Warrant::Nothing | Warrant::Administrator => self.admit(coming.by, metadata)?,
        };
        // Who reads a document and enters its client has looked; who fills in a form is looked at by another, where rules want that.
        let looked_at = matches!(coming.warrant, Warrant::Administrator) && coming.by == RegistrationType::Cimd;
        Ok(Judgement { metadata, admission: if looked_at { Admission::Auto } else { admission } })
    }
}
