//! From an order to a command for one device: signed, or in the words of the first generation.
//!
//! Refuses: what its device could not take, before anybody waits for it.

use std::time::Duration;

use identity::{CommandSigner, CommandSigningError};
use protocol::command::{CommandError, CommandTerms, MalformedCommand};
use protocol::{Command, CommandId, CommandKind, DeviceId, Order, TenantId, UnixMillis};
use serde_json::{Value, json};

use super::{CommandTarget, NewCommand};

/// Longest name of a requester within the signed text, in characters.
const REQUESTER_MAX_CHARS: usize = 128;

/// What is ordered, of however many devices.
#[derive(Clone, Debug)]
pub struct WantedOrder {
    /// What to do, with what.
    pub order: Order,
    /// How long it may run; none: as long as is usual for its kind.
    pub timeout: Option<Duration>,
    /// For how long a device may still take it.
    pub life: Duration,
    /// Who asks for it.
    pub requester: String,
}

/// Why a device is sent no such command.
#[derive(Debug, thiserror::Error)]
pub enum NotPrepared {
    /// It, or its tenant, is shut out.
    #[error(
        "device {0} is revoked, or its tenant is suspended, so that no command reaches it; see: \
         wegweiser device show {0}"
    )]
    ShutOut(DeviceId),
    /// It believes whatever comes, and operators did not allow that.
    #[error(
        "device {device} is of the first generation, which checks no signature; to let commands go \
         to such devices run: wegweiser tenant first-generation-commands {tenant} allow"
    )]
    NotAllowed {
        /// Which.
        device: DeviceId,
        /// Whose it is.
        tenant: TenantId,
    },
    /// Agents of the first generation do not know the kind.
    #[error("device {device} is of the first generation, which does not know {kind}")]
    UnknownThere {
        /// Which.
        device: DeviceId,
        /// What was to be done.
        kind: CommandKind,
    },
    /// A term is outside the limits.
    #[error(transparent)]
    Terms(#[from] CommandError),
    /// It is too long.
    #[error(transparent)]
    TooLong(#[from] MalformedCommand),
    /// There is no key to sign with.
    #[error(transparent)]
    Signing(#[from] CommandSigningError),
}

impl WantedOrder {
    /// The command for one device, under a new id.
    ///
    /// # Errors
    /// See [`NotPrepared`].
    pub fn prepare(
        &self,
        target: &CommandTarget,
        signer: &CommandSigner,
    ) -> Result<NewCommand, NotPrepared> {
        let CommandTarget { tenant, device, first_generation, .. } = *target;
        if !target.may_connect {
            return Err(NotPrepared::ShutOut(device));
        }
        let created = UnixMillis::now();
        let life_ms = i64::try_from(self.life.as_millis()).unwrap_or(i64::MAX);
        let milliseconds = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let terms = CommandTerms {
            tenant,
            device,
            created,
            expires: UnixMillis::new(created.get().saturating_add(life_ms)),
            timeout_ms: self.timeout.map(milliseconds),
            requester: printable(&self.requester),
        };
        let command = Command::new(CommandId::create(), &self.order, terms)?;
        let message = if first_generation {
            self.in_words_of_the_first(target, &command)?
        } else {
            let payload = signer.sign(&command)?.to_payload()?;
            String::from_utf8_lossy(&payload).into_owned()
        };
        Ok(NewCommand {
            command: command.command_id,
            tenant,
            device,
            kind: command.kind.to_string(),
            arguments: command.arguments,
            timeout_ms: i64::try_from(command.timeout_ms).unwrap_or(i64::MAX),
            created_at: created,
            expires_at: command.expires,
            first_generation,
            message,
        })
    }

    fn in_words_of_the_first(
        &self,
        target: &CommandTarget,
        command: &Command,
    ) -> Result<String, NotPrepared> {
        let CommandTarget { tenant, device, .. } = *target;
        if !target.first_generation_allowed {
            return Err(NotPrepared::NotAllowed { device, tenant });
        }
        let kind = self.order.kind();
        let Some(word) = kind.first_generation() else {
            return Err(NotPrepared::UnknownThere { device, kind });
        };
        let mut parameters = command.arguments.clone();
        if let Some(sql) = parameters.get("sql").cloned() {
            // Its own name for it.
            parameters["query"] = sql;
        }
        let id = Value::from(command.command_id.to_string());
        let message = json!({ "command": word, "command_id": id, "parameters": parameters });
        Ok(message.to_string())
    }
}

/// The signed text takes printable characters only, and not many.
fn printable(text: &str) -> Box<str> {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(REQUESTER_MAX_CHARS).collect::<String>().into_boxed_str()
}
