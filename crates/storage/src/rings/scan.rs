//! Rings looked for by their keys, a bounded step at a time, so that Redis answers others meanwhile.

use std::collections::BTreeSet;

use protocol::DeviceId;

use super::Rings;
use crate::outcome::Unavailable;

/// Keys that Redis looks at in one step.
const KEYS_A_STEP: usize = 1_000;

impl Rings {
    /// How many rings there are, counted up to `at_most`.
    ///
    /// # Errors
    /// Redis is away or ill.
    pub async fn count(&self, at_most: usize) -> Result<usize, Unavailable> {
        let (mut cursor, mut count) = (0_u64, 0_usize);
        loop {
            let (next, keys) = self.step(cursor).await?;
            count = count.saturating_add(keys.len());
            if next == 0 || count >= at_most {
                return Ok(count.min(at_most));
            }
            cursor = next;
        }
    }

    /// How many rings these devices have.
    ///
    /// # Errors
    /// Redis is away or ill.
    pub async fn count_of(&self, devices: &BTreeSet<DeviceId>) -> Result<u64, Unavailable> {
        let (mut cursor, mut found) = (0_u64, BTreeSet::new());
        loop {
            let (next, keys) = self.step(cursor).await?;
            // Redis may show a key twice.
            found.extend(keys.into_iter().filter(|key| self.is_of(key, devices)));
            if next == 0 {
                return Ok(u64::try_from(found.len()).unwrap_or(u64::MAX));
            }
            cursor = next;
        }
    }

    /// Removes every ring of these devices.
    ///
    /// # Errors
    /// Redis is away or ill; a repetition does the rest.
    pub async fn remove_of(&self, devices: &BTreeSet<DeviceId>) -> Result<(), Unavailable> {
        let mut cursor = 0_u64;
        loop {
            let (next, mut keys) = self.step(cursor).await?;
            keys.retain(|key| self.is_of(key, devices));
            if !keys.is_empty() {
                let mut connection = self.connection.clone();
                let removed = redis::cmd("UNLINK").arg(keys).query_async(&mut connection).await;
                let _: u64 = removed.map_err(Unavailable::redis)?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }

    async fn step(&self, cursor: u64) -> Result<(u64, Vec<String>), Unavailable> {
        let mut connection = self.connection.clone();
        redis::cmd("SCAN")
            .arg(cursor)
            .arg("MATCH")
            .arg(format!("{}:*:*", self.prefix))
            .arg("COUNT")
            .arg(KEYS_A_STEP)
            .query_async(&mut connection)
            .await
            .map_err(Unavailable::redis)
    }

    fn is_of(&self, key: &str, devices: &BTreeSet<DeviceId>) -> bool {
        let rest = key.strip_prefix(&self.prefix).and_then(|rest| rest.strip_prefix(':'));
        let device = rest.and_then(|rest| rest.split_once(':')).map(|(device, _)| device);
        device
            .and_then(|device| device.parse().ok())
            .is_some_and(|device| devices.contains(&device))
    }
}
