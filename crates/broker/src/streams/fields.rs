//! The fields of a stream and of a consumer that the files may state, as one table.
//!
//! What a file may say, what the server takes where it says nothing, and whether the server can
//! change it afterwards: reading, comparing and refusing all ask this table, so that they agree.
//! Names, units and rules are those of nats-server 2.15 (`StreamConfig`, `ConsumerConfig`,
//! `configUpdateCheck` and `checkNewConsumerConfig`). Refuses: fields that would break a promise
//! (`no_ack`, `headers_only`, …) or that these streams have no use for (mirrors, push delivery).

use serde_json::{Map, Value, json};

/// What may stand in a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Any text.
    Text,
    /// `true` or `false`.
    Flag,
    /// Only `false`: the reason says which promise `true` would break.
    NeverTrue(&'static str),
    /// -1 for unlimited, or at least 1.
    Limit,
    /// A whole number within these bounds.
    Number(i64, i64),
    /// A whole number of nanoseconds, at least this many, or 0 for none.
    Nanoseconds(i64),
    /// Whole numbers of nanoseconds.
    NanosecondList,
    /// One of a few words.
    Word(&'static [&'static str]),
    /// One subject; `*` and `>` allowed.
    Subject,
    /// Subjects; `*` and `>` allowed.
    Subjects,
    /// Text by key.
    Metadata,
    /// An object of the server's own, passed on as it is.
    Object,
}

/// What the server takes where nothing is stated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Otherwise {
    /// Must be stated: the default is none that an operator would expect.
    Required,
    /// The server decides by its own configuration: not compared unless stated.
    ServersChoice,
    Nothing,
    False,
    Number(i64),
    Word(&'static str),
    EmptyList,
    EmptyObject,
}

/// What changing the field of an existing object does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing is lost.
    Free,
    /// Data may be lost; [`super::loss`] knows what.
    MayLose,
    /// The server refuses it, in both directions.
    Never,
    /// The server lets it be switched on, and never off again.
    OnlyOn,
}

/// One field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) otherwise: Otherwise,
    pub(super) change: Change,
}

const fn field(name: &'static str, kind: Kind, otherwise: Otherwise, change: Change) -> Field {
    Field { name, kind, otherwise, change }
}

/// Shortest age and window that the server takes: 100 ms.
const SHORTEST_AGE_NANOSECONDS: i64 = 100_000_000;
/// Shortest wait for an ack that makes sense over a network: 1 s.
const SHORTEST_ACK_WAIT_NANOSECONDS: i64 = 1_000_000_000;
const RETENTIONS: &[&str] = &["limits", "interest", "workqueue"];
const DELIVER_POLICIES: &[&str] = &["all", "new", "last", "last_per_subject"];

/// The fields of `stream.json`.
pub(super) const STREAM: &[Field] = &[
    field("name", Kind::Text, Otherwise::Required, Change::Never),
    field("description", Kind::Text, Otherwise::Nothing, Change::Free),
    field("subjects", Kind::Subjects, Otherwise::Required, Change::MayLose),
    field("retention", Kind::Word(RETENTIONS), Otherwise::Required, Change::MayLose),
    field("storage", Kind::Word(&["file", "memory"]), Otherwise::Required, Change::Never),
    field("num_replicas", Kind::Number(1, 5), Otherwise::Required, Change::MayLose),
    field("discard", Kind::Word(&["old", "new"]), Otherwise::Required, Change::MayLose),
    field("discard_new_per_subject", Kind::Flag, Otherwise::False, Change::MayLose),
    field(
        "max_age",
        Kind::Nanoseconds(SHORTEST_AGE_NANOSECONDS),
        Otherwise::Required,
        Change::MayLose,
    ),
    field("max_bytes", Kind::Number(1, i64::MAX), Otherwise::Required, Change::MayLose),
    field("max_msgs", Kind::Limit, Otherwise::Number(-1), Change::MayLose),
    field("max_msgs_per_subject", Kind::Limit, Otherwise::Number(-1), Change::MayLose),
    field("max_msg_size", Kind::Limit, Otherwise::Number(-1), Change::MayLose),
    field("max_consumers", Kind::Limit, Otherwise::Number(-1), Change::Free),
    field(
        "duplicate_window",
        Kind::Nanoseconds(SHORTEST_AGE_NANOSECONDS),
        Otherwise::Required,
        Change::Free,
    ),
    field("compression", Kind::Word(&["none", "s2"]), Otherwise::Word("none"), Change::Free),
    field("allow_direct", Kind::Flag, Otherwise::False, Change::Free),
    field("allow_rollup_hdrs", Kind::Flag, Otherwise::False, Change::Free),
    field("allow_msg_ttl", Kind::Flag, Otherwise::False, Change::OnlyOn),
    field(
        "subject_delete_marker_ttl",
        Kind::Nanoseconds(1_000_000_000),
        Otherwise::Number(0),
        Change::Free,
    ),
    field("allow_atomic", Kind::Flag, Otherwise::False, Change::Free),
    field("allow_batched", Kind::Flag, Otherwise::False, Change::Free),
    field("deny_delete", Kind::Flag, Otherwise::False, Change::OnlyOn),
    field("deny_purge", Kind::Flag, Otherwise::False, Change::OnlyOn),
    field("consumer_limits", Kind::Object, Otherwise::EmptyObject, Change::Free),
    field("placement", Kind::Object, Otherwise::Nothing, Change::Free),
    field("metadata", Kind::Metadata, Otherwise::EmptyObject, Change::Free),
    field(
        "no_ack",
        Kind::NeverTrue("a sender would not know that its message was taken"),
        Otherwise::False,
        Change::Free,
    ),
    field(
        "sealed",
        Kind::NeverTrue("a sealed stream takes no message ever again"),
        Otherwise::False,
        Change::Never,
    ),
    field(
        "persist_mode",
        // `async` acknowledges before it has written.
        Kind::Word(&["default"]),
        Otherwise::Word("default"),
        Change::Never,
    ),
];

