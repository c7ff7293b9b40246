//! The proxies' configurations: all route the same paths to the same two origins and do the same
//! for each request, as far as each can.
//!
//! That is: match one of the routes, send half of the users (by `X-User-Id`) to the candidate, give
//! the request a trace id and tell both sides, add `X-Forwarded-*`, keep connections on both sides,
//! write no access log.

use std::{fmt::Write, path::Path};

/// Which ports a proxy's configuration names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    pub(super) listen: u16,
    pub(super) admin: u16,
    pub(super) legacy: u16,
    pub(super) candidate: u16,
}

/// The gateway; with `public_key` every route demands a token.
pub(super) fn banyan(ports: Ports, routes: usize, public_key: Option<&str>) -> String {
    let Ports {
        listen,
        admin,
        legacy,
        candidate,
    } = ports;
    let mut text = format!(
        "listen = \"127.0.0.1:{listen}\"\nadmin_listen = \"127.0.0.1:{admin}\"\n\
         access_log = \"off\"\ncookie_key = \"a key for measurements, of no other use\"\n\n\
         [upstreams.legacy]\nendpoints = [\"http://127.0.0.1:{legacy}\"]\n\
         [upstreams.candidate]\nendpoints = [\"http://127.0.0.1:{candidate}\"]\n\
         breaker = {{ failures = 5, window = \"10s\", open_for = \"5s\" }}\n\n\
         [flags.half]\npercent = 50.0\nsubject = [\"header:x-user-id\"]\n\n"
    );
    let auth = match public_key {
        Some(key) => {
            let _ = write!(
                text,
                "[auth]\n[[auth.issuers]]\nissuer = \"measurement\"\n\
                 public_key = \"\"\"\n{key}\"\"\"\n\n"
            );
            "auth = { required = true }\n"
        }
        None => "",
    };
    for route in 0..routes {
        let _ = write!(
            text,
            "[[routes]]\nid = \"area-{route}\"\nprefix = \"/area-{route}\"\nlegacy = \"legacy\"\n\
             candidate = \"candidate\"\nflag = \"half\"\n{auth}\n"
        );
    }
    text
}

/// nginx: two workers, a `location` for each route, `split_clients` for the flag.
pub(super) fn nginx(ports: Ports, routes: usize, folder: &Path) -> String {
    let Ports {
        listen,
        legacy,
        candidate,
        ..
    } = ports;
    let folder = folder.display();
    let mut text = format!(
        "worker_processes 2;\npid {folder}/nginx.pid;\nerror_log {folder}/nginx-error.log warn;\n\
         events {{ worker_connections 20000; }}\nworker_rlimit_nofile 20000;\n\
         http {{\n  access_log off;\n  keepalive_requests 1000000000;\n  keepalive_timeout 600s;\n\
         \x20 client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;\n\
         \x20 fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n\
         \x20 client_max_body_size 0;\n  client_body_buffer_size 64k;\n\
         \x20 map $http_traceparent $trace {{ default $http_traceparent; \
         '' 00-$request_id-00f067aa0ba902b7-01; }}\n\
         \x20 split_clients $http_x_user_id $side {{ 50% candidate; * legacy; }}\n"
    );
    for (name, port) in [("legacy", legacy), ("candidate", candidate)] {
        let _ = writeln!(
            text,
            "  upstream {name} {{ server 127.0.0.1:{port}; keepalive 256; \
             keepalive_requests 1000000000; }}"
        );
    }
    let _ = write!(
        text,
        "  server {{\n    listen 127.0.0.1:{listen} reuseport backlog=4096;\n\
         \x20   proxy_http_version 1.1;\n    proxy_set_header Connection '';\n\
         \x20   proxy_set_header Host $host;\n\
         \x20   proxy_set_header X-Forwarded-For $remote_addr;\n\
         \x20   proxy_set_header X-Forwarded-Proto $scheme;\n\
         \x20   proxy_set_header X-Forwarded-Host $host;\n\
         \x20   proxy_set_header Via '1.1 nginx';\n\
         \x20   proxy_set_header traceparent $trace;\n\
         \x20   proxy_set_header X-Trace-ID $request_id;\n\
         \x20   add_header traceparent $trace;\n    add_header X-Trace-ID $request_id;\n\
         \x20   add_header X-Upstream $side;\n"
    );
    for route in 0..routes {
        let _ = writeln!(
            text,
            "    location /area-{route}/ {{ set $route area-{route}; proxy_pass http://$side; }}"
        );
    }
    text.push_str("  }\n}\n");
    text
}

