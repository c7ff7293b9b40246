//! A resolver that says what its test wants, on a clock that stands still.

use std::collections::VecDeque;
use std::sync::Mutex;

use tokio::runtime::Handle;

use super::super::Upstreams;
use super::*;
use crate::config::{Config, Language};

#[derive(Debug)]
struct Scripted(Mutex<VecDeque<io::Result<Vec<IpAddr>>>>);

impl Resolve for Scripted {
    fn resolve(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        assert_eq!(host, "quiz.example");
        let answer = self.0.lock().unwrap().pop_front();
        Box::pin(async move {
            match answer {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        })
    }
}

fn ips(last: &[u8]) -> Vec<IpAddr> {
    let ip = |last: &u8| IpAddr::from([10, 0, 0, *last]);
    last.iter().map(ip).collect()
}

fn upstreams(script: Vec<io::Result<Vec<IpAddr>>>) -> Upstreams {
    let text = "upstreams.quiz = { endpoints = [\"http://quiz.example:9000\"], resolve = \"10s\" }\n\
                routes = [{ id = \"all\", prefix = \"/\", legacy = \"quiz\" }]";
    let config = Config::from_text(text, Language::Toml).unwrap();
    let resolver = Arc::new(Scripted(Mutex::new(script.into())));
    Upstreams::with_resolver(&config, 1, Handle::current(), resolver)
}

fn addresses(upstreams: &Upstreams) -> Vec<String> {
    let snapshot = upstreams.snapshot();
    let endpoints = snapshot[0].endpoints.iter();
    endpoints.map(|endpoint| endpoint.address.clone()).collect()
}

async fn after(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_name_is_its_addresses_and_follows_them() {
    let failed = || io::Error::from(io::ErrorKind::ConnectionRefused);
    let upstreams = upstreams(vec![
        Err(failed()),
        Ok(ips(&[2, 1, 2])),
        Err(failed()),
        Ok(Vec::new()),
        Ok(ips(&[2, 3])),
    ]);
    assert_eq!(addresses(&upstreams), ["http://quiz.example:9000"]);
    after(5).await;
    assert_eq!(addresses(&upstreams), ["http://quiz.example:9000"]);
    after(10).await;
    let both = [
        "http://quiz.example:9000 (10.0.0.1)",
        "http://quiz.example:9000 (10.0.0.2)",
    ];
    assert_eq!(addresses(&upstreams), both);
    let kept = || {
        let upstream = upstreams.get(&"quiz".parse().unwrap()).unwrap();
        let endpoints = upstream.endpoints.load_full();
        let at = |it: &&Arc<Endpoint>| it.peer().at == Some(ips(&[2])[0]);
        endpoints.iter().find(at).map(Arc::clone).unwrap()
    };
    let second = kept();
    for _ in 0..2 {
        after(10).await;
        assert_eq!(
            addresses(&upstreams),
            both,
            "a failing resolver changes nothing"
        );
    }
    after(10).await;
    let moved = [
        "http://quiz.example:9000 (10.0.0.2)",
        "http://quiz.example:9000 (10.0.0.3)",
    ];
    assert_eq!(addresses(&upstreams), moved);
    assert!(Arc::ptr_eq(&second, &kept()), "what stays is the same one");
    after(60).await;
    assert_eq!(
        addresses(&upstreams),
        moved,
        "a resolver that hangs changes nothing"
    );
}
