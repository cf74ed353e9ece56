//! Signing in with the credentials as they are at that moment, so that new ones are taken without a
//! restart.

use std::path::{Path, PathBuf};

use async_nats::{Auth, AuthError};
use identity::Credentials;
use secrecy::ExposeSecret as _;

use crate::Link;

/// The credentials, which must be those of `user` where one is known: its inbox is in use.
pub(crate) fn load(path: &Path, user: Option<&str>) -> Result<Credentials, String> {
    let credentials = Credentials::load(path).map_err(|error| error.to_string())?;
    match user {
        Some(user) if credentials.user().name != user => {
            let other = &credentials.user().name;
            Err(format!("they are of {other:?}, no longer of {user:?}; restart to be another"))
        }
        _ => Ok(credentials),
    }
}

pub(crate) type AuthFuture = std::future::Ready<Result<Auth, AuthError>>;

/// Signs the server's nonce with the credentials as they are at that moment.
pub(crate) fn show(
    path: PathBuf,
    user: String,
    link: Link,
) -> impl Fn(Vec<u8>) -> AuthFuture + Send + Sync + 'static {
    move |nonce| {
        let signed = load(&path, Some(&user)).and_then(|credentials| {
            let signature = credentials.key().sign(&nonce).map_err(|error| error.to_string())?;
            Ok((credentials, signature))
        });
        link.shows(signed.as_ref().map(|(credentials, _)| credentials).map_err(String::as_str));
        let auth = signed.map(|(credentials, signature)| {
            let mut auth = Auth::new();
            auth.jwt = Some(credentials.jwt().expose_secret().to_owned());
            auth.signature = Some(signature);
            auth
        });
        std::future::ready(auth.map_err(AuthError::new))
    }
}
