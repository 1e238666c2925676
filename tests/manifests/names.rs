//! Names whose addresses are what a test says, and may change between two look-ups.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::Mutex;

use async_trait::async_trait;
use gatebook::outbound::Resolve;

/// A resolver that answers from a script and counts.
#[derive(Default)]
pub struct Names {
    scripts: HashMap<String, Vec<Vec<IpAddr>>>,
    asked: Mutex<Vec<String>>,
}

impl Names {
    /// What a name leads to, look-up after look-up; the last answer stays.
    pub fn with(mut self, name: &str, answers: &[&[&str]]) -> Self {
        let parsed = answers.iter().map(|answer| answer.iter().map(|address| address.parse().unwrap()).collect()).collect();
        self.scripts.insert(name.to_owned(), parsed);
        self
    }

    /// Every look-up so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl Resolve for Names {
    async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let before = {
            let mut asked = self.asked.lock().unwrap();
            asked.push(host.to_owned());
            asked.iter().filter(|name| *name == host).count() - 1
        };
        let script = self.scripts.get(host).ok_or_else(|| io::Error::other("no such host"))?;
        Ok(script[before.min(script.len() - 1)].clone())
    }
}
