//! A reader of HTTP/1.1 requests by the letter of RFC 9112: where two readings are possible, none is.

/// A request, as far as its framing goes.
#[derive(Debug, PartialEq)]
pub(super) struct Message {
    pub(super) method: String,
    pub(super) body: Vec<u8>,
}

/// All whole requests at the beginning of a stream, up to the first that cannot be read.
pub(super) fn read(mut bytes: &[u8]) -> Vec<Message> {
    let mut messages = Vec::new();
    while let Some((message, rest)) = message(bytes) {
        messages.push(message);
        bytes = rest;
    }
    messages
}

/// The content of chunks; `None` when they are not whole.
pub(super) fn unchunked(bytes: &[u8]) -> Option<Vec<u8>> {
    chunked(bytes).map(|(body, _)| body)
}

fn message(mut bytes: &[u8]) -> Option<(Message, &[u8])> {
    // §2.2: empty lines before a request.
    while let Some(rest) = bytes.strip_prefix(b"\r\n") {
        bytes = rest;
    }
    let (request_line, mut rest) = line(bytes)?;
    let method = method(request_line)?;
    let is_old = request_line.ends_with(b"/1.0");
    let (mut length, mut is_chunked) = (None, false);
    loop {
        let (field, behind) = line(rest)?;
        rest = behind;
        if field.is_empty() {
            break;
        }
        let (name, value) = field_of(field)?;
        if name.eq_ignore_ascii_case("content-length") {
            let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
            let number = std::str::from_utf8(value).ok().filter(|_| is_number)?;
            if length.replace(number.parse::<usize>().ok()?).is_some() {
                return None;
            }
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            if is_chunked || is_old || !value.eq_ignore_ascii_case(b"chunked") {
                return None;
            }
            is_chunked = true;
        }
    }
    let (body, rest) = match (length, is_chunked) {
        (Some(_), true) => return None,
        (_, true) => chunked(rest)?,
        (length, false) => {
            let (body, rest) = rest.split_at_checked(length.unwrap_or(0))?;
            (body.to_vec(), rest)
        }
    };
    Some((Message { method, body }, rest))
}

/// A line without its end, which is CR LF; neither stands within it.
fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let line = bytes[..end].strip_suffix(b"\r")?;
    (!line.contains(&b'\r')).then_some((line, &bytes[end + 1..]))
}

fn method(line: &[u8]) -> Option<String> {
    let line = std::str::from_utf8(line).ok()?;
    let mut parts = line.split(' ');
    let (method, target, version) = (parts.next()?, parts.next()?, parts.next()?);
    let is_target = target
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'#');
    let is_sound = parts.next().is_none()
        && is_token(method.as_bytes())
        && is_target
        && !target.is_empty()
        && matches!(version, "HTTP/1.1" | "HTTP/1.0");
    is_sound.then(|| method.to_owned())
}

fn field_of(line: &[u8]) -> Option<(&str, &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    let is_control = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
    let is_sound = is_token(name) && !line[colon + 1..].iter().any(is_control);
    is_sound.then_some((std::str::from_utf8(name).ok()?, value))
}

fn is_token(bytes: &[u8]) -> bool {
    let is_tchar = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !bytes.is_empty() && bytes.iter().all(is_tchar)
}

fn chunked(mut bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut body = Vec::new();
    loop {
        let (size_line, rest) = line(bytes)?;
        let size = size_line.split(|byte| *byte == b';').next()?;
        let is_number = !size.is_empty() && size.iter().all(u8::is_ascii_hexdigit);
        let size = std::str::from_utf8(size).ok().filter(|_| is_number)?;
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return Some((body, trailers(rest)?));
        }
        let (chunk, rest) = rest.split_at_checked(size)?;
        body.extend_from_slice(chunk);
        bytes = rest.strip_prefix(b"\r\n")?;
    }
}

fn trailers(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        let (field, rest) = line(bytes)?;
        bytes = rest;
        if field.is_empty() {
            return Some(bytes);
        }
        field_of(field)?;
    }
}
