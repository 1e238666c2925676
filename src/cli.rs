//! The commands of `gatebook`.

pub mod token;
