//! Network: bytes in and out, and the interfaces.
//!
//! `network_bytes_in` and `network_bytes_out` are counters, not rates: bytes since boot, summed
//! over all interfaces but loopback. Within a run of the agent they never fall: an interface that
//! starts over or goes away takes nothing from the sum. A reader takes differences, and a fall as
//! a new beginning (the device or its agent was restarted).

use std::collections::HashMap;
use std::ffi::OsString;

use serde_json::{Map, Value, json};
use sysinfo::{NetworkData, Networks};

use super::names::Named;
use super::{Collector, Point, number, object};

/// Most interfaces that a report lists, and addresses of one.
const INTERFACES_MAX: usize = 64;
const ADDRESSES_MAX: usize = 16;

fn is_loopback(name: &str, interface: &NetworkData) -> bool {
    let networks = interface.ip_networks();
    name == "lo" || (!networks.is_empty() && networks.iter().all(|ip| ip.addr.is_loopback()))
}

/// A sum over counters that may each start over.
#[derive(Debug, Default)]
struct Sum {
    total: u64,
    last: HashMap<OsString, u64>,
}

impl Sum {
    fn take(&mut self, now: &[(OsString, u64)]) -> u64 {
        self.last.retain(|name, _| now.iter().any(|(present, _)| present == name));
        for (name, count) in now {
            // An interface that is just going away reads as 0.
            if *count == 0 {
                continue;
            }
            let before = self.last.insert(name.clone(), *count).unwrap_or(0);
            let grown = if *count >= before { count - before } else { *count };
            self.total = self.total.saturating_add(grown);
        }
        self.total
    }
}

/// `network_bytes_in` and `network_bytes_out`.
#[derive(Default)]
pub(super) struct Counters {
    networks: Option<Networks>,
    bytes_in: Sum,
    bytes_out: Sum,
}

impl Collector for Counters {
    type Reading = Vec<Point>;

    fn collect(&mut self) -> anyhow::Result<Vec<Point>> {
        let networks = match self.networks.take() {
            Some(networks) => networks,
            None => Networks::new()?,
        };
        let networks = self.networks.insert(networks);
        networks.refresh(true);
        let outside =
            || networks.iter().filter(|(name, data)| !is_loopback(&name.to_string_lossy(), data));
        let received: Vec<_> =
            outside().map(|(name, data)| (name.clone(), data.total_received())).collect();
        let sent: Vec<_> =
            outside().map(|(name, data)| (name.clone(), data.total_transmitted())).collect();
        Ok(vec![
            Point::new("network_bytes_in", number(self.bytes_in.take(&received)))?,
            Point::new("network_bytes_out", number(self.bytes_out.take(&sent)))?,
        ])
    }
}

/// `network_bytes_in_{interface}` and `network_bytes_out_{interface}`: the system's own counters,
/// which start over where the interface does.
#[derive(Default)]
pub(super) struct EachInterface {
    shortfall: Option<String>,
}

impl Collector for EachInterface {
    type Reading = Vec<Point>;

    fn collect(&mut self) -> anyhow::Result<Vec<Point>> {
        let networks = Networks::new_with_refreshed_list()?;
        let mut named = Named::new("interfaces");
        for (name, data) in networks.iter() {
            let name = name.to_string_lossy();
            if !is_loopback(&name, data) {
                let (received, sent) = (data.total_received(), data.total_transmitted());
                let values =
                    [("network_bytes_in", number(received)), ("network_bytes_out", number(sent))];
                named.add(name.into_owned(), values);
            }
        }
        let (points, shortfall) = named.points()?;
        self.shortfall = shortfall;
        Ok(points)
    }

    fn shortfall(&self) -> Option<String> {
        self.shortfall.clone()
    }
}

/// The interfaces with addresses and counters.
pub(super) struct InterfacesSection;

impl Collector for InterfacesSection {
    type Reading = Map<String, Value>;

    fn collect(&mut self) -> anyhow::Result<Map<String, Value>> {
        let networks = Networks::new_with_refreshed_list()?;
        let mut names: Vec<&OsString> = networks.keys().collect();
        names.sort();
        names.truncate(INTERFACES_MAX);
        let listed: Vec<Value> = names
            .into_iter()
            .filter_map(|name| Some(describe(&name.to_string_lossy(), networks.get(name)?)))
            .collect();
        Ok(object(json!({ "network_interfaces": listed })))
    }
}

fn describe(name: &str, interface: &NetworkData) -> Value {
    let addresses: Vec<String> =
        interface.ip_networks().iter().take(ADDRESSES_MAX).map(ToString::to_string).collect();
    json!({
        "name": name,
        "mac_address": interface.mac_address().to_string(),
        "addresses": addresses,
        "mtu": interface.mtu(),
        "bytes_in": interface.total_received(),
        "bytes_out": interface.total_transmitted(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(pairs: &[(&str, u64)]) -> Vec<(OsString, u64)> {
        pairs.iter().map(|(name, count)| (OsString::from(name), *count)).collect()
    }

    #[test]
    fn the_sum_never_falls_whatever_the_interfaces_do() {
        let mut sum = Sum::default();
        assert_eq!(sum.take(&counts(&[("eth0", 100), ("wlan0", 50)])), 150);
        assert_eq!(sum.take(&counts(&[("eth0", 130), ("wlan0", 50)])), 180);
        // Started over.
        assert_eq!(sum.take(&counts(&[("eth0", 10), ("wlan0", 50)])), 190);
        // Gone, and read as nothing on its way out.
        assert_eq!(sum.take(&counts(&[("eth0", 20), ("wlan0", 0)])), 200);
        assert_eq!(sum.take(&counts(&[("eth0", 20)])), 200);
        // A new one of that name.
        assert_eq!(sum.take(&counts(&[("eth0", 20), ("wlan0", 5)])), 205);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_counters_are_those_of_proc() {
        let proc_sum = || {
            let text = std::fs::read_to_string("/proc/net/dev").unwrap();
            let rows = text.lines().filter_map(|line| line.split_once(':'));
            let outside = rows.filter(|(name, _)| name.trim() != "lo");
            let first = |(_, row): (&str, &str)| {
                row.split_whitespace().next().unwrap().parse::<u64>().unwrap()
            };
            number(outside.map(first).sum())
        };
        let before = proc_sum();
        let points = Counters::default().collect().unwrap();
        let each = EachInterface::default().collect().unwrap();
        let after = proc_sum();
        assert_eq!(points[0].metric.as_str(), "network_bytes_in");
        let value = points[0].value;
        assert!((before..=after).contains(&value), "{value} is not in {before}..={after}");
        let into =
            each.iter().filter(|point| point.metric.as_str().starts_with("network_bytes_in"));
        let value: f64 = into.map(|point| point.value).sum();
        assert!((before..=after).contains(&value), "each: {value} is not in {before}..={after}");
    }
}
