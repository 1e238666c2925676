//! A URL that is accepted has one spelling, also in the eyes of a library that repairs what it reads.

use gatebook_events::manifest::ManifestUrl;
use proptest::prelude::*;
use reqwest::Url;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn c03_c06_whatever_url_is_accepted_is_what_a_library_writes(text in "https://[a-zA-Z0-9.-]{1,12}(:[0-9]{1,5})?/[ -~]{0,12}(%2[eEfF]|/|\\.|\\?|[a-z]){0,6}") {
        if let (Ok(ours), Ok(theirs)) = (ManifestUrl::parse(&text), Url::parse(&text)) {
            prop_assert_eq!(theirs.as_str(), ours.as_str());
            prop_assert_eq!(theirs.host_str(), Some(ours.host()));
            prop_assert_eq!(theirs.port_or_known_default(), Some(ours.port()));
        }
    }
}
