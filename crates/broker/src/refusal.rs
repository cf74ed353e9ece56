//! What the broker says when it refuses, in words that tell what to do.
//!
//! The server's texts are short and meant for programmers: `authorization violation` does not say
//! whether a credential was revoked or is another installation's. Promises: every refusal that a
//! device or an operator can run into has a sentence here, and [`explained`] keeps the server's own
//! words in front of it, for they are what documentation and search engines know. Refuses to guess:
//! a text that nobody listed comes back as it is.

/// Fragments of what server or client library say, in lower case, and what that means. The first
/// that fits counts.
const MEANINGS: &[(&str, &str)] = &[
    (
        "user authentication revoked",
        "the credentials were revoked; if the device is to report again, its operator runs: \
         wegweiser device rotate",
    ),
    (
        "user authentication expired",
        "the credentials have ended; enrol the device anew, or its operator runs: \
         wegweiser device rotate",
    ),
    (
        "account authentication expired",
        "the tenant's account at the broker has ended; the operator runs: wegweiser accounts apply",
    ),
    (
        "authorization violation",
        "the broker does not accept these credentials: revoked, ended, of a removed tenant, or of \
         another installation. wegweiser device show tells which; the operator makes new ones with \
         wegweiser device rotate, or for its own programs with wegweiser accounts bootstrap",
    ),
    (
        "maximum account active connections exceeded",
        "the tenant is suspended, or has as many connections as it may have. wegweiser tenant show \
         tells which; the operator runs wegweiser tenant resume, or raises limits.conn in the \
         tenant's file and runs wegweiser accounts apply",
    ),
    (
        "maximum connections exceeded",
        "the server has as many connections as it may have; raise max_connections in its \
         configuration",
    ),
    (
        "maximum subscriptions exceeded",
        "more subscriptions than the role or tenant may have; use fewer, or raise limits.subs in \
         the tenant's file and run wegweiser accounts apply",
    ),
    (
        "maximum payload",
        "the message is larger than the tenant may send; make it smaller, or raise \
         limits.payload in the tenant's file and run wegweiser accounts apply",
    ),
    (
        "permissions violation for publish",
        "the credentials may not publish there: a device publishes under its own UUID and with the \
         credentials of its own tenant only. Compare both with the credentials, or issue new ones \
         with wegweiser device rotate",
    ),
    (
        "permissions violation for subscription",
        "the credentials may not subscribe there: a device subscribes to _INBOX_{its UUID}.> only; \
         set that as the client's inbox prefix",
    ),
    (
        "permissions violation",
        "the credentials' role does not allow it; docs/tenants.md lists what each role may do",
    ),
    (
        "authentication timeout",
        "the server waited in vain for the credentials; look whether the network or this machine \
         is overloaded",
    ),
    ("tls required", "the server wants TLS; write the address as tls://HOST:PORT"),
    (
        "unknownissuer",
        "the server's certificate is of an authority that this machine does not know; set \
         WEGWEISER_NATS_CA to that authority's certificate (PEM)",
    ),
    ("notvalidforname", WRONG_NAME),
    ("not valid for name", WRONG_NAME),
    ("certificate: expired", CERTIFICATE_ENDED),
    ("certificate expired", CERTIFICATE_ENDED),
    (
        "certificate not valid yet",
        "the server's certificate is not valid yet; set this machine's clock, or renew the \
         certificate",
    ),
    (
        "certificaterequired",
        "the server wants a certificate of the client; ask its operator for one",
    ),
    (
        "maximum bytes exceeded",
        "the stream is full; keep the message and send it again later. The operator looks at \
         wegweiser status and raises max_bytes in the stream's file",
    ),
    (
        "maximum messages exceeded",
        "the stream is full; keep the message and send it again later. The operator looks at \
         wegweiser status and raises max_msgs in the stream's file",
    ),
    ("no responders", "nothing takes messages there; the operator runs wegweiser streams plan"),
    ("unreachable", "there is no way to the broker's network; look at this machine's network"),
    ("got nothing", CUT),
    ("connection reset", CUT),
    ("broken pipe", CUT),
    ("unexpected end of file", CUT),
    ("handshake eof", CUT),
    ("connection refused", "no broker listens there; start nats-server, or correct NATS_URL"),
    ("dns error", "the broker's name is not known here; correct NATS_URL, or the machine's DNS"),
    (
        "timed out",
        "the broker does not answer; look whether the address is right and no firewall is between",
    ),
];

const WRONG_NAME: &str =
    "the server's certificate is for another name; use the name that it is for in NATS_URL";
const CERTIFICATE_ENDED: &str = "the server's certificate has ended, or this machine's clock is wrong; renew it, or set the \
     clock";
const CUT: &str = "the connection is cut while it is made; the broker starts or stops, or something \
                   between closes connections";

/// What to do about a refusal, or `None` where nobody listed it.
#[must_use]
pub fn remedy(said: &str) -> Option<&'static str> {
    let said = said.to_lowercase();
    MEANINGS.iter().find(|(fragment, _)| said.contains(fragment)).map(|(_, remedy)| *remedy)
}

/// The text with what to do about it.
#[must_use]
pub fn explained(said: &str) -> String {
    match remedy(said) {
        Some(remedy) => format!("{said}: {remedy}"),
        None => said.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_words_stay_in_front_of_what_to_do() {
        let text = explained("nats: Permissions Violation for Publish to \"demo.system.x.y\"");
        assert!(text.starts_with("nats: Permissions Violation for Publish to"), "{text}");
        assert!(text.contains("own UUID"), "{text}");
        assert_eq!(explained("something new"), "something new");
    }

    #[test]
    fn what_tls_says_of_certificates_is_explained() {
        for (said, words) in [
            (
                "certificate expired: verification time 3 (UNIX), but certificate is not valid after 2 (1 seconds ago)",
                "has ended",
            ),
            ("certificate not valid yet: verification time 1 (UNIX)", "not valid yet"),
            (
                "certificate not valid for name \"a\"; certificate is only valid for DnsName(\"b\")",
                "another name",
            ),
            ("UnknownIssuer", "WEGWEISER_NATS_CA"),
        ] {
            let said = format!("IO error: invalid peer certificate: {said}");
            assert!(remedy(&said).is_some_and(|text| text.contains(words)), "{said}");
        }
    }

    #[test]
    fn every_meaning_can_be_reached_and_says_what_to_do() {
        for (fragment, meaning) in MEANINGS {
            assert_eq!(*fragment, fragment.to_lowercase());
            assert_eq!(remedy(fragment), Some(*meaning), "{fragment} is hidden by one before it");
            assert!(meaning.contains(';') || meaning.contains('.') || meaning.contains(':'));
        }
    }
}
