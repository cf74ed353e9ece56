//! Labels of devices: what operators set wins over what the device reports.
//!
//! Reported labels stand in the newest heartbeat (`device_connectivity.connection_info`), those of
//! operators in the registry (`devices.labels`). Promises: a change and its line in the audit log
//! are one statement.

use protocol::limits::LABELS_MAX;
use protocol::{DeviceId, Labels};
use serde_json::json;
use tokio_postgres::types::{Json, ToSql};

use crate::outcome::Unavailable;
use crate::records::Records;
use crate::sql_error::unavailable;

/// The labels that count, as SQL over `device_connectivity c` and `devices d`. What a heartbeat
/// has is an object, or was taken before labels were known.
pub(crate) const EFFECTIVE: &str = "
(case when jsonb_typeof(c.connection_info -> 'labels') = 'object'
      then c.connection_info -> 'labels' else '{}' end || coalesce(d.labels, '{}'))";

/// A change of the labels that operators set on a device.
#[derive(Clone, Copy, Debug)]
pub struct LabelChange<'a> {
    /// Whose labels.
    pub device: DeviceId,
    /// What is added or replaced.
    pub set: &'a Labels,
    /// Keys that are taken away.
    pub unset: &'a [String],
    /// Who does it, for the audit log.
    pub who: &'a str,
}

/// Why labels were not changed.
#[derive(Debug, thiserror::Error)]
pub enum LabelChangeError {
    /// Postgres is away, ill or not migrated.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// Nobody registered that device.
    #[error("device {0} is not registered; run: wegweiser device add")]
    UnknownDevice(DeviceId),
    /// More than a device may have.
    #[error("device {0} would have more than {LABELS_MAX} labels; unset some first")]
    TooMany(DeviceId),
}

const CHANGE: &str = "
with wanted as (
    select device_uuid, tenant_uuid, (labels - $2::text[]) || $3::jsonb as labels
    from devices where device_uuid = $1
    for update
), changed as (
    update devices d set labels = w.labels, changed_at = clock_timestamp()
    from wanted w
    where d.device_uuid = w.device_uuid
      and (select count(*) from jsonb_object_keys(w.labels)) <= $4
    returning d.device_uuid, d.tenant_uuid, d.labels
), noted as (
    insert into audit_log (who, action, object, detail)
    select $5, 'device label', 'device ' || device_uuid,
           $6::jsonb || jsonb_build_object('tenant', tenant_uuid)
    from changed
)
select (select count(*) from wanted), (select labels from changed)";

impl Records {
    /// Changes the labels that operators set; returns what they are now.
    ///
    /// # Errors
    /// The device is not registered, would have too many labels, or Postgres is away, ill or not
    /// migrated.
    pub async fn change_labels(
        &self,
        change: LabelChange<'_>,
    ) -> Result<serde_json::Value, LabelChangeError> {
        let connection = self.connection().await?;
        let device = change.device.as_uuid();
        let most = i64::try_from(LABELS_MAX).unwrap_or(i64::MAX);
        let detail = json!({ "set": change.set, "unset": change.unset });
        let (set, detail) = (Json(change.set), Json(&detail));
        let values: [&(dyn ToSql + Sync); 6] =
            [&device, &change.unset, &set, &most, &change.who, &detail];
        let row = self
            .bounded(connection.query_one(CHANGE, &values))
            .await?
            .map_err(|error| unavailable(&error))?;
        let known: i64 = row.get(0);
        match row.get::<_, Option<Json<serde_json::Value>>>(1) {
            Some(Json(labels)) => Ok(labels),
            None if known == 0 => Err(LabelChangeError::UnknownDevice(change.device)),
            None => Err(LabelChangeError::TooMany(change.device)),
        }
    }
}
