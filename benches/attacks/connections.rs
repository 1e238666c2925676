//! Connections that are held: idle ones, and requests whose head never ends.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use crate::figure;
use crate::server::Server;

/// The attacker's address, 127.0.0.2, and a bystander's.
const ATTACKER: u8 = 2;
const BYSTANDER: u8 = 3;
/// The soft limit of open descriptors that most systems give a service.
const DESCRIPTORS: u32 = 1024;
/// After that, what is still held is counted.
const LATER: Duration = Duration::from_secs(15);

/// 1,100 connections on which nothing is said.
pub fn idle(binary: &Path) {
    let server = Server::start(binary, &[], Some(DESCRIPTORS));
    figure("bystander before", server.bystander(BYSTANDER, 20));
    let mut held: Vec<TcpStream> = (0..1100).filter_map(|_| server.connect(ATTACKER).ok()).collect();
    figure("connections that the attacker opened", held.len());
    std::thread::sleep(Duration::from_millis(1500));
    figure("of them held", still_open(&mut held));
    figure("descriptors of the service", server.descriptors());
    figure("bystander during", server.bystander(BYSTANDER, 20));
    std::thread::sleep(LATER);
    figure("held after 15 seconds more", still_open(&mut held));
    figure("bystander then", server.bystander(BYSTANDER, 20));
}

/// 400 heads, each a byte a second.
pub fn slow_heads(binary: &Path) {
    let server = Server::start(binary, &[], Some(DESCRIPTORS));
    let mut held: Vec<TcpStream> = (0..400).filter_map(|_| server.connect(ATTACKER).ok()).collect();
    for stream in &mut held {
        let _closed = stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\nx-slow: ");
    }
    for _ in 0..LATER.as_secs() {
        std::thread::sleep(Duration::from_secs(1));
        for stream in &mut held {
            let _closed = stream.write_all(b"a");
        }
    }
    figure("heads on their way after 15 seconds", still_open(&mut held));
    figure("bystander during", server.bystander(BYSTANDER, 20));
}

/// 400 heads of 390 KB.
pub fn long_heads(binary: &Path) {
    let server = Server::start(binary, &[], Some(DESCRIPTORS));
    let before = server.memory();
    let line = format!("x-long: {}\r\n", "a".repeat(7990));
    let long = format!("GET /health HTTP/1.1\r\nhost: localhost\r\n{}", line.repeat(48));
    let mut held = Vec::new();
    for _ in 0..400 {
        let Ok(mut stream) = server.connect(ATTACKER) else { continue };
        let _refused = stream.write_all(long.as_bytes());
        held.push(stream);
    }
    std::thread::sleep(Duration::from_secs(1));
    figure("heads that are held", still_open(&mut held));
    figure("memory before, in MB", before);
    figure("memory during, in MB", server.memory());
    figure("most memory, in MB", server.peak());
    figure("bystander during", server.bystander(BYSTANDER, 20));
}

/// How many of these the service has not closed.
fn still_open(held: &mut Vec<TcpStream>) -> usize {
    held.retain_mut(|stream| {
        stream.set_nonblocking(true).unwrap();
        let mut buffer = [0; 4096];
        let open = loop {
            match stream.read(&mut buffer) {
                Ok(0) => break false,
                Ok(_) => {}
                Err(error) => break error.kind() == ErrorKind::WouldBlock,
            }
        };
        stream.set_nonblocking(false).unwrap();
        open
    });
    held.len()
}
