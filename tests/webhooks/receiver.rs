//! A receiver on loopback that keeps what it is sent and answers as the test says.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::Value;
use sha2::Sha256;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// A message as it came, and how it was answered.
#[derive(Debug, Clone)]
pub struct Got {
    pub head: String,
    pub body: String,
    pub event: Value,
    pub status: u16,
}

impl Got {
    /// A header; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        let line = |line: &'_ str| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(key, _)| key.len() + 2);
        self.head.lines().find_map(|text| line(text).map(|start| &text[start..])).unwrap_or_default()
    }

    /// A member of the event that is a text.
    pub fn text(&self, name: &str) -> &str {
        self.event[name].as_str().unwrap_or_else(|| panic!("no text {name} in {}", self.body))
    }

    /// Whether one of the signatures was made with this secret, worked out here as the specification of Standard Webhooks says.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(format!("{}.{}.{}", self.header("webhook-id"), self.header("webhook-timestamp"), self.body).as_bytes());
        let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        self.header("webhook-signature").split(' ').any(|signature| signature == expected)
    }
}

type Answer = dyn Fn(&Got) -> (u16, &'static str) + Send + Sync;

/// A receiver, and what it got.
pub struct Receiver {
    pub address: SocketAddr,
    got: watch::Receiver<Vec<Got>>,
    answer: Arc<Mutex<Arc<Answer>>>,
}

/// Takes everything.
pub fn taken(_: &Got) -> (u16, &'static str) {
    (204, "")
}

impl Receiver {
    /// Listens without TLS and takes everything.
    pub async fn open() -> Self {
        Self::start("127.0.0.1:0", None).await
    }

    /// Listens with TLS as this host.
    pub async fn open_tls(authority: &Authority, name: &str) -> Self {
        Self::start("127.0.0.1:0", Some(authority.acceptor(name))).await
    }

    async fn start(at: &str, acceptor: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(at).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, got) = watch::channel(Vec::new());
        let (sender, answer): (_, Arc<Mutex<Arc<Answer>>>) = (Arc::new(sender), Arc::new(Mutex::new(Arc::new(taken))));
        let answers = answer.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, sender, answers) = (acceptor.clone(), sender.clone(), answers.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => talk(stream, &sender, &answers).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                talk(stream, &sender, &answers).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, got, answer }
    }

    /// Answers so from now on: a status, and headers with CR LF behind each.
    pub fn answers(&self, answer: impl Fn(&Got) -> (u16, &'static str) + Send + Sync + 'static) {
        *self.answer.lock().unwrap() = Arc::new(answer);
    }

    /// A URL that leads here.
    pub fn url(&self) -> String {
        format!("http://{}/hook?from=gatebook", self.address)
    }

    /// Waits for so many messages that are as wanted, and gives them.
    pub async fn wait(&self, number: usize, wanted: impl Fn(&Got) -> bool) -> Vec<Got> {
        let mut got = self.got.clone();
        let found = got.wait_for(|all| all.iter().filter(|one| wanted(one)).count() >= number);
        let all = tokio::time::timeout(std::time::Duration::from_secs(20), found).await;
        match all {
            Ok(all) => all.unwrap().iter().filter(|one| wanted(one)).cloned().collect(),
            Err(_) => panic!("{number} messages did not come; there are {:#?}", self.so_far()),
        }
    }

    /// Waits for so many messages that were taken.
    pub async fn taken(&self, number: usize) -> Vec<Got> {
        self.wait(number, |got| got.status == 204).await
    }

    /// What came so far.
    pub fn so_far(&self) -> Vec<Got> {
        self.got.borrow().clone()
    }
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, sender: &watch::Sender<Vec<Got>>, answers: &Mutex<Arc<Answer>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let mut got = Got { head, body: String::new(), event: Value::Null, status: 0 };
    let mut body = vec![0; got.header("content-length").parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    got.body = String::from_utf8(body).unwrap();
    got.event = serde_json::from_str(&got.body).unwrap();
    let answer = answers.lock().unwrap().clone();
    let (status, headers) = answer(&got);
    got.status = status;
    sender.send_modify(|all| all.push(got));
    let _gone = stream.write_all(format!("HTTP/1.1 {status} Said\r\n{headers}Content-Length: 0\r\n\r\n").as_bytes()).await;
}

/// A certificate authority of the test's own.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn acceptor(&self, name: &str) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}
