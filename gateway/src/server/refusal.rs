//! What a client is told whose connection is not served at all.

use std::time::Duration;

use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::proxy::Refusal;

/// How long, and for how many bytes, a refused client is listened to: what it has sent unread would
/// otherwise have the system reset the connection, and the client lose the answer.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 16 * 1024;

/// There are as many connections as there may be.
pub(super) fn too_many() -> Refusal {
    let detail = "The gateway has as many connections as it may, in all or from this address.";
    Refusal::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "too_many_connections",
        detail,
    )
    .retry_after(1)
}

/// Plain HTTP where TLS is spoken.
pub(super) fn not_tls() -> Refusal {
    let detail = "This port speaks HTTPS.";
    Refusal::new(StatusCode::BAD_REQUEST, "tls_required", detail)
}

/// Says it in HTTP/1.1 and closes.
pub(super) async fn tell(mut tcp: TcpStream, refusal: &Refusal) {
    let text = refusal.text();
    let telling = async {
        tcp.write_all(text.as_bytes()).await?;
        tcp.shutdown().await?;
        tokio::io::copy(&mut tcp.take(LINGER_BYTES), &mut tokio::io::sink()).await
    };
    // Whether it was heard or not, the connection ends here.
    let _ = tokio::time::timeout(LINGER, telling).await;
}
