//! What a connection is told that is not let in: to come back in a moment. It holds nothing but a descriptor, and that for a second.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::connections::Why;

/// So many are told at a time; more are closed without a word.
const AT_ONCE: usize = 32;
/// How long a caller has to take the answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// The most of its request that is read, so that the answer is not lost with it.
const MOST: usize = 64 * 1024;

/// Tells callers that they are not let in.
pub struct Desk(Arc<Semaphore>);

impl Default for Desk {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Desk {
    /// Answers 503 with `Retry-After`, and closes the connection.
    pub fn tell(&self, mut stream: TcpStream, why: Why) {
        let Ok(permit) = self.0.clone().try_acquire_owned() else { return };
        tokio::spawn(async move {
            let told = tokio::time::timeout(PATIENCE, async {
                stream.write_all(answer(why).as_bytes()).await?;
                stream.shutdown().await?;
                // A connection that is closed with something unread is reset, and the answer with it.
                let (mut read, mut buffer) = (0, [0; 4096]);
                while read < MOST {
                    match stream.read(&mut buffer).await? {
                        0 => break,
                        some => read += some,
                    }
                }
                Ok::<(), std::io::Error>(())
            });
            let _gone_or_slow = told.await;
            drop(permit);
        });
    }
}

fn answer(why: Why) -> String {
    let body = serde_json::json!({ "error": "temporarily_unavailable", "error_description": why.as_words() }).to_string();
    format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncache-control: no-store\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}
