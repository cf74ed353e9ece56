//! A certificate authority of this machine's own, for TLS on loopback.
//!
//! Promises: it is made once per directory and then reused; private keys have mode 0600; the
//! authority's own key is never written, so it can sign nothing else.
//! Refuses to: vouch for any name but this machine's loopback ones.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Where the PEM files of an authority and of one who shows its certificate are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The authority's certificate: what the other side trusts.
    pub ca: PathBuf,
    /// The certificate that it signed.
    pub certificate: PathBuf,
    /// Its private key, mode 0600.
    pub key: PathBuf,
}

/// The files in `dir` of a server at `localhost`, `127.0.0.1` and `::1`, made if they are missing.
///
/// # Errors
/// When they cannot be made or written.
pub fn files_in(dir: &Path) -> Result<TlsFiles> {
    let parent = dir.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).with_context(|| format!("creating {}", parent.display()))?;
    let files = TlsFiles {
        ca: dir.join("ca.pem"),
        certificate: dir.join("server.pem"),
        key: dir.join("server.key"),
    };
    let lock_path = dir.with_extension("lock");
    let lock =
        File::create(&lock_path).with_context(|| format!("creating {}", lock_path.display()))?;
    lock.lock().with_context(|| format!("waiting for {}", lock_path.display()))?;
    if dir.is_dir() {
        return Ok(files);
    }
    let unfinished = tempfile::tempdir_in(parent).context("creating a directory for TLS files")?;
    write_all_in(unfinished.path()).context("making certificates for this machine")?;
    fs::rename(unfinished.keep(), dir).with_context(|| format!("naming {}", dir.display()))?;
    Ok(files)
}

/// Makes an authority in `dir` and a client certificate that it signed.
///
/// # Errors
/// When they cannot be made or written, or are there already.
pub fn client_files_in(dir: &Path) -> Result<TlsFiles> {
    fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
    let files = TlsFiles {
        ca: dir.join("client-ca.pem"),
        certificate: dir.join("client.pem"),
        key: dir.join("client.key"),
    };
    let (authority, authority_key) = authority()?;
    let key = KeyPair::generate()?;
    let mut client = CertificateParams::default();
    client.distinguished_name.push(DnType::CommonName, "client");
    client.use_authority_key_identifier_extension = true;
    client.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = client.signed_by(&key, &Issuer::from_params(&authority, &authority_key))?;
    write(&files.ca, &authority.self_signed(&authority_key)?.pem(), 0o644)?;
    write(&files.certificate, &certificate.pem(), 0o644)?;
    write(&files.key, &key.serialize_pem(), 0o600)?;
    Ok(files)
}

fn authority() -> Result<(CertificateParams, KeyPair)> {
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, "Wegweiser local stack");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok((authority, KeyPair::generate()?))
}

fn write_all_in(dir: &Path) -> Result<()> {
    let (authority, authority_key) = authority()?;
    let server_key = KeyPair::generate()?;
    let mut server = CertificateParams::new(NAMES.map(str::to_owned))?;
    server.distinguished_name.push(DnType::CommonName, "localhost");
    server.use_authority_key_identifier_extension = true;
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let issuer = Issuer::from_params(&authority, &authority_key);
    let certificate = server.signed_by(&server_key, &issuer)?;

    write(&dir.join("ca.pem"), &authority.self_signed(&authority_key)?.pem(), 0o644)?;
    write(&dir.join("server.pem"), &certificate.pem(), 0o644)?;
    write(&dir.join("server.key"), &server_key.serialize_pem(), 0o600)
}

fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .with_context(|| format!("creating {}", path.display()))?;
    file.write_all(text.as_bytes()).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::Arc;

    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier as _;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

    use super::*;

    /// Whether a client that trusts the authority takes the server for `name`.
    fn is_trusted_as(files: &TlsFiles, name: &'static str) -> bool {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&files.ca).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let server = CertificateDer::from_pem_file(&files.certificate).unwrap();
        let name = ServerName::try_from(name).unwrap();
        verifier.verify_server_cert(&server, &[], &name, &[], UnixTime::now()).is_ok()
    }

    #[test]
    fn a_client_that_trusts_the_authority_trusts_loopback_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let files = files_in(&parent.path().join("tls")).unwrap();
        for name in NAMES {
            assert!(is_trusted_as(&files, name), "{name}");
        }
        assert!(!is_trusted_as(&files, "example.com"));
        let mode = fs::metadata(&files.key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn certificates_are_made_once() {
        let parent = tempfile::tempdir().unwrap();
        let files = files_in(&parent.path().join("tls")).unwrap();
        let first = fs::read(&files.ca).unwrap();
        assert_eq!(files_in(&parent.path().join("tls")).unwrap(), files);
        assert_eq!(fs::read(&files.ca).unwrap(), first);
    }
}
