//! Listening sockets, with errors that name the port and the setting.

use std::{io, net::SocketAddr};

use tokio::net::TcpListener;

/// A port that could not be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} (setting `{setting}`): {reason}")]
pub struct BindError {
    /// The address asked for.
    pub address: SocketAddr,
    /// The setting it came from.
    pub setting: String,
    reason: String,
    #[source]
    source: io::Error,
}

impl BindError {
    /// Words the fault for whoever has to change the setting.
    pub fn new(address: SocketAddr, setting: &str, source: io::Error) -> Self {
        let reason = match source.kind() {
            io::ErrorKind::AddrInUse => {
                format!(
                    "port {} is taken; is another instance running?",
                    address.port()
                )
            }
            io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
            io::ErrorKind::PermissionDenied => {
                format!("port {} needs privileges", address.port())
            }
            _ => source.to_string(),
        };
        Self {
            address,
            setting: setting.to_owned(),
            reason,
            source,
        }
    }
}

/// Listens on `address`, never sharing the port; `setting` is named when that fails.
///
/// # Errors
/// [`BindError`] when the port is taken or the address is not this machine's.
pub async fn bind(address: SocketAddr, setting: &str) -> Result<TcpListener, BindError> {
    TcpListener::bind(address)
        .await
        .map_err(|error| BindError::new(address, setting, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_names_itself_and_its_setting() {
        let first = bind(([127, 0, 0, 1], 0).into(), "listen").await.unwrap();
        let address = first.local_addr().unwrap();
        let text = bind(address, "listen").await.unwrap_err().to_string();
        assert!(text.contains(&address.port().to_string()), "{text}");
        assert!(
            text.contains("`listen`") && text.contains("taken"),
            "{text}"
        );
    }
}
