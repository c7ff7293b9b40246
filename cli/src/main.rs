//! banyan
fn main() {}
