//! A WebSocket library.

use futures::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;

use crate::site::Site;

#[tokio::test]
async fn messages_of_all_sizes_come_back_and_the_close_is_answered() {
    let site = Site::open().await;
    let url = format!("ws://{}/socket", site.gateway.address);
    let (mut socket, answer) = tokio_tungstenite::connect_async(url)
        .await
        .expect("a handshake");
    assert_eq!(answer.status(), 101);
    for size in [0, 1, 125, 126, 65_535, 65_536, 300_000] {
        let message = Message::binary(vec![7; size]);
        socket.send(message.clone()).await.expect("it is sent");
        let back = socket.next().await.expect("it comes back").expect("whole");
        assert_eq!(back, message);
    }
    socket.close(None).await.expect("it is closed");
    let rest = socket.next().await;
    assert!(
        matches!(rest, None | Some(Ok(Message::Close(_)))),
        "{rest:?}"
    );
}
