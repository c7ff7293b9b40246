use http::{HeaderMap, HeaderValue, Method};

use super::*;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[test]
fn a_traceparent_survives_the_round_trip() {
    assert_eq!(TraceContext::parse(PARENT).unwrap().to_string(), PARENT);
}

#[test]
fn malformed_traceparents_are_not_continued() {
    for text in [
        "",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
    ] {
        assert_eq!(TraceContext::parse(text), None, "{text}");
    }
}

#[test]
fn the_next_hop_gets_the_same_trace_and_another_span() {
    let mut headers = HeaderMap::new();
    headers.insert(TRACEPARENT, HeaderValue::from_static(PARENT));
    let context = TraceContext::from_headers(&headers);
    assert_eq!(context.trace_id(), "0af7651916cd43dd8448eb211c80319c");
    assert_ne!(context.to_string(), PARENT);
}

#[test]
fn where_nothing_is_exported_spans_allocate_nothing() {
    let mut headers = HeaderMap::new();
    headers.insert(TRACEPARENT, HeaderValue::from_static(PARENT));
    let never = || -> String { panic!("a name for a span that goes nowhere") };
    let work = || {
        let origin = Origin::of_headers(&headers);
        let mut span = Tracer::OFF.begin(Kind::Server, origin, never);
        span.set("http.response.status_code", 200);
        span.set_text("url.path", "/api/answers");
        span.rename(never);
        let context = span.context();
        assert!(Tracer::OFF.child(Kind::Client, context, never).is_none());
        assert!(
            Tracer::OFF
                .batch(Kind::Producer, "batch", [context])
                .is_none()
        );
    };
    // A thread's random numbers are set up once.
    work();
    assert_eq!(allocation_counter::measure(work).count_total, 0);
}

#[test]
fn a_bare_trace_id_is_continued() {
    let mut headers = HeaderMap::new();
    headers.insert(
        X_TRACE_ID,
        HeaderValue::from_static("0af7651916cd43dd8448eb211c80319c"),
    );
    let context = TraceContext::from_headers(&headers);
    assert_eq!(context.trace_id(), "0af7651916cd43dd8448eb211c80319c");
}

#[test]
fn a_method_that_a_client_invents_has_no_name_of_its_own() {
    let named = |name: &str| method(&name.parse::<Method>().unwrap());
    assert_eq!(["GET", "PATCH"].map(named), ["GET", "PATCH"]);
    assert_eq!(["TRACE", "BREW", "get"].map(named), ["_OTHER"; 3]);
}
