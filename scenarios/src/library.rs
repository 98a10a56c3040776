//! The built-in scenarios, and those of a user's own files.
#![expect(clippy::disallowed_methods, reason = "scenario files are read from the machine's disk")]

use crate::diagnostics::nearest;
use crate::error::ScenarioError;
use crate::plan_file;
use crate::scenario::Scenario;
use sim::plan::Plan;
use sim::stack::Stack;
use std::path::Path;

/// The name of the stack that the built-in scenarios are written for.
pub const BUILT_IN_FOR: &str = "image";
/// Where regressions are kept, in a repository.
pub const REGRESSIONS: &str = "scenarios/regressions";
/// What the names of scenarios begin with that are too large to be run by the hundred.
const SCALE: &str = "scale/";
/// A larger file is no scenario or plan.
const FILE_BYTES_MAX: u64 = 16 << 20;

macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        /// The names and texts of the built-in scenarios, in order of name.
        pub const BUILT_IN: &[(&str, &str)] = &[$(($name, include_str!(concat!("../", $name, ".toml")))),*];
    };
}

built_in![
    "auth/data-plane-outage",
    "auth/forgotten-revocation",
    "auth/newcomers",
    "auth/revoked-during-cut",
    "clock/azure-leap-day-2012",
    "clock/leader-drift",
    "clock/mozilla-certificate-2019",
    "clock/years-ahead",
    "config/azure-front-door-2025",
    "config/azure-storage-2014",
    "config/cloudflare-killswitch-2025",
    "config/cloudflare-regex-2019",
    "config/durability-off",
    "config/facebook-cache-2010",
    "config/google-auth-quota-2020",
    "config/google-bgp-2016",
    "config/google-service-control-2025",
    "correlated/shared-power-loss",
    "disk/hpe-ssd-2020",
    "gray/half-answers",
    "gray/lossy-link",
    "gray/slow-leader-disk",
    "load/aws-kinesis-2020",
    "load/metastable",
    "load/optus-2023",
    "load/thermal-cascade",
    "network/aws-ebs-2011",
    "network/facebook-backbone-2021",
    "network/leader-cut",
    "operator/aws-s3-2017",
    "operator/joyent-2014",
    "operator/short-memory",
    "operator/small-workers",
    "operator/unisuper-2024",
    "poison/arpanet-1980",
    "poison/cured-by-roll-back",
    "poison/exhaust",
    "poison/hang",
    "poison/head-of-line",
    "power/aws-sydney-2016",
    "power/aws-us-east-1-storm-2012",
    "power/cloudflare-pdx-2023",
    "power/google-europe-west1-2015",
    "power/google-paris-2023",
    "power/inrush",
    "queue/change-under-fire",
    "queue/replace-replica",
    "queue/spare-loses-its-disk",
    "release/appnexus-2013",
    "release/ariane-1996",
    "release/cold-start",
    "release/crowdstrike-2024",
    "release/knight-capital-2012",
    "release/reddit-2023",
    "scale/region",
    "scale/region-edge",
    "steady/accounts",
    "steady/baseline",
    "swarm/accounts",
    "swarm/anything",
    "swarm/auth",
    "swarm/clocks",
    "swarm/deposed",
    "swarm/disks",
    "swarm/elections",
    "swarm/everything",
    "swarm/groups",
    "swarm/last-copy",
    "swarm/partitions",
    "swarm/power",
    "swarm/releases",
    "swarm/retention",
    "swarm/settings",
    "swarm/slow-links",
    "swarm/stand-ins",
    "swarm/votes",
    "swarm/workers",
];

/// The scenario called `name`: a built-in one, or the file at that path where it ends in `.toml`.
///
/// # Errors
/// Where there is none, or its file is wrong.
pub fn find(name: &str, stack: &dyn Stack) -> Result<Scenario, ScenarioError> {
    if Path::new(name).extension().is_some_and(|extension| extension == "toml") {
        return Scenario::parse(&read_file(Path::new(name))?, name, stack);
    }
    let Some((_, text)) = BUILT_IN.iter().find(|(built_in, _)| *built_in == name) else {
        let whole = nearest(name, BUILT_IN.iter().map(|(built_in, _)| *built_in));
        let last = || {
            let ends = BUILT_IN.iter().map(|(built_in, _)| built_in.rsplit('/').next().unwrap_or(built_in));
            let end = nearest(name, ends)?;
            BUILT_IN.iter().map(|(built_in, _)| *built_in).find(|built_in| built_in.ends_with(end))
        };
        let hint = match whole.or_else(last) {
            Some(near) => format!(": did you mean `{near}`?"),
            None => ": `hogwash list` shows them; a file's name ends in `.toml`".to_owned(),
        };
        return Err(ScenarioError::Unknown { sort: "scenario", name: name.to_owned(), hint });
    };
    Scenario::parse(text.as_bytes(), &format!("scenarios/{name}.toml"), stack)
}

/// All built-in scenarios, in order of name; none for a stack that they were not written for, which has roles of its own.
///
/// # Errors
/// Where one is wrong.
pub fn all(stack: &dyn Stack) -> Result<Vec<Scenario>, ScenarioError> {
    if stack.name() != BUILT_IN_FOR {
        return Ok(Vec::new());
    }
    BUILT_IN.iter().map(|(name, _)| find(name, stack)).collect()
}

/// Those of [`all`] that a batch tries which names none: not those of the area `scale`, of which each run takes minutes.
///
/// # Errors
/// As [`all`].
pub fn of_batches(stack: &dyn Stack) -> Result<Vec<Scenario>, ScenarioError> {
    let mut scenarios = all(stack)?;
    scenarios.retain(|scenario| !scenario.name.starts_with(SCALE));
    Ok(scenarios)
}

/// The plans of `folder` for `stack`, in order of name, each with its path: what `shrink --save` wrote and somebody
/// committed. Those of other stacks are theirs to run.
///
/// # Errors
/// Where the folder is there and cannot be read, or one of its plans is wrong: a regression that is no longer run must not
/// go unnoticed.
pub fn regressions(folder: &Path, stack: &dyn Stack) -> Result<Vec<(String, Plan)>, ScenarioError> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = folder.read_dir().and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let entries = entries.map_err(|error| crate::store::cannot("read", folder, &error))?;
    let mut paths: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    let read = |path: std::path::PathBuf| {
        let name = path.display().to_string();
        let text = read_file(&path)?;
        if is_of_another_stack(&text, stack) {
            return Ok(None);
        }
        let plan = plan_file::read(&text, &name, stack)?;
        Ok(Some((name, plan)))
    };
    paths.into_iter().filter_map(|path| read(path).transpose()).collect()
}

/// Whether a plan names a stack, and not `stack`. What is no plan at all is for its reader to tell.
fn is_of_another_stack(text: &[u8], stack: &dyn Stack) -> bool {
    #[derive(serde::Deserialize)]
    struct Named {
        stack: String,
    }
    let named = std::str::from_utf8(text).ok().and_then(|text| toml::from_str::<Named>(text).ok());
    named.is_some_and(|named| named.stack != stack.name())
}

/// The bytes of a user's file, unless it is missing or absurdly large.
///
/// # Errors
/// Where it cannot be read.
pub fn read_file(path: &Path) -> Result<Vec<u8>, ScenarioError> {
    let wrong =
        |reason: String| ScenarioError::File { what: "read", path: path.display().to_string(), reason };
    let length = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?.len();
    if length > FILE_BYTES_MAX {
        return Err(wrong(format!("{length} bytes are too many for a scenario or a plan")));
    }
    std::fs::read(path).map_err(|error| wrong(error.to_string()))
}
