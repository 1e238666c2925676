//! Addresses to listen at, in the forms that people write.

use std::net::{Ipv4Addr, SocketAddr};

use super::ConfigError;

/// `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`; a port alone, with a colon or without, is one of the loopback address.
pub(super) fn parsed(name: &'static str, text: Option<&str>) -> Result<Option<SocketAddr>, ConfigError> {
    const EXPECTED: &str = "an address and port such as 127.0.0.1:8080, nor a port alone such as 8080";
    let parse = |text: &str| {
        let port = text.strip_prefix("localhost:").or_else(|| text.strip_prefix(':')).unwrap_or(text);
        let local = port.parse().ok().map(|port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        local.or_else(|| text.parse().ok()).ok_or_else(|| ConfigError::invalid(name, format!("is {text:?}, not {EXPECTED}")))
    };
    text.map(|text| parse(text.trim())).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_one_of_the_loopback_address() {
        for (text, meant) in [
            ("8081", "127.0.0.1:8081"),
            (":8081", "127.0.0.1:8081"),
            ("localhost:8081", "127.0.0.1:8081"),
            ("0.0.0.0:0", "0.0.0.0:0"),
            ("[::1]:8081", "[::1]:8081"),
        ] {
            assert_eq!(parsed("listen", Some(text)).unwrap(), Some(meant.parse().unwrap()), "{text}");
        }
        for text in ["", "localhost", "here:8081", "127.0.0.1", "65536", "::1:x"] {
            assert!(parsed("listen", Some(text)).is_err(), "{text}");
        }
        assert_eq!(parsed("listen", None).unwrap(), None);
    }
}