/// The fields of `<consumer>.consumer.json`.
pub(super) const CONSUMER: &[Field] = &[
    field("durable_name", Kind::Text, Otherwise::Required, Change::Never),
    field("name", Kind::Text, Otherwise::ServersChoice, Change::Never),
    field("description", Kind::Text, Otherwise::Nothing, Change::Free),
    field("deliver_policy", Kind::Word(DELIVER_POLICIES), Otherwise::Required, Change::Never),
    // The receivers settle each message by itself.
    field("ack_policy", Kind::Word(&["explicit"]), Otherwise::Required, Change::Never),
    field(
        "replay_policy",
        Kind::Word(&["instant", "original"]),
        Otherwise::Word("instant"),
        Change::Never,
    ),
    field(
        "ack_wait",
        Kind::Nanoseconds(SHORTEST_ACK_WAIT_NANOSECONDS),
        Otherwise::Required,
        Change::Free,
    ),
    field("max_deliver", Kind::Limit, Otherwise::Required, Change::Free),
    field("backoff", Kind::NanosecondList, Otherwise::EmptyList, Change::Free),
    field("max_ack_pending", Kind::Number(1, 1_000_000), Otherwise::Required, Change::Free),
    field("max_waiting", Kind::Number(1, 1_000_000), Otherwise::Number(512), Change::Never),
    field("max_batch", Kind::Number(1, 1_000_000), Otherwise::ServersChoice, Change::Free),
    field("max_expires", Kind::Nanoseconds(1_000_000), Otherwise::Number(0), Change::Free),
    field("max_bytes", Kind::Number(0, i64::MAX), Otherwise::Number(0), Change::Free),
    field("filter_subject", Kind::Subject, Otherwise::Nothing, Change::MayLose),
    field("filter_subjects", Kind::Subjects, Otherwise::EmptyList, Change::MayLose),
    field("sample_freq", Kind::Text, Otherwise::Nothing, Change::Free),
    // 0 takes as many as the stream has.
    field("num_replicas", Kind::Number(0, 5), Otherwise::Number(0), Change::Free),
    field("metadata", Kind::Metadata, Otherwise::EmptyObject, Change::Free),
    field(
        "mem_storage",
        Kind::NeverTrue("the position would be lost at a restart of the server"),
        Otherwise::False,
        Change::Never,
    ),
    field(
        "headers_only",
        Kind::NeverTrue("the receivers need the payload"),
        Otherwise::False,
        Change::Free,
    ),
];

/// The value that the server takes where nothing is stated.
fn otherwise(field: &Field) -> Value {
    match field.otherwise {
        Otherwise::Required | Otherwise::ServersChoice | Otherwise::Nothing => Value::Null,
        Otherwise::False => json!(false),
        Otherwise::Number(number) => json!(number),
        Otherwise::Word(word) => json!(word),
        Otherwise::EmptyList => json!([]),
        Otherwise::EmptyObject => json!({}),
    }
}

/// The stated value, else what the server takes instead.
pub(super) fn value(config: &Map<String, Value>, field: &Field) -> Value {
    match config.get(field.name) {
        None | Some(Value::Null) => otherwise(field),
        Some(stated) => stated.clone(),
    }
}

/// The names of a table, for an error text.
pub(super) fn names(table: &[Field]) -> String {
    let names: Vec<&str> = table.iter().map(|field| field.name).collect();
    names.join(", ")
}
