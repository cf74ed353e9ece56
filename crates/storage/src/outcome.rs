//! What a write can come to.

use protocol::Reject;

/// Proof that a message's effect is durable. Only this crate makes one, and a message is
/// acknowledged only in exchange for one.
#[derive(Debug)]
#[must_use]
pub struct Committed(());

impl Committed {
    /// Call this only after the server has confirmed.
    pub(crate) const fn confirmed() -> Self {
        Self(())
    }
}

/// What became of one message: durable, or impossible for a reason of its own.
pub type Written = Result<Committed, Reject>;

/// The server is away, slow, read-only, full or not migrated. The messages are fine: the same
/// write succeeds once the cause is gone.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{server} is unavailable: {reason}")]
pub struct Unavailable {
    /// Which server.
    pub server: &'static str,
    /// Why, as it says itself; without credentials.
    pub reason: String,
}

impl Unavailable {
    pub(crate) fn redis(reason: impl std::fmt::Display) -> Self {
        Self { server: "redis", reason: reason.to_string() }
    }

    pub(crate) fn postgres(reason: impl std::fmt::Display) -> Self {
        Self { server: "postgres", reason: reason.to_string() }
    }
}
