//! Whose share is how large, and what is beyond it.
//!
//! The measure is the middle tenant, so that noisy ones do not become the measure of each other.
//! Promises: a tenant that is alone, or sent no more than so many times what the middle one sent,
//! has no share set; each other one has some of every batch.

use std::collections::HashMap;
use std::time::Duration;

use protocol::TenantId;
use tokio::time::Instant;

/// How often what was sent before is worth half as much, in comparing tenants.
const HALVED_EVERY: Duration = Duration::from_secs(10);
/// A tenant with less is forgotten: with one point after a minute.
const FORGOTTEN_BELOW_POINTS: f64 = 0.01;
/// Tenants that are compared.
const TENANTS_MAX: usize = 10_000;
/// However little the others send, so much of a batch is everybody's.
const SHARE_AT_LEAST_MESSAGES: usize = 50;
/// Most points of a parcel: what is written at one time beside the points of others.
const PARCEL_MAX_POINTS: usize = 500;

/// What tenants have sent lately.
#[derive(Debug)]
pub(super) struct Recent {
    /// Points, each worth half as much after every [`HALVED_EVERY`].
    counts: HashMap<TenantId, f64>,
    halve_at: Instant,
}

impl Recent {
    pub(super) fn new(now: Instant) -> Self {
        Self { counts: HashMap::new(), halve_at: now + HALVED_EVERY }
    }

    pub(super) fn add(&mut self, counts: &HashMap<TenantId, usize>, now: Instant) {
        while self.halve_at <= now {
            self.halve_at += HALVED_EVERY;
            self.counts.retain(|_, count| {
                *count /= 2.0;
                *count >= FORGOTTEN_BELOW_POINTS
            });
        }
        for (tenant, count) in counts {
            if self.counts.len() < TENANTS_MAX || self.counts.contains_key(tenant) {
                *self.counts.entry(*tenant).or_default() += as_f64(*count);
            }
        }
    }

    /// How many of a batch in which tenants have `counts` are within the share of those that sent
    /// more than `times` what the middle one sent; the others are not among them.
    pub(super) fn shares(
        &self,
        counts: &HashMap<TenantId, usize>,
        times: u32,
    ) -> HashMap<TenantId, usize> {
        let mut all: Vec<f64> = self.counts.values().copied().collect();
        all.sort_unstable_by(f64::total_cmp);
        let middle = all.get(all.len().saturating_sub(1) / 2).copied().unwrap_or_default();
        let most = middle * f64::from(times);
        let mut shares = HashMap::new();
        for (tenant, count) in counts {
            let sent = self.counts.get(tenant).copied().unwrap_or_default();
            if sent > most {
                let share = part(*count, most / sent).max(SHARE_AT_LEAST_MESSAGES);
                shares.insert(*tenant, share);
            }
        }
        shares
    }
}

/// How many each tenant has.
pub(super) fn count(tenants: impl Iterator<Item = TenantId>) -> HashMap<TenantId, usize> {
    let mut counts = HashMap::new();
    for tenant in tenants {
        *counts.entry(tenant).or_default() += 1;
    }
    counts
}

/// Takes out what tenants have beyond their shares: in parcels of one tenant, in their order.
pub(super) fn beyond<T>(
    mut shares: HashMap<TenantId, usize>,
    batch: &mut Vec<T>,
    tenant: impl Fn(&T) -> Option<TenantId>,
) -> Vec<(TenantId, Vec<T>)> {
    let mut parcels: HashMap<TenantId, Vec<Vec<T>>> = HashMap::new();
    let mut within = Vec::with_capacity(batch.len());
    for one in batch.drain(..) {
        let tenant = tenant(&one);
        let share = tenant.and_then(|tenant| Some((tenant, shares.get_mut(&tenant)?)));
        let Some((tenant, left)) = share else {
            within.push(one);
            continue;
        };
        if *left > 0 {
            *left -= 1;
            within.push(one);
            continue;
        }
        let parcels = parcels.entry(tenant).or_default();
        match parcels.last_mut().filter(|parcel| parcel.len() < PARCEL_MAX_POINTS) {
            Some(parcel) => parcel.push(one),
            None => parcels.push(vec![one]),
        }
    }
    *batch = within;
    let of = |(tenant, parcels): (TenantId, Vec<Vec<T>>)| {
        parcels.into_iter().map(move |parcel| (tenant, parcel))
    };
    parcels.into_iter().flat_map(of).collect()
}

