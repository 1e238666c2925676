//! Redirect rules for known vendors, shipped as data. A version is never edited: a vendor that moves gets a new one, and a
//! policy names the version that it was written with.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::RedirectRule;

/// A vendor's redirect rules.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Preset {
    /// The name in a policy.
    pub preset: String,
    /// Counted per name from 1.
    pub version: u16,
    /// What the vendor does, for people.
    pub about: String,
    /// The rules; never another preset.
    pub rules: Vec<RedirectRule>,
}

static PRESETS: LazyLock<Vec<Preset>> = LazyLock::new(|| serde_json::from_str(include_str!("presets.json")).unwrap_or_default());

/// Every version of every preset that this build knows.
pub fn presets() -> &'static [Preset] {
    &PRESETS
}

/// One version of one preset.
pub(crate) fn find(preset: &str, version: u16) -> Option<&'static Preset> {
    PRESETS.iter().find(|known| known.preset == preset && known.version == version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::Admission;
    use crate::redirect::RedirectUris;
    use crate::resource_server::Policy;

    fn policy_of(preset: &str) -> Policy {
        Policy { redirect_rules: vec![RedirectRule::Preset { preset: preset.to_owned(), version: 1 }], ..Policy::default() }
    }

    fn admits(preset: &str, uri: &str) -> bool {
        policy_of(preset).judge(&RedirectUris::parse([uri]).unwrap()) == Ok(Admission::Auto)
    }

    #[test]
    fn each_vendor_is_expected_where_it_comes_back_to_and_nowhere_else() {
        for (preset, expected) in [
            ("claude", "https://claude.ai/api/mcp/auth_callback"),
            ("claude", "http://localhost:33417/callback"),
            ("chatgpt", "https://chatgpt.com/connector/oauth/abc"),
            ("chatgpt", "https://chatgpt.com/connector_platform_oauth_redirect"),
            ("vscode", "https://vscode.dev/redirect"),
            ("vscode", "http://127.0.0.1:33418/"),
            ("cursor", "cursor://anysphere.cursor-mcp/oauth/callback"),
            ("gemini", "https://oauth-redirect.googleusercontent.com/r/user-1"),
        ] {
            assert!(admits(preset, expected), "{preset} {expected}");
        }
        for (preset, foreign) in [
            ("claude", "https://claude.ai/api/mcp/auth_callback2"),
            ("chatgpt", "https://chatgpt.com/connector/oauth/../../evil"),
            ("chatgpt", "https://chatgpt.com.evil.example/connector/oauth/abc"),
            ("vscode", "https://vscode.dev/redirect?to=https://evil.example"),
            ("cursor", "cursor://evil/oauth/callback"),
            ("gemini", "https://oauth-redirect.googleusercontent.com/s/user-1"),
        ] {
            assert!(!admits(preset, foreign), "{preset} {foreign}");
        }
    }

    #[test]
    fn the_data_is_there_makes_sense_and_names_no_preset_inside_a_preset() {
        assert_eq!(presets().len(), 5);
        for preset in presets() {
            let policy = Policy { redirect_rules: preset.rules.clone(), ..Policy::default() };
            assert_eq!(policy.check(), Ok(()), "{}", preset.preset);
            assert!(!preset.rules.iter().any(|rule| matches!(rule, RedirectRule::Preset { .. })));
        }
        assert!(policy_of("nobody").check().is_err());
    }
}
