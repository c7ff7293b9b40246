//! What clients meet first: HTTP/2, TLS, limits, and the end of a connection.

mod floods;
mod http2;
mod limits;
mod linger;
mod malformed;
mod raw;
mod tls;
