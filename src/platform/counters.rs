//! Counters by labels, as a monitoring system reads them.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

/// Counts by so many labels.
pub type Counts<const N: usize> = Family<[(&'static str, &'static str); N], Counter>;

/// What is told of connections.
#[derive(Debug, Clone, Default)]
pub struct ConnectionCounters {
    /// How many there are.
    pub open: Gauge<u64, AtomicU64>,
    /// How many were not let in, or had to make room.
    pub turned_away: TurnedAway,
}

/// How many connections were turned away, by why.
pub type TurnedAway = prometheus_client::metrics::family::Family<[(&'static str, &'static str); 1], Counter>;
