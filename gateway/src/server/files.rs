//! Room for connections: each costs a file descriptor, on either side of the proxy.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises this process's soft limit of open files to its hard limit. The soft one is commonly 1024
/// for the sake of programs that use `select`; ours do not.
pub(super) fn allow_many() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}
