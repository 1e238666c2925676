//! The closed vocabularies of RFC 7591 §2, with the values that this register supports.

use serde::{Deserialize, Serialize};

macro_rules! vocabulary {
    ($(#[$about:meta])* $name:ident { $($(#[$variant_about:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
        pub enum $name {
            $($(#[$variant_about])* #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// All supported values.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The value as it is written on the wire and in storage.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }

            /// The value with this name; none where it is not supported.
            pub fn known(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == text)
            }
        }
    };
}

pub(crate) use vocabulary;

vocabulary! {
    /// `token_endpoint_auth_method` (RFC 7591 §2, OIDC Core §9).
    AuthMethod {
        /// A public client.
        None = "none",
        /// The secret in HTTP Basic (RFC 6749 §2.3.1).
        ClientSecretBasic = "client_secret_basic",
        /// The secret in the body (RFC 6749 §2.3.1).
        ClientSecretPost = "client_secret_post",
        /// An assertion signed with the client's own key (RFC 7523).
        PrivateKeyJwt = "private_key_jwt",
    }
}

vocabulary! {
    /// `grant_types` (RFC 7591 §2). The implicit and password grants are not supported (RFC 9700 §2.1.2 and §2.4).
    GrantType {
        /// RFC 6749 §4.1
        AuthorizationCode = "authorization_code",
        /// RFC 6749 §6
        RefreshToken = "refresh_token",
        /// RFC 6749 §4.4
        ClientCredentials = "client_credentials",
        /// RFC 8628
        DeviceCode = "urn:ietf:params:oauth:grant-type:device_code",
    }
}

vocabulary! {
    /// `response_types` (RFC 7591 §2).
    ResponseType {
        /// RFC 6749 §4.1.1
        Code = "code",
    }
}

vocabulary! {
    /// `application_type` (OIDC Registration §2).
    ApplicationType {
        /// Runs on a server.
        Web = "web",
        /// Runs on the user's machine (RFC 8252).
        Native = "native",
    }
}
