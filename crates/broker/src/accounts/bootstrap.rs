//! The first step of an installation: the operator, `SYS` and `BACKEND`.
//!
//! Promises: may be repeated, also after it was cut off half-way or while another runs; keys and JWTs that are there stay
//! as they are. Afterwards the operator's identity key is not needed on the machine.

use identity::{AccountName, KeyDir, KeyDirError, Operator, TokenError, UnixSeconds, Unsigned};

use super::claims;
use super::declared::{Declared, DeclaredAccount};

/// The lowest server version whose behaviour the tests have seen.
const SERVER_VERSION_MIN: &str = "2.15.0";
/// The operator's name.
const OPERATOR_NAME: &str = "wegweiser";

/// Why the first step failed.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// A key could not be made or used.
    #[error("the key directory cannot be used")]
    Keys(#[from] KeyDirError),
    /// A JWT could not be made.
    #[error("signing {what} failed")]
    Sign {
        /// Whose.
        what: String,
        /// Why.
        #[source]
        source: TokenError,
    },
}

/// Makes operator, `SYS` and `BACKEND` in a key directory, so that a server can start.
///
/// # Errors
/// When a key cannot be made, or the identity key was taken away before the operator's JWT was made.
pub fn bootstrap(keys: &KeyDir, declared: &Declared) -> Result<(), BootstrapError> {
    keys.ensure_operator()?;
    for account in [declared.system(), declared.backend()] {
        claims::ensure_keys(account, keys)?;
    }
    if !keys.has_operator_jwt() {
        let jwt = sign_operator(keys)?;
        keys.keep_operator_jwt(&jwt)?;
    }
    for account in [declared.system(), declared.backend()] {
        if !keys.has_first_jwt(account.account) {
            let jwt = sign_first(account, keys)?;
            keys.keep_first_jwt(account.account, &jwt)?;
        }
    }
    Ok(())
}

fn sign_operator(keys: &KeyDir) -> Result<String, BootstrapError> {
    let identity = keys.operator_identity()?;
    let signing = keys.operator_signing()?.public().clone();
    let system = keys.account(AccountName::System)?.public().clone();
    let mut body = Operator::new(vec![signing], system);
    body.assert_server_version = SERVER_VERSION_MIN.to_owned();
    Unsigned {
        subject: identity.public().clone(),
        name: OPERATOR_NAME.to_owned(),
        issued_at: UnixSeconds::now(),
        expires: None,
        body,
    }
    .sign(&identity)
    .map_err(|source| BootstrapError::Sign { what: "the operator".to_owned(), source })
}

fn sign_first(declared: &DeclaredAccount, keys: &KeyDir) -> Result<String, BootstrapError> {
    let wanted = claims::wanted(declared, keys)?;
    let signer = keys.operator_signing()?;
    claims::sign(&wanted.subject, &declared.name, UnixSeconds::now(), wanted.body, &signer)
        .map_err(|source| BootstrapError::Sign { what: declared.title(), source })
}
