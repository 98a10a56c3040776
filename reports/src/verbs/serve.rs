//! `hogwash serve`: the stack for real, on loopback.

use crate::cli::ServeArgs;
use crate::exit::Exit;
use crate::program::Program;
use anyhow::{Context, Result};
use sim::plan::NodePlan;
use sim::server::ServeOptions;
use sim::stack::Deployment;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) fn serve(program: &Program, arguments: &ServeArgs) -> Result<Exit> {
    let nodes = program.stack.roles().iter().flat_map(nodes).collect();
    let settings = arguments.set.iter().cloned().collect();
    let deployment = Deployment::new(program.stack.as_ref(), nodes, &settings)?;
    let options = ServeOptions { data: arguments.data.clone(), base_port: arguments.base_port, nodes: None };
    sim::server::serve(program.stack.clone(), Arc::new(deployment), options)
        .with_context(|| format!("the stack cannot be served from `{}`", arguments.data.display()))?;
    Ok(Exit::Success)
}

fn nodes(role: &sim::stack::Role) -> impl Iterator<Item = NodePlan> {
    let role = *role;
    (1..=role.count).map(move |number| NodePlan {
        name: format!("{}-{number}", role.name),
        role: role.name.to_owned(),
        cores: role.cores,
        memory_bytes: u64::MAX,
        domains: BTreeMap::new(),
        clock_offset_ns: 0,
        clock_drift_parts_per_million: 0.0,
    })
}
