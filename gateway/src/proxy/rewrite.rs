//! A route's `rewrite`: other paths on the candidate, the same ones for the client. Pure.

use http::header::{self, HeaderMap, HeaderValue};

use crate::config::Rewrite;

/// The path on the candidate for a path of the client's.
pub(crate) fn to_candidate(rewrite: &Rewrite, path: &str) -> String {
    exchange(
        path,
        rewrite.strip_prefix.as_deref(),
        rewrite.add_prefix.as_deref(),
    )
    .unwrap_or_else(|| path.to_owned())
}

/// Maps `Location`, `Content-Location` and cookie paths back to what the client can ask for.
/// `host` is the one the client used: locations on other hosts are none of ours.
pub(crate) fn map_back(rewrite: &Rewrite, headers: &mut HeaderMap, host: Option<&str>) {
    for name in [header::LOCATION, header::CONTENT_LOCATION] {
        let mapped = headers
            .get(&name)
            .and_then(|value| value.to_str().ok())
            .and_then(|location| map_location(rewrite, location, host))
            .and_then(|location| HeaderValue::from_str(&location).ok());
        if let Some(mapped) = mapped {
            headers.insert(name, mapped);
        }
    }
    if headers.contains_key(header::SET_COOKIE) {
        let cookies: Vec<HeaderValue> = headers
            .get_all(header::SET_COOKIE)
            .iter()
            .map(|cookie| map_cookie(rewrite, cookie))
            .collect();
        headers.remove(header::SET_COOKIE);
        for cookie in cookies {
            headers.append(header::SET_COOKIE, cookie);
        }
    }
}

fn to_client(rewrite: &Rewrite, path: &str) -> Option<String> {
    exchange(
        path,
        rewrite.add_prefix.as_deref(),
        rewrite.strip_prefix.as_deref(),
    )
}

/// Takes one prefix off and puts another on; whole segments only. `None` where the first is not
/// there.
fn exchange(path: &str, off: Option<&str>, on: Option<&str>) -> Option<String> {
    let off = off.unwrap_or_default().trim_end_matches('/');
    let on = on.unwrap_or_default().trim_end_matches('/');
    let rest = path.strip_prefix(off)?;
    if !rest.is_empty() && !rest.starts_with(['/', '?', '#']) {
        return None;
    }
    let changed = format!("{on}{rest}");
    Some(if changed.starts_with('/') {
        changed
    } else {
        format!("/{changed}")
    })
}

fn map_location(rewrite: &Rewrite, location: &str, host: Option<&str>) -> Option<String> {
    if location.starts_with('/') && !location.starts_with("//") {
        return to_client(rewrite, location);
    }
    let (scheme, rest) = location.split_once("://")?;
    let path_at = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(path_at);
    if !host.is_some_and(|host| host.eq_ignore_ascii_case(authority)) {
        return None;
    }
    Some(format!(
        "{scheme}://{authority}{}",
        to_client(rewrite, path)?
    ))
}

fn map_cookie(rewrite: &Rewrite, cookie: &HeaderValue) -> HeaderValue {
    let Ok(text) = cookie.to_str() else {
        return cookie.clone();
    };
    let mapped: Vec<String> = text
        .split(';')
        .map(|attribute| match attribute.trim().split_once('=') {
            Some((name, path)) if name.eq_ignore_ascii_case("path") => {
                let path = to_client(rewrite, path).unwrap_or_else(|| path.to_owned());
                format!(" Path={path}")
            }
            _ => attribute.to_owned(),
        })
        .collect();
    HeaderValue::from_str(&mapped.join(";")).unwrap_or_else(|_| cookie.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewrite(strip: Option<&str>, add: Option<&str>) -> Rewrite {
        Rewrite {
            strip_prefix: strip.map(str::to_owned),
            add_prefix: add.map(str::to_owned),
        }
    }

    #[test]
    fn prefixes_are_exchanged_by_whole_segments() {
        let both = rewrite(Some("/api"), Some("/v1"));
        assert_eq!(to_candidate(&both, "/api/answers"), "/v1/answers");
        assert_eq!(to_candidate(&both, "/api"), "/v1");
        assert_eq!(to_candidate(&both, "/apis/answers"), "/apis/answers");
        assert_eq!(to_candidate(&rewrite(Some("/api"), None), "/api"), "/");
        assert_eq!(to_candidate(&rewrite(Some("/api"), None), "/api/a"), "/a");
        assert_eq!(to_candidate(&rewrite(None, Some("/v1")), "/a"), "/v1/a");
    }

    #[test]
    fn locations_and_cookie_paths_are_mapped_back() {
        let both = rewrite(Some("/api"), Some("/v1"));
        let mut headers = HeaderMap::new();
        headers.insert(
            header::LOCATION,
            HeaderValue::from_static("/v1/answers/7?x=1"),
        );
        headers.append(
            header::SET_COOKIE,
            HeaderValue::from_static("a=1; Path=/v1/x; Secure"),
        );
        headers.append(
            header::SET_COOKIE,
            HeaderValue::from_static("b=2; HttpOnly"),
        );
        map_back(&both, &mut headers, Some("shop"));
        assert_eq!(headers[header::LOCATION], "/api/answers/7?x=1");
        let cookies: Vec<_> = headers.get_all(header::SET_COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1; Path=/api/x; Secure", "b=2; HttpOnly"]);
    }

    #[test]
    fn only_locations_on_the_clients_host_are_mapped() {
        let both = rewrite(Some("/api"), Some("/v1"));
        let mapped = |location: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::LOCATION, HeaderValue::from_static(location));
            map_back(&both, &mut headers, Some("shop:8080"));
            headers[header::LOCATION].to_str().unwrap().to_owned()
        };
        assert_eq!(mapped("http://shop:8080/v1/a"), "http://shop:8080/api/a");
        assert_eq!(mapped("http://other/v1/a"), "http://other/v1/a");
        assert_eq!(mapped("//other/v1/a"), "//other/v1/a");
        assert_eq!(mapped("a/b"), "a/b");
    }
}
