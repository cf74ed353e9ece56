//! What there is of a tenant, place by place: the proof of a removal.

use std::collections::BTreeSet;

use anyhow::Context as _;
use broker::Broker;
use broker::accounts::{AccountServer, held};
use broker::streams;
use identity::AccountName;
use protocol::{DeviceId, TenantId};
use serde_json::{Map, Value};
use storage::Rings;

use crate::office::Office;

/// Everything that can hold something of a tenant.
pub(super) struct Places {
    pub(super) office: Office,
    pub(super) server: AccountServer,
    pub(super) broker: Broker,
    pub(super) rings: Rings,
}

/// How much there is in each place.
pub(super) struct Census {
    pub(super) counts: Vec<(String, u64)>,
    /// Every device that anything names.
    pub(super) devices: BTreeSet<DeviceId>,
}

impl Places {
    /// Counts; `known` are devices that an earlier count found.
    pub(super) async fn count(
        &self,
        tenant: TenantId,
        known: &BTreeSet<DeviceId>,
    ) -> anyhow::Result<Census> {
        let Self { office, server, broker, rings } = self;
        let file = office.declared()?.tenant(tenant).is_some();
        let account = held(server, &office.keys, tenant).await.context("asking the broker")?;
        let keys = office.keys.accounts()?.contains(&AccountName::Tenant(tenant));
        let mut counts = vec![
            ("file".to_owned(), u64::from(file)),
            ("account at the broker".to_owned(), u64::from(account.is_some())),
            ("account keys".to_owned(), u64::from(keys)),
        ];
        let messages = streams::tenant_messages(broker, tenant).await?;
        let mut devices = office.records.devices_named(tenant).await?;
        devices.extend(messages.devices);
        devices.extend(known);
        for (stream, count) in messages.by_stream {
            counts.push((format!("stream {stream}"), count));
        }
        let consumers = streams::command_consumers(broker, &devices).await?;
        counts.push(("command consumers".to_owned(), u64::try_from(consumers.len())?));
        counts.push(("rings".to_owned(), rings.count_of(&devices).await?));
        counts.push(("notes of the books".to_owned(), rings.count_notes_of(tenant).await?));
        for (table, count) in office.records.count_tenant_rows(tenant).await? {
            counts.push((format!("table {table}"), count));
        }
        Ok(Census { counts, devices })
    }
}

impl Census {
    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.counts.iter().all(|(_, count)| *count == 0)
    }

    /// For the audit log: places that hold something.
    pub(super) fn as_json(&self) -> Value {
        let held = self.counts.iter().filter(|(_, count)| *count > 0);
        Value::Object(
            held.map(|(place, count)| (place.clone(), (*count).into())).collect::<Map<_, _>>(),
        )
    }

    /// How much there is in a place.
    pub(super) fn of(&self, place: &str) -> u64 {
        self.counts.iter().find(|(name, _)| name == place).map_or(0, |(_, count)| *count)
    }
}
