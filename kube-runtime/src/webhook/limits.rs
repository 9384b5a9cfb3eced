//! `Limits`: the bounds of a webhook server.

use std::time::Duration;

/// The bounds of a [`Server`](super::Server). They prevent clients from exhausting the memory or the
/// connections of the process.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// The maximum number of connections. Further connections wait in the listen backlog of the operating system. While
    /// a connection waits, the server closes connections that are idle after a request. Default: 512.
    pub connections: usize,
    /// The maximum size of the body of an admission request, in bytes. Default: 7 MiB, as in controller-runtime. Two
    /// objects fit, even if each has the maximum size that an API server accepts.
    pub admission_bytes: usize,
    /// The maximum size of the body of a conversion request, in bytes. An API server converts all objects of a list in
    /// one request. Default: 64 MiB.
    pub conversion_bytes: usize,
    /// The maximum total size of the bodies in memory, in bytes. Further requests wait. The server also rejects a
    /// single body above this size. A value below 1 KiB counts as 1 KiB, and a value above 4 GiB as 4 GiB. Default:
    /// 128 MiB.
    pub total_bytes: usize,
    /// The maximum time of one request, from its head to the end of the handler. The API server sends a timeout with
    /// each request. If that timeout is shorter, it takes precedence. Default: 30 seconds, the longest timeout that
    /// the configuration of a webhook can set.
    pub request_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            connections: 512,
            admission_bytes: 7 * MIB,
            conversion_bytes: 64 * MIB,
            total_bytes: 128 * MIB,
            request_time: Duration::from_secs(30),
        }
    }
}

impl Limits {
    /// Sets the maximum number of connections. The server treats 0 as 1.
    #[must_use]
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// Sets the maximum size of the body of an admission request, in bytes.
    #[must_use]
    pub fn admission_bytes(mut self, bytes: usize) -> Self {
        self.admission_bytes = bytes;
        self
    }

    /// Sets the maximum size of the body of a conversion request, in bytes.
    #[must_use]
    pub fn conversion_bytes(mut self, bytes: usize) -> Self {
        self.conversion_bytes = bytes;
        self
    }

    /// Sets the maximum total size of the bodies in memory, in bytes.
    #[must_use]
    pub fn total_bytes(mut self, bytes: usize) -> Self {
        self.total_bytes = bytes;
        self
    }

    /// Sets the maximum time of one request.
    #[must_use]
    pub fn request_time(mut self, time: Duration) -> Self {
        self.request_time = time;
        self
    }
}
