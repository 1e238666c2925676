//! The stylesheet, the script and the icon. Their names hold what they hash to, so that a browser keeps each for ever.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// One file.
pub struct Asset {
    /// Its name, with what it hashes to.
    pub name: String,
    kind: &'static str,
    content: &'static str,
}

/// How it looks.
pub static STYLE: LazyLock<Asset> = LazyLock::new(|| Asset::new("gatebook", "css", "text/css", include_str!("assets/gatebook.css")));
/// Live updates, keys, and times in the viewer's zone; the pages work without it.
pub static SCRIPT: LazyLock<Asset> = LazyLock::new(|| Asset::new("gatebook", "js", "text/javascript", include_str!("assets/gatebook.js")));
/// What a tab shows.
pub static ICON: LazyLock<Asset> = LazyLock::new(|| Asset::new("icon", "svg", "image/svg+xml", include_str!("assets/icon.svg")));

impl Asset {
    fn new(stem: &str, ending: &str, kind: &'static str, content: &'static str) -> Self {
        let digest = Sha256::digest(content.as_bytes());
        let hash = URL_SAFE_NO_PAD.encode(digest.get(..9).unwrap_or_default());
        Self { name: format!("{stem}.{hash}.{ending}"), kind, content }
    }
}

/// `GET /ui/assets/{name}`. Another version's file is not there: its page is gone too.
pub async fn asset(Path(name): Path<String>) -> Response {
    let found = [&*STYLE, &*SCRIPT, &*ICON].into_iter().find(|asset| asset.name == name);
    let Some(asset) = found else { return StatusCode::NOT_FOUND.into_response() };
    let headers = [(header::CONTENT_TYPE, asset.kind), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")];
    (headers, asset.content).into_response()
}
