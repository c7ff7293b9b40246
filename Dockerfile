# syntax=docker/dockerfile:1.7
#
# One image for any of Banyan's programs: a static binary, nothing else of ours.
#
#   docker build --tag banyan:local .                                       # all parts in one binary
#   docker build --build-arg BIN=banyan-quiz --tag banyan-quiz:local .      # one service alone
#
# The toolchain's version is that of rust-toolchain.toml, which is kept out of the build so that
# rustup has nothing to fetch.
ARG RUST_VERSION=1.95.0

# cargo-chef builds the dependencies apart from our code: that layer changes with Cargo.lock only.
FROM rust:${RUST_VERSION}-slim-bookworm AS chef
ARG CARGO_CHEF_VERSION=0.1.78
RUN cargo install cargo-chef --locked --version "${CARGO_CHEF_VERSION}"
WORKDIR /src

FROM chef AS plan
COPY . .
RUN cargo chef prepare --recipe-path recipe.json

FROM chef AS build
# Static, with the C library that the tests run on. Names are resolved by what is compiled in (files,
# then DNS); the image has no other way. `--target` keeps the flags away from macros and build scripts,
# which must stay loadable.
ENV RUSTFLAGS="-C target-feature=+crt-static"
COPY --from=plan /src/recipe.json recipe.json
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    cargo chef cook --locked --profile dist --workspace \
        --target "$(rustc --print host-tuple)" --recipe-path recipe.json
COPY . .
# What `banyan_build_info` says of itself.
ARG REVISION=unknown
ENV BANYAN_REVISION=${REVISION}
# One binary's name from here on, so that all of them share the layers above.
ARG BIN=banyan
# The workspace's features, as above, so that nothing is built twice; only this binary is linked.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    target="$(rustc --print host-tuple)" \
    && cargo build --locked --profile dist --workspace --bin "${BIN}" --target "${target}" \
    && mkdir -p /image/var/lib/banyan \
    && strip --strip-all -o /image/banyan "target/${target}/dist/${BIN}"

# Certificates (mail and OpenID providers speak TLS), time zones, /tmp and a user; no shell, no libc.
FROM gcr.io/distroless/static-debian12:nonroot
# The folder of state belongs to the user, and so does a fresh volume that is mounted there.
COPY --from=build --chown=65532:65532 /image/var/lib/banyan /var/lib/banyan
COPY --from=build /image/banyan /banyan
# A number, so that Kubernetes can tell that it is not root.
USER 65532:65532
WORKDIR /var/lib/banyan
# The gateway's two, the services', the log's.
EXPOSE 8080 8081 9000 9001 9002 9003 9004 9005 9006 9007 9010
# The first begins the drain of 10 s at most; a second one would end the process at once.
STOPSIGNAL SIGTERM
# The binary asks itself; `banyan` knows from BANYAN_PART whom to ask.
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=6 \
    CMD ["/banyan", "--probe"]
ENTRYPOINT ["/banyan"]
# Last, since they change with every commit.
ARG BIN=banyan
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="${BIN}" \
      org.opencontainers.image.description="Banyan strangles monoliths" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
