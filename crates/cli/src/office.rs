//! What verbs about tenants and devices work with: files, keys, registry, and the running broker.

pub(crate) mod lines;

use anyhow::{Context as _, bail};
use broker::BrokerSettings;
use broker::accounts::{AccountServer, AccountsSettings, Declared, DeclaredAccount};
use identity::KeyDir;
use protocol::TenantId;
use storage::{PostgresSettings, Records};

use crate::environment;

/// An operator's desk.
pub(crate) struct Office {
    pub(crate) accounts: AccountsSettings,
    pub(crate) keys: KeyDir,
    pub(crate) records: Records,
    broker: BrokerSettings,
}

impl Office {
    /// Reads the settings and opens the key directory; connects to nothing yet.
    pub(crate) fn open() -> anyhow::Result<Self> {
        let (accounts, broker, postgres) = environment::read(|reader| {
            let accounts = AccountsSettings::read(reader);
            (accounts, environment::broker_settings(reader), PostgresSettings::read(reader))
        })?;
        let keys = environment::keys(&accounts.keys)?;
        let records = Records::open(&postgres)?;
        Ok(Self { accounts, keys, records, broker })
    }

    /// What the files declare.
    pub(crate) fn declared(&self) -> anyhow::Result<Declared> {
        Declared::load(&self.accounts.accounts, &self.accounts.tenants)
            .context("reading the account files")
    }

    /// Connects to the broker's system account.
    pub(crate) async fn server(&self) -> anyhow::Result<AccountServer> {
        AccountServer::open(&self.broker.url, &self.broker.tls, &self.keys)
            .await
            .context("connecting to the broker's system account")
    }
}

/// The tenant's declaration, or what to do where there is none.
pub(crate) fn find(declared: &Declared, tenant: TenantId) -> anyhow::Result<&DeclaredAccount> {
    match declared.tenant(tenant) {
        Some(found) => Ok(found),
        None => bail!("tenant {tenant} is not declared; run: wegweiser tenant add"),
    }
}
