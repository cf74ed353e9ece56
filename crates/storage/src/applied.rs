//! Whether a message has had its effect already.

use protocol::{DeviceId, MessageKey, TenantId, UnixMillis};

use crate::outcome::Unavailable;
use crate::records::Records;
use crate::sql_error::unavailable;

/// The broker's time tells a place in a stream from the same place after the stream was made anew.
const APPLIED: &str = "
select exists (
    select from device_realtime_data
    where tenant_uuid = $1 and device_uuid = $2 and message_key = $3
      and floor(extract(epoch from received_at) * 1000)::bigint = $4)";

impl Records {
    /// Whether the message that the broker took at `received` under this key is a record.
    ///
    /// # Errors
    /// Postgres is away or ill.
    pub async fn is_recorded(
        &self,
        tenant: TenantId,
        device: DeviceId,
        key: &MessageKey,
        received: UnixMillis,
    ) -> Result<bool, Unavailable> {
        let connection = self.connection().await?;
        let (tenant, device) = (tenant.as_uuid(), device.as_uuid());
        let (key, received) = (key.to_string(), received.get());
        let row = self
            .bounded(connection.query_one(APPLIED, &[&tenant, &device, &key, &received]))
            .await?
            .map_err(|error| unavailable(&error))?;
        Ok(row.get(0))
    }
}
