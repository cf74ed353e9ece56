//! Settings, telemetry, shutdown, retry and health: what every process needs. No domain.
