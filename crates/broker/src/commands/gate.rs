//! The gate: what becomes of a message that came as a command.
//!
//! Promises: in this order, the form, the key, the signature, whose it is, whether it is known,
//! whether it is in time, its kind and arguments, and whether this device allows it; the first that
//! fails is the reason. What no believed key signed leaves no trace in the journal, so that nobody
//! can spoil an id.

use identity::{CommandRefused, verify_command};
use protocol::command::{CommandReason, ReasonCode};
use protocol::{Command, CommandId, Order, SignedCommand, UnixMillis};

use super::journal::{Noted, Stage, Taken};
use super::{DeviceCommands, JournalError, Runner};

/// A refusal before anything was noted.
struct Refusal {
    /// The id that the message names, if it can be read.
    id: Option<CommandId>,
    reason: CommandReason,
}

impl<R: Runner> DeviceCommands<R> {
    /// Takes or refuses a message; after that it may be acknowledged. Blocks while the journal
    /// writes.
    ///
    /// # Errors
    /// The journal cannot note it: it must come again.
    pub(super) fn admit(&self, payload: &[u8]) -> Result<Noted, JournalError> {
        let (command, signed) = match self.believe(payload) {
            Ok(believed) => believed,
            Err(refusal) => return Ok(self.refuse(refusal)),
        };
        let now = UnixMillis::now();
        let id = command.command_id;
        match self.0.journal.take(&command, &signed.signed, now)? {
            Taken::New(noted) => {
                match self.allowed(&command, now) {
                    Ok(order) => self.enqueue(id, order.kind()),
                    Err(reason) => self.reject(id, reason)?,
                }
                Ok(noted)
            }
            Taken::Known(noted, stage) => {
                self.repeat(id, stage);
                Ok(noted)
            }
            Taken::CancelledAhead(noted) => {
                let text = "it was cancelled before it came";
                self.reject(id, CommandReason::new(ReasonCode::Cancelled, text))?;
                Ok(noted)
            }
            Taken::OtherContent(noted) => {
                let text = "this device has another command of that id; send it under a new one";
                self.refused(Some(id), CommandReason::new(ReasonCode::Replayed, text));
                Ok(noted)
            }
            Taken::Forgotten(noted, why) => {
                self.refused(Some(id), CommandReason::new(ReasonCode::Expired, why));
                Ok(noted)
            }
        }
    }

    /// The command that a believed key signed for this device.
    fn believe(&self, payload: &[u8]) -> Result<(Command, SignedCommand), Refusal> {
        let refusal = |id, code, text: &str| Refusal { id, reason: CommandReason::new(code, text) };
        let signed = SignedCommand::read(payload).map_err(|error| {
            refusal(SignedCommand::id_in(payload), ReasonCode::Malformed, &error.to_string())
        })?;
        let named = Some(signed.command_id);
        let command = verify_command(&signed, &self.0.keys.now()).map_err(|error| {
            let code = match error {
                CommandRefused::UnknownKey(_) => ReasonCode::UnknownKey,
                CommandRefused::WrongSignature(_) => ReasonCode::WrongSignature,
                CommandRefused::Malformed(_) => ReasonCode::Malformed,
            };
            refusal(named, code, &error.to_string())
        })?;
        let (tenant, device) = (self.0.sender.tenant, self.0.sender.device);
        let id = Some(command.command_id);
        if command.device != device {
            let text = format!("it is for device {}, and this is {device}", command.device);
            return Err(refusal(id, ReasonCode::OtherDevice, &text));
        }
        if command.tenant != tenant {
            let text =
                format!("it is for tenant {}, and this device is of {tenant}", command.tenant);
            return Err(refusal(id, ReasonCode::OtherTenant, &text));
        }
        Ok((command, signed))
    }

    /// What it orders, if it may be carried out now.
    pub(super) fn allowed(
        &self,
        command: &Command,
        now: UnixMillis,
    ) -> Result<Order, CommandReason> {
        if now >= command.expires {
            let text = format!(
                "it expired at {} ms, and this device's clock says {}",
                command.expires.get(),
                now.get()
            );
            return Err(CommandReason::new(ReasonCode::Expired, &text));
        }
        let order = command.order().map_err(|error| {
            let code = match error {
                protocol::command::OrderError::UnknownKind(_) => ReasonCode::UnknownKind,
                protocol::command::OrderError::Arguments { .. } => ReasonCode::BadArguments,
            };
            CommandReason::new(code, &error.to_string())
        })?;
        self.0.runner.permits(&order)?;
        Ok(order)
    }

    /// A command that is noted is not carried out, for this reason.
    fn reject(&self, id: CommandId, reason: CommandReason) -> Result<(), JournalError> {
        self.log_refusal(Some(id), &reason);
        let event = self.end_unstarted(id, reason);
        self.0.journal.end(&event)?;
        // Told by whoever tells what an earlier run left.
        let mut desk = self.desk();
        desk.note_origin(id);
        desk.urgent.push_back(id);
        drop(desk);
        self.0.news.notify_one();
        Ok(())
    }

    /// What is known was delivered again: its answer is given again, once it has one.
    fn repeat(&self, id: CommandId, stage: Stage) {
        let mut desk = self.desk();
        if desk.running.contains_key(&id) {
            return;
        }
        match stage {
            Stage::Ended { .. } if !desk.urgent.contains(&id) => desk.urgent.push_back(id),
            // It could not be noted that it is refused.
            Stage::Waiting if !desk.waiting.contains(&id) => desk.waiting.push_back(id),
            _ => {}
        }
        drop(desk);
        self.0.news.notify_one();
    }

    fn refuse(&self, refusal: Refusal) -> Noted {
        self.refused(refusal.id, refusal.reason);
        Noted(())
    }

    fn refused(&self, id: Option<CommandId>, reason: CommandReason) {
        self.log_refusal(id, &reason);
        let Some(id) = id else { return };
        let known = self.0.journal.stage(id).is_some();
        self.0.answers.refuse(id, reason, known);
    }

    /// Counts and logs it.
    pub(super) fn log_refusal(&self, id: Option<CommandId>, reason: &CommandReason) {
        let code = reason.code;
        if code == ReasonCode::Cancelled {
            return;
        }
        self.0.counts.refused(code);
        let id = id.map(|id| id.to_string()).unwrap_or_default();
        tracing::warn!(command = id, code = code.as_str(), reason = reason.text, "command refused");
    }
}
