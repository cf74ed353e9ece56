//! Names of metrics that there is one of for each disk, interface, sensor and so on.
//!
//! Promises: a name fits the rule of metric types; two things never share one; how many there are
//! is bounded, and what is left out is told.

use std::collections::BTreeSet;

use protocol::limits::METRIC_TYPE_MAX_BYTES;

use super::Point;

/// Most things of one collector that are reported.
pub(super) const THINGS_MAX: usize = 32;
/// What distinguishes a name that is too long or taken: `_` and six hexadecimal digits.
const MARK_BYTES: usize = 7;

/// Things with their values on the way to points.
pub(super) struct Named {
    /// What they are, for the operator.
    things: &'static str,
    rows: Vec<(String, Vec<(&'static str, f64)>)>,
}

impl Named {
    pub(super) const fn new(things: &'static str) -> Self {
        Self { things, rows: Vec::new() }
    }

    /// A thing, and what precedes its name in the metrics with their values.
    pub(super) fn add<const N: usize>(&mut self, thing: String, values: [(&'static str, f64); N]) {
        self.rows.push((thing, values.to_vec()));
    }

    /// The points, and what was left out.
    ///
    /// # Errors
    /// A name is outside the rule, which would be a defect of ours.
    pub(super) fn points(mut self) -> anyhow::Result<(Vec<Point>, Option<String>)> {
        self.rows.sort_by(|one, other| one.0.cmp(&other.0));
        // A disk may be mounted, a sensor named, more than once.
        self.rows.dedup_by(|one, other| one.0 == other.0);
        let shortfall = left_out(self.rows.len(), THINGS_MAX, self.things);
        let mut taken = BTreeSet::new();
        let mut points = Vec::new();
        for (thing, values) in self.rows.into_iter().take(THINGS_MAX) {
            for (prefix, value) in values {
                let name = metric_name(prefix, &thing, &taken);
                points.push(Point::new(&name, value)?);
                taken.insert(name);
            }
        }
        Ok((points, shortfall))
    }
}

/// What is told of `found` things of which `most` are reported.
pub(super) fn left_out(found: usize, most: usize, things: &str) -> Option<String> {
    (found > most).then(|| format!("{found} {things} are there; the first {most} are reported"))
}

/// `prefix_thing` within the rule; with a mark of the whole name where it is too long or taken.
fn metric_name(prefix: &str, thing: &str, taken: &BTreeSet<String>) -> String {
    let plain = format!("{prefix}_{}", token(thing));
    if plain.len() <= METRIC_TYPE_MAX_BYTES && !taken.contains(&plain) {
        return plain;
    }
    // Only ASCII is left, so any cut is between characters.
    let kept = plain.len().min(METRIC_TYPE_MAX_BYTES - MARK_BYTES);
    format!("{}_{:06x}", &plain[..kept], mark(thing))
}

/// Small letters, digits and single `_` between them; `root` where nothing is left.
pub(super) fn token(thing: &str) -> String {
    let words = thing.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let token = words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("_");
    if token.is_empty() { "root".to_owned() } else { token }
}

/// FNV-1a, 24 bits of it: the same on every machine and in every version.
fn mark(thing: &str) -> u32 {
    let mut hash = 0x811c_9dc5_u32;
    for byte in thing.bytes() {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    hash & 0x00ff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_the_rule_are_told_apart_and_stay_what_they_are() {
        let mut named = Named::new("disks");
        let long = format!("/srv/{}", "x".repeat(80));
        for thing in ["/", "/home", "/srv/data-1", "/srv/data 1", "/HOME", "/ü", &long, "/home"] {
            named.add(thing.to_owned(), [("disk_percent", 1.0)]);
        }
        let (points, shortfall) = named.points().unwrap();
        assert_eq!(shortfall, None);
        let names: Vec<&str> = points.iter().map(|point| point.metric.as_str()).collect();
        let cut = format!("disk_percent_srv_{}_{:06x}", "x".repeat(40), mark(&long));
        assert_eq!(
            names,
            [
                "disk_percent_root",
                "disk_percent_home",
                &format!("disk_percent_home_{:06x}", mark("/home")),
                "disk_percent_srv_data_1",
                &format!("disk_percent_srv_data_1_{:06x}", mark("/srv/data-1")),
                &cut,
                &format!("disk_percent_root_{:06x}", mark("/ü")),
            ]
        );
        assert_eq!(cut.len(), METRIC_TYPE_MAX_BYTES);
    }

    #[test]
    fn what_is_too_many_is_told() {
        let mut named = Named::new("sensors");
        for number in 0..=THINGS_MAX {
            named.add(format!("{number:03}"), [("temperature_celsius", 1.0)]);
        }
        let (points, shortfall) = named.points().unwrap();
        assert_eq!(points.len(), THINGS_MAX);
        assert_eq!(shortfall.unwrap(), "33 sensors are there; the first 32 are reported");
    }
}