fn as_f64(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// `fraction` of a batch's count, between none and all of it.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 0 and count")]
fn part(count: usize, fraction: f64) -> usize {
    (as_f64(count) * fraction.clamp(0.0, 1.0)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(number: &u64) -> TenantId {
        format!("00000000-0000-4000-8000-{number:012}").parse().unwrap()
    }

    /// After earlier batches, what is left of one and the sizes of its parcels. A batch tells how
    /// many each tenant has, by number from 1.
    fn shared(earlier: &[&[usize]], counts: &[usize]) -> (usize, Vec<(u64, usize)>) {
        let now = Instant::now();
        let mut recent = Recent::new(now);
        for counts in earlier {
            recent.add(&count(batch(counts).iter().map(tenant)), now);
        }
        let mut batch = batch(counts);
        let counts = count(batch.iter().map(tenant));
        recent.add(&counts, now);
        let mut parcels: Vec<(u64, usize)> = Vec::new();
        let shares = recent.shares(&counts, 8);
        for (of, parcel) in beyond(shares, &mut batch, |number| Some(tenant(number))) {
            assert!(parcel.iter().all(|number| tenant(number) == of), "of one tenant");
            parcels.push((parcel[0], parcel.len()));
        }
        parcels.sort_unstable();
        (batch.len(), parcels)
    }

    fn batch(counts: &[usize]) -> Vec<u64> {
        let of = |(tenant, count): (u64, &usize)| std::iter::repeat_n(tenant, *count);
        (1..).zip(counts).flat_map(of).collect()
    }

    #[test]
    fn who_has_fifty_times_the_others_keeps_a_share_and_the_rest_waits() {
        assert_eq!(shared(&[], &[950, 19, 19]), (38 + 152, vec![(1, 298), (1, 500)]));
        assert_eq!(shared(&[], &[980, 20]), (20 + 160, vec![(1, 320), (1, 500)]));
        assert_eq!(shared(&[], &[999, 1]), (1 + 50, vec![(1, 449), (1, 500)]));
    }

    #[test]
    fn a_batch_of_the_noisy_one_alone_is_measured_by_those_before() {
        assert_eq!(shared(&[&[200, 200], &[1_000]], &[1_000]), (727, vec![(1, 273)]));
        assert_eq!(shared(&[&[500, 10]], &[1_000]), (53, vec![(1, 447), (1, 500)]));
    }

    #[test]
    fn several_noisy_ones_do_not_become_the_measure_of_each_other() {
        let (left, parcels) = shared(&[], &[450, 450, 20, 20, 20, 20]);
        assert_eq!((left, parcels), (80 + 2 * 160, vec![(1, 290), (2, 290)]));
    }

    #[test]
    fn equals_and_who_is_alone_are_not_touched() {
        for counts in [&[200; 5][..], &[1_000], &[600, 400], &[50, 1], &[500, 100, 90]] {
            assert_eq!(shared(&[counts], counts), (counts.iter().sum(), Vec::new()), "{counts:?}");
        }
    }

    #[test]
    fn what_was_sent_long_ago_is_forgotten() {
        let now = Instant::now();
        let mut recent = Recent::new(now);
        recent.add(&count(batch(&[900, 1]).iter().map(tenant)), now);
        recent.add(&HashMap::new(), now + 7 * HALVED_EVERY);
        assert_eq!(recent.counts.into_keys().collect::<Vec<_>>(), [tenant(&1)]);
    }
}
