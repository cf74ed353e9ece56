//! Starts and stops the real servers for the demo, the tests and the benchmarks.
//!
//! Promises: a server is ready when its `start` returns, listens on loopback only, and ends with the
//! process that started it, even when that is killed. Nothing here blocks without a bound.
//! Refuses to: stand in for a server with anything but the server.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! let nats = devstack::Nats::builder().config("jetstream {}").start()?;
//! let redis = devstack::Redis::builder().start()?;
//! let postgres = devstack::Postgres::builder().start()?;
//! println!("{} {} {:?}", nats.url(), redis.port(), postgres.address());
//! # Ok(())
//! # }
//! ```

mod account;
pub mod demo;
mod dir_lock;
mod home;
pub mod local;
mod nats;
pub mod output;
pub mod page;
mod postgres;
mod process;
mod programs;
mod provision;
mod proxy;
mod ready;
mod redis;
mod service;
mod stack_dir;
pub mod tls;
pub mod tools;

pub use local::{LocalStack, LocalStackBuilder};
pub use nats::{Nats, NatsBuilder};
pub use postgres::{DatabaseAddress, Postgres, PostgresBuilder};
pub use proxy::{CHUNK_BYTES_MAX, CHUNKS_IN_FLIGHT_MAX, TcpProxy};
pub use redis::{Redis, RedisBuilder, RedisUser};
pub use stack_dir::{STACK_DIR_VARIABLE, stack_dir};
