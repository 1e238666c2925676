//! What those who meet over NATS show each other: certificates, and the signed word of an operator, drawn for one test.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair as Signer;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

/// Files in a folder that goes with the test.
pub struct Papers(TempDir);

impl Papers {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Where a file of this name would be.
    pub fn path(&self, name: &str) -> String {
        self.0.path().join(name).into_os_string().into_string().unwrap()
    }

    /// A file, and where it is.
    pub fn file(&self, name: &str, content: &str) -> String {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }
}

/// Whom one may believe when it signs certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Of one name, two of them would be taken for one whose signature is wrong.
        params.distinguished_name.push(DnType::CommonName, Uuid::new_v4().to_string());
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate for somebody of this name, and its key.
    pub fn certify(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

/// An operator with an account for events and one for the servers themselves.
pub struct Operator {
    account: Signer,
    /// What has to stand in the servers' configuration.
    pub configuration: String,
}

impl Operator {
    pub fn new() -> Self {
        let (operator, system, account) = (Signer::new_operator(), Signer::new_account(), Signer::new_account());
        let (theirs, ours) = (system.public_key(), account.public_key());
        let word = signed(&operator, &operator.public_key(), &json!({ "type": "operator", "version": 2, "system_account": theirs }));
        let configuration = format!(
            "operator: {word}\nsystem_account: {theirs}\nresolver: MEMORY\nresolver_preload: {{ {theirs}: {}, {ours}: {} }}\n",
            signed(&operator, &theirs, &rights(0)),
            signed(&operator, &ours, &rights(-1)),
        );
        Self { account, configuration }
    }

    /// The credentials file of a new user in the account for events, and the seed that is secret in it.
    pub fn credentials(&self) -> (String, String) {
        let user = Signer::new_user();
        let word =
            signed(&self.account, &user.public_key(), &json!({ "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1 }));
        let seed = user.seed().unwrap();
        let file = format!(
            "-----BEGIN NATS USER JWT-----\n{word}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        );
        (file, seed)
    }
}

/// An account that may keep as much as it wants, or nothing.
fn rights(storage: i64) -> Value {
    json!({ "type": "account", "version": 2, "limits": {
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
        "mem_storage": storage, "disk_storage": storage, "streams": storage, "consumer": storage,
    } })
}

/// Somebody's word about somebody, as NATS has it.
fn signed(by: &Signer, about: &str, what: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({ "jti": about, "iat": 1_700_000_000, "iss": by.public_key(), "sub": about, "name": "gatebook", "nats": what });
    let text = format!("{}.{}", part(&json!({ "typ": "JWT", "alg": "ed25519-nkey" })), part(&claims));
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(by.sign(text.as_bytes()).unwrap()))
}
