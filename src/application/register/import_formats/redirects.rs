//! The redirect URIs of an imported client: those that can serve are kept, each other one is a note.

use gatebook_events::metadata::{ApplicationType, GrantType};
use gatebook_events::redirect::RedirectUri;
use serde_json::{Map, Value};

use super::{Refused, shown, text, texts};

/// The grants that end with an answer to a redirect URI, and the one that goes on from it.
const BY_REDIRECT: [GrantType; 2] = [GrantType::AuthorizationCode, GrantType::RefreshToken];

/// Leaves out what cannot serve. A client none of whose grants needs a redirect URI comes without any; one that loses all of
/// them loses the grants that need one, and is refused if it has no other.
pub(super) fn keep_usable(members: &mut Map<String, Value>, notes: &mut Vec<String>) -> Result<(), Refused> {
    let asked: Vec<GrantType> = texts(members.get("grant_types")).filter_map(GrantType::known).collect();
    // RFC 7591 §2: without a word the grant is authorization_code.
    let by_code = asked.contains(&GrantType::AuthorizationCode) || no_texts(members.get("grant_types"));
    let uris: Vec<String> = texts(members.get("redirect_uris")).map(str::to_owned).collect();
    if !by_code {
        members.remove("redirect_uris");
        if !uris.is_empty() {
            notes.push("without its redirect URIs, which its grants do not use".to_owned());
        }
        return Ok(());
    }
    let web = text(members, "application_type").and_then(ApplicationType::known) == Some(ApplicationType::Web);
    let (mut kept, mut lost) = (Vec::new(), Vec::new());
    for uri in uris {
        match RedirectUri::parse(&uri) {
            Err(problem) => lost.push((uri, problem.to_string())),
            Ok(parsed) if web && (parsed.is_loopback() || parsed.private_use_scheme().is_some()) => {
                lost.push((uri, "leads to the user's machine, which a client of the type web cannot have".to_owned()));
            }
            Ok(_) => kept.push(uri),
        }
    }
    let others: Vec<GrantType> = asked.into_iter().filter(|grant| !BY_REDIRECT.contains(grant)).collect();
    match lost.first() {
        None => return Ok(()),
        Some((uri, problem)) if kept.is_empty() && others.is_empty() => {
            return Err(Refused::Redirect { uri: shown(uri), problem: problem.clone() });
        }
        Some(_) => {}
    }
    notes.extend(lost.iter().map(|(uri, problem)| format!("without the redirect URI {}, which {problem}", shown(uri))));
    if kept.is_empty() {
        notes.push("without the grant authorization_code, which needs a redirect URI".to_owned());
        members.insert("grant_types".to_owned(), others.into_iter().map(GrantType::as_str).collect());
        members.remove("response_types");
    }
    members.insert("redirect_uris".to_owned(), kept.into());
    Ok(())
}

fn no_texts(value: Option<&Value>) -> bool {
    texts(value).next().is_none()
}
