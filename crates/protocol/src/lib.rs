//! What every part of Wegweiser agrees on: ids, subjects, messages, limits.
//!
//! Promises: no I/O, no panics; a value of one of these types is valid by construction.
//! Every shape that agents of the first generation send is normalised here and nowhere else
//! (see [`decode`]). Refuses: to believe a payload about who sent it; identity is the
//! [`DeviceSubject`] that the broker stamped.

pub mod command;
mod dead_letter;
mod decode;
mod enrolment;
mod heartbeat;
mod ids;
pub mod labels;
pub mod limits;
mod message_id;
mod metric;
mod monitoring;
mod parcel;
mod posting;
mod reject;
mod response;
mod self_report;
mod subject;
mod time;
mod wire;

pub use command::{Command, CommandKind, Order, SignedCommand};
pub use dead_letter::{DeadLetter, headers};
pub use decode::{Event, decode};
pub use enrolment::{EnrollAnswer, EnrollRequest, RenewAnswer, RenewRequest};
pub use heartbeat::{Heartbeat, HeartbeatBody};
pub use ids::{CommandId, DeviceId, IdError, SessionId, TenantId};
pub use labels::{LabelError, Labels};
pub use message_id::{MessageId, MessageIdError, MessageKey, MessageNumber};
pub use metric::{AGENT_METRICS, MetricBody, MetricPoint, MetricType, MetricTypeError};
pub use monitoring::MonitoringReport;
pub use parcel::{DeferredPoint, pack, parcel_subject, unpack};
pub use posting::Posting;
pub use reject::Reject;
pub use response::{
    CommandResponse, ResponseEvent, ResponseOutcome, ResponseReason, ResponseStatus,
};
pub use self_report::{
    CollectorReport, CommandReport, DropReasons, DroppedCounts, EarlierSession, HeartbeatStatus,
    KindCounts,
};
pub use subject::{DeviceSubject, Kind, SubjectError};
pub use time::UnixMillis;
