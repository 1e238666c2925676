//! The ground of stored events: the trait, the macro that declares an aggregate's events, and how one shape is read and written.
//! Names and versions are written by hand, each beside its event.

use crate::upcast;

/// An event that can be stored and read back.
pub trait Stored: Sized {
    /// Every stored name, with the newest version that this build writes and reads.
    const SHAPES: &'static [(&'static str, u16)];

    /// The literal name and the version that this event is stored under.
    fn shape(&self) -> (&'static str, u16);

    /// The event's own members as JSON.
    fn encode(&self) -> Result<String, CodecError>;

    /// Reads any version ever stored.
    fn decode(name: &str, version: u16, data: &str) -> Result<Self, CodecError>;

    /// The JSON Schemas of the newest versions, in the order of [`Self::SHAPES`].
    #[cfg(feature = "schemas")]
    fn schemas(generator: &mut schemars::SchemaGenerator) -> Vec<schemars::Schema>;
}

/// Why a stored event cannot be read or an event cannot be stored.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The name is none that this build knows in that stream.
    #[error("the event name {0} is not known to this build")]
    UnknownName(String),
    /// The stream's name follows none of the known forms.
    #[error("the stream {0} is not known to this build")]
    UnknownStream(String),
    /// A newer build wrote it.
    #[error("{name} has version {version}, and this build reads up to {newest}: a newer build is needed")]
    Newer {
        /// The event's name.
        name: String,
        /// The version that was stored.
        version: u16,
        /// The newest version that this build reads.
        newest: u16,
    },
    /// The JSON is not of the shape that its name and version promise.
    #[error("{name} version {version} does not have the stored shape of that name")]
    Malformed {
        /// The event's name.
        name: String,
        /// The version that was stored.
        version: u16,
        /// What the JSON reader says.
        #[source]
        source: serde_json::Error,
    },
}

/// Reads one shape: at once where it is the newest, through the upcast steps where it is not.
pub(crate) fn read<T: serde::de::DeserializeOwned>(name: &str, version: u16, newest: u16, data: &str) -> Result<T, CodecError> {
    let malformed = |source| CodecError::Malformed { name: name.to_owned(), version, source };
    match version.cmp(&newest) {
        std::cmp::Ordering::Equal => serde_json::from_str(data).map_err(malformed),
        std::cmp::Ordering::Greater => Err(CodecError::Newer { name: name.to_owned(), version, newest }),
        std::cmp::Ordering::Less => {
            let old = serde_json::from_str(data).map_err(malformed)?;
            serde_json::from_value(upcast::to_newest(name, version, newest, old)).map_err(malformed)
        }
    }
}

/// Writes one shape. Most events are longer than what `serde_json` begins with, which would grow three times.
pub(crate) fn write<T: serde::Serialize>(payload: &T) -> Result<String, serde_json::Error> {
    let mut text = Vec::with_capacity(1024);
    serde_json::to_writer(&mut text, payload)?;
    String::from_utf8(text).map_err(serde::ser::Error::custom)
}

/// Declares an aggregate's events: `"stored.name" version => Payload`.
macro_rules! stored {
    ($(#[$about:meta])* $events:ident { $($name:literal $version:literal => $payload:ident,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq)]
        pub enum $events {
            $(#[doc = concat!("`", $name, "`")] $payload($payload),)+
        }

        impl $crate::stored::Stored for $events {
            const SHAPES: &'static [(&'static str, u16)] = &[$(($name, $version)),+];

            fn shape(&self) -> (&'static str, u16) {
                match self {
                    $(Self::$payload(_) => ($name, $version),)+
                }
            }

            fn encode(&self) -> Result<String, $crate::stored::CodecError> {
                let (name, version) = self.shape();
                let encoded = match self {
                    $(Self::$payload(payload) => $crate::stored::write(payload),)+
                };
                encoded.map_err(|source| $crate::stored::CodecError::Malformed { name: name.to_owned(), version, source })
            }

            fn decode(name: &str, version: u16, data: &str) -> Result<Self, $crate::stored::CodecError> {
                match name {
                    $($name => $crate::stored::read(name, version, $version, data).map(Self::$payload),)+
                    _ => Err($crate::stored::CodecError::UnknownName(name.to_owned())),
                }
            }

            #[cfg(feature = "schemas")]
            fn schemas(generator: &mut schemars::SchemaGenerator) -> Vec<schemars::Schema> {
                vec![$(generator.root_schema_for::<$payload>()),+]
            }
        }
    };
}
pub(crate) use stored;
