//! The scalar values of a configuration file and how each is written there.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
    time::Duration,
};

/// The longest duration that a setting takes: beyond it a typo is likelier than an intention.
const MAX_DURATION: Duration = Duration::from_secs(24 * 60 * 60);

/// A text that is never shown: keys and tokens.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// The address of one instance of an upstream: `http://host:port` or `https://host:port`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// Whether it is reached in clear text or by TLS.
    pub scheme: Scheme,
    /// A name or an address; an IPv6 address stands without brackets.
    pub host: String,
    /// The port; 80 or 443 where none was given.
    pub port: u16,
}

/// How an endpoint is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// In clear text.
    Http,
    /// By TLS.
    Https,
}

/// A block of addresses, `10.0.0.0/8`; a bare address is a block of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: u128,
    prefix: u8,
    is_v4: bool,
}

/// So many per so long: `50/s`, `1000/m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In which time.
    pub per: Duration,
}

impl Secret {
    /// Wraps a secret text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for comparing and signing only.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Endpoint {
    /// `host:port`, with brackets around an IPv6 address.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl Scheme {
    /// As a URL begins.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.authority())
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let uri: http::Uri = text.parse().map_err(|_| format!("`{text}` is no URL"))?;
        let scheme = match uri.scheme_str() {
            Some("http") => Scheme::Http,
            Some("https") => Scheme::Https,
            _ => return Err(format!("`{text}` must begin with http:// or https://")),
        };
        let authority = uri
            .authority()
            .ok_or_else(|| format!("`{text}` names no host"))?;
        if authority.as_str().contains('@') {
            return Err(format!(
                "`{}` holds credentials; an endpoint takes none",
                authority.host()
            ));
        }
        if uri
            .path_and_query()
            .is_some_and(|rest| rest.as_str() != "/")
        {
            return Err(format!(
                "`{text}` has a path; an endpoint is scheme, host and port"
            ));
        }
        if authority.port_u16() == Some(0) {
            return Err(format!("`{text}` has port 0"));
        }
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        if host.is_empty() {
            return Err(format!("`{text}` names no host"));
        }
        let port = authority.port_u16().unwrap_or(match scheme {
            Scheme::Http => 80,
            Scheme::Https => 443,
        });
        Ok(Self { scheme, host, port })
    }
}

impl Network {
    /// Whether the address lies in the block; an IPv4-mapped IPv6 address counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let (bits, is_v4) = bits_of(address.to_canonical());
        is_v4 == self.is_v4 && (bits ^ self.address) & self.mask() == 0
    }

    fn width(&self) -> u8 {
        if self.is_v4 { 32 } else { 128 }
    }

    fn mask(&self) -> u128 {
        let host_bits = u32::from(self.width() - self.prefix);
        u128::MAX.checked_shl(host_bits).unwrap_or(0)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address: IpAddr = if self.is_v4 {
            let bits = u32::try_from(self.address).unwrap_or_default();
            Ipv4Addr::from_bits(bits).into()
        } else {
            Ipv6Addr::from_bits(self.address).into()
        };
        write!(f, "{address}/{}", self.prefix)
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no network; `10.0.0.0/8` or `::1` is");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let (address, is_v4) = bits_of(address.parse().map_err(|_| wrong())?);
        let width = if is_v4 { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(width), str::parse).map_err(|_| wrong())?;
        if prefix > width {
            return Err(wrong());
        }
        let network = Self {
            address,
            prefix,
            is_v4,
        };
        if address & !network.mask() & (u128::MAX >> (128 - u32::from(width))) != 0 {
            return Err(format!(
                "`{text}` has bits set beyond its prefix of {prefix}"
            ));
        }
        Ok(network)
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no rate; `50/s`, `1000/m` or `5000/h` is");
        let (count, unit) = text.split_once('/').ok_or_else(wrong)?;
        let count: u32 = count.trim().parse().map_err(|_| wrong())?;
        let per = match unit.trim() {
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(60 * 60),
            _ => return Err(wrong()),
        };
        if count == 0 {
            return Err(format!("`{text}` lets nothing through"));
        }
        Ok(Self { count, per })
    }
}

/// Reads `500ms`, `15s`, `2m` or `1h`: a whole number and a unit, above zero, a day at most.
///
/// # Errors
/// A text that says what is wrong and what would be right.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration; `500ms`, `15s`, `2m` or `1h` is");
    let digits = text
        .find(|character: char| !character.is_ascii_digit())
        .ok_or_else(wrong)?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let milliseconds = match unit.trim() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    let duration = Duration::from_millis(number.saturating_mul(milliseconds));
    match duration {
        Duration::ZERO => Err(format!("`{text}` is no time at all")),
        duration if duration > MAX_DURATION => Err(format!("`{text}` is more than a day")),
        duration => Ok(duration),
    }
}

fn bits_of(address: IpAddr) -> (u128, bool) {
    match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), true),
        IpAddr::V6(v6) => (v6.to_bits(), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_number_and_a_unit() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        for wrong in [
            "",
            "15",
            "s",
            "-1s",
            "1.5s",
            "0s",
            "25h",
            "1d",
            "99999999999999999999s",
        ] {
            assert!(parse_duration(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn rates_are_a_count_per_second_minute_or_hour() {
        let rate: Rate = "50/s".parse().unwrap();
        assert_eq!((rate.count, rate.per), (50, Duration::from_secs(1)));
        for wrong in ["50", "0/s", "x/s", "5/d", "/s"] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn endpoints_are_scheme_host_and_port() {
        let endpoint: Endpoint = "http://[::1]:9000".parse().unwrap();
        assert_eq!(endpoint.authority(), "[::1]:9000");
        let endpoint: Endpoint = "http://quiz.example.org/".parse().unwrap();
        assert_eq!(endpoint.to_string(), "http://quiz.example.org:80");
        let endpoint: Endpoint = "https://quiz.example.org".parse().unwrap();
        assert_eq!(endpoint.to_string(), "https://quiz.example.org:443");
        for wrong in [
            "127.0.0.1:80",
            "ftp://a",
            "http://a/b",
            "http://u:p@a",
            "http://a:0",
            "/x",
        ] {
            assert!(wrong.parse::<Endpoint>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn networks_contain_their_addresses_and_no_others() {
        let network: Network = "10.0.0.0/8".parse().unwrap();
        assert!(network.contains("10.255.0.1".parse().unwrap()));
        assert!(network.contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!network.contains("11.0.0.1".parse().unwrap()));
        assert!(!network.contains("::1".parse().unwrap()));
        assert!(
            "0.0.0.0/0"
                .parse::<Network>()
                .unwrap()
                .contains("9.9.9.9".parse().unwrap())
        );
        assert!(
            "::/0"
                .parse::<Network>()
                .unwrap()
                .contains("2001:db8::1".parse().unwrap())
        );
        assert!(
            "127.0.0.1"
                .parse::<Network>()
                .unwrap()
                .contains("127.0.0.1".parse().unwrap())
        );
        assert_eq!(network.to_string(), "10.0.0.0/8");
        for wrong in ["10.0.0.0/33", "10.0.0.1/8", "ten/8", "10.0.0.0/", "::1/129"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_secret_is_not_shown_by_debug() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(…)");
    }
}
