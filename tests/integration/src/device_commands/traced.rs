//! The header beside a command that tells of its trace is not signed: whatever stands in it, the
//! command is executed once, and only a trace that is well formed goes on.

use anyhow::Result;
use async_nats::HeaderMap;
use serde_json::json;

use super::site::{Site, succeeded};
use crate::traces::collector::Collector;
use crate::world::eventually;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
/// More than any header has a reason to be.
const LONG_BYTES: usize = 16 * 1024;

#[tokio::test]
async fn a_traceparent_that_anybody_wrote_decides_nothing_but_where_a_span_belongs() -> Result<()> {
    let collector = Collector::start().await?;
    let site = Site::open_told("", collector.settings()).await?;
    let written = [
        String::new(),
        "nonsense".to_owned(),
        format!("00-{}-{}-01", "0".repeat(32), "0".repeat(16)),
        format!("00-{}-b7ad6b7169203331-01", TRACE.to_uppercase()),
        format!("00-{TRACE}-b7ad6b7169203331-01-{}", "x".repeat(LONG_BYTES)),
        format!("00-{TRACE}-b7ad6b7169203331-01"),
    ];
    let (count, genuine) = (written.len(), written.len() - 1);
    for traceparent in &written {
        let signed = site.signed(("ping", json!({})), |_| {})?;
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", traceparent.as_str());
        site.publish_with(headers, signed.to_payload()?).await?;
        succeeded(&site.end_of(signed.command_id).await?)?;
    }
    let executed = eventually("every execution", async || {
        let spans = collector.spans();
        let executed: Vec<_> =
            spans.into_iter().filter(|span| span.name == "execute ping").collect();
        Ok((executed.len() == count).then_some(executed))
    })
    .await?;
    let theirs = executed.iter().filter(|span| span.trace == TRACE);
    assert_eq!(theirs.count(), 1, "the last one's alone: {executed:#?}");
    assert_eq!(executed[genuine].trace, TRACE, "{executed:#?}");
    Ok(())
}
