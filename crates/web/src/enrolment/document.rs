//! What `POST /v1/enroll` takes and gives, for the OpenAPI document; the shapes are those of
//! `protocol`, which knows nothing of HTTP.

use std::collections::BTreeMap;

use utoipa::ToSchema;
use uuid::Uuid;

/// As [`protocol::EnrollRequest`].
#[derive(ToSchema)]
#[schema(as = EnrollRequest)]
#[expect(dead_code, reason = "it is described, never made")]
pub(super) struct Asked {
    /// What admits the device.
    token: String,
    /// Public half of the key pair that the device made: a user nkey.
    #[schema(pattern = "^U[A-Z2-7]{55}$")]
    public_key: String,
    /// The device's name for people.
    #[schema(max_length = 128, required = false)]
    name: String,
    /// Labels that the device is registered with; at most 32.
    #[schema(required = false)]
    labels: BTreeMap<String, String>,
}

/// As [`protocol::EnrollAnswer`].
#[derive(ToSchema)]
#[schema(as = EnrollAnswer)]
#[expect(dead_code, reason = "it is described, never made")]
pub(super) struct Answered {
    tenant: Uuid,
    device: Uuid,
    /// Its user JWT; of use only to whoever has the key pair.
    jwt: String,
    /// Until when that is good, in milliseconds since 1970.
    expires_at: i64,
    /// The broker's URLs, commas between.
    servers: String,
    /// The authority of the broker's certificate as PEM; absent: the system's.
    #[schema(nullable = false)]
    ca: Option<String>,
    /// Public keys that sign commands to the device, newest first.
    command_keys: Vec<String>,
}
