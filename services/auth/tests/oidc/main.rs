//! Sign-in with OpenID Connect: against a real provider, and against one that lies.

mod browser;
mod configuring;
mod ending;
mod liar;
mod linking;
mod lying;
mod provider;
mod refusing;
mod signing_in;
mod site;
