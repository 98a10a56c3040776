//! Versions of the configuration, while the service that hands them out fails.

use crate::world::{events, fault, plan};
use sim::fault::{DiskError, Inject};
use sim::history::Fact;

#[test]
fn a_service_whose_disk_fails_starts_anew_and_takes_a_bad_version_back_all_the_same() {
    let roles = [("api", 3), ("queue", 3), ("worker", 2), ("config", 1), ("client", 1)];
    let settings = [("push.at", "5s"), ("push.content", "defective"), ("push.effect", "refuse")];
    for start_s in [4, 7] {
        let error = DiskError { nodes: vec!["config-1".to_owned()], probability: 1.0, once: true };
        let faults = vec![fault(start_s, 30, Inject::DiskError(error))];
        let events = events(&plan(1, 60, &roles, (4, 16.0), &settings, faults));
        let condemned = events.iter().filter(|event| matches!(event.fact, Fact::Condemn { .. })).count();
        assert_eq!(condemned, 1, "the error strikes from second {start_s} on");
    }
}
