//! Sign-ins of programs at Postgres: each a member of the one role that its program needs.
//!
//! Promises: the server never sees the password but its SCRAM verifier, so that no log of
//! statements has it; setting one anew changes the password and leaves no other role of ours.
//! Refuses names that pass the walls whatever their role: superusers and owners of the tables.

use secrecy::{ExposeSecret as _, SecretString};

use crate::outcome::Unavailable;
use crate::records::Records;
use crate::sql_error::unavailable;

/// Longest name that Postgres keeps.
const NAME_MAX_BYTES: usize = 63;

/// What a program does with the records; the roles that migrations make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramRole {
    /// Adds and refreshes records of every tenant.
    Receiver,
    /// Reads within a scope.
    Web,
    /// Reads records and registry of every tenant.
    Reader,
    /// What operators do from day to day.
    Operator,
}

/// Why there is no such sign-in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// Postgres is away, ill or not migrated, or its user may not make roles.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// Not a plain name.
    #[error("name is {0:?}; give 1 to 63 characters of [a-z0-9_], a letter first")]
    BadName(String),
    /// A name for whom there are no walls.
    #[error("{0} is a superuser or owns the tables, and no wall holds for it; give another name")]
    PassesWalls(String),
}

impl ProgramRole {
    const ALL: [Self; 4] = [Self::Receiver, Self::Web, Self::Reader, Self::Operator];

    /// The role in Postgres.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Receiver => "wegweiser_receiver",
            Self::Web => "wegweiser_web",
            Self::Reader => "wegweiser_reader",
            Self::Operator => "wegweiser_operator",
        }
    }
}

const PASSES_WALLS: &str = "
select exists (select from pg_roles where rolname = $1 and (rolsuper or rolbypassrls))
    or exists (select from pg_class c join pg_roles r on r.oid = c.relowner
               where c.oid = to_regclass('api_tokens') and r.rolname = $1)";

impl Records {
    /// Makes a sign-in with this role and password, or gives them to one that is there.
    ///
    /// # Errors
    /// The name is not plain or passes the walls, or Postgres is away, ill or not migrated.
    pub async fn set_sign_in(
        &self,
        name: &str,
        role: ProgramRole,
        password: &SecretString,
    ) -> Result<(), SignInError> {
        if !is_plain(name) {
            return Err(SignInError::BadName(name.to_owned()));
        }
        let connection = self.connection().await?;
        let row = self.bounded(connection.query_one(PASSES_WALLS, &[&name])).await?;
        if row.map_err(|error| unavailable(&error))?.get(0) {
            return Err(SignInError::PassesWalls(name.to_owned()));
        }
        let verifier =
            postgres_protocol::password::scram_sha_256(password.expose_secret().as_bytes());
        let others = ProgramRole::ALL.map(ProgramRole::as_str).join(", ");
        // A plain name, our own words and base64: nothing that could end a text.
        let sql = format!(
            "do $$ begin
                 if not exists (select from pg_roles where rolname = '{name}') then
                     create role {name};
                 end if;
             end $$;
             alter role {name} login inherit password '{verifier}';
             revoke {others} from {name};
             grant {} to {name}",
            role.as_str()
        );
        let set = self.bounded(connection.batch_execute(&sql)).await?;
        set.map_err(|error| unavailable(&error).into())
    }
}

fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.len() <= NAME_MAX_BYTES
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_need_no_quotes_are_plain() {
        for good in ["weg_web", "w", "w2"] {
            assert!(is_plain(good), "{good}");
        }
        for bad in ["", "2w", "_w", "Weg", "w'", "w w", "w;", "ü", &"w".repeat(64)] {
            assert!(!is_plain(bad), "{bad}");
        }
    }
}