/// HAProxy: two threads, the routes as a map of prefixes, a hash of the user for the flag. The second
/// text is that map.
pub(super) fn haproxy(ports: Ports, routes: usize, map: &Path) -> (String, String) {
    let Ports {
        listen,
        legacy,
        candidate,
        ..
    } = ports;
    let map = map.display();
    let text = format!(
        "global\n  nbthread 2\n  maxconn 9900\n\
         defaults\n  mode http\n  timeout client 600s\n  timeout server 60s\n\
         \x20 timeout connect 2s\n  timeout http-keep-alive 600s\n  option http-keep-alive\n\
         \x20 http-reuse always\n\
         frontend all\n  bind 127.0.0.1:{listen} backlog 4096\n\
         \x20 http-request set-var(txn.trace) uuid\n\
         \x20 http-request set-var(txn.route) path,map_beg({map},none)\n\
         \x20 http-request set-var(txn.bucket) req.hdr(x-user-id),xxh32,mod(10000)\n\
         \x20 http-request set-header X-Forwarded-For %[src]\n\
         \x20 http-request set-header X-Forwarded-Proto http\n\
         \x20 http-request set-header X-Forwarded-Host %[req.hdr(host)]\n\
         \x20 http-request set-header Via \"1.1 haproxy\"\n\
         \x20 http-request set-header X-Trace-ID %[var(txn.trace)]\n\
         \x20 http-request set-header traceparent 00-%[var(txn.trace)]-00f067aa0ba902b7-01\n\
         \x20 http-response set-header X-Trace-ID %[var(txn.trace)]\n\
         \x20 http-response set-header X-Route %[var(txn.route)]\n\
         \x20 http-response set-header X-Upstream %[be_name]\n\
         \x20 http-request deny deny_status 404 if {{ var(txn.route) -m str none }}\n\
         \x20 use_backend candidate if {{ var(txn.bucket) -m int lt 5000 }}\n\
         \x20 default_backend legacy\n\
         backend legacy\n  server one 127.0.0.1:{legacy} pool-max-conn 512\n\
         backend candidate\n  server one 127.0.0.1:{candidate} pool-max-conn 512\n"
    );
    let routes = (0..routes).map(|route| format!("/area-{route}/ area-{route}\n"));
    (text, routes.collect())
}

/// Traefik: a router for each route, a weighted service for the flag. The second text is what its
/// file provider reads.
pub(super) fn traefik(ports: Ports, routes: usize, dynamic: &Path) -> (String, String) {
    let Ports {
        listen,
        legacy,
        candidate,
        ..
    } = ports;
    let fixed = format!(
        "entryPoints:\n  web:\n    address: 127.0.0.1:{listen}\nlog:\n  level: ERROR\n\
         providers:\n  file:\n    filename: {}\n    watch: false\n\
         global:\n  checkNewVersion: false\n  sendAnonymousUsage: false\n\
         serversTransport:\n  maxIdleConnsPerHost: 512\n",
        dynamic.display()
    );
    let mut text = format!(
        "http:\n  services:\n\
         \x20   legacy: {{ loadBalancer: {{ servers: [ {{ url: 'http://127.0.0.1:{legacy}' }} ] }} }}\n\
         \x20   candidate: {{ loadBalancer: {{ servers: [ {{ url: 'http://127.0.0.1:{candidate}' }} ] }} }}\n\
         \x20   half: {{ weighted: {{ services: [ {{ name: legacy, weight: 1 }}, \
         {{ name: candidate, weight: 1 }} ] }} }}\n  routers:\n"
    );
    for route in 0..routes {
        let _ = writeln!(
            text,
            "    area-{route}: {{ entryPoints: [web], rule: 'PathPrefix(`/area-{route}/`)', \
             service: half }}"
        );
    }
    (fixed, text)
}

/// Caddy: a `handle` for each route, weighted round robin for the flag.
pub(super) fn caddy(ports: Ports, routes: usize) -> String {
    let Ports {
        listen,
        legacy,
        candidate,
        ..
    } = ports;
    let mut text = format!(
        "{{\n  admin off\n  auto_https off\n  log {{\n    level ERROR\n  }}\n}}\n\
         (half) {{\n  reverse_proxy 127.0.0.1:{legacy} 127.0.0.1:{candidate} {{\n\
         \x20   lb_policy weighted_round_robin 1 1\n\
         \x20   header_up X-Trace-ID {{http.request.uuid}}\n\
         \x20   header_down X-Trace-ID {{http.request.uuid}}\n\
         \x20   transport http {{\n      keepalive_idle_conns_per_host 512\n    }}\n  }}\n}}\n\
         http://:{listen} {{\n  bind 127.0.0.1\n"
    );
    for route in 0..routes {
        let _ = writeln!(text, "  handle /area-{route}/* {{\n    import half\n  }}");
    }
    text.push_str("}\n");
    text
}
