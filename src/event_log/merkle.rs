//! The Merkle tree over a log's events (RFC 6962 §2.1): one hash for all of them, from which a proof that an event is in it is short.

use std::fmt;

use gatebook_events::envelope::Envelope;
use sha2::{Digest, Sha256};

/// The root of a tree.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Root([u8; 32]);

/// A tree as it grows: the roots of its full parts, from the largest to the smallest. Never more than 64 of them.
#[derive(Debug, Default)]
pub struct Tree(Vec<Part>);

#[derive(Debug, Clone, Copy)]
struct Part {
    leaves: u64,
    hash: [u8; 32],
}

impl Tree {
    /// Adds an event. Its leaf is every member as it is stored, each after its length.
    pub fn push(&mut self, event: &Envelope) {
        let mut leaf = Sha256::new();
        leaf.update([0]);
        super::chain::each_field(event, |field| {
            leaf.update((field.len() as u64).to_be_bytes());
            leaf.update(field);
        });
        self.grow(leaf.finalize().into());
    }

    fn grow(&mut self, leaf: [u8; 32]) {
        let mut part = Part { leaves: 1, hash: leaf };
        while let Some(before) = self.0.pop_if(|before| before.leaves == part.leaves) {
            part = Part { leaves: before.leaves * 2, hash: node(before.hash, part.hash) };
        }
        self.0.push(part);
    }

    /// What all of it hashes to.
    pub fn root(&self) -> Root {
        let hash = self.0.iter().rev().map(|part| part.hash).reduce(|right, left| node(left, right));
        Root(hash.unwrap_or_else(|| Sha256::digest([]).into()))
    }
}

fn node(left: [u8; 32], right: [u8; 32]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update([1]);
    hash.update(left);
    hash.update(right);
    hash.finalize().into()
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of the first implementation of Certificate Transparency.
    #[test]
    fn roots_are_those_of_rfc_6962() {
        let leaves: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut tree = Tree::default();
        assert_eq!(tree.root().to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        for (leaf, root) in leaves.into_iter().zip(roots) {
            tree.grow(Sha256::new().chain_update([0]).chain_update(leaf).finalize().into());
            assert_eq!(tree.root().to_string(), root);
        }
    }
}
