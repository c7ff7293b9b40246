use std::collections::HashMap;

use testkit::TraceReceiver;

use super::*;
use crate::trace::{Kind, Origin, Span, TraceContext};

const SOON: Duration = Duration::from_secs(20);
/// Far above what ending a thousand spans takes, far below any timeout of an exporter.
const AT_ONCE: Duration = Duration::from_secs(2);

fn settings(endpoint: &str, share: f64, queue: usize) -> Settings {
    Settings {
        endpoint: Some(format!("{endpoint}/v1/traces")),
        head: Head::share(share),
        queue,
        // Nothing is sent but at the end, or when a batch is full.
        delay: Some(Duration::from_secs(3_600)),
        name: None,
    }
}

fn begin(export: &Export, part: &str, origin: Origin, name: &'static str) -> Span {
    export.tracer(part).begin(Kind::Internal, origin, || name)
}

fn new_trace() -> Origin {
    Origin::Root(TraceContext::generate().ids().0)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_sent_at_the_end_and_each_part_has_its_name() {
    let receiver = TraceReceiver::start().await.expect("a receiver");
    let export = Export::start(&settings(&receiver.endpoint(), 1.0, 64), &["quiz", "auth"])
        .expect("an export");
    let origin = new_trace();
    let root = begin(&export, "quiz", origin, "root");
    let trace = root.context().trace_id();
    assert_eq!(Origin::Root(root.context().ids().0), origin);
    let link = begin(&export, "auth", new_trace(), "elsewhere").context();
    let child = export.tracer("auth").begin_linked(
        Kind::Consumer,
        Origin::Child(root.context()),
        || "child",
        &[link],
    );
    drop((root, child));
    assert!(receiver.spans().is_empty(), "nothing is due before the end");
    export.finish(SOON);

    let spans = receiver.trace(&trace, SOON, |spans| spans.len() == 2).await;
    let by_name: HashMap<_, _> = spans.iter().map(|span| (span.name(), span)).collect();
    let (root, child) = (by_name["root"], by_name["child"]);
    assert_eq!((root.service(), root.parent()), ("quiz", ""));
    assert_eq!((child.service(), child.parent()), ("auth", root.id()));
    assert_eq!(child.kind(), "CONSUMER");
    assert_eq!(child.links(), [link.span_id()]);
    assert_eq!(child.resource("service.namespace"), "banyan");
    assert_eq!(export.parts[0].counts.seen(), (1, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_head_decides_what_is_recorded_and_everybody_keeps_to_it() {
    let receiver = TraceReceiver::start().await.expect("a receiver");
    let export =
        Export::start(&settings(&receiver.endpoint(), 0.0, 64), &["quiz"]).expect("an export");
    let unwanted = begin(&export, "quiz", new_trace(), "unwanted");
    assert!(!unwanted.is_recording() && !unwanted.context().is_sampled());
    let below = begin(&export, "quiz", Origin::Child(unwanted.context()), "below");
    assert_eq!(below.context().trace_id(), unwanted.context().trace_id());
    assert!(!below.is_recording() && !below.context().is_sampled());
    let tracer = export.tracer("quiz");
    assert!(
        tracer
            .batch(Kind::Producer, "batch", [unwanted.context()])
            .is_none()
    );

    let decided = TraceContext::generate();
    let wanted = begin(&export, "quiz", Origin::Child(decided), "wanted");
    // Work for both is part of what is recorded of the one.
    let batch = tracer.batch(Kind::Producer, "batch", [unwanted.context(), decided]);
    let batch = batch.expect("one of them is recorded");
    assert!(batch.context().is_beside(&decided));
    drop((unwanted, below, wanted, batch));
    export.finish(SOON);
    let is_whole = |spans: &[testkit::ReceivedSpan]| spans.len() == 2;
    receiver.trace(&decided.trace_id(), SOON, is_whole).await;
    assert_eq!(receiver.spans().len(), 2, "nothing else came");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_many_traces_has_one_of_its_own_that_links_to_them() {
    let receiver = TraceReceiver::start().await.expect("a receiver");
    let export =
        Export::start(&settings(&receiver.endpoint(), 0.0, 64), &["quiz"]).expect("an export");
    let chains = [TraceContext::generate(), TraceContext::generate()];
    let tracer = export.tracer("quiz");
    let batch = tracer
        .batch(Kind::Producer, "batch", chains)
        .expect("recorded");
    assert!(!chains.iter().any(|chain| chain.is_beside(&batch.context())));
    let trace = batch.context().trace_id();
    drop(batch);
    export.finish(SOON);
    let spans = receiver.trace(&trace, SOON, |spans| spans.len() == 1).await;
    assert_eq!(spans[0].links(), chains.map(|chain| chain.span_id()));
    assert_eq!(spans[0].parent(), "");
}

/// Ends a thousand spans and then the export, both at once.
fn lose_a_thousand(endpoint: &str) -> Export {
    let export = Export::start(&settings(endpoint, 1.0, 16), &["quiz"]).expect("an export");
    let began = Instant::now();
    for _ in 0..1_000 {
        drop(begin(&export, "quiz", new_trace(), "lost"));
    }
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    let began = Instant::now();
    export.finish(Duration::from_millis(300));
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    export
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_down_costs_nobody_time_and_what_is_lost_is_counted() {
    let endpoint = format!("http://127.0.0.1:{}", testkit::free_port());
    let export = lose_a_thousand(&endpoint);
    let is_counted = || {
        let (exported, queue_full, failed) = export.parts[0].counts.seen();
        assert_eq!(exported, 0);
        std::future::ready(queue_full > 0 && failed > 0 && queue_full + failed == 1_000)
    };
    testkit::eventually(SOON, is_counted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_never_answers_costs_nobody_time() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", silent.local_addr().expect("an address"));
    let (exported, queue_full, _) = lose_a_thousand(&endpoint).parts[0].counts.seen();
    assert_eq!(exported, 0);
    // One batch is on its way, and one waits behind it.
    assert!(queue_full >= 1_000 - 2 * 16, "{queue_full}");
}

#[test]
fn nothing_is_exported_unless_an_endpoint_is_set() {
    let read = |variables: &[(&str, &str)]| {
        let variables: HashMap<String, String> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Settings::from(|name| variables.get(name).cloned())
    };
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
    assert!(read(&[]).is_none());
    assert!(read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]).is_none());
    assert!(read(&[("OTEL_SERVICE_NAME", "quiz")]).is_none());
    assert!(read(&[endpoint]).is_some());
    assert!(read(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c/v1/traces")]).is_some());
    for (name, value) in [
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_TRACES_SAMPLER", "always_off"),
    ] {
        assert!(read(&[endpoint, (name, value)]).is_none(), "{name}");
    }
    assert!(read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector")]).is_none());
    let few = [
        endpoint,
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "9"),
    ];
    let few = read(&few).expect("an export");
    assert_eq!((few.head, few.queue), (Head::share(0.25), 9));
    let odd = [
        endpoint,
        ("OTEL_TRACES_SAMPLER", "traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "half"),
    ];
    assert_eq!(read(&odd).expect("an export").head, Head::share(1.0));
}
