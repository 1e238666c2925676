//! A host on loopback that serves documents over TLS, or does something else.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// What TLS begins with (RFC 8446 §5.1), and HTTP does not.
const TLS_HANDSHAKE: u8 = 22;

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

    fn acceptor(&self, names: &[&str]) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// What a host does with a request.
#[derive(Clone)]
pub enum Deed {
    /// Sends this and closes.
    Answer(Vec<u8>),
    /// Sends this and then a byte whenever so much time has passed, without end.
    Drip(Vec<u8>, Duration),
    /// Sends this and then as much as is taken, up to 100 MB.
    Flood(Vec<u8>),
    /// Says nothing, for ever.
    Stall,
    /// Sends this once somebody opens the gate.
    Behind(Arc<Semaphore>, Vec<u8>),
}

/// A request as it came.
pub struct Asked {
    /// Counted from 0.
    pub number: usize,
    /// What was asked for, as the fetcher writes it.
    pub url: String,
}

/// How a host speaks.
#[derive(Clone, Copy)]
pub enum Speech<'a> {
    /// TLS with a certificate of this authority for these names.
    Tls(&'a Authority, &'a [&'a str]),
    /// No TLS.
    Plain,
    /// Accepts connections and never says anything, not even TLS.
    Mute,
}

/// A host and what it saw.
pub struct Host {
    pub address: SocketAddr,
    seen: Arc<Seen>,
}

struct Seen {
    requests: Mutex<Vec<String>>,
    sent: AtomicU64,
    open: AtomicUsize,
    most_open: AtomicUsize,
    /// One permit for every answer that is over.
    over: Semaphore,
}

impl Host {
    /// Listens; `deed` says what is done with a request.
    pub async fn start(at: &str, speech: Speech<'_>, deed: impl Fn(&Asked) -> Deed + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(at).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen {
            requests: Mutex::default(),
            sent: AtomicU64::new(0),
            open: AtomicUsize::new(0),
            most_open: AtomicUsize::new(0),
            over: Semaphore::new(0),
        });
        let acceptor = match speech {
            Speech::Tls(authority, names) => Some(authority.acceptor(names)),
            Speech::Plain | Speech::Mute => None,
        };
        let mute = matches!(speech, Speech::Mute);
        let (shared, deed) = (seen.clone(), Arc::new(deed));
        tokio::spawn(async move {
            let mut kept = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                if mute {
                    kept.push(stream);
                    continue;
                }
                tokio::spawn(serve(stream, acceptor.clone(), shared.clone(), deed.clone()));
            }
        });
        Self { address, seen }
    }

    /// The heads of the requests that came.
    pub fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().unwrap().clone()
    }

    /// Waits until the fetcher has let go of every request that came.
    pub async fn let_go(&self) {
        let came = u32::try_from(self.requests().len()).unwrap();
        drop(self.seen.over.acquire_many(came).await.unwrap());
    }

    /// How many bytes of a flood were taken, once the fetcher let go.
    pub async fn sent(&self) -> u64 {
        self.let_go().await;
        self.seen.sent.load(Ordering::SeqCst)
    }

    /// The most requests that stood before a gate at a time.
    pub fn most_open(&self) -> usize {
        self.seen.most_open.load(Ordering::SeqCst)
    }

    /// How many requests stand before a gate now.
    pub fn open(&self) -> usize {
        self.seen.open.load(Ordering::SeqCst)
    }
}

async fn serve<F: Fn(&Asked) -> Deed>(stream: TcpStream, acceptor: Option<TlsAcceptor>, seen: Arc<Seen>, deed: Arc<F>) {
    match acceptor {
        None => talk(stream, "http", &seen, &*deed).await,
        Some(acceptor) => {
            // A fetcher that does not trust the host goes away here.
            if let Ok(stream) = acceptor.accept(stream).await {
                talk(stream, "https", &seen, &*deed).await;
            }
        }
    }
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, scheme: &str, seen: &Seen, deed: &impl Fn(&Asked) -> Deed) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        if head.is_empty() && byte == TLS_HANDSHAKE {
            let _gone = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            return;
        }
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap();
    let host = head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let url = format!("{scheme}://{host}{path}");
    let number = {
        let mut requests = seen.requests.lock().unwrap();
        requests.push(head);
        requests.len() - 1
    };
    // Whoever asks may go away in the middle of anything.
    let _gone = act(&mut stream, seen, deed(&Asked { number, url })).await;
    seen.over.add_permits(1);
}

async fn act<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, seen: &Seen, deed: Deed) -> std::io::Result<()> {
    match deed {
        Deed::Answer(answer) => {
            stream.write_all(&answer).await?;
            stream.shutdown().await
        }
        Deed::Drip(head, pause) => {
            stream.write_all(&head).await?;
            let mut tick = tokio::time::interval(pause);
            loop {
                tick.tick().await;
                stream.write_all(b" ").await?;
                stream.flush().await?;
            }
        }
        Deed::Flood(head) => {
            stream.write_all(&head).await?;
            let chunk = [&b"4000\r\n"[..], &[b' '; 0x4000], b"\r\n"].concat();
            while seen.sent.load(Ordering::SeqCst) < 100_000_000 {
                stream.write_all(&chunk).await?;
                seen.sent.fetch_add(chunk.len() as u64, Ordering::SeqCst);
            }
            Ok(())
        }
        Deed::Stall => {
            // Ends when the fetcher lets go.
            let _gone = stream.read_u8().await;
            Ok(())
        }
        Deed::Behind(gate, answer) => {
            let open = seen.open.fetch_add(1, Ordering::SeqCst) + 1;
            seen.most_open.fetch_max(open, Ordering::SeqCst);
            gate.acquire().await.unwrap().forget();
            // Before the answer, after which the fetcher may come again.
            seen.open.fetch_sub(1, Ordering::SeqCst);
            stream.write_all(&answer).await?;
            stream.shutdown().await
        }
    }
}

/// An answer with these headers, one a line.
pub fn answer(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let lines: String = headers.lines().flat_map(|line| [line.trim(), "\r\n"]).collect();
    let head = format!("HTTP/1.1 {status}\r\n{lines}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A document as it should be served.
pub fn json(body: impl AsRef<[u8]>) -> Vec<u8> {
    answer("200 OK", "Content-Type: application/json", body)
}
