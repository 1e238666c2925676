//! The `gatebook` command.

fn main() {}
