//! Which headers no rule of a route may change.

use http::HeaderName;

use super::starts_with_underscores;

/// They frame the message or say what its bytes are: another one would make it a lie.
const OF_THE_MESSAGE: [&str; 5] = [
    "content-encoding",
    "content-length",
    "content-range",
    "expect",
    "host",
];

/// They describe one connection.
const OF_THE_CONNECTION: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The gateway says them itself, or has a setting of its own for them.
const OF_THE_GATEWAY: [&str; 6] = [
    "forwarded",
    "ratelimit",
    "ratelimit-policy",
    "traceparent",
    "via",
    "x-trace-id",
];

/// Prefixes of names that are the gateway's own, in any spelling.
const OWN_PREFIXES: [&str; 4] = ["x-auth-", "x-banyan-", "x-forwarded-", "access-control-"];

/// Why a rule must not name this header; `None` where it may.
pub(crate) fn refused_in_rules(name: &HeaderName) -> Option<&'static str> {
    let is_one_of = |names: &[&str]| {
        let equals = |known| super::equals_with_underscores(name.as_str(), known);
        names.iter().any(|known| equals(known))
    };
    if is_one_of(&OF_THE_MESSAGE) {
        return Some("says how the message is read");
    }
    if is_one_of(&OF_THE_CONNECTION) {
        return Some("describes one connection");
    }
    let is_own = OWN_PREFIXES
        .iter()
        .any(|prefix| starts_with_underscores(name.as_str(), prefix));
    (is_own || is_one_of(&OF_THE_GATEWAY))
        .then_some("is the gateway's own (see trusted_proxies, cors)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_spelling_of_what_is_ours_or_frames_a_message_can_be_ruled_on() {
        for name in [
            "X-Banyan-Subject",
            "x_auth_roles",
            "X-Forwarded-For",
            "Connection",
            "transfer_encoding",
            "content-length",
            "host",
            "access-control-allow-origin",
            "traceparent",
        ] {
            let parsed: HeaderName = name.parse().unwrap();
            assert!(refused_in_rules(&parsed).is_some(), "{name}");
        }
        for name in ["x-api-key", "server", "x-authority", "set-cookie", "vary"] {
            let parsed: HeaderName = name.parse().unwrap();
            assert_eq!(refused_in_rules(&parsed), None, "{name}");
        }
    }
}
