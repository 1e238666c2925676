//! Event streams beside writers.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::figure;
use crate::server::{Server, get, post};

const STREAMS: usize = 500;
const ATTACKER: u8 = 2;
const WRITERS: u8 = 3;
/// Connections that register, each one client after the other.
const AT_ONCE: usize = 4;
const DURING: Duration = Duration::from_secs(5);

/// 500 event streams: with the defaults, and with bounds that let all of them in.
pub fn many(binary: &Path) {
    let server = Server::start(binary, &[("registrations-per-minute", "0")], None);
    figure("registrations a second, nobody listens", rate(&server));
    let (streams, _) = listen(&server);
    figure("streams that one token gets, with the defaults", streams.len());
    figure("registrations a second beside them", rate(&server));
    drop((streams, server));

    let wide = [
        ("registrations-per-minute", "0"),
        ("max-streams", "4096"),
        ("max-streams-per-subject", "4096"),
        ("max-connections-per-source", "0"),
    ];
    let server = Server::start(binary, &wide, None);
    figure("without bounds: registrations a second, nobody listens", rate(&server));
    let (streams, heard) = listen(&server);
    figure("without bounds: streams", streams.len());
    figure("without bounds: registrations a second beside them", rate(&server));
    std::thread::sleep(Duration::from_secs(2));
    figure("without bounds: bytes that the streams got", heard.load(Ordering::Relaxed));
}

/// Streams that are let in, and how much all of them hear; they are read until they are dropped.
fn listen(server: &Server) -> (Vec<Listener>, Arc<AtomicUsize>) {
    let token = server.token("auditor", "otto");
    let request = get("/authsec/audit/stream", &format!("authorization: Bearer {token}\r\n"));
    let heard = Arc::new(AtomicUsize::new(0));
    let listeners = (0..STREAMS).filter_map(|_| {
        let mut stream = server.connect(ATTACKER).ok()?;
        stream.write_all(request.as_bytes()).ok()?;
        let mut first = [0; 12];
        stream.read_exact(&mut first).ok()?;
        first.ends_with(b"200").then(|| Listener::of(stream, heard.clone()))
    });
    (listeners.collect(), heard)
}

/// A stream that is read by a thread of its own.
struct Listener(TcpStream);

impl Listener {
    fn of(stream: TcpStream, heard: Arc<AtomicUsize>) -> Self {
        let mut reading = stream.try_clone().unwrap();
        reading.set_read_timeout(None).unwrap();
        let read = move || {
            let mut buffer = [0; 16 * 1024];
            while let Ok(read @ 1..) = reading.read(&mut buffer) {
                heard.fetch_add(read, Ordering::Relaxed);
            }
        };
        std::thread::Builder::new().stack_size(64 * 1024).spawn(read).unwrap();
        Self(stream)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _already_closed = self.0.shutdown(std::net::Shutdown::Both);
    }
}

/// How many clients register in a second.
fn rate(server: &Server) -> u64 {
    let body = json!({ "client_name": "Claude Code", "redirect_uris": ["http://127.0.0.1:4000/cb"], "token_endpoint_auth_method": "none" });
    let request = post("/oauth/register", "", &body).replace("connection: close\r\n", "");
    let (over, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let mut stream = server.connect(WRITERS).unwrap();
                let mut buffer = vec![0; 64 * 1024];
                while !over.load(Ordering::Relaxed) {
                    stream.write_all(request.as_bytes()).unwrap();
                    // An answer is far smaller than the buffer, and comes in one piece.
                    let Ok(read @ 1..) = stream.read(&mut buffer) else { break };
                    done.fetch_add(
                        usize::from(buffer.get(..read).is_some_and(|text| text.starts_with(b"HTTP/1.1 201"))),
                        Ordering::Relaxed,
                    );
                }
            });
        }
        std::thread::sleep(DURING);
        over.store(true, Ordering::Relaxed);
    });
    done.load(Ordering::Relaxed) as u64 * 1000 / u64::try_from(started.elapsed().as_millis()).unwrap().max(1)
}
