//! Stories told against real servers.
