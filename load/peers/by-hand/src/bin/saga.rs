//! The answer-submission saga's four writes by hand, without an engine: record, two participants in
//! parallel, done. Nobody would finish one after a crash.
//!
//! `saga URL PORT` serves it over HTTP: a POST of `{"userId": …}` is one saga. URL is a superuser's; the
//! tables lie in a database of their own.

#[path = "../http.rs"]
mod http;
#[path = "../writes.rs"]
mod writes;

use std::sync::Arc;

use uuid::Uuid;

use writes::{Write, Writes};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [url, port] = words.as_slice() else {
        anyhow::bail!("saga URL PORT");
    };
    let writes = Arc::new(Writes::open(url).await?);
    println!("in {}", writes.url);
    http::serve(port.parse()?, move |user| saga(Arc::clone(&writes), user)).await
}

async fn saga(writes: Arc<Writes>, user: Uuid) -> anyhow::Result<()> {
    let id = Uuid::now_v7();
    writes.write(Write::Record, id, user).await?;
    tokio::try_join!(
        writes.write(Write::Achievement, id, user),
        writes.write(Write::Board, id, user),
    )?;
    writes.write(Write::Done, id, user).await
}
