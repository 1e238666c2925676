//! The server's side of KurrentDB's protocol, made from the `.proto` files in the crate `kurrentdb` 1.2.0 (MIT) by `tonic-build` 0.13
//! without the client's side. Not edited; to make it anew, compile `streams.proto`, `gossip.proto` and `shared.proto` from there.
#![allow(clippy::all, clippy::pedantic, missing_docs, dead_code, rustdoc::all, reason = "nobody wrote it")]

pub mod google {
    pub mod rpc {
        include!("generated/google.rpc.rs");
    }
}

pub mod event_store {
    pub mod client {
        include!("generated/event_store.client.rs");

        pub mod streams {
            include!("generated/event_store.client.streams.rs");
        }
        pub mod gossip {
            include!("generated/event_store.client.gossip.rs");
        }
    }
}
