//! One change by an operator, in the audit log before it is made and after.
//!
//! Promises: a run that is killed leaves an intention without a result, never a change without a
//! word. Refuses to begin where the log cannot be written.

use anyhow::Context as _;
use protocol::{DeviceId, TenantId};
use serde_json::{Map, Value};
use storage::{AuditEntry, Records};

use crate::output;
use crate::who::who;

/// What a change is about, and what the log keeps of it.
#[derive(Clone)]
pub(crate) struct About {
    object: String,
    detail: Map<String, Value>,
}

impl About {
    pub(crate) fn tenant(tenant: TenantId) -> Self {
        let about = Self { object: format!("tenant {tenant}"), detail: Map::new() };
        about.with("tenant", tenant.to_string())
    }

    pub(crate) fn device(tenant: TenantId, device: DeviceId) -> Self {
        let about = Self { object: format!("device {device}"), detail: Map::new() };
        about.with("tenant", tenant.to_string()).with("device", device.to_string())
    }

    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.detail.insert(key.to_owned(), value.into());
        self
    }
}

/// A change that has begun.
pub(crate) struct Operation {
    records: Records,
    who: String,
    action: &'static str,
    about: Vec<About>,
}

impl Operation {
    /// Notes what is about to be done, and by whom.
    pub(crate) async fn begin(
        records: &Records,
        action: &'static str,
        about: Vec<About>,
    ) -> anyhow::Result<Self> {
        let operation = Self { records: records.clone(), who: who()?, action, about };
        operation.note("begun", &Map::new()).await?;
        Ok(operation)
    }

    /// Notes what came of it, and hands that on.
    pub(crate) async fn finish<T>(self, result: anyhow::Result<T>) -> anyhow::Result<T> {
        self.finish_with(result, Map::new()).await
    }

    /// As [`Self::finish`], with what is known only now.
    pub(crate) async fn finish_with<T>(
        self,
        result: anyhow::Result<T>,
        mut detail: Map<String, Value>,
    ) -> anyhow::Result<T> {
        match result {
            Ok(done) => {
                self.note("done", &detail).await?;
                Ok(done)
            }
            Err(error) => {
                detail.insert("error".to_owned(), format!("{error:#}").into());
                if let Err(unwritten) = self.note("failed", &detail).await {
                    output::note(&format!("wegweiser: {unwritten:#}"));
                }
                Err(error)
            }
        }
    }

    async fn note(&self, outcome: &str, more: &Map<String, Value>) -> anyhow::Result<()> {
        let entry = |about: &About| {
            let mut detail = about.detail.clone();
            detail.insert("outcome".to_owned(), outcome.into());
            detail.extend(more.clone());
            AuditEntry {
                who: self.who.clone(),
                action: self.action,
                object: about.object.clone(),
                detail: detail.into(),
            }
        };
        let entries: Vec<AuditEntry> = self.about.iter().map(entry).collect();
        let noted = self.records.audit(&entries).await;
        noted.with_context(|| format!("writing to the audit log that this has {outcome}"))
    }
}
