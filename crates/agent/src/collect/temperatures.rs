//! `temperature_celsius_{sensor}`.

use anyhow::ensure;
use sysinfo::Components;

use super::names::Named;
use super::{Collector, Point, two_decimals};

#[derive(Default)]
pub(super) struct Temperatures {
    shortfall: Option<String>,
}

impl Collector for Temperatures {
    type Reading = Vec<Point>;

    fn collect(&mut self) -> anyhow::Result<Vec<Point>> {
        let sensors = Components::new_with_refreshed_list()?;
        let mut named = Named::new("sensors");
        for sensor in sensors.iter() {
            if let Some(celsius) = sensor.temperature() {
                let value = two_decimals(f64::from(celsius));
                named.add(sensor.label().to_owned(), [("temperature_celsius", value)]);
            }
        }
        let (points, shortfall) = named.points()?;
        ensure!(!points.is_empty(), "this machine has no sensor that tells a temperature");
        self.shortfall = shortfall;
        Ok(points)
    }

    fn shortfall(&self) -> Option<String> {
        self.shortfall.clone()
    }
}
