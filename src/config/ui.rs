//! How administrators sign in at the pages.

use std::path::PathBuf;

use reqwest::Url;

use super::{ConfigError, Settings, url};

/// The organisation's OpenID provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInSettings {
    /// Its issuer, as it writes it.
    pub issuer: String,
    /// The same as a URL, below which its metadata is.
    pub location: Url,
    /// What the provider knows these pages as.
    pub client_id: String,
    /// The file of the secret that goes with it; none for a public client.
    pub client_secret_file: Option<PathBuf>,
    /// What is asked for: `openid`, and whatever makes the provider name tenant and roles.
    pub scope: String,
}

pub(super) fn sign_in(settings: &Settings) -> Result<Option<SignInSettings>, ConfigError> {
    const ISSUER: &str = "ui-oidc-issuer";
    let Some(issuer) = &settings.ui_oidc_issuer else {
        let alone = [
            ("ui-oidc-client-id", settings.ui_oidc_client_id.is_some()),
            ("ui-oidc-client-secret-file", settings.ui_oidc_client_secret_file.is_some()),
            ("ui-oidc-scope", settings.ui_oidc_scope.is_some()),
        ];
        return match alone.into_iter().find(|(_, given)| *given) {
            Some((name, _)) => Err(ConfigError::Needs { name, missing: "`ui-oidc-issuer`" }),
            None => Ok(None),
        };
    };
    let location = url::protected(ISSUER, issuer)?;
    if location.query().is_some() {
        return Err(ConfigError::invalid(ISSUER, "has a query"));
    }
    let client_id = settings.ui_oidc_client_id.clone().ok_or(ConfigError::Needs { name: ISSUER, missing: "`ui-oidc-client-id`" })?;
    let scope = settings.ui_oidc_scope.clone().unwrap_or_else(|| "openid".to_owned());
    if !scope.split(' ').any(|token| token == "openid") {
        return Err(ConfigError::invalid("ui-oidc-scope", "has no openid in it"));
    }
    let client_secret_file = settings.ui_oidc_client_secret_file.clone();
    Ok(Some(SignInSettings { issuer: issuer.clone(), location, client_id, client_secret_file, scope }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_needs_an_issuer_and_a_client_id() {
        let given = |issuer: Option<&str>, client_id: Option<&str>, scope: Option<&str>| Settings {
            ui_oidc_issuer: issuer.map(str::to_owned),
            ui_oidc_client_id: client_id.map(str::to_owned),
            ui_oidc_scope: scope.map(str::to_owned),
            ..Settings::default()
        };
        let refusal = |settings: &Settings| sign_in(settings).unwrap_err().to_string();
        assert_eq!(sign_in(&given(None, None, None)).unwrap(), None);
        let found = sign_in(&given(Some("https://id.example/realm"), Some("gatebook"), None)).unwrap().unwrap();
        assert_eq!((found.issuer.as_str(), found.scope.as_str()), ("https://id.example/realm", "openid"));
        assert_eq!(refusal(&given(Some("https://id.example"), None, None)), "setting `ui-oidc-issuer` needs `ui-oidc-client-id`");
        assert_eq!(refusal(&given(None, Some("gatebook"), None)), "setting `ui-oidc-client-id` needs `ui-oidc-issuer`");
        assert!(refusal(&given(Some("http://id.example"), Some("gatebook"), None)).contains("is not https"));
        assert!(refusal(&given(Some("https://id.example"), Some("gatebook"), Some("email"))).contains("no openid"));
    }
}
