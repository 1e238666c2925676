//! When an initial access token may be used.

use super::event::{Issued, Revoked, Used};
use super::{InitialAccessToken, InitialAccessTokenCommand as Command, InitialAccessTokenEvent as Event, Life};
use crate::admission::Usability;
use crate::{Aggregate, Rejection};

pub(super) fn decide(token: &InitialAccessToken, command: &Command) -> Result<Vec<Event>, Rejection> {
    match (token.life, command) {
        (_, Command::Issue { .. }) => issue(token, command),
        (Life::None, Command::Use { .. } | Command::Revoke { .. }) => Err(Rejection::NoSuchInitialAccessToken),
        (Life::Issued | Life::Revoked, Command::Use { client_id, at }) => match token.usability(*at) {
            Usability::Active => Ok(vec![Event::Used(Used { client_id: client_id.clone(), count: token.uses.saturating_add(1) })]),
            over @ (Usability::Expired | Usability::UsedUp | Usability::Revoked) => Err(Rejection::InitialAccessTokenOver(over)),
        },
        (Life::Issued, Command::Revoke { reason }) => Ok(vec![Event::Revoked(Revoked { reason: reason.clone() })]),
        (Life::Revoked, Command::Revoke { .. }) => Ok(vec![]),
    }
}

fn issue(token: &InitialAccessToken, command: &Command) -> Result<Vec<Event>, Rejection> {
    let Command::Issue { tenant, label, token: hash, expires_at, max_uses, clamps, at } = command else { return Ok(vec![]) };
    let issued = Event::Issued(Issued {
        tenant: tenant.clone(),
        label: label.clone(),
        token: *hash,
        expires_at: *expires_at,
        max_uses: *max_uses,
        clamps: clamps.clone(),
    });
    let fresh = InitialAccessToken::default().evolve(&issued);
    match token.life {
        Life::None if fresh.usability(*at) != Usability::Active => Err(Rejection::NeverUsable),
        Life::None => Ok(vec![issued]),
        Life::Issued if fresh == *token => Ok(vec![]),
        Life::Issued | Life::Revoked => Err(Rejection::AlreadyExists),
    }
}
