//! A tenant's rows, counted and removed: the last of it.
//!
//! Promises: every table that has a `tenant_uuid` is counted and emptied, also one that is added
//! later; rows go in batches of a bounded size, so that no lock is held for long, and a cut-off
//! removal is repeated. Refuses: to touch the audit log, which tells of the removal.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{DeviceId, TenantId};
use tokio_postgres::types::ToSql;

use crate::outcome::Unavailable;
use crate::records::Records;
use crate::sql_error::unavailable;

/// Rows that one statement removes.
const BATCH_ROWS: i64 = 5_000;
/// Removed last, in this order: others refer to them.
const LAST: [&str; 2] = ["devices", "tenants"];

// Tables of our own schema that say whose a row is; views and the audit log aside.
const TABLES: &str = "
select c.relname,
       exists (select from pg_attribute d
               where d.attrelid = c.oid and d.attname = 'device_uuid' and not d.attisdropped)
from pg_class c join pg_attribute a on a.attrelid = c.oid
where c.relnamespace = current_schema()::regnamespace
  and c.relkind in ('r', 'p') and not c.relispartition
  and a.attname = 'tenant_uuid' and not a.attisdropped
  and c.relname <> 'audit_log'
order by c.relname";

struct Table {
    name: String,
    has_device: bool,
}

impl Records {
    /// How many rows of a tenant each table has.
    ///
    /// # Errors
    /// Postgres is away or ill.
    pub async fn count_tenant_rows(
        &self,
        tenant: TenantId,
    ) -> Result<BTreeMap<String, u64>, Unavailable> {
        let mut counts = BTreeMap::new();
        for table in self.tenant_tables().await? {
            let sql =
                format!("select count(*) from {} where tenant_uuid = $1", quoted(&table.name));
            let connection = self.connection().await?;
            let row = self.bounded(connection.query_one(&sql, &[&tenant.as_uuid()])).await?;
            let rows: i64 = row.map_err(|error| unavailable(&error))?.get(0);
            counts.insert(table.name, u64::try_from(rows).unwrap_or_default());
        }
        Ok(counts)
    }

    /// Every device of a tenant that any row names, registered or not.
    ///
    /// # Errors
    /// Postgres is away or ill.
    pub async fn devices_named(&self, tenant: TenantId) -> Result<BTreeSet<DeviceId>, Unavailable> {
        let mut devices = BTreeSet::new();
        for table in self.tenant_tables().await?.iter().filter(|table| table.has_device) {
            let name = quoted(&table.name);
            let sql = format!(
                "select distinct device_uuid from {name}
                 where tenant_uuid = $1 and device_uuid is not null"
            );
            let connection = self.connection().await?;
            let rows = self.bounded(connection.query(&sql, &[&tenant.as_uuid()])).await?;
            let rows = rows.map_err(|error| unavailable(&error))?;
            devices.extend(rows.iter().map(|row| DeviceId::new(row.get(0))));
        }
        Ok(devices)
    }

    /// Removes every row of a tenant but those of the audit log.
    ///
    /// # Errors
    /// Postgres is away or ill; a repetition does the rest.
    pub async fn remove_tenant_rows(&self, tenant: TenantId) -> Result<(), Unavailable> {
        let mut tables = self.tenant_tables().await?;
        tables.sort_by_key(|table| LAST.iter().position(|last| *last == table.name));
        for table in tables {
            let name = quoted(&table.name);
            let sql = format!(
                "delete from {name} where ctid = any(array(
                     select ctid from {name} where tenant_uuid = $1 limit $2))"
            );
            let id = tenant.as_uuid();
            let values: [&(dyn ToSql + Sync); 2] = [&id, &BATCH_ROWS];
            loop {
                let connection = self.connection().await?;
                let removed = self.bounded(connection.execute(&sql, &values)).await?;
                // Fewer than a batch: nothing was left when the statement began.
                if removed.map_err(|error| unavailable(&error))? < BATCH_ROWS.unsigned_abs() {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn tenant_tables(&self) -> Result<Vec<Table>, Unavailable> {
        let connection = self.connection().await?;
        let rows = self.bounded(connection.query(TABLES, &[])).await?;
        let read = |row: &tokio_postgres::Row| Table { name: row.get(0), has_device: row.get(1) };
        Ok(rows.map_err(|error| unavailable(&error))?.iter().map(read).collect())
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
